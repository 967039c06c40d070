//! The addresses that no name may point to, unless the operator names their range.
//!
//! From the registries of special-purpose addresses (RFC 6890 and its successors, IANA), and from where
//! clouds keep the address that hands out credentials to whoever asks. IPv6 is turned round: only what is
//! in the one block that is given out for the public Internet passes, less its exceptions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Why an address may not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address}, which is {kind}")]
pub struct Forbidden {
    /// The address.
    pub address: IpAddr,
    /// What it is, with its article: `a private address`.
    pub kind: &'static str,
    /// Whether the operator could allow it.
    pub can_be_allowed: bool,
}

/// Decides about addresses.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    allowed_private: Vec<IpNet>,
}

impl AddressPolicy {
    /// Public addresses, and those in `allowed_private`. An address of a metadata service must be named
    /// alone (`/32`, `/128`), so that a wide range does not let it in by accident; addresses that stand
    /// for no single host cannot be allowed at all.
    pub fn new(allowed_private: Vec<IpNet>) -> Self {
        Self { allowed_private }
    }

    /// Whether `address` may be reached.
    pub fn check(&self, address: IpAddr) -> Result<(), Forbidden> {
        let Some(why) = why_forbidden(address) else {
            return Ok(());
        };
        let is_allowed = match why.reach {
            Reach::Never => false,
            Reach::IfNamed => self.names(address),
            Reach::IfNamedAlone => self.allowed_private.contains(&IpNet::from(address)),
        };
        if is_allowed {
            return Ok(());
        }
        Err(Forbidden {
            address,
            kind: why.kind,
            can_be_allowed: !matches!(why.reach, Reach::Never),
        })
    }

    /// Whether an address of this very host may be reached: a public one too is the host's own.
    pub fn check_own(&self, address: IpAddr) -> Result<(), Forbidden> {
        if self.names(address) {
            return Ok(());
        }
        Err(Forbidden {
            address,
            kind: "an address of this host itself",
            can_be_allowed: true,
        })
    }

    fn names(&self, address: IpAddr) -> bool {
        self.allowed_private
            .iter()
            .any(|range| range.contains(&address))
    }
}

#[derive(Clone, Copy, Debug)]
enum Reach {
    /// Not even if the operator says so: it stands for no single host, or for one that has a plain spelling.
    Never,
    /// If a range that the operator names has it.
    IfNamed,
    /// If the operator names this one address.
    IfNamedAlone,
}

#[derive(Clone, Copy, Debug)]
struct Why {
    kind: &'static str,
    reach: Reach,
}

const fn why(kind: &'static str, reach: Reach) -> Why {
    Why { kind, reach }
}

const METADATA: Why = why("a metadata address", Reach::IfNamedAlone);
const PRIVATE: Why = why("a private address", Reach::IfNamed);
const LOOPBACK: Why = why("a loopback address", Reach::IfNamed);
const LINK_LOCAL: Why = why("a link-local address", Reach::IfNamed);
const DOCUMENTATION: Why = why("a documentation address", Reach::IfNamed);
const RESERVED: Why = why("a reserved address", Reach::IfNamed);
const TEST: Why = why("an address for benchmarks", Reach::IfNamed);
const SHARED: Why = why("a carrier's shared address", Reach::IfNamed);
const UNSPECIFIED: Why = why("an unspecified address", Reach::Never);
const MULTICAST: Why = why("a multicast address", Reach::Never);
const BROADCAST: Why = why("a broadcast address", Reach::Never);
const EMBEDDED: Why = why("an IPv4 address inside an IPv6 address", Reach::Never);

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// The first range that has the address says what it is.
const V4: [(Ipv4Net, Why); 20] = [
    // Oracle's, Alibaba's and Azure's differ from what everybody else uses.
    (v4(169, 254, 169, 254, 32), METADATA),
    (v4(169, 254, 170, 2, 32), METADATA),
    (v4(100, 100, 100, 200, 32), METADATA),
    (v4(168, 63, 129, 16, 32), METADATA),
    (v4(192, 0, 0, 192, 32), METADATA),
    (v4(0, 0, 0, 0, 8), UNSPECIFIED),
    (v4(10, 0, 0, 0, 8), PRIVATE),
    (v4(100, 64, 0, 0, 10), SHARED),
    (v4(127, 0, 0, 0, 8), LOOPBACK),
    (v4(169, 254, 0, 0, 16), LINK_LOCAL),
    (v4(172, 16, 0, 0, 12), PRIVATE),
    (v4(192, 0, 0, 0, 24), RESERVED),
    (v4(192, 0, 2, 0, 24), DOCUMENTATION),
    (v4(192, 88, 99, 0, 24), RESERVED),
    (v4(192, 168, 0, 0, 16), PRIVATE),
    (v4(198, 18, 0, 0, 15), TEST),
    (v4(198, 51, 100, 0, 24), DOCUMENTATION),
    (v4(203, 0, 113, 0, 24), DOCUMENTATION),
    (v4(224, 0, 0, 0, 4), MULTICAST),
    (v4(240, 0, 0, 0, 4), RESERVED),
];

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_segments(segments), prefix)
}

/// Given out for the public Internet (RFC 4291, section 2.4; IANA's registry).
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Inside and outside of that block.
const V6: [(Ipv6Net, Why); 11] = [
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), METADATA),
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), METADATA),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), UNSPECIFIED),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), LOOPBACK),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), RESERVED),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), DOCUMENTATION),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), DOCUMENTATION),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), PRIVATE),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), LINK_LOCAL),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), PRIVATE),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), MULTICAST),
];

fn why_forbidden(address: IpAddr) -> Option<Why> {
    match address {
        IpAddr::V4(Ipv4Addr::BROADCAST) => Some(BROADCAST),
        IpAddr::V4(address) => V4
            .iter()
            .find(|(range, _)| range.contains(&address))
            .map(|(_, why)| *why),
        IpAddr::V6(address) if embedded_v4(address).is_some() => Some(EMBEDDED),
        IpAddr::V6(address) => V6
            .iter()
            .find(|(range, _)| range.contains(&address))
            .map(|(_, why)| *why)
            .or_else(|| (!GLOBAL_UNICAST.contains(&address)).then_some(RESERVED)),
    }
}

/// The IPv4 address that an IPv6 address leads to, wherever a translator, a tunnel or an old kernel would
/// look for one. `::` and `::1` are addresses of their own.
pub(super) fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let at = |high: usize| {
        let [a, b] = segments[high].to_be_bytes();
        let [c, d] = segments[high + 1].to_be_bytes();
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // Compatible (RFC 4291, section 2.5.5.1), mapped (2.5.5.2), translated (RFC 2765); NAT64 with the
        // well-known prefix (RFC 6052) and the local one (RFC 8215); ISATAP below any prefix (RFC 5214).
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _]
        | [0, 0, 0, 0, 0xffff, 0, _, _]
        | [0x64, 0xff9b, 0 | 1, ..]
        | [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => at(6),
        // 6to4 (RFC 3056).
        [0x2002, ..] => at(1),
        // Teredo (RFC 4380): the client's address, inverted.
        [0x2001, 0, ..] => at(6).map(|address| Ipv4Addr::from_bits(!address.to_bits())),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
