//! A step that was checked: what `session::from_wire` made of an offer, or `local` of a file's own plan.

use std::collections::BTreeMap;
use std::time::Duration;

use cofferdam_git::Depth;
use cofferdam_pipeline::{Clock, Random};
use cofferdam_protocol::StepIndex;

use crate::ceiling::Refusals;
use crate::executor::{Asked, AskedLimits, ScriptWork, WasmBounds};
use crate::first_party::SCHEME as FIRST_PARTY;
use crate::secrets::SecretGrants;

/// One step.
#[derive(Debug)]
pub struct PlannedStep {
    /// Its place in the build.
    pub index: StepIndex,
    /// For people, harmless.
    pub name: String,
    /// The line of the pipeline file where it begins, from 1.
    pub line: u32,
    /// Wall time.
    pub timeout: Duration,
    /// How much history its workspace has.
    pub depth: Depth,
    /// What its log is told before it begins: where it gets less than it asked for.
    pub notes: Vec<String>,
    /// What to execute.
    pub work: PlannedWork,
}

/// What a step executes.
#[derive(Debug)]
pub enum PlannedWork {
    /// Shell lines in a container.
    Script(ScriptWork),
    /// A WASI module of the commit.
    Wasm(Box<PlannedWasm>),
    /// Something that this host allows to no such step.
    Refused(Refusals),
    /// Something that whoever runs it has to give, and did not.
    Lacking {
        /// What, and how to give it.
        what: String,
        /// Where the file asks for it.
        line: u32,
    },
    /// Something that the file may not ask for.
    Impossible {
        /// One sentence.
        why: String,
        /// Where the file asks for it.
        line: u32,
    },
    /// Something that this version cannot do.
    Unsupported {
        /// What.
        what: String,
        /// Where the file asks for it.
        line: u32,
    },
}

/// A WASI module.
#[derive(Debug)]
pub struct PlannedWasm {
    /// Where it comes from.
    pub module: ModuleSource,
    /// The line that names it.
    pub module_line: u32,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Asked to be readable.
    pub read: Vec<Asked>,
    /// Asked to be writable.
    pub write: Vec<Asked>,
    /// Asked to be reachable.
    pub net: Vec<Asked>,
    /// The secrets that it is granted.
    pub secrets: SecretGrants,
    /// What its wall clock shows.
    pub clock: Clock,
    /// Where its random numbers come from.
    pub random: Random,
    /// Asked limits.
    pub limits: AskedLimits,
    /// What the ceiling says beside that.
    pub bounds: WasmBounds,
}

/// Where a module comes from.
#[derive(Debug)]
pub enum ModuleSource {
    /// A file of the commit: its path.
    Commit(String),
    /// A file among the artifacts of an earlier step.
    Artifact {
        /// Its path.
        path: String,
        /// That step's name.
        from: String,
    },
    /// A step that ships with the runner: its name.
    FirstParty(String),
}

impl ModuleSource {
    /// As the file names it, for the receipt.
    pub fn origin(&self) -> String {
        match self {
            Self::Commit(path) | Self::Artifact { path, from: _ } => path.clone(),
            Self::FirstParty(name) => format!("{FIRST_PARTY}{name}"),
        }
    }
}
