//! What both sides sign, and the keys and nonces in it.
//!
//! A stolen database, or a log of what was said, gives no way in: only the holders of the two private
//! keys can sign, and what they sign names both nonces, the dialled origin, the runner, the role and,
//! where the hub itself ends TLS, the TLS exporter of the very connection (RFC 9266).

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::ids::RunnerId;

/// The label and length of the TLS exporter that binds a session to its connection (RFC 9266, section 2).
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// Length of the exporter, in bytes (RFC 9266, section 2).
pub const EXPORTER_BYTES: usize = 32;

macro_rules! bytes_as_base64 {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub [u8; $length]);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), BASE64URL_NOPAD.encode(&self.0))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&BASE64URL_NOPAD.encode(&self.0))
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadBytes;
            fn try_from(text: String) -> Result<Self, BadBytes> {
                let expected = BadBytes { name: stringify!($name), length: $length };
                let bytes = BASE64URL_NOPAD
                    .decode(text.as_bytes())
                    .map_err(|_| expected.clone())?;
                bytes.try_into().map(Self).map_err(|_| expected)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    };
}

/// Text that should have been base64url of a fixed number of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} must be {length} bytes in unpadded base64url")]
pub struct BadBytes {
    name: &'static str,
    length: usize,
}

bytes_as_base64!(
    /// Thirty-two random bytes, used for one session only.
    Nonce,
    32
);
bytes_as_base64!(
    /// An ed25519 public key (RFC 8032).
    PublicKey,
    32
);
bytes_as_base64!(
    /// An ed25519 signature (RFC 8032).
    Signature,
    64
);

/// Who signs. Part of the signed bytes, so that neither side's signature serves as the other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The control plane.
    Hub,
    /// The host that runs steps.
    Runner,
}

/// All that a session's signatures cover.
#[derive(Clone, Debug)]
pub struct SessionFacts<'a> {
    /// The runner that asks to be let in.
    pub runner: RunnerId,
    /// The origin that the runner dialled.
    pub origin: &'a str,
    /// From [`crate::hello::Hello`].
    pub runner_nonce: Nonce,
    /// From [`crate::hello::Challenge`].
    pub hub_nonce: Nonce,
    /// The exporter of this TLS connection, or `None` behind a proxy that ends TLS.
    pub exporter: Option<[u8; EXPORTER_BYTES]>,
}

/// The exact bytes that `role` signs. Every field has a fixed length or is preceded by its length.
pub fn transcript(role: Role, facts: &SessionFacts<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(b"cofferdam session v1\0");
    bytes.push(match role {
        Role::Hub => b'H',
        Role::Runner => b'R',
    });
    bytes.extend_from_slice(&facts.runner.to_bytes());
    put_text(&mut bytes, facts.origin);
    bytes.extend_from_slice(&facts.runner_nonce.0);
    bytes.extend_from_slice(&facts.hub_nonce.0);
    match facts.exporter {
        Some(exporter) => {
            bytes.push(1);
            bytes.extend_from_slice(&exporter);
        }
        None => bytes.push(0),
    }
    bytes
}

/// The exact bytes that a joining runner signs with its new key: the proof that it holds it.
pub fn join_transcript(token: &str, origin: &str, key: &PublicKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(b"cofferdam join v1\0");
    put_text(&mut bytes, token);
    put_text(&mut bytes, origin);
    bytes.extend_from_slice(&key.0);
    bytes
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// Signs `message`.
pub fn sign(key: &SigningKey, message: &[u8]) -> Signature {
    Signature(key.sign(message).to_bytes())
}

/// Whether `signature` is `key`'s over `message`, by the strict rules (no small-order keys, RFC 8032 5.1.7).
pub fn is_signed_by(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(&key.0) else {
        return false;
    };
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    key.verify_strict(message, &signature).is_ok()
}
