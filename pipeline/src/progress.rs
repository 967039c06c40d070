//! How a build goes on: what may start next, what is not run, what has to be stopped, where the build stands.
//!
//! From an [`Outline`] and the [`Event`]s that runners and people cause, to [`Effect`]s that the caller carries out. The
//! hub and the local run use the same machine, so that a build means the same on both. Deliberately absent: time,
//! counting of tries, runners, names, logs, and every word for people. Whether a loss is worth another try is the
//! caller's to decide; so is what "may start" leads to, for example a wait for a runner or for a deployment.
//!
//! The rules are those of Bitbucket Pipelines, each with its public page where it is carried out:
//!
//! - Steps run in the order of the file, and after a failed one no later one is run. ("Step options")
//! - A manual step waits for a person; the first step of a pipeline cannot be one. ("Pipeline triggers")
//! - Steps of a parallel group run beside each other; `fail-fast` on the group, or on one of its steps, stops the rest of
//!   the group. ("Parallel step options")
//! - A step or stage whose condition says no is left out, and counts as success. ("Pipeline start conditions", "Stage
//!   options")
//! - `final` runs last, whatever became of the others: passed, failed, skipped or stopped. ("Introducing Final Steps in
//!   Bitbucket Pipelines") There it also runs when a build pauses, and again when it goes on; here it waits for the end,
//!   so that nothing is cleaned up that a person may still want to go on with.
//!
//! `after-script` belongs to its step and cannot change how that ended ("After-script"), so nothing here knows of it.

mod event;
mod of_plan;
mod outline;
mod record;
mod settle;
mod state;

pub use event::{BadTransition, Effect, Event, Standing, StepOutcome};
pub use outline::{
    BadOutline, Group, GroupPlace, JobIndex, Outline, OutlineJob, OutlineStep, StepPlace,
};
pub use record::{BadRecord, JobRecord, Record};
pub use state::{BuildEnd, BuildState, JobState, NotRunReason, StepEnd, StepState, StopCause};

/// A build between its plan and its end.
///
/// The same outline and the same events give the same effects and the same state. Every event costs time in proportion
/// to the outline. Between two calls the machine is settled: a build that has not ended has a job that is ready, running
/// or paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    outline: Outline,
    record: Record,
}

impl Progress {
    /// A build of which nothing has happened yet, and what may happen first.
    ///
    /// The effects are more than the first jobs that may start where a condition says no at once.
    pub fn new(outline: Outline) -> Result<(Self, Vec<Effect>), BadOutline> {
        outline.check()?;
        let record = Record::blank(&outline);
        Ok(Self::settled(outline, record))
    }

    /// The build as it was recorded.
    ///
    /// The effects are the consequences that the record had not drawn yet: none for a record that
    /// [`Progress::record`] gave, some if what was stored says how a step ended but not what follows from it. What the
    /// record already knew is not said again; [`Progress::ready`] and [`Progress::stopping`] tell it.
    pub fn restore(outline: Outline, record: Record) -> Result<(Self, Vec<Effect>), BadRecord> {
        outline.check().map_err(BadRecord::Outline)?;
        record.check(&outline)?;
        Ok(Self::settled(outline, record))
    }

    /// Lets something happen, and tells what the caller has to do about it, in this order.
    ///
    /// An event that the state does not allow is refused and changes nothing; so is one that happens a second time.
    pub fn apply(&mut self, event: Event) -> Result<Vec<Effect>, BadTransition> {
        let mut effects = Vec::new();
        self.take(event, &mut effects)
            .map_err(|from| BadTransition { from, event })?;
        self.settle(&mut effects);
        Ok(effects)
    }

    /// What the build consists of.
    pub fn outline(&self) -> &Outline {
        &self.outline
    }

    /// Where every job and step stands: all there is to store for [`Progress::restore`].
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Where a job stands, if there is one of this index.
    pub fn job(&self, job: JobIndex) -> Option<JobState> {
        self.record.jobs.get(job.0).map(|record| record.state)
    }

    /// Where a step stands, if there is one in this place.
    pub fn step(&self, at: StepPlace) -> Option<StepState> {
        let record = self.record.jobs.get(at.job.0)?;
        record.steps.get(at.step).copied()
    }

    /// The jobs that may start now, in the order of the outline.
    pub fn ready(&self) -> Vec<JobIndex> {
        self.jobs_that(|state| state == JobState::Ready)
    }

    /// The jobs that wait for a person, in the order of the outline.
    pub fn paused(&self) -> Vec<JobIndex> {
        self.jobs_that(|state| state == JobState::Paused)
    }

    /// The jobs that were to be stopped and have not ended yet, in the order of the outline.
    pub fn stopping(&self) -> Vec<JobIndex> {
        self.jobs_that(|state| matches!(state, JobState::Running { stopping: Some(_) }))
    }

    /// The steps that an attempt of this job has to run, as places in the job: those without a recorded end whose
    /// condition does not say no. Empty for a job that has ended, or that does not exist.
    pub fn steps_to_run(&self, job: JobIndex) -> Vec<usize> {
        let Some(record) = self.record.jobs.get(job.0) else {
            return Vec::new();
        };
        let steps = record.steps.iter().zip(&self.outline.jobs[job.0].steps);
        steps
            .enumerate()
            .filter(|(_, (state, step))| state.end().is_none() && !step.skip)
            .map(|(step, _)| step)
            .collect()
    }

    /// Where the build stands, as its jobs and steps say.
    ///
    /// It is paused when nothing runs or could run, and a job waits for a person. Where Bitbucket's page would already
    /// call such a build successful ("Differences between Bitbucket pipelines status from UI and API results"), its API
    /// does not, and nor do we.
    pub fn state(&self) -> BuildState {
        let is_any = |wanted: fn(JobState) -> bool| !self.jobs_that(wanted).is_empty();
        if is_any(|state| matches!(state, JobState::Running { .. })) {
            BuildState::Running
        } else if is_any(|state| state == JobState::Ready) {
            if self.has_begun() {
                BuildState::Running
            } else {
                BuildState::Pending
            }
        } else if is_any(|state| state == JobState::Paused) {
            BuildState::Paused
        } else {
            BuildState::Ended(self.end())
        }
    }

    /// The worst end of a step counts: a failure, which its author must mend and no retry will, before an error, before
    /// a cancellation. The final step counts like any other, so it can only make things worse.
    fn end(&self) -> BuildEnd {
        let steps = self.record.jobs.iter().flat_map(|job| &job.steps);
        steps
            .filter_map(|step| step.end())
            .map(StepEnd::means_for_the_build)
            .max()
            .unwrap_or(BuildEnd::Passed)
    }

    /// Whether a step has ended after an attempt dealt with it. A first attempt that was put back without a result leaves
    /// no trace.
    pub fn has_begun(&self) -> bool {
        let mut steps = self.record.jobs.iter().flat_map(|job| &job.steps);
        steps.any(|step| step.end().is_some_and(StepEnd::was_tried))
    }

    fn has_ended(&self) -> bool {
        self.record
            .jobs
            .iter()
            .all(|job| job.state == JobState::Ended)
    }

    fn jobs_that(&self, wanted: impl Fn(JobState) -> bool) -> Vec<JobIndex> {
        let jobs = self.record.jobs.iter().enumerate();
        jobs.filter(|(_, job)| wanted(job.state))
            .map(|(job, _)| JobIndex(job))
            .collect()
    }
}
