//! Wakes those who read along: a log that grew wakes nobody in the store, because it happens too often
//! for those who wait for a job.

use tokio::sync::watch;

/// Counts what was written to any log or about any step. Shared by `ingest` and those who read along.
#[derive(Debug)]
pub struct Live(watch::Sender<u64>);

impl Default for Live {
    fn default() -> Self {
        Self(watch::Sender::new(1))
    }
}

impl Live {
    /// Something can be read that could not be read before.
    pub fn wrote(&self) {
        self.0
            .send_modify(|number| *number = number.wrapping_add(1));
    }

    /// What was written so far, as a number for [`Self::wait`].
    pub fn seen(&self) -> u64 {
        *self.0.borrow()
    }

    /// Waits until something was written since `seen`. Dropping the future loses nothing.
    pub async fn wait(&self, seen: u64) {
        let mut numbers = self.0.subscribe();
        let changed = numbers.wait_for(|number| *number != seen).await;
        changed.expect("the sender is a part of self, so it outlives this call");
    }
}
