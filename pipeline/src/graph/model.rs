//! A pipeline file as it is meant: what `read` makes of the tree, `select` chooses from, and `graph` plans.
//!
//! Defaults of the file are already in the steps. Pipelines that no push selects are absent: they are read for their
//! mistakes and then dropped.

use crate::plan::{RetryRequest, StepKind};

/// The pipelines of a file.
#[derive(Debug, Default)]
pub(crate) struct File {
    pub(crate) default: Option<Pipeline>,
    /// In the order of the file.
    pub(crate) branches: Vec<(String, Pipeline)>,
    pub(crate) tags: Vec<(String, Pipeline)>,
}

#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    /// Empty only if the file has errors.
    pub(crate) items: Vec<Item>,
}

#[derive(Debug)]
pub(crate) enum Item {
    Step(Box<Step>),
    Parallel(Vec<Step>),
    Stage {
        name: Option<String>,
        steps: Vec<Step>,
    },
}

#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: Option<String>,
    pub(crate) line: u32,
    pub(crate) max_time_secs: u64,
    /// Sorted, each once.
    pub(crate) runs_on: Vec<String>,
    pub(crate) retry: RetryRequest,
    /// A deployment, a concurrency group or a manual trigger: such a step is a job of its own.
    pub(crate) stands_alone: bool,
    pub(crate) kind: StepKind,
}
