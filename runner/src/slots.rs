//! Room for jobs: how many run at once, which ones, and how each is told to stop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use cofferdam_protocol::AttemptId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The room of one runner. Clones share it.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    capacity: u16,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    running: BTreeMap<AttemptId, CancellationToken>,
    is_draining: bool,
}

/// A taken slot. Free again when dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Slots,
    attempt: AttemptId,
    cancel: CancellationToken,
}

/// Why a job gets no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSlot {
    /// All are taken.
    #[error("all slots are taken")]
    Full,
    /// The runner is about to stop.
    #[error("the runner takes no new jobs: it is shutting down")]
    Draining,
    /// This very attempt runs already.
    #[error("this attempt runs already")]
    Held,
}

impl Slots {
    /// Room for `capacity` jobs.
    pub fn new(capacity: u16) -> Self {
        let state = Mutex::new(State::default());
        Self(Arc::new(Inner {
            capacity,
            state,
            freed: Notify::new(),
        }))
    }

    /// How many jobs fit.
    pub fn capacity(&self) -> u16 {
        self.0.capacity
    }

    /// Takes a slot for an attempt.
    pub fn take(&self, attempt: AttemptId) -> Result<Slot, NoSlot> {
        let mut state = self.lock();
        if state.running.contains_key(&attempt) {
            return Err(NoSlot::Held);
        }
        if state.is_draining {
            return Err(NoSlot::Draining);
        }
        if state.running.len() >= usize::from(self.0.capacity) {
            return Err(NoSlot::Full);
        }
        let cancel = CancellationToken::new();
        state.running.insert(attempt, cancel.clone());
        Ok(Slot {
            slots: self.clone(),
            attempt,
            cancel,
        })
    }

    /// Tells a job to stop, if it runs here.
    pub fn cancel(&self, attempt: AttemptId) {
        if let Some(cancel) = self.lock().running.get(&attempt) {
            cancel.cancel();
        }
    }

    /// Tells every job to stop.
    pub fn cancel_all(&self) {
        self.lock()
            .running
            .values()
            .for_each(CancellationToken::cancel);
    }

    /// Takes no new jobs from now on.
    pub fn drain(&self) {
        self.lock().is_draining = true;
    }

    /// Waits until no job runs.
    pub async fn wait_until_idle(&self) {
        loop {
            let mut freed = std::pin::pin!(self.0.freed.notified());
            freed.as_mut().enable();
            if self.lock().running.is_empty() {
                return;
            }
            freed.await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0
            .state
            .lock()
            .expect("no code panics while it holds the slots")
    }
}

impl Slot {
    /// Whose slot it is.
    pub fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// Fires when the job is to stop.
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancel
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.lock().running.remove(&self.attempt);
        self.slots.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(n: u8) -> AttemptId {
        AttemptId::from_bytes([n; 16])
    }

    #[test]
    fn a_runner_takes_as_many_jobs_as_it_has_slots() {
        let slots = Slots::new(1);
        let slot = slots.take(attempt(1)).unwrap();
        assert_eq!(slots.take(attempt(2)).unwrap_err(), NoSlot::Full);
        assert_eq!(slots.take(attempt(1)).unwrap_err(), NoSlot::Held);
        drop(slot);
        assert!(slots.take(attempt(2)).is_ok());
    }

    #[test]
    fn a_draining_runner_takes_no_job_and_lets_the_running_ones_be() {
        let slots = Slots::new(2);
        let slot = slots.take(attempt(1)).unwrap();
        slots.drain();
        assert_eq!(slots.take(attempt(2)).unwrap_err(), NoSlot::Draining);
        assert!(!slot.cancelled().is_cancelled());
        slots.cancel_all();
        assert!(slot.cancelled().is_cancelled());
    }
}
