//! What a git server's `post-receive` says to the hub, and what the hub answers: the form that
//! `cofferdam-hub notify` writes and `trigger` reads.
//!
//! A request is signed with the repository's key over the repository's name, the time, a nonce and the
//! body, so that it cannot be made by others, changed, or sent again.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// The header with the time of signing, in seconds since 1970.
pub const TIME_HEADER: &str = "x-cofferdam-time";

/// The header with a text that its sender uses once.
pub const NONCE_HEADER: &str = "x-cofferdam-nonce";

/// The header with the HMAC-SHA256, in lower-case hexadecimal.
pub const SIGNATURE_HEADER: &str = "x-cofferdam-signature";

/// Longest report, in bytes: 256 refs with long names. A push of more is cut by its sender, because
/// one of more than [`REFS_MAX`] runs nothing anyway.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Longest nonce, in bytes. Ours have 43.
pub const NONCE_BYTES_MAX: usize = 64;

/// How far the sender's clock may be from ours, in seconds. Long enough for hosts without time service,
/// short enough that few nonces must be remembered.
pub const SKEW_SECS_MAX: i64 = 300;

/// Most refs of one push that run anything: "we don't run any pipelines for pushes that involve more than
/// five tags, bookmarks, or branches" (<https://support.atlassian.com/bitbucket-cloud/docs/limitations-of-bitbucket-pipelines/>).
pub const REFS_MAX: usize = 5;

/// Most refs that a report may name; what is above [`REFS_MAX`] is only counted.
pub const UPDATES_MAX: usize = 256;

/// What was pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushReport {
    /// One for each ref, in git's order.
    pub updates: Vec<RefUpdate>,
}

/// One line of `post-receive`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefUpdate {
    /// The full name of the ref.
    pub reference: String,
    /// What it pointed to before; zeros if it is new.
    pub old: String,
    /// The commit that it points to now, of an annotated tag the tagged one; zeros if it was deleted.
    pub new: String,
}

impl RefUpdate {
    /// Whether the ref is gone.
    pub fn is_deletion(&self) -> bool {
        is_zeros(&self.new)
    }
}

/// Whether this stands for no commit.
pub fn is_zeros(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte == b'0')
}

/// What the hub says to the pusher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushAnswer {
    /// For people, in order; each one line without control characters.
    pub lines: Vec<String>,
    /// The builds that were made or found, for programs.
    pub builds: Vec<BuildAnswer>,
}

/// A build in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildAnswer {
    /// The ref that was pushed.
    pub reference: String,
    /// The build's number in the repository.
    pub number: u64,
}

/// The path to which a report of this repository is posted.
pub fn path(repository: &str) -> String {
    format!("/api/v1/repositories/{repository}/push")
}

/// Everything that a signature covers.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The repository's name on the hub.
    pub repository: &'a str,
    /// The value of [`TIME_HEADER`].
    pub time: &'a str,
    /// The value of [`NONCE_HEADER`].
    pub nonce: &'a str,
    /// The body as it was sent.
    pub body: &'a [u8],
}

impl Signed<'_> {
    /// The value of [`SIGNATURE_HEADER`].
    pub fn sign(&self, key: &SecretString) -> String {
        data_encoding::HEXLOWER.encode(&self.mac(key).finalize().into_bytes())
    }

    /// Whether `signature` is `key`'s. Takes the same time whatever is wrong with it.
    pub fn is_signed_with(&self, key: &SecretString, signature: &str) -> bool {
        let signature = data_encoding::HEXLOWER
            .decode(signature.as_bytes())
            .unwrap_or_default();
        self.mac(key).verify_slice(&signature).is_ok()
    }

    fn mac(&self, key: &SecretString) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes())
            .expect("HMAC takes keys of any length");
        // Each part has its length before it, so that none can be moved into its neighbour.
        mac.update(b"cofferdam push v1\0");
        for part in [
            self.repository.as_bytes(),
            self.time.as_bytes(),
            self.nonce.as_bytes(),
            self.body,
        ] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_covers_every_part_and_where_it_ends() {
        let key = SecretString::from("key");
        let good = Signed {
            repository: "demo",
            time: "1",
            nonce: "23",
            body: b"{}",
        };
        let signature = good.sign(&key);
        assert!(good.is_signed_with(&key, &signature));
        assert!(!good.is_signed_with(&SecretString::from("other"), &signature));
        for bad in [
            Signed {
                repository: "dem",
                ..good
            },
            Signed {
                time: "12",
                nonce: "3",
                ..good
            },
            Signed { nonce: "2", ..good },
            Signed {
                body: b"{ }",
                ..good
            },
        ] {
            assert!(!bad.is_signed_with(&key, &signature), "{bad:?}");
        }
        for bad in ["", "zz", &signature[..62], &signature.to_uppercase()] {
            assert!(!good.is_signed_with(&key, bad), "{bad:?}");
        }
    }
}
