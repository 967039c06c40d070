//! What a build looks like when it is stored, worked out once for every implementation.

use cofferdam_pipeline::progress::BadOutline;
use cofferdam_protocol::StepIndex;

use super::{NewBuild, NewPlan};
use crate::domain::build::made_at;
use crate::domain::{Build, BuildState, Course, JobCourse};

/// A plan that no build can have. The hub made it, so this is the hub's own fault.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadPlan {
    #[error("the plan's outline cannot be followed")]
    Outline(#[from] BadOutline),
    #[error("the plan's jobs are not those of its outline")]
    OtherJobs,
    #[error("two steps of the plan have the index {0}")]
    SameStep(StepIndex),
}

impl NewPlan {
    fn check(&self) -> Result<(), BadPlan> {
        let outlined = self.outline.jobs.iter().map(|job| &job.steps);
        let is_skipped = |steps: &[super::NewStep]| -> Vec<bool> {
            steps.iter().map(|step| step.skip.is_some()).collect()
        };
        let is_outlined = self.jobs.len() == self.outline.jobs.len()
            && self.jobs.iter().zip(outlined).all(|(job, outlined)| {
                is_skipped(&job.steps) == outlined.iter().map(|step| step.skip).collect::<Vec<_>>()
            });
        if !is_outlined {
            return Err(BadPlan::OtherJobs);
        }
        let steps = self.jobs.iter().flat_map(|job| &job.steps);
        let mut indexes: Vec<StepIndex> = steps.map(|step| step.spec.index).collect();
        indexes.sort_unstable();
        match indexes.array_windows().find(|[a, b]| a == b) {
            Some(&[twice, _]) => Err(BadPlan::SameStep(twice)),
            None => Ok(()),
        }
    }
}

impl NewBuild {
    /// Where the build stands when it is admitted: its course has begun, unless its file could not be planned. A plan that
    /// could not be carried out is refused.
    pub(super) fn course(&self) -> Result<Option<Course>, BadPlan> {
        let Some(plan) = &self.plan else {
            return Ok(None);
        };
        let jobs = plan.jobs.iter().map(|job| {
            let steps = job.steps.iter().map(|step| step.spec.index);
            JobCourse::new(job.id, steps.collect())
        });
        let course = Course::new(plan.outline.clone(), jobs.collect(), made_at(self.id))?;
        plan.check()?;
        Ok(Some(course))
    }

    /// The build as it is stored under `number`.
    pub(super) fn build(&self, number: u64, course: Option<&Course>) -> Build {
        let created_at = made_at(self.id);
        let (state, finished_at) = match course {
            None => (BuildState::Invalid, Some(created_at)),
            Some(course) => (course.state(), course.finished_at()),
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
