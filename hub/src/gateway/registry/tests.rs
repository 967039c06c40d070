use std::collections::BTreeMap;

use cofferdam_protocol::BuildId;
use cofferdam_protocol::job_spec::{BuildRef, CheckoutSpec, Trust};
use cofferdam_protocol::proof::PublicKey;
use jiff::Timestamp;

use super::*;
use crate::domain::RunnerState;

fn runner() -> Runner {
    Runner {
        id: RunnerId::from_bytes([1; 16]),
        name: "one".to_owned(),
        key: PublicKey([0; 32]),
        labels: vec!["linux".to_owned()],
        state: RunnerState::Active,
        joined_at: Timestamp::UNIX_EPOCH,
        seen_at: None,
    }
}

fn spec(number: u8) -> JobSpec {
    JobSpec {
        attempt: AttemptId::from_bytes([number; 16]),
        fence: Fence(1),
        build: BuildRef {
            id: BuildId::from_bytes([1; 16]),
            number: 1,
            repository: "demo".to_owned(),
        },
        checkout: CheckoutSpec {
            url: String::new(),
            reference: String::new(),
            commit: "1".repeat(40).parse().unwrap(),
        },
        trust: Trust::Trusted,
        env: BTreeMap::new(),
        steps: Vec::new(),
    }
}

#[tokio::test]
async fn nothing_can_be_handed_to_who_is_not_there() {
    let registry = Arc::new(Registry::default());
    let who = runner();
    assert_eq!(registry.offer(who.id, spec(1)), Err(Undeliverable));
    let Seated { seat, orders, .. } = registry.seat(&who, 1).await.unwrap();
    assert_eq!(registry.offer(who.id, spec(1)), Ok(()));
    drop(orders);
    assert_eq!(registry.offer(who.id, spec(2)), Err(Undeliverable));
    drop(seat);
    assert_eq!(registry.connected(), []);
}

#[tokio::test]
async fn only_offers_without_an_answer_are_left_behind() {
    let registry = Arc::new(Registry::default());
    let who = runner();
    let Seated {
        seat,
        orders: _orders,
        ..
    } = registry.seat(&who, 4).await.unwrap();
    for number in 1..=3 {
        registry.offer(who.id, spec(number)).unwrap();
    }
    seat.accepted(spec(1).attempt);
    seat.declined(spec(2).attempt, JobId::from_bytes([2; 16]), "no".to_owned());
    assert_eq!(seat.leave(), [(spec(3).attempt, Fence(1))]);
}

#[tokio::test]
async fn a_seat_that_was_taken_over_can_change_nothing() {
    let registry = Arc::new(Registry::default());
    let who = runner();
    let Seated {
        seat: old,
        orders: old_orders,
        ..
    } = registry.seat(&who, 1).await.unwrap();
    for number in [1, 2] {
        registry.offer(who.id, spec(number)).unwrap();
    }
    old.accepted(spec(1).attempt);
    // The old session does not read its orders any more, so it cannot answer the probe.
    drop(old_orders);
    let new = registry.seat(&who, 2).await.unwrap();
    let unanswered = [(spec(2).attempt, Fence(1))];
    assert_eq!(new.orphans, unanswered, "the new one is told at once");
    registry.offer(who.id, spec(3)).unwrap();
    assert_eq!(old.leave(), []);
    assert_eq!(registry.connected()[0].slots, 2);
}

#[tokio::test]
async fn a_cancellation_is_told_once_per_connection() {
    let registry = Arc::new(Registry::default());
    let who = runner();
    let Seated {
        seat: _seat,
        mut orders,
        ..
    } = registry.seat(&who, 1).await.unwrap();
    let attempt = spec(1).attempt;
    registry.cancel(who.id, attempt, Fence(1));
    registry.cancel(who.id, attempt, Fence(1));
    assert!(matches!(
        orders.try_recv(),
        Ok(Order::Send(HubFrame::Cancel { .. }))
    ));
    assert!(orders.try_recv().is_err());
}

#[tokio::test]
async fn the_pause_after_a_decline_doubles_up_to_a_minute() {
    let registry = Arc::new(Registry::default());
    let Seated {
        seat,
        orders: _orders,
        ..
    } = registry.seat(&runner(), 1).await.unwrap();
    let job = JobId::from_bytes([1; 16]);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        seat.declined(spec(1).attempt, job, "full".to_owned());
        let retry_at = registry.connected()[0].retry_at.unwrap();
        let pause = retry_at.saturating_duration_since(Instant::now());
        pauses.push(pause.as_secs_f64().round());
    }
    assert_eq!(pauses, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
    assert_eq!(registry.connected()[0].declined[&job], "full");
}

#[tokio::test]
async fn a_lease_that_ran_out_unstarted_is_a_decline_without_words() {
    let registry = Arc::new(Registry::default());
    let who = runner();
    let seated = registry.seat(&who, 1).await.unwrap();
    let job = JobId::from_bytes([1; 16]);
    registry.offer(who.id, spec(1)).unwrap();
    registry.let_lapse(who.id, spec(1).attempt, job);
    let connected = registry.connected().remove(0);
    assert_eq!(connected.declined[&job], "it did not start it in time");
    assert!(connected.retry_at.is_some());
    assert_eq!(seated.seat.leave(), [], "its answer is not waited for");
}
