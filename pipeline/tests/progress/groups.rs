//! Parallel groups and fail-fast ("Parallel step options").

use super::{Build, FAILED, chain, ended, in_group, job, manual, with_first_step};
use cofferdam_pipeline::progress::{Event, JobIndex, OutlineJob, StepOutcome};

/// Two that run, one that waits for a person and one that waits for a runner; and a job after them.
fn group() -> Vec<OutlineJob> {
    vec![
        in_group(0, job(&[])),
        in_group(0, chain(&[], 2)),
        in_group(0, manual(&[])),
        in_group(0, job(&[])),
        job(&[0, 1, 2, 3]),
    ]
}

#[test]
fn without_fail_fast_the_siblings_of_a_failed_step_go_on() {
    let mut build = Build::with_groups(&group(), &[false]);
    build.runs(1).fails(0);
    assert_eq!((build.ready(), build.paused()), (vec![3], vec![2]));
    assert!(!build.told.iter().any(|line| line.starts_with("cancel")));
    assert_eq!(build.steps()[4], "not run after 0.0");
}

#[test]
fn fail_fast_stops_siblings_that_run_and_leaves_out_those_that_wait() {
    let mut build = Build::with_groups(&group(), &[true]);
    build.runs(0).runs(1);
    let told = build.after(ended(0, 0, FAILED));
    assert_eq!(
        told,
        [
            "step 0 of job 0: failed",
            "cancel job 1, fail-fast of 0.0",
            "step 0 of job 2: not run, fail-fast of 0.0",
            "step 0 of job 3: not run, fail-fast of 0.0",
            "step 0 of job 4: not run after 0.0",
        ]
    );
    assert!(!build.has_ended(), "the stopped sibling has not ended yet");
    build.step_ends(1, 0, StepOutcome::Cancelled);
    assert_eq!(
        build.steps()[1],
        "cancelled, fail-fast of 0.0, not run, fail-fast of 0.0"
    );
    assert_eq!(build.state(), "failed");
}

#[test]
fn fail_fast_on_one_step_stops_the_group_only_if_that_step_fails() {
    let jobs = [
        in_group(0, with_first_step(job(&[]), |step| step.fail_fast = true)),
        in_group(0, job(&[])),
        in_group(0, job(&[])),
    ];
    let mut build = Build::with_groups(&jobs, &[false]);
    build.fails(1);
    assert_eq!(build.ready(), [0, 2]);
    build.fails(0);
    assert_eq!(
        build.steps(),
        ["failed", "failed", "not run, fail-fast of 0.0"]
    );
}

#[test]
fn fail_fast_on_a_step_outside_of_a_group_stops_nothing() {
    let jobs = [
        with_first_step(job(&[]), |step| step.fail_fast = true),
        in_group(0, job(&[])),
    ];
    let mut build = Build::with_groups(&jobs, &[true]);
    build.fails(0);
    assert_eq!(build.ready(), [1]);
}

#[test]
fn fail_fast_leaves_other_groups_alone() {
    let jobs = [
        in_group(0, job(&[])),
        in_group(0, job(&[])),
        in_group(1, job(&[])),
        job(&[]),
    ];
    let mut build = Build::with_groups(&jobs, &[true, true]);
    build.runs(2).runs(3).fails(0);
    assert_eq!(
        build.steps(),
        ["failed", "not run, fail-fast of 0.0", "running", "running"]
    );
    assert!(build.progress.stopping().is_empty());
}

#[test]
fn a_sibling_that_ends_by_itself_while_it_is_stopped_keeps_its_own_end() {
    for (outcome, word) in [(StepOutcome::Passed, "passed"), (FAILED, "failed")] {
        let jobs = [in_group(0, job(&[])), in_group(0, job(&[]))];
        let mut build = Build::with_groups(&jobs, &[true]);
        build.runs(1).fails(0).step_ends(1, 0, outcome);
        assert_eq!(build.steps(), ["failed", word]);
    }
}

#[test]
fn a_sibling_that_is_stopped_between_two_steps_is_over_when_its_attempt_says_so() {
    let mut build = Build::with_groups(&group(), &[true]);
    build.runs(1).fails(0).step_ends(1, 0, StepOutcome::Passed);
    assert!(!build.has_ended());
    build.after(Event::JobLost(JobIndex(1)));
    assert_eq!(build.steps()[1], "passed, not run, fail-fast of 0.0");
    assert_eq!(build.state(), "failed");
}

#[test]
fn a_sibling_that_had_begun_its_next_step_when_it_was_stopped_says_how_that_ended() {
    let mut build = Build::with_groups(&group(), &[true]);
    build.runs(1).fails(0).step_ends(1, 0, StepOutcome::Passed);
    build
        .step_starts(1, 1)
        .step_ends(1, 1, StepOutcome::Cancelled);
    assert_eq!(build.steps()[1], "passed, cancelled, fail-fast of 0.0");
}

#[test]
fn every_kind_of_failure_is_one_for_fail_fast_and_a_cancellation_is_none() {
    let table = [
        (FAILED, true),
        (StepOutcome::Error, true),
        (StepOutcome::TimedOut, true),
        (StepOutcome::Limit, true),
        (StepOutcome::Unsupported, true),
        (StepOutcome::Cancelled, false),
        (StepOutcome::Passed, false),
    ];
    for (outcome, stops) in table {
        let jobs = [in_group(0, job(&[])), in_group(0, job(&[]))];
        let mut build = Build::with_groups(&jobs, &[true]);
        build.ends(0, outcome);
        assert_eq!(build.ready().is_empty(), stops, "{outcome:?}");
    }
}

#[test]
fn a_lost_sibling_is_a_failed_one() {
    let jobs = [in_group(0, job(&[])), in_group(0, job(&[]))];
    let mut build = Build::with_groups(&jobs, &[true]);
    build.runs(0).after(Event::JobLost(JobIndex(0)));
    assert_eq!(build.steps(), ["error", "not run, fail-fast of 0.0"]);
}
