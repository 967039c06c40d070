//! A step that was checked: what `session::from_wire` made of an offer, or `local` of a file's own plan.

use std::collections::BTreeMap;
use std::time::Duration;

use cofferdam_protocol::StepIndex;

use crate::ceiling::Refusals;
use crate::executor::{Asked, AskedLimits, ScriptWork, WasmBounds};

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
    Wasm(PlannedWasm),
    /// Something that this host allows to no such step.
    Refused(Refusals),
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
    /// What the ceiling says beside that.
    pub bounds: WasmBounds,
}
