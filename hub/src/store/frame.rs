//! What of a log frame is kept, worked out once for every implementation.

use cofferdam_protocol::limits::{BINARY_FRAME_BYTES_MAX, LOG_RECORD_BYTES_MAX, LOG_RECORDS_MAX};
use cofferdam_protocol::{LogFrame, LogRecord, Origin, StepIndex};

/// What each frame takes at most beside its records.
const FRAME_HEADER_BYTES: usize = 35;

/// How many bytes the records of a frame take, or why the frame cannot be stored. What came over the
/// wire has passed the same limits; here they keep the promise that a stored frame can be read again.
pub(super) fn measure(frame: &LogFrame, steps: &[StepIndex]) -> Result<u64, String> {
    let records = &frame.records;
    let stray = records.iter().find(|record| !steps.contains(&record.step));
    if let Some(stray) = stray {
        return Err(format!("step {} is not one of the job's", stray.step));
    }
    let bytes: usize = records.iter().map(LogRecord::encoded_bytes).sum();
    let is_one_too_long = records
        .iter()
        .any(|record| record.bytes.len() > LOG_RECORD_BYTES_MAX);
    if is_one_too_long
        || records.len() > LOG_RECORDS_MAX
        || bytes + FRAME_HEADER_BYTES > BINARY_FRAME_BYTES_MAX
    {
        return Err(format!(
            "a log frame of {} records and {bytes} bytes is over the limit",
            records.len()
        ));
    }
    Ok(bytes as u64)
}

/// How much of a frame is kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// All of it.
    Whole,
    /// None of it, but this record in its place.
    Mark(LogRecord),
    /// None of it.
    Nothing,
}

/// What is said to a frame of an attempt whose start was not reported.
pub(super) const NOT_STARTED: &str = "its job has not started";

/// How much of a frame that takes `bytes` is kept when its job has `log_bytes` already, of all its
/// attempts, and `log_bytes_max` is the limit. The first frame that goes beyond leaves a mark.
pub(super) fn keep(frame: &LogFrame, bytes: u64, log_bytes: u64, log_bytes_max: u64) -> Kept {
    if log_bytes.saturating_add(bytes) <= log_bytes_max {
        return Kept::Whole;
    }
    match frame.records.first() {
        Some(first) if log_bytes <= log_bytes_max => Kept::Mark(LogRecord {
            step: first.step,
            origin: Origin::System,
            at_ms: first.at_ms,
            bytes: format!(
                "The log of this job is longer than {log_bytes_max} bytes. The rest is not kept.\n"
            )
            .into_bytes(),
        }),
        _ => Kept::Nothing,
    }
}
