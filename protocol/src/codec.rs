//! Bytes ⇄ text frames, with bounds on size and nesting. Binary frames are [`crate::log`]'s.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a text frame is refused.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Longer than is taken from this peer.
    #[error("a text frame of {bytes} bytes; at most {bytes_max} are taken")]
    TooLong {
        /// How long it was.
        bytes: usize,
        /// How long it may be.
        bytes_max: usize,
    },
    /// It is not a frame of the kind expected: bad JSON, an unknown type, a missing or malformed field,
    /// or nesting deeper than 128 (`serde_json`'s bound).
    #[error("this is not a well-formed frame")]
    Malformed(#[source] serde_json::Error),
}

/// A frame as text.
pub fn encode<F: Serialize>(frame: &F) -> String {
    serde_json::to_string(frame)
        .expect("frames have string keys and no failing serializer, so they always encode")
}

/// Reads a text frame of at most `bytes_max` bytes that anybody may have sent.
pub fn decode<F: DeserializeOwned>(text: &str, bytes_max: usize) -> Result<F, DecodeError> {
    if text.len() > bytes_max {
        return Err(DecodeError::TooLong {
            bytes: text.len(),
            bytes_max,
        });
    }
    serde_json::from_str(text).map_err(DecodeError::Malformed)
}
