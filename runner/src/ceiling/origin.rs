//! Hosts: an exact origin, and a range of addresses that are not the public internet's.
//!
//! One reader for both sides, so that what a step asks for and what an operator wrote have one normal form: no upper
//! case, no dot at the end, no second spelling of an address. What cannot be brought into it is refused, never guessed.
//! Deliberately absent: names are not resolved here, and where a name leads is the egress broker's business.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

use super::Covers;

/// Longest host name (RFC 1035, section 2.3.4).
const HOST_BYTES_MAX: usize = 253;

/// Longest label of a host name (RFC 1035, section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// How a host may be talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// `wasi:http` over TLS.
    Https,
    /// `wasi:http` in the clear.
    Http,
    /// A TCP connection out.
    Tcp,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Tcp => "tcp",
        }
    }
}

/// A host as an origin names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// Lower-case ASCII, without a dot at the end.
    Name(String),
    /// An address; never an IPv4 one dressed up as IPv6.
    Address(IpAddr),
}

/// One scheme, host and port. Another scheme on the same port is another origin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// How.
    pub scheme: Scheme,
    /// Whom.
    pub host: Host,
    /// Where; never 0.
    pub port: u16,
}

/// Why a text is no exact origin, as the end of a sentence about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOrigin {
    #[error("has no scheme; write `https://HOST`, `http://HOST` or `tcp://HOST:PORT`")]
    NoScheme,
    #[error("has another scheme than `https://`, `http://` or `tcp://`, in lower case")]
    Scheme,
    #[error("has more than a host and a port; an origin is a whole host")]
    Surplus,
    #[error("names a user; an origin has none")]
    User,
    #[error("is a pattern; hosts are named exactly")]
    Pattern,
    #[error("is not ASCII; write the name as DNS has it, `xn--…`")]
    NotAscii,
    #[error("has a dot at its end; write the name without it")]
    LastDot,
    #[error("writes an address in a way that readers take differently; write it as `192.0.2.1`")]
    Address,
    #[error("is not an IPv6 address in brackets")]
    Brackets,
    #[error("does not name a host")]
    Host,
    #[error("needs a port between 1 and 65535")]
    Port,
}

impl FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let (scheme, rest) = text.split_once("://").ok_or(BadOrigin::NoScheme)?;
        let (scheme, usual) = match scheme {
            "https" => (Scheme::Https, Some(443)),
            "http" => (Scheme::Http, Some(80)),
            "tcp" => (Scheme::Tcp, None),
            _ => return Err(BadOrigin::Scheme),
        };
        let rest = match scheme {
            Scheme::Https | Scheme::Http => rest.strip_suffix('/').unwrap_or(rest),
            Scheme::Tcp => rest,
        };
        if rest.contains('@') {
            return Err(BadOrigin::User);
        }
        if rest.contains(['/', '?', '#', '\\']) {
            return Err(BadOrigin::Surplus);
        }
        let (host, port) = split(rest)?;
        let port = match port {
            None => usual,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
            Some(_) => None,
        };
        let port = port.filter(|port| *port > 0).ok_or(BadOrigin::Port)?;
        Ok(Self { scheme, host, port })
    }
}

/// A host, and what stands behind its colon.
fn split(text: &str) -> Result<(Host, Option<&str>), BadOrigin> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, after) = bracketed.split_once(']').ok_or(BadOrigin::Brackets)?;
        let address: Ipv6Addr = address.parse().map_err(|_| BadOrigin::Brackets)?;
        let port = match after {
            "" => None,
            after => Some(after.strip_prefix(':').ok_or(BadOrigin::Port)?),
        };
        return Ok((Host::Address(plain(address.into())), port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    Ok((host.parse()?, port))
}

impl FromStr for Host {
    type Err = BadOrigin;

    /// Reads a name or an IPv4 address.
    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        if !text.is_ascii() {
            return Err(BadOrigin::NotAscii);
        }
        if text.contains('*') {
            return Err(BadOrigin::Pattern);
        }
        if text.len() > 1 && text.ends_with('.') {
            return Err(BadOrigin::LastDot);
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(address.into()));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let is_label = |label: &str| {
            (1..=LABEL_BYTES_MAX).contains(&label.len())
                && !label.starts_with('-')
                && label.bytes().all(is_plain)
        };
        if text.len() > HOST_BYTES_MAX || !text.split('.').all(is_label) {
            return Err(BadOrigin::Host);
        }
        // `0x7f.1`, `2130706433`, `127.1`: some resolvers take what ends in a number for an address
        // (WHATWG URL, "ends in a number checker").
        let last = text.rsplit('.').next().unwrap_or_default();
        let is_hex = last.starts_with("0x") || last.starts_with("0X");
        if is_hex || last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadOrigin::Address);
        }
        Ok(Self::Name(text.to_ascii_lowercase()))
    }
}

/// An IPv4 address stays one, however it is wrapped: `::ffff:10.0.0.1` is `10.0.0.1`.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

impl Origin {
    /// The address, or `localhost`'s, if the origin names one that is not the public internet's.
    pub fn private_address(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Address(address) if !is_public(*address) => Some(*address),
            // RFC 6761, section 6.3: such names are this host.
            Host::Name(name) if name == "localhost" || name.ends_with(".localhost") => {
                Some(Ipv4Addr::LOCALHOST.into())
            }
            _ => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        let name = scheme.name();
        match (host, scheme, port) {
            (Host::Name(host), Scheme::Https, 443) | (Host::Name(host), Scheme::Http, 80) => {
                write!(out, "{name}://{host}")
            }
            (Host::Name(host), ..) => write!(out, "{name}://{host}:{port}"),
            (Host::Address(IpAddr::V4(host)), ..) => write!(out, "{name}://{host}:{port}"),
            (Host::Address(IpAddr::V6(host)), ..) => write!(out, "{name}://[{host}]:{port}"),
        }
    }
}

impl Covers for Origin {
    fn covers(&self, other: &Self) -> bool {
        self == other
    }
}

/// All addresses with one beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IpRange {
    /// Its bits behind the prefix are zero.
    base: IpAddr,
    /// Bits that count: at most 32, or 128.
    prefix: u8,
}

/// What is not the public internet's, and why somebody may want to reach it all the same. From IANA's two registries of
/// special-purpose addresses; what no host ever needs to reach (documentation, benchmarks, multicast, NAT64 and other wraps
/// of IPv4) is left out here, so it can be named by nobody, and is refused by the broker.
const PRIVATE: [(&str, &str); 8] = [
    ("10.0.0.0/8", "private"),
    ("172.16.0.0/12", "private"),
    ("192.168.0.0/16", "private"),
    ("100.64.0.0/10", "shared by carriers"),
    ("127.0.0.0/8", "this host"),
    (
        "169.254.0.0/16",
        "link-local, and where clouds keep credentials",
    ),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
];

/// Why a text is no range, as the end of a sentence about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRange {
    #[error("is not a range of addresses such as `10.0.0.0/8`")]
    Malformed,
    #[error("has bits set behind its prefix; write `{0}`")]
    Surplus(IpRange),
    #[error("is not within a private range; those are {}", names())]
    Public,
}

fn names() -> String {
    let mut names: Vec<&str> = PRIVATE.iter().map(|(range, _)| *range).collect();
    names.push("::1/128");
    names.join(", ")
}

impl FromStr for IpRange {
    type Err = BadRange;

    /// `10.0.0.0/8`, or one address. Only what lies within the ranges that are not public.
    fn from_str(text: &str) -> Result<Self, BadRange> {
        let range = Self::any(text)?;
        let is_within =
            |(wide, _): &(&str, &str)| Self::any(wide).is_ok_and(|wide| wide.covers(&range));
        let loopback = Self {
            base: Ipv6Addr::LOCALHOST.into(),
            prefix: 128,
        };
        if range == loopback || PRIVATE.iter().any(is_within) {
            Ok(range)
        } else {
            Err(BadRange::Public)
        }
    }
}

impl IpRange {
    /// As those who connect know it.
    pub fn network(&self) -> IpNet {
        IpNet::new(self.base, self.prefix).expect("a prefix is at most as long as its address")
    }

    fn any(text: &str) -> Result<Self, BadRange> {
        let (base, prefix) = match text.split_once('/') {
            Some((base, prefix)) => (base, Some(prefix)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| BadRange::Malformed)?;
        // An IPv4 address in IPv6's dress would be compared as what it is, and match nothing here.
        if plain(base) != base {
            return Err(BadRange::Malformed);
        }
        let bits = if base.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| BadRange::Malformed)?
            }
            Some(_) => return Err(BadRange::Malformed),
        };
        if prefix > bits {
            return Err(BadRange::Malformed);
        }
        let range = Self {
            base: first(base, prefix),
            prefix,
        };
        if range.base == base {
            Ok(range)
        } else {
            Err(BadRange::Surplus(range))
        }
    }

    /// Whether the address lies in it. An IPv4 address counts as one, however it is wrapped.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = plain(address);
        address.is_ipv4() == self.base.is_ipv4() && first(address, self.prefix) == self.base
    }
}

/// The address with every bit behind the prefix zero.
fn first(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - prefix.min(32)).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - prefix.min(128)).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

/// Whether nothing is known that makes an address special. The broker decides again, of what a name leads to, and by a
/// longer list; this is for addresses that stand in a grant.
fn is_public(address: IpAddr) -> bool {
    let is_private =
        |(range, _): &(&str, &str)| IpRange::any(range).is_ok_and(|range| range.contains(address));
    let is_nowhere = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    !is_nowhere && !PRIVATE.iter().any(is_private)
}

impl fmt::Display for IpRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.base, self.prefix)
    }
}

impl Covers for IpRange {
    fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Result<String, BadOrigin> {
        text.parse::<Origin>().map(|origin| origin.to_string())
    }

    #[test]
    fn an_origin_has_one_form_however_it_is_spelt() {
        for (text, form) in [
            ("https://API.Example.com", "https://api.example.com"),
            ("https://api.example.com:443/", "https://api.example.com"),
            ("https://api.example.com:0443", "https://api.example.com"),
            ("http://api.example.com:443", "http://api.example.com:443"),
            ("tcp://db.example.com:5432", "tcp://db.example.com:5432"),
            ("https://192.0.2.1", "https://192.0.2.1:443"),
            ("https://[2001:DB8:0:0::1]", "https://[2001:db8::1]:443"),
            ("https://[::ffff:10.0.0.1]:1", "https://10.0.0.1:1"),
            (
                "https://xn--bcher-kva.example",
                "https://xn--bcher-kva.example",
            ),
        ] {
            assert_eq!(origin(text).as_deref(), Ok(form), "{text}");
        }
    }

    #[test]
    fn what_two_readers_could_take_for_two_hosts_is_no_origin() {
        for (text, why) in [
            ("api.example.com", BadOrigin::NoScheme),
            ("HTTPS://api.example.com", BadOrigin::Scheme),
            ("ftp://api.example.com", BadOrigin::Scheme),
            ("https://api.example.com.", BadOrigin::LastDot),
            ("https://bücher.example", BadOrigin::NotAscii),
            ("https://аpi.example.com", BadOrigin::NotAscii),
            ("https://api.example.com\u{3002}evil", BadOrigin::NotAscii),
            ("https://*.example.com", BadOrigin::Pattern),
            ("https://a@b.example", BadOrigin::User),
            ("https://a.example/x", BadOrigin::Surplus),
            ("https://a.example\\@b.example", BadOrigin::User),
            ("https://a.example?x", BadOrigin::Surplus),
            ("https://2130706433", BadOrigin::Address),
            ("https://0x7f000001", BadOrigin::Address),
            ("https://127.1", BadOrigin::Address),
            ("https://0177.0.0.1", BadOrigin::Address),
            ("https://127.0.0.0x1", BadOrigin::Address),
            ("https://[::1", BadOrigin::Brackets),
            ("https://[fe80::1%25eth0]", BadOrigin::Brackets),
            ("https://[::1]x", BadOrigin::Port),
            ("https://", BadOrigin::Host),
            ("https://a..b", BadOrigin::Host),
            ("https://a b", BadOrigin::Host),
            ("tcp://a.example", BadOrigin::Port),
            ("tcp://a.example:0", BadOrigin::Port),
            ("tcp://a.example:65536", BadOrigin::Port),
            ("tcp://a.example:+1", BadOrigin::Port),
        ] {
            assert_eq!(origin(text), Err(why), "{text}");
        }
    }

    #[test]
    fn an_origin_covers_itself_and_nothing_that_looks_like_it() {
        let origin = |text: &str| text.parse::<Origin>().unwrap();
        let one = origin("https://api.example.com");
        assert!(one.covers(&origin("https://API.example.com:443")));
        for other in [
            "http://api.example.com",
            "tcp://api.example.com:443",
            "https://api.example.com:8443",
            "https://api.example.co",
            "https://x.api.example.com",
        ] {
            assert!(!one.covers(&origin(other)), "{other}");
        }
    }

    #[test]
    fn a_private_address_is_known_in_every_dress() {
        for (text, is_private) in [
            ("https://10.1.2.3", true),
            ("https://127.0.0.1", true),
            ("https://169.254.169.254", true),
            ("https://0.0.0.0", true),
            ("https://[::1]", true),
            ("https://[::ffff:192.168.0.1]", true),
            ("https://[fd00::1]", true),
            ("https://localhost", true),
            ("https://a.LOCALHOST", true),
            ("https://localhost.example", false),
            ("https://8.8.8.8", false),
            ("https://[2606:4700::1111]", false),
        ] {
            let origin: Origin = text.parse().unwrap();
            assert_eq!(origin.private_address().is_some(), is_private, "{text}");
        }
    }

    #[test]
    fn a_range_lies_within_what_is_private() {
        for (text, answer) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("fd12::/16", "fd12::/16"),
            ("::1", "::1/128"),
            (
                "10.1.0.0/8",
                "has bits set behind its prefix; write `10.0.0.0/8`",
            ),
            (
                "10.0.0.0/33",
                "is not a range of addresses such as `10.0.0.0/8`",
            ),
            (
                "10.0.0.0/+8",
                "is not a range of addresses such as `10.0.0.0/8`",
            ),
            ("10.0.0", "is not a range of addresses such as `10.0.0.0/8`"),
        ] {
            let read = text.parse::<IpRange>();
            let said = read.map_or_else(|why| why.to_string(), |range| range.to_string());
            assert_eq!(said, answer, "{text}");
        }
        for wide in ["0.0.0.0/0", "::/0", "10.0.0.0/7", "8.8.8.0/24"] {
            assert_eq!(wide.parse::<IpRange>(), Err(BadRange::Public), "{wide}");
        }
    }
}
