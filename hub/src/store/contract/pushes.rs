//! Reports that are taken once, and pushes that are remembered until they are settled.

use super::*;
use crate::domain::{AcceptedPush, PushId, ReportedPush};
use crate::store::SignedReport;

store_contract!([
    a_report_is_taken_once_until_it_is_too_old_to_be_taken,
    a_report_of_an_unknown_repository_is_an_error,
    an_accepted_push_is_remembered_until_it_is_settled,
    a_push_is_settled_with_its_build_in_one_transaction,
    a_build_that_could_not_be_stored_settles_nothing,
]);

fn signed(repository: &str, nonce: &str, pushes: &[u8]) -> SignedReport {
    let push = |number: &u8| ReportedPush {
        push: new_build(repository, *number, &[&[]]).push,
        before: (*number > 1).then(|| "b".repeat(40).parse().unwrap()),
    };
    SignedReport {
        repository: repo(repository),
        nonce: nonce.to_owned(),
        expires_at: at(10),
        pushes: pushes.iter().map(push).collect(),
    }
}

async fn accept(scene: &Scene<'_>, nonce: &str, pushes: &[u8]) -> Vec<AcceptedPush> {
    let accepted = scene.store.accept(signed("r", nonce, pushes), at(0)).await;
    accepted.unwrap().expect("the nonce is new")
}

async fn unsettled(scene: &Scene<'_>) -> Vec<PushId> {
    let pushes = scene.store.unsettled().await.unwrap();
    pushes.into_iter().map(|push| push.id).collect()
}

async fn a_report_is_taken_once_until_it_is_too_old_to_be_taken(scene: &Scene<'_>) {
    scene.add_repository("s").await;
    let take = async |name: &str, now: i64| {
        let taken = scene.store.accept(signed(name, "n", &[1]), at(now)).await;
        taken.unwrap().is_some()
    };
    assert!(take("r", 0).await);
    assert!(!take("r", 1).await);
    assert!(take("s", 1).await, "another repository has its own nonces");
    assert!(!take("r", 10).await, "at its last moment it still counts");
    let pushes = unsettled(scene).await.len();
    assert_eq!(pushes, 2, "what is not taken leaves nothing");
    assert!(take("r", 11).await, "afterwards it is forgotten");
}

async fn a_report_of_an_unknown_repository_is_an_error(scene: &Scene<'_>) {
    let report = signed("t", "n", &[1]);
    assert!(scene.store.accept(report, at(0)).await.is_err());
    assert_eq!(unsettled(scene).await, []);
}

async fn an_accepted_push_is_remembered_until_it_is_settled(scene: &Scene<'_>) {
    assert_eq!(accept(scene, "none", &[]).await, []);
    let accepted = accept(scene, "two", &[1, 2]).await;
    assert_eq!(accepted[1].push, new_build("r", 2, &[&[]]).push);
    assert_eq!(scene.store.unsettled().await.unwrap(), accepted);
    for _ in 0..2 {
        scene.store.settle(accepted[1].id).await.unwrap();
        assert_eq!(unsettled(scene).await, [accepted[0].id]);
    }
    let later = accept(scene, "three", &[3]).await;
    assert!(
        !accepted.iter().any(|old| old.id == later[0].id),
        "no id is given twice"
    );
    assert_eq!(unsettled(scene).await, [accepted[0].id, later[0].id]);
}

async fn a_push_is_settled_with_its_build_in_one_transaction(scene: &Scene<'_>) {
    // The same push twice: the second one finds the build of the first.
    let accepted = accept(scene, "n", &[1, 1]).await;
    for (push, number) in accepted.iter().zip([1, 2]) {
        let new = NewBuild {
            id: build(number),
            settles: Some(push.id),
            ..new_build("r", 1, &[&[]])
        };
        let admission = scene.store.admit(new).await.unwrap();
        assert_eq!(matches!(admission, Admission::New(_)), number == 1);
        assert!(!unsettled(scene).await.contains(&push.id));
    }
    assert_eq!(scene.store.builds(None, 10).await.unwrap().len(), 1);
}

async fn a_build_that_could_not_be_stored_settles_nothing(scene: &Scene<'_>) {
    let accepted = accept(scene, "n", &[1]).await;
    let new = NewBuild {
        settles: Some(accepted[0].id),
        ..new_build("r", 1, &[&[0]])
    };
    assert!(scene.store.admit(new).await.is_err());
    assert_eq!(unsettled(scene).await, [accepted[0].id]);
}
