//! A chain of steps that one runner executes in order, and its attempts.

use cofferdam_protocol::job_spec::StepSpec;
use cofferdam_protocol::report::JobResult;
use cofferdam_protocol::{AttemptId, BuildId, Fence, JobId, RunnerId};
use jiff::Timestamp;

use super::{AttemptEnd, StepClose};

/// A job of a build.
#[derive(Clone, Debug)]
pub struct Job {
    /// Names it.
    pub id: JobId,
    /// The build it belongs to.
    pub build: BuildId,
    /// Its place in the plan, from 0.
    pub ordinal: u32,
    /// The ordinals of the jobs that must pass before it may start.
    pub needs: Vec<u32>,
    /// Labels that its runner must have.
    pub runs_on: Vec<String>,
    /// What it executes, in the form in which a runner will be handed it: the plan is frozen when the
    /// build is admitted, so that an upgrade of the hub changes no build that waits.
    pub steps: Vec<StepSpec>,
    /// Where it stands.
    pub state: JobState,
}

/// Where a job stands. Each variant owns exactly what belongs to that stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Waits for the jobs it needs, or for a runner.
    Queued {
        /// Tries so far, given back or lost; the next fence is one more.
        attempts: u64,
    },
    /// Offered to a runner, or running there, until its lease ends.
    Leased(Attempt),
    /// It ended.
    Done {
        /// How.
        result: JobResult,
        /// When.
        at: Timestamp,
    },
    /// It never started, because a job it needs did not pass.
    NotRun,
}

/// One try of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Names it.
    pub id: AttemptId,
    /// Its number among the tries of the job; only the newest may write.
    pub fence: Fence,
    /// Who holds it.
    pub runner: RunnerId,
    /// When the hub gives up waiting for a sign of life.
    pub lease_until: Timestamp,
    /// When the runner reported its start, by the hub's clock; `None` while it is only offered.
    pub started_at: Option<Timestamp>,
    /// Whether somebody asked to stop it.
    pub is_cancel_wanted: bool,
}

/// What can happen to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStateEvent {
    /// A runner is to have it.
    Lease(Attempt),
    /// Its runner began.
    Start(Timestamp),
    /// Its runner gave a sign of life.
    Renew {
        /// The new end of its lease.
        until: Timestamp,
    },
    /// Its runner gave it back unstarted, or its lease ended before it started.
    Return {
        /// When.
        at: Timestamp,
    },
    /// Its lease ended after it started.
    Lose {
        /// Whether the retry rule gives it another try, see [`LOSSES_RETRIED_MAX`].
        is_retried: bool,
        /// When.
        at: Timestamp,
    },
    /// Its runner reported its end.
    Finish {
        /// How.
        result: JobResult,
        /// When.
        at: Timestamp,
    },
    /// A job it needs did not pass.
    Skip,
    /// Somebody cancelled its build.
    Cancel {
        /// When.
        at: Timestamp,
    },
}

/// How many losses of a job are answered with another try. One: a host that dies takes a job with it,
/// but a job that was lost twice is likelier to be what kills its hosts.
pub const LOSSES_RETRIED_MAX: u64 = 1;

impl Attempt {
    /// What it means for the job that this attempt's lease is over, when `losses` of the job's attempts
    /// were lost before it. One that never started cost nothing, so it does not count as lost.
    pub const fn lease_end(&self, losses: u64, at: Timestamp) -> JobStateEvent {
        match self.started_at {
            None => JobStateEvent::Return { at },
            Some(_) => JobStateEvent::Lose {
                is_retried: losses < LOSSES_RETRIED_MAX,
                at,
            },
        }
    }

    const fn queued_again(&self, at: Timestamp) -> JobState {
        if self.is_cancel_wanted {
            JobState::cancelled(at)
        } else {
            JobState::Queued {
                attempts: self.fence.0,
            }
        }
    }
}

/// The end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// How it is remembered.
    pub by: AttemptEnd,
    /// When, by the hub's clock.
    pub at: Timestamp,
    /// What becomes of its steps that still run.
    pub close: StepClose,
}

/// A transition that the state does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {of} that is {from} cannot take {event}")]
pub struct BadTransition {
    /// A job or a step.
    pub of: &'static str,
    /// The state it was in.
    pub from: &'static str,
    /// What should have happened to it, with its article.
    pub event: &'static str,
}

impl JobState {
    /// The state after `event`, or why there is none. Pure: the store applies it in a transaction.
    ///
    /// A job whose cancellation is wanted is never queued again: what would send it back to the queue
    /// ends it as cancelled instead.
    pub fn after(self, event: JobStateEvent) -> Result<Self, BadTransition> {
        use JobStateEvent as Event;
        match (self, event) {
            (Self::Queued { attempts }, Event::Lease(attempt)) if attempt.fence.0 > attempts => {
                Ok(Self::Leased(attempt))
            }
            (Self::Queued { .. }, Event::Skip) => Ok(Self::NotRun),
            (Self::Queued { .. }, Event::Cancel { at }) => Ok(Self::cancelled(at)),
            (Self::Leased(attempt), Event::Start(at)) if attempt.started_at.is_none() => {
                Ok(Self::Leased(Attempt {
                    started_at: Some(at),
                    ..attempt
                }))
            }
            (Self::Leased(attempt), Event::Renew { until }) => Ok(Self::Leased(Attempt {
                lease_until: until,
                ..attempt
            })),
            (Self::Leased(attempt), Event::Cancel { at: _ }) => Ok(Self::Leased(Attempt {
                is_cancel_wanted: true,
                ..attempt
            })),
            (Self::Leased(attempt), Event::Return { at }) if attempt.started_at.is_none() => {
                Ok(attempt.queued_again(at))
            }
            (Self::Leased(attempt), Event::Lose { is_retried, at }) => {
                if is_retried || attempt.is_cancel_wanted {
                    Ok(attempt.queued_again(at))
                } else {
                    Ok(Self::Done {
                        result: JobResult::Error,
                        at,
                    })
                }
            }
            (Self::Leased(_), Event::Finish { result, at }) => Ok(Self::Done { result, at }),
            (from, event) => Err(BadTransition {
                of: "job",
                from: from.name(),
                event: event.name(),
            }),
        }
    }

    /// Whether nothing can happen to it any more.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::NotRun)
    }

    /// Whether it ended as the jobs that need it wait for.
    pub const fn is_passed(&self) -> bool {
        matches!(
            self,
            Self::Done {
                result: JobResult::Passed,
                ..
            }
        )
    }

    const fn cancelled(at: Timestamp) -> Self {
        Self::Done {
            result: JobResult::Cancelled,
            at,
        }
    }

    /// Its name, for messages and for the database.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Leased(Attempt {
                started_at: None, ..
            }) => "offered",
            Self::Leased(Attempt {
                started_at: Some(_),
                ..
            }) => "running",
            Self::Done { .. } => "done",
            Self::NotRun => "not run",
        }
    }
}

impl JobStateEvent {
    /// How it ends the attempt that was live, if it ends one.
    pub const fn ending(&self) -> Option<Ending> {
        let (by, at, close) = match *self {
            Self::Return { at } => (AttemptEnd::Returned, at, StepClose::Lost),
            Self::Lose { at, .. } => (AttemptEnd::Lost, at, StepClose::Lost),
            Self::Finish { result, at } => (AttemptEnd::Finished, at, StepClose::Finished(result)),
            Self::Lease(_)
            | Self::Start(_)
            | Self::Renew { .. }
            | Self::Skip
            | Self::Cancel { .. } => return None,
        };
        Some(Ending { by, at, close })
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Lease(_) => "a lease",
            Self::Start(_) => "a start",
            Self::Renew { .. } => "a renewal",
            Self::Return { .. } => "a return",
            Self::Lose { .. } => "a loss",
            Self::Finish { .. } => "an end",
            Self::Skip => "a skip",
            Self::Cancel { .. } => "a cancellation",
        }
    }
}
