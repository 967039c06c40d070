//! Log bytes on the wire: numbered binary frames of records.
//!
//! ```text
//! frame   magic 'L' 1 │ attempt 16 │ fence 8 │ seq 8 │ count 2 │ record × count
//! record  step 2 │ origin 1 │ at, ms since 1970 8 │ length 4 │ bytes
//! ```
//! All numbers are big-endian. A frame shares its number series with the attempt's events, so the hub
//! stores both in the order in which they happened.

use serde::{Deserialize, Serialize};

use crate::ids::{AttemptId, Fence, Seq, StepIndex};
use crate::limits::{BINARY_FRAME_BYTES_MAX, LOG_RECORD_BYTES_MAX, LOG_RECORDS_MAX};

const MAGIC: u8 = b'L';
const HEADER_BYTES: usize = 1 + 16 + 8 + 8 + 2;
const RECORD_HEADER_BYTES: usize = 2 + 1 + 8 + 4;

/// Who wrote a record. A view marks `System` in a way that no byte of a step can imitate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Cofferdam itself.
    System,
    /// The step's standard output.
    Stdout,
    /// The step's standard error.
    Stderr,
}

impl Origin {
    /// Its number on the wire and in the database.
    pub const fn code(self) -> u8 {
        match self {
            Self::System => 0,
            Self::Stdout => 1,
            Self::Stderr => 2,
        }
    }

    /// The inverse of [`Self::code`].
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::System),
            1 => Some(Self::Stdout),
            2 => Some(Self::Stderr),
            _ => None,
        }
    }
}

/// Some bytes that a step, or Cofferdam on its behalf, wrote at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Which step.
    pub step: StepIndex,
    /// Who wrote it.
    pub origin: Origin,
    /// When, in milliseconds since 1970 by the runner's clock.
    pub at_ms: u64,
    /// At most [`LOG_RECORD_BYTES_MAX`]. Any bytes: not text until somebody looks at it.
    pub bytes: Vec<u8>,
}

/// A numbered batch of records of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFrame {
    /// Which attempt.
    pub attempt: AttemptId,
    /// Which try.
    pub fence: Fence,
    /// Its number in the attempt's series.
    pub seq: Seq,
    /// In the order in which they were written.
    pub records: Vec<LogRecord>,
}

/// Why bytes are not a log frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLogFrame {
    /// Longer than [`BINARY_FRAME_BYTES_MAX`].
    #[error("a log frame of {bytes} bytes; at most {BINARY_FRAME_BYTES_MAX} are taken")]
    TooLong {
        /// How long it was.
        bytes: usize,
    },
    /// It does not start as one.
    #[error("these bytes are not a log frame")]
    NotOne,
    /// It ends in the middle.
    #[error("the log frame ends in the middle of {part}")]
    Short {
        /// Where it ended.
        part: &'static str,
    },
    /// More follows after its last record.
    #[error("{bytes} bytes follow after the last record")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A field has a value that means nothing.
    #[error("{field} has no meaning in a log frame")]
    Field {
        /// Which field.
        field: &'static str,
    },
}

impl LogFrame {
    /// The frame as bytes. The caller keeps to the limits; [`Self::decode`] refuses what does not.
    pub fn encode(&self) -> Vec<u8> {
        let payload: usize = self.records.iter().map(LogRecord::encoded_bytes).sum();
        let mut out = Vec::with_capacity(HEADER_BYTES.saturating_add(payload));
        out.push(MAGIC);
        out.extend_from_slice(&self.attempt.to_bytes());
        out.extend_from_slice(&self.fence.0.to_be_bytes());
        out.extend_from_slice(&self.seq.get().to_be_bytes());
        let count = u16::try_from(self.records.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&count.to_be_bytes());
        for record in &self.records {
            out.extend_from_slice(&record.step.0.to_be_bytes());
            out.push(record.origin.code());
            out.extend_from_slice(&record.at_ms.to_be_bytes());
            let length = u32::try_from(record.bytes.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&record.bytes);
        }
        out
    }

    /// Reads a frame that anybody may have sent. Never panics, never allocates more than it was given.
    pub fn decode(frame: &[u8]) -> Result<Self, BadLogFrame> {
        if frame.len() > BINARY_FRAME_BYTES_MAX {
            return Err(BadLogFrame::TooLong { bytes: frame.len() });
        }
        let mut reader = Reader { rest: frame };
        if reader.array::<1>("the magic")? != [MAGIC] {
            return Err(BadLogFrame::NotOne);
        }
        let attempt = AttemptId::from_bytes(reader.array("the attempt")?);
        let fence = Fence(u64::from_be_bytes(reader.array("the fence")?));
        let seq = Seq::from_u64(u64::from_be_bytes(reader.array("the number")?))
            .ok_or(BadLogFrame::Field { field: "number 0" })?;
        let count = usize::from(u16::from_be_bytes(reader.array("the count")?));
        if count > LOG_RECORDS_MAX {
            return Err(BadLogFrame::Field {
                field: "so large a count",
            });
        }
        let mut records = Vec::new();
        for _ in 0..count {
            records.push(reader.record()?);
        }
        match reader.rest.len() {
            0 => Ok(Self {
                attempt,
                fence,
                seq,
                records,
            }),
            bytes => Err(BadLogFrame::Trailing { bytes }),
        }
    }
}

impl LogRecord {
    /// How many bytes of a frame the record takes.
    pub fn encoded_bytes(&self) -> usize {
        RECORD_HEADER_BYTES.saturating_add(self.bytes.len())
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], BadLogFrame> {
        let (head, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(BadLogFrame::Short { part })?;
        self.rest = rest;
        Ok(*head)
    }

    fn slice(&mut self, length: usize, part: &'static str) -> Result<&'a [u8], BadLogFrame> {
        let (head, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(BadLogFrame::Short { part })?;
        self.rest = rest;
        Ok(head)
    }

    fn record(&mut self) -> Result<LogRecord, BadLogFrame> {
        let step = StepIndex(u16::from_be_bytes(self.array("a step")?));
        let [origin] = self.array("an origin")?;
        let origin = Origin::from_code(origin).ok_or(BadLogFrame::Field {
            field: "that origin",
        })?;
        let at_ms = u64::from_be_bytes(self.array("a time")?);
        let length = u32::from_be_bytes(self.array("a length")?) as usize;
        if length > LOG_RECORD_BYTES_MAX {
            return Err(BadLogFrame::Field {
                field: "so large a record",
            });
        }
        let bytes = self.slice(length, "a record")?.to_vec();
        Ok(LogRecord {
            step,
            origin,
            at_ms,
            bytes,
        })
    }
}
