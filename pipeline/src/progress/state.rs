//! Where a step, a job and a build stand.

use super::StepPlace;

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// It has not begun, or its attempt was put back before it ended.
    Waiting,
    Running,
    /// For good: nothing changes it any more.
    Ended(StepEnd),
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepEnd {
    Passed,
    /// It ran and said no.
    Failed {
        /// Its exit status, where it had one.
        exit: Option<u8>,
    },
    /// It could not be run, or its runner was lost.
    Error,
    /// It took longer than its `max-time`.
    TimedOut,
    /// It used more than it may.
    Limit,
    /// It asks for something that this version cannot do.
    Unsupported,
    /// It was stopped.
    Cancelled {
        /// What for; `None` if its runner stopped it unasked.
        by: Option<StopCause>,
    },
    /// Its condition says no. Counts as success.
    Skipped,
    /// It never began.
    NotRun(NotRunReason),
}

/// Why a job that runs is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopCause {
    /// This step of the same group failed.
    FailFast { step: StepPlace },
    /// Somebody cancelled the build.
    BuildCancelled,
}

/// Why a step never began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRunReason {
    /// It comes after this step, which did not end well. If there is a chain of such steps, the one that began it.
    EarlierStepFailed { step: StepPlace },
    /// This step of the same group failed.
    FailFast { step: StepPlace },
    /// Somebody cancelled the build.
    BuildCancelled,
    /// It is this manual step, or comes after it, and nobody would start it.
    ManualDeclined { step: StepPlace },
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// For the jobs it needs; a final job for all others.
    Waiting,
    /// Nothing is missing but a person who starts it.
    Paused,
    /// Nothing is missing but a runner.
    Ready,
    /// An attempt has it.
    Running {
        /// Set when it was to be stopped.
        stopping: Option<StopCause>,
    },
    /// All its steps have ended.
    Ended,
}

/// Where a build stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildState {
    /// No step has begun.
    Pending,
    /// A job runs, or could.
    Running,
    /// It goes on when a person starts a job.
    Paused,
    Ended(BuildEnd),
}

/// How a build ended, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BuildEnd {
    /// Every step passed, was skipped, or was left to a person who did not want it.
    Passed,
    /// None failed or could not be run, but one was stopped or not run because the build was cancelled.
    Cancelled,
    /// None failed, but one could not be run.
    Error,
    /// A step failed.
    Failed,
}

impl StepState {
    /// How it ended, if it has.
    pub const fn end(self) -> Option<StepEnd> {
        match self {
            Self::Waiting | Self::Running => None,
            Self::Ended(end) => Some(end),
        }
    }

    /// Its name, for messages and rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Ended(end) => end.name(),
        }
    }
}

impl StepEnd {
    /// Whether what comes after it may start.
    pub const fn is_well(self) -> bool {
        matches!(self, Self::Passed | Self::Skipped)
    }

    /// Whether it is a failure in the sense of fail-fast. A step that was stopped is not: it had no chance to fail.
    pub const fn is_failure(self) -> bool {
        match self {
            Self::Failed { .. }
            | Self::Error
            | Self::TimedOut
            | Self::Limit
            | Self::Unsupported => true,
            Self::Passed | Self::Cancelled { .. } | Self::Skipped | Self::NotRun(_) => false,
        }
    }

    /// Its name, for messages and rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed { .. } => "failed",
            Self::Error => "error",
            Self::TimedOut => "timed out",
            Self::Limit => "limit",
            Self::Unsupported => "unsupported",
            Self::Cancelled { .. } => "cancelled",
            Self::Skipped => "skipped",
            Self::NotRun(_) => "not run",
        }
    }

    /// Whether an attempt dealt with it.
    pub const fn was_tried(self) -> bool {
        !matches!(self, Self::Skipped | Self::NotRun(_))
    }

    /// A step that was not run adds nothing of its own: the one because of which it was not is counted. Only a
    /// cancelled build may have none such.
    pub(super) const fn means_for_the_build(self) -> BuildEnd {
        match self {
            Self::Failed { .. } | Self::TimedOut | Self::Limit | Self::Unsupported => {
                BuildEnd::Failed
            }
            Self::Error => BuildEnd::Error,
            Self::Cancelled { .. } | Self::NotRun(NotRunReason::BuildCancelled) => {
                BuildEnd::Cancelled
            }
            Self::Passed | Self::Skipped | Self::NotRun(_) => BuildEnd::Passed,
        }
    }

    /// Why the rest of the job is not run after a step at `at` that ended so; `None` if it ended well.
    pub(super) fn stops_its_job(self, at: StepPlace) -> Option<NotRunReason> {
        match self {
            Self::Passed | Self::Skipped => None,
            Self::NotRun(reason) => Some(reason),
            Self::Cancelled { by: Some(cause) } => Some(cause.into()),
            Self::Failed { .. }
            | Self::Error
            | Self::TimedOut
            | Self::Limit
            | Self::Unsupported
            | Self::Cancelled { by: None } => Some(NotRunReason::EarlierStepFailed { step: at }),
        }
    }

    /// Why a job that needs this one is not run: fail-fast is about one group only, and what comes after it is not run
    /// because of the failure itself.
    pub(super) fn stops_later_jobs(self, at: StepPlace) -> Option<NotRunReason> {
        match self.stops_its_job(at)? {
            NotRunReason::FailFast { step } => Some(NotRunReason::EarlierStepFailed { step }),
            reason => Some(reason),
        }
    }
}

impl From<StopCause> for NotRunReason {
    fn from(cause: StopCause) -> Self {
        match cause {
            StopCause::FailFast { step } => Self::FailFast { step },
            StopCause::BuildCancelled => Self::BuildCancelled,
        }
    }
}

impl JobState {
    /// Its name, for messages and rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Ready => "ready",
            Self::Running { stopping: None } => "running",
            Self::Running { stopping: Some(_) } => "stopping",
            Self::Ended => "ended",
        }
    }
}

impl BuildState {
    /// Its name, for messages and rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Ended(BuildEnd::Passed) => "passed",
            Self::Ended(BuildEnd::Failed) => "failed",
            Self::Ended(BuildEnd::Error) => "error",
            Self::Ended(BuildEnd::Cancelled) => "cancelled",
        }
    }
}
