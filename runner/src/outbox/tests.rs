use cofferdam_protocol::report::JobResult;
use futures_util::FutureExt as _;

use super::*;

const FENCE: Fence = Fence(1);

fn attempt(n: u8) -> AttemptId {
    AttemptId::from_bytes([n; 16])
}

fn piece(bytes: &[u8]) -> Piece<'_> {
    Piece {
        step: StepIndex(0),
        origin: Origin::Stdout,
        at: Timestamp::UNIX_EPOCH,
        bytes,
    }
}

fn seq_of(outgoing: &Outgoing) -> u64 {
    match outgoing {
        Outgoing::Event(RunnerFrame::Event { seq, .. }) => seq.get(),
        Outgoing::Event(other) => panic!("the outbox sends no {other:?}"),
        Outgoing::Log(frame) => frame.seq.get(),
    }
}

fn text_of(outgoing: &[Outgoing]) -> String {
    let mut text = Vec::new();
    for frame in outgoing {
        if let Outgoing::Log(frame) = frame {
            frame
                .records
                .iter()
                .for_each(|record| text.extend_from_slice(&record.bytes));
        }
    }
    String::from_utf8(text).unwrap()
}

fn drain(outbox: &Outbox, sent: &mut SentMarks) -> Vec<Outgoing> {
    std::iter::from_fn(|| outbox.take(sent)).collect()
}

#[tokio::test]
async fn log_bytes_wait_in_one_frame_until_somebody_takes_it() {
    let outbox = Outbox::default();
    outbox.open(attempt(1), FENCE);
    let mut sent = SentMarks::default();
    outbox.log(attempt(1), piece(b"a")).await.unwrap();
    outbox.log(attempt(1), piece(b"b")).await.unwrap();
    let first = drain(&outbox, &mut sent);
    outbox.log(attempt(1), piece(b"c")).await.unwrap();
    let second = drain(&outbox, &mut sent);
    assert_eq!((first.len(), text_of(&first)), (1, "ab".to_owned()));
    assert_eq!(
        (second.len(), text_of(&second), seq_of(&second[0])),
        (1, "c".to_owned(), 2)
    );
}

#[tokio::test]
async fn events_and_log_frames_share_one_series_in_order() {
    let outbox = Outbox::default();
    outbox.open(attempt(1), FENCE);
    outbox
        .event(attempt(1), Timestamp::UNIX_EPOCH, JobEvent::Started)
        .unwrap();
    outbox.log(attempt(1), piece(b"x")).await.unwrap();
    outbox
        .event(attempt(1), Timestamp::UNIX_EPOCH, JobEvent::Started)
        .unwrap();
    let all = drain(&outbox, &mut SentMarks::default());
    let shapes: Vec<(u64, bool)> = all
        .iter()
        .map(|out| (seq_of(out), matches!(out, Outgoing::Log(_))))
        .collect();
    assert_eq!(shapes, [(1, false), (2, true), (3, false)]);
}

#[tokio::test]
async fn a_new_connection_sends_again_what_was_not_acknowledged() {
    let outbox = Outbox::default();
    outbox.open(attempt(1), FENCE);
    for text in [b"a", b"b", b"c"] {
        outbox.log(attempt(1), piece(text)).await.unwrap();
        drain(&outbox, &mut SentMarks::default());
    }
    outbox.acknowledge(attempt(1), Seq::FIRST);
    let again = drain(&outbox, &mut SentMarks::default());
    assert_eq!(text_of(&again), "bc");
    assert_eq!(again.iter().map(seq_of).collect::<Vec<_>>(), [2, 3]);
}

#[tokio::test]
async fn an_attempt_is_closed_when_its_end_is_acknowledged() {
    let outbox = Outbox::default();
    outbox.open(attempt(1), FENCE);
    let finished = JobEvent::Finished {
        result: JobResult::Passed,
    };
    outbox
        .event(attempt(1), Timestamp::UNIX_EPOCH, finished)
        .unwrap();
    assert_eq!(outbox.held().len(), 1);
    outbox.acknowledge(attempt(1), Seq::FIRST);
    assert_eq!(outbox.held(), []);
    assert_eq!(outbox.log(attempt(1), piece(b"late")).await, Err(Dropped));
}

#[tokio::test]
async fn a_full_attempt_blocks_its_step_until_the_hub_acknowledges() {
    let outbox = std::sync::Arc::new(Outbox::default());
    outbox.open(attempt(1), FENCE);
    let chunk = vec![b'x'; LOG_RECORD_BYTES_MAX];
    for _ in 0..ATTEMPT_BYTES_MAX / LOG_RECORD_BYTES_MAX {
        outbox.log(attempt(1), piece(&chunk)).await.unwrap();
    }
    let blocked = outbox.log(attempt(1), piece(b"y")).now_or_never();
    assert_eq!(blocked, None, "there was room for more than the bound");
    let all = drain(&outbox, &mut SentMarks::default());
    outbox.acknowledge(
        attempt(1),
        Seq::from_u64(seq_of(all.last().unwrap())).unwrap(),
    );
    outbox.log(attempt(1), piece(b"y")).await.unwrap();
}

#[tokio::test]
async fn a_loud_attempt_does_not_silence_another() {
    let outbox = Outbox::default();
    for n in [1, 2] {
        outbox.open(attempt(n), FENCE);
    }
    let chunk = vec![b'x'; LOG_RECORD_BYTES_MAX];
    for _ in 0..16 {
        outbox.log(attempt(1), piece(&chunk)).await.unwrap();
    }
    outbox.log(attempt(2), piece(b"quiet")).await.unwrap();
    let mut sent = SentMarks::default();
    let first_two: Vec<Outgoing> = [outbox.take(&mut sent), outbox.take(&mut sent)]
        .into_iter()
        .flatten()
        .collect();
    assert!(text_of(&first_two).contains("quiet"));
}

#[tokio::test]
async fn every_frame_that_leaves_is_one_that_the_hub_would_read() {
    let outbox = Outbox::default();
    outbox.open(attempt(1), FENCE);
    for _ in 0..5000 {
        outbox.log(attempt(1), piece(b"z")).await.unwrap();
    }
    outbox
        .log(attempt(1), piece(&vec![b'x'; 700 * 1024]))
        .await
        .unwrap();
    let all = drain(&outbox, &mut SentMarks::default());
    for outgoing in &all {
        let Outgoing::Log(frame) = outgoing else {
            panic!("only log was written")
        };
        assert_eq!(&LogFrame::decode(&frame.encode()).unwrap(), frame);
    }
    assert_eq!(text_of(&all).len(), 5000 + 700 * 1024);
}
