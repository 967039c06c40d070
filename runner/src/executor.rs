//! Runs one step: the port, and what goes in and comes out.
//!
//! Two implementations: `executor/wasm.rs` runs a WASI module in a process of its own, `executor/
//! container.rs` runs shell lines in a container. Neither knows about jobs, hubs or retries.

pub mod container;
pub mod disk;
pub mod repeat;
pub mod wasm;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use self::repeat::{GuestClock, GuestRandom};
use crate::ceiling::{Demand, IpRange};
use crate::log::LogSink;
use crate::receipt::Receipt;
use crate::secrets::SecretGrants;
use crate::workspace::Workspace;

/// Runs one step in a prepared workspace. Called from many jobs at once.
///
/// Returns only when everything the step started is gone, also after `run.cancel`. Dropping the future
/// kills the step as well, without waiting for it.
///
/// `Ok` says that the step ran and how it ended, whatever it thought of the code; `Err` says that we
/// could not run it.
#[async_trait]
pub trait Executor: Send + Sync + Debug {
    /// Runs the step to its end.
    async fn run(&self, run: StepRun<'_>, log: &dyn LogSink) -> Result<Receipt, ExecutorError>;
}

/// One step, ready to run.
#[derive(Debug)]
pub struct StepRun<'a> {
    /// What people call it.
    pub name: &'a str,
    /// The job's environment: `CI`, `BITBUCKET_*`.
    pub env: &'a BTreeMap<String, String>,
    /// Its own clean work tree.
    pub workspace: &'a Workspace,
    /// What a container sees beside the work tree; a module sees none of it.
    pub mounts: &'a [Mount],
    /// How long it may take, wall time.
    pub timeout: Duration,
    /// Ends it early.
    pub cancel: &'a CancellationToken,
    /// What to execute.
    pub work: Work,
}

/// A directory of this host, read-write in a container: a cache that lives outside of the work tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Absolute, without links. Ours, never a step's word.
    pub host: PathBuf,
    /// Absolute; below the container's root.
    pub guest: String,
}

/// What a step executes.
#[derive(Clone, Debug)]
pub enum Work {
    /// A WASI module.
    Wasm(Box<WasmWork>),
    /// Shell lines in a container.
    Script(ScriptWork),
}

/// A WASI module and what it asks for. Paths are relative to the workspace.
#[derive(Clone, Debug)]
pub struct WasmWork {
    /// The module's bytes, read from where no step can have changed them.
    pub module: Arc<[u8]>,
    /// Its path in the commit, or `step:NAME`, for messages.
    pub module_path: String,
    /// Its arguments, without the program's name.
    pub args: Vec<String>,
    /// Its environment, beside the job's.
    pub env: BTreeMap<String, String>,
    /// Asked to be readable.
    pub read: Vec<Asked>,
    /// Asked to be writable.
    pub write: Vec<Asked>,
    /// Asked to be reachable.
    pub net: Vec<Asked>,
    /// Granted secrets.
    pub secrets: SecretGrants,
    /// What its wall clock shows.
    pub clock: GuestClock,
    /// Where its random numbers come from.
    pub random: GuestRandom,
    /// Asked limits; `None` is the runner's default.
    pub limits: AskedLimits,
    /// What the ceiling says beside that.
    pub bounds: WasmBounds,
}

/// What the ceiling says of a module beside its grants and limits. The default bounds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WasmBounds {
    /// What is to be done where a wall is missing.
    pub isolation: Demand,
    /// Addresses beside the public ones that its origins may lead to.
    pub private_ranges: Vec<IpRange>,
}

/// One thing asked for, and the line of the pipeline file that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// A workspace path or an origin.
    pub what: String,
    /// From 1.
    pub line: u32,
}

/// Limits that a step asks for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedLimits {
    /// Sum over all linear memories.
    pub memory_bytes: Option<u64>,
    /// Wall time.
    pub time: Option<Duration>,
    /// Standard output and standard error together.
    pub output_bytes: Option<u64>,
    /// Bytes written to files.
    pub disk_bytes: Option<u64>,
}

/// Shell lines and the image they run in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptWork {
    /// By tag or digest.
    pub image: String,
    /// Run in one shell with `set -e`.
    pub script: Vec<String>,
    /// Run afterwards, whatever happened, with `BITBUCKET_EXIT_CODE`.
    pub after_script: Vec<String>,
    /// What the ceiling says of it.
    pub bounds: ScriptBounds,
}

/// What the ceiling says of a script. The default bounds nothing, and the executor's own settings count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptBounds {
    /// What is to be done where a wall is missing.
    pub isolation: Demand,
    /// Whether an engine that is as good as root on this host will not do.
    pub must_be_rootless: bool,
    /// Whether it has no network, whatever the configuration gives to containers.
    pub has_no_network: bool,
    /// Memory of all its processes.
    pub memory_bytes: Option<u64>,
    /// Standard output and standard error together.
    pub output_bytes: Option<u64>,
    /// Processes and threads at once.
    pub processes: Option<u64>,
    /// Open files of one process.
    pub files: Option<u64>,
}

/// Why a step could not be run.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The repository or its file asks for what cannot be: a malformed module, a missing image.
    #[error("{0}")]
    User(String, #[source] Option<BoxError>),
    /// A grant was refused: which, and the line that asked for it.
    #[error("{}{why}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
    GrantRefused {
        /// One sentence that names the grant.
        why: String,
        /// From 1.
        line: Option<u32>,
    },
    /// The host, the network or an engine failed us.
    #[error("{0}")]
    Infrastructure(String, #[source] Option<BoxError>),
    /// Cofferdam itself failed.
    #[error("{0}")]
    Ours(String, #[source] Option<BoxError>),
}

/// Any error, as a source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
