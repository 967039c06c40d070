//! Whatever arrives, decoding answers: a frame or an error, never a panic, and never more memory than
//! the bytes that came.

use cofferdam_protocol::limits::{
    BINARY_FRAME_BYTES_MAX, LOG_RECORD_BYTES_MAX, TEXT_FRAME_BYTES_MAX,
};
use cofferdam_protocol::log::BadLogFrame;
use cofferdam_protocol::{
    AttemptId, Fence, HubFrame, LogFrame, LogRecord, Origin, RunnerFrame, Seq, StepIndex, codec,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn record() -> impl Strategy<Value = LogRecord> {
    (
        any::<u16>(),
        0_u8..3,
        any::<u64>(),
        vec(any::<u8>(), 0..300),
    )
        .prop_map(|(step, origin, at_ms, bytes)| LogRecord {
            step: StepIndex(step),
            origin: Origin::from_code(origin).expect("0, 1 and 2 are origins"),
            at_ms,
            bytes,
        })
}

fn log_frame() -> impl Strategy<Value = LogFrame> {
    (
        any::<[u8; 16]>(),
        any::<u64>(),
        1_u64..,
        vec(record(), 0..20),
    )
        .prop_map(|(attempt, fence, seq, records)| LogFrame {
            attempt: AttemptId::from_bytes(attempt),
            fence: Fence(fence),
            seq: Seq::from_u64(seq).expect("not zero"),
            records,
        })
}

proptest! {
    #[test]
    fn a_log_frame_survives_the_wire(frame in log_frame()) {
        prop_assert_eq!(LogFrame::decode(&frame.encode()), Ok(frame));
    }

    #[test]
    fn any_bytes_are_a_log_frame_or_an_error(bytes in vec(any::<u8>(), 0..2000)) {
        let _answer = LogFrame::decode(&bytes);
    }

    #[test]
    fn a_log_frame_cut_anywhere_is_an_error(frame in log_frame(), at in any::<prop::sample::Index>()) {
        let bytes = frame.encode();
        let cut = at.index(bytes.len());
        prop_assert!(LogFrame::decode(&bytes[..cut]).is_err());
    }

    #[test]
    fn a_log_frame_with_one_changed_byte_never_panics(
        frame in log_frame(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = frame.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _answer = LogFrame::decode(&bytes);
    }

    #[test]
    fn any_text_is_a_frame_or_an_error(text in any::<String>()) {
        let _answer = codec::decode::<HubFrame>(&text, TEXT_FRAME_BYTES_MAX);
        let _answer = codec::decode::<RunnerFrame>(&text, TEXT_FRAME_BYTES_MAX);
    }
}

fn bare_frame(records: Vec<LogRecord>) -> LogFrame {
    LogFrame {
        attempt: AttemptId::from_bytes([0; 16]),
        fence: Fence(1),
        seq: Seq::FIRST,
        records,
    }
}

#[test]
fn a_log_frame_beyond_its_bounds_is_refused() {
    let record = |bytes: usize| LogRecord {
        step: StepIndex(0),
        origin: Origin::Stdout,
        at_ms: 0,
        bytes: vec![b'x'; bytes],
    };
    let too_long = vec![0; BINARY_FRAME_BYTES_MAX + 1];
    assert_eq!(
        LogFrame::decode(&too_long),
        Err(BadLogFrame::TooLong {
            bytes: BINARY_FRAME_BYTES_MAX + 1
        })
    );
    let large = bare_frame(vec![record(LOG_RECORD_BYTES_MAX + 1)]).encode();
    assert_eq!(
        LogFrame::decode(&large),
        Err(BadLogFrame::Field {
            field: "so large a record"
        })
    );
    let mut trailing = bare_frame(vec![record(1)]).encode();
    trailing.push(0);
    assert_eq!(
        LogFrame::decode(&trailing),
        Err(BadLogFrame::Trailing { bytes: 1 })
    );
}

#[test]
fn text_beyond_its_bounds_is_refused_without_being_parsed() {
    let huge = format!("{:?}", "x".repeat(TEXT_FRAME_BYTES_MAX));
    let error = codec::decode::<HubFrame>(&huge, TEXT_FRAME_BYTES_MAX).unwrap_err();
    assert!(matches!(error, codec::DecodeError::TooLong { .. }));
    let deep = "[".repeat(100_000);
    assert!(codec::decode::<HubFrame>(&deep, TEXT_FRAME_BYTES_MAX).is_err());
}

#[test]
fn ids_that_are_none_are_refused_where_they_arrive() {
    for text in [
        "",
        "../../etc",
        "01ARZ3NDEKTSV4RRFFQ69G5FA",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV1",
    ] {
        assert!(text.parse::<AttemptId>().is_err(), "{text:?}");
    }
    for text in [
        "",
        "HEAD",
        "-x",
        "0123456789abcdef",
        "0123456789ABCDEF0123456789abcdef01234567",
    ] {
        assert!(
            text.parse::<cofferdam_protocol::CommitId>().is_err(),
            "{text:?}"
        );
    }
}

#[test]
fn a_field_of_a_later_version_is_ignored_and_a_frame_of_one_is_not() {
    let decode = |text: &str| codec::decode::<HubFrame>(text, TEXT_FRAME_BYTES_MAX);
    let welcome = r#"{"type":"welcome","lease_secs":15,"renew_secs":5,"mood":"good"}"#;
    assert!(decode(welcome).is_ok());
    assert!(decode(r#"{"type":"farewell"}"#).is_err());
}
