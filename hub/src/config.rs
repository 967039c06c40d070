//! What the operator decides: the flags of `serve` over `hub.toml` in the data directory, over defaults.
//!
//! This is the one place that reads the environment (`PATH` and `COFFERDAM_HUB_LOG`). Deliberately
//! absent: secrets; they live in 0600 files that the hub makes itself.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::data_dir::{self, DataDirError};

/// The file in the data directory.
const FILE_NAME: &str = "hub.toml";

/// Where the hub listens unless told otherwise: this host only, until the operator opens it.
const LISTEN: &str = "127.0.0.1:7878";

/// The names in the certificate unless told otherwise: this host, however it is spelled.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Most names in a certificate: a hub has a handful, and each one travels in every handshake.
const NAMES_MAX: usize = 64;

/// How long the hub waits for a sign of life before a lease ends (DESIGN: 15 s, renewed every 5 s).
const LEASE_SECS: u32 = 15;
const RENEW_SECS: u32 = 5;

/// Below these a busy host looks dead: a loaded runner is late by a second now and then.
const LEASE_SECS_MIN: u32 = 3;
const RENEW_SECS_MIN: u32 = 1;

/// The longest lease that makes sense: a lost runner keeps its jobs for that long.
const LEASE_SECS_MAX: u32 = 600;

/// Connections at once unless told otherwise: ten thousand idle runners, some room for joins and hooks.
const CONNECTIONS_MAX: u32 = 12_000;

/// The flags and the file say the same things in the same words; `None` is "not said".
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// The address to listen on, for example `0.0.0.0:7878`. Port 0 picks a free one.
    pub listen: Option<String>,
    /// DNS names and IP addresses in the hub's own certificate.
    pub names: Option<Vec<String>>,
    /// Directories below which a repository's URL may be `file://`.
    pub git_file_roots: Option<Vec<PathBuf>>,
    /// A certificate chain in PEM to serve instead of one of the hub's own CA.
    pub tls_cert: Option<PathBuf>,
    /// its private key in PEM.
    pub tls_key: Option<PathBuf>,
    /// Make a CA if there is none, also in a directory that has served before.
    pub new_ca: Option<bool>,
    /// How long the hub waits for a sign of life before a lease ends, in seconds.
    pub lease_secs: Option<u32>,
    /// How often a runner must renew its leases, in seconds.
    pub renew_secs: Option<u32>,
    /// Connections at once.
    pub connections_max: Option<u32>,
}

/// What was decided, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// Names in the hub's own certificate; the first is what people are told to dial.
    pub names: Vec<String>,
    /// Directories below which a repository's URL may be `file://`.
    pub git_file_roots: Vec<PathBuf>,
    /// Whose certificate is shown.
    pub tls: TlsSource,
    /// How leases are kept.
    pub lease: LeaseConfig,
    /// Connections at once.
    pub connections_max: u32,
}

/// Whose certificate a hub shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSource {
    /// One that its own CA issued; the CA is made at the first start.
    Own,
    /// The same, and the operator knows that a CA which is missing will be another one than before.
    NewCa,
    /// The operator's.
    Files(TlsFiles),
}

/// A certificate that somebody else made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, leaf first, in PEM.
    pub cert: PathBuf,
    /// The private key in PEM.
    pub key: PathBuf,
}

/// How leases are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseConfig {
    /// How long a lease lasts, in seconds.
    pub lease_secs: u32,
    /// How often it is renewed, in seconds.
    pub renew_secs: u32,
}

impl LeaseConfig {
    /// How long a lease lasts.
    pub fn length(self) -> Duration {
        Duration::from_secs(u64::from(self.lease_secs))
    }

    /// How often a lease is renewed.
    pub fn renewal(self) -> Duration {
        Duration::from_secs(u64::from(self.renew_secs))
    }

    /// How long after the end of its lease an attempt counts as lost. A runner stops a job that must
    /// not run twice 20 s after the last renewal it heard of, so the hub waits for two leases in all.
    pub fn grace(self) -> Duration {
        self.length()
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] DataDirError),
    /// The file is not TOML of the right form.
    #[error("{path} is not a good configuration")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A value is out of bounds.
    #[error("{field}: {why}")]
    Value {
        /// Which one.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

impl RawConfig {
    /// The file of a data directory; all `None` if there is none.
    pub fn read(data: &Path) -> Result<Self, ConfigError> {
        let path = data.join(FILE_NAME);
        let Some(bytes) = data_dir::read_public(&path)? else {
            return Ok(Self::default());
        };
        let parsed = String::from_utf8(bytes)
            .map_err(Into::into)
            .and_then(|text| toml::from_str(&text).map_err(Into::into));
        parsed.map_err(|source| ConfigError::Syntax { path, source })
    }

    /// What `self` says, and `below` where it says nothing.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            listen: self.listen.or(below.listen),
            names: self.names.or(below.names),
            git_file_roots: self.git_file_roots.or(below.git_file_roots),
            tls_cert: self.tls_cert.or(below.tls_cert),
            tls_key: self.tls_key.or(below.tls_key),
            new_ca: self.new_ca.or(below.new_ca),
            lease_secs: self.lease_secs.or(below.lease_secs),
            renew_secs: self.renew_secs.or(below.renew_secs),
            connections_max: self.connections_max.or(below.connections_max),
        }
    }

    /// Checks every value and fills in the defaults.
    pub fn validate(self) -> Result<Config, ConfigError> {
        let Self {
            listen,
            names,
            git_file_roots,
            tls_cert,
            tls_key,
            new_ca,
            lease_secs,
            renew_secs,
            connections_max,
        } = self;
        let listen = listen.unwrap_or_else(|| LISTEN.to_owned());
        let connections_max = connections_max.unwrap_or(CONNECTIONS_MAX);
        if connections_max == 0 {
            return Err(bad("connections_max", "at least 1"));
        }
        let tls = match (tls_cert, tls_key, new_ca) {
            (Some(cert), Some(key), None | Some(false)) => TlsSource::Files(TlsFiles { cert, key }),
            (None, None, Some(true)) => TlsSource::NewCa,
            (None, None, _) => TlsSource::Own,
            (Some(_), Some(_), Some(true)) => {
                return Err(bad(
                    "new_ca",
                    "with tls_cert there is no CA of the hub's own",
                ));
            }
            _ => return Err(bad("tls_cert", "tls_cert and tls_key go together")),
        };
        Ok(Config {
            listen: listen
                .parse()
                .map_err(|_| bad("listen", format!("{listen:?} is not ADDRESS:PORT")))?,
            names: check_names(names.unwrap_or_else(|| NAMES.map(str::to_owned).to_vec()))?,
            git_file_roots: check_roots(git_file_roots.unwrap_or_default())?,
            tls,
            lease: check_lease(lease_secs, renew_secs)?,
            connections_max,
        })
    }
}

fn bad(field: &'static str, why: impl Into<String>) -> ConfigError {
    ConfigError::Value {
        field,
        why: why.into(),
    }
}

fn check_names(mut names: Vec<String>) -> Result<Vec<String>, ConfigError> {
    if names.is_empty() || names.len() > NAMES_MAX {
        return Err(bad("names", format!("1 to {NAMES_MAX} names")));
    }
    for name in &mut names {
        name.make_ascii_lowercase();
        if rustls_pki_types::ServerName::try_from(name.as_str()).is_err() {
            return Err(bad(
                "names",
                format!("{name:?} is neither a DNS name nor an IP address"),
            ));
        }
    }
    Ok(names)
}

fn check_roots(roots: Vec<PathBuf>) -> Result<Vec<PathBuf>, ConfigError> {
    match roots.iter().find(|root| !root.is_absolute()) {
        Some(root) => Err(bad(
            "git_file_roots",
            format!("{} is not an absolute path", root.display()),
        )),
        None => Ok(roots),
    }
}

fn check_lease(lease: Option<u32>, renew: Option<u32>) -> Result<LeaseConfig, ConfigError> {
    let lease_secs = lease.unwrap_or(LEASE_SECS);
    let renew_secs = renew.unwrap_or(RENEW_SECS.min(lease_secs / 3).max(RENEW_SECS_MIN));
    if !(LEASE_SECS_MIN..=LEASE_SECS_MAX).contains(&lease_secs) {
        return Err(bad(
            "lease_secs",
            format!("{LEASE_SECS_MIN} to {LEASE_SECS_MAX} seconds"),
        ));
    }
    if renew_secs < RENEW_SECS_MIN || renew_secs > lease_secs / 3 {
        return Err(bad(
            "renew_secs",
            format!(
                "{RENEW_SECS_MIN} second to a third of lease_secs, so that one lost renewal is no loss"
            ),
        ));
    }
    Ok(LeaseConfig {
        lease_secs,
        renew_secs,
    })
}

/// The directories in which programs are looked for.
#[expect(clippy::disallowed_methods, reason = "this is config.rs")]
pub fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// What the hub logs about itself, in the words of `tracing`'s filter; `info` unless said otherwise.
#[expect(clippy::disallowed_methods, reason = "this is config.rs")]
pub fn log_filter() -> String {
    std::env::var("COFFERDAM_HUB_LOG").unwrap_or_else(|_| "info".to_owned())
}

/// The repository in which git runs a hook, as git says it; `None` outside of one.
#[expect(clippy::disallowed_methods, reason = "this is config.rs")]
pub fn hook_git_dir() -> Option<OsString> {
    std::env::var_os("GIT_DIR")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE_NAME), text).unwrap();
        match RawConfig::read(dir.path()).and_then(RawConfig::validate) {
            Ok(config) => format!(
                "{} {:?} lease {} renew {}",
                config.listen, config.names, config.lease.lease_secs, config.lease.renew_secs
            ),
            Err(error) => error
                .to_string()
                .replace(&dir.path().display().to_string(), "DATA"),
        }
    }

    #[test]
    fn a_file_is_checked_before_it_counts() {
        for (text, expected) in [
            (
                "",
                r#"127.0.0.1:7878 ["localhost", "127.0.0.1", "::1"] lease 15 renew 5"#,
            ),
            (
                "listen = '[::]:0'\nnames = ['Hub.Example']\nlease_secs = 3",
                r#"[::]:0 ["hub.example"] lease 3 renew 1"#,
            ),
            ("lisen = 'x'", "DATA/hub.toml is not a good configuration"),
            ("\u{0}", "DATA/hub.toml is not a good configuration"),
            ("listen = 'hub'", "listen: \"hub\" is not ADDRESS:PORT"),
            ("names = []", "names: 1 to 64 names"),
            (
                "names = ['a b']",
                "names: \"a b\" is neither a DNS name nor an IP address",
            ),
            ("lease_secs = 1", "lease_secs: 3 to 600 seconds"),
            (
                "renew_secs = 15",
                "renew_secs: 1 second to a third of lease_secs, so that one lost renewal is no loss",
            ),
            (
                "tls_cert = '/x'",
                "tls_cert: tls_cert and tls_key go together",
            ),
            (
                "tls_cert = '/x'\ntls_key = '/y'\nnew_ca = true",
                "new_ca: with tls_cert there is no CA of the hub's own",
            ),
            (
                "git_file_roots = ['x']",
                "git_file_roots: x is not an absolute path",
            ),
        ] {
            assert_eq!(check(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let flags = RawConfig {
            listen: Some("127.0.0.1:0".to_owned()),
            ..RawConfig::default()
        };
        let file = RawConfig {
            listen: Some("0.0.0.0:1".to_owned()),
            lease_secs: Some(30),
            ..RawConfig::default()
        };
        let both = flags.over(file);
        assert_eq!(both.listen.as_deref(), Some("127.0.0.1:0"));
        assert_eq!(both.lease_secs, Some(30));
    }
}
