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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(time: &str, nonce: &str, signature: Option<&str>) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(TIME_HEADER, time.parse().unwrap());
        headers.insert(NONCE_HEADER, nonce.parse().unwrap());
        let key = SecretString::from("key");
        let signed = Signed {
            repository: "demo",
            time,
            nonce,
            body: b"{}",
        };
        let good = signed.sign(&key);
        headers.insert(
            SIGNATURE_HEADER,
            signature.unwrap_or(&good).parse().unwrap(),
        );
        match Claim::read("demo", &headers, b"{}") {
            Err(why) => why,
            Ok(claim) => match claim.verify(&key, Timestamp::from_second(1000).unwrap()) {
                Some(until) => format!("good until {}", until.as_second()),
                None => "not good".to_owned(),
            },
        }
    }

    #[test]
    fn a_claim_is_good_for_five_minutes_in_both_directions() {
        for (time, nonce, signature, expected) in [
            ("1000", "n", None, "good until 1300"),
            ("700", "n", None, "good until 1000"),
            ("1300", "n", None, "good until 1600"),
            ("699", "n", None, "not good"),
            ("1301", "n", None, "not good"),
            (
                "-9223372036854775808",
                "n",
                None,
                "x-cofferdam-time is in seconds since 1970",
            ),
            (
                "1e3",
                "n",
                None,
                "x-cofferdam-time is in seconds since 1970",
            ),
            ("1000", "", None, "x-cofferdam-nonce is 1 to 64 characters"),
            (
                "1000",
                "a b",
                None,
                "x-cofferdam-nonce is 1 to 64 characters",
            ),
            ("1000", "n", Some("00"), "not good"),
            ("1000", "n", Some(""), "not good"),
        ] {
            assert_eq!(
                check(time, nonce, signature),
                expected,
                "{time:?} {nonce:?}"
            );
        }
    }

    #[test]
    fn a_header_that_is_missing_is_named() {
        let missing = Claim::read("demo", &HeaderMap::new(), b"").err();
        assert_eq!(
            missing.as_deref(),
            Some("the header x-cofferdam-time is missing or no text")
        );
    }
}
