//! A plan's outline: what of it the progress depends on.

use super::{Outline, OutlineJob, OutlineStep};
use crate::plan::{JobPlan, Plan};

impl From<&Plan> for Outline {
    fn from(plan: &Plan) -> Self {
        Self {
            jobs: plan.jobs.iter().map(job).collect(),
            groups: Vec::new(),
        }
    }
}

fn job(job: &JobPlan) -> OutlineJob {
    OutlineJob {
        needs: job.needs.clone(),
        steps: vec![OutlineStep::default(); job.steps.len()],
        group: None,
        is_final: false,
    }
}
