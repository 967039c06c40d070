//! Steps that wait for a person ("Pipeline triggers": run steps manually).

use super::{Build, chain, final_job, in_group, job, manual, with_first_step};
use cofferdam_pipeline::progress::{Event, JobIndex, StepOutcome};

#[test]
fn a_manual_step_waits_for_a_person_once_its_turn_has_come() {
    let mut build = Build::of(&[job(&[]), manual(&[0])]);
    assert!(build.paused().is_empty());
    build.refusal(Event::ManualStarted(JobIndex(1)));
    build.passes(0);
    assert_eq!((build.paused(), build.state()), (vec![1], "paused"));
    build.refusal(Event::JobStarted(JobIndex(1)));
    assert_eq!(
        build.after(Event::ManualStarted(JobIndex(1))),
        ["may start job 1"]
    );
    build.refusal(Event::ManualStarted(JobIndex(1)));
    build.passes(1);
    assert_eq!(build.state(), "passed");
}

#[test]
fn a_manual_step_whose_turn_never_comes_asks_nobody() {
    let mut build = Build::of(&[job(&[]), manual(&[0])]);
    build.fails(0);
    assert_eq!(build.steps(), ["failed", "not run after 0.0"]);
    assert!(!build.told.iter().any(|line| line.starts_with("paused")));
}

#[test]
fn a_manual_step_of_a_group_holds_up_only_itself_and_what_comes_after_the_group() {
    let mut build = Build::with_groups(
        &[
            job(&[]),
            in_group(0, manual(&[0])),
            in_group(0, job(&[0])),
            job(&[1, 2]),
        ],
        &[false],
    );
    build.passes(0);
    assert_eq!((build.paused(), build.ready()), (vec![1], vec![2]));
    build.runs(2);
    assert_eq!(build.state(), "running", "not paused while a sibling runs");
    build.step_ends(2, 0, StepOutcome::Passed);
    assert_eq!((build.ready(), build.state()), (vec![], "paused"));
    build.after(Event::ManualStarted(JobIndex(1)));
    build.passes(1);
    assert_eq!(build.ready(), [3]);
}

#[test]
fn a_paused_job_outlives_the_failure_of_a_sibling() {
    let jobs = [
        in_group(0, manual(&[])),
        in_group(0, job(&[])),
        job(&[0, 1]),
    ];
    let mut build = Build::with_groups(&jobs, &[false]);
    build.fails(1);
    assert_eq!(build.steps(), ["waiting", "failed", "not run after 1.0"]);
    assert_eq!(build.state(), "paused");
}

#[test]
fn only_the_gate_of_a_job_asks_and_its_further_steps_follow_by_themselves() {
    let gate = with_first_step(chain(&[], 2), |step| step.manual = true);
    let mut build = Build::of(&[gate]);
    build.after(Event::ManualStarted(JobIndex(0)));
    assert_eq!(build.progress.steps_to_run(JobIndex(0)), [0, 1]);
}

#[test]
fn a_manual_step_that_is_declined_leaves_out_what_needs_it_and_fails_nothing() {
    let mut build = Build::of(&[job(&[]), manual(&[0]), job(&[1]), final_job()]);
    build.passes(0);
    build.after(Event::ManualDeclined(JobIndex(1)));
    assert_eq!(
        build.steps(),
        [
            "passed",
            "not run, 1.0 declined",
            "not run, 1.0 declined",
            "waiting"
        ]
    );
    build.passes(3);
    assert_eq!(build.state(), "passed");
    build.refusal(Event::ManualStarted(JobIndex(1)));
}

#[test]
fn a_build_that_is_paused_keeps_its_final_step_for_later() {
    let mut build = Build::of(&[job(&[]), manual(&[0]), final_job()]);
    build.passes(0);
    assert_eq!((build.ready(), build.state()), (vec![], "paused"));
}
