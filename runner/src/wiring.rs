//! The one place that names concrete adapters: from configuration to a runner that can serve.

use std::sync::Arc;

use anyhow::Context as _;
use cofferdam_git::{Git, Limits, RemotePolicy};
use tokio_util::task::TaskTracker;

use crate::checkout::Checkouts;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Environment};
use crate::identity::{Identity, StateDir};
use crate::job::Jobs;
use crate::outbox::Outbox;
use crate::session::Session;
use crate::slots::Slots;

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
        checkouts: Checkouts::new(git, state.path())?,
        wasm: unimplemented!(),
        container: Err("no container engine".to_owned()),
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
    };
    Ok(Runner { session, tasks })
}
