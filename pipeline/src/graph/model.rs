//! A pipeline file as it is meant: what `read` makes of the tree, `select` chooses from, and `graph` plans.
//!
//! Defaults of the file are already in the steps. Pipelines that no push selects are absent: they are read for their
//! mistakes and then dropped.

use crate::plan::{
    Artifacts, CachePlan, ClonePlan, ConcurrencyGroup, Condition, CustomVariable, Deployment,
    RetryRequest, ServicePlan, StepKind,
};

/// The pipelines of a file, each section in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct File {
    pub(crate) default: Option<Pipeline>,
    pub(crate) branches: Vec<(String, Pipeline)>,
    pub(crate) tags: Vec<(String, Pipeline)>,
    pub(crate) pull_requests: Vec<(String, Pipeline)>,
    pub(crate) custom: Vec<(String, Pipeline)>,
}

#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    /// Empty only if the file has errors, or if a custom pipeline has nothing but variables.
    pub(crate) items: Vec<Item>,
    /// Of a custom pipeline; each value is the default, or empty.
    pub(crate) variables: Vec<CustomVariable>,
}

#[derive(Debug)]
pub(crate) enum Item {
    Step(Box<Step>),
    Parallel {
        steps: Vec<Step>,
        fail_fast: bool,
    },
    Stage {
        name: Option<String>,
        /// Each with the stage's condition; the first one with its gate.
        steps: Vec<Step>,
        deployment: Option<Deployment>,
    },
    Final(Box<Step>),
}

#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: Option<String>,
    pub(crate) line: u32,
    pub(crate) max_time_secs: u64,
    /// Sorted, each once.
    pub(crate) runs_on: Vec<String>,
    pub(crate) retry: RetryRequest,
    /// What the step itself says.
    pub(crate) fail_fast: Option<bool>,
    pub(crate) manual: Option<u32>,
    pub(crate) condition: Option<Condition>,
    pub(crate) artifacts: Artifacts,
    pub(crate) caches: Vec<CachePlan>,
    pub(crate) services: Vec<ServicePlan>,
    pub(crate) deployment: Option<Deployment>,
    pub(crate) concurrency_group: Option<ConcurrencyGroup>,
    pub(crate) clone: ClonePlan,
    pub(crate) oidc: bool,
    pub(crate) kind: StepKind,
}

impl Step {
    /// Whether it is a job of its own, because other builds or people may hold it up.
    pub(crate) fn stands_alone(&self) -> bool {
        self.manual.is_some() || self.deployment.is_some() || self.concurrency_group.is_some()
    }
}
