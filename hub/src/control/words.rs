//! Why a job waits and why a step was not run, in the words that people read. The one place where they are put so.

use cofferdam_pipeline::progress::{NotRunReason, StepEnd, StepPlace, StepState, StopCause};

use crate::domain::{Build, Job, JobEnd, JobState, JobStep};
use crate::plain_text::one_line;

/// Longest name of a step within a sentence, in bytes.
const NAME_BYTES_MAX: usize = 100;

/// Where a step stands, in a word for scripts.
pub(super) const fn step_state(state: StepState) -> &'static str {
    match state {
        StepState::Waiting => "queued",
        StepState::Running => "running",
        StepState::Ended(end) => match end {
            StepEnd::Passed => "passed",
            StepEnd::Failed { exit: _ }
            | StepEnd::TimedOut
            | StepEnd::Limit
            | StepEnd::Unsupported => "failed",
            StepEnd::Error => "error",
            StepEnd::Cancelled { by: _ } => "cancelled",
            StepEnd::Skipped => "skipped",
            StepEnd::NotRun(_) => "not-run",
        },
    }
}

/// Why a step was stopped or not run; `None` for one that ended by itself, or has not ended. `all` are the build's jobs.
pub(super) fn why_step(step: &JobStep, all: &[Job]) -> Option<String> {
    match step.state.end()? {
        StepEnd::Skipped => step.skip.clone(),
        StepEnd::NotRun(reason) => Some(why_not_run(step, reason, all)),
        StepEnd::Cancelled { by: Some(cause) } => Some(match cause {
            StopCause::FailFast { step } => fail_fast(step, all),
            StopCause::BuildCancelled => "the build was cancelled".to_owned(),
        }),
        StepEnd::Cancelled { by: None } => Some("its runner stopped it".to_owned()),
        StepEnd::Passed
        | StepEnd::Failed { exit: _ }
        | StepEnd::Error
        | StepEnd::TimedOut
        | StepEnd::Limit
        | StepEnd::Unsupported => None,
    }
}

fn why_not_run(step: &JobStep, reason: NotRunReason, all: &[Job]) -> String {
    match reason {
        NotRunReason::EarlierStepFailed { step } => {
            let how = match end_of(step, all) {
                Some(StepEnd::Error) => "could not be run",
                Some(StepEnd::Cancelled { by: _ }) => "was stopped",
                _ => "failed",
            };
            format!("{} {how}", called(step, all))
        }
        NotRunReason::FailFast { step } => fail_fast(step, all),
        NotRunReason::BuildCancelled => "the build was cancelled".to_owned(),
        NotRunReason::ManualDeclined { step: declined } => {
            let is_itself =
                find(declined, all).is_some_and(|found| found.spec.index == step.spec.index);
            if is_itself {
                "it was declined".to_owned()
            } else {
                format!("{} was declined", called(declined, all))
            }
        }
    }
}

fn fail_fast(step: StepPlace, all: &[Job]) -> String {
    format!(
        "{} failed and stops its group (fail-fast)",
        called(step, all)
    )
}

/// Why a job may not start yet: the jobs that it waits for.
pub(super) fn why_waiting(job: &Job, all: &[Job]) -> String {
    if job.is_final {
        return "it is the final one, and waits for all others".to_owned();
    }
    let is_well = |state: &JobState| {
        matches!(
            state,
            JobState::Done {
                end: JobEnd::Passed | JobEnd::Skipped,
                at: _
            }
        )
    };
    let missing = job.needs.iter().filter(|&&need| {
        let needed = all.get(need);
        needed.is_none_or(|needed| !is_well(&needed.state))
    });
    let missing: Vec<String> = missing.map(|need| (need + 1).to_string()).collect();
    format!("it waits for job {}", missing.join(", "))
}

/// What a person is to do before a job goes on.
pub(super) fn why_paused(build: &Build, job: &Job) -> String {
    let (repository, number) = (&build.push.repository, build.number);
    let step = job.steps.first().map_or(1, step_number);
    format!("it waits for a person: `cofferdam-hub build start {repository} {number} {step}`")
}

/// What people are to do before a build goes on, a sentence for each job; none unless nothing but people is missing.
pub(super) fn waits(build: &Build, jobs: &[Job]) -> Vec<String> {
    let (repository, number) = (&build.push.repository, build.number);
    let paused = jobs.iter().filter(|job| job.state == JobState::Paused);
    let first = paused.filter_map(|job| job.steps.first());
    let sentence = |step: &JobStep| {
        let (called, step) = (name(step), step_number(step));
        format!(
            "{called} waits for a person: `cofferdam-hub build start {repository} {number} {step}`"
        )
    };
    first.map(sentence).collect()
}

/// A step as sentences call it: step 2 `Test`.
pub(super) fn name(step: &JobStep) -> String {
    let called = one_line(&step.spec.name, NAME_BYTES_MAX);
    format!("step {} `{called}`", step_number(step))
}

/// What people count a step as.
fn step_number(step: &JobStep) -> u32 {
    u32::from(step.spec.index.0) + 1
}

fn called(at: StepPlace, all: &[Job]) -> String {
    find(at, all).map_or_else(|| "an earlier step".to_owned(), name)
}

fn end_of(at: StepPlace, all: &[Job]) -> Option<StepEnd> {
    find(at, all)?.state.end()
}

fn find(at: StepPlace, all: &[Job]) -> Option<&JobStep> {
    all.get(at.job.0)?.steps.get(at.step)
}
