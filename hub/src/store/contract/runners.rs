//! Runners and the tokens that let them in.

use futures_util::future::join_all;

use super::*;
use crate::domain::RunnerState;

store_contract!([
    a_token_lets_one_runner_in,
    a_runner_that_joined_is_remembered,
    a_token_that_is_unknown_or_expired_lets_nobody_in,
    a_runner_id_that_is_taken_is_an_error_and_uses_up_no_token,
    a_token_that_is_stored_already_is_an_error,
    runners_come_in_the_order_of_joining,
    a_revoked_runner_stays_known_and_revoked,
    the_last_sign_of_life_is_remembered,
]);

async fn a_token_lets_one_runner_in(scene: &Scene<'_>) {
    scene.store.add_token(&token(9, 10)).await.unwrap();
    let newcomers = (3..8).map(|number| {
        let hash = token(9, 10).hash;
        scene.store.join(hash, newcomer(number), at(1))
    });
    let joined: Vec<_> = join_all(newcomers)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let is_in = |joined: &&Joined| matches!(joined, Joined::Yes(_));
    let is_late = |joined: &&Joined| matches!(joined, Joined::UsedToken);
    assert_eq!(joined.iter().filter(is_in).count(), 1);
    assert_eq!(joined.iter().filter(is_late).count(), 4);
    assert_eq!(scene.store.runners().await.unwrap().len(), 3);
}

async fn a_runner_that_joined_is_remembered(scene: &Scene<'_>) {
    scene.store.add_token(&token(3, 10)).await.unwrap();
    let joined = scene.store.join([3; 32], newcomer(3), at(1)).await.unwrap();
    let Joined::Yes(joined) = joined else {
        panic!("{joined:?}")
    };
    assert_eq!(joined.name, "runner 3");
    assert_eq!(joined.labels, ["linux", "host-3"]);
    assert_eq!(joined.state, RunnerState::Active);
    assert_eq!((joined.joined_at, joined.seen_at), (at(1), None));
    let found = scene.store.runner(runner(3)).await.unwrap();
    assert_eq!(found, Some(joined));
    assert_eq!(scene.store.runner(runner(4)).await.unwrap(), None);
}

async fn a_token_that_is_unknown_or_expired_lets_nobody_in(scene: &Scene<'_>) {
    scene.store.add_token(&token(3, 10)).await.unwrap();
    let join = async |hash: u8, now: i64| {
        let joined = scene.store.join([hash; 32], newcomer(3), at(now));
        joined.await.unwrap()
    };
    assert_eq!(join(4, 1).await, Joined::UnknownToken);
    assert_eq!(join(3, 10).await, Joined::ExpiredToken);
    assert_eq!(join(1, 1000).await, Joined::UsedToken);
    assert_eq!(scene.store.runner(runner(3)).await.unwrap(), None);
    assert!(matches!(join(3, 9).await, Joined::Yes(_)));
}

async fn a_runner_id_that_is_taken_is_an_error_and_uses_up_no_token(scene: &Scene<'_>) {
    scene.store.add_token(&token(3, 10)).await.unwrap();
    let taken = scene.store.join([3; 32], newcomer(1), at(1)).await;
    assert!(taken.is_err());
    let joined = scene.store.join([3; 32], newcomer(3), at(1)).await;
    assert!(matches!(joined.unwrap(), Joined::Yes(_)));
}

async fn a_token_that_is_stored_already_is_an_error(scene: &Scene<'_>) {
    assert!(scene.store.add_token(&token(1, 1000)).await.is_err());
    let joined = scene.store.join([1; 32], newcomer(3), at(1)).await;
    assert_eq!(joined.unwrap(), Joined::UsedToken);
}

async fn runners_come_in_the_order_of_joining(scene: &Scene<'_>) {
    scene.add_runner(0).await;
    let runners = scene.store.runners().await.unwrap();
    let ids: Vec<_> = runners.into_iter().map(|one| one.id).collect();
    assert_eq!(ids, [runner(1), runner(2), runner(0)]);
}

async fn a_revoked_runner_stays_known_and_revoked(scene: &Scene<'_>) {
    for (number, is_known) in [(1, true), (1, true), (9, false)] {
        let revoked = scene.store.revoke(runner(number), at(5)).await;
        assert_eq!(revoked.unwrap().is_some(), is_known);
    }
    let revoked = scene.store.runner(runner(1)).await.unwrap().unwrap();
    assert_eq!(revoked.state, RunnerState::Revoked);
    let other = scene.store.runner(runner(2)).await.unwrap().unwrap();
    assert_eq!(other.state, RunnerState::Active);
}

async fn the_last_sign_of_life_is_remembered(scene: &Scene<'_>) {
    scene.store.saw(runner(1), at(3)).await.unwrap();
    scene.store.saw(runner(1), at(4)).await.unwrap();
    scene.store.saw(runner(9), at(4)).await.unwrap();
    let seen = scene.store.runner(runner(1)).await.unwrap().unwrap();
    assert_eq!(seen.seen_at, Some(at(4)));
}
