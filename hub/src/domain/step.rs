//! What an attempt reported about one step. Where the step stands is the build's [`super::Course`] to say.

use cofferdam_protocol::StepIndex;
use cofferdam_protocol::report::{Blame, JobResult, StepResult};
use jiff::Timestamp;

/// What was last reported about one step of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRecord {
    /// Which step.
    pub step: StepIndex,
    /// What was reported.
    pub report: StepReport,
}

/// What is known about a step of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepReport {
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

/// The receipt of a step whose runner sent none.
const NO_RECEIPT: &str = "null";

impl StepReport {
    /// A step that ends at `at`; `before` is what was known about it. A step may end without having begun: it could not
    /// be run.
    pub fn finished(
        before: Option<&Self>,
        at: Timestamp,
        result: StepResult,
        receipt: String,
    ) -> Self {
        Self::Done {
            since: before.and_then(Self::since),
            at,
            result,
            receipt,
        }
    }

    /// A step whose attempt is over without a word about the step's end; `before` is what was known about it.
    pub fn closed(before: Option<&Self>, at: Timestamp, close: StepClose) -> Self {
        Self::finished(before, at, close.result(), NO_RECEIPT.to_owned())
    }

    /// When it began.
    const fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Running { since } => Some(*since),
            Self::Done { since, .. } => *since,
        }
    }
}

/// Why a step has an end without a report of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepClose {
    /// The lease of its attempt is over.
    Lost,
    /// Its runner was revoked.
    Revoked,
    /// Its job was reported as ended, so.
    Finished(JobResult),
}

impl StepClose {
    fn result(self) -> StepResult {
        let why = match self {
            Self::Finished(JobResult::Cancelled) => return StepResult::Cancelled,
            Self::Finished(JobResult::Passed | JobResult::Failed | JobResult::Error) => {
                "the runner reported the end of the job, but not of this step"
            }
            Self::Lost => "the runner gave no sign of life any more",
            Self::Revoked => "the runner was revoked while it had the job",
        };
        StepResult::Error {
            blame: Blame::Infrastructure,
            why: why.to_owned(),
        }
    }
}
