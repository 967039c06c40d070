//! What a runner reports about an attempt, as numbered events.

use serde::{Deserialize, Serialize};

use crate::ids::StepIndex;

/// One thing that happened to an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum JobEvent {
    /// The job's first sign of work: the runner begins to fetch the code.
    Started,
    /// A step begins.
    StepStarted {
        /// Which.
        step: StepIndex,
    },
    /// A step has ended, and nothing that it started lives on.
    StepFinished {
        /// Which.
        step: StepIndex,
        /// How.
        result: StepResult,
        /// What it was granted, used and was refused, as the receipt's JSON.
        receipt: serde_json::Value,
    },
    /// The job has ended; nothing follows.
    Finished {
        /// How.
        result: JobResult,
    },
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum StepResult {
    /// Exit status 0.
    Passed,
    /// The step said no, or was ended: what a person reads, and the exit status if it had one.
    Failed {
        /// The exit status, where there was one.
        exit: Option<u8>,
        /// One sentence.
        why: String,
    },
    /// We could not run it.
    Error {
        /// Whose doing.
        blame: Blame,
        /// One sentence or a short chain of them.
        why: String,
    },
    /// It was cancelled.
    Cancelled,
    /// It never started, because an earlier step did not pass.
    NotRun,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobResult {
    /// All steps passed.
    Passed,
    /// A step failed.
    Failed,
    /// A step, or the checkout, could not be run.
    Error,
    /// It was cancelled.
    Cancelled,
}

/// Whose doing an error is: it decides retry and wording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// The repository or its pipeline file. A retry would fail again.
    User,
    /// The host, the network, an engine. A retry may help.
    Infrastructure,
    /// Cofferdam itself.
    Ours,
}
