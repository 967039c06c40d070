//! Repositories, builds and their plans.

use futures_util::future::join_all;

use super::*;
use crate::domain::BuildState;

store_contract!([
    a_repository_is_added_once,
    repositories_come_by_name,
    a_build_is_found_by_its_id_and_by_its_number,
    a_number_that_no_build_has_finds_none,
    builds_that_come_at_once_get_numbers_without_gaps,
    each_repository_counts_its_own_builds,
    a_push_that_comes_again_at_once_has_one_build,
    a_commit_on_another_ref_is_another_build,
    a_file_that_could_not_be_planned_leaves_an_invalid_build,
    a_plan_that_could_not_be_carried_out_takes_no_number,
    a_build_of_an_unknown_repository_is_an_error,
    an_id_that_is_taken_is_an_error_and_leaves_nothing,
    jobs_come_back_as_they_were_planned,
    the_newest_builds_come_first,
]);

async fn a_repository_is_added_once(scene: &Scene<'_>) {
    let again = Repository {
        name: repo("r"),
        url: "https://example.com/other.git".to_owned(),
        hook_key: "other".into(),
    };
    assert!(!scene.store.add_repository(&again).await.unwrap());
    let kept = scene.store.repository(&repo("r")).await.unwrap().unwrap();
    assert_eq!(kept.url, "file:///srv/r.git");
    assert_eq!(secrecy::ExposeSecret::expose_secret(&kept.hook_key), "key");
    assert!(scene.store.repository(&repo("s")).await.unwrap().is_none());
}

async fn repositories_come_by_name(scene: &Scene<'_>) {
    for name in ["b", "A", "z"] {
        scene.add_repository(name).await;
    }
    let all = scene.store.repositories().await.unwrap();
    let names: Vec<_> = all.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["A", "b", "r", "z"]);
}

async fn a_build_is_found_by_its_id_and_by_its_number(scene: &Scene<'_>) {
    let admitted = scene.admit(1, &[&[]]).await;
    assert_eq!(admitted.number, 1);
    assert_eq!(admitted.state, BuildState::Queued);
    assert_eq!(admitted.push.received_at, at(0));
    let by_id = scene.store.build(build(1)).await.unwrap();
    assert_eq!(by_id.as_ref(), Some(&admitted));
    let by_number = scene.store.build_by_number(&repo("r"), 1).await.unwrap();
    assert_eq!(by_number.as_ref(), Some(&admitted));
}

async fn a_number_that_no_build_has_finds_none(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    for number in [0, 2, u64::MAX] {
        let found = scene.store.build_by_number(&repo("r"), number).await;
        assert_eq!(found.unwrap(), None);
    }
    assert_eq!(scene.store.build(build(9)).await.unwrap(), None);
    assert!(scene.store.jobs(build(9)).await.unwrap().is_empty());
    assert!(scene.store.steps(job(9, 0)).await.unwrap().is_empty());
}

async fn builds_that_come_at_once_get_numbers_without_gaps(scene: &Scene<'_>) {
    let pushes = (1..=20).map(|number| scene.store.admit(new_build("r", number, &[&[]])));
    join_all(pushes).await;
    let builds = scene.store.builds(None, 100).await.unwrap();
    let numbers: Vec<u64> = builds.iter().rev().map(|build| build.number).collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<u64>>());
}

async fn each_repository_counts_its_own_builds(scene: &Scene<'_>) {
    scene.add_repository("s").await;
    scene.admit(1, &[&[]]).await;
    scene.store.admit(new_build("s", 2, &[&[]])).await.unwrap();
    let other = scene.store.build(build(2)).await.unwrap().unwrap();
    assert_eq!(other.number, 1);
}

async fn a_push_that_comes_again_at_once_has_one_build(scene: &Scene<'_>) {
    let pushes = (1..=5).map(|number| {
        let mut new = new_build("r", number, &[&[]]);
        new.push.commit = "a".repeat(40).parse().unwrap();
        scene.store.admit(new)
    });
    let admissions: Vec<_> = join_all(pushes)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let is_new = |admission: &&Admission| matches!(admission, Admission::New(_));
    assert_eq!(admissions.iter().filter(is_new).count(), 1);
    let ids = admissions.iter().map(|admission| match admission {
        Admission::New(build) | Admission::Known(build) => build.id,
    });
    let builds = scene.store.builds(None, 100).await.unwrap();
    assert_eq!(builds.len(), 1);
    assert!(ids.into_iter().all(|id| id == builds[0].id));
}

async fn a_commit_on_another_ref_is_another_build(scene: &Scene<'_>) {
    let first = scene.admit(1, &[&[]]).await;
    let mut other = new_build("r", 2, &[&[]]);
    other.push.commit = first.push.commit;
    other.push.reference = "refs/heads/other".to_owned();
    let admission = scene.store.admit(other).await.unwrap();
    assert!(matches!(admission, Admission::New(build) if build.number == 2));
}

async fn a_file_that_could_not_be_planned_leaves_an_invalid_build(scene: &Scene<'_>) {
    let mut new = new_build("r", 1, &[]);
    new.plan = None;
    scene.store.admit(new).await.unwrap();
    let invalid = scene.store.build(build(1)).await.unwrap().unwrap();
    assert_eq!(invalid.state, BuildState::Invalid);
    assert_eq!(invalid.finished_at, Some(invalid.created_at));
    assert!(
        scene
            .store
            .cancel(build(1), at(9))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(scene.show(1).await, "invalid");
}

async fn a_plan_that_could_not_be_carried_out_takes_no_number(scene: &Scene<'_>) {
    let mut same_step = new_build("r", 1, &[&[], &[]]);
    same_step.plan.as_mut().unwrap().jobs[1].steps[0].spec.index = StepIndex(0);
    let mut less = new_build("r", 1, &[&[], &[]]);
    less.plan.as_mut().unwrap().jobs.pop();
    let mut unexplained = new_build("r", 1, &[&[]]);
    unexplained.plan.as_mut().unwrap().outline.jobs[0].steps[0].skip = true;
    let unlike = "the plan's jobs are not those of its outline";
    let no_plan = "the plan's outline cannot be followed";
    let bad = [
        (new_build("r", 1, &[]), no_plan),
        (new_build("r", 1, &[&[], &[1]]), no_plan),
        (less, unlike),
        (unexplained, unlike),
        (same_step, "two steps of the plan have the index 0"),
    ];
    for (new, why) in bad {
        let error = scene.store.admit(new).await.unwrap_err();
        assert_eq!(error.to_string(), "the store could not admit a build");
        assert_eq!(error.source.to_string(), why);
    }
    assert_eq!(scene.admit(2, &[&[]]).await.number, 1);
}

async fn a_build_of_an_unknown_repository_is_an_error(scene: &Scene<'_>) {
    let new = new_build("unknown", 1, &[&[]]);
    assert!(scene.store.admit(new).await.is_err());
    assert!(scene.store.builds(None, 1).await.unwrap().is_empty());
}

async fn an_id_that_is_taken_is_an_error_and_leaves_nothing(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let mut same_build = new_build("r", 2, &[&[]]);
    same_build.id = build(1);
    let mut same_job = new_build("r", 2, &[&[], &[0]]);
    same_job.plan.as_mut().unwrap().jobs[1].id = job(1, 0);
    for new in [same_build, same_job] {
        assert!(scene.store.admit(new).await.is_err());
        assert_eq!(scene.store.builds(None, 9).await.unwrap().len(), 1);
        assert_eq!(scene.ready().await, [job(1, 0)]);
    }
    assert_eq!(scene.admit(2, &[&[]]).await.number, 2);
}

async fn jobs_come_back_as_they_were_planned(scene: &Scene<'_>) {
    let new = new_build("r", 1, &[&[], &[0], &[0, 1]]);
    let NewPlan { outline, jobs } = new.plan.clone().unwrap();
    scene.store.admit(new).await.unwrap();
    let stored = scene.store.jobs(build(1)).await.unwrap();
    assert_eq!(stored.len(), jobs.len());
    for ((ordinal, job), planned) in (0..).zip(stored).zip(jobs) {
        let outlined = &outline.jobs[ordinal as usize];
        assert_eq!((job.id, job.build), (planned.id, build(1)));
        assert_eq!((job.ordinal, &job.needs), (ordinal, &outlined.needs));
        let steps: Vec<_> = job.steps.iter().map(|step| &step.spec).collect();
        let planned_steps: Vec<_> = planned.steps.iter().map(|step| &step.spec).collect();
        assert_eq!((job.runs_on, steps), (planned.runs_on, planned_steps));
        let first = JobState::Queued { attempts: 0 };
        let expected = if ordinal == 0 {
            first
        } else {
            JobState::Waiting
        };
        assert_eq!(job.state, expected);
    }
}

async fn the_newest_builds_come_first(scene: &Scene<'_>) {
    scene.add_repository("s").await;
    for (name, number) in [("r", 3), ("s", 2), ("r", 1)] {
        let new = new_build(name, number, &[&[]]);
        scene.store.admit(new).await.unwrap();
    }
    let list = async |name: Option<RepoName>, limit: u32| {
        let builds = scene.store.builds(name.as_ref(), limit).await.unwrap();
        builds.into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 9).await, [build(1), build(2), build(3)]);
    assert_eq!(list(None, 2).await, [build(1), build(2)]);
    assert_eq!(list(None, 0).await, []);
    assert_eq!(list(Some(repo("r")), 9).await, [build(1), build(3)]);
    assert_eq!(list(Some(repo("t")), 9).await, []);
}
