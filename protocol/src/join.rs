//! How a runner becomes one: it trades a one-time token for an identity, over HTTPS, once.

use serde::{Deserialize, Serialize};

use crate::ids::RunnerId;
use crate::proof::{PublicKey, Signature};

/// Longest token that is looked at, in bytes. Ours have 46.
pub const TOKEN_BYTES_MAX: usize = 128;

/// The body of `POST` [`crate::JOIN_PATH`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The operator's one-time token.
    pub token: String,
    /// What people will call this runner.
    pub name: String,
    /// The key whose private half never leaves the runner's host.
    pub key: PublicKey,
    /// The origin that the runner dialled.
    pub origin: String,
    /// By `key`, over [`crate::proof::join_transcript`].
    pub signature: Signature,
}

/// Shows everything but the token.
impl std::fmt::Debug for JoinRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinRequest")
            .field("name", &self.name)
            .field("key", &self.key)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// The hub's answer to a good request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinAnswer {
    /// The identity that the hub gave.
    pub runner: RunnerId,
    /// The hub's own identity, stored by the runner and compared at each session.
    pub hub_identity: PublicKey,
    /// The labels that the token carried.
    pub labels: Vec<String>,
}
