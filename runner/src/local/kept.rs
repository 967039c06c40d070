//! What the steps of a local run leave for each other, and what they keep for later runs.
//!
//! From the plan's artifacts and caches to `keep`, below the run's own directory. The one place that decides which
//! artifacts a step gets: those of the steps that its job waits for, and of the earlier steps of its own job. Who
//! lays what where is `keep`'s; what is said of it in a step's log is decided here and in `kept/told.rs`.

mod last;
mod step;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cofferdam_pipeline::{ArtifactUpload, JobPlan, ModuleRef, Plan, StepKind, StepPlan};
use tokio_util::sync::CancellationToken;

use self::last::{LastEnd, LastEnds};
use super::Place;
use crate::clock::Clock;
use crate::keep::artifact::{self, ArtifactId, Collected};
use crate::keep::{Bounds, KeepError, cache};
use crate::view::Commands;

pub(super) use step::StepKeeping;

/// Bytes of all caches of one work tree. Five of the size that Bitbucket's page allows for one, uncompressed.
const CACHES_BYTES_MAX: u64 = 20 << 30;

/// Where a local run's artifacts and caches are. Belongs to one work tree; of its runs there is one at a time.
#[derive(Debug)]
pub struct Kept {
    artifacts: Dir,
    caches: Dir,
    /// Directories of caches that are mounted; each belongs to one step.
    mounted: PathBuf,
    /// How the steps ended, of this run or, for one step alone, of earlier ones.
    last: LastEnds,
    /// What a person types for a step that has not run; `None` in a run of all of them.
    commands: Option<Commands>,
    clock: Arc<dyn Clock>,
    givers: BTreeMap<u16, Vec<Giver>>,
}

/// An earlier step that leaves something.
#[derive(Debug, Clone)]
struct Giver {
    ordinal: u16,
    step: String,
    uploads: Vec<ArtifactUpload>,
}

impl Kept {
    /// Opens what is in a place. `whole` is the plan before a step was picked out of it; if one was, the artifacts of
    /// the last runs are still there for it, and `alone` are the commands by which more of them come to be. Blocks.
    pub fn open(
        place: &Place,
        whole: &Plan,
        alone: Option<Commands>,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let [artifacts, last, mounted] =
            ["artifacts", "last-ends", "mounted-caches"].map(|name| place.path().join(name));
        if alone.is_none() {
            remove(&artifacts)?;
            remove(&last)?;
        }
        if let Err(error) = remove(&mounted) {
            // A script may have left what this user cannot remove. No later run uses its name.
            tracing::warn!(path = %mounted.display(), %error, "a mounted cache stays");
        }
        let mounted = mounted.join(place.run());
        std::fs::create_dir_all(&mounted)?;
        let kept = Self {
            artifacts: store(&artifacts)?,
            caches: store(&place.path().join("caches"))?,
            mounted,
            last: LastEnds::open(&last)?,
            commands: alone,
            clock,
            givers: givers(whole),
        };
        match cache::evict(&kept.caches, kept.clock.now(), CACHES_BYTES_MAX) {
            Ok(evicted) if evicted.caches > 0 => tracing::info!(
                caches = evicted.caches,
                bytes = evicted.bytes,
                "removed old caches"
            ),
            Ok(_none) => {}
            // A cache that cannot be removed is in the way of none.
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "old caches stay");
            }
        }
        Ok(kept)
    }

    /// Lays all artifacts out below `.cofferdam/artifacts` of the user's project. Blocks.
    pub(super) fn collect(
        &self,
        project: &Path,
        cancel: CancellationToken,
    ) -> Result<Vec<Collected>, KeepError> {
        let project = Dir::open_ambient_dir(project, ambient_authority()).map_err(|source| {
            KeepError::Io {
                action: "open",
                path: project.display().to_string(),
                source,
            }
        })?;
        let bounds = Bounds {
            cancel,
            ..Bounds::default()
        };
        artifact::collect(&self.artifacts, &project, &bounds)
    }

    /// The step whose artifacts hold this step's module, if that step has not run here and nothing of it is there.
    ///
    /// Only for a step that is run alone: in a run of all steps it runs before.
    pub fn lacks_module_of(&self, step: &StepPlan) -> Option<String> {
        let StepKind::Wasm(wasm) = &step.kind else {
            return None;
        };
        let ModuleRef::Artifact { from, path: _ } = &wasm.module else {
            return None;
        };
        let giver = self.giver_of(step.index, from)?;
        (self.commands.is_some() && self.last_end(giver) == LastEnd::Never).then(|| from.clone())
    }

    /// The step of that name before this one; of two the later one.
    fn giver_of(&self, step: u16, name: &str) -> Option<&Giver> {
        let mut givers = self.givers_of(step).iter().rev();
        givers.find(|giver| giver.step == name)
    }

    fn last_end(&self, giver: &Giver) -> LastEnd {
        self.last.of((giver.ordinal, &giver.step))
    }

    fn givers_of(&self, step: u16) -> &[Giver] {
        self.givers.get(&step).map_or(&[], Vec::as_slice)
    }
}

/// The artifact's name in the store. Two of a step that have one name are told apart by their place.
fn id_of(giver: (u16, &str), uploads: &[ArtifactUpload], place: usize) -> ArtifactId {
    let (ordinal, step) = giver;
    let name = uploads[place].name.clone().unwrap_or_default();
    let earlier = uploads[..place]
        .iter()
        .filter(|upload| upload.name.as_deref().unwrap_or_default() == name)
        .count();
    ArtifactId {
        ordinal: ordinal.into(),
        step: step.to_owned(),
        name: match earlier {
            0 => name,
            earlier => format!("{name} ({})", earlier + 1),
        },
    }
}

/// From each step to those whose artifacts it may get, in the order of the file.
fn givers(plan: &Plan) -> BTreeMap<u16, Vec<Giver>> {
    let mut waits_for: Vec<BTreeSet<usize>> = Vec::with_capacity(plan.jobs.len());
    let mut givers = BTreeMap::new();
    for job in &plan.jobs {
        let mut before = BTreeSet::new();
        for &need in &job.needs {
            before.insert(need);
            // A job comes after every job that it needs.
            before.extend(waits_for.get(need).into_iter().flatten());
        }
        let mut given: Vec<Giver> = before
            .iter()
            .flat_map(|&job: &usize| leaving(&plan.jobs[job]))
            .collect();
        given.sort_unstable_by_key(|giver| giver.ordinal);
        for step in &job.steps {
            givers.insert(step.index, given.clone());
            given.extend(giver(step));
        }
        waits_for.push(before);
    }
    givers
}

fn leaving(job: &JobPlan) -> impl Iterator<Item = Giver> {
    job.steps.iter().filter_map(giver)
}

fn giver(step: &StepPlan) -> Option<Giver> {
    (!step.artifacts.upload.is_empty()).then(|| Giver {
        ordinal: step.index,
        step: step.name.clone(),
        uploads: step.artifacts.upload.clone(),
    })
}

fn store(path: &Path) -> io::Result<Dir> {
    std::fs::create_dir_all(path)?;
    Dir::open_ambient_dir(path, ambient_authority())
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
