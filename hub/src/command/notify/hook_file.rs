//! The file that a git server's host keeps for each repository: where the hub is, how to verify it, and the
//! key that signs. 0600, in TOML.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use rustls_pki_types::ServerName;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::control::view::HookView;
use crate::data_dir::read_private;
use crate::domain::RepoName;

/// A hook file that was checked.
#[derive(Debug)]
pub(in crate::command) struct HookFile {
    /// The hub's host.
    pub(super) host: String,
    /// And port.
    pub(super) port: u16,
    /// The repository's name on the hub.
    pub(super) repository: String,
    /// Signs.
    pub(super) key: SecretString,
    /// The CA that the hub's certificate must come from, in PEM.
    pub(super) ca: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHookFile {
    hub: String,
    repository: String,
    key: SecretString,
    ca: String,
}

/// The same, to be written. The key is a secret and stays in the one type that hides it until here.
#[derive(Serialize)]
struct HookText<'a> {
    hub: &'a str,
    repository: &'a str,
    key: &'a str,
    ca: &'a str,
}

impl HookFile {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = read_private(path)?;
        let bytes = bytes.with_context(|| format!("there is no hook file {}", path.display()))?;
        let parse = || {
            let raw: RawHookFile = toml::from_str(str::from_utf8(&bytes)?)?;
            Self::check(raw)
        };
        parse().with_context(|| format!("{} is not a good hook file", path.display()))
    }

    fn check(raw: RawHookFile) -> anyhow::Result<Self> {
        let RawHookFile {
            hub,
            repository,
            key,
            ca,
        } = raw;
        let (host, port) = parse_address(&hub)?;
        let repository: RepoName = repository.parse()?;
        Ok(Self {
            host,
            port,
            repository: repository.to_string(),
            key,
            ca,
        })
    }

    /// Whether a text is a hub's address.
    pub(in crate::command) fn check_address(text: &str) -> anyhow::Result<()> {
        parse_address(text).map(drop)
    }

    /// The file's text.
    pub(in crate::command) fn text(view: &HookView) -> anyhow::Result<String> {
        let HookView {
            hub,
            repository,
            key,
            ca,
        } = view;
        let text = toml::to_string(&HookText {
            hub,
            repository,
            key,
            ca,
        });
        let text = text.context("could not write the hook file")?;
        Ok(format!(
            "# For `cofferdam-hub notify` in hooks/post-receive. Holds a secret: keep it 0600.\n{text}"
        ))
    }
}

/// Host and port of `https://HOST[:PORT]`.
fn parse_address(text: &str) -> anyhow::Result<(String, u16)> {
    let uri: http::Uri = text
        .parse()
        .context("the hub's address is https://HOST:PORT")?;
    let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let Some(authority) = uri.authority() else {
        bail!("the hub's address is https://HOST:PORT");
    };
    ensure!(
        uri.scheme_str() == Some("https") && is_bare && !authority.as_str().contains('@'),
        "the hub's address is https://HOST:PORT, and nothing else"
    );
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    ServerName::try_from(host).context("the hub's host is neither a DNS name nor an IP address")?;
    Ok((host.to_owned(), authority.port_u16().unwrap_or(443)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::write_private;

    fn check(text: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("demo.hook");
        write_private(&path, text.as_bytes()).unwrap();
        match HookFile::read(&path) {
            Ok(file) => format!("{} {} {}", file.host, file.port, file.repository),
            Err(error) => format!("{}", error.root_cause()),
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let view = HookView {
            hub: "https://[::1]:7878".to_owned(),
            repository: "demo".to_owned(),
            key: "k".to_owned(),
            ca: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".to_owned(),
        };
        assert_eq!(check(&HookFile::text(&view).unwrap()), "::1 7878 demo");
    }

    #[test]
    fn a_malformed_file_is_refused() {
        let file = |hub: &str, repository: &str| {
            format!("hub = '{hub}'\nrepository = '{repository}'\nkey = 'k'\nca = ''\n")
        };
        assert_eq!(
            check(&file("https://hub.example", "demo")),
            "hub.example 443 demo"
        );
        for bad in [
            file("http://hub.example", "demo"),
            file("https://hub.example/x", "demo"),
            file("https://u@hub.example", "demo"),
            file("https://-.", "demo"),
            file("hub", "demo"),
            file("https://hub.example", "../demo"),
            "hub = 1".to_owned(),
            String::new(),
            "\u{0}".to_owned(),
            file("https://hub.example", "demo") + "more = 1\n",
        ] {
            assert!(!check(&bad).ends_with(" demo"), "{bad:?}");
        }
    }

    #[test]
    fn a_file_that_others_could_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("demo.hook");
        write_private(&path, b"").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = HookFile::read(&path).unwrap_err();
        assert!(error.to_string().contains("mode 0644"), "{error}");
    }
}
