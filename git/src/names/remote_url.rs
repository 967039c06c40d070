//! The address of a remote.

mod served;

use std::fmt::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::GitError;

/// Bytes of an address. Longer ones are no address of a forge.
const URL_BYTES_MAX: usize = 2_048;

/// What addresses an operator allows beyond `https` and `ssh`.
#[derive(Clone, Debug, Default)]
pub struct RemotePolicy {
    /// Absolute directories below which a `file://` address may lie. Empty: none may.
    pub file_roots: Vec<PathBuf>,
}

/// The address of a remote that a policy allows.
///
/// - `https://[user@]host[:port]/path`, without a password, a query or a fragment;
/// - `ssh://[user@]host[:port]/path` and `user@host:path`;
/// - `file:///path` below one of the policy's roots, where no component is `..` or a symbolic link.
///
/// Everything else is refused, unencrypted protocols and git's `ext::` by name. Parsing a `file://`
/// address looks at the disk, and so does every fetch from it.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteUrl {
    text: String,
    place: Place,
}

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Https,
    Ssh,
    File { root: PathBuf, below: PathBuf },
}

/// The one protocol that a git process may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Https,
    Ssh,
    File,
}

/// Why a text is not the address of a remote that we fetch from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRemoteUrl {
    #[error("the address of a repository is needed: https://host/path, ssh://user@host/path")]
    NoUrl,
    #[error("the address of a repository has at most {URL_BYTES_MAX} bytes")]
    TooLong,
    #[error("the address of a repository does not start with a dash")]
    LeadingDash,
    #[error("the address of a repository cannot hold the character {0:?}")]
    Character(char),
    #[error("{0} is not allowed for a repository: use https:// or ssh://")]
    Protocol(&'static str),
    #[error("an unknown protocol is not allowed for a repository: use https:// or ssh://")]
    UnknownProtocol,
    #[error("the address of a repository holds no password: it would be seen in logs")]
    Password,
    #[error("the user name in the address of a repository is not one")]
    User,
    #[error("the host in the address of a repository is not one")]
    Host,
    #[error("the port in the address of a repository is not one")]
    Port,
    #[error("the path in the address of a repository is not one")]
    Path,
    #[error(
        "file:// is allowed only below the directories that the operator names: `--git-file-root` of a hub, `git.file_roots` of a runner"
    )]
    OutsideRoots,
    #[error("file:// does not lead to a repository: {0}")]
    NotServed(String),
}

impl RemoteUrl {
    /// Reads an address by the rules above.
    pub fn parse(text: &str, policy: &RemotePolicy) -> Result<Self, BadRemoteUrl> {
        check_text(text)?;
        let place = if let Some(rest) = text.strip_prefix("https://") {
            check_authority_and_path(rest)?;
            Place::Https
        } else if let Some(rest) = text.strip_prefix("ssh://") {
            check_authority_and_path(rest)?;
            Place::Ssh
        } else if let Some(path) = text.strip_prefix("file://") {
            parse_file(Path::new(path), policy)?
        } else if let Some(refusal) = refused_by_name(text) {
            return Err(refusal);
        } else {
            parse_scp_like(text)?
        };
        Ok(Self {
            text: text.to_owned(),
            place,
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn protocol(&self) -> Protocol {
        match self.place {
            Place::Https => Protocol::Https,
            Place::Ssh => Protocol::Ssh,
            Place::File { .. } => Protocol::File,
        }
    }

    /// The address as git is to be given it. Of a `file://` address, the repository is looked for
    /// and looked over again, because it may have been replaced since.
    pub(crate) fn for_git(&self) -> Result<String, GitError> {
        match &self.place {
            Place::Https | Place::Ssh => Ok(self.text.clone()),
            Place::File { root, below } => served::find(root, below)
                .map(|path| file_url(&path))
                .map_err(|why| GitError::Served {
                    url: self.text.clone(),
                    why,
                }),
        }
    }
}

/// A `file://` address that git decodes to exactly these bytes.
pub(crate) fn file_url(path: &Path) -> String {
    let mut url = String::from("file://");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            url.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

fn check_text(text: &str) -> Result<(), BadRemoteUrl> {
    if text.is_empty() {
        return Err(BadRemoteUrl::NoUrl);
    }
    if text.len() > URL_BYTES_MAX {
        return Err(BadRemoteUrl::TooLong);
    }
    if text.starts_with('-') {
        return Err(BadRemoteUrl::LeadingDash);
    }
    match text.chars().find(|character| character.is_control()) {
        Some(control) => Err(BadRemoteUrl::Character(control)),
        None => Ok(()),
    }
}

/// Names what people try most, so that the message is about what they wrote.
fn refused_by_name(text: &str) -> Option<BadRemoteUrl> {
    const REFUSED: [(&str, &str); 9] = [
        (
            "http://",
            "http:// (anyone on the way could change the code)",
        ),
        ("git://", "git:// (anyone on the way could change the code)"),
        ("ext::", "ext:: (it runs a program)"),
        ("fd::", "fd::"),
        ("ftp://", "ftp://"),
        ("ftps://", "ftps://"),
        ("git+ssh://", "git+ssh://"),
        ("ssh+git://", "ssh+git://"),
        ("/", "a path without file://"),
    ];
    let lower = text.to_ascii_lowercase();
    if let Some((_, name)) = REFUSED.iter().find(|(start, _)| lower.starts_with(start)) {
        return Some(BadRemoteUrl::Protocol(name));
    }
    // `transport::address` runs `git-remote-transport`. A host with `::` in it exists only within
    // brackets, which an address without a protocol may not hold.
    (text.contains("://") || text.contains("::")).then_some(BadRemoteUrl::UnknownProtocol)
}

fn check_authority_and_path(rest: &str) -> Result<(), BadRemoteUrl> {
    let (authority, path) = rest.split_once('/').ok_or(BadRemoteUrl::Path)?;
    let host_and_port = match authority.rsplit_once('@') {
        Some((user, host)) => {
            check_user(user)?;
            host
        }
        None => authority,
    };
    // An IPv6 address has colons of its own, so its bracket ends the host.
    let (host, port) = if let Some(bracketed) = host_and_port.strip_prefix('[') {
        let (address, after) = bracketed.split_once(']').ok_or(BadRemoteUrl::Host)?;
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(BadRemoteUrl::Host);
        }
        match after {
            "" => (None, None),
            _ => (
                None,
                Some(after.strip_prefix(':').ok_or(BadRemoteUrl::Port)?),
            ),
        }
    } else {
        match host_and_port.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(host_and_port), None),
        }
    };
    host.map_or(Ok(()), check_host)?;
    port.map_or(Ok(()), check_port)?;
    check_path(path)
}

/// `user@host:path`, which git takes for ssh. The user is required here, because without one git's
/// own reading of `host:path` depends on whether such a file exists.
fn parse_scp_like(text: &str) -> Result<Place, BadRemoteUrl> {
    let (authority, path) = text.split_once(':').ok_or(BadRemoteUrl::NoUrl)?;
    let (user, host) = authority.rsplit_once('@').ok_or(BadRemoteUrl::NoUrl)?;
    check_user(user)?;
    check_host(host)?;
    check_path(path)?;
    // `user@host:-x` would be an option to the program on the other side.
    if path.starts_with('-') {
        return Err(BadRemoteUrl::Path);
    }
    Ok(Place::Ssh)
}

fn check_user(user: &str) -> Result<(), BadRemoteUrl> {
    if user.contains(':') {
        return Err(BadRemoteUrl::Password);
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    if user.is_empty() || user.starts_with('-') || !user.bytes().all(is_plain) {
        return Err(BadRemoteUrl::User);
    }
    Ok(())
}

fn check_host(host: &str) -> Result<(), BadRemoteUrl> {
    const HOST_BYTES_MAX: usize = 253;
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && (label.bytes()).all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if host.len() > HOST_BYTES_MAX || !host.split('.').all(is_label) {
        return Err(BadRemoteUrl::Host);
    }
    Ok(())
}

fn check_port(port: &str) -> Result<(), BadRemoteUrl> {
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(1..) if is_number => Ok(()),
        _ => Err(BadRemoteUrl::Port),
    }
}

/// What is left of an address after its host, without the slash between them.
fn check_path(path: &str) -> Result<(), BadRemoteUrl> {
    let is_plain = |character: char| {
        character.is_ascii_alphanumeric() || "/._~+-@:=,!$&'()*%".contains(character)
    };
    let bytes = path.as_bytes();
    if bytes.is_empty() {
        return Err(BadRemoteUrl::Path);
    }
    if let Some(character) = path.chars().find(|character| !is_plain(*character)) {
        return Err(BadRemoteUrl::Character(character));
    }
    if path.split('/').any(|component| component == "..") {
        return Err(BadRemoteUrl::Path);
    }
    // Git decodes what `%` stands for. `%0a` is how a line is smuggled into a credential's protocol.
    for (at, _) in path.match_indices('%') {
        // Controls are 00 to 1f, and 7f.
        match bytes.get(at + 1..at + 3) {
            Some([b'0' | b'1', _] | [b'7', b'f' | b'F']) => return Err(BadRemoteUrl::Path),
            Some([high, low]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {}
            _ => return Err(BadRemoteUrl::Path),
        }
    }
    Ok(())
}

fn parse_file(path: &Path, policy: &RemotePolicy) -> Result<Place, BadRemoteUrl> {
    if !path.is_absolute() {
        // `file://host/path`: git would ignore the host and take the path.
        return Err(BadRemoteUrl::Host);
    }
    if path.as_os_str().as_bytes().contains(&b'%') {
        // One reader would decode it, another would not.
        return Err(BadRemoteUrl::Character('%'));
    }
    let root = (policy.file_roots.iter())
        .filter(|root| root.is_absolute() && path.starts_with(root))
        .max_by_key(|root| root.as_os_str().len())
        .ok_or(BadRemoteUrl::OutsideRoots)?;
    let below = path
        .strip_prefix(root)
        .map_err(|_| BadRemoteUrl::OutsideRoots)?;
    if served::has_parent(path) {
        return Err(BadRemoteUrl::OutsideRoots);
    }
    served::find(root, below).map_err(BadRemoteUrl::NotServed)?;
    Ok(Place::File {
        root: root.clone(),
        below: below.to_path_buf(),
    })
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "RemoteUrl({})", self.text)
    }
}
