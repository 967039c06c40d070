//! The only way out for a step: a broker in the runner that resolves, checks, connects and counts on the
//! step's behalf. The step's own process makes no socket and never holds one that leads out of the host.
//!
//! Comes from `executor` with a step's network grants; one [`Broker`] serves one step over one socket pair,
//! and what it did ends in the step's receipt as a [`NetworkUse`](crate::receipt::network::NetworkUse). The peer is assumed to be in the hands
//! of an attacker who knows this source: each length, name, header and address that it sends is checked.
//!
//! | file | what |
//! |---|---|
//! | `policy` | pure: which origins were granted, which addresses may be reached at all |
//! | `resolve` | names to addresses, of granted names only |
//! | `dial` | one TCP or TLS connection to an address that was checked |
//! | `wire` | what broker and step process say to each other |
//! | `caller` | the step process's side of that |
//! | `broker` | the service: HTTP requests, TCP connections, lookups |
//! | `budget` | how much of everything one step may use |
//! | `record` | what was used and what was refused |
//!
//! Deliberately absent: UDP, listening, proxies, HTTP/2, connections that outlive a request, redirects that
//! are followed here (each is a new request of the guest and is checked as such), and any switch that
//! skips the verification of a certificate.

pub mod broker;
pub mod budget;
pub mod caller;
mod dial;
pub mod policy;
mod record;
pub mod resolve;
pub mod wire;

#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};

use ipnet::IpNet;
use rustls::ClientConfig;

pub use self::broker::Broker;
pub use self::budget::EgressLimits;
pub use self::policy::{AddressPolicy, NetGrant};
pub use self::resolve::NameServers;

use self::dial::Dialer;
use self::policy::Policy;
use self::resolve::Resolver;

/// How steps of this host may reach the network.
#[derive(Clone, Debug, Default)]
pub struct EgressConfig {
    /// Ranges that are not public and that granted names may point to all the same. The operator's own
    /// decision: without one, nothing private is ever reached.
    pub allowed_private: Vec<IpNet>,
    /// Certificates in PEM that are trusted beside the platform's roots.
    pub extra_roots_pem: Option<Vec<u8>>,
    /// Who answers for names.
    pub names: NameServers,
    /// What one step may use.
    pub limits: EgressLimits,
}

/// Makes brokers. One per host; what it shares between steps is the list of roots and nothing else.
#[derive(Debug)]
pub struct Egress {
    config: EgressConfig,
    /// Read from disk when the first step needs it.
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Egress {
    /// With this configuration. Nothing is read or opened yet.
    pub fn new(config: EgressConfig) -> Self {
        Self {
            config,
            tls: OnceLock::new(),
        }
    }

    /// A broker for one step that was granted `grants`, and the end of its socket that the step's process
    /// is to inherit. To be called within a runtime; the broker works while [`Broker::serve`] is polled.
    ///
    /// `private` are ranges that this step's origins may lead to beside the public ones and those of the configuration.
    pub fn open(&self, grants: Vec<NetGrant>, private: &[IpNet]) -> io::Result<(Broker, OwnedFd)> {
        let of_all = self.config.allowed_private.iter();
        let tls = self
            .tls
            .get_or_init(|| dial::client_config(self.config.extra_roots_pem.as_deref()))
            .clone()
            .map(|config| dial::of_one_step(&config));
        let dialer = Dialer {
            policy: Policy {
                grants,
                addresses: AddressPolicy::new(of_all.chain(private).copied().collect()),
            },
            resolver: Resolver::new(&self.config.names),
            tls,
        };
        Broker::open(dialer, self.config.limits)
    }
}
