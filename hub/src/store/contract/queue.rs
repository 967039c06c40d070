//! Leases, losses, cancellation and waking.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::*;
use crate::domain::BuildState;

store_contract!([
    a_job_waits_for_every_job_it_needs,
    ready_jobs_come_by_build_then_by_ordinal,
    a_job_is_leased_to_one_runner_only,
    a_job_that_waits_for_another_is_not_leased,
    a_revoked_runner_gets_no_job,
    an_unknown_runner_or_a_known_attempt_is_an_error,
    a_live_attempt_finds_its_job,
    a_lease_is_renewed_by_its_holder_only,
    an_attempt_is_given_back_only_before_it_starts,
    an_attempt_that_never_started_does_not_count_as_lost,
    a_job_that_was_lost_once_is_tried_again_and_then_given_up,
    a_lease_is_over_at_its_very_end,
    a_retry_goes_on_with_the_first_step_that_has_no_end,
    a_fresh_lease_for_all_keeps_every_attempt_alive,
    cancel_ends_what_is_queued_and_marks_what_is_leased,
    an_attempt_that_comes_back_cancelled_is_not_queued_again,
    a_runner_that_is_revoked_gives_up_what_it_held_at_once,
    a_step_of_a_revoked_runner_says_so,
    a_change_wakes_whoever_waits,
    a_change_that_came_before_the_wait_is_not_missed,
    a_change_wakes_also_when_its_caller_has_gone,
    what_changes_nothing_wakes_nobody,
    the_only_hub_leads,
]);

async fn a_job_waits_for_every_job_it_needs(scene: &Scene<'_>) {
    scene.admit(1, &[&[], &[], &[0, 1]]).await;
    assert_eq!(scene.ready().await, [job(1, 0), job(1, 1)]);
    scene.run(job(1, 0), 1, JobResult::Passed).await;
    assert_eq!(scene.ready().await, [job(1, 1)]);
    scene.run(job(1, 1), 2, JobResult::Passed).await;
    assert_eq!(scene.ready().await, [job(1, 2)]);
    scene.run(job(1, 2), 3, JobResult::Passed).await;
    assert_eq!(scene.ready().await, []);
    assert_eq!(scene.show(1).await, "passed: passed, passed, passed");
}

async fn ready_jobs_come_by_build_then_by_ordinal(scene: &Scene<'_>) {
    scene.admit(2, &[&[], &[]]).await;
    scene.admit(1, &[&[]]).await;
    assert_eq!(scene.ready().await, [job(2, 0), job(2, 1), job(1, 0)]);
}

async fn a_job_is_leased_to_one_runner_only(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let tries = (1..=5).map(|number| {
        let (job, attempt) = (job(1, 0), attempt(number));
        scene
            .store
            .lease(job, attempt, runner(1 + number % 2), at(10))
    });
    let leased = join_all(tries).await.into_iter().map(Result::unwrap);
    let leased: Vec<Attempt> = leased.flatten().collect();
    assert_eq!(leased.len(), 1);
    let attempt = leased[0];
    assert_eq!((attempt.fence, attempt.lease_until), (FENCE_1, at(10)));
    let jobs = scene.store.leases().await.unwrap();
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].state, JobState::Leased(attempt));
    assert_eq!(scene.show(1).await, "queued: offered");
}

async fn a_job_that_waits_for_another_is_not_leased(scene: &Scene<'_>) {
    scene.admit(1, &[&[], &[0]]).await;
    for job in [job(1, 1), job(9, 9)] {
        let leased = scene.store.lease(job, attempt(1), runner(1), at(10)).await;
        assert_eq!(leased.unwrap(), None);
    }
}

async fn a_revoked_runner_gets_no_job(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    scene.store.revoke(runner(1), at(5)).await.unwrap();
    let leased = scene.store.lease(job(1, 0), attempt(1), runner(1), at(10));
    assert_eq!(leased.await.unwrap(), None);
    assert_eq!(scene.ready().await, [job(1, 0)]);
}

async fn an_unknown_runner_or_a_known_attempt_is_an_error(scene: &Scene<'_>) {
    scene.admit(1, &[&[], &[]]).await;
    scene.lease(job(1, 0), 1).await;
    for (attempt, runner) in [(attempt(2), runner(9)), (attempt(1), runner(1))] {
        let leased = scene.store.lease(job(1, 1), attempt, runner, at(10)).await;
        assert!(leased.is_err());
    }
    assert_eq!(scene.show(1).await, "queued: offered, queued");
}

async fn a_live_attempt_finds_its_job(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let live = scene.lease(job(1, 0), 1).await;
    let find = async |number: u8, fence: Fence| {
        let job = scene.store.leased(attempt(number), fence).await.unwrap();
        job.map(|job| job.id)
    };
    assert_eq!(find(1, FENCE_1).await, Some(job(1, 0)));
    assert_eq!(find(1, Fence(2)).await, None);
    assert_eq!(find(2, FENCE_1).await, None);
    scene.report(&live, 1, finished(JobResult::Passed)).await;
    assert_eq!(find(1, FENCE_1).await, None);
}

async fn a_lease_is_renewed_by_its_holder_only(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    scene.lease(job(1, 0), 1).await;
    let renew = async |number: u8, fence: Fence, holder: u8| {
        let renewed = scene
            .store
            .renew(attempt(number), fence, runner(holder), at(20));
        renewed.await.unwrap()
    };
    assert!(!renew(1, FENCE_1, 2).await);
    assert!(!renew(1, Fence(2), 1).await);
    assert!(!renew(2, FENCE_1, 1).await);
    assert!(renew(1, FENCE_1, 1).await);
    assert!(scene.store.expire(at(19)).await.unwrap().is_empty());
    scene.store.revoke(runner(1), at(5)).await.unwrap();
    assert!(!renew(1, FENCE_1, 1).await);
    assert!(scene.store.expire(at(20)).await.unwrap().is_empty());
}

async fn an_attempt_is_given_back_only_before_it_starts(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let first = scene.lease(job(1, 0), 1).await;
    let give = async |attempt: &Attempt| {
        let given = scene.store.give_back(attempt.id, attempt.fence, at(5));
        given.await.unwrap()
    };
    assert!(give(&first).await);
    assert!(!give(&first).await);
    assert_eq!(scene.ready().await, [job(1, 0)]);
    let second = scene.start(job(1, 0), 2).await;
    assert_eq!(second.fence, Fence(2));
    assert!(!give(&first).await);
    assert!(!give(&second).await);
    let overtaken = scene.report(&first, 1, JobEvent::Started).await;
    assert_eq!(overtaken, Applied::Stale);
    assert_eq!(scene.show(1).await, "running: running");
}

async fn an_attempt_that_never_started_does_not_count_as_lost(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    for number in 1..=3 {
        scene.lease(job(1, 0), number).await;
        let ended = scene.store.expire(at(10)).await.unwrap();
        assert_eq!(ended.len(), 1);
        assert_eq!(scene.show(1).await, "queued: queued");
    }
    scene.start(job(1, 0), 4).await;
    scene.store.expire(at(10)).await.unwrap();
    assert_eq!(scene.show(1).await, "queued: queued");
}

async fn a_job_that_was_lost_once_is_tried_again_and_then_given_up(scene: &Scene<'_>) {
    scene.admit(1, &[&[], &[0]]).await;
    let first = scene.start(job(1, 0), 1).await;
    let ended = scene.store.expire(at(11)).await.unwrap();
    let was = JobState::Leased(Attempt {
        started_at: Some(at(5)),
        ..first
    });
    assert_eq!(ended[0].state, was, "as it was");
    assert_eq!(scene.show(1).await, "queued: queued, waiting");
    let second = scene.start(job(1, 0), 2).await;
    assert_eq!(second.fence, Fence(2));
    let again = scene.report(&first, 1, JobEvent::Started).await;
    assert_eq!(again, Applied::Stale, "a lost attempt gets no answer");
    scene.store.expire(at(12)).await.unwrap();
    assert_eq!(scene.show(1).await, "error: error, not-run");
    let build = scene.store.build(build(1)).await.unwrap().unwrap();
    assert_eq!(build.finished_at, Some(at(12)));
}

async fn a_lease_is_over_at_its_very_end(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    scene.lease(job(1, 0), 1).await;
    let moment = SignedDuration::from_nanos(1);
    let before = scene.store.expire(at(10) - moment).await.unwrap();
    assert!(before.is_empty());
    assert_eq!(scene.store.expire(at(10)).await.unwrap().len(), 1);
    assert!(scene.store.expire(at(10)).await.unwrap().is_empty());
}

async fn a_retry_goes_on_with_the_first_step_that_has_no_end(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let lost = scene.start(job(1, 0), 1).await;
    let events = [
        step_started(0),
        step_finished(0, StepResult::Passed),
        step_started(1),
    ];
    for (number, event) in (2..).zip(events) {
        scene.report(&lost, number, event).await;
    }
    assert_eq!(scene.show_steps(job(1, 0)).await, ["0 Passed", "1 runs"]);
    scene.store.expire(at(10)).await.unwrap();
    let gone = "1 error: the runner gave no sign of life any more";
    assert_eq!(scene.show_steps(job(1, 0)).await, ["0 Passed", gone]);
    assert_eq!(scene.show_standings(1).await, "passed, waiting");
    let again = scene.store.ready().await.unwrap().remove(0);
    let to_run = again.steps_to_run();
    assert_eq!(to_run.len(), 1);
    assert_eq!(to_run[0].index, StepIndex(1));
    let second = scene.start(job(1, 0), 2).await;
    let too_early = scene.report(&second, 2, step_started(0)).await;
    assert!(matches!(too_early, Applied::Refused(_)), "{too_early:?}");
    scene.report(&second, 2, step_started(1)).await;
    assert_eq!(scene.show_steps(job(1, 0)).await, ["0 Passed", "1 runs"]);
    let ended = step_finished(1, StepResult::Passed);
    scene.report(&second, 3, ended).await;
    scene.report(&second, 4, finished(JobResult::Passed)).await;
    assert_eq!(scene.show(1).await, "passed: passed");
}

async fn a_fresh_lease_for_all_keeps_every_attempt_alive(scene: &Scene<'_>) {
    scene.admit(1, &[&[], &[]]).await;
    scene.lease(job(1, 0), 1).await;
    scene.start(job(1, 1), 2).await;
    scene.store.refresh_all(at(30)).await.unwrap();
    assert!(scene.store.expire(at(29)).await.unwrap().is_empty());
    assert_eq!(scene.store.expire(at(30)).await.unwrap().len(), 2);
}

async fn cancel_ends_what_is_queued_and_marks_what_is_leased(scene: &Scene<'_>) {
    scene.admit(1, &[&[], &[0], &[], &[]]).await;
    scene.run(job(1, 2), 1, JobResult::Passed).await;
    let live = scene.start(job(1, 0), 2).await;
    for _ in 0..2 {
        let to_tell = scene.store.cancel(build(1), at(7)).await.unwrap();
        assert_eq!(to_tell.len(), 1);
        assert_eq!(to_tell[0].id, live.id);
        assert!(to_tell[0].is_cancel_wanted);
        assert_eq!(
            scene.show(1).await,
            "running: running, cancelled, passed, cancelled"
        );
    }
    scene.report(&live, 2, finished(JobResult::Cancelled)).await;
    let build = scene.store.build(build(1)).await.unwrap().unwrap();
    assert_eq!(build.state, BuildState::Cancelled);
    assert!(
        scene
            .store
            .cancel(build.id, at(8))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        scene
            .store
            .cancel(super::build(9), at(8))
            .await
            .unwrap()
            .is_empty()
    );
    let after = scene.store.build(build.id).await.unwrap();
    assert_eq!(after, Some(build), "what is over stays as it is");
}

async fn an_attempt_that_comes_back_cancelled_is_not_queued_again(scene: &Scene<'_>) {
    for number in 1..=3 {
        scene.admit(number, &[&[]]).await;
        let live = scene.lease(job(number, 0), number).await;
        if number == 1 {
            scene.report(&live, 1, JobEvent::Started).await;
        }
        scene.store.cancel(build(number), at(7)).await.unwrap();
    }
    let given = scene.store.give_back(attempt(3), FENCE_1, at(8));
    assert!(given.await.unwrap());
    assert_eq!(scene.show(3).await, "cancelled: cancelled");
    scene.store.expire(at(12)).await.unwrap();
    assert_eq!(scene.show(1).await, "cancelled: cancelled");
    assert_eq!(scene.show(2).await, "cancelled: cancelled");
    let build = scene.store.build(build(2)).await.unwrap().unwrap();
    assert_eq!(build.finished_at, Some(at(12)));
}

async fn a_runner_that_is_revoked_gives_up_what_it_held_at_once(scene: &Scene<'_>) {
    scene.admit(1, &[&[], &[], &[], &[]]).await;
    let started = scene.start(job(1, 0), 1).await;
    let offered = scene.lease(job(1, 1), 2).await;
    let other = scene
        .store
        .lease(job(1, 2), attempt(3), runner(2), at(10))
        .await;
    assert!(other.unwrap().is_some());
    let seen = scene.store.changed(0).await;
    let held = scene.store.revoke(runner(1), at(7)).await.unwrap().unwrap();
    let held: Vec<JobId> = held.into_iter().map(|job| job.id).collect();
    assert_eq!(held, [job(1, 0), job(1, 1)]);
    assert!(scene.store.changed(seen).now_or_never().is_some());
    assert_eq!(scene.ready().await, [job(1, 0), job(1, 1), job(1, 3)]);
    assert_eq!(scene.store.leases().await.unwrap().len(), 1);
    for attempt in [started, offered] {
        let late = scene.report(&attempt, 2, finished(JobResult::Passed)).await;
        assert_eq!(late, Applied::Stale);
    }
    let again = scene.store.revoke(runner(1), at(8)).await.unwrap();
    assert!(again.is_some_and(|held| held.is_empty()));
}

async fn a_step_of_a_revoked_runner_says_so(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let live = scene.start(job(1, 0), 1).await;
    scene.report(&live, 2, step_started(0)).await;
    scene.store.revoke(runner(1), at(7)).await.unwrap();
    let revoked = "0 error: the runner was revoked while it had the job";
    assert_eq!(scene.show_steps(job(1, 0)).await, [revoked]);
    assert_eq!(scene.show(1).await, "queued: queued");
}

/// Long enough for a slow host; nobody waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

async fn a_change_wakes_whoever_waits(scene: &Scene<'_>) {
    let seen = scene.store.changed(0).await;
    let waiting = timeout(PATIENCE, scene.store.changed(seen));
    let (woken, _) = tokio::join!(waiting, scene.admit(1, &[&[]]));
    assert_ne!(woken.unwrap(), seen);
    assert_eq!(scene.ready().await, [job(1, 0)]);
}

async fn a_change_that_came_before_the_wait_is_not_missed(scene: &Scene<'_>) {
    let first = scene.store.changed(0).await;
    let dropped = scene.store.changed(first).now_or_never();
    assert_eq!(dropped, None, "nothing has happened since");
    let mut seen = first;
    scene.admit(1, &[&[]]).await;
    for step in 0..4 {
        match step {
            0 => drop(scene.lease(job(1, 0), 1).await),
            1 => drop(scene.store.give_back(attempt(1), FENCE_1, at(5)).await),
            2 => drop(scene.start(job(1, 0), 2).await),
            _ => drop(scene.store.expire(at(10)).await),
        }
        let now = scene.store.changed(seen).now_or_never();
        seen = now.expect("a change since the last one that was seen");
    }
    let at_once = scene.store.changed(first).now_or_never();
    assert_eq!(at_once, Some(seen));
}

async fn a_change_wakes_also_when_its_caller_has_gone(scene: &Scene<'_>) {
    let seen = scene.store.changed(0).await;
    let mut admit = scene.store.admit(new_build("r", 1, &[&[]]));
    drop(futures_util::poll!(&mut admit));
    drop(admit);
    let woken = timeout(PATIENCE, scene.store.changed(seen)).await;
    assert_ne!(woken.unwrap(), seen);
    assert_eq!(scene.ready().await, [job(1, 0)]);
}

async fn what_changes_nothing_wakes_nobody(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let live = scene.start(job(1, 0), 1).await;
    let seen = scene.store.changed(0).await;
    scene.store.admit(new_build("r", 1, &[&[]])).await.unwrap();
    scene
        .store
        .append(runner(1), frame(&live, 2, &["a"]))
        .await
        .unwrap();
    scene
        .store
        .renew(live.id, live.fence, runner(1), at(20))
        .await
        .unwrap();
    scene.store.saw(runner(1), at(3)).await.unwrap();
    scene.report(&live, 1, JobEvent::Started).await;
    scene.report(&live, 9, JobEvent::Started).await;
    scene.store.expire(at(3)).await.unwrap();
    scene
        .store
        .lease(job(1, 0), attempt(2), runner(2), at(9))
        .await
        .unwrap();
    assert_eq!(scene.store.changed(seen).now_or_never(), None);
}

async fn the_only_hub_leads(scene: &Scene<'_>) {
    assert!(scene.store.try_lead().await.unwrap());
}
