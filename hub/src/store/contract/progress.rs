//! Groups, gates, conditions and final steps: what the plan's progress decides is carried out and kept.

use cofferdam_pipeline::progress::{Group, GroupPlace};

use super::*;
use crate::store::Answer;

store_contract!([
    a_group_that_fails_fast_stops_its_others,
    a_final_job_runs_after_a_failure,
    a_final_job_runs_after_a_cancel_and_is_stopped_by_another,
    a_manual_job_waits_until_somebody_starts_it,
    a_manual_job_that_is_declined_is_not_run_nor_what_needs_it,
    an_answer_for_a_job_that_does_not_wait_changes_nothing,
    a_step_whose_condition_says_no_is_skipped,
    a_build_of_which_nothing_is_left_has_passed_at_once,
    a_build_is_over_when_nothing_of_it_lives_any_more,
    a_job_that_was_stopped_is_not_tried_again,
]);

/// Two branches of a group that fails fast, and a job after them.
fn fast() -> Outline {
    let mut outline = outline(&[&[], &[], &[0, 1]]);
    outline.groups = vec![Group { fail_fast: true }];
    outline.jobs[0].group = Some(GroupPlace { group: 0 });
    outline.jobs[1].group = Some(GroupPlace { group: 0 });
    outline
}

/// A job, a manual one after it, and one that needs that.
fn gated() -> Outline {
    let mut outline = outline(&[&[], &[0], &[1]]);
    outline.jobs[1].steps[0].manual = true;
    outline
}

fn with_final() -> Outline {
    let mut outline = outline(&[&[], &[]]);
    outline.jobs[1].is_final = true;
    outline
}

async fn a_group_that_fails_fast_stops_its_others(scene: &Scene<'_>) {
    scene.admit_outlined(1, fast()).await;
    let other = scene.start(job(1, 1), 1).await;
    scene.report(&other, 2, step_started(2)).await;
    scene.run(job(1, 0), 2, JobResult::Failed).await;
    assert_eq!(scene.show(1).await, "running: failed, running, not-run");
    let jobs = scene.store.leases().await.unwrap();
    assert!(jobs[0].state.live().unwrap().is_cancel_wanted);
    let ended = step_finished(2, StepResult::Cancelled);
    scene.report(&other, 3, ended).await;
    let ended = finished(JobResult::Cancelled);
    scene.report(&other, 4, ended).await;
    assert_eq!(scene.show(1).await, "failed: failed, cancelled, not-run");
    assert_eq!(
        scene.show_standings(1).await,
        "failed, not run; cancelled, not run; not run, not run"
    );
}

async fn a_final_job_runs_after_a_failure(scene: &Scene<'_>) {
    scene.admit_outlined(1, with_final()).await;
    assert_eq!(scene.ready().await, [job(1, 0)]);
    scene.run(job(1, 0), 1, JobResult::Failed).await;
    assert_eq!(scene.ready().await, [job(1, 1)]);
    scene.run(job(1, 1), 2, JobResult::Passed).await;
    assert_eq!(scene.show(1).await, "failed: failed, passed");
}

async fn a_final_job_runs_after_a_cancel_and_is_stopped_by_another(scene: &Scene<'_>) {
    for number in [1, 2] {
        scene.admit_outlined(number, with_final()).await;
        scene.store.cancel(build(number), at(6)).await.unwrap();
        assert_eq!(scene.show(number).await, "queued: cancelled, queued");
    }
    scene.run(job(1, 1), 1, JobResult::Passed).await;
    assert_eq!(scene.show(1).await, "cancelled: cancelled, passed");
    scene.store.cancel(build(2), at(7)).await.unwrap();
    assert_eq!(scene.show(2).await, "cancelled: cancelled, cancelled");
}

async fn a_manual_job_waits_until_somebody_starts_it(scene: &Scene<'_>) {
    scene.admit_outlined(1, gated()).await;
    scene.run(job(1, 0), 1, JobResult::Passed).await;
    assert_eq!(scene.show(1).await, "paused: passed, paused, waiting");
    assert_eq!(scene.ready().await, []);
    let seen = scene.store.changed(0).await;
    let answer = scene
        .store
        .answer(build(1), job(1, 1), Answer::Start, at(6));
    assert!(answer.await.unwrap());
    assert_ne!(scene.store.changed(seen).await, seen);
    assert_eq!(scene.ready().await, [job(1, 1)]);
    scene.run(job(1, 1), 2, JobResult::Passed).await;
    scene.run(job(1, 2), 3, JobResult::Passed).await;
    assert_eq!(scene.show(1).await, "passed: passed, passed, passed");
}

async fn a_manual_job_that_is_declined_is_not_run_nor_what_needs_it(scene: &Scene<'_>) {
    scene.admit_outlined(1, gated()).await;
    scene.run(job(1, 0), 1, JobResult::Passed).await;
    let answer = scene
        .store
        .answer(build(1), job(1, 1), Answer::Decline, at(6));
    assert!(answer.await.unwrap());
    assert_eq!(scene.show(1).await, "passed: passed, not-run, not-run");
    let build = scene.store.build(build(1)).await.unwrap().unwrap();
    assert_eq!(build.finished_at, Some(at(6)));
}

async fn an_answer_for_a_job_that_does_not_wait_changes_nothing(scene: &Scene<'_>) {
    scene.admit_outlined(1, gated()).await;
    scene.admit_outlined(2, gated()).await;
    scene.run(job(2, 0), 1, JobResult::Passed).await;
    let before = dump(scene.store, 2).await;
    for (of, job) in [
        (1, job(1, 0)),
        (1, job(1, 1)),
        (1, job(9, 9)),
        (9, job(1, 1)),
        (1, job(2, 1)),
    ] {
        let answer = scene.store.answer(build(of), job, Answer::Start, at(6));
        assert!(!answer.await.unwrap());
    }
    assert_eq!(dump(scene.store, 2).await, before);
}

async fn a_step_whose_condition_says_no_is_skipped(scene: &Scene<'_>) {
    let mut outline = outline(&[&[], &[0]]);
    outline.jobs[0].steps[0].skip = true;
    outline.jobs[1].steps[0].skip = true;
    outline.jobs[1].steps[1].skip = true;
    scene.admit_outlined(1, outline).await;
    assert_eq!(
        scene.show_standings(1).await,
        "skipped, waiting; waiting, waiting"
    );
    let jobs = scene.store.jobs(build(1)).await.unwrap();
    let skip = jobs[0].steps[0].skip.as_deref();
    assert_eq!(skip, Some("nothing changed"));
    let live = scene.start(job(1, 0), 1).await;
    scene.report(&live, 2, step_started(1)).await;
    let ended = step_finished(1, StepResult::Passed);
    scene.report(&live, 3, ended).await;
    scene.report(&live, 4, finished(JobResult::Passed)).await;
    assert_eq!(scene.show(1).await, "passed: passed, skipped");
}

async fn a_build_of_which_nothing_is_left_has_passed_at_once(scene: &Scene<'_>) {
    let mut outline = outline(&[&[]]);
    outline.jobs[0].steps[0].skip = true;
    outline.jobs[0].steps[1].skip = true;
    let admitted = scene.admit_outlined(1, outline).await;
    assert_eq!(admitted.finished_at, Some(admitted.created_at));
    assert_eq!(scene.show(1).await, "passed: skipped");
    assert_eq!(scene.ready().await, []);
}

async fn a_build_is_over_when_nothing_of_it_lives_any_more(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let live = scene.start(job(1, 0), 1).await;
    let events = [step_started(0), step_finished(0, failed())];
    for (number, event) in (2..).zip(events) {
        scene.report(&live, number, event).await;
    }
    assert_eq!(scene.show_standings(1).await, "failed, not run");
    assert_eq!(scene.show(1).await, "running: running");
    scene.store.expire(at(10)).await.unwrap();
    assert_eq!(scene.show(1).await, "failed: failed");
}

async fn a_job_that_was_stopped_is_not_tried_again(scene: &Scene<'_>) {
    scene.admit_outlined(1, fast()).await;
    let other = scene.start(job(1, 1), 1).await;
    scene.report(&other, 2, step_started(2)).await;
    scene.run(job(1, 0), 2, JobResult::Failed).await;
    scene.store.expire(at(10)).await.unwrap();
    assert_eq!(scene.show(1).await, "failed: failed, cancelled, not-run");
}
