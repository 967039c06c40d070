//! The opening of a session: who is there, on both sides, before anything else is said.
//!
//! ```text
//! runner                                   hub
//!   Hello { runner, nonce, … }      ─►
//!                                   ◄─  Challenge { nonce, identity, signature }
//!   Prove { signature }             ─►
//!                                   ◄─  Welcome { … }   or   Refuse { … }
//! ```
//! The signed bytes are those of [`crate::proof::transcript`].

use serde::{Deserialize, Serialize};

use crate::ids::RunnerId;
use crate::proof::{Nonce, PublicKey, Signature};

/// The runner's first frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Who it says it is; proven by [`Prove`].
    pub runner: RunnerId,
    /// Fresh for this session.
    pub nonce: Nonce,
    /// The origin that the runner dialled, for example `https://hub.example:7878`.
    pub origin: String,
    /// Whether the runner mixed a TLS exporter (RFC 9266) into what it will sign.
    pub is_bound: bool,
    /// The runner's release, for people.
    pub software: String,
    /// How many jobs it can run at once.
    pub slots: u16,
}

/// The hub proves itself first, so that a runner says nothing more to a stranger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// Fresh for this session.
    pub nonce: Nonce,
    /// The hub's ed25519 identity; the runner compares it with the one it stored when it joined.
    pub identity: PublicKey,
    /// Whether the hub mixed the TLS exporter in. Both sides must agree.
    pub is_bound: bool,
    /// Over the transcript in the hub's role.
    pub signature: Signature,
}

/// The runner's answer to a [`Challenge`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prove {
    /// Over the transcript in the runner's role.
    pub signature: Signature,
}

/// The session is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// How long the hub waits for a sign of life before a lease ends, in seconds.
    pub lease_secs: u32,
    /// How often the runner must renew, in seconds.
    pub renew_secs: u32,
}

/// Why a session, or a join, is refused. The runner shows `message` and stops or retries by `code`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refuse {
    /// For the program.
    pub code: RefuseCode,
    /// For the person: at most [`crate::limits::TEXT_BYTES_MAX`] bytes.
    pub message: String,
}

/// The closed list of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefuseCode {
    /// No such runner, or its signature does not verify. Retrying is useless.
    UnknownRunner,
    /// The runner was revoked. Retrying is useless.
    Revoked,
    /// A frame could not be understood, or came out of turn.
    BadFrame,
    /// A session of the same runner is open and answers; the newer one is refused.
    AlreadyConnected,
    /// The hub cannot take the session now. Try again later.
    Busy,
}
