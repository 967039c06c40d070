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

/// The records of a frame that are kept when the attempt has `log_bytes` already, the frame takes
/// `bytes`, and at most `log_bytes_max` are kept. A frame is kept whole or not at all; in place of the
/// first that is not, one record says so.
pub(super) fn keep(
    records: Vec<LogRecord>,
    log_bytes: u64,
    bytes: u64,
    log_bytes_max: u64,
) -> Vec<LogRecord> {
    let after = log_bytes.saturating_add(bytes);
    if after <= log_bytes_max {
        return records;
    }
    if log_bytes > log_bytes_max {
        return Vec::new();
    }
    let mark = |first: &LogRecord| {
        LogRecord {
        step: first.step,
        origin: Origin::System,
        at_ms: first.at_ms,
        bytes: format!(
            "The log of this job is longer than {log_bytes_max} bytes. The rest of it is not kept.\n"
        )
        .into_bytes(),
    }
    };
    records.first().map(mark).into_iter().collect()
}
