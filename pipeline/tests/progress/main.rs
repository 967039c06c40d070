//! The progress of a build through its one door: an outline and events go in, effects and states come out.
//!
//! `order`, `manual`, `groups`, `endings` and `tries` each hold one kind of rule; `records` holds what is stored and
//! restored; `anything` holds what must be true of every outline and every order of events.

mod anything;
mod endings;
mod groups;
mod manual;
mod order;
mod records;
mod tries;

use cofferdam_pipeline::progress::{
    BuildState, Effect, Event, Group, GroupPlace, JobIndex, NotRunReason, Outline, OutlineJob,
    OutlineStep, Progress, StepEnd, StepOutcome, StepPlace, StepState, StopCause,
};

/// A job of one step that needs these jobs.
fn job(needs: &[usize]) -> OutlineJob {
    OutlineJob {
        needs: needs.to_vec(),
        steps: vec![OutlineStep::default()],
        group: None,
        is_final: false,
    }
}

fn chain(needs: &[usize], steps: usize) -> OutlineJob {
    OutlineJob {
        steps: vec![OutlineStep::default(); steps],
        ..job(needs)
    }
}

fn manual(needs: &[usize]) -> OutlineJob {
    with_first_step(job(needs), |step| step.manual = true)
}

fn skipped(needs: &[usize]) -> OutlineJob {
    with_first_step(job(needs), |step| step.skip = true)
}

fn with_first_step(mut job: OutlineJob, change: fn(&mut OutlineStep)) -> OutlineJob {
    change(&mut job.steps[0]);
    job
}

fn in_group(group: u16, job: OutlineJob) -> OutlineJob {
    OutlineJob {
        group: Some(GroupPlace { group }),
        ..job
    }
}

fn final_job() -> OutlineJob {
    OutlineJob {
        is_final: true,
        ..job(&[])
    }
}

fn place(job: usize, step: usize) -> StepPlace {
    StepPlace {
        job: JobIndex(job),
        step,
    }
}

fn ended(job: usize, step: usize, outcome: StepOutcome) -> Event {
    Event::StepEnded {
        at: place(job, step),
        outcome,
    }
}

const FAILED: StepOutcome = StepOutcome::Failed { exit: Some(1) };

/// A build as a test sees it.
struct Build {
    progress: Progress,
    /// Everything that was to be done so far, a line each.
    told: Vec<String>,
}

impl Build {
    fn of(jobs: &[OutlineJob]) -> Self {
        Self::with_groups(jobs, &[])
    }

    /// `groups` says of each group whether it is fail-fast.
    fn with_groups(jobs: &[OutlineJob], groups: &[bool]) -> Self {
        let outline = Outline {
            jobs: jobs.to_vec(),
            groups: groups
                .iter()
                .map(|&fail_fast| Group { fail_fast })
                .collect(),
        };
        let (progress, effects) = Progress::new(outline).expect("the outline of the test is one");
        let told = effects.iter().map(effect_line).collect();
        Self { progress, told }
    }

    /// Lets it happen, and gives what it leads to, a line each.
    fn after(&mut self, event: Event) -> Vec<String> {
        let effects = self.progress.apply(event).expect("the event is allowed");
        let lines: Vec<_> = effects.iter().map(effect_line).collect();
        self.told.extend(lines.clone());
        lines
    }

    /// Why it cannot happen.
    fn refusal(&mut self, event: Event) -> String {
        let before = self.progress.clone();
        let refused = self
            .progress
            .apply(event)
            .expect_err("the event is refused");
        assert_eq!(self.progress, before, "a refused event changed something");
        refused.to_string()
    }

    fn starts(&mut self, job: usize) -> &mut Self {
        self.after(Event::JobStarted(JobIndex(job)));
        self
    }

    fn step_starts(&mut self, job: usize, step: usize) -> &mut Self {
        self.after(Event::StepStarted(place(job, step)));
        self
    }

    fn step_ends(&mut self, job: usize, step: usize, outcome: StepOutcome) -> &mut Self {
        self.after(ended(job, step, outcome));
        self
    }

    /// Begins a job and its first step.
    fn runs(&mut self, job: usize) -> &mut Self {
        self.starts(job).step_starts(job, 0)
    }

    /// Runs a job of one step to an end that is reported like this.
    fn ends(&mut self, job: usize, outcome: StepOutcome) -> &mut Self {
        self.runs(job).step_ends(job, 0, outcome)
    }

    fn passes(&mut self, job: usize) -> &mut Self {
        self.ends(job, StepOutcome::Passed)
    }

    fn fails(&mut self, job: usize) -> &mut Self {
        self.ends(job, FAILED)
    }

    fn cancels(&mut self) -> &mut Self {
        self.after(Event::BuildCancelled);
        self
    }

    fn ready(&self) -> Vec<usize> {
        numbers(&self.progress.ready())
    }

    fn paused(&self) -> Vec<usize> {
        numbers(&self.progress.paused())
    }

    fn state(&self) -> &'static str {
        self.progress.state().name()
    }

    fn has_ended(&self) -> bool {
        matches!(self.progress.state(), BuildState::Ended(_))
    }

    /// Where the steps stand, a line for each job.
    fn steps(&self) -> Vec<String> {
        let jobs = self.progress.record().jobs.iter();
        jobs.map(|job| {
            let steps: Vec<_> = job.steps.iter().map(|step| step_words(*step)).collect();
            steps.join(", ")
        })
        .collect()
    }
}

fn numbers(jobs: &[JobIndex]) -> Vec<usize> {
    jobs.iter().map(|job| job.0).collect()
}

fn effect_line(effect: &Effect) -> String {
    match effect {
        Effect::MayStart(job) => format!("may start {job}"),
        Effect::Paused(job) => format!("paused {job}"),
        Effect::Cancel { job, cause } => format!("cancel {job}, {}", cause_words(*cause)),
        Effect::StepDecided { at, end } => format!("{at}: {}", step_words(StepState::Ended(*end))),
        Effect::BuildEnded(end) => format!("build {}", BuildState::Ended(*end).name()),
    }
}

fn step_words(state: StepState) -> String {
    match state {
        StepState::Ended(StepEnd::Cancelled { by: Some(cause) }) => {
            format!("cancelled, {}", cause_words(cause))
        }
        StepState::Ended(StepEnd::NotRun(reason)) => match reason {
            NotRunReason::EarlierStepFailed { step } => format!("not run after {}", short(step)),
            NotRunReason::FailFast { step } => format!("not run, fail-fast of {}", short(step)),
            NotRunReason::BuildCancelled => "not run, build cancelled".to_owned(),
            NotRunReason::ManualDeclined { step } => format!("not run, {} declined", short(step)),
        },
        state => state.name().to_owned(),
    }
}

fn cause_words(cause: StopCause) -> String {
    match cause {
        StopCause::FailFast { step } => format!("fail-fast of {}", short(step)),
        StopCause::BuildCancelled => "build cancelled".to_owned(),
    }
}

fn short(at: StepPlace) -> String {
    format!("{}.{}", at.job.0, at.step)
}
