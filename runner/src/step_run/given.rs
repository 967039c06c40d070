//! What a step is given by hand beside files: secrets, a clock that stands, random numbers from a seed.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;

use crate::executor::repeat::{GuestClock, GuestRandom};
use crate::secrets::{SECRET_BYTES_MAX, SecretFault, SecretGrants};
use crate::text::printable;

#[derive(Debug, Args)]
pub(super) struct GivenArgs {
    /// Give it a secret, which is the content of a text file, as `/run/secrets/NAME`; `NAME_FILE` holds that path. Its
    /// value is masked in what the step writes
    #[arg(long, value_name = "NAME=FILE", value_parser = secret_file)]
    secret_file: Vec<(String, PathBuf)>,
    /// What its wall clock shows: `real`, or `fixed=TIME`, as RFC 3339 or in seconds since 1970
    #[arg(long, value_name = "CLOCK", default_value = "real", value_parser = clock)]
    pub(super) clock: GuestClock,
    /// Where its random numbers come from: `real`, or `seeded=SEED`, any text; a build's is `COMMIT:STEP NAME`
    #[arg(long, value_name = "RANDOM", default_value = "real", value_parser = random)]
    pub(super) random: GuestRandom,
}

impl GivenArgs {
    /// Reads the secrets.
    pub(super) fn secrets(&self) -> Result<SecretGrants, String> {
        let mut grants = SecretGrants::default();
        for (name, path) in &self.secret_file {
            let fault = |fault: SecretFault| format!("--secret-file: {fault}");
            if grants.files.get(name).is_some() {
                return Err(format!("--secret-file: {} is given twice", printable(name)));
            }
            // The name is looked at before the file is.
            grants
                .files
                .put(name.clone(), String::new())
                .map_err(fault)?;
            let value = read(path)
                .map_err(|error| format!("--secret-file: {}: {error}", path.display()))?;
            let value =
                String::from_utf8(value).map_err(|_| fault(SecretFault::NotText(name.clone())))?;
            grants.files.put(name.clone(), value).map_err(fault)?;
        }
        Ok(grants)
    }
}

/// One byte too many is enough to know.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut value = Vec::new();
    let most = u64::try_from(SECRET_BYTES_MAX).unwrap_or(u64::MAX);
    let file = File::open(path)?;
    file.take(most + 1).read_to_end(&mut value)?;
    Ok(value)
}

fn secret_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok((name.to_owned(), path.into()))
        }
        _ => Err("a secret is NAME=FILE".to_owned()),
    }
}

fn clock(text: &str) -> Result<GuestClock, String> {
    let Some(time) = text.strip_prefix("fixed=") else {
        return match text {
            "real" => Ok(GuestClock::Real),
            _ => Err("a clock is `real` or `fixed=TIME`".to_owned()),
        };
    };
    let secs = if let Ok(secs) = time.parse::<u64>() {
        Some(secs)
    } else {
        let time: Timestamp = time
            .parse()
            .map_err(|_| "a time is like 2026-01-02T03:04:05Z, or seconds since 1970".to_owned())?;
        u64::try_from(time.as_second()).ok()
    };
    secs.and_then(GuestClock::fixed)
        .ok_or_else(|| "a guest can be shown the years 1970 to 2553".to_owned())
}

fn random(text: &str) -> Result<GuestRandom, String> {
    match (text, text.strip_prefix("seeded=")) {
        ("real", _) => Ok(GuestRandom::Real),
        (_, Some(seed)) => Ok(GuestRandom::seeded(seed)),
        _ => Err("random numbers are `real` or `seeded=SEED`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_set_in_two_ways() {
        for (text, expected) in [
            ("real", Some(GuestClock::Real)),
            ("fixed=0", Some(GuestClock::Fixed(0))),
            (
                "fixed=2026-01-02T03:04:05Z",
                Some(GuestClock::Fixed(1_767_323_045)),
            ),
            (
                "fixed=2026-01-02T04:04:05.9+01:00",
                Some(GuestClock::Fixed(1_767_323_045)),
            ),
            ("fixed=1969-12-31T23:59:00Z", None),
            ("fixed=99999999999999999999", None),
            ("fixed=18446744074", None),
            ("fixed=-1", None),
            ("fixed=", None),
            ("fixed", None),
            ("", None),
        ] {
            assert_eq!(clock(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_seed_is_any_text() {
        assert_eq!(random("real"), Ok(GuestRandom::Real));
        assert_eq!(random("seeded="), Ok(GuestRandom::seeded("")));
        assert_eq!(random("seeded=a=b"), Ok(GuestRandom::seeded("a=b")));
        for text in ["", "seeded", "REAL", "fixed=1"] {
            assert!(random(text).is_err(), "{text}");
        }
    }
}
