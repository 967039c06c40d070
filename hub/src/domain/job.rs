//! A chain of steps that one runner executes in order, and its attempts.

use cofferdam_protocol::job_spec::StepSpec;
use cofferdam_protocol::report::{JobResult, StepResult};
use cofferdam_protocol::{AttemptId, BuildId, Fence, JobId, RunnerId, StepIndex};
use jiff::Timestamp;

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
    /// Waits for the jobs it needs, or for a runner. `attempts` counts the tries so far.
    Queued {
        /// Tries that were lost.
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
    /// When the runner reported its start; `None` while it is only offered.
    pub started_at: Option<Timestamp>,
    /// Whether somebody asked to stop it.
    pub is_cancel_wanted: bool,
}

/// What can happen to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobStateEvent {
    /// A runner is to have it.
    Lease(Attempt),
    /// Its runner began.
    Start(Timestamp),
    /// Its runner gave it back unstarted, or its lease ended before it started.
    Return,
    /// Its lease ended after it started; `is_retried` by rule.
    Lose {
        /// Whether the retry rule gives it another try.
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
}

/// A transition that the state does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {from} cannot take {event}")]
pub struct BadTransition {
    /// The state it was in.
    pub from: &'static str,
    /// What should have happened to it.
    pub event: &'static str,
}

impl JobState {
    /// The state after `event`, or why there is none. Pure: the store applies it in a transaction.
    pub fn after(self, event: JobStateEvent) -> Result<Self, BadTransition> {
        use JobStateEvent as Event;
        match (self, event) {
            (Self::Queued { attempts }, Event::Lease(attempt)) if attempt.fence.0 > attempts => {
                Ok(Self::Leased(attempt))
            }
            (Self::Queued { .. }, Event::Skip) => Ok(Self::NotRun),
            (Self::Leased(attempt), Event::Start(at)) if attempt.started_at.is_none() => {
                Ok(Self::Leased(Attempt {
                    started_at: Some(at),
                    ..attempt
                }))
            }
            (Self::Leased(attempt), Event::Return) if attempt.started_at.is_none() => {
                Ok(Self::Queued {
                    attempts: attempt.fence.0,
                })
            }
            (
                Self::Leased(attempt),
                Event::Lose {
                    is_retried: true,
                    at: _,
                },
            ) => Ok(Self::Queued {
                attempts: attempt.fence.0,
            }),
            (
                Self::Leased(_),
                Event::Lose {
                    is_retried: false,
                    at,
                },
            ) => Ok(Self::Done {
                result: JobResult::Error,
                at,
            }),
            (Self::Leased(_), Event::Finish { result, at }) => Ok(Self::Done { result, at }),
            (from, event) => Err(BadTransition {
                from: from.name(),
                event: event.name(),
            }),
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
    const fn name(&self) -> &'static str {
        match self {
            Self::Lease(_) => "a lease",
            Self::Start(_) => "a start",
            Self::Return => "a return",
            Self::Lose { .. } => "a loss",
            Self::Finish { .. } => "an end",
            Self::Skip => "a skip",
        }
    }
}

/// What is known about one step of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRecord {
    /// Which step.
    pub step: StepIndex,
    /// Where it stands.
    pub state: StepState,
}

/// Where a step stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepState {
    /// It began.
    Running {
        /// When, by the runner's clock.
        since: Timestamp,
    },
    /// It ended.
    Done {
        /// When it began; `None` for one that never did.
        since: Option<Timestamp>,
        /// When it ended, by the runner's clock.
        at: Timestamp,
        /// How.
        result: StepResult,
        /// The receipt, as JSON text.
        receipt: String,
    },
}
