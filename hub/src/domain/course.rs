//! The course of one build: how far its plan is, and the attempts on its jobs.
//!
//! Pure. [`Progress`] of the language decides what may start, what is not run and where the build stands. What it leaves
//! to its caller is here: attempts with their fences and leases, losses, and times. Both stores load a course, let it
//! take a happening, and store what changed.
//!
//! An attempt lives from its lease until its runner says that it is done, or is given up. The progress knows its job as
//! running for as long; only when its last step has ended, the job has ended a moment before its attempt. A build is over
//! when nothing of it lives any more, so that a build that is over writes no log.

use cofferdam_pipeline::progress::{
    BuildEnd, BuildState as PlanState, Event, JobIndex, JobState as PlanJobState, Outline,
    Progress, StepEnd, StepOutcome, StepPlace, StepState,
};
use cofferdam_protocol::report::{JobResult, StepResult};
use cofferdam_protocol::{JobId, StepIndex};
use jiff::Timestamp;

use super::attempt::Ending;
use super::happening::{BadTransition, Happening};
use super::job::{Attempt, JobEnd, JobState, LOSSES_RETRIED_MAX};
use super::{AttemptEnd, BuildState, StepClose};

/// A build between its plan and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    progress: Progress,
    jobs: Vec<JobCourse>,
}

/// What the progress of a plan does not know of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobCourse {
    /// Names it.
    pub id: JobId,
    /// The indexes of its steps, in the order of execution.
    pub steps: Vec<StepIndex>,
    /// How many attempts there were, which is the last one's fence.
    pub tries: u64,
    /// How many of them were lost.
    pub losses: u64,
    /// The one that has it now.
    pub live: Option<Attempt>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

impl JobCourse {
    /// A job that nothing has happened to.
    pub fn new(id: JobId, steps: Vec<StepIndex>) -> Self {
        Self {
            id,
            steps,
            tries: 0,
            losses: 0,
            live: None,
            ended_at: None,
        }
    }
}

impl Course {
    /// A build of which nothing has happened yet, admitted at `at`. Jobs whose conditions say no at once are over.
    pub fn new(
        outline: Outline,
        jobs: Vec<JobCourse>,
        at: Timestamp,
    ) -> Result<Self, cofferdam_pipeline::progress::BadOutline> {
        let (progress, _) = Progress::new(outline)?;
        let mut course = Self { progress, jobs };
        course.note(at);
        Ok(course)
    }

    /// The build as it was stored: `jobs` in the order of the progress.
    pub fn restored(progress: Progress, jobs: Vec<JobCourse>) -> Self {
        Self { progress, jobs }
    }

    /// How far the plan is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The jobs, by ordinal.
    pub fn jobs(&self) -> &[JobCourse] {
        &self.jobs
    }

    /// A job of this id.
    pub fn job(&self, id: JobId) -> Option<&JobCourse> {
        self.jobs.iter().find(|job| job.id == id)
    }

    /// Where a job of this id stands.
    pub fn state_of(&self, id: JobId) -> Option<JobState> {
        let index = self.index(id).ok()?;
        let job = &self.jobs[index.0];
        if let Some(live) = job.live {
            return Some(JobState::Leased(live));
        }
        Some(match self.progress.job(index)? {
            PlanJobState::Waiting => JobState::Waiting,
            PlanJobState::Paused => JobState::Paused,
            PlanJobState::Ready | PlanJobState::Running { stopping: _ } => JobState::Queued {
                attempts: job.tries,
            },
            PlanJobState::Ended => JobState::Done {
                end: JobEnd::of(self.steps_of(index).filter_map(StepState::end)),
                at: job.ended_at?,
            },
        })
    }

    /// Where a step of a job stands, by its place.
    pub fn step(&self, job: JobId, step: usize) -> Option<StepState> {
        let job = self.index(job).ok()?;
        self.progress.step(StepPlace { job, step })
    }

    /// Whether nothing is missing to this job but a runner.
    pub fn is_ready(&self, id: JobId) -> bool {
        let state = self.index(id).ok().and_then(|job| self.progress.job(job));
        state == Some(PlanJobState::Ready)
    }

    /// Where the build stands. An offer alone is no beginning: a build is queued until a runner says that it has begun,
    /// and again when the only job that ran was lost.
    pub fn state(&self) -> BuildState {
        let is_alive = self.jobs.iter().any(|job| job.live.is_some());
        match self.progress.state() {
            PlanState::Running if self.has_begun() => BuildState::Running,
            PlanState::Pending | PlanState::Running => BuildState::Queued,
            PlanState::Paused | PlanState::Ended(_) if is_alive => BuildState::Running,
            PlanState::Paused => BuildState::Paused,
            PlanState::Ended(BuildEnd::Passed) => BuildState::Passed,
            PlanState::Ended(BuildEnd::Cancelled) => BuildState::Cancelled,
            PlanState::Ended(BuildEnd::Error) => BuildState::Error,
            PlanState::Ended(BuildEnd::Failed) => BuildState::Failed,
        }
    }

    /// When the last job was over, once all are.
    pub fn finished_at(&self) -> Option<Timestamp> {
        let last = self.jobs.iter().filter_map(|job| job.ended_at).max();
        last.filter(|_| self.state().is_over())
    }

    /// Lets something happen to a job, and draws what follows for it and all others. Returns how its attempt ended, if it
    /// did. What cannot happen is refused and changes nothing.
    pub fn take(
        &mut self,
        id: JobId,
        happening: Happening,
        at: Timestamp,
    ) -> Result<Option<Ending>, BadTransition> {
        let job = self.index(id)?;
        let ending = match happening {
            Happening::Lease(attempt) => self.lease(job, attempt).map(|()| None),
            Happening::Start => self.start(job, at).map(|()| None),
            Happening::StepStart(step) => self.start_step(job, step).map(|()| None),
            Happening::StepEnd(step, result) => self.end_step(job, step, &result).map(|()| None),
            Happening::Finish(result) => self.finish(job, result).map(Some),
            Happening::Return => self.put_back(job).map(Some),
            Happening::Lose(how) => self.lose(job, how).map(Some),
            Happening::Begin => self.apply(Event::ManualStarted(job)).map(|()| None),
            Happening::Decline => self.apply(Event::ManualDeclined(job)).map(|()| None),
        }?;
        if ending.is_some() {
            self.jobs[job.0].live = None;
        }
        self.note(at);
        Ok(ending.map(|(by, close)| Ending { by, at, close }))
    }

    /// Cancels the build: ends every job that no attempt has, and marks the others. The final job runs all the same; once
    /// nothing else is left, the next cancellation stops that. `false` if it changes nothing.
    pub fn cancel(&mut self, at: Timestamp) -> bool {
        let is_changed = self.progress.apply(Event::BuildCancelled).is_ok();
        self.note(at);
        is_changed
    }

    /// Moves the end of the lease of a job's attempt. It concerns nothing else, and comes too often to look at more.
    pub fn put_off(&mut self, id: JobId, until: Timestamp) {
        let mut jobs = self.jobs.iter_mut().filter(|job| job.id == id);
        if let Some(live) = jobs.find_map(|job| job.live.as_mut()) {
            live.lease_until = until;
        }
    }

    /// The steps of a job that had no end in `before` and now have one, other than not having been run.
    pub fn steps_ended_since(&self, before: &Self, id: JobId) -> Vec<StepIndex> {
        let Ok(job) = self.index(id) else {
            return Vec::new();
        };
        let ends = |course: &Self| -> Vec<bool> {
            let ends = course.steps_of(job).map(StepState::end);
            ends.map(|end| end.is_some_and(StepEnd::was_tried))
                .collect()
        };
        let steps = self.jobs[job.0].steps.iter();
        let changes = steps.zip(ends(before)).zip(ends(self));
        changes
            .filter(|((_, was), is)| !was && *is)
            .map(|((step, _), _)| *step)
            .collect()
    }

    /// The attempts that are to be stopped.
    pub fn to_be_stopped(&self) -> Vec<Attempt> {
        let live = self.jobs.iter().filter_map(|job| job.live);
        live.filter(|attempt| attempt.is_cancel_wanted).collect()
    }

    fn lease(&mut self, job: JobIndex, attempt: Attempt) -> Result<(), BadTransition> {
        if attempt.fence.0 <= self.jobs[job.0].tries {
            return Err(BadTransition::OldFence);
        }
        self.apply(Event::JobStarted(job))?;
        let known = &mut self.jobs[job.0];
        known.tries = attempt.fence.0;
        known.live = Some(attempt);
        Ok(())
    }

    fn start(&mut self, job: JobIndex, at: Timestamp) -> Result<(), BadTransition> {
        let live = self.jobs[job.0].live.as_mut();
        let live = live.ok_or(BadTransition::NoAttempt)?;
        if live.started_at.is_some() {
            return Err(BadTransition::Started);
        }
        live.started_at = Some(at);
        Ok(())
    }

    fn start_step(&mut self, job: JobIndex, index: StepIndex) -> Result<(), BadTransition> {
        let at = self.place(job, index)?;
        self.apply(Event::StepStarted(at))
    }

    fn end_step(
        &mut self,
        job: JobIndex,
        index: StepIndex,
        result: &StepResult,
    ) -> Result<(), BadTransition> {
        let at = self.place(job, index)?;
        let outcome = match result {
            StepResult::Passed => StepOutcome::Passed,
            StepResult::Failed { exit, why: _ } => StepOutcome::Failed { exit: *exit },
            StepResult::Error { blame: _, why: _ } => StepOutcome::Error,
            StepResult::Cancelled => StepOutcome::Cancelled,
            StepResult::NotRun => return self.agree_on_not_run(at, index),
        };
        self.apply(Event::StepEnded { at, outcome })
    }

    /// A runner says of each step after one that did not pass that it was not run, which is known here already.
    fn agree_on_not_run(&self, at: StepPlace, index: StepIndex) -> Result<(), BadTransition> {
        let end = self.progress.step(at).and_then(StepState::end);
        if end.is_some_and(|end| !end.was_tried()) || self.is_stopping(at.job) {
            return Ok(());
        }
        Err(BadTransition::NotRun(index))
    }

    fn finish(
        &mut self,
        job: JobIndex,
        result: JobResult,
    ) -> Result<(AttemptEnd, StepClose), BadTransition> {
        if self.jobs[job.0].live.is_none() {
            return Err(BadTransition::NoAttempt);
        }
        let next = self.progress.steps_to_run(job).first().copied();
        if let Some(step) = next {
            // It stopped unasked, for example because its operator stopped the runner.
            let is_own_wish = result == JobResult::Cancelled && !self.is_stopping(job);
            let event = if is_own_wish {
                let at = StepPlace { job, step };
                let outcome = StepOutcome::Cancelled;
                Event::StepEnded { at, outcome }
            } else {
                Event::JobLost(job)
            };
            self.apply(event)?;
        }
        Ok((AttemptEnd::Finished, StepClose::Finished(result)))
    }

    fn put_back(&mut self, job: JobIndex) -> Result<(AttemptEnd, StepClose), BadTransition> {
        match self.jobs[job.0].live {
            Some(live) if live.started_at.is_some() => Err(BadTransition::Started),
            Some(_) => {
                self.end_without_result(job, true)?;
                Ok((
                    AttemptEnd::Returned,
                    StepClose::Finished(JobResult::Cancelled),
                ))
            }
            None => Err(BadTransition::NoAttempt),
        }
    }

    /// An attempt that never started cost nothing, so it does not count as lost.
    fn lose(
        &mut self,
        job: JobIndex,
        how: StepClose,
    ) -> Result<(AttemptEnd, StepClose), BadTransition> {
        let known = &mut self.jobs[job.0];
        let live = known.live.ok_or(BadTransition::NoAttempt)?;
        if live.started_at.is_none() {
            return self.put_back(job);
        }
        let is_retried = known.losses < LOSSES_RETRIED_MAX;
        known.losses += 1;
        self.end_without_result(job, is_retried)?;
        Ok((AttemptEnd::Lost, how))
    }

    fn end_without_result(&mut self, job: JobIndex, is_retried: bool) -> Result<(), BadTransition> {
        if self.progress.steps_to_run(job).is_empty() {
            return Ok(());
        }
        // A job that is to be stopped is never tried again.
        self.apply(if is_retried && !self.is_stopping(job) {
            Event::JobRetried(job)
        } else {
            Event::JobLost(job)
        })
    }

    fn apply(&mut self, event: Event) -> Result<(), BadTransition> {
        // What follows is read from where things stand afterwards, so that a store needs no second account of it.
        self.progress.apply(event)?;
        Ok(())
    }

    /// Writes down what an attempt is to know, and which jobs are over now.
    fn note(&mut self, at: Timestamp) {
        for (index, job) in self.jobs.iter_mut().enumerate() {
            let state = self.progress.job(JobIndex(index));
            if let Some(live) = &mut job.live {
                live.is_cancel_wanted |=
                    matches!(state, Some(PlanJobState::Running { stopping: Some(_) }));
            } else if state == Some(PlanJobState::Ended) && job.ended_at.is_none() {
                job.ended_at = Some(at);
            }
        }
    }

    fn is_stopping(&self, job: JobIndex) -> bool {
        self.progress.stopping().contains(&job)
    }

    fn has_begun(&self) -> bool {
        let mut jobs = self.jobs.iter();
        let is_started = |live: Attempt| live.started_at.is_some();
        self.progress.has_begun() || jobs.any(|job| job.live.is_some_and(is_started))
    }

    fn index(&self, id: JobId) -> Result<JobIndex, BadTransition> {
        let place = self.jobs.iter().position(|job| job.id == id);
        place.map(JobIndex).ok_or(BadTransition::NoJob)
    }

    fn place(&self, job: JobIndex, index: StepIndex) -> Result<StepPlace, BadTransition> {
        let known = &self.jobs[job.0];
        if known.live.is_none_or(|live| live.started_at.is_none()) {
            return Err(BadTransition::NotStarted);
        }
        let step = known.steps.iter().position(|step| *step == index);
        let step = step.ok_or(BadTransition::NoStep(index))?;
        Ok(StepPlace { job, step })
    }

    fn steps_of(&self, job: JobIndex) -> impl Iterator<Item = StepState> {
        let record = self.progress.record().jobs.get(job.0);
        record.into_iter().flat_map(|job| job.steps.iter().copied())
    }
}
