//! What can happen to a build, and what follows for the caller.

use std::fmt;

use super::{
    BuildEnd, BuildState, JobIndex, JobState, Progress, StepEnd, StepPlace, StepState, StopCause,
};
use super::{NotRunReason, settle::Effects};

/// What can happen to a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// An attempt has a job that was ready.
    JobStarted(JobIndex),
    /// The next step of a job that runs has begun. Also while the job is being stopped: the runner may not know yet.
    StepStarted(StepPlace),
    /// A step has ended. A step that could not be begun may end unstarted, but then it has neither passed nor failed.
    /// With its last step the job has ended too.
    StepEnded { at: StepPlace, outcome: StepOutcome },
    /// The attempt is over without an end of every step, and there will be no other: its runner is gone, or says that
    /// it is done. The step that was running, or was next, is an error, or cancelled if the job was being stopped.
    JobLost(JobIndex),
    /// The attempt is over, and the job is to be tried again, from its first step without a recorded end. What an
    /// attempt said of a step for which it is tried again is not recorded, so this takes the place of that
    /// [`Event::StepEnded`]. A job that is being stopped is never tried again.
    JobRetried(JobIndex),
    /// A person started a job that was paused.
    ManualStarted(JobIndex),
    /// Nobody will start a job that is paused: it is not run, nor what needs it, and the build goes on without.
    ManualDeclined(JobIndex),
    /// Somebody cancelled the build. The final job runs all the same; once nothing else is left, the event stops that.
    ///
    /// So it is on Bitbucket: `final` runs also when steps were stopped, and the button that stops a pipeline stops the
    /// final step once only that is left ("Introducing Final Steps in Bitbucket Pipelines").
    BuildCancelled,
}

/// How an attempt says that a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOutcome {
    Passed,
    /// It ran and said no. A step that was killed because it was to be stopped is `Cancelled`, whatever its exit status.
    Failed {
        exit: Option<u8>,
    },
    Error,
    TimedOut,
    Limit,
    Unsupported,
    Cancelled,
}

/// What the caller has to do, or to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The job is ready, for the first time or again.
    MayStart(JobIndex),
    /// The job waits for a person.
    Paused(JobIndex),
    /// The attempt that has the job is to be stopped.
    Cancel { job: JobIndex, cause: StopCause },
    /// A step has ended, for good. Said once of every step.
    StepDecided { at: StepPlace, end: StepEnd },
    /// Said once, last.
    BuildEnded(BuildEnd),
}

/// An event that the state does not allow. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{from} cannot take {event}")]
pub struct BadTransition {
    pub from: Standing,
    pub event: Event,
}

/// What stood in the way of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is no job or step of this index.
    Nothing,
    Job(JobState),
    Step(StepState),
    Build(BuildState),
}

impl Progress {
    /// Records an event, without what follows for other steps and jobs; or says what stands in the way, and does nothing.
    pub(super) fn take(&mut self, event: Event, effects: &mut Effects) -> Result<(), Standing> {
        match event {
            Event::JobStarted(job) => self.start_job(job),
            Event::StepStarted(at) => self.start_step(at),
            Event::StepEnded { at, outcome } => self.end_step(at, outcome, effects),
            Event::JobLost(job) => self.lose(job, effects),
            Event::JobRetried(job) => self.retry(job, effects),
            Event::ManualStarted(job) => self.release(job, effects),
            Event::ManualDeclined(job) => self.decline(job, effects),
            Event::BuildCancelled => self.cancel(effects),
        }
    }

    fn start_job(&mut self, job: JobIndex) -> Result<(), Standing> {
        match self.known(job)? {
            JobState::Ready => {
                self.record.jobs[job.0].state = JobState::Running { stopping: None };
                Ok(())
            }
            state => Err(Standing::Job(state)),
        }
    }

    fn start_step(&mut self, at: StepPlace) -> Result<(), Standing> {
        let (step, _) = self.next_of_attempt(at)?;
        if step != StepState::Waiting {
            return Err(Standing::Step(step));
        }
        self.record.jobs[at.job.0].steps[at.step] = StepState::Running;
        Ok(())
    }

    fn end_step(
        &mut self,
        at: StepPlace,
        outcome: StepOutcome,
        effects: &mut Effects,
    ) -> Result<(), Standing> {
        let (step, stopping) = self.next_of_attempt(at)?;
        if step == StepState::Waiting && outcome.needs_a_start() {
            return Err(Standing::Step(step));
        }
        self.decide(at, outcome.end(stopping), effects);
        Ok(())
    }

    fn lose(&mut self, job: JobIndex, effects: &mut Effects) -> Result<(), Standing> {
        let stopping = self.attempted(job)?;
        let record = &self.record.jobs[job.0];
        let next = record.next().ok_or(Standing::Job(record.state))?;
        let end = match (stopping, record.steps[next]) {
            (None, _) => StepEnd::Error,
            (Some(_), StepState::Running) => StepEnd::Cancelled { by: stopping },
            (Some(cause), _) => StepEnd::NotRun(cause.into()),
        };
        self.decide(StepPlace { job, step: next }, end, effects);
        Ok(())
    }

    fn retry(&mut self, job: JobIndex, effects: &mut Effects) -> Result<(), Standing> {
        match self.attempted(job)? {
            None => {
                let record = &mut self.record.jobs[job.0];
                if let Some(next) = record.next() {
                    record.steps[next] = StepState::Waiting;
                }
                record.state = JobState::Ready;
                effects.push(Effect::MayStart(job));
                Ok(())
            }
            stopping @ Some(_) => Err(Standing::Job(JobState::Running { stopping })),
        }
    }

    fn release(&mut self, job: JobIndex, effects: &mut Effects) -> Result<(), Standing> {
        match self.known(job)? {
            JobState::Paused => {
                self.record.jobs[job.0].state = JobState::Ready;
                effects.push(Effect::MayStart(job));
                Ok(())
            }
            state => Err(Standing::Job(state)),
        }
    }

    fn decline(&mut self, job: JobIndex, effects: &mut Effects) -> Result<(), Standing> {
        match self.known(job)? {
            JobState::Paused => {
                let step = StepPlace { job, step: 0 };
                self.leave_out(job, NotRunReason::ManualDeclined { step }, effects);
                Ok(())
            }
            state => Err(Standing::Job(state)),
        }
    }

    fn cancel(&mut self, effects: &mut Effects) -> Result<(), Standing> {
        let refused = Err(Standing::Build(self.state()));
        if !self.is_all_but_final_ended() {
            if self.record.is_cancelled {
                return refused;
            }
        } else if let Some(last) = self.outline.final_job()
            && !matches!(
                self.record.jobs[last].state,
                JobState::Ended | JobState::Running { stopping: Some(_) }
            )
        {
            self.stop(JobIndex(last), StopCause::BuildCancelled, effects);
        } else {
            return refused;
        }
        self.record.is_cancelled = true;
        Ok(())
    }

    fn known(&self, job: JobIndex) -> Result<JobState, Standing> {
        self.job(job).ok_or(Standing::Nothing)
    }

    /// What a job that an attempt has is stopped for, if it is.
    fn attempted(&self, job: JobIndex) -> Result<Option<StopCause>, Standing> {
        match self.known(job)? {
            JobState::Running { stopping } => Ok(stopping),
            state => Err(Standing::Job(state)),
        }
    }

    /// A step of a job that an attempt has, with all earlier ones ended and itself not; and what the job is stopped for.
    fn next_of_attempt(&self, at: StepPlace) -> Result<(StepState, Option<StopCause>), Standing> {
        let step = self.step(at).ok_or(Standing::Nothing)?;
        let stopping = self.attempted(at.job)?;
        if self.record.jobs[at.job.0].next() == Some(at.step) {
            Ok((step, stopping))
        } else {
            Err(Standing::Step(step))
        }
    }
}

impl StepOutcome {
    const fn needs_a_start(self) -> bool {
        matches!(self, Self::Passed | Self::Failed { .. })
    }

    const fn end(self, stopping: Option<StopCause>) -> StepEnd {
        match self {
            Self::Passed => StepEnd::Passed,
            Self::Failed { exit } => StepEnd::Failed { exit },
            Self::Error => StepEnd::Error,
            Self::TimedOut => StepEnd::TimedOut,
            Self::Limit => StepEnd::Limit,
            Self::Unsupported => StepEnd::Unsupported,
            Self::Cancelled => StepEnd::Cancelled { by: stopping },
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JobStarted(job) => write!(formatter, "a start of {job}"),
            Self::StepStarted(at) => write!(formatter, "a start of {at}"),
            Self::StepEnded { at, outcome } => {
                write!(formatter, "an end of {at} ({})", outcome.end(None).name())
            }
            Self::JobLost(job) => write!(formatter, "a loss of {job}"),
            Self::JobRetried(job) => write!(formatter, "a retry of {job}"),
            Self::ManualStarted(job) => write!(formatter, "a start by hand of {job}"),
            Self::ManualDeclined(job) => write!(formatter, "a refusal to start {job}"),
            Self::BuildCancelled => formatter.write_str("a cancellation"),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => formatter.write_str("what does not exist"),
            Self::Job(state) => write!(formatter, "a job that is {}", state.name()),
            Self::Step(StepState::Ended(end)) => {
                write!(formatter, "a step that has ended ({})", end.name())
            }
            Self::Step(state) => write!(formatter, "a step that is {}", state.name()),
            Self::Build(state) => write!(formatter, "a build that is {}", state.name()),
        }
    }
}
