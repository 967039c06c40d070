//! Limits: what can be bounded of a step, how it is counted, and how much there is if nobody says.
//!
//! One table says it all; the reader of `runner.toml`, `effective`, the screens and the docs' test work from it. It holds
//! what the executors of this version really enforce and nothing else: a bound that nobody holds is worse than none.

use std::collections::BTreeMap;
use std::time::Duration;

use super::quantity::{duration_shown, size_shown};
use super::{ExecutorKind, Ruled};

/// What is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitName {
    /// Of a module the sum over its memories, of a script all its processes.
    Memory,
    /// Wall time.
    Time,
    /// Standard output and standard error together.
    Output,
    /// The largest file that a module may make, and what all that it writes may take together.
    Disk,
    /// Processes and threads at once.
    Processes,
    /// Open files of one process.
    Files,
}

impl LimitName {
    /// As pipeline files, `runner.toml` and receipts call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Time => "time",
            Self::Output => "output",
            Self::Disk => "disk",
            Self::Processes => "processes",
            Self::Files => "files",
        }
    }

    /// How it is counted.
    pub fn unit(self) -> Unit {
        match self {
            Self::Memory | Self::Output | Self::Disk => Unit::Bytes,
            Self::Time => Unit::Millis,
            Self::Processes | Self::Files => Unit::Count,
        }
    }
}

/// How a limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Written with a unit: `1GiB`.
    Bytes,
    /// Written with a unit: `90s`.
    Millis,
    /// A plain number.
    Count,
}

impl Unit {
    /// An amount as people write it.
    pub fn shown(self, amount: u64) -> String {
        match self {
            Self::Bytes => size_shown(amount),
            Self::Millis => duration_shown(Duration::from_millis(amount)),
            Self::Count => amount.to_string(),
        }
    }
}

/// One limit of one kind of step.
#[derive(Clone, Copy, Debug)]
pub struct LimitKind {
    /// Of which steps.
    pub executor: ExecutorKind,
    /// What.
    pub name: LimitName,
    /// For a step that does not say.
    pub default: u64,
    /// Where the operator does not say.
    pub max: u64,
    /// The most that an operator can allow.
    pub possible: u64,
}

const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// A week, the language's own bound.
const WEEK_MILLIS: u64 = 7 * 24 * 3600 * 1000;

/// What a step gets that says nothing: Bitbucket's two hours.
const TWO_HOURS_MILLIS: u64 = 2 * 3600 * 1000;

/// Every limit there is, with the reason for its numbers.
pub const LIMITS: [LimitKind; 9] = [
    // All that a 32-bit memory can have is the most.
    kind(
        ExecutorKind::Wasm,
        LimitName::Memory,
        (GIB, 4 * GIB, 4 * GIB),
    ),
    kind(
        ExecutorKind::Wasm,
        LimitName::Time,
        (TWO_HOURS_MILLIS, WEEK_MILLIS, WEEK_MILLIS),
    ),
    // More than anybody reads, and it is kept.
    kind(ExecutorKind::Wasm, LimitName::Output, (64 << 20, TIB, TIB)),
    // No file is larger than a file system of this size.
    kind(
        ExecutorKind::Wasm,
        LimitName::Disk,
        (4 * GIB, 16 * TIB, 16 * TIB),
    ),
    // Memory and output as Bitbucket gives a step of size `1x`.
    kind(
        ExecutorKind::Script,
        LimitName::Memory,
        (4 * GIB, 4 * GIB, 16 * TIB),
    ),
    kind(
        ExecutorKind::Script,
        LimitName::Time,
        (TWO_HOURS_MILLIS, WEEK_MILLIS, WEEK_MILLIS),
    ),
    kind(
        ExecutorKind::Script,
        LimitName::Output,
        (100 << 20, 100 << 20, TIB),
    ),
    // A build with a thousand threads passes and a fork bomb does not. The kernel has no more than 2^22 process ids.
    kind(
        ExecutorKind::Script,
        LimitName::Processes,
        (4096, 4096, 1 << 22),
    ),
    // As many as containers usually get; the runner's own limit counts too.
    kind(
        ExecutorKind::Script,
        LimitName::Files,
        (65_536, 65_536, 65_536),
    ),
];

const fn kind(
    executor: ExecutorKind,
    name: LimitName,
    (default, max, possible): (u64, u64, u64),
) -> LimitKind {
    LimitKind {
        executor,
        name,
        default,
        max,
        possible,
    }
}

/// Limits that people expect, and why they cannot be set: the file is refused rather than a bound pretended.
pub const NOT_HELD: [(ExecutorKind, &str, &str); 5] = [
    (
        ExecutorKind::Wasm,
        "cpu",
        "this version bounds a module's wall time only",
    ),
    (
        ExecutorKind::Wasm,
        "files",
        "this version has one fixed bound on a module's open files",
    ),
    (
        ExecutorKind::Wasm,
        "processes",
        "a module is always one process",
    ),
    (
        ExecutorKind::Script,
        "cpu",
        "this version bounds a script's wall time only",
    ),
    (
        ExecutorKind::Script,
        "disk",
        "this version does not bound what a script writes",
    ),
];

/// A limit's bound at one trust level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// For a step that does not say; never above `max`.
    pub default: u64,
    /// Whatever a step says.
    pub max: u64,
}

/// All bounds of a level.
pub type Bounds = BTreeMap<(ExecutorKind, LimitName), Ruled<Bound>>;

/// The kind of that limit, if such steps have it.
pub fn kind_of(executor: ExecutorKind, name: &str) -> Option<&'static LimitKind> {
    LIMITS
        .iter()
        .find(|kind| kind.executor == executor && kind.name.name() == name)
}
