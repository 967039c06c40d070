//! What runners report, and what follows from it.

use super::*;
use crate::domain::{BuildState, JobEnd, StepRecord};

store_contract!([
    a_job_walks_from_its_start_to_its_end,
    a_report_that_comes_again_changes_nothing,
    a_report_that_comes_too_early_is_not_stored,
    the_last_report_is_acknowledged_again_after_the_end,
    a_report_from_the_wrong_place_is_stale,
    a_report_of_a_revoked_runner_is_stale,
    an_event_that_makes_no_sense_is_refused_and_takes_no_number,
    steps_come_back_as_they_were_reported,
    a_step_that_still_runs_when_its_job_ends_ends_with_it,
    jobs_that_need_one_that_did_not_pass_are_not_run,
    the_worst_end_of_a_job_is_the_end_of_its_build,
    a_job_may_end_without_having_started,
    a_job_that_is_said_to_have_passed_without_its_steps_has_not,
    a_runner_that_stops_a_job_unasked_cancels_it,
    jobs_and_builds_keep_the_time_of_the_hub,
]);

async fn a_job_walks_from_its_start_to_its_end(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let attempt = scene.lease(job(1, 0), 1).await;
    let events = [
        (JobEvent::Started, "running: running"),
        (step_started(0), "running: running"),
        (step_finished(0, StepResult::Passed), "running: running"),
        (step_started(1), "running: running"),
        (step_finished(1, StepResult::Passed), "running: running"),
        (finished(JobResult::Passed), "passed: passed"),
    ];
    for (number, (event, shown)) in (1..).zip(events) {
        let applied = scene.report(&attempt, number, event).await;
        assert_eq!(applied, Applied::Stored(seq(number)));
        assert_eq!(scene.show(1).await, shown);
    }
    assert_eq!(scene.show_steps(job(1, 0)).await, ["0 Passed", "1 Passed"]);
    assert!(scene.store.leases().await.unwrap().is_empty());
}

async fn a_report_that_comes_again_changes_nothing(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let attempt = scene.start(job(1, 0), 1).await;
    scene.report(&attempt, 2, step_started(0)).await;
    for (number, event) in [
        (1, JobEvent::Started),
        (2, step_started(0)),
        // Another event under an old number is not looked at.
        (2, finished(JobResult::Failed)),
    ] {
        let again = scene.report(&attempt, number, event).await;
        assert_eq!(again, Applied::Again(seq(2)));
    }
    assert_eq!(scene.show(1).await, "running: running");
    assert_eq!(scene.show_steps(job(1, 0)).await, ["0 runs"]);
}

async fn a_report_that_comes_too_early_is_not_stored(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let attempt = scene.lease(job(1, 0), 1).await;
    let early = scene.report(&attempt, 2, step_started(0)).await;
    assert_eq!(early, Applied::Gap(None));
    scene.report(&attempt, 1, JobEvent::Started).await;
    for number in [3, u64::MAX] {
        let early = scene
            .report(&attempt, number, finished(JobResult::Passed))
            .await;
        assert_eq!(early, Applied::Gap(Some(seq(1))));
    }
    assert_eq!(scene.show(1).await, "running: running");
}

async fn the_last_report_is_acknowledged_again_after_the_end(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let attempt = scene.start(job(1, 0), 1).await;
    scene.report(&attempt, 2, finished(JobResult::Failed)).await;
    for (number, event) in [(2, finished(JobResult::Failed)), (1, JobEvent::Started)] {
        let again = scene.report(&attempt, number, event).await;
        assert_eq!(again, Applied::Again(seq(2)));
    }
    let after = scene.report(&attempt, 3, step_started(0)).await;
    assert_eq!(after, Applied::Stale, "nothing follows after the end");
    assert_eq!(
        scene.store.position(attempt.id).await.unwrap(),
        Some(seq(2))
    );
}

async fn a_report_from_the_wrong_place_is_stale(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let live = scene.lease(job(1, 0), 1).await;
    let wrong = [
        Attempt {
            runner: runner(2),
            ..live
        },
        Attempt {
            runner: runner(9),
            ..live
        },
        Attempt {
            fence: Fence(0),
            ..live
        },
        Attempt {
            fence: Fence(u64::MAX),
            ..live
        },
        Attempt {
            id: attempt(2),
            ..live
        },
    ];
    for attempt in wrong {
        let stale = scene.report(&attempt, 1, JobEvent::Started).await;
        assert_eq!(stale, Applied::Stale, "{attempt:?}");
    }
    assert_eq!(scene.show(1).await, "queued: offered");
}

async fn a_report_of_a_revoked_runner_is_stale(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let attempt = scene.start(job(1, 0), 1).await;
    scene.store.revoke(runner(1), at(5)).await.unwrap();
    for number in [1, 2, 3] {
        let stale = scene
            .report(&attempt, number, finished(JobResult::Passed))
            .await;
        assert_eq!(stale, Applied::Stale);
    }
    scene.store.expire(at(10)).await.unwrap();
    assert_eq!(
        scene.show(1).await,
        "queued: queued",
        "another runner gets it"
    );
}

async fn an_event_that_makes_no_sense_is_refused_and_takes_no_number(scene: &Scene<'_>) {
    scene.admit(1, &[&[], &[]]).await;
    let attempt = scene.lease(job(1, 0), 1).await;
    let refuse = async |number: u64, event: JobEvent, why: &str| {
        let refused = scene.report(&attempt, number, event).await;
        assert_eq!(refused, Applied::Refused(why.to_owned()));
    };
    refuse(1, step_started(0), "its job has not started").await;
    let early = step_finished(0, StepResult::Passed);
    refuse(1, early, "its job has not started").await;
    scene.report(&attempt, 1, JobEvent::Started).await;
    let why = "its job has started already";
    refuse(2, JobEvent::Started, why).await;
    let why = "step 2 is not one of the job's";
    refuse(2, step_started(2), why).await;
    refuse(2, step_finished(2, StepResult::Passed), why).await;
    scene.report(&attempt, 2, step_started(0)).await;
    let why = "a step that is running cannot take a start of step 0 of job 0";
    refuse(3, step_started(0), why).await;
    let ended = step_finished(0, StepResult::Passed);
    let stored = scene.report(&attempt, 3, ended.clone()).await;
    assert_eq!(stored, Applied::Stored(seq(3)));
    let why = "a step that has ended (passed) cannot take an end of step 0 of job 0 (passed)";
    refuse(4, ended, why).await;
    let why = "a step that has ended (passed) cannot take a start of step 0 of job 0";
    refuse(4, step_started(0), why).await;
    assert_eq!(scene.show_steps(job(1, 0)).await, ["0 Passed"]);
    assert_eq!(
        scene.store.position(attempt.id).await.unwrap(),
        Some(seq(3))
    );
}

async fn steps_come_back_as_they_were_reported(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let attempt = scene.start(job(1, 0), 1).await;
    let failed = StepResult::Failed {
        exit: Some(137),
        why: "it was killed: \"\u{0}\u{1f4a5}\"".to_owned(),
    };
    // That a step was not run, and why, is known without a report.
    let events = [
        step_started(0),
        step_finished(0, failed.clone()),
        step_finished(1, StepResult::NotRun),
    ];
    for (number, event) in (2..).zip(events) {
        let stored = scene.report(&attempt, number, event).await;
        assert_eq!(stored, Applied::Stored(seq(number)));
    }
    let steps = scene.store.steps(job(1, 0)).await.unwrap();
    let expected = StepRecord {
        step: StepIndex(0),
        report: StepReport::Done {
            since: Some(at(4)),
            at: at(4),
            result: failed,
            receipt: r#"{"cpu_ms":7}"#.to_owned(),
        },
    };
    assert_eq!(steps, [expected]);
    assert_eq!(scene.show_standings(1).await, "failed, not run");
}

async fn a_step_that_still_runs_when_its_job_ends_ends_with_it(scene: &Scene<'_>) {
    let unknown = "0 error: the runner reported the end of the job, but not of this step";
    let ends = [
        (JobResult::Cancelled, "0 Cancelled"),
        (JobResult::Error, unknown),
        (JobResult::Passed, unknown),
    ];
    for (number, (result, shown)) in (1..).zip(ends) {
        scene.admit(number, &[&[]]).await;
        let attempt = scene.start(job(number, 0), number).await;
        scene.report(&attempt, 2, step_started(0)).await;
        scene.report(&attempt, 3, finished(result)).await;
        assert_eq!(scene.show_steps(job(number, 0)).await, [shown]);
    }
    let step = &scene.store.steps(job(2, 0)).await.unwrap()[0];
    let StepReport::Done {
        at: ended_at,
        result,
        receipt,
        ..
    } = &step.report
    else {
        panic!("{step:?}")
    };
    assert_eq!((*ended_at, receipt.as_str()), (at(5), "null"));
    assert!(matches!(
        result,
        StepResult::Error {
            blame: Blame::Infrastructure,
            ..
        }
    ));
}

async fn jobs_that_need_one_that_did_not_pass_are_not_run(scene: &Scene<'_>) {
    scene.admit(1, &[&[], &[0], &[1], &[], &[2, 3]]).await;
    scene.run(job(1, 0), 1, JobResult::Failed).await;
    assert_eq!(
        scene.show(1).await,
        "running: failed, not-run, not-run, queued, not-run"
    );
    assert_eq!(scene.ready().await, [job(1, 3)]);
    scene.run(job(1, 3), 2, JobResult::Passed).await;
    assert_eq!(
        scene.show(1).await,
        "failed: failed, not-run, not-run, passed, not-run"
    );
}

async fn the_worst_end_of_a_job_is_the_end_of_its_build(scene: &Scene<'_>) {
    use JobResult::{Cancelled, Error, Failed, Passed};
    let table = [
        ([Passed, Passed, Passed], BuildState::Passed),
        ([Passed, Cancelled, Passed], BuildState::Cancelled),
        ([Cancelled, Error, Passed], BuildState::Error),
        ([Error, Failed, Cancelled], BuildState::Failed),
        ([Failed, Passed, Error], BuildState::Failed),
    ];
    for (number, (results, state)) in (1..).zip(table) {
        scene.admit(number, &[&[], &[], &[]]).await;
        for (ordinal, result) in (0..).zip(results) {
            scene
                .run(job(number, ordinal), 10 * number + ordinal, result)
                .await;
        }
        let build = scene.store.build(build(number)).await.unwrap().unwrap();
        assert_eq!(build.state, state, "{results:?}");
    }
}

async fn a_job_may_end_without_having_started(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let attempt = scene.lease(job(1, 0), 1).await;
    let ended = scene.report(&attempt, 1, finished(JobResult::Error)).await;
    assert_eq!(ended, Applied::Stored(seq(1)));
    assert_eq!(scene.show(1).await, "error: error");
}

async fn a_job_that_is_said_to_have_passed_without_its_steps_has_not(scene: &Scene<'_>) {
    scene.admit(1, &[&[], &[0]]).await;
    let attempt = scene.start(job(1, 0), 1).await;
    scene.report(&attempt, 2, finished(JobResult::Passed)).await;
    assert_eq!(scene.show(1).await, "error: error, not-run");
    assert_eq!(
        scene.show_steps(job(1, 0)).await,
        ["0 error: the runner reported the end of the job, but not of this step"]
    );
}

async fn a_runner_that_stops_a_job_unasked_cancels_it(scene: &Scene<'_>) {
    scene.admit(1, &[&[], &[0]]).await;
    let attempt = scene.start(job(1, 0), 1).await;
    scene.report(&attempt, 2, step_started(0)).await;
    let ended = finished(JobResult::Cancelled);
    scene.report(&attempt, 3, ended).await;
    assert_eq!(scene.show(1).await, "cancelled: cancelled, not-run");
    assert_eq!(scene.show_steps(job(1, 0)).await, ["0 Cancelled"]);
}

async fn jobs_and_builds_keep_the_time_of_the_hub(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let attempt = scene.start(job(1, 0), 1).await;
    let jobs = scene.store.jobs(build(1)).await.unwrap();
    let started = JobState::Leased(Attempt {
        started_at: Some(at(5)),
        ..attempt
    });
    assert_eq!(jobs[0].state, started);
    scene.report(&attempt, 2, finished(JobResult::Error)).await;
    let jobs = scene.store.jobs(build(1)).await.unwrap();
    let ended = JobState::Done {
        end: JobEnd::Error,
        at: at(5),
    };
    assert_eq!(jobs[0].state, ended);
    let build = scene.store.build(build(1)).await.unwrap().unwrap();
    assert_eq!(build.finished_at, Some(at(5)));
}
