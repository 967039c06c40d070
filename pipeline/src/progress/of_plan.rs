//! A plan's outline: what of it the progress depends on.

use std::collections::BTreeMap;

use super::{Group, GroupPlace, Outline, OutlineJob, OutlineStep};
use crate::plan::{JobPlan, Plan};

impl From<&Plan> for Outline {
    fn from(plan: &Plan) -> Self {
        let mut groups = BTreeMap::new();
        for place in plan
            .jobs
            .iter()
            .flat_map(|job| &job.steps)
            .filter_map(|step| step.group)
        {
            groups.insert(
                place.group,
                Group {
                    fail_fast: place.fail_fast,
                },
            );
        }
        let count = groups.keys().next_back().map_or(0, |last| last + 1);
        Self {
            jobs: plan.jobs.iter().map(job).collect(),
            groups: (0..count)
                .map(|group| groups.get(&group).copied().unwrap_or_default())
                .collect(),
        }
    }
}

fn job(job: &JobPlan) -> OutlineJob {
    let steps = job.steps.iter().map(|step| OutlineStep {
        manual: step.manual.is_some(),
        skip: step.skip.is_some(),
        fail_fast: step.fail_fast,
    });
    OutlineJob {
        needs: job.needs.clone(),
        steps: steps.collect(),
        group: job
            .steps
            .first()
            .and_then(|step| step.group)
            .map(|place| GroupPlace { group: place.group }),
        is_final: job.steps.iter().any(|step| step.is_final),
    }
}
