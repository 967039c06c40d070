//! A chain of steps that one runner executes in order, and its attempts.

use cofferdam_pipeline::progress::{NotRunReason, StepEnd, StepState};
use cofferdam_protocol::job_spec::StepSpec;
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
    /// The ordinals of the jobs that must have ended well before it may start. A final job waits for all others.
    pub needs: Vec<usize>,
    /// Whether it runs after all others, whatever became of them.
    pub is_final: bool,
    /// Labels that its runner must have.
    pub runs_on: Vec<String>,
    /// In the order of execution.
    pub steps: Vec<JobStep>,
    /// Where it stands.
    pub state: JobState,
}

/// A step of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobStep {
    /// What it executes, in the form in which a runner will be handed it: the plan is frozen when the
    /// build is admitted, so that an upgrade of the hub changes no build that waits.
    pub spec: StepSpec,
    /// Why it is skipped when its turn comes, in a sentence: its condition says no.
    pub skip: Option<String>,
    /// Where it stands.
    pub state: StepState,
}

impl Job {
    /// What an attempt has to run: the steps without a recorded end, but those that are skipped. The same as
    /// [`cofferdam_pipeline::progress::Progress::steps_to_run`].
    pub fn steps_to_run(self) -> Vec<StepSpec> {
        let steps = self.steps.into_iter();
        steps
            .filter(|step| step.state.end().is_none() && step.skip.is_none())
            .map(|step| step.spec)
            .collect()
    }

    /// The place of the step with this index, from 0.
    pub fn place_of(&self, index: StepIndex) -> Option<usize> {
        self.steps.iter().position(|step| step.spec.index == index)
    }
}

/// Where a job stands. Each variant owns exactly what belongs to that stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Waits for the jobs it needs; a final job for all others.
    Waiting,
    /// Nothing is missing but a person who starts it.
    Paused,
    /// Nothing is missing but a runner.
    Queued {
        /// Tries so far, given back or lost; the next fence is one more.
        attempts: u64,
    },
    /// Offered to a runner, or running there, until its lease ends.
    Leased(Attempt),
    /// It is over.
    Done {
        /// How it ended.
        end: JobEnd,
        /// When.
        at: Timestamp,
    },
}

/// How a job ended: what its steps came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobEnd {
    /// The conditions of all its steps say no.
    Skipped,
    /// Every step passed or was skipped.
    Passed,
    /// It never began.
    NotRun,
    /// It was stopped, or not begun because its build was cancelled.
    Cancelled,
    /// A step could not be run.
    Error,
    /// A step failed.
    Failed,
}

impl JobEnd {
    /// What ends of steps come to.
    pub fn of(ends: impl IntoIterator<Item = StepEnd>) -> Self {
        let ends: Vec<StepEnd> = ends.into_iter().collect();
        let was_tried = ends.iter().any(|end| end.was_tried());
        let of_step = |end: &StepEnd| match *end {
            StepEnd::Skipped => Self::Skipped,
            StepEnd::Passed => Self::Passed,
            StepEnd::NotRun(NotRunReason::BuildCancelled) | StepEnd::Cancelled { by: _ } => {
                Self::Cancelled
            }
            // Stopped between two of its steps.
            StepEnd::NotRun(_) if was_tried => Self::Cancelled,
            StepEnd::NotRun(_) => Self::NotRun,
            StepEnd::Error => Self::Error,
            StepEnd::Failed { exit: _ }
            | StepEnd::TimedOut
            | StepEnd::Limit
            | StepEnd::Unsupported => Self::Failed,
        };
        ends.iter().map(of_step).max().unwrap_or(Self::Skipped)
    }

    /// Its name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Passed => "passed",
            Self::NotRun => "not-run",
            Self::Cancelled => "cancelled",
            Self::Error => "error",
            Self::Failed => "failed",
        }
    }
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
    /// Whether it is to be stopped: its build was cancelled, or its parallel group is to stop.
    pub is_cancel_wanted: bool,
}

/// How many losses of a job are answered with another try. One: a host that dies takes a job with it,
/// but a job that was lost twice is likelier to be what kills its hosts.
pub const LOSSES_RETRIED_MAX: u64 = 1;

impl JobState {
    /// The attempt that has it, if one does.
    pub const fn live(&self) -> Option<&Attempt> {
        match self {
            Self::Leased(attempt) => Some(attempt),
            Self::Waiting | Self::Paused | Self::Queued { .. } | Self::Done { .. } => None,
        }
    }

    /// Its name, for people.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Queued { .. } => "queued",
            Self::Leased(Attempt {
                started_at: None, ..
            }) => "offered",
            Self::Leased(Attempt {
                started_at: Some(_),
                ..
            }) => "running",
            Self::Done { end, .. } => end.name(),
        }
    }
}
