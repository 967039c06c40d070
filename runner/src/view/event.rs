//! What the local run tells its view.
//!
//! Names, reasons and paths may come from a repository and are shown as text; log bytes may be anything.

use cofferdam_protocol::Origin;

use super::commands::Commands;

/// Something that happened in a local run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The run begins; comes first and once.
    Began {
        /// What was selected, for example `default` or `branches › main`.
        pipeline: String,
        /// What it runs on: a commit's id, or a word such as `work tree`.
        commit: String,
        /// What the summary proposes to type.
        commands: Commands,
        /// Every step, in the order of the file.
        steps: Vec<Row>,
    },
    /// A step begins, for the first time or again.
    StepStarted {
        /// Which.
        index: u16,
    },
    /// A step, or Cofferdam on its behalf, wrote something. A line may come in pieces.
    Log {
        /// Which step.
        index: u16,
        /// Who wrote it.
        origin: Origin,
        /// What, unchanged but for masked secrets.
        bytes: Vec<u8>,
    },
    /// A step is over, whether or not it ever started.
    StepEnded {
        /// Which.
        index: u16,
        /// How.
        outcome: Outcome,
        /// The path of the file with its whole log, as the user would write it.
        log: Option<String>,
    },
    /// A step could start but for something that ends by itself, for example another step's place.
    Waiting {
        /// Which.
        index: u16,
        /// For what, as the end of "waits: …".
        why: String,
    },
    /// A manual step's turn has come, and somebody is there to answer: the view asks, and the local run reads the
    /// answer. At most one question is open at a time; the step's start or end is the answer.
    Asked {
        /// Which.
        index: u16,
    },
    /// A step left files.
    Artifact {
        /// Which.
        index: u16,
        /// The directory in which they lie now, as the user would write it.
        path: String,
        /// Their size.
        bytes: u64,
    },
    /// The user wants an end; running steps are being stopped.
    Cancelling,
    /// The run is over; comes last.
    Ended {
        /// How.
        state: RunState,
    },
}

/// A step as the plan has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number in the run, by which events name it.
    pub index: u16,
    /// Its name.
    pub name: String,
    /// The stage it belongs to.
    pub stage: Option<String>,
    /// The parallel group it belongs to; neighbours with the same number run in parallel.
    pub group: Option<u16>,
    /// What runs it: `wasm` or `container image`.
    pub what: String,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It said yes.
    Passed,
    /// It said no.
    Failed {
        /// Its exit status, if it had one.
        exit: Option<i32>,
        /// What else is known, for example that a limit ended it; may be empty.
        why: String,
    },
    /// It could not be run, which says nothing about the step.
    Error {
        /// What went wrong.
        why: String,
    },
    /// It ran, and the user or the failure of a neighbour stopped it.
    Cancelled {
        /// Because of what; empty if the user did.
        why: String,
    },
    /// Its own conditions, or the user, left it out.
    Skipped {
        /// Which.
        why: String,
    },
    /// It never started, because of another step.
    NotRun {
        /// Because of what.
        why: String,
    },
    /// It needs something that this version does not have.
    Unsupported {
        /// What.
        what: String,
        /// The line of the file that asks for it, counted from 1.
        line: u32,
    },
}

impl Outcome {
    /// Whether the run's state suffers from it.
    pub(super) const fn is_bad(&self) -> bool {
        match self {
            Self::Failed { .. } | Self::Error { .. } | Self::Unsupported { .. } => true,
            Self::Passed | Self::Cancelled { .. } | Self::Skipped { .. } | Self::NotRun { .. } => {
                false
            }
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// No step failed.
    Passed,
    /// A step failed or is unsupported.
    Failed,
    /// A step could not be run.
    Error,
    /// The user stopped it.
    Cancelled,
}
