//! The names of things, as types. A bad one is refused where it arrives and never travels further.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// A string was not a well-formed name of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not {expected}")]
pub struct BadId {
    /// What a good one looks like, with its article.
    pub expected: &'static str,
}

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Ulid);

        impl $name {
            /// Wraps an id that the caller's id source made.
            pub const fn new(id: Ulid) -> Self {
                Self(id)
            }

            /// The sixteen bytes that stand for it in binary frames and in the database.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_bytes()
            }

            /// The inverse of [`Self::to_bytes`]. Every sixteen bytes are an id.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Ulid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Ulid::from_string(text).map(Self).map_err(|_| BadId { expected: $expected })
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

ulid_id!(
    /// Names one run of a pipeline for a push.
    BuildId,
    "a build id (26 characters, ULID)"
);
ulid_id!(
    /// Names the chain of steps that one runner executes in order.
    JobId,
    "a job id (26 characters, ULID)"
);
ulid_id!(
    /// Names one try of a job on one runner. A retry gets a new one.
    AttemptId,
    "an attempt id (26 characters, ULID)"
);
ulid_id!(
    /// Names a runner, from its joining to its revocation.
    RunnerId,
    "a runner id (26 characters, ULID)"
);

/// Counts the attempts of one job. The hub refuses every write that carries an old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fence(pub u64);

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Numbers what a runner reports about one attempt: events and log frames share one series, 1, 2, 3 …
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seq(pub NonZeroU64);

impl Seq {
    /// The number of the first report of an attempt.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    #[must_use]
    /// The number after this one. Saturates, which no attempt lives long enough to see.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// `None` for zero, which numbers nothing.
    pub fn from_u64(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The plain number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A step's place in its build, from 0. Stable across retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StepIndex(pub u16);

impl fmt::Display for StepIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A git commit by its full name: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
/// Never abbreviated, never a ref: what is not hexadecimal could be an option to git.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(String);

impl CommitId {
    /// The hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CommitId {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        let is_hex = text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_hex && matches!(text.len(), 40 | 64) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadId {
                expected: "a commit (40 or 64 lower-case hexadecimal digits)",
            })
        }
    }
}

impl TryFrom<String> for CommitId {
    type Error = BadId;
    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl From<CommitId> for String {
    fn from(id: CommitId) -> String {
        id.0
    }
}
