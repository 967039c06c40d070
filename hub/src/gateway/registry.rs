//! Who is connected, and the handle to reach them. In memory: after a restart everybody comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cofferdam_protocol::hello::{Refuse, RefuseCode};
use cofferdam_protocol::job_spec::JobSpec;
use cofferdam_protocol::{AttemptId, Fence, HubFrame, JobId, RunnerId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use super::auth::refuse;
use crate::control::Connections;
use crate::domain::Runner;

/// Frames that may wait for one runner: an offer and a cancel for each of its slots, twice.
const ORDERS_MAX: usize = 1024;

/// How long an old session of a runner has to show that it lives, before a new one takes its place. A
/// round trip across the world takes a third of a second; the new one waits ten.
const PROBE_TIME_MAX: Duration = Duration::from_secs(3);

/// How long a job is not offered again to a runner that declined it, the first time and at most. It
/// doubles, so that a job nobody can take costs little, and one declined for want of room waits no longer
/// than a slot takes to be cleaned.
const DECLINE_PAUSE_MIN: Duration = Duration::from_secs(1);
const DECLINE_PAUSE_MAX: Duration = Duration::from_mins(1);

/// Declines that are remembered of one connection.
const DECLINES_MAX: usize = 1024;

/// What a session is told to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Send a frame.
    Send(HubFrame),
    /// Show that the other side lives; the answer is a word from it.
    Probe(oneshot::Sender<()>),
    /// Say why and hang up.
    Close(Refuse),
}

/// Everybody who is connected.
#[derive(Debug)]
pub struct Registry {
    places: Mutex<Places>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Places {
    by_runner: BTreeMap<RunnerId, Place>,
    /// How many sessions there have been.
    sessions: u64,
}

/// One runner's connection.
#[derive(Debug)]
struct Place {
    session: u64,
    labels: Vec<String>,
    name: String,
    slots: u16,
    orders: mpsc::Sender<Order>,
    /// Offers without an answer.
    offered: BTreeMap<AttemptId, Fence>,
    /// Attempts whose cancellation it was told.
    cancelled: BTreeSet<AttemptId>,
    declines: BTreeMap<JobId, Decline>,
}

#[derive(Debug)]
struct Decline {
    why: String,
    pause: Duration,
    until: Instant,
}

/// A connected runner, as the scheduler sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// Which runner.
    pub id: RunnerId,
    /// What people call it.
    pub name: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// How many jobs it can hold.
    pub slots: u16,
    /// Jobs that it declined and is not offered yet, each with its reason.
    pub declined: BTreeMap<JobId, String>,
    /// When the first of them may be offered again.
    pub retry_at: Option<Instant>,
}

/// An offer or frame could not be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the runner is not connected, or too slow to be told anything")]
pub struct Undeliverable;

/// What a session gets when it takes its place.
#[derive(Debug)]
pub(super) struct Seated {
    /// The place.
    pub(super) seat: Seat,
    /// What it will be told to do.
    pub(super) orders: mpsc::Receiver<Order>,
    /// Offers that the session whose place it took was handed and never answered. Nobody's from now on: that session
    /// can change nothing any more.
    pub(super) orphans: Vec<(AttemptId, Fence)>,
}

/// A session's place. Given up when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    registry: Arc<Registry>,
    runner: RunnerId,
    session: u64,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            places: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }
}

impl Registry {
    fn places(&self) -> MutexGuard<'_, Places> {
        // Every change of the places is one statement, so a panic elsewhere leaves them whole.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everybody who is connected, by id.
    pub fn connected(&self) -> Vec<Connected> {
        let now = Instant::now();
        let places = self.places();
        let each = places.by_runner.iter();
        each.map(|(id, place)| place.seen(*id, now)).collect()
    }

    /// Wakes whoever looks at [`Self::connected`] when somebody comes or declines.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Hands an offer to a runner's session.
    pub fn offer(&self, runner: RunnerId, spec: JobSpec) -> Result<(), Undeliverable> {
        let mut places = self.places();
        let place = places.by_runner.get_mut(&runner).ok_or(Undeliverable)?;
        let (attempt, fence) = (spec.attempt, spec.fence);
        let order = Order::Send(HubFrame::Offer(Box::new(spec)));
        place.orders.try_send(order).map_err(|_| Undeliverable)?;
        place.offered.insert(attempt, fence);
        Ok(())
    }

    /// Tells a runner that an attempt is to be cancelled, once per connection. One who is not connected
    /// is told when it comes back.
    pub fn cancel(&self, runner: RunnerId, attempt: AttemptId, fence: Fence) {
        let mut places = self.places();
        let Some(place) = places.by_runner.get_mut(&runner) else {
            return;
        };
        let frame = HubFrame::Cancel { attempt, fence };
        let is_news = !place.cancelled.contains(&attempt);
        if is_news && place.orders.try_send(Order::Send(frame)).is_ok() {
            place.cancelled.insert(attempt);
        }
    }

    /// Tells a runner that an attempt does not count any more; if it is not there, it hears it later.
    pub fn stale(&self, runner: RunnerId, attempt: AttemptId, fence: Fence) {
        if let Some(place) = self.places().by_runner.get_mut(&runner) {
            place.offered.remove(&attempt);
            place.cancelled.remove(&attempt);
            let frame = HubFrame::Stale { attempt, fence };
            // What cannot be said now is said when the runner renews the lease in vain.
            drop(place.orders.try_send(Order::Send(frame)));
        }
    }

    /// Notes that a runner let the lease of a job run out before it started it, which is a decline without words.
    pub fn let_lapse(&self, runner: RunnerId, attempt: AttemptId, job: JobId) {
        if let Some(place) = self.places().by_runner.get_mut(&runner) {
            place.decline(attempt, job, "it did not start it in time".to_owned());
        }
        self.mark();
    }

    /// Hangs up on a runner that was revoked.
    pub fn close(&self, runner: RunnerId) {
        if let Some(place) = self.places().by_runner.remove(&runner) {
            let refuse = refuse(RefuseCode::Revoked, "this runner was revoked");
            // A full queue loses its receiver with the place, which ends the session as well.
            drop(place.orders.try_send(Order::Close(refuse)));
        }
        self.mark();
    }

    /// Gives a proven runner its place. If it has one already, the old session is asked whether it lives:
    /// if so the new one is refused, otherwise it takes over.
    pub(super) async fn seat(
        self: &Arc<Self>,
        runner: &Runner,
        slots: u16,
    ) -> Result<Seated, Refuse> {
        let mut dead = None;
        loop {
            let (session, orders) = match self.try_seat(runner, slots, dead) {
                Ok(seated) => return Ok(seated),
                Err(occupied) => occupied,
            };
            let (answer, answered) = oneshot::channel();
            let is_asked = orders.try_send(Order::Probe(answer)).is_ok();
            drop(orders);
            if is_asked && matches!(timeout(PROBE_TIME_MAX, answered).await, Ok(Ok(()))) {
                return Err(refuse(
                    RefuseCode::AlreadyConnected,
                    "a session of this runner is open and answers",
                ));
            }
            dead = Some(session);
        }
    }

    /// Takes the place if it is free, or still held by the session that is known to be dead.
    fn try_seat(
        self: &Arc<Self>,
        runner: &Runner,
        slots: u16,
        dead: Option<u64>,
    ) -> Result<Seated, (u64, mpsc::Sender<Order>)> {
        let mut places = self.places();
        if let Some(place) = places.by_runner.get(&runner.id)
            && Some(place.session) != dead
        {
            return Err((place.session, place.orders.clone()));
        }
        places.sessions += 1;
        let session = places.sessions;
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        let place = Place {
            session,
            labels: runner.labels.clone(),
            name: runner.name.clone(),
            slots,
            orders,
            offered: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            declines: BTreeMap::new(),
        };
        let replaced = places.by_runner.insert(runner.id, place);
        drop(places);
        self.mark();
        let seat = Seat {
            registry: Arc::clone(self),
            runner: runner.id,
            session,
        };
        let orphans = replaced.map_or_else(BTreeMap::new, |place| place.offered);
        Ok(Seated {
            seat,
            orders: inbox,
            orphans: orphans.into_iter().collect(),
        })
    }

    /// Connects a runner that says nothing, for tests of other modules. Gone when the answer is dropped.
    #[cfg(test)]
    pub(crate) async fn connect_silent(self: &Arc<Self>, runner: &Runner) -> impl Sized + use<> {
        self.seat(runner, 1)
            .await
            .expect("nobody else has its place")
    }

    fn mark(&self) {
        self.changes
            .send_modify(|number| *number = number.wrapping_add(1));
    }
}

impl Connections for Registry {
    fn online(&self) -> Vec<RunnerId> {
        self.places().by_runner.keys().copied().collect()
    }

    fn hang_up(&self, runner: RunnerId) {
        self.close(runner);
    }
}

impl Seat {
    /// The runner answered an offer with yes.
    pub(super) fn accepted(&self, attempt: AttemptId) {
        self.with(|place| {
            place.offered.remove(&attempt);
        });
    }

    /// The runner answered an offer with no. `job` is whose offer it was.
    pub(super) fn declined(&self, attempt: AttemptId, job: JobId, why: String) {
        self.with(|place| place.decline(attempt, job, why));
        self.registry.mark();
    }

    /// Offers that were never answered. They are nobody's once the session is over.
    pub(super) fn leave(self) -> Vec<(AttemptId, Fence)> {
        let mut unanswered = BTreeMap::new();
        self.with(|place| unanswered = std::mem::take(&mut place.offered));
        unanswered.into_iter().collect()
    }

    /// Does nothing when a newer session has the place.
    fn with(&self, change: impl FnOnce(&mut Place)) {
        let mut places = self.registry.places();
        let place = places.by_runner.get_mut(&self.runner);
        if let Some(place) = place.filter(|place| place.session == self.session) {
            change(place);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut places = self.registry.places();
        let place = places.by_runner.get(&self.runner);
        if place.is_some_and(|place| place.session == self.session) {
            places.by_runner.remove(&self.runner);
        }
        drop(places);
        self.registry.mark();
    }
}

impl Place {
    fn decline(&mut self, attempt: AttemptId, job: JobId, why: String) {
        self.offered.remove(&attempt);
        let before = self.declines.get(&job).map(|decline| decline.pause * 2);
        let pause = before.unwrap_or(DECLINE_PAUSE_MIN).min(DECLINE_PAUSE_MAX);
        if self.declines.len() >= DECLINES_MAX {
            self.declines.pop_first();
        }
        let until = Instant::now() + pause;
        self.declines.insert(job, Decline { why, pause, until });
    }

    fn seen(&self, id: RunnerId, now: Instant) -> Connected {
        let resting = self.declines.iter();
        let resting = resting.filter(|(_, decline)| decline.until > now);
        let declined = resting
            .clone()
            .map(|(job, decline)| (*job, decline.why.clone()));
        Connected {
            id,
            name: self.name.clone(),
            labels: self.labels.clone(),
            slots: self.slots,
            declined: declined.collect(),
            retry_at: resting.map(|(_, decline)| decline.until).min(),
        }
    }
}

#[cfg(test)]
mod tests;
