//! The loop that hands queued jobs to runners: wake, read, decide, apply.
//!
//! Every round looks at everything again, so that a round may be lost, doubled or cut short anywhere.
//! All branching is in [`mod@decide`].

pub mod decide;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cofferdam_protocol::{AttemptId, BuildId, JobId, RunnerId};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Entropy};
use crate::config::LeaseConfig;
use crate::domain::{Attempt, Build, Job, JobState};
use crate::gateway::registry::Registry;
use crate::gateway::to_wire;
use crate::store::{BuildStore, QueueStore, RepositoryStore, StoreError};
use decide::{Assignment, OnlineRunner, Waiting, decide, why_waiting};

/// The longest sleep between two rounds. Every wake-up has its own reason; this one mends a lost one.
const SLEEP_MAX: Duration = Duration::from_mins(1);

/// The shortest, so that a clock that stands still cannot make the loop spin.
const SLEEP_MIN: Duration = Duration::from_millis(100);

/// How long to wait when the store fails or another hub schedules.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Why each job waits that could start, for people.
pub type Reasons = BTreeMap<JobId, String>;

/// Hands jobs to runners. One for the life of the hub.
#[derive(Debug)]
pub struct Scheduler {
    /// The queue.
    pub queue: Arc<dyn QueueStore>,
    /// Says which repository a job is for.
    pub builds: Arc<dyn BuildStore>,
    /// Says where that is.
    pub repositories: Arc<dyn RepositoryStore>,
    /// Reaches the runners.
    pub registry: Arc<Registry>,
    /// How leases are kept.
    pub lease: LeaseConfig,
    /// Stamps.
    pub clock: Arc<dyn Clock>,
    /// Names attempts.
    pub entropy: Arc<dyn Entropy>,
    /// Where the reasons are put.
    pub reasons: watch::Sender<Reasons>,
}

impl Scheduler {
    /// Schedules until `stop` fires. A round that has begun is finished.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut seen = 0;
        let mut arrivals = self.registry.watch();
        let mut due = None;
        while !stop.is_cancelled() {
            arrivals.mark_unchanged();
            // Read once: a pause within the round makes the next one late, and gives up nothing in this one.
            let now = self.clock.now();
            let round = async {
                if self.has_overslept(due, now) {
                    self.begin().await?;
                }
                self.round(now).await
            };
            let sleep = match round.await {
                Ok(sleep) => {
                    let sleep = sleep.clamp(SLEEP_MIN, SLEEP_MAX);
                    due = Some(now + sleep);
                    sleep
                }
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "could not schedule"
                    );
                    tokio::time::sleep(RETRY_PAUSE).await;
                    continue;
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                now = self.queue.changed(seen) => seen = now,
                _ = arrivals.changed() => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// Whether this round comes so late that renewals may have waited for us and not we for them: the hub was just
    /// started, was stopped for a while or its host suspended, or could not write. Whoever is alive says so within one
    /// renewal of our listening again.
    fn has_overslept(&self, due: Option<Timestamp>, now: Timestamp) -> bool {
        let Some(due) = due else { return true };
        let late = Duration::try_from(now.duration_since(due)).unwrap_or(Duration::ZERO);
        let is_late = late > self.lease.renewal();
        if is_late {
            tracing::warn!(
                late_secs = late.as_secs(),
                "the hub was away for a while; every open attempt gets a whole lease"
            );
        }
        is_late
    }

    /// A hub that starts, or comes back, cannot know who is alive: every open attempt gets a whole lease.
    async fn begin(&self) -> Result<(), StoreError> {
        self.queue.refresh_all(self.lease_end()).await
    }

    /// Looks at everything once, and says how long to sleep at most.
    async fn round(&self, now: Timestamp) -> Result<Duration, StoreError> {
        if !self.queue.try_lead().await? {
            return Ok(RETRY_PAUSE);
        }
        self.expire(now).await?;
        let leases = self.queue.leases().await?;
        self.tell_cancelled(&leases);
        let (online, retry_at) = self.online(&leases);
        let ready = self.queue.ready().await?;
        let mut known = BTreeMap::new();
        let mut queue = Vec::with_capacity(ready.len());
        for job in &ready {
            if let Some(build) = self.build(&mut known, job.build).await? {
                queue.push(Waiting {
                    job: job.id,
                    repository: build.push.repository,
                    runs_on: job.runs_on.clone(),
                });
            }
        }
        let assignments = decide(&queue, &online);
        self.publish(&queue, &online, &assignments);
        let mut jobs: BTreeMap<JobId, Job> = ready.into_iter().map(|job| (job.id, job)).collect();
        for Assignment { job, runner } in assignments {
            if let Some(job) = jobs.remove(&job)
                && let Some(build) = known.get(&job.build)
            {
                self.hand_over(job, build, runner).await?;
            }
        }
        Ok(self.sleep(&leases, retry_at))
    }

    async fn expire(&self, now: Timestamp) -> Result<(), StoreError> {
        let over = now
            .checked_sub(self.lease.grace())
            .unwrap_or(Timestamp::MIN);
        for job in self.queue.expire(over).await? {
            if let JobState::Leased(attempt) = job.state {
                tracing::warn!(
                    job.id = %job.id, attempt.id = %attempt.id, runner.id = %attempt.runner,
                    "the runner of a job gave no sign of life any more"
                );
                if attempt.started_at.is_none() {
                    self.registry.let_lapse(attempt.runner, attempt.id, job.id);
                }
                self.registry
                    .stale(attempt.runner, attempt.id, attempt.fence);
            }
        }
        Ok(())
    }

    fn tell_cancelled(&self, leases: &[Job]) {
        let attempts = leases.iter().filter_map(live);
        for attempt in attempts.filter(|attempt| attempt.is_cancel_wanted) {
            self.registry
                .cancel(attempt.runner, attempt.id, attempt.fence);
        }
    }

    /// Who is connected, with the room that the store says they have; and when a decline is forgiven.
    fn online(&self, leases: &[Job]) -> (Vec<OnlineRunner>, Option<Instant>) {
        let mut held: BTreeMap<RunnerId, u16> = BTreeMap::new();
        for attempt in leases.iter().filter_map(live) {
            let count = held.entry(attempt.runner).or_default();
            *count = count.saturating_add(1);
        }
        let connected = self.registry.connected();
        let retry_at = connected.iter().filter_map(|runner| runner.retry_at).min();
        let online = connected.into_iter().map(|runner| OnlineRunner {
            id: runner.id,
            free_slots: runner
                .slots
                .saturating_sub(held.get(&runner.id).copied().unwrap_or(0)),
            name: runner.name,
            labels: runner.labels,
            declined: runner.declined,
        });
        (online.collect(), retry_at)
    }

    async fn build(
        &self,
        known: &mut BTreeMap<BuildId, Build>,
        id: BuildId,
    ) -> Result<Option<Build>, StoreError> {
        if let Some(build) = known.get(&id) {
            return Ok(Some(build.clone()));
        }
        let build = self.builds.build(id).await?;
        if let Some(build) = &build {
            known.insert(id, build.clone());
        }
        Ok(build)
    }

    fn publish(&self, queue: &[Waiting], online: &[OnlineRunner], assignments: &[Assignment]) {
        let assigned: BTreeSet<JobId> = assignments.iter().map(|pair| pair.job).collect();
        let waiting = queue
            .iter()
            .filter(|waiting| !assigned.contains(&waiting.job));
        let reasons = waiting.map(|waiting| (waiting.job, why_waiting(waiting, online)));
        self.reasons.send_replace(reasons.collect());
    }

    /// Leases a job and offers it; what cannot be handed over goes back.
    async fn hand_over(&self, job: Job, build: &Build, runner: RunnerId) -> Result<(), StoreError> {
        let name = &build.push.repository;
        let Some(repository) = self.repositories.repository(name).await? else {
            tracing::error!(repository = %name, "a build's repository is unknown");
            return Ok(());
        };
        let (id, attempt) = (job.id, AttemptId::new(self.entropy.id(self.clock.now())));
        let leased = self
            .queue
            .lease(id, attempt, runner, self.lease_end())
            .await?;
        let Some(attempt) = leased else {
            // Somebody cancelled the build, or revoked the runner, since we looked.
            return Ok(());
        };
        let spec = to_wire::job_spec(job, &attempt, build, &repository);
        tracing::info!(
            job.id = %id, attempt.id = %attempt.id, runner.id = %runner, repository = %name,
            build.number, "leased a job"
        );
        if self.registry.offer(runner, spec).is_err() {
            let now = self.clock.now();
            self.queue.give_back(attempt.id, attempt.fence, now).await?;
        }
        Ok(())
    }

    fn lease_end(&self) -> Timestamp {
        let length = SignedDuration::from_secs(i64::from(self.lease.lease_secs));
        self.clock.now() + length
    }

    /// Until the first lease may be over, or the first decline is forgiven. Renewals only put it off.
    fn sleep(&self, leases: &[Job], retry_at: Option<Instant>) -> Duration {
        let now = self.clock.now();
        let first = leases
            .iter()
            .filter_map(live)
            .map(|attempt| attempt.lease_until)
            .min();
        let until_over = first.map(|until| {
            // A lease that is over already has used up part of its grace.
            let grace = SignedDuration::try_from(self.lease.grace()).unwrap_or(SignedDuration::MAX);
            let left = until.duration_since(now).saturating_add(grace);
            Duration::try_from(left).unwrap_or(Duration::ZERO)
        });
        let until_retry = retry_at.map(|at| at.saturating_duration_since(Instant::now()));
        let sleeps = [until_over, until_retry].into_iter().flatten();
        sleeps.min().unwrap_or(SLEEP_MAX)
    }
}

fn live(job: &Job) -> Option<&Attempt> {
    job.state.live()
}

#[cfg(test)]
mod tests;
