//! What a step used of the network and what it was refused there. The observer is the egress broker, which
//! runs in the runner and not in the step.

use std::net::SocketAddr;

/// The network part of a receipt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkUse {
    /// Who was reached, by origin and address.
    pub hosts: Vec<HostUse>,
    /// What was refused, or failed, and how often.
    pub refusals: Vec<Refused>,
    /// Hosts and refusals that are not listed because there were too many different ones.
    pub unlisted: u64,
}

/// What was exchanged with one address of one origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostUse {
    /// As it was granted.
    pub origin: String,
    /// Where it was found.
    pub address: SocketAddr,
    /// HTTP requests or TCP connections.
    pub connections: u64,
    /// Bytes of bodies or connections that left.
    pub up_bytes: u64,
    /// Bytes of bodies or connections that came.
    pub down_bytes: u64,
}

/// One refusal, and how often it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// One sentence.
    pub why: String,
    /// At least 1.
    pub times: u64,
}
