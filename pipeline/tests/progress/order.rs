//! What waits for what ("Step options", "Pipeline start conditions", "Stage options").

use super::{Build, FAILED, chain, ended, job, place, skipped, with_first_step};
use cofferdam_pipeline::progress::{Event, JobIndex, StepOutcome};

#[test]
fn a_job_that_needs_nothing_may_start_at_once() {
    let build = Build::of(&[job(&[]), job(&[0])]);
    assert_eq!(build.told, ["may start job 0"]);
    assert_eq!(build.ready(), [0]);
    assert_eq!(build.state(), "pending");
}

#[test]
fn a_job_waits_for_every_job_it_needs() {
    let mut build = Build::of(&[job(&[]), job(&[]), job(&[0, 1])]);
    build.passes(1);
    assert_eq!(build.ready(), [0]);
    build.passes(0);
    assert_eq!(build.ready(), [2]);
    assert_eq!(
        build.state(),
        "running",
        "a build that has begun never looks unbegun between jobs"
    );
}

#[test]
fn a_job_may_not_start_before_its_turn() {
    let mut build = Build::of(&[job(&[]), job(&[0])]);
    let refusal = build.refusal(Event::JobStarted(JobIndex(1)));
    assert_eq!(
        refusal,
        "a job that is waiting cannot take a start of job 1"
    );
}

#[test]
fn the_steps_of_a_job_run_in_order_and_one_at_a_time() {
    let mut build = Build::of(&[chain(&[], 2)]);
    build.starts(0);
    build.refusal(Event::StepStarted(place(0, 1)));
    build.step_starts(0, 0);
    build.refusal(Event::StepStarted(place(0, 1)));
    build.step_ends(0, 0, StepOutcome::Passed);
    assert!(!build.has_ended());
    build.step_starts(0, 1).step_ends(0, 1, StepOutcome::Passed);
    assert_eq!(build.steps(), ["passed, passed"]);
    assert_eq!(build.state(), "passed");
}

#[test]
fn the_last_step_to_end_ends_the_build() {
    let mut build = Build::of(&[job(&[])]);
    build.runs(0);
    let told = build.after(ended(0, 0, StepOutcome::Passed));
    assert_eq!(told, ["step 0 of job 0: passed", "build passed"]);
}

#[test]
fn after_a_failed_step_the_rest_of_its_job_is_not_run() {
    let mut build = Build::of(&[chain(&[], 3)]);
    build.runs(0).step_ends(0, 0, StepOutcome::Passed);
    build.step_starts(0, 1).step_ends(0, 1, FAILED);
    assert_eq!(build.steps(), ["passed, failed, not run after 0.1"]);
    assert_eq!(build.state(), "failed");
}

#[test]
fn jobs_that_need_a_failed_one_are_not_run_and_name_the_step_that_began_it() {
    let mut build = Build::of(&[job(&[]), chain(&[0], 2), job(&[1])]);
    build.fails(0);
    assert_eq!(
        build.steps(),
        [
            "failed",
            "not run after 0.0, not run after 0.0",
            "not run after 0.0"
        ]
    );
}

#[test]
fn a_step_whose_condition_says_no_counts_as_success() {
    let mut build = Build::of(&[job(&[]), skipped(&[0]), job(&[1])]);
    assert_eq!(
        build.ready(),
        [0],
        "a skipped job still keeps its place in the order"
    );
    build.passes(0);
    assert_eq!(build.steps(), ["passed", "skipped", "waiting"]);
    assert_eq!(build.ready(), [2]);
    build.passes(2);
    assert_eq!(build.state(), "passed");
}

#[test]
fn a_step_whose_condition_says_no_is_not_run_if_its_turn_never_comes() {
    let mut build = Build::of(&[job(&[]), skipped(&[0]), job(&[1])]);
    build.fails(0);
    assert_eq!(
        build.steps(),
        ["failed", "not run after 0.0", "not run after 0.0"]
    );
}

#[test]
fn a_step_whose_condition_says_no_is_not_run_after_a_failed_one_of_its_job() {
    let mut pair = chain(&[], 2);
    pair.steps[1].skip = true;
    let mut build = Build::of(&[pair]);
    build.fails(0);
    assert_eq!(build.steps(), ["failed, not run after 0.0"]);
}

#[test]
fn a_build_of_which_every_condition_says_no_has_passed_at_once() {
    let build = Build::of(&[skipped(&[]), skipped(&[0])]);
    assert_eq!(
        build.told,
        [
            "step 0 of job 0: skipped",
            "step 0 of job 1: skipped",
            "build passed"
        ]
    );
}

#[test]
fn skipped_steps_at_either_end_of_a_job_need_no_runner() {
    let mut middle = chain(&[], 3);
    middle.steps[0].skip = true;
    middle.steps[2].skip = true;
    let mut build = Build::of(&[middle]);
    assert_eq!(build.progress.steps_to_run(JobIndex(0)), [1]);
    build.starts(0);
    build.refusal(Event::StepStarted(place(0, 0)));
    build.step_starts(0, 1).step_ends(0, 1, StepOutcome::Passed);
    assert_eq!(build.steps(), ["skipped, passed, skipped"]);
    assert_eq!(build.state(), "passed");
}

#[test]
fn a_manual_step_whose_condition_says_no_asks_nobody() {
    let gate = with_first_step(chain(&[], 2), |step| {
        step.manual = true;
        step.skip = true;
    });
    let build = Build::of(&[gate]);
    assert_eq!(build.ready(), [0]);
    assert_eq!(build.steps(), ["skipped, waiting"]);
}

#[test]
fn every_bad_outcome_has_its_weight_in_the_state_of_the_build() {
    let table = [
        (StepOutcome::Passed, "passed", "passed"),
        (StepOutcome::Failed { exit: None }, "failed", "failed"),
        (StepOutcome::Error, "error", "error"),
        (StepOutcome::TimedOut, "timed out", "failed"),
        (StepOutcome::Limit, "limit", "failed"),
        (StepOutcome::Unsupported, "unsupported", "failed"),
        (StepOutcome::Cancelled, "cancelled", "cancelled"),
    ];
    for (outcome, step, state) in table {
        let mut build = Build::of(&[job(&[])]);
        build.ends(0, outcome);
        assert_eq!(
            (build.steps(), build.state()),
            (vec![step.to_owned()], state)
        );
    }
}

#[test]
fn a_failure_weighs_more_than_an_error_and_an_error_more_than_a_cancellation() {
    let mut build = Build::of(&[job(&[]), job(&[]), job(&[])]);
    build
        .ends(0, StepOutcome::Cancelled)
        .ends(1, StepOutcome::Error);
    let mut failing = Build::of(&[job(&[]), job(&[]), job(&[])]);
    failing
        .ends(0, StepOutcome::Cancelled)
        .ends(1, StepOutcome::Error);
    build.passes(2);
    failing.fails(2);
    assert_eq!((build.state(), failing.state()), ("error", "failed"));
}

#[test]
fn a_step_that_cannot_be_begun_may_end_unstarted_but_not_pass_or_fail() {
    let mut build = Build::of(&[job(&[])]);
    build.starts(0);
    for outcome in [StepOutcome::Passed, FAILED] {
        build.refusal(ended(0, 0, outcome));
    }
    build.step_ends(0, 0, StepOutcome::Unsupported);
    assert_eq!(build.state(), "failed");
}

#[test]
fn what_happens_a_second_time_is_refused() {
    let mut build = Build::of(&[job(&[]), job(&[])]);
    build.starts(0);
    build.refusal(Event::JobStarted(JobIndex(0)));
    build.step_starts(0, 0);
    build.refusal(Event::StepStarted(place(0, 0)));
    build.step_ends(0, 0, StepOutcome::Passed);
    let refusal = build.refusal(ended(0, 0, FAILED));
    assert_eq!(
        refusal,
        "a job that is ended cannot take an end of step 0 of job 0 (failed)"
    );
}

#[test]
fn what_happens_to_a_job_or_step_that_does_not_exist_is_refused() {
    let mut build = Build::of(&[job(&[])]);
    build.starts(0);
    for event in [
        Event::JobStarted(JobIndex(1)),
        Event::StepStarted(place(0, 1)),
        ended(7, 0, StepOutcome::Passed),
        Event::JobLost(JobIndex(usize::MAX)),
        Event::JobRetried(JobIndex(1)),
        Event::ManualStarted(JobIndex(1)),
        Event::ManualDeclined(JobIndex(1)),
    ] {
        assert!(
            build
                .refusal(event)
                .starts_with("what does not exist cannot take")
        );
    }
}
