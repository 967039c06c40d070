//! Step processes that wait ready: in their namespaces, with an empty tree, with everything done that needs to know
//! nothing of a step.
//!
//! Each serves one step and ends. What is taken is replaced at once, while the step runs.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::task::TaskTracker;

use crate::process::{Launcher, Mode, Process};

/// The processes that wait, and where more come from.
#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    launcher: Launcher,
    /// How many shall wait.
    size: usize,
    waiting: Mutex<Waiting>,
    /// The launches under way. Nobody waits for them: what comes too late is dropped, and so killed.
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Waiting {
    ready: VecDeque<Process>,
    /// Launched and not here yet.
    coming: usize,
}

impl Pool {
    /// A pool in which `size` processes wait once it is filled; 0 launches each process when it is asked for.
    pub(super) fn new(launcher: Launcher, size: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                launcher,
                size,
                waiting: Mutex::default(),
                tasks: TaskTracker::new(),
            }),
        }
    }

    /// Sees to it that as many wait as shall wait. Returns at once; to be called within a runtime.
    pub(super) fn fill(&self) {
        for _ in 0..self.shared.claim() {
            let shared = Arc::clone(&self.shared);
            drop(self.shared.tasks.spawn(async move {
                let launched = shared.launch(Mode::Step).await;
                shared.arrived(launched);
            }));
        }
    }

    /// A process for a step with a tree. Dropping the future loses nothing but a process.
    pub(super) async fn take(&self) -> io::Result<Process> {
        let ready = self.shared.waiting().ready.pop_front();
        self.fill();
        match ready {
            Some(process) => Ok(process),
            None => self.shared.launch(Mode::Step).await,
        }
    }

    /// A process that does not wait in the pool.
    pub(super) async fn launch(&self, mode: Mode) -> io::Result<Process> {
        self.shared.launch(mode).await
    }

    /// Where processes come from.
    pub(super) fn launcher(&self) -> &Launcher {
        &self.shared.launcher
    }
}

impl Shared {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are missing; whoever asks launches them.
    fn claim(&self) -> usize {
        let mut waiting = self.waiting();
        let missing = self
            .size
            .saturating_sub(waiting.ready.len() + waiting.coming);
        waiting.coming += missing;
        missing
    }

    fn arrived(&self, launched: io::Result<Process>) {
        let mut waiting = self.waiting();
        waiting.coming -= 1;
        match launched {
            Ok(process) => waiting.ready.push_back(process),
            // The next step tries again, and says what it hears.
            Err(error) => tracing::debug!(%error, "no process could be made to wait"),
        }
    }

    /// Its standard input comes with its step.
    async fn launch(&self, mode: Mode) -> io::Result<Process> {
        let nothing = OwnedFd::from(std::fs::File::open("/dev/null")?);
        self.launcher.launch(mode, nothing).await
    }
}
