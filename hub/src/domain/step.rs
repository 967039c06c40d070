//! What an attempt reported about one step.

use cofferdam_protocol::StepIndex;
use cofferdam_protocol::report::{Blame, JobResult, StepResult};
use jiff::Timestamp;

use super::BadTransition;

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

/// The receipt of a step whose runner sent none.
pub const NO_RECEIPT: &str = "null";

impl StepState {
    /// The state of a step that begins at `at`; `before` is what was known about it.
    pub fn started(before: Option<Self>, at: Timestamp) -> Result<Self, BadTransition> {
        match before {
            None => Ok(Self::Running { since: at }),
            Some(state) => Err(BadTransition {
                of: "step",
                from: state.name(),
                event: "a start",
            }),
        }
    }

    /// The state of a step that ends at `at`; `before` is what was known about it. A step may end
    /// without having begun: it was skipped, or could not be run.
    pub fn finished(
        before: Option<Self>,
        at: Timestamp,
        result: StepResult,
        receipt: String,
    ) -> Result<Self, BadTransition> {
        let since = match before {
            None => None,
            Some(Self::Running { since }) => Some(since),
            Some(done @ Self::Done { .. }) => {
                return Err(BadTransition {
                    of: "step",
                    from: done.name(),
                    event: "an end",
                });
            }
        };
        Ok(Self::Done {
            since,
            at,
            result,
            receipt,
        })
    }

    /// The state of a step whose attempt is over: one that was running is not any more.
    #[must_use]
    pub fn closed(self, at: Timestamp, close: StepClose) -> Self {
        match self {
            Self::Running { since } => Self::Done {
                since: Some(since),
                at,
                result: close.result(),
                receipt: NO_RECEIPT.to_owned(),
            },
            done @ Self::Done { .. } => done,
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Running { .. } => "running",
            Self::Done { .. } => "done",
        }
    }
}

/// Why a step that was running is closed without a report of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepClose {
    /// The hub gave its attempt up.
    Lost,
    /// Its job was reported as ended, so.
    Finished(JobResult),
}

impl StepClose {
    fn result(self) -> StepResult {
        match self {
            Self::Finished(JobResult::Cancelled) => StepResult::Cancelled,
            Self::Finished(JobResult::Passed | JobResult::Failed | JobResult::Error) => {
                StepResult::Error {
                    blame: Blame::Infrastructure,
                    why: "the runner reported the end of the job, but not of this step".to_owned(),
                }
            }
            Self::Lost => StepResult::Error {
                blame: Blame::Infrastructure,
                why: "the runner gave no sign of life any more".to_owned(),
            },
        }
    }
}
