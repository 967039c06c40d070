//! The one place that names concrete adapters: from configuration to a runner that can serve.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use cofferdam_git::{Git, Limits, RemotePolicy};
use tokio_util::task::TaskTracker;

use crate::checkout::Checkouts;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, EngineChoice, Environment};
use crate::egress::EgressConfig;
use crate::executor::Executor;
use crate::executor::container::{
    ContainerExecutor, ContainerLimits, ContainerSettings, EngineSettings, Network,
};
use crate::executor::wasm::{WasmConfig, WasmExecutor};
use crate::identity::{Identity, StateDir};
use crate::job::Jobs;
use crate::outbox::Outbox;
use crate::session::Session;
use crate::slots::Slots;
use crate::step::Steps;
use crate::text::chain;

/// A runner that can serve.
#[derive(Debug)]
pub struct Runner {
    /// Its connection to the hub, and all behind it.
    pub session: Session,
    /// What runs beside the session; shutdown waits for it.
    pub tasks: TaskTracker,
}

/// Puts a runner together. Fails where this host lacks what no runner can do without.
pub async fn build(
    config: &Config,
    identity: Identity,
    state: &StateDir,
    environment: &Environment,
) -> anyhow::Result<Runner> {
    let git = Git::find(&environment.search_path()).context("there is no git on this host")?;
    let git = Git::open(&git, Limits::default()).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let outbox = Arc::new(Outbox::default());
    let slots = Slots::new(config.slots);
    let tasks = TaskTracker::new();
    let jobs = Jobs {
        steps: steps(
            git,
            config,
            (state.path(), &state.path().join("modules")),
            (environment, &tasks),
        )
        .await?,
        outbox: Arc::clone(&outbox),
        clock: Arc::clone(&clock),
        tasks: tasks.clone(),
    };
    let session = Session {
        identity,
        jobs: Arc::new(jobs),
        slots,
        outbox,
        clock,
        remotes: RemotePolicy {
            file_roots: config.git_file_roots.clone(),
        },
        ceiling: config.ceiling.clone(),
    };
    Ok(Runner { session, tasks })
}

/// Step processes that wait ready: one to begin with, and one while its replacement is made.
const STEPS_WAITING: usize = 2;

/// What runs steps, with its workspaces below the first directory and native code in the second.
pub async fn steps(
    git: Git,
    config: &Config,
    (state, modules): (&Path, &Path),
    (environment, tasks): (&Environment, &TaskTracker),
) -> anyhow::Result<Steps> {
    let wasm = WasmExecutor::new(&WasmConfig {
        program: "/proc/self/exe".into(),
        cache_dir: modules.to_owned(),
        waiting: STEPS_WAITING,
        egress: EgressConfig::default(),
    })
    .context("modules cannot be run")?;
    wasm.get_ready();
    Ok(Steps {
        checkouts: Checkouts::new(git, state)?,
        wasm: Arc::new(wasm),
        container: container(config, state, environment, tasks).await,
    })
}

/// The container executor, or the sentence that says why this runner has none.
async fn container(
    config: &Config,
    state: &Path,
    environment: &Environment,
    tasks: &TaskTracker,
) -> Result<Arc<dyn Executor>, String> {
    let socket = match &config.engine {
        EngineChoice::None => return Err("its configuration says `engine = \"none\"`".to_owned()),
        EngineChoice::Socket(path) => Some(format!("unix://{}", path.display())),
        EngineChoice::Auto => None,
    };
    let user = rustix::process::geteuid();
    let settings = ContainerSettings {
        engine: EngineSettings {
            socket,
            runtime_dir: environment.runtime_dir().map(Path::to_owned),
            containers_conf: environment.containers_conf(),
            service_env: environment.engine().clone(),
        },
        state_dir: state.to_owned(),
        network: if config.has_container_network {
            Network::Engine
        } else {
            Network::None
        },
        limits: ContainerLimits::default(),
        owner: (!user.is_root()).then(|| (user.as_raw(), rustix::process::getegid().as_raw())),
        fresh_id,
    };
    let executor = match ContainerExecutor::connect(settings, tasks.clone()).await {
        Ok(executor) => executor,
        Err(error) => {
            let why = chain(&error);
            tracing::warn!(why, "script steps cannot run here");
            return Err(why);
        }
    };
    match executor.clear_leftovers().await {
        Ok(0) => {}
        Ok(count) => tracing::warn!(count, "removed containers that an earlier life left over"),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "leftover containers remain"
            );
        }
    }
    tracing::info!(engine = ?executor.engine(), "script steps run in containers");
    Ok(Arc::new(executor))
}

fn fresh_id() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system always has random bytes");
    u128::from_be_bytes(bytes)
}
