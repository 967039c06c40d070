//! The full id of a commit.

use std::fmt;
use std::str::FromStr;

/// The full id of a commit, as lower-case hexadecimal digits: 40 of SHA-1 or 64 of SHA-256.
///
/// Abbreviations and names are refused, because what they mean can change.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitId(String);

/// Why a text is not the full id of a commit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a commit id is 40 or 64 lower-case hexadecimal digits")]
pub struct BadCommitId;

impl CommitId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that git's `--object-format` gives to repositories with such ids.
    pub(crate) fn object_format(&self) -> &'static str {
        if self.0.len() == SHA1_DIGITS {
            "sha1"
        } else {
            "sha256"
        }
    }
}

const SHA1_DIGITS: usize = 40;
const SHA256_DIGITS: usize = 64;

impl FromStr for CommitId {
    type Err = BadCommitId;

    fn from_str(text: &str) -> Result<Self, BadCommitId> {
        let is_hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        if matches!(text.len(), SHA1_DIGITS | SHA256_DIGITS) && text.bytes().all(is_hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadCommitId)
        }
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "CommitId({})", self.0)
    }
}
