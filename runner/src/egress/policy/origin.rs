//! One granted origin: `https://HOST[:PORT]`, `http://HOST[:PORT]` or `tcp://HOST:PORT`, by exact name.
//!
//! The pipeline file's reader checks the same form before a plan exists; here it is checked again, because
//! the text comes over the wire, and more strictly: one host has one spelling. Whatever has two is refused
//! with the spelling to use, because of two spellings the checking side and the connecting side will one
//! day read different things.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Longest origin, in bytes: the longest host name, a scheme and a port.
const ORIGIN_BYTES_MAX: usize = 300;

/// Longest host name (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// Longest label of a host name (RFC 1035, section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// How an origin is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// HTTP over TLS, which the broker ends.
    Https,
    /// HTTP in the clear.
    Http,
    /// A TCP connection with whatever the guest speaks on it.
    Tcp,
}

impl Scheme {
    /// As it stands before `://`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Tcp => "tcp",
        }
    }

    /// The port where none is written.
    pub fn default_port(self) -> Option<u16> {
        match self {
            Self::Https => Some(443),
            Self::Http => Some(80),
            Self::Tcp => None,
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::Https, Self::Http, Self::Tcp]
            .into_iter()
            .find(|scheme| scheme.name() == name)
    }
}

/// A host in its one spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A name: lower-case ASCII (IDNA applied), no dot at its end.
    Name(String),
    /// An address. IPv6 is never one that stands for an IPv4 address.
    Address(IpAddr),
}

/// One origin that was granted, or that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetGrant {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Who.
    pub host: Host,
    /// Never 0.
    pub port: u16,
}

/// A text that is no origin: what is wrong with it, or what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOrigin {
    /// Longer than any origin.
    #[error("is longer than {ORIGIN_BYTES_MAX} bytes")]
    TooLong,
    /// Without `://`.
    #[error("has no scheme; write `https://HOST`, `http://HOST` or `tcp://HOST:PORT`")]
    NoScheme,
    /// With a scheme that cannot be granted.
    #[error("has another scheme than `https://`, `http://` or `tcp://`")]
    OtherScheme,
    /// With user information.
    #[error("has a user before `@`; write the host alone")]
    User,
    /// With a path, a query or a fragment.
    #[error("has something behind the host; a grant is for a whole host, write `{0}`")]
    Path(String),
    /// With a `*`.
    #[error("is a pattern; hosts are granted by their exact names, one grant each")]
    Pattern,
    /// Without a port where one is needed, or with one that is none.
    #[error("needs a port between 1 and 65535")]
    Port,
    /// Its host is spelt otherwise than the one way there is.
    #[error("does not spell its host the usual way; write `{0}`")]
    Spelling(String),
    /// An IPv6 address that stands for an IPv4 address.
    #[error("has an IPv4 address inside an IPv6 address; write `{0}`")]
    Mapped(IpAddr),
    /// No host at all.
    #[error("does not name a host exactly")]
    Host,
}

impl FromStr for NetGrant {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        if text.len() > ORIGIN_BYTES_MAX {
            return Err(BadOrigin::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(BadOrigin::NoScheme)?;
        let scheme = Scheme::of(scheme).ok_or(BadOrigin::OtherScheme)?;
        // As people copy it from an address bar; it means nothing.
        let rest = match scheme {
            Scheme::Https | Scheme::Http => rest.strip_suffix('/').unwrap_or(rest),
            Scheme::Tcp => rest,
        };
        if let Some(end) = rest.find(['/', '?', '#', '\\']) {
            let host = &rest[..end];
            return Err(BadOrigin::Path(format!("{}://{host}", scheme.name())));
        }
        let (host, port) = authority(rest)?;
        let port = port.or(scheme.default_port()).ok_or(BadOrigin::Port)?;
        Ok(Self { scheme, host, port })
    }
}

impl NetGrant {
    /// What an HTTP request asks for: its scheme, and the authority as it was written, which is judged as
    /// a grant's is.
    pub fn of_request(scheme: &str, written: &str) -> Result<Self, BadOrigin> {
        if written.len() > ORIGIN_BYTES_MAX {
            return Err(BadOrigin::TooLong);
        }
        let scheme = Scheme::of(scheme)
            .filter(|scheme| *scheme != Scheme::Tcp)
            .ok_or(BadOrigin::OtherScheme)?;
        let (host, port) = authority(written)?;
        let port = port.or(scheme.default_port()).ok_or(BadOrigin::Port)?;
        Ok(Self { scheme, host, port })
    }

    /// `HOST` or `HOST:PORT`, as it stands in a request's `host` header.
    pub fn authority(&self) -> String {
        if Some(self.port) == self.scheme.default_port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for NetGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.authority())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Host and, where there is one, port.
fn authority(text: &str) -> Result<(Host, Option<u16>), BadOrigin> {
    if text.contains('@') {
        return Err(BadOrigin::User);
    }
    let (host, port) = if text.starts_with('[') {
        let end = text.find(']').ok_or(BadOrigin::Host)?;
        let (host, rest) = text.split_at(end + 1);
        match rest {
            "" => (host, None),
            rest => (host, Some(rest.strip_prefix(':').ok_or(BadOrigin::Host)?)),
        }
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let port = port.map(port_number).transpose()?;
    Ok((text_to_host(host)?, port))
}

fn port_number(text: &str) -> Result<u16, BadOrigin> {
    let is_usual = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|_| is_usual);
    port.ok_or(BadOrigin::Port)
}

impl FromStr for Host {
    type Err = BadOrigin;

    /// A name or an address, as a guest gives it to a lookup: IPv6 without brackets.
    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        if text.contains(':') {
            return bracketed(&format!("[{text}]"));
        }
        text_to_host(text)
    }
}

fn text_to_host(text: &str) -> Result<Host, BadOrigin> {
    if text.starts_with('[') {
        return bracketed(text);
    }
    if text.contains('*') {
        return Err(BadOrigin::Pattern);
    }
    // The parser would decode `%2e`; nobody spells a host like that but to hide it.
    if text.is_empty() || text.contains('%') {
        return Err(BadOrigin::Host);
    }
    match url::Host::parse(text) {
        Ok(url::Host::Ipv4(address)) => {
            // `127.1`, `0x7f.0.0.1`, `017700000001`, `2130706433`, full-width digits.
            let usual = address.to_string();
            if usual == text {
                Ok(Host::Address(address.into()))
            } else {
                Err(BadOrigin::Spelling(usual))
            }
        }
        Ok(url::Host::Domain(name)) => exact_name(name),
        Ok(url::Host::Ipv6(_)) | Err(_) => Err(BadOrigin::Host),
    }
}

fn exact_name(name: String) -> Result<Host, BadOrigin> {
    if let Some(usual) = name.strip_suffix('.').filter(|name| !name.ends_with('.')) {
        return Err(BadOrigin::Spelling(usual.to_owned()));
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= LABEL_BYTES_MAX
            && !label.starts_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if name.len() > NAME_BYTES_MAX || !name.split('.').all(is_label) {
        return Err(BadOrigin::Host);
    }
    Ok(Host::Name(name))
}

fn bracketed(text: &str) -> Result<Host, BadOrigin> {
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .ok_or(BadOrigin::Host)?;
    // A zone (`%eth0`) is refused here too.
    let address: Ipv6Addr = inner.parse().map_err(|_| BadOrigin::Host)?;
    if let Some(embedded) = super::address::embedded_v4(address) {
        return Err(BadOrigin::Mapped(embedded.into()));
    }
    let usual = address.to_string();
    if usual == inner.to_ascii_lowercase() {
        Ok(Host::Address(address.into()))
    } else {
        Err(BadOrigin::Spelling(format!("[{usual}]")))
    }
}

#[cfg(test)]
mod tests;
