//! Caches: one directory that outlives builds, made by the first successful step that declares it and never changed while it
//! lives.
//!
//! A cache lives for seven days, and then the next build makes it anew. With `key.files` there is one version of it for each
//! content of those files, and the versions live side by side. What a step does to a loaded cache is its own. A store belongs
//! to one repository and one trust level: what a stranger's build wrote must not reach a trusted one, so the caller hands in
//! another store for it.
//!
//! <https://support.atlassian.com/bitbucket-cloud/docs/cache-dependencies/>
//! <https://www.atlassian.com/blog/bitbucket/announcing-smarter-caches-bitbucket-pipelines>

use std::io::Read as _;

use cap_std::fs::Dir;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::artifact::{Selection, write};
use super::glob::PatternFault;
use super::lay::{self, Laid};
use super::pack::{self, Captured, Digest, Label, Reader, Writer};
use super::path::{KeptPath, PathFault};
use super::store::{self, Part};
use super::walk::{Found, Scope, changed, walk};
use super::{Bounds, KeepError, Limit};

/// How long a cache lives after it was made. The vendor's page.
pub const CACHE_LIFE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How far in the future a cache may have been made and still count as new: a host's clock that was put right.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_hours(24);

/// Files of one key. A mono-repository has some hundred lock files; the vendor names no number.
pub const KEY_FILES_MAX: u64 = 1000;

/// Bytes of them together, all of which are read at the start of each step; the largest lock files have about 2 MB.
pub const KEY_BYTES_MAX: u64 = 256 << 20;

/// The clone directory inside a container, which scripts and cache paths may name absolutely.
const CLONE_DIR: &str = "/opt/atlassian/pipelines/agent/build";

/// Which directory a cache is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Below the clone directory: loaded into the workspace, saved from it.
    Workspace(KeptPath),
    /// Below the step's home, `~`: in a container that is a mount of what [`prepare`] makes.
    Home(KeptPath),
    /// Anywhere else in the container, mounted too. Without its first `/`.
    Absolute(KeptPath),
}

impl Place {
    /// Reads a `path` as the definition has it. The clone directory or the home as a
    /// whole is no cache, and neither is a `.git`.
    pub fn parse(path: &str) -> Result<Self, PathFault> {
        let path = path.trim_end_matches('/');
        let below = |prefix: &str| {
            path.strip_prefix(prefix)
                .filter(|rest| rest.is_empty() || rest.starts_with('/'))
                .map(|rest| rest.trim_start_matches('/'))
        };
        let in_workspace = ["$BITBUCKET_CLONE_DIR", "${BITBUCKET_CLONE_DIR}", CLONE_DIR]
            .into_iter()
            .find_map(below);
        let in_home = ["~", "$HOME", "${HOME}"].into_iter().find_map(below);
        if let Some(rest) = in_home {
            return KeptPath::parse(rest.as_bytes()).map(Self::Home);
        }
        let rest = match (in_workspace, path.strip_prefix('/')) {
            (None, Some(rest)) => {
                return KeptPath::parse(rest.as_bytes()).map(Self::Absolute);
            }
            (rest, _) => rest.unwrap_or(path),
        };
        let rest = rest.strip_prefix("./").unwrap_or(rest);
        let inside = KeptPath::parse(rest.as_bytes())?;
        if inside.names().any(|name| name == ".git") {
            return Err(PathFault::Git);
        }
        Ok(Self::Workspace(inside))
    }

    /// Where a mount of it belongs, given the home of the step's user; `None` if it is in the workspace and needs none.
    pub fn mount_point(&self, home: &str) -> Option<String> {
        match self {
            Self::Workspace(_) => None,
            Self::Home(path) => Some(format!(
                "{}/{}",
                home.trim_end_matches('/'),
                String::from_utf8_lossy(path.as_bytes())
            )),
            Self::Absolute(path) => Some(format!("/{}", String::from_utf8_lossy(path.as_bytes()))),
        }
    }

    /// What of the directory that is handed in is the cache.
    fn inside(&self) -> KeptPath {
        match self {
            Self::Workspace(path) => path.clone(),
            Self::Home(_) | Self::Absolute(_) => KeptPath::root(),
        }
    }
}

/// Which version of which cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheKey {
    /// The name in the definition, or a predefined one.
    pub name: String,
    /// The directory. A part of the key: what was kept of another directory is no use here.
    pub place: Place,
    /// The content of the files of `key.files`, if the definition has one.
    pub version: Option<Digest>,
}

impl CacheKey {
    fn entry_name(&self) -> String {
        let (kind, place): (&[u8], _) = match &self.place {
            Place::Workspace(path) => (b"workspace", path),
            Place::Home(path) => (b"home", path),
            Place::Absolute(path) => (b"absolute", path),
        };
        let version = self.version.map(|digest| digest.0);
        let version = version.as_ref().map_or(&[][..], |digest| digest);
        let parts = [self.name.as_bytes(), kind, place.as_bytes(), version];
        store::entry_name(&self.name, &parts)
    }
}

/// The files of `key.files` in a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFiles {
    /// Over the paths and contents, in the order of the paths; of no file at all if there is none.
    pub version: Digest,
    /// How many; none deserves a warning.
    pub files: u64,
}

/// The patterns of `key.files`, compiled. A pattern that has a fault is handed back with it.
pub fn key_patterns(files: &[String]) -> Result<Selection, (String, PatternFault)> {
    Selection::parse(files, &[], None)
}

/// Digests the files that make a cache's version. To be asked for before the step's script runs, and that answer used for
/// `save` too, so that a step cannot choose which version it writes.
pub fn key_files(
    workspace: &Dir,
    patterns: &Selection,
    bounds: &Bounds,
) -> Result<KeyFiles, KeepError> {
    let mut hasher = Sha256::new();
    let mut files = 0;
    let mut room = KEY_BYTES_MAX;
    walk(workspace, patterns, bounds, &mut |path, found| {
        let Found::File(file, metadata) = found else {
            return Ok(());
        };
        files += 1;
        if files > KEY_FILES_MAX {
            return Err(KeepError::limit(Limit::KeyFiles(KEY_FILES_MAX), path));
        }
        room = room
            .checked_sub(metadata.len())
            .ok_or_else(|| KeepError::limit(Limit::KeyBytes(KEY_BYTES_MAX), path))?;
        let mut source = file.take(metadata.len() + 1);
        let (bytes, digest) = pack::copy(&mut source, &mut std::io::sink(), path, bounds)?;
        if bytes != metadata.len() {
            return Err(changed(path));
        }
        hasher.update((path.as_bytes().len() as u64).to_le_bytes());
        hasher.update(path.as_bytes());
        hasher.update(digest.0);
        Ok(())
    })?;
    Ok(KeyFiles {
        version: Digest::of(hasher),
        files,
    })
}

/// What a load came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loaded {
    /// The cache is laid out.
    Hit {
        /// What is in it.
        laid: Laid,
        /// When it was made.
        created: Timestamp,
    },
    /// There is none that lives.
    Miss,
}

/// Lays a living cache out below `root`: the workspace for [`Place::Workspace`], else the directory that [`prepare`] gave.
/// A damaged one is dropped with the error, so that the next try is a miss; what was laid out by then stays.
pub fn load(
    store: &Dir,
    key: &CacheKey,
    root: &Dir,
    now: Timestamp,
    bounds: &Bounds,
) -> Result<Loaded, KeepError> {
    let name = key.entry_name();
    let read = || {
        let Some(mut pack) = Reader::open(store, &name)? else {
            return Ok(Loaded::Miss);
        };
        let Some(created) = pack.label.created.filter(|&created| lives(created, now)) else {
            return Ok(Loaded::Miss);
        };
        let laid = lay::lay(&mut pack, root, &key.place.inside(), bounds)?;
        Ok(Loaded::Hit { laid, created })
    };
    let loaded = read();
    if matches!(loaded, Err(KeepError::Damaged { .. })) {
        store::discard(store, &name)?;
    }
    loaded
}

/// What a save came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved {
    /// It is kept from now on.
    Created(Captured),
    /// One lives already, or another step was first; nothing was changed.
    Exists,
    /// The directory is not there or has nothing in it that is kept.
    Empty,
}

/// Keeps the cache's directory below `root`, if no such cache lives. To be called after a step that succeeded. Of several at
/// once the first to finish wins, whole.
pub fn save(
    store: &Dir,
    key: &CacheKey,
    root: &Dir,
    now: Timestamp,
    bounds: &Bounds,
) -> Result<Saved, KeepError> {
    let name = key.entry_name();
    if is_alive(store, &name, now)? {
        return Ok(Saved::Exists);
    }
    let part = Part::begin(store)?;
    let label = Label {
        created: Some(now),
        ordinal: 0,
        step: String::new(),
        name: key.name.clone(),
    };
    let mut writer = Writer::create(part.dir(), &label, bounds)?;
    let scope = Tree(key.place.inside());
    let skipped = walk(root, &scope, bounds, &mut |path, found| {
        write(&mut writer, path, found)
    })?;
    let captured = writer.finish(skipped)?;
    if captured.files + captured.links == 0 {
        return Ok(Saved::Empty);
    }
    // One that died meanwhile, or long ago, makes room; one that was made meanwhile does not.
    if store::holds(store, &name)? && !is_alive(store, &name, now)? {
        store::discard(store, &name)?;
    }
    Ok(match part.publish(&name)? {
        None => Saved::Created(captured),
        Some(_removed) => Saved::Exists,
    })
}

/// A directory and all that is in it.
struct Tree(KeptPath);

impl Scope for Tree {
    fn enters(&self, directory: &KeptPath) -> bool {
        directory.is_within(&self.0) || self.0.is_within(directory)
    }

    fn takes(&self, path: &KeptPath) -> bool {
        path.is_within(&self.0) && *path != self.0
    }

    fn takes_directory(&self, path: &KeptPath) -> bool {
        path.is_within(&self.0)
    }
}

fn lives(created: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(created);
    age < CACHE_LIFE && age > -CLOCK_SLACK
}

/// Whether a readable cache of that name lives; a damaged one does not.
fn is_alive(store: &Dir, name: &str, now: Timestamp) -> Result<bool, KeepError> {
    match Reader::open(store, name) {
        Ok(pack) => Ok(pack
            .and_then(|pack| pack.label.created)
            .is_some_and(|created| lives(created, now))),
        Err(KeepError::Damaged { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// An empty directory of this host for a cache outside the workspace.
#[derive(Debug)]
pub struct HostDir {
    /// To load into and save from.
    pub dir: Dir,
    /// Its name below the directory that was handed in, to mount it by.
    pub name: String,
}

/// Makes an empty directory for the cache below `scratch`, which belongs to one step. To be mounted at the cache's
/// [`Place::mount_point`] and removed with `scratch`.
pub fn prepare(scratch: &Dir, key: &CacheKey) -> Result<HostDir, KeepError> {
    let name = key.entry_name();
    scratch
        .create_dir(&name)
        .and_then(|()| scratch.open_dir(&name))
        .map(|dir| HostDir {
            dir,
            name: name.clone(),
        })
        .map_err(|source| KeepError::io("create", &name, source))
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Caches.
    pub caches: u64,
    /// Their bytes on the disk.
    pub bytes: u64,
}

/// Removes the caches that are dead or damaged, what killed runners left half-made, and then the oldest until the store has
/// at most `bytes_max`.
pub fn evict(store: &Dir, now: Timestamp, bytes_max: u64) -> Result<Evicted, KeepError> {
    store::sweep(store)?;
    let mut living = Vec::new();
    let mut evicted = Evicted::default();
    let mut drop_one = |name: &str, bytes: u64| {
        store::discard(store, name)?;
        evicted.caches += 1;
        evicted.bytes += bytes;
        Ok::<(), KeepError>(())
    };
    let mut total = 0;
    for name in store::entries(store)? {
        let (created, bytes) = match Reader::open(store, &name) {
            Ok(None) => continue,
            Ok(Some(pack)) => (pack.label.created, pack.stored_bytes()?),
            Err(KeepError::Damaged { .. }) => (None, 0),
            Err(error) => return Err(error),
        };
        match created.filter(|&created| lives(created, now)) {
            Some(created) => {
                total += bytes;
                living.push((created, name, bytes));
            }
            None => drop_one(&name, bytes)?,
        }
    }
    living.sort_unstable();
    for (_, name, bytes) in living {
        if total <= bytes_max {
            break;
        }
        drop_one(&name, bytes)?;
        total -= bytes;
    }
    Ok(evicted)
}
