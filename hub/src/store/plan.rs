//! What a build looks like when it is stored, worked out once for every implementation.

use cofferdam_protocol::StepIndex;

use super::NewBuild;
use crate::domain::build::made_at;
use crate::domain::{BadGraph, Build, BuildState, JobGraph, JobNode, JobState};

/// A plan that no build can have. The hub made it, so this is the hub's own fault.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadPlan {
    #[error("the plan has no job")]
    Empty,
    #[error(transparent)]
    Graph(#[from] BadGraph),
    #[error("two steps of the plan have the index {0}")]
    SameStep(StepIndex),
}

impl NewBuild {
    /// Refuses a plan that could not be carried out.
    pub(super) fn check(&self) -> Result<(), BadPlan> {
        let Some(jobs) = &self.jobs else {
            return Ok(());
        };
        if jobs.is_empty() {
            return Err(BadPlan::Empty);
        }
        let nodes = jobs.iter().map(|job| JobNode {
            id: job.id,
            needs: job.needs.clone(),
            state: JobState::Queued { attempts: 0 },
        });
        JobGraph::new(nodes.collect())?;
        let steps = jobs.iter().flat_map(|job| &job.steps);
        let mut indexes: Vec<StepIndex> = steps.map(|step| step.index).collect();
        indexes.sort_unstable();
        match indexes.array_windows().find(|[a, b]| a == b) {
            Some(&[twice, _]) => Err(BadPlan::SameStep(twice)),
            None => Ok(()),
        }
    }

    /// The build as it is stored under `number`.
    pub(super) fn build(&self, number: u64) -> Build {
        let created_at = made_at(self.id);
        let (state, finished_at) = match self.jobs {
            None => (BuildState::Invalid, Some(created_at)),
            Some(_) => (BuildState::Queued, None),
        };
        Build {
            id: self.id,
            number,
            push: self.push.clone(),
            trust: self.trust,
            selected: self.selected.clone(),
            diagnostics: self.diagnostics.clone(),
            state,
            created_at,
            finished_at,
        }
    }
}
