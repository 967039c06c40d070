//! The final step ("Introducing Final Steps in Bitbucket Pipelines") and the cancellation of a build.

use super::{Build, FAILED, chain, ended, final_job, in_group, job, manual, skipped};
use cofferdam_pipeline::progress::{Event, JobIndex, StepOutcome};

#[test]
fn the_final_step_waits_for_all_others() {
    let mut build = Build::of(&[job(&[]), job(&[]), final_job()]);
    build.passes(0);
    assert_eq!(build.ready(), [1]);
    build.passes(1);
    assert_eq!(build.ready(), [2]);
    build.passes(2);
    assert_eq!(build.state(), "passed");
}

#[test]
fn the_final_step_runs_after_a_failure_and_does_not_mend_it() {
    let mut build = Build::of(&[job(&[]), job(&[0]), final_job()]);
    build.fails(0);
    assert_eq!(build.ready(), [2]);
    build.passes(2);
    assert_eq!(build.steps(), ["failed", "not run after 0.0", "passed"]);
    assert_eq!(build.state(), "failed");
}

#[test]
fn the_final_step_runs_after_fail_fast_once_the_stopped_steps_have_ended() {
    let jobs = [in_group(0, job(&[])), in_group(0, job(&[])), final_job()];
    let mut build = Build::with_groups(&jobs, &[true]);
    build.runs(1).fails(0);
    assert!(build.ready().is_empty());
    build.step_ends(1, 0, StepOutcome::Cancelled);
    assert_eq!(build.ready(), [2]);
}

#[test]
fn the_final_step_runs_if_all_others_were_skipped() {
    let build = Build::of(&[skipped(&[]), final_job()]);
    assert_eq!(build.ready(), [1]);
}

#[test]
fn a_final_step_that_fails_fails_the_build() {
    let mut build = Build::of(&[job(&[]), final_job()]);
    build.passes(0).fails(1);
    assert_eq!(build.state(), "failed");
}

#[test]
fn a_final_step_whose_condition_says_no_is_skipped() {
    let mut last = final_job();
    last.steps[0].skip = true;
    let mut build = Build::of(&[job(&[]), last]);
    build.fails(0);
    assert_eq!(build.steps(), ["failed", "skipped"]);
    assert_eq!(build.state(), "failed");
}

#[test]
fn a_final_step_may_stand_anywhere_in_the_outline() {
    let mut build = Build::of(&[final_job(), job(&[]), job(&[1])]);
    assert_eq!(build.ready(), [1]);
    build.passes(1).passes(2);
    assert_eq!(build.ready(), [0]);
}

#[test]
fn cancelling_stops_what_runs_and_leaves_out_what_waits_or_is_paused() {
    let mut build = Build::of(&[chain(&[], 2), job(&[]), manual(&[]), job(&[0])]);
    build.runs(0);
    let told = build.after(Event::BuildCancelled);
    assert_eq!(
        told,
        [
            "cancel job 0, build cancelled",
            "step 0 of job 1: not run, build cancelled",
            "step 0 of job 2: not run, build cancelled",
            "step 0 of job 3: not run, build cancelled",
        ]
    );
    let told = build.after(ended(0, 0, StepOutcome::Cancelled));
    assert_eq!(
        told,
        [
            "step 0 of job 0: cancelled, build cancelled",
            "step 1 of job 0: not run, build cancelled",
            "build cancelled",
        ]
    );
}

#[test]
fn cancelling_what_has_not_begun_or_is_paused_ends_it_at_once() {
    for first in [job(&[]), manual(&[])] {
        let mut build = Build::of(&[first]);
        build.cancels();
        assert_eq!(build.state(), "cancelled");
    }
}

#[test]
fn a_cancelled_build_runs_its_final_step_and_stays_cancelled() {
    let mut build = Build::of(&[job(&[]), job(&[0]), final_job()]);
    build.runs(0).cancels();
    assert!(build.ready().is_empty(), "the step that runs ends first");
    build.step_ends(0, 0, StepOutcome::Cancelled);
    assert_eq!(build.ready(), [2]);
    build.passes(2);
    assert_eq!(build.state(), "cancelled");
}

#[test]
fn cancelling_again_is_refused_until_only_the_final_step_is_left_and_then_stops_that() {
    let mut build = Build::of(&[job(&[]), final_job()]);
    build.runs(0).cancels();
    build.refusal(Event::BuildCancelled);
    build.step_ends(0, 0, StepOutcome::Cancelled).runs(1);
    assert_eq!(
        build.after(Event::BuildCancelled),
        ["cancel job 1, build cancelled"]
    );
    build.refusal(Event::BuildCancelled);
    build.step_ends(1, 0, StepOutcome::Cancelled);
    assert_eq!(build.state(), "cancelled");
    build.refusal(Event::BuildCancelled);
}

#[test]
fn cancelling_when_only_the_final_step_is_left_keeps_it_from_starting() {
    let mut build = Build::of(&[job(&[]), final_job()]);
    build.fails(0).cancels();
    assert_eq!(build.steps(), ["failed", "not run, build cancelled"]);
    assert_eq!(build.state(), "failed", "the others' result stands");
}

#[test]
fn a_build_whose_last_step_passed_before_the_cancellation_reached_it_has_passed() {
    let mut build = Build::of(&[job(&[])]);
    build.runs(0).cancels().step_ends(0, 0, StepOutcome::Passed);
    assert_eq!(build.state(), "passed");
}

#[test]
fn a_build_that_failed_before_it_was_cancelled_has_failed() {
    let mut build = Build::of(&[job(&[]), job(&[])]);
    build.runs(1).fails(0).cancels();
    build.step_ends(1, 0, StepOutcome::Cancelled);
    assert_eq!(build.state(), "failed");
}

#[test]
fn a_job_that_fail_fast_is_stopping_is_not_stopped_a_second_time() {
    let jobs = [in_group(0, job(&[])), in_group(0, job(&[])), job(&[])];
    let mut build = Build::with_groups(&jobs, &[true]);
    build.runs(1).fails(0);
    assert_eq!(
        build.after(Event::BuildCancelled),
        ["step 0 of job 2: not run, build cancelled"]
    );
    build.step_ends(1, 0, StepOutcome::Cancelled);
    assert_eq!(build.steps()[1], "cancelled, fail-fast of 0.0");
}

#[test]
fn a_build_that_has_ended_takes_nothing_more() {
    let mut build = Build::of(&[job(&[])]);
    build.passes(0);
    let zero = JobIndex(0);
    for event in [
        Event::JobStarted(zero),
        ended(0, 0, FAILED),
        Event::JobLost(zero),
        Event::JobRetried(zero),
        Event::BuildCancelled,
    ] {
        build.refusal(event);
    }
}
