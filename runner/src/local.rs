//! A build of somebody's work tree, here, without a hub: the plan's jobs run side by side with the same executors and
//! in the same clean workspaces as for a hub.
//!
//! From a [`Plan`] and a snapshot of the work tree to events, which a view shows, and the build's end. Whoever drives
//! it hands in the token that cancels. The user's own directory is never written to; what the
//! build leaves goes below `.cofferdam/`, which no snapshot takes in.

mod attempt;
mod drive;
mod facts;
mod from_plan;
mod kept;
mod outcome;
mod place;
mod sink;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cofferdam_git::Commit;
use cofferdam_pipeline::Plan;
use cofferdam_pipeline::progress::BuildEnd;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ceiling::Ceiling;
use crate::mask::Masks;
use crate::secrets::Secrets;
use crate::step::Steps;
use crate::view::{Event, Told};

pub use facts::Facts;
pub use kept::Kept;
pub use outcome::rows;
pub use place::Place;

/// Events that nobody has looked at yet. A slow terminal slows the steps down; nothing is lost.
const EVENTS_WAITING_MAX: usize = 256;

/// All that a local build needs.
#[derive(Debug)]
pub struct LocalBuild {
    /// What the file asks for.
    pub plan: Plan,
    /// The snapshot.
    pub commit: Commit,
    /// The commit that the snapshot was made from; `None` before the first one.
    pub base: Option<Commit>,
    /// Runs its steps.
    pub steps: Arc<Steps>,
    /// What steps find in their environment.
    pub facts: Arc<Facts>,
    /// What any step may ask of this host at most.
    pub ceiling: Arc<Ceiling>,
    /// For scripts all of them, for a module those that it is granted.
    pub secrets: Arc<Secrets>,
    /// What of them no log shows.
    pub masks: Arc<Masks>,
    /// Artifacts and caches.
    pub kept: Arc<Kept>,
    /// The user's work tree: artifacts are laid out below its `.cofferdam` at the end.
    pub project: PathBuf,
    /// A name that no other run in this work tree ever had.
    pub run: String,
    /// Jobs at once.
    pub slots: usize,
    /// Where each step's whole log goes; made by the caller.
    pub log_dir: PathBuf,
    /// How people write `log_dir`.
    pub log_dir_shown: String,
    /// What is told as it happens.
    pub told: Teller,
    /// Who answers for manual steps.
    pub asked: Arc<dyn Asked>,
    /// Cancels the build: what runs is stopped with its grace, and its after-scripts run.
    pub cancel: CancellationToken,
    /// Whoever ends the program waits for what is in it.
    pub tasks: TaskTracker,
}

/// Tells what happens, and when.
#[derive(Clone, Debug)]
pub struct Teller {
    events: mpsc::Sender<Told>,
    began: Instant,
}

impl Teller {
    /// For a run that begins now.
    pub fn new() -> (Self, mpsc::Receiver<Told>) {
        let (events, receiver) = mpsc::channel(EVENTS_WAITING_MAX);
        let began = Instant::now();
        (Self { events, began }, receiver)
    }

    /// When the run began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Returns when there is room. Whoever looked on may have gone; the build goes on.
    pub async fn tell(&self, event: Event) {
        let at = self.began.elapsed();
        let _unheard = self.events.send(Told { at, event }).await;
    }
}

/// Answers for steps that wait for a person.
#[async_trait]
pub trait Asked: Send + Sync + std::fmt::Debug {
    /// Whether there is anybody. Where there is nobody, no question is asked, and the step does not start.
    fn is_there(&self) -> bool;

    /// Whether the step is to start. Cancel-safe: a dropped question is withdrawn.
    async fn may_start(&self, step: &str) -> bool;
}

impl LocalBuild {
    /// Runs the build to its end. On cancel it returns when everything that ran is gone. Dropping the future kills
    /// what runs, without grace and without waiting for it: [`Self::tasks`] does.
    pub async fn run(self) -> BuildEnd {
        let (drive, first) = drive::Drive::new(self);
        drive.run(first).await
    }
}
