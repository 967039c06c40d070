use cofferdam_protocol::{RunnerId, StepIndex};

use super::*;

fn attempt(number: u8) -> AttemptId {
    AttemptId::from_bytes([number; 16])
}

fn seq(number: u64) -> Seq {
    Seq::from_u64(number).unwrap()
}

fn check(applied: &[Applied]) -> Vec<String> {
    let mut talk = Conversation::new(RunnerId::from_bytes([1; 16]));
    let answers = applied
        .iter()
        .flat_map(|applied| talk.answer(attempt(1), Fence(1), applied.clone()));
    let words = answers.map(|frame| match frame {
        HubFrame::Ack { through, .. } => format!("ack {through}"),
        HubFrame::Position { through, .. } => {
            format!("position {}", through.map_or(0, Seq::get))
        }
        HubFrame::Stale { .. } => "stale".to_owned(),
        other => format!("{other:?}"),
    });
    words.collect()
}

#[test]
fn each_report_is_answered_by_where_the_attempt_stands() {
    let answers = check(&[Applied::Stored(seq(1)), Applied::Again(seq(1))]);
    assert_eq!(answers, ["ack 1", "ack 1"]);
}

#[test]
fn a_gap_is_told_once_until_something_is_stored() {
    let gap = || Applied::Gap(Some(seq(2)));
    let answers = check(&[gap(), gap(), Applied::Stored(seq(3)), gap(), gap()]);
    assert_eq!(answers, ["position 2", "ack 3", "position 2"]);
    assert_eq!(check(&[Applied::Gap(None)]), ["position 0"]);
}

#[test]
fn what_can_never_be_stored_is_stale_once() {
    let refused = Applied::Refused("nonsense".to_owned());
    assert_eq!(check(&[refused, Applied::Stale, Applied::Stale]), ["stale"]);
}

#[test]
fn a_conversation_forgets_rather_than_grows() {
    let mut talk = Conversation::new(RunnerId::from_bytes([1; 16]));
    for number in 0..10_000_u128 {
        talk.meets(AttemptId::from_bytes(number.to_be_bytes()));
    }
    assert!(!talk.meets(AttemptId::from_bytes(9_999_u128.to_be_bytes())));
    assert!(talk.meets(AttemptId::from_bytes(0_u128.to_be_bytes())));
}

#[test]
fn a_long_reason_is_cut_at_a_character_and_marked() {
    let event = |why: String| JobEvent::StepFinished {
        step: StepIndex(0),
        result: StepResult::Failed { exit: None, why },
        receipt: serde_json::Value::Null,
    };
    assert_eq!(
        bounded(event("short".to_owned())),
        event("short".to_owned())
    );
    let JobEvent::StepFinished {
        result: StepResult::Failed { why, .. },
        ..
    } = bounded(event("é".repeat(TEXT_BYTES_MAX)))
    else {
        panic!("it became another event");
    };
    assert!(
        why.len() <= TEXT_BYTES_MAX && why.ends_with("é …"),
        "{}",
        why.len()
    );
}

#[tokio::test]
async fn only_what_was_stored_wakes_those_who_read_along() {
    let store = Arc::new(crate::store::memory::MemoryStore::new());
    let ingest = Ingest {
        queue: store.clone(),
        logs: store,
        live: Arc::default(),
        lease: LeaseConfig {
            lease_secs: 15,
            renew_secs: 5,
        },
        clock: Arc::new(crate::clock::FakeClock::at(Timestamp::UNIX_EPOCH)),
    };
    let mut talk = Conversation::new(RunnerId::from_bytes([1; 16]));
    let seen = ingest.live.seen();
    let frame = LogFrame {
        attempt: attempt(1),
        fence: Fence(1),
        seq: seq(1),
        records: Vec::new(),
    };
    let answer = ingest.log(&mut talk, frame).await.unwrap();
    assert!(matches!(answer[..], [HubFrame::Stale { .. }]));
    let name = (attempt(1), Fence(1), seq(1));
    let report = ingest.report(&talk, name, Timestamp::UNIX_EPOCH, JobEvent::Started);
    ingest.event(&mut talk, report).await.unwrap();
    assert_eq!(ingest.live.seen(), seen, "nothing was stored");
    ingest.wake(&Applied::Again(seq(1)));
    assert_eq!(ingest.live.seen(), seen);
    ingest.wake(&Applied::Stored(seq(1)));
    assert_ne!(ingest.live.seen(), seen);
}
