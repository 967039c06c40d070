//! What is stored of a build's progress, and whether that can have come about.

use super::{
    BadOutline, JobIndex, JobState, NotRunReason, Outline, OutlineStep, StepEnd, StepPlace,
    StepState, StopCause,
};

/// Where everything in a build stands. Plain data, in the order of the outline; whoever stores it converts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub jobs: Vec<JobRecord>,
    /// Whether somebody cancelled the build.
    pub is_cancelled: bool,
}

/// Where a job and its steps stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    pub state: JobState,
    /// Some that have ended, then at most one that runs, then some that wait.
    pub steps: Vec<StepState>,
}

/// A record that no build of this outline can have left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    #[error("the outline of the recorded build cannot be used")]
    Outline(#[source] BadOutline),
    #[error("{recorded} jobs are recorded of a build that has {outlined}")]
    JobCount { outlined: usize, recorded: usize },
    #[error("{recorded} steps are recorded of {job}, which has {outlined}")]
    StepCount {
        job: JobIndex,
        outlined: usize,
        recorded: usize,
    },
    /// A job in this state needs other jobs or steps to be in another than they are.
    #[error("{job} is recorded as {}, but {why}", .state.name())]
    Job {
        job: JobIndex,
        state: JobState,
        why: &'static str,
    },
    #[error("{at} is recorded as {}, but {why}", .state.name())]
    Step {
        at: StepPlace,
        state: StepState,
        why: &'static str,
    },
}

impl JobRecord {
    /// The first step that has not ended.
    pub(super) fn next(&self) -> Option<usize> {
        self.steps.iter().position(|step| step.end().is_none())
    }

    /// Whether it has ended so that what needs it may start.
    pub(super) fn is_well(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.all(|step| step.end().is_some_and(StepEnd::is_well))
    }

    /// Why something is not run because of the first step that did not end well; `None` if there is none such.
    pub(super) fn first_ill(
        &self,
        job: JobIndex,
        reason: fn(StepEnd, StepPlace) -> Option<NotRunReason>,
    ) -> Option<NotRunReason> {
        let mut steps = self.steps.iter().enumerate();
        steps.find_map(|(step, state)| reason(state.end()?, StepPlace { job, step }))
    }
}

impl Record {
    /// Nothing has happened.
    pub(super) fn blank(outline: &Outline) -> Self {
        let jobs = outline.jobs.iter().map(|job| JobRecord {
            state: JobState::Waiting,
            steps: vec![StepState::Waiting; job.steps.len()],
        });
        Self {
            jobs: jobs.collect(),
            is_cancelled: false,
        }
    }

    /// Whether a build of this outline can have left this record, with or without its last consequences drawn.
    pub(super) fn check(&self, outline: &Outline) -> Result<(), BadRecord> {
        if self.jobs.len() != outline.jobs.len() {
            return Err(BadRecord::JobCount {
                outlined: outline.jobs.len(),
                recorded: self.jobs.len(),
            });
        }
        for (index, record) in self.jobs.iter().enumerate() {
            let job = JobIndex(index);
            let steps = &outline.jobs[index].steps;
            if record.steps.len() != steps.len() {
                return Err(BadRecord::StepCount {
                    job,
                    outlined: steps.len(),
                    recorded: record.steps.len(),
                });
            }
            for (step, (&state, outlined)) in record.steps.iter().zip(steps).enumerate() {
                let at = StepPlace { job, step };
                self.why_not_step(outline, at, *outlined)
                    .map_or(Ok(()), |why| Err(BadRecord::Step { at, state, why }))?;
            }
            let state = record.state;
            self.why_not_job(outline, job)
                .map_or(Ok(()), |why| Err(BadRecord::Job { job, state, why }))?;
        }
        Ok(())
    }

    fn why_not_step(
        &self,
        outline: &Outline,
        at: StepPlace,
        outlined: OutlineStep,
    ) -> Option<&'static str> {
        let record = &self.jobs[at.job.0];
        let state = record.steps[at.step];
        if state != StepState::Waiting && record.next().is_some_and(|next| next < at.step) {
            return Some("an earlier one has not ended");
        }
        if state == StepState::Running && !matches!(record.state, JobState::Running { .. }) {
            return Some("no attempt has its job");
        }
        if is_touched(state) {
            let mut earlier = record.steps[..at.step].iter();
            if earlier.any(|step| !step.end().is_some_and(StepEnd::is_well)) {
                return Some("an earlier one did not end well");
            }
            match (state == StepState::Ended(StepEnd::Skipped), outlined.skip) {
                (true, false) => return Some("its condition does not say no"),
                (false, true) => return Some("its condition says no"),
                (true, true) | (false, false) => {}
            }
        }
        let reason = match state.end()? {
            StepEnd::NotRun(reason) => reason,
            StepEnd::Cancelled { by } => by?.into(),
            _ => return None,
        };
        self.why_not_reason(outline, reason)
    }

    fn why_not_reason(&self, outline: &Outline, reason: NotRunReason) -> Option<&'static str> {
        match reason {
            NotRunReason::BuildCancelled => {
                (!self.is_cancelled).then_some("the build was not cancelled")
            }
            NotRunReason::EarlierStepFailed { step }
            | NotRunReason::FailFast { step }
            | NotRunReason::ManualDeclined { step } => {
                (!outline.has(step)).then_some("the step that it blames does not exist")
            }
        }
    }

    fn why_not_job(&self, outline: &Outline, job: JobIndex) -> Option<&'static str> {
        let record = &self.jobs[job.0];
        let is_due = record.steps.iter().any(|&step| is_touched(step))
            || !matches!(record.state, JobState::Waiting | JobState::Ended);
        if is_due && !self.was_due(outline, job) {
            return Some("what it waits for has not ended as it must");
        }
        match record.state {
            JobState::Ended if record.next().is_some() => Some("not all of its steps have ended"),
            JobState::Paused => {
                let first = outline.jobs[job.0].steps[0];
                let is_gate = first.manual && !first.skip && record.next() == Some(0);
                (!is_gate).then_some("its next step does not wait for a person")
            }
            JobState::Running {
                stopping: Some(cause),
            } => self.why_not_reason(outline, StopCause::into(cause)),
            _ => None,
        }
    }

    /// Whether a job's turn may have come. Looks at steps alone, as the states of jobs may not be up to date.
    fn was_due(&self, outline: &Outline, job: JobIndex) -> bool {
        let outlined = &outline.jobs[job.0];
        if outlined.is_final {
            let mut others = (0..self.jobs.len()).filter(|&other| other != job.0);
            others.all(|other| self.jobs[other].next().is_none())
        } else {
            outlined.needs.iter().all(|&need| self.jobs[need].is_well())
        }
    }
}

/// Whether a step has begun or been skipped, so that its turn must have come.
fn is_touched(step: StepState) -> bool {
    !matches!(
        step,
        StepState::Waiting | StepState::Ended(StepEnd::NotRun(_))
    )
}
