//! Repositories: the addresses that may be cloned.
//!
//! An address is compared part by part, by its exact user, port and path, because servers differ in what they take for the
//! same. Deliberately absent: whether an address is safe to give to git; `cofferdam_git::RemoteUrl` decides that first.

use std::fmt;
use std::str::FromStr;

use super::Covers;

/// Longest address, in bytes. Longer ones are no address of a forge.
const URL_BYTES_MAX: usize = 2_048;

/// Addresses that one entry allows: one, or with `/*` at its end all below.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemotePattern {
    protocol: Protocol,
    /// User, host and port, as the address has them; the host in lower case, without the protocol's usual port.
    authority: String,
    path: String,
    /// Whether everything below `path` is meant, which then ends with a slash.
    is_below: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Protocol {
    Https,
    Ssh,
    /// `user@host:path`, where a path starts at the user's home. Another place than `ssh://user@host/path`.
    SshFromHome,
    File,
}

/// Why a text is no address to clone from, as the end of a sentence about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRemote {
    #[error(
        "is not the address of a repository: `https://HOST/PATH`, `ssh://USER@HOST/PATH`, `USER@HOST:PATH` or `file:///PATH`"
    )]
    Malformed,
    #[error("has a `*` that is not alone behind its last slash")]
    Pattern,
    #[error("leads upwards by `..`")]
    Upwards,
    #[error(
        "has an escape such as `%2e`, which servers read differently; with `/*` there can be none"
    )]
    Escape,
}

impl FromStr for RemotePattern {
    type Err = BadRemote;

    fn from_str(text: &str) -> Result<Self, BadRemote> {
        let is_odd = |c: char| c.is_control() || c.is_whitespace();
        if text.len() > URL_BYTES_MAX || text.contains(is_odd) {
            return Err(BadRemote::Malformed);
        }
        let (protocol, authority, path) = split(text).ok_or(BadRemote::Malformed)?;
        let (path, is_below) = match path.strip_suffix('*') {
            Some(prefix) if prefix.ends_with('/') => (prefix, true),
            Some(_) => return Err(BadRemote::Pattern),
            None => (path, false),
        };
        if path.contains('*') {
            return Err(BadRemote::Pattern);
        }
        if path.split('/').any(|part| part == "..") {
            return Err(BadRemote::Upwards);
        }
        if is_below && path.contains('%') {
            return Err(BadRemote::Escape);
        }
        Ok(Self {
            protocol,
            authority: plain_authority(authority, protocol),
            path: path.to_owned(),
            is_below,
        })
    }
}

fn split(text: &str) -> Option<(Protocol, &str, &str)> {
    if let Some((scheme, rest)) = text.split_once("://") {
        let protocol = match scheme {
            "https" => Protocol::Https,
            "ssh" => Protocol::Ssh,
            "file" => Protocol::File,
            _ => return None,
        };
        let (authority, path) = rest.split_at(rest.find('/')?);
        let is_file = protocol == Protocol::File;
        return (authority.is_empty() == is_file).then_some((protocol, authority, path));
    }
    let (authority, path) = text.split_once(':')?;
    let is_remote = authority.contains('@') && !authority.contains('/') && !path.is_empty();
    is_remote.then_some((Protocol::SshFromHome, authority, path))
}

fn plain_authority(authority: &str, protocol: Protocol) -> String {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let usual = match protocol {
        Protocol::Https => ":443",
        Protocol::Ssh => ":22",
        Protocol::SshFromHome | Protocol::File => "",
    };
    let host = host
        .strip_suffix(usual)
        .unwrap_or(host)
        .to_ascii_lowercase();
    match user {
        Some(user) => format!("{user}@{host}"),
        None => host,
    }
}

impl Covers for RemotePattern {
    fn covers(&self, other: &Self) -> bool {
        let is_same_place = self.protocol == other.protocol && self.authority == other.authority;
        let is_path = if self.is_below {
            is_below(&self.path, &other.path)
        } else {
            !other.is_below && self.path == other.path
        };
        is_same_place && is_path
    }
}

/// Whether a path lies below another one, for every server there is: an escape, a doubled slash or a `.` may be taken for
/// something else by some.
fn is_below(prefix: &str, path: &str) -> bool {
    let Some(rest) = path.strip_prefix(prefix) else {
        return false;
    };
    let parts = rest.strip_suffix('/').unwrap_or(rest);
    rest.is_empty()
        || !rest.contains('%') && parts.split('/').all(|part| !part.is_empty() && part != ".")
}

impl fmt::Display for RemotePattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            protocol,
            authority,
            path,
            is_below,
        } = self;
        let star = if *is_below { "*" } else { "" };
        match protocol {
            Protocol::Https => write!(out, "https://{authority}{path}{star}"),
            Protocol::Ssh => write!(out, "ssh://{authority}{path}{star}"),
            Protocol::SshFromHome => write!(out, "{authority}:{path}{star}"),
            Protocol::File => write!(out, "file://{path}{star}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> RemotePattern {
        text.parse().expect(text)
    }

    #[test]
    fn an_entry_covers_what_it_says_and_no_neighbour() {
        for (entry, url, covers) in [
            (
                "https://git.example/team/app.git",
                "https://GIT.example:443/team/app.git",
                true,
            ),
            (
                "https://git.example/team/app.git",
                "https://git.example/team/app",
                false,
            ),
            (
                "https://git.example/team/app.git",
                "https://git.example/team/App.git",
                false,
            ),
            (
                "https://git.example/team/*",
                "https://git.example/team/app.git",
                true,
            ),
            (
                "https://git.example/team/*",
                "https://git.example/team/sub/app.git",
                true,
            ),
            (
                "https://git.example/team/*",
                "https://git.example/team2/app.git",
                false,
            ),
            (
                "https://git.example/team/*",
                "https://git.example/team/%2e%2e/evil/x",
                false,
            ),
            (
                "https://git.example/team/*",
                "https://git.example/team//x",
                false,
            ),
            (
                "https://git.example/team/*",
                "https://git.example/team/./x",
                false,
            ),
            (
                "https://git.example/team/*",
                "https://git.example:8443/team/x",
                false,
            ),
            (
                "https://git.example/team/*",
                "https://user@git.example/team/x",
                false,
            ),
            (
                "https://git.example/team/*",
                "https://git.example.evil.example/team/x",
                false,
            ),
            ("https://git.example/*", "ssh://git.example/team/x", false),
            (
                "git@git.example:team/*",
                "git@git.example:team/app.git",
                true,
            ),
            (
                "git@git.example:team/*",
                "ssh://git@git.example/team/app.git",
                false,
            ),
            (
                "ssh://git@git.example/team/*",
                "ssh://git@git.example:22/team/app.git",
                true,
            ),
            ("file:///srv/git/*", "file:///srv/git/demo.git", true),
            ("file:///srv/git/*", "file:///srv/git2/demo.git", false),
        ] {
            assert_eq!(
                pattern(entry).covers(&pattern(url)),
                covers,
                "{entry} {url}"
            );
        }
    }

    #[test]
    fn an_entry_covers_a_narrower_entry() {
        for (wide, narrow, covers) in [
            ("https://git.example/*", "https://git.example/team/*", true),
            (
                "https://git.example/team/*",
                "https://git.example/team/*",
                true,
            ),
            ("https://git.example/team/*", "https://git.example/*", false),
            (
                "https://git.example/team/",
                "https://git.example/team/*",
                false,
            ),
        ] {
            assert_eq!(
                pattern(wide).covers(&pattern(narrow)),
                covers,
                "{wide} {narrow}"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (text, why) in [
            ("", BadRemote::Malformed),
            ("demo", BadRemote::Malformed),
            ("http://git.example/x", BadRemote::Malformed),
            ("git.example:team/x", BadRemote::Malformed),
            ("https:///x", BadRemote::Malformed),
            ("file://host/x", BadRemote::Malformed),
            ("https://git.example", BadRemote::Malformed),
            ("https://git.example/te*", BadRemote::Pattern),
            ("https://git.example/*/x", BadRemote::Pattern),
            ("https://git.example/a/../b", BadRemote::Upwards),
            ("https://git.example/%61/*", BadRemote::Escape),
        ] {
            assert_eq!(text.parse::<RemotePattern>(), Err(why), "{text}");
        }
    }
}
