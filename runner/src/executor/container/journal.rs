//! Remembers on disk which containers are ours, from before they exist until they are gone.
//!
//! One small file per container in `<state dir>/containers/`, named as the container is. The names hold
//! 128 random bits, so what the journal names is ours and nobody else's, whatever a label says.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as ApiError;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder,
};
use futures_util::stream::{self, StreamExt as _};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use super::engine::Engine;

/// Longest time that a forced removal may take. The engine kills, unmounts and deletes the container's
/// own files; a build tree of many gigabytes on a slow disk takes minutes.
const REMOVE_MAX: Duration = Duration::from_mins(5);

/// Longest time that removing what the last life left over may take, for each container: a runner that
/// starts waits for it, and what stays is tried again at the next start.
const LEFTOVER_MAX: Duration = Duration::from_mins(1);

/// Longest wait for the answer to one request for a removal. Podman 4.3 has been seen to answer one never,
/// and the next one at once.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Removals of leftovers at once: an engine that hangs on one container may well remove the others.
const LEFTOVERS_AT_ONCE: usize = 8;

/// Pause before a removal is asked for again.
const REMOVE_RETRY: Duration = Duration::from_millis(200);

const NAME_PREFIX: &str = "cofferdam-";

/// Why containers of the runner's last life may still be there.
#[derive(Debug, thiserror::Error)]
pub enum LeftoverError {
    /// The journal cannot be read.
    #[error("cannot read the journal of containers at {path}")]
    Journal {
        /// Its directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Some containers could not be removed.
    #[error("could not remove {} of the last run: {}", names.len(), names.join(", "))]
    Remaining {
        /// Their names and why.
        names: Vec<String>,
    },
}

/// The directory of the journal.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    dir: PathBuf,
}

impl Journal {
    /// Opens the journal below `state_dir`; makes its directory if it is missing.
    pub(super) fn open(state_dir: &Path) -> std::io::Result<Self> {
        let dir = state_dir.join("containers");
        std::fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }

    /// Writes down that a container called `name` may exist from now on. On disk when it returns.
    fn enter(&self, name: &str, engine: &str) -> std::io::Result<()> {
        let mut file = File::create_new(self.dir.join(name))?;
        writeln!(file, "{engine}")?;
        file.sync_all()?;
        File::open(&self.dir)?.sync_all()
    }

    /// Forgets a container that is gone. A crash may bring the entry back: then it is found to be gone.
    fn strike(&self, name: &str) {
        if let Err(error) = std::fs::remove_file(self.dir.join(name)) {
            tracing::warn!(container = name, %error, "could not strike a container from the journal");
        }
    }

    /// The entries: `(name, engine)`. Files that we did not name are left alone.
    fn entries(&self) -> std::io::Result<Vec<(String, String)>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let is_ours = name
                .strip_prefix(NAME_PREFIX)
                .is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()));
            if is_ours {
                let engine = std::fs::read_to_string(self.dir.join(&name))?;
                entries.push((name, engine.trim().to_owned()));
            }
        }
        Ok(entries)
    }
}

/// A container that is in the journal. Dropped before `remove` succeeded, it is killed and removed by a
/// task of its own.
#[derive(Debug)]
pub(super) struct Held {
    name: String,
    docker: Docker,
    journal: Journal,
    tracker: TaskTracker,
    creating: Option<JoinHandle<Result<String, ApiError>>>,
    is_gone: bool,
}

impl Held {
    /// Enters a container into the journal, under a name made from `id`, before it is created.
    pub(super) fn enter(
        engine: &Engine,
        journal: &Journal,
        tracker: &TaskTracker,
        id: u128,
    ) -> std::io::Result<Self> {
        let name = format!("{NAME_PREFIX}{id:032x}");
        journal.enter(&name, engine.facts().kind.name())?;
        Ok(Self {
            name,
            docker: engine.docker().clone(),
            journal: journal.clone(),
            tracker: tracker.clone(),
            creating: None,
            is_gone: false,
        })
    }

    /// Creates the container and answers its id. The request runs in a task of its own: if the step is
    /// dropped meanwhile, the removal first waits for it, or it would come too early.
    pub(super) async fn create(&mut self, body: ContainerCreateBody) -> Result<String, ApiError> {
        let (docker, name) = (self.docker.clone(), self.name.clone());
        let task = self.creating.insert(self.tracker.spawn(async move {
            let named = CreateContainerOptionsBuilder::default().name(&name).build();
            let created = docker.create_container(Some(named), body).await?;
            Ok(created.id)
        }));
        let created = task.await;
        self.creating = None;
        // The task neither panics nor is aborted but by a runtime that shuts down.
        created.unwrap_or(Err(ApiError::RequestTimeoutError))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Kills what runs in the container, removes it and checks that it is gone.
    pub(super) async fn remove(mut self) -> Result<(), ApiError> {
        remove(&self.docker, &self.name, REMOVE_MAX).await?;
        self.is_gone = true;
        self.journal.strike(&self.name);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.is_gone {
            return;
        }
        let (docker, journal) = (self.docker.clone(), self.journal.clone());
        let name = std::mem::take(&mut self.name);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            tracing::warn!(container = name, "left to the next start of the runner");
            return;
        };
        let creating = self.creating.take();
        drop(self.tracker.spawn_on(
            async move {
                if let Some(creating) = creating {
                    drop(creating.await);
                }
                match remove(&docker, &name, REMOVE_MAX).await {
                    Ok(()) => journal.strike(&name),
                    Err(error) => {
                        tracing::warn!(container = name, %error, "could not remove a container");
                    }
                }
            },
            &runtime,
        ));
    }
}

/// See `ContainerExecutor::clear_leftovers`.
pub(super) async fn clear_leftovers(
    engine: &Engine,
    journal: &Journal,
) -> Result<usize, LeftoverError> {
    let entries = journal.entries().map_err(|source| LeftoverError::Journal {
        path: journal.dir.clone(),
        source,
    })?;
    let this_engine = engine.facts().kind.name();
    let mut remaining = Vec::new();
    let mut ours = Vec::new();
    for (name, its_engine) in entries {
        // A crash between making and writing the file leaves it empty, and the container unmade.
        if its_engine.is_empty() || its_engine == this_engine {
            ours.push(name);
        } else {
            remaining.push(format!("{name} (it belongs to {its_engine})"));
        }
    }
    let removals = ours.into_iter().map(|name| async move {
        let removed = remove(engine.docker(), &name, LEFTOVER_MAX).await;
        (name, removed)
    });
    let removals: Vec<_> = stream::iter(removals)
        .buffered(LEFTOVERS_AT_ONCE)
        .collect()
        .await;
    let mut cleared = 0;
    for (name, removed) in removals {
        match removed {
            Ok(()) => {
                journal.strike(&name);
                cleared += 1;
            }
            Err(error) => remaining.push(format!("{name} ({error})")),
        }
    }
    if remaining.is_empty() {
        Ok(cleared)
    } else {
        Err(LeftoverError::Remaining { names: remaining })
    }
}

/// Removes a container by force, with its anonymous volumes, and returns when the engine no longer knows
/// it, or `longest` is over. One that never existed is gone, too.
async fn remove(docker: &Docker, name: &str, longest: Duration) -> Result<(), ApiError> {
    let deadline = Instant::now() + longest;
    loop {
        let asked = remove_once(docker, name);
        let still_there = match timeout(ANSWER_MAX, asked).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_elapsed) => ApiError::RequestTimeoutError,
        };
        if Instant::now() >= deadline {
            return Err(still_there);
        }
        // Another removal is under way, or the engine is busy.
        sleep(REMOVE_RETRY).await;
    }
}

/// Asks for the removal, and whether the container is gone.
async fn remove_once(docker: &Docker, name: &str) -> Result<(), ApiError> {
    let how = RemoveContainerOptionsBuilder::default()
        .force(true)
        .v(true)
        .build();
    let removed = docker.remove_container(name, Some(how)).await;
    let check = docker
        .inspect_container(name, None::<InspectContainerOptions>)
        .await;
    match (removed, check) {
        (_, Err(error)) if is_missing(&error) => Ok(()),
        (Err(error), _) | (Ok(()), Err(error)) => Err(error),
        (Ok(()), Ok(_)) => Err(ApiError::RequestTimeoutError),
    }
}

/// Whether an engine says that it knows no such thing.
pub(super) fn is_missing(error: &ApiError) -> bool {
    matches!(
        error,
        ApiError::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}
