//! A host that runs jobs, and the token that lets it in.

use cofferdam_protocol::RunnerId;
use cofferdam_protocol::proof::PublicKey;
use jiff::Timestamp;

/// A runner that has joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runner {
    /// Names it.
    pub id: RunnerId,
    /// What people call it.
    pub name: String,
    /// What its signatures are checked against.
    pub key: PublicKey,
    /// Given by its token; a pipeline's `runs-on` picks by them.
    pub labels: Vec<String>,
    /// Whether it may work.
    pub state: RunnerState,
    /// When it joined.
    pub joined_at: Timestamp,
    /// Its last sign of life.
    pub seen_at: Option<Timestamp>,
}

/// Whether a runner may work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunnerState {
    /// It may.
    Active,
    /// Never again.
    Revoked,
}

impl RunnerState {
    /// Every state there is.
    pub const ALL: [Self; 2] = [Self::Active, Self::Revoked];

    /// Its name, for people and for the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
        }
    }
}

/// A one-time token, of which the hub keeps only the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinToken {
    /// The SHA-256 of the token's text.
    pub hash: [u8; 32],
    /// What its runner will be labelled.
    pub labels: Vec<String>,
    /// When it ceases to work.
    pub expires_at: Timestamp,
}
