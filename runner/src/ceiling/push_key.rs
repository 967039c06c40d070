//! Keys that sign pushes. They are read and kept; nothing here checks a signature.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;

/// The one kind of key that is taken, as OpenSSH calls it.
const KIND: &str = "ssh-ed25519";

/// Bytes of an ed25519 key (RFC 8032).
const KEY_BYTES: usize = 32;

/// A public key of somebody whose pushes are to be believed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PushKey {
    key: [u8; KEY_BYTES],
}

/// A text is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a public key as OpenSSH writes it: `{KIND} AAAA… NAME`")]
pub struct BadPushKey;

impl FromStr for PushKey {
    type Err = BadPushKey;

    /// Reads a line of an OpenSSH `.pub` file (RFC 8709, section 4). Its comment is not kept.
    fn from_str(text: &str) -> Result<Self, BadPushKey> {
        let mut words = text.split_ascii_whitespace();
        if words.next() != Some(KIND) {
            return Err(BadPushKey);
        }
        let blob = words.next().unwrap_or_default();
        let blob = BASE64.decode(blob.as_bytes()).map_err(|_| BadPushKey)?;
        let (kind, rest) = field(&blob).ok_or(BadPushKey)?;
        let (key, rest) = field(rest).ok_or(BadPushKey)?;
        if kind != KIND.as_bytes() || !rest.is_empty() {
            return Err(BadPushKey);
        }
        let key = key.try_into().map_err(|_| BadPushKey)?;
        Ok(Self { key })
    }
}

/// A length in four bytes, and that many more (RFC 4251, section 5, `string`).
fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

impl fmt::Display for PushKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blob = Vec::new();
        for part in [KIND.as_bytes(), &self.key] {
            let length = u32::try_from(part.len()).expect("a key has a few bytes");
            blob.extend(length.to_be_bytes());
            blob.extend(part);
        }
        write!(out, "{KIND} {}", BASE64.encode(&blob))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_openssh_is_read_and_nothing_else() {
        let key = PushKey { key: [7; 32] }.to_string();
        assert_eq!(
            format!("{key} ada@example.com").parse(),
            Ok(PushKey { key: [7; 32] })
        );
        let short = &key[..key.len() - 4];
        for text in [
            "",
            "ssh-ed25519",
            "ssh-rsa AAAA",
            short,
            "ssh-ed25519 !!!!",
            "AAAA",
        ] {
            assert_eq!(text.parse::<PushKey>(), Err(BadPushKey), "{text}");
        }
    }
}
