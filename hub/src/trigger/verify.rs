//! Whether a report was made by who holds the repository's key, lately, and is all that was signed.

use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use crate::hook::{
    NONCE_BYTES_MAX, NONCE_HEADER, SIGNATURE_HEADER, SKEW_SECS_MAX, Signed, TIME_HEADER,
};

/// What a request says about itself.
pub(super) struct Claim<'a> {
    signed: Signed<'a>,
    signature: &'a str,
    at: Timestamp,
}

impl<'a> Claim<'a> {
    /// Reads the headers, or says which one is malformed.
    pub(super) fn read(
        repository: &'a str,
        headers: &'a HeaderMap,
        body: &'a [u8],
    ) -> Result<Self, String> {
        let header = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.ok_or_else(|| format!("the header {name} is missing or no text"))
        };
        let (time, nonce) = (header(TIME_HEADER)?, header(NONCE_HEADER)?);
        let is_nonce_good = !nonce.is_empty()
            && nonce.len() <= NONCE_BYTES_MAX
            && nonce.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_nonce_good {
            return Err(format!(
                "{NONCE_HEADER} is 1 to {NONCE_BYTES_MAX} characters"
            ));
        }
        let at = time
            .parse()
            .ok()
            .and_then(|secs| Timestamp::from_second(secs).ok())
            .ok_or_else(|| format!("{TIME_HEADER} is in seconds since 1970"))?;
        Ok(Self {
            signed: Signed {
                repository,
                time,
                nonce,
                body,
            },
            signature: header(SIGNATURE_HEADER)?,
            at,
        })
    }

    /// When the signature is too old to be taken again; `None` if it is not good now.
    pub(super) fn verify(&self, key: &SecretString, now: Timestamp) -> Option<Timestamp> {
        let is_signed = self.signed.is_signed_with(key, self.signature);
        let skew = now.duration_since(self.at).abs();
        let skew_max = SignedDuration::from_secs(SKEW_SECS_MAX);
        let expires_at = self.at.checked_add(skew_max).ok()?;
        (is_signed && skew <= skew_max).then_some(expires_at)
    }

    pub(super) fn nonce(&self) -> &'a str {
        self.signed.nonce
    }
}
