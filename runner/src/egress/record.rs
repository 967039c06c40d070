//! What a step used of the network and what it was refused, as the broker saw it. The guest has no hand in
//! it, but for the names it asks for, and those are made harmless and cut.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::wire::Word;
use crate::receipt::network::{HostUse, NetworkUse, Refused};
use crate::text::printable;

/// Different hosts, and different refusals, of one step that are listed. What comes after these is
/// counted only: a guest could ask for a new name each millisecond.
const LISTED_MAX: usize = 100;

/// Longest reason of a refusal, in bytes: the longest name twice and a sentence.
const WHY_BYTES_MAX: usize = 1000;

/// Refusals that are told while the step runs, before somebody reads them.
const NOTICES_WAITING_MAX: usize = 32;

/// Why the broker does not do what it was asked for: a word for the guest, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("net: {why}")]
pub(super) struct Refusal {
    pub(super) word: Word,
    why: String,
}

impl Refusal {
    /// `why` may hold text from the guest or from a server: it is made harmless and cut here.
    pub(super) fn new(word: Word, why: impl AsRef<str>) -> Self {
        let mut why = printable(why.as_ref());
        if why.len() > WHY_BYTES_MAX {
            why.truncate(why.floor_char_boundary(WHY_BYTES_MAX));
            why.push('…');
        }
        Self { word, why }
    }
}

/// Takes the record while a step runs.
#[derive(Debug)]
pub(super) struct Record {
    kept: Mutex<Kept>,
    notices: mpsc::Sender<String>,
}

#[derive(Debug, Default)]
struct Kept {
    hosts: BTreeMap<(String, SocketAddr), Traffic>,
    refusals: BTreeMap<String, u64>,
    unlisted: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    connections: u64,
    up_bytes: u64,
    down_bytes: u64,
}

/// Adds what one connection carries to the record.
#[derive(Debug)]
pub(super) struct Meter<'r> {
    record: &'r Record,
    key: (String, SocketAddr),
}

impl Record {
    /// Empty, and where each new refusal is told as it happens.
    pub(super) fn new() -> (Self, mpsc::Receiver<String>) {
        let (notices, told) = mpsc::channel(NOTICES_WAITING_MAX);
        let kept = Mutex::default();
        (Self { kept, notices }, told)
    }

    /// A connection to `address` for `origin` stands.
    pub(super) fn connected(&self, origin: String, address: SocketAddr) -> Meter<'_> {
        let meter = Meter {
            record: self,
            key: (origin, address),
        };
        meter.add(|traffic| traffic.connections += 1);
        meter
    }

    /// Something was refused or failed.
    pub(super) fn refused(&self, refusal: &Refusal) {
        let why = refusal.to_string();
        let mut kept = self.kept();
        let Kept {
            refusals, unlisted, ..
        } = &mut *kept;
        if let Some(times) = refusals.get_mut(&why) {
            *times += 1;
        } else if refusals.len() < LISTED_MAX {
            refusals.insert(why.clone(), 1);
            // A reader that is behind misses one; the receipt has it.
            let _told = self.notices.try_send(why);
        } else {
            *unlisted += 1;
        }
    }

    /// All of it so far.
    pub(super) fn so_far(&self) -> NetworkUse {
        let kept = self.kept();
        let host = |((origin, address), traffic): (&(String, SocketAddr), &Traffic)| HostUse {
            origin: origin.clone(),
            address: *address,
            connections: traffic.connections,
            up_bytes: traffic.up_bytes,
            down_bytes: traffic.down_bytes,
        };
        let refused = |(why, times): (&String, &u64)| Refused {
            why: why.clone(),
            times: *times,
        };
        NetworkUse {
            hosts: kept.hosts.iter().map(host).collect(),
            refusals: kept.refusals.iter().map(refused).collect(),
            unlisted: kept.unlisted,
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing in here can be half done.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meter<'_> {
    /// Bytes that left.
    pub(super) fn up(&self, bytes: usize) {
        self.add(|traffic| traffic.up_bytes += bytes as u64);
    }

    /// Bytes that came.
    pub(super) fn down(&self, bytes: usize) {
        self.add(|traffic| traffic.down_bytes += bytes as u64);
    }

    fn add(&self, change: impl FnOnce(&mut Traffic)) {
        let mut kept = self.record.kept();
        let Kept {
            hosts, unlisted, ..
        } = &mut *kept;
        if let Some(traffic) = hosts.get_mut(&self.key) {
            change(traffic);
        } else if hosts.len() < LISTED_MAX {
            change(hosts.entry(self.key.clone()).or_default());
        } else {
            let mut traffic = Traffic::default();
            change(&mut traffic);
            *unlisted += traffic.connections;
        }
    }
}
