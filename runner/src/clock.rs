//! Time, handed in, so that a test decides it. Durations and timers use `tokio::time`.

use std::fmt::Debug;

use jiff::Timestamp;

/// Tells the time. Cheap; called for every log record.
pub trait Clock: Send + Sync + Debug {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;
}

/// The host's clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the host"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
