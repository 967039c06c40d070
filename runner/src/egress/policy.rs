//! Who may be reached, decided without a socket: the origins that a step was granted, and the addresses
//! that no name may point to.
//!
//! Both questions are always asked. A name that was granted says nothing about the address behind it, and
//! a public address says nothing about the name that was asked for.

mod address;
mod origin;

use std::fmt::Write as _;
use std::net::IpAddr;

pub use self::address::{AddressPolicy, Forbidden};
pub use self::origin::{BadOrigin, Host, NetGrant, Scheme};

/// How many grants an error names. More would hide the sentence.
const GRANTS_NAMED_MAX: usize = 5;

/// What one step may reach.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Exact origins.
    pub grants: Vec<NetGrant>,
    /// Which addresses these may stand for.
    pub addresses: AddressPolicy,
}

impl Policy {
    /// Whether this very origin was granted.
    pub fn has(&self, wanted: &NetGrant) -> bool {
        self.grants.contains(wanted)
    }

    /// Whether a name may be asked for at all. A name that was not granted never leaves the host: a
    /// lookup is a message to whoever runs its domain.
    pub fn may_look_up(&self, name: &str) -> bool {
        let is_it = |grant: &NetGrant| {
            grant.scheme == Scheme::Tcp && matches!(&grant.host, Host::Name(host) if host == name)
        };
        self.grants.iter().any(is_it)
    }

    /// The TCP grant that a connection to `address` uses, where `names` are those that were found to stand
    /// for it.
    pub fn tcp_grant<'n>(
        &self,
        address: IpAddr,
        port: u16,
        names: &(impl Iterator<Item = &'n str> + Clone),
    ) -> Option<&NetGrant> {
        self.grants.iter().find(|grant| {
            grant.scheme == Scheme::Tcp
                && grant.port == port
                && match &grant.host {
                    Host::Name(host) => names.clone().any(|name| name == host),
                    Host::Address(granted) => *granted == address,
                }
        })
    }

    /// Why something was not granted, for people.
    pub fn not_granted(&self, wanted: &str) -> String {
        let mut text = format!("`{wanted}` was not granted (");
        if self.grants.is_empty() {
            text.push_str("there is no grants.net)");
            return text;
        }
        text.push_str("grants.net has ");
        for (at, grant) in self.grants.iter().take(GRANTS_NAMED_MAX).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let _never_fails = write!(text, "{comma}{grant}");
        }
        if let Some(more) = self.grants.len().checked_sub(GRANTS_NAMED_MAX + 1) {
            let _never_fails = write!(text, " and {} more", more + 1);
        }
        text.push(')');
        text
    }
}
