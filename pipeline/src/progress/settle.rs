//! What follows from what has happened: everything that no event says, because the outline and the states say it.
//!
//! The rules look at where things stand and not at how they came there, so they may run again at any time, also over a
//! record whose last event was stored and its consequences were not. Where nothing is left to draw, they change nothing.

use super::{
    Effect, GroupPlace, JobIndex, JobState, NotRunReason, Outline, Progress, Record, StepEnd,
    StepPlace, StepState, StopCause,
};

pub(super) type Effects = Vec<Effect>;

impl Progress {
    /// A checked record with all consequences drawn.
    pub(super) fn settled(outline: Outline, record: Record) -> (Self, Effects) {
        let mut progress = Self { outline, record };
        let mut effects = Effects::new();
        if !progress.has_ended() {
            progress.settle(&mut effects);
        }
        (progress, effects)
    }

    /// Draws all consequences of a build that had not ended.
    pub(super) fn settle(&mut self, effects: &mut Effects) {
        for job in self.indices() {
            self.close(job, effects);
        }
        self.fail_fast(effects);
        if self.record.is_cancelled {
            self.stop_all_but_final(effects);
        }
        // A job comes after all it needs, so one pass reaches the end of every chain.
        for job in self.indices() {
            self.advance(job, effects);
        }
        // The final job may come before others in the outline, and waits for them all the same.
        if let Some(last) = self.outline.final_job() {
            self.advance(JobIndex(last), effects);
        }
        if self.has_ended() {
            effects.push(Effect::BuildEnded(self.end()));
        }
    }

    /// Whether everything that a job waits for is there, except a person and a runner.
    pub(super) fn may_go(&self, job: JobIndex) -> bool {
        let outlined = &self.outline.jobs[job.0];
        if outlined.is_final {
            self.is_all_but_final_ended()
        } else {
            let mut needs = outlined.needs.iter();
            needs.all(|&need| self.record.jobs[need].is_well())
        }
    }

    pub(super) fn is_all_but_final_ended(&self) -> bool {
        let mut jobs = self.record.jobs.iter().zip(&self.outline.jobs);
        jobs.all(|(job, outlined)| outlined.is_final || job.state == JobState::Ended)
    }

    /// Writes down how a step ended.
    pub(super) fn decide(&mut self, at: StepPlace, end: StepEnd, effects: &mut Effects) {
        self.record.jobs[at.job.0].steps[at.step] = StepState::Ended(end);
        effects.push(Effect::StepDecided { at, end });
    }

    /// Ends a job that no attempt has: none of its further steps is run.
    pub(super) fn leave_out(&mut self, job: JobIndex, why: NotRunReason, effects: &mut Effects) {
        while let Some(step) = self.record.jobs[job.0].next() {
            self.decide(StepPlace { job, step }, StepEnd::NotRun(why), effects);
        }
        self.record.jobs[job.0].state = JobState::Ended;
    }

    /// Sees to it that a job goes no further. An attempt that has it still says how its steps ended.
    pub(super) fn stop(&mut self, job: JobIndex, cause: StopCause, effects: &mut Effects) {
        let state = &mut self.record.jobs[job.0].state;
        match *state {
            JobState::Waiting | JobState::Paused | JobState::Ready => {
                self.leave_out(job, cause.into(), effects);
            }
            JobState::Running { stopping: None } => {
                *state = JobState::Running {
                    stopping: Some(cause),
                };
                effects.push(Effect::Cancel { job, cause });
            }
            JobState::Running { stopping: Some(_) } | JobState::Ended => {}
        }
    }

    /// What the ends of a job's own steps mean for the rest of it: after one that did not end well no other is run
    /// ("Step options"), and with the last one the job has ended.
    fn close(&mut self, job: JobIndex, effects: &mut Effects) {
        let record = &self.record.jobs[job.0];
        if record.state == JobState::Ended {
            return;
        }
        if let Some(reason) = record.first_ill(job, StepEnd::stops_its_job) {
            self.leave_out(job, reason, effects);
            return;
        }
        if matches!(record.state, JobState::Ready | JobState::Running { .. }) {
            self.skip_ahead(job, effects);
        }
        let record = &mut self.record.jobs[job.0];
        if record.next().is_none() {
            record.state = JobState::Ended;
        }
    }

    /// Skips the steps whose turn it is and whose condition says no ("Pipeline start conditions", "Stage options").
    fn skip_ahead(&mut self, job: JobIndex, effects: &mut Effects) {
        while let Some(step) = self.record.jobs[job.0].next()
            && self.record.jobs[job.0].steps[step] == StepState::Waiting
            && self.outline.jobs[job.0].steps[step].skip
        {
            self.decide(StepPlace { job, step }, StepEnd::Skipped, effects);
        }
    }

    /// Stops each group in which a step failed that is not to be outlived by the others: the jobs that run, and those
    /// that would have run later ("Parallel step options").
    fn fail_fast(&mut self, effects: &mut Effects) {
        for group in (0..=u16::MAX).take(self.outline.groups.len()) {
            let place = Some(GroupPlace { group });
            if let Some(step) = self.fatal_step(place) {
                for job in self.indices() {
                    if self.outline.jobs[job.0].group == place && job != step.job {
                        self.stop(job, StopCause::FailFast { step }, effects);
                    }
                }
            }
        }
    }

    /// The first failed step of a group after which the group is to stop.
    fn fatal_step(&self, place: Option<GroupPlace>) -> Option<StepPlace> {
        let group = self.outline.groups[usize::from(place?.group)];
        let jobs = self.indices().into_iter();
        jobs.filter(|job| self.outline.jobs[job.0].group == place)
            .find_map(|job| {
                let states = self.record.jobs[job.0].steps.iter();
                let mut steps = states.zip(&self.outline.jobs[job.0].steps);
                let step = steps.position(|(state, step)| {
                    (group.fail_fast || step.fail_fast)
                        && state.end().is_some_and(StepEnd::is_failure)
                })?;
                Some(StepPlace { job, step })
            })
    }

    fn stop_all_but_final(&mut self, effects: &mut Effects) {
        for job in self.indices() {
            if !self.outline.jobs[job.0].is_final {
                self.stop(job, StopCause::BuildCancelled, effects);
            }
        }
    }

    /// Lets a job that waits become ready or paused, if its turn has come; or leaves it out, if its turn will never come.
    fn advance(&mut self, job: JobIndex, effects: &mut Effects) {
        if self.record.jobs[job.0].state != JobState::Waiting {
            return;
        }
        if !self.may_go(job) {
            if let Some(reason) = self.why_never(job) {
                self.leave_out(job, reason, effects);
            }
            return;
        }
        self.skip_ahead(job, effects);
        let record = &mut self.record.jobs[job.0];
        let (state, effect) = match record.next() {
            None => (JobState::Ended, None),
            // A manual step is only ever the first of its job, and waits for a person ("Pipeline triggers").
            Some(next) if self.outline.jobs[job.0].steps[next].manual => {
                (JobState::Paused, Some(Effect::Paused(job)))
            }
            Some(_) => (JobState::Ready, Some(Effect::MayStart(job))),
        };
        record.state = state;
        effects.extend(effect);
    }

    /// Why a job can never start: the first job that it needs and that did not end well. A final job always can.
    fn why_never(&self, job: JobIndex) -> Option<NotRunReason> {
        let outlined = &self.outline.jobs[job.0];
        if outlined.is_final {
            return None;
        }
        outlined.needs.iter().find_map(|&need| {
            self.record.jobs[need].first_ill(JobIndex(need), StepEnd::stops_later_jobs)
        })
    }

    fn indices(&self) -> Vec<JobIndex> {
        (0..self.outline.jobs.len()).map(JobIndex).collect()
    }
}
