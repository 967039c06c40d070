//! Artifacts and caches of one step of a local run.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cofferdam_pipeline::{
    ArtifactKind, ArtifactUpload, CachePlan, CaptureOn, Download, StepKind, StepPlan,
};
use cofferdam_protocol::report::{Blame, StepResult};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::last::LastEnd;
use super::{Giver, Kept, id_of, told};
use crate::checkout::MODULE_BYTES_MAX;
use crate::executor::Mount;
use crate::keep::artifact::{self, Laid, Selection};
use crate::keep::cache::{self, CacheKey, Loaded, Place, Saved};
use crate::keep::path::KeptPath;
use crate::keep::{Bounds, KeepError};
use crate::log::{LogSink, say};
use crate::step::Keeping;
use crate::text::chain;
use crate::workspace::Workspace;

/// The home of a script, where `~/` of a cache's path leads: scripts run as root.
const SCRIPT_HOME: &str = "/root";

/// What one step takes and leaves.
#[derive(Debug)]
pub(in crate::local) struct StepKeeping<'a> {
    kept: &'a Kept,
    step: &'a StepPlan,
    bounds: Bounds,
    /// Made by `lay`, used by `take`.
    caches: Mutex<Caches>,
}

/// The caches of a step that is running.
#[derive(Debug, Default)]
struct Caches {
    ready: Vec<ReadyCache>,
    mounted: Option<Scratch>,
}

#[derive(Debug)]
struct ReadyCache {
    key: CacheKey,
    /// Where it lies if that is not in the workspace.
    outside: Option<Dir>,
}

/// The directory of a step's mounted caches; removed with all that is in it.
#[derive(Debug)]
struct Scratch {
    path: PathBuf,
    dir: Dir,
}

impl Scratch {
    fn create(path: PathBuf) -> io::Result<Self> {
        std::fs::create_dir(&path)?;
        let dir = Dir::open_ambient_dir(&path, ambient_authority())?;
        Ok(Self { path, dir })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a mounted cache stays");
        }
    }
}

impl<'a> StepKeeping<'a> {
    pub(in crate::local) fn new(
        kept: &'a Kept,
        step: &'a StepPlan,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            kept,
            step,
            bounds: Bounds {
                cancel,
                ..Bounds::default()
            },
            caches: Mutex::default(),
        }
    }

    /// Loads one cache. What is wrong with it is said, and the step goes on without.
    async fn load(
        &self,
        plan: &CachePlan,
        workspace: &Workspace,
        caches: &mut Caches,
    ) -> Result<(Option<Mount>, String), String> {
        let place = Place::parse(&plan.path).map_err(|fault| format!("its path {fault}"))?;
        let version = self.version(plan, workspace).await?;
        let key = CacheKey {
            name: plan.name.clone(),
            place,
            version,
        };
        let (outside, mount) = match key.place.mount_point(SCRIPT_HOME) {
            None => (None, None),
            Some(_) if matches!(self.step.kind, StepKind::Wasm(_)) => {
                return Err("a module sees nothing outside its workspace".to_owned());
            }
            Some(guest) => {
                let (dir, host) = self.prepare(&key, caches).map_err(|error| chain(&error))?;
                (Some(dir), Some(Mount { host, guest }))
            }
        };
        let root = clone_of(outside.as_ref().unwrap_or(workspace.dir()))?;
        let store = clone_of(&self.kept.caches)?;
        let (now, bounds, wanted) = (self.kept.clock.now(), self.bounds.clone(), key.clone());
        let loaded = blocking(move || cache::load(&store, &wanted, &root, now, &bounds)).await;
        caches.ready.push(ReadyCache { key, outside });
        let said = match loaded {
            Ok(Loaded::Miss) => "is not there yet".to_owned(),
            Ok(Loaded::Hit { laid, created }) => {
                format!("of {}: {}", told::minute(created), told::laid(laid))
            }
            Err(error) => format!("is made anew: {}", chain(&error)),
        };
        Ok((mount, said))
    }

    /// Which version of a cache the workspace asks for, if it has versions. Asked before anything of the step runs.
    async fn version(
        &self,
        plan: &CachePlan,
        workspace: &Workspace,
    ) -> Result<Option<crate::keep::Digest>, String> {
        if plan.key_files.is_empty() {
            return Ok(None);
        }
        let patterns = cache::key_patterns(&plan.key_files)
            .map_err(|(pattern, fault)| told::bad_pattern(&pattern, fault))?;
        let (dir, bounds) = (clone_of(workspace.dir())?, self.bounds.clone());
        blocking(move || cache::key_files(&dir, &patterns, &bounds))
            .await
            .map(|files| Some(files.version))
            .map_err(|error| chain(&error))
    }

    fn prepare(&self, key: &CacheKey, caches: &mut Caches) -> io::Result<(Dir, PathBuf)> {
        let scratch = match &mut caches.mounted {
            Some(scratch) => scratch,
            none => none.insert(Scratch::create(
                self.kept.mounted.join(self.step.index.to_string()),
            )?),
        };
        let made = cache::prepare(&scratch.dir, key).map_err(io::Error::other)?;
        Ok((made.dir, scratch.path.join(made.name)))
    }

    async fn save(&self, ready: &ReadyCache, workspace: &Workspace) -> Option<String> {
        let name = told::name(&ready.key.name);
        let dirs = clone_of(ready.outside.as_ref().unwrap_or(workspace.dir()))
            .and_then(|root| Ok((root, clone_of(&self.kept.caches)?)));
        let (root, store) = match dirs {
            Ok(dirs) => dirs,
            Err(why) => return Some(format!("the cache {name} is not kept: {why}")),
        };
        let (now, bounds, key) = (
            self.kept.clock.now(),
            self.bounds.clone(),
            ready.key.clone(),
        );
        match blocking(move || cache::save(&store, &key, &root, now, &bounds)).await {
            Ok(Saved::Created(captured)) => Some(format!(
                "the cache {name} is kept: {}",
                told::captured(&captured)
            )),
            Ok(Saved::Exists) => None,
            Ok(Saved::Empty) => Some(format!(
                "the cache {name} is not kept: there is nothing in it"
            )),
            Err(error) => Some(format!("the cache {name} is not kept: {}", chain(&error))),
        }
    }

    /// How to run an earlier step that has not run here and whose artifacts are wanted.
    fn way_to(&self, giver: &Giver) -> Option<String> {
        let commands = self.kept.commands.as_ref()?;
        let download = &self.step.artifacts.download;
        let is_missed = self.kept.last_end(giver) == LastEnd::Never
            && giver
                .uploads
                .iter()
                .any(|upload| is_wanted(upload, download));
        let command = commands.of_step(&giver.step).filter(|_| is_missed)?;
        Some(format!("to run it: {command}"))
    }

    /// Lays out what one earlier step left.
    async fn restore(&self, giver: &Giver, workspace: &Workspace) -> Result<Option<Laid>, String> {
        let mut all: Option<Laid> = None;
        for (place, upload) in giver.uploads.iter().enumerate() {
            if !is_wanted(upload, &self.step.artifacts.download) {
                continue;
            }
            let id = id_of((giver.ordinal, &giver.step), &giver.uploads, place);
            let (store, dir) = (clone_of(&self.kept.artifacts)?, clone_of(workspace.dir())?);
            let bounds = self.bounds.clone();
            let laid = blocking(move || artifact::restore(&store, &id, &dir, &bounds))
                .await
                .map_err(|error| chain(&error))?;
            if let Some(laid) = laid {
                let all = all.get_or_insert_default();
                all.files += laid.files;
                all.entries += laid.entries;
                all.bytes += laid.bytes;
            }
        }
        Ok(all)
    }

    async fn capture(
        &self,
        place: usize,
        workspace: &Workspace,
        log: &dyn LogSink,
    ) -> Result<(), StepResult> {
        let uploads = &self.step.artifacts.upload;
        let ArtifactUpload {
            paths,
            ignore_paths,
            depth,
            ..
        } = &uploads[place];
        let user = |why| error(Blame::User, why);
        let selection = Selection::parse(paths, ignore_paths, *depth)
            .map_err(|(pattern, fault)| user(told::bad_pattern(&pattern, fault)))?;
        let id = id_of((self.step.index, &self.step.name), uploads, place);
        let host = |why| error(Blame::Infrastructure, why);
        let dir = clone_of(workspace.dir()).map_err(host)?;
        let store = clone_of(&self.kept.artifacts).map_err(host)?;
        let bounds = self.bounds.clone();
        let capture =
            blocking(move || artifact::capture(&dir, &selection, &store, &id, &bounds)).await;
        match capture {
            Ok(capture) => {
                for line in told::capture(uploads[place].name.as_deref(), &capture) {
                    say(log, &line).await;
                }
                Ok(())
            }
            Err(KeepError::Cancelled) => Err(StepResult::Cancelled),
            Err(error @ KeepError::Io { .. }) => Err(host(not_kept(&error))),
            Err(error) => Err(user(not_kept(&error))),
        }
    }
}

#[async_trait]
impl Keeping for StepKeeping<'_> {
    async fn lay(
        &self,
        workspace: &Workspace,
        log: &dyn LogSink,
    ) -> Result<Vec<Mount>, StepResult> {
        let mut caches = Caches::default();
        let mut mounts = Vec::new();
        for plan in &self.step.caches {
            let name = told::name(&plan.name);
            match self.load(plan, workspace, &mut caches).await {
                Ok((mount, said)) => {
                    mounts.extend(mount);
                    say(log, &format!("the cache {name} {said}")).await;
                }
                Err(why) => say(log, &format!("the cache {name} is left out: {why}")).await,
            }
        }
        *self.caches.lock().unwrap_or_else(PoisonError::into_inner) = caches;
        for giver in self.kept.givers_of(self.step.index) {
            let laid = self.restore(giver, workspace).await.map_err(|why| {
                let from = told::name(&giver.step);
                error(
                    Blame::Infrastructure,
                    format!("the artifacts of {from} could not be laid out: {why}"),
                )
            })?;
            let from = told::name(&giver.step);
            match laid {
                Some(laid) => {
                    say(log, &format!("artifacts of {from}: {}", told::laid(laid))).await;
                }
                None => {
                    if let Some(command) = self.way_to(giver) {
                        let line =
                            format!("artifacts of {from}: none, it has not run here; {command}");
                        say(log, &line).await;
                    }
                }
            }
        }
        Ok(mounts)
    }

    async fn take(
        &self,
        workspace: &Workspace,
        result: &StepResult,
        log: &dyn LogSink,
    ) -> Result<(), StepResult> {
        let caches =
            std::mem::take(&mut *self.caches.lock().unwrap_or_else(PoisonError::into_inner));
        let mut taken = Ok(());
        for (place, upload) in self.step.artifacts.upload.iter().enumerate() {
            if is_due(upload.capture_on, result) {
                let captured = self.capture(place, workspace, log).await;
                if let Err(StepResult::Error { why, .. }) = &captured
                    && *result != StepResult::Passed
                {
                    // The step's own failure is what counts; this one is only told.
                    say(log, why).await;
                }
                taken = taken.and(captured);
            }
        }
        if *result == StepResult::Passed && taken.is_ok() {
            for ready in &caches.ready {
                if let Some(line) = self.save(ready, workspace).await {
                    say(log, &line).await;
                }
            }
        }
        let has_passed = *result == StepResult::Passed && taken.is_ok();
        let step = (self.step.index, self.step.name.as_str());
        if let Err(error) = self.kept.last.note(step, has_passed) {
            tracing::warn!(step = self.step.index, %error, "it is not noted that a step ran");
        }
        // It may hold as much as a step can write.
        let _removed = spawn_blocking(move || drop(caches)).await;
        taken
    }

    async fn module(&self, path: &str, from: &str) -> Result<Vec<u8>, StepResult> {
        let user = |why| error(Blame::User, why);
        let wanted = KeptPath::parse(path.as_bytes())
            .map_err(|fault| user(format!("the module's path {fault}")))?;
        let from_shown = told::name(from);
        let giver = self.kept.giver_of(self.step.index, from).ok_or_else(|| {
            user(format!(
                "no step {from_shown} with artifacts comes before this one"
            ))
        })?;
        for place in 0..giver.uploads.len() {
            let id = id_of((giver.ordinal, &giver.step), &giver.uploads, place);
            let store =
                clone_of(&self.kept.artifacts).map_err(|why| error(Blame::Infrastructure, why))?;
            let (bounds, wanted) = (self.bounds.clone(), wanted.clone());
            let read =
                blocking(move || artifact::read(&store, &id, &wanted, MODULE_BYTES_MAX, &bounds));
            match read.await {
                Ok(None) => {}
                Ok(Some(module)) => return Ok(module),
                Err(KeepError::Cancelled) => return Err(StepResult::Cancelled),
                Err(error) => return Err(user(chain(&error))),
            }
        }
        let path = told::name(path);
        Err(user(match self.kept.last_end(giver) {
            LastEnd::Never => format!("{from_shown} has not run, so it left no file {path}"),
            LastEnd::NotPassed => {
                format!("{from_shown} did not pass when it last ran, and left no file {path}")
            }
            LastEnd::Passed => format!("{from_shown} left no file {path} among its artifacts"),
        }))
    }
}

fn is_wanted(upload: &ArtifactUpload, download: &Download) -> bool {
    upload.kind == ArtifactKind::Shared
        && match download {
            Download::All => true,
            Download::Nothing => false,
            Download::Named(names) => upload
                .name
                .as_ref()
                .is_some_and(|name| names.contains(name)),
        }
}

fn is_due(on: CaptureOn, result: &StepResult) -> bool {
    match result {
        StepResult::Passed => on != CaptureOn::Failed,
        StepResult::Failed { .. } => on != CaptureOn::Success,
        StepResult::Error { .. } | StepResult::Cancelled | StepResult::NotRun => false,
    }
}

fn not_kept(error: &KeepError) -> String {
    format!("the artifacts could not be kept: {}", chain(error))
}

fn error(blame: Blame, why: String) -> StepResult {
    StepResult::Error { blame, why }
}

fn clone_of(dir: &Dir) -> Result<Dir, String> {
    dir.try_clone()
        .map_err(|error| format!("could not open a directory of this host: {error}"))
}

/// Does the work on a thread that may block. A panic in there goes on here.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_cancelled) => unreachable!("blocking work is never cancelled"),
        },
    }
}
