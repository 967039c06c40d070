//! Attempts that are lost, and jobs that are tried again.

use super::{Build, chain, ended, job, manual, place};
use cofferdam_pipeline::progress::{Event, JobIndex, StepOutcome};

const ZERO: JobIndex = JobIndex(0);

#[test]
fn a_job_that_is_tried_again_begins_at_its_first_step_without_a_recorded_end() {
    let mut build = Build::of(&[chain(&[], 3)]);
    build
        .runs(0)
        .step_ends(0, 0, StepOutcome::Passed)
        .step_starts(0, 1);
    assert_eq!(build.after(Event::JobRetried(ZERO)), ["may start job 0"]);
    assert_eq!(build.steps(), ["passed, waiting, waiting"]);
    assert_eq!(build.progress.steps_to_run(ZERO), [1, 2]);
    build.starts(0);
    build.refusal(Event::StepStarted(place(0, 0)));
    build.step_starts(0, 1).step_ends(0, 1, StepOutcome::Passed);
    build.step_starts(0, 2).step_ends(0, 2, StepOutcome::Passed);
    assert_eq!(build.state(), "passed");
}

#[test]
fn an_attempt_that_was_put_back_can_change_nothing_any_more() {
    let mut build = Build::of(&[job(&[])]);
    build.runs(0).after(Event::JobRetried(ZERO));
    assert_eq!(
        build.refusal(ended(0, 0, StepOutcome::Passed)),
        "a job that is ready cannot take an end of step 0 of job 0 (passed)"
    );
    build.refusal(Event::JobRetried(ZERO));
    build.refusal(Event::JobLost(ZERO));
}

#[test]
fn a_build_whose_only_attempt_left_no_result_is_pending_again() {
    let mut build = Build::of(&[chain(&[], 2)]);
    build.runs(0);
    assert_eq!(build.state(), "running");
    build.after(Event::JobRetried(ZERO));
    assert_eq!(build.state(), "pending");
}

#[test]
fn a_job_that_is_lost_for_good_is_an_error_where_it_stood() {
    let mut build = Build::of(&[chain(&[], 3), job(&[0])]);
    build.runs(0).step_ends(0, 0, StepOutcome::Passed);
    build.after(Event::JobLost(ZERO));
    assert_eq!(
        build.steps(),
        ["passed, error, not run after 0.1", "not run after 0.1"]
    );
    assert_eq!(build.state(), "error");
}

#[test]
fn a_job_that_is_lost_while_it_is_stopped_is_cancelled() {
    let mut build = Build::of(&[chain(&[], 2)]);
    build.runs(0).cancels().after(Event::JobLost(ZERO));
    assert_eq!(
        build.steps(),
        ["cancelled, build cancelled, not run, build cancelled"]
    );
    assert_eq!(build.state(), "cancelled");
}

#[test]
fn a_job_that_is_being_stopped_is_never_tried_again() {
    let mut build = Build::of(&[job(&[])]);
    build.runs(0).cancels();
    assert_eq!(
        build.refusal(Event::JobRetried(ZERO)),
        "a job that is stopping cannot take a retry of job 0"
    );
}

#[test]
fn a_manual_job_that_is_tried_again_asks_nobody_a_second_time() {
    let mut build = Build::of(&[manual(&[])]);
    build.after(Event::ManualStarted(ZERO));
    build.runs(0).after(Event::JobRetried(ZERO));
    assert_eq!((build.ready(), build.paused()), (vec![0], vec![]));
}

#[test]
fn a_job_that_has_no_attempt_cannot_be_lost() {
    let mut build = Build::of(&[job(&[]), job(&[0])]);
    build.refusal(Event::JobLost(ZERO));
    build.refusal(Event::JobLost(JobIndex(1)));
}
