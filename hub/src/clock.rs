//! Time and randomness, handed in, so that a test decides both.

use std::fmt::Debug;
use std::sync::Mutex;

use jiff::Timestamp;
use ulid::Ulid;

/// Tells the time. Called from everywhere; cheap.
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

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct FakeClock(Mutex<Timestamp>);

impl FakeClock {
    /// Starts at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves it forward.
    pub fn advance(&self, by: jiff::SignedDuration) {
        let mut now = self
            .0
            .lock()
            .expect("no test panics while it holds the clock");
        *now += by;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self
            .0
            .lock()
            .expect("no test panics while it holds the clock")
    }
}

/// Gives random bytes and the ids made of them.
pub trait Entropy: Send + Sync + Debug {
    /// Thirty-two bytes that nobody can guess.
    fn secret(&self) -> [u8; 32];

    /// A new id that sorts by `now`.
    fn id(&self, now: Timestamp) -> Ulid {
        let mut random = [0; 16];
        random.copy_from_slice(&self.secret()[..16]);
        let ms = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Ulid::from_parts(ms, u128::from_be_bytes(random))
    }
}

/// The operating system's generator.
#[derive(Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn secret(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the operating system always has random bytes");
        bytes
    }
}
