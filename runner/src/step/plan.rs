//! A step that was checked: what `session::from_wire` made of an offer, or `local` of a file's own plan.

use std::collections::BTreeMap;
use std::time::Duration;

use cofferdam_git::Depth;
use cofferdam_protocol::StepIndex;

use crate::executor::{Asked, AskedLimits, ScriptWork};

/// One step.
#[derive(Debug)]
pub struct PlannedStep {
    /// Its place in the build.
    pub index: StepIndex,
    /// For people, harmless.
    pub name: String,
    /// Wall time.
    pub timeout: Duration,
    /// How much history its workspace has.
    pub depth: Depth,
    /// What to execute.
    pub work: PlannedWork,
}

/// What a step executes.
#[derive(Debug)]
pub enum PlannedWork {
    /// Shell lines in a container.
    Script(ScriptWork),
    /// A WASI module of the commit.
    Wasm(PlannedWasm),
    /// Something that whoever runs it has to give, and did not.
    Lacking {
        /// What, and how to give it.
        what: String,
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
    /// Where it is in the commit, or in the artifacts of an earlier step.
    pub module_path: String,
    /// That step's name; `None` if the module is a file of the commit.
    pub module_from: Option<String>,
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
    /// Asked limits.
    pub limits: AskedLimits,
}
