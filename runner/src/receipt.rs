//! What a step was granted, used and was refused, and how it ended.
//!
//! Executors fill it in; `json` writes it down for the hub and for `step run --receipt`.

pub mod isolation;
pub mod json;
pub mod network;

use std::time::Duration;

use self::isolation::Isolation;
use self::network::NetworkUse;
use crate::ceiling::quantity::size_shown;

/// How a step ended. The exit status alone cannot say: a guest may use any of them itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// The step ended itself with this status.
    Exit(u8),
    /// The module trapped: what a person reads.
    Trap(String),
    /// One of the step's limits ended it.
    Limit(LimitHit),
    /// Its time was over.
    Timeout(Duration),
    /// Somebody cancelled it.
    Cancel,
    /// It broke out of its own sandbox and ran into a wall of the kernel's: which, for a person.
    Wall(String),
}

/// A limit that ended a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitHit {
    /// Which: `memory`, `output`, `disk` …, as the pipeline file calls it.
    pub name: &'static str,
    /// How much was allowed, in the limit's own unit.
    pub allowed: u64,
    /// The limit's unit, for example `bytes`.
    pub unit: &'static str,
}

impl LimitHit {
    /// How much was allowed, for people: `64MiB`, `4000000 elements`.
    pub fn allowed_shown(&self) -> String {
        match self.unit {
            "bytes" => size_shown(self.allowed),
            unit => format!("{} {unit}", self.allowed),
        }
    }
}

/// Who saw a use. Only `Broker` and `Kernel` count against a hostile step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observer {
    /// The egress broker in the runner.
    Broker,
    /// The operating system.
    Kernel,
    /// The step's own process.
    Step,
}

/// A thing that was asked for, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRecord {
    /// `read`, `write`, `net` or `secret`.
    pub kind: &'static str,
    /// As it was asked for.
    pub what: String,
    /// `None` when it was granted, else why not.
    pub refused: Option<String>,
}

/// The receipt of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// `wasm` or `container`.
    pub executor: &'static str,
    /// The SHA-256 of the module's bytes, or the image's id as the engine knows it.
    pub digest: Option<String>,
    /// Where the module or the image came from.
    pub origin: String,
    /// Grants asked for, granted and refused.
    pub grants: Vec<GrantRecord>,
    /// How it ended.
    pub ended_by: EndedBy,
    /// Wall time from start to end.
    pub wall: Duration,
    /// Processor time used, and who measured it.
    pub cpu: Option<(Duration, Observer)>,
    /// Peak memory in bytes, and who measured it.
    pub memory_peak_bytes: Option<(u64, Observer)>,
    /// Bytes the step wrote to its two outputs.
    pub output_bytes: u64,
    /// What it used of the network; `None` where it had none.
    pub network: Option<NetworkUse>,
    /// The walls that stood around it, in words: what this host allowed.
    pub isolation: String,
    /// The same, wall by wall, where a module ran.
    pub walls: Option<Isolation>,
    /// The process id of the step, or the container's id, as the host knows it.
    pub process: Option<String>,
}
