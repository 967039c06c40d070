//! Runs shell lines in a container, through Docker's API: Podman (rootless first) or Docker.
//!
//! From: a step's script and its workspace. To: the log while it runs, then a receipt. One step is one
//! container, whose init is ours and only waits; the script and the after-script are two execs in it.
//!
//! In walk order: `engine` finds or starts the engine, `bounds` holds a step to what this host allows it, `image` brings the image, `journal` remembers
//! the container before it exists, `spec` says what it may do, `shell` and `echo` say how the lines get
//! in and how their echo gets out, `exec` runs one shell, `cgroup` reads what the kernel counted, and
//! `step` puts them together.
//!
//! Deliberately absent: secrets, `grants.net`, services, caches, registry credentials, a limit on disk.
//! The engine's socket and any other path of this host never enter a container, and none is privileged.

mod bounds;
mod cgroup;
mod echo;
mod engine;
mod exec;
mod image;
mod journal;
mod shell;
mod spec;
mod step;

use std::path::PathBuf;

use async_trait::async_trait;
use tokio_util::task::TaskTracker;

pub use self::engine::{EngineFacts, EngineKind, EngineSettings, NoEngine};
pub use self::journal::LeftoverError;
pub use self::spec::{ContainerLimits, Network};

use self::engine::Engine;
use self::journal::Journal;
use super::{Executor, ExecutorError, StepRun, Work};
use crate::log::LogSink;
use crate::receipt::Receipt;

/// The clone directory inside every container, where Bitbucket has it
/// (<https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/>).
pub const CLONE_DIR: &str = "/opt/atlassian/pipelines/agent/build";

/// What the container executor is told by the configuration.
#[derive(Clone, Debug)]
pub struct ContainerSettings {
    /// Which engine, and how to start one.
    pub engine: EngineSettings,
    /// The runner's own directory: the journal lives in `containers/` below it, and the socket of an
    /// engine that we start. Two runners never share one.
    pub state_dir: PathBuf,
    /// What a script step's network is.
    pub network: Network,
    /// What one container may use.
    pub limits: ContainerLimits,
    /// Who shall own what a step leaves in its workspace: the runner's own user and group. `None` when
    /// the runner is root and may remove anything.
    pub owner: Option<(u32, u32)>,
    /// Gives 128 random bits; names containers, so that a journal can only ever name our own.
    pub fresh_id: fn() -> u128,
}

/// Runs script steps in containers.
#[derive(Debug)]
pub struct ContainerExecutor {
    engine: Engine,
    journal: Journal,
    settings: ContainerSettings,
    tracker: TaskTracker,
}

impl ContainerExecutor {
    /// Finds a container engine, or starts one, and opens the journal. Kills of dropped steps are
    /// spawned on `tracker`. Takes at most about 20 s. An error is the sentence to show; the runner goes
    /// on with wasm steps only.
    pub async fn connect(
        settings: ContainerSettings,
        tracker: TaskTracker,
    ) -> Result<Self, NoEngine> {
        let journal = Journal::open(&settings.state_dir).map_err(|error| NoEngine::Journal {
            path: settings.state_dir.clone(),
            source: error,
        })?;
        let engine = Engine::find(&settings.engine, &settings.state_dir).await?;
        Ok(Self {
            engine,
            journal,
            settings,
            tracker,
        })
    }

    /// Which engine runs the containers.
    pub fn engine(&self) -> &EngineFacts {
        self.engine.facts()
    }

    /// Removes the containers that the runner's last life left over, and says how many there were. Call
    /// it once, before the first step: it takes every container that the journal names for a leftover.
    ///
    /// Only the journal counts. Labels are not asked, because a neighbour on the same engine can forge
    /// them. An entry stays in the journal until its container is verifiably gone.
    pub async fn clear_leftovers(&self) -> Result<usize, LeftoverError> {
        journal::clear_leftovers(&self.engine, &self.journal).await
    }
}

#[async_trait]
impl Executor for ContainerExecutor {
    async fn run(&self, run: StepRun<'_>, log: &dyn LogSink) -> Result<Receipt, ExecutorError> {
        let Work::Script(work) = &run.work else {
            return Err(ExecutorError::Ours(
                "a wasm step was handed to the container executor".to_owned(),
                None,
            ));
        };
        step::run(self, &run, work, log).await
    }
}
