//! The wake-up of [`super::QueueStore::changed`], in process.

use tokio::sync::watch;

/// Counts the writes that may interest somebody who waits.
#[derive(Debug)]
pub(super) struct Changes(watch::Sender<u64>);

impl Changes {
    /// Starts at 1, so that whoever has seen nothing yet looks at once.
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(1))
    }

    /// Notes a write that can be read from now on.
    pub(super) fn mark(&self) {
        self.0
            .send_modify(|number| *number = number.wrapping_add(1));
    }

    /// Waits until the number is not `seen` any more, and returns it. Cancellation safe.
    pub(super) async fn since(&self, seen: u64) -> u64 {
        let mut numbers = self.0.subscribe();
        let number = numbers.wait_for(|&number| number != seen).await;
        *number.expect("the sender is a part of self, so it outlives this call")
    }
}
