//! The progress of a build as JSON in rows, and back. The one place where the language's types meet the database; each
//! conversion destructures completely.

use cofferdam_pipeline::progress::{
    Group, GroupPlace, JobIndex, JobState, NotRunReason, Outline, OutlineJob, OutlineStep, StepEnd,
    StepPlace, StepState, StopCause,
};
use serde::{Deserialize, Serialize};

/// What a build consists of.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredOutline {
    jobs: Vec<StoredJob>,
    groups: Vec<StoredGroup>,
}

#[derive(Serialize, Deserialize)]
struct StoredJob {
    needs: Vec<usize>,
    steps: Vec<StoredStep>,
    group: Option<u16>,
    is_final: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredStep {
    manual: bool,
    skip: bool,
    fail_fast: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredGroup {
    fail_fast: bool,
}

/// Where a step stands.
#[derive(Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub(super) enum Standing {
    Waiting,
    Running,
    Passed,
    Failed { exit: Option<u8> },
    Error,
    TimedOut,
    Limit,
    Unsupported,
    Cancelled { by: Option<Stopping> },
    Skipped,
    NotRun { why: Reason },
}

/// Why a job is stopped.
#[derive(Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "kebab-case")]
pub(super) enum Stopping {
    FailFast { job: usize, step: usize },
    BuildCancelled,
}

/// Why a step never began.
#[derive(Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "kebab-case")]
pub(super) enum Reason {
    EarlierStepFailed { job: usize, step: usize },
    FailFast { job: usize, step: usize },
    BuildCancelled,
    ManualDeclined { job: usize, step: usize },
}

/// The names of the states of jobs.
pub(super) const JOB_STATES: [JobState; 5] = [
    JobState::Waiting,
    JobState::Paused,
    JobState::Ready,
    JobState::Running { stopping: None },
    JobState::Ended,
];

/// The name of a job's state in its row; what it is stopped for is a column of its own.
pub(super) const fn job_state_name(state: JobState) -> &'static str {
    match state {
        JobState::Waiting => "waiting",
        JobState::Paused => "paused",
        JobState::Ready => "ready",
        JobState::Running { stopping: _ } => "running",
        JobState::Ended => "ended",
    }
}

impl From<&Outline> for StoredOutline {
    fn from(outline: &Outline) -> Self {
        let Outline { jobs, groups } = outline;
        let group = |&Group { fail_fast }: &Group| StoredGroup { fail_fast };
        Self {
            jobs: jobs.iter().map(stored_job).collect(),
            groups: groups.iter().map(group).collect(),
        }
    }
}

fn stored_job(job: &OutlineJob) -> StoredJob {
    let OutlineJob {
        needs,
        steps,
        group,
        is_final,
    } = job;
    let step = |step: &OutlineStep| {
        let OutlineStep {
            manual,
            skip,
            fail_fast,
        } = *step;
        StoredStep {
            manual,
            skip,
            fail_fast,
        }
    };
    StoredJob {
        needs: needs.clone(),
        steps: steps.iter().map(step).collect(),
        group: group.map(|GroupPlace { group }| group),
        is_final: *is_final,
    }
}

impl From<StoredOutline> for Outline {
    fn from(stored: StoredOutline) -> Self {
        let StoredOutline { jobs, groups } = stored;
        let group = |StoredGroup { fail_fast }| Group { fail_fast };
        Self {
            jobs: jobs.into_iter().map(job).collect(),
            groups: groups.into_iter().map(group).collect(),
        }
    }
}

fn job(stored: StoredJob) -> OutlineJob {
    let StoredJob {
        needs,
        steps,
        group,
        is_final,
    } = stored;
    let step = |StoredStep {
                    manual,
                    skip,
                    fail_fast,
                }| OutlineStep {
        manual,
        skip,
        fail_fast,
    };
    OutlineJob {
        needs,
        steps: steps.into_iter().map(step).collect(),
        group: group.map(|group| GroupPlace { group }),
        is_final,
    }
}

impl From<StepState> for Standing {
    fn from(state: StepState) -> Self {
        match state {
            StepState::Waiting => Self::Waiting,
            StepState::Running => Self::Running,
            StepState::Ended(end) => match end {
                StepEnd::Passed => Self::Passed,
                StepEnd::Failed { exit } => Self::Failed { exit },
                StepEnd::Error => Self::Error,
                StepEnd::TimedOut => Self::TimedOut,
                StepEnd::Limit => Self::Limit,
                StepEnd::Unsupported => Self::Unsupported,
                StepEnd::Cancelled { by } => Self::Cancelled {
                    by: by.map(Stopping::from),
                },
                StepEnd::Skipped => Self::Skipped,
                StepEnd::NotRun(why) => Self::NotRun { why: why.into() },
            },
        }
    }
}

impl From<Standing> for StepState {
    fn from(stored: Standing) -> Self {
        Self::Ended(match stored {
            Standing::Waiting => return Self::Waiting,
            Standing::Running => return Self::Running,
            Standing::Passed => StepEnd::Passed,
            Standing::Failed { exit } => StepEnd::Failed { exit },
            Standing::Error => StepEnd::Error,
            Standing::TimedOut => StepEnd::TimedOut,
            Standing::Limit => StepEnd::Limit,
            Standing::Unsupported => StepEnd::Unsupported,
            Standing::Cancelled { by } => StepEnd::Cancelled {
                by: by.map(StopCause::from),
            },
            Standing::Skipped => StepEnd::Skipped,
            Standing::NotRun { why } => StepEnd::NotRun(why.into()),
        })
    }
}

impl From<StopCause> for Stopping {
    fn from(cause: StopCause) -> Self {
        match cause {
            StopCause::FailFast { step } => Self::FailFast {
                job: step.job.0,
                step: step.step,
            },
            StopCause::BuildCancelled => Self::BuildCancelled,
        }
    }
}

impl From<Stopping> for StopCause {
    fn from(stored: Stopping) -> Self {
        match stored {
            Stopping::FailFast { job, step } => Self::FailFast {
                step: place(job, step),
            },
            Stopping::BuildCancelled => Self::BuildCancelled,
        }
    }
}

impl From<NotRunReason> for Reason {
    fn from(reason: NotRunReason) -> Self {
        match reason {
            NotRunReason::EarlierStepFailed { step } => Self::EarlierStepFailed {
                job: step.job.0,
                step: step.step,
            },
            NotRunReason::FailFast { step } => Self::FailFast {
                job: step.job.0,
                step: step.step,
            },
            NotRunReason::BuildCancelled => Self::BuildCancelled,
            NotRunReason::ManualDeclined { step } => Self::ManualDeclined {
                job: step.job.0,
                step: step.step,
            },
        }
    }
}

impl From<Reason> for NotRunReason {
    fn from(stored: Reason) -> Self {
        match stored {
            Reason::EarlierStepFailed { job, step } => Self::EarlierStepFailed {
                step: place(job, step),
            },
            Reason::FailFast { job, step } => Self::FailFast {
                step: place(job, step),
            },
            Reason::BuildCancelled => Self::BuildCancelled,
            Reason::ManualDeclined { job, step } => Self::ManualDeclined {
                step: place(job, step),
            },
        }
    }
}

const fn place(job: usize, step: usize) -> StepPlace {
    StepPlace {
        job: JobIndex(job),
        step,
    }
}
