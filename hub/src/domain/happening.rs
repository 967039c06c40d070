//! What can happen to a job, and why it cannot.

use cofferdam_pipeline::progress;
use cofferdam_protocol::StepIndex;
use cofferdam_protocol::report::{JobEvent, JobResult, StepResult};

use super::StepClose;
use super::job::Attempt;

/// What can happen to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A runner is to have it.
    Lease(Attempt),
    /// Its runner began.
    Start,
    /// Its runner began with a step.
    StepStart(StepIndex),
    /// A step of it ended.
    StepEnd(StepIndex, StepResult),
    /// Its runner reported its end.
    Finish(JobResult),
    /// Its runner gave it back unstarted.
    Return,
    /// Its runner is given up.
    Lose(StepClose),
    /// A person started it.
    Begin,
    /// A person will not have it started.
    Decline,
}

impl From<&JobEvent> for Happening {
    fn from(event: &JobEvent) -> Self {
        match event {
            JobEvent::Started => Self::Start,
            JobEvent::StepStarted { step } => Self::StepStart(*step),
            JobEvent::StepFinished {
                step,
                result,
                receipt: _,
            } => Self::StepEnd(*step, result.clone()),
            JobEvent::Finished { result } => Self::Finish(*result),
        }
    }
}

/// A transition that the state does not allow. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTransition {
    /// The job is another build's, or nobody's.
    #[error("the job is not in this build")]
    NoJob,
    /// The step is another job's, or nobody's.
    #[error("step {0} is not one of the job's")]
    NoStep(StepIndex),
    /// No attempt has the job.
    #[error("no attempt has the job")]
    NoAttempt,
    /// The attempt has a number that was used.
    #[error("the attempt's number is not new")]
    OldFence,
    /// The attempt's start was not reported.
    #[error("its job has not started")]
    NotStarted,
    /// The attempt's start was reported.
    #[error("its job has started already")]
    Started,
    /// A step is said not to have been run that could have been.
    #[error("step {0} is said not to be run, and nothing keeps it from running")]
    NotRun(StepIndex),
    /// The plan does not allow it.
    #[error(transparent)]
    Progress(#[from] progress::BadTransition),
}
