//! How much of the network one step may use. All its requests, connections and lookups draw from one
//! budget, so that a thousand small ones cost no less than one large one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::record::Refusal;
use super::wire::Word;

/// What one step may use of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EgressLimits {
    /// HTTP requests, TCP connections and lookups that are under way at once. Each holds two descriptors
    /// of the runner, which has some thousand for all its steps.
    pub at_once_max: u64,
    /// HTTP requests and TCP connections in all.
    pub connections_max: u64,
    /// Names that are looked up, in all.
    pub lookups_max: u64,
    /// Bytes of bodies and connections that leave the host.
    pub up_bytes_max: u64,
    /// Bytes of bodies and connections that come in.
    pub down_bytes_max: u64,
    /// For one lookup, all its tries together.
    pub lookup_time_max: Duration,
    /// For one address to accept a connection. A name often has an IPv6 address whose packets vanish
    /// beside an IPv4 one that works, so this is short.
    pub connect_time_max: Duration,
    /// For a TLS handshake.
    pub handshake_time_max: Duration,
    /// From the end of a request to the end of the head of its response.
    pub first_byte_time_max: Duration,
    /// Between two pieces of a response, and for a server to take a piece of a request.
    pub idle_time_max: Duration,
}

impl Default for EgressLimits {
    /// A build that fetches a few thousand packages fits; one that scans a network does not.
    fn default() -> Self {
        Self {
            at_once_max: 32,
            connections_max: 10_000,
            lookups_max: 10_000,
            up_bytes_max: 1 << 30,
            down_bytes_max: 10 << 30,
            lookup_time_max: Duration::from_secs(5),
            connect_time_max: Duration::from_secs(5),
            handshake_time_max: Duration::from_secs(10),
            first_byte_time_max: Duration::from_mins(1),
            idle_time_max: Duration::from_mins(1),
        }
    }
}

/// What is left of it.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) limits: EgressLimits,
    under_way: AtomicU64,
    connections: AtomicU64,
    lookups: AtomicU64,
    up_bytes: AtomicU64,
    down_bytes: AtomicU64,
}

impl Budget {
    pub(super) fn new(limits: EgressLimits) -> Self {
        Self {
            limits,
            under_way: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            lookups: AtomicU64::new(0),
            up_bytes: AtomicU64::new(0),
            down_bytes: AtomicU64::new(0),
        }
    }

    /// Room for one thing under way, until it is given back. `None` when there is none.
    pub(super) fn begin(&self) -> bool {
        spend(&self.under_way, 1, self.limits.at_once_max)
    }

    /// Gives back the room that [`Budget::begin`] took.
    pub(super) fn end(&self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn connection(&self) -> Result<(), Refusal> {
        Self::take(
            &self.connections,
            1,
            self.limits.connections_max,
            "connections",
        )
    }

    pub(super) fn lookup(&self) -> Result<(), Refusal> {
        Self::take(&self.lookups, 1, self.limits.lookups_max, "lookups")
    }

    pub(super) fn up(&self, bytes: usize) -> Result<(), Refusal> {
        Self::take(&self.up_bytes, bytes, self.limits.up_bytes_max, "bytes out")
    }

    pub(super) fn down(&self, bytes: usize) -> Result<(), Refusal> {
        Self::take(
            &self.down_bytes,
            bytes,
            self.limits.down_bytes_max,
            "bytes in",
        )
    }

    fn take(used: &AtomicU64, more: usize, max: u64, what: &str) -> Result<(), Refusal> {
        if spend(used, more, max) {
            return Ok(());
        }
        Err(Refusal::new(
            Word::Limit,
            format!("limit reached: at most {max} {what} of one step"),
        ))
    }
}

fn spend(used: &AtomicU64, more: usize, max: u64) -> bool {
    let more = u64::try_from(more).unwrap_or(u64::MAX);
    let add = |used: u64| used.checked_add(more).filter(|sum| *sum <= max);
    used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
        .is_ok()
}
