//! The git program and the mirrors that it keeps: the door of this crate.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::GitError;
use crate::limits::{LOCAL_TIME_MAX, Limits};
use crate::mirror::Mirror;
use crate::process::{Call, Program};
use crate::store::Store;
use crate::work_tree::WorkTree;

/// The oldest git that we run: Debian 12's, whose security fixes are kept up to date. All that we
/// rely on is in it.
const VERSION_MIN: Version = Version(2, 39, 4);

/// How long opening a mirror waits for a holder that is about to let go of it.
const BUSY_TIME_MAX: Duration = Duration::from_secs(2);
const BUSY_POLL: Duration = Duration::from_millis(20);

/// A git program whose version is known to be good enough. Clones share everything.
#[derive(Clone, Debug)]
pub struct Git {
    program: Arc<Program>,
    limits: Limits,
    open: Arc<Mutex<BTreeMap<PathBuf, Weak<Store>>>>,
}

impl Git {
    /// Looks for `git` in the absolute directories of a search path, such as the value of `PATH`.
    pub fn find(search_path: &OsStr) -> Option<PathBuf> {
        std::env::split_paths(search_path)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join("git"))
            .find(|program| is_executable(program))
    }

    /// Starts the program at an absolute path once, to ask for its version.
    pub async fn open(program: &Path, limits: Limits) -> Result<Self, GitError> {
        let unusable = |why: &str| GitError::Program {
            program: program.to_path_buf(),
            why: why.to_owned(),
        };
        if !program.is_absolute() {
            return Err(unusable("its path is not absolute"));
        }
        let program = Program::new(program.to_path_buf()).map_err(|source| GitError::Start {
            what: "start any git process",
            source,
        })?;
        let call = Call {
            what: "tell its version",
            args: vec!["version".into()],
            directory: Path::new("/"),
            git_dir: None,
            work_tree: None,
            protocol: None,
            time_max: LOCAL_TIME_MAX,
            file_bytes_max: 0,
        };
        let said = program.output(call, &CancellationToken::new(), 256).await?;
        let version = Version::parse(&said).ok_or_else(|| unusable("it tells no version"))?;
        if version < VERSION_MIN {
            let Version(major, minor, patch) = VERSION_MIN;
            return Err(unusable(&format!(
                "it is older than {major}.{minor}.{patch}"
            )));
        }
        Ok(Self {
            program: Arc::new(program),
            limits,
            open: Arc::default(),
        })
    }

    /// Opens the mirror in a directory, which is made if it is missing. Its parent must exist, and
    /// nobody else may write there.
    ///
    /// A mirror belongs to one repository and one trust level, by the caller's choice of directory.
    /// Within a process all who open it share it; another process is told
    /// [`GitError::MirrorBusy`]. Leftovers of a killed process are removed, and a mirror that has
    /// grown past half of [`Limits::mirror_bytes_max`] is begun anew.
    pub async fn mirror(&self, dir: &Path) -> Result<Mirror, GitError> {
        let deadline = tokio::time::Instant::now() + BUSY_TIME_MAX;
        loop {
            match self.open_or_share(dir).await {
                Err(GitError::MirrorBusy { .. }) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(BUSY_POLL).await;
                }
                answer => return answer.map(Mirror::new),
            }
        }
    }

    /// Looks for the work tree that a directory is in; `None` if it is in none. Blocks on the disk.
    pub fn work_tree(&self, from: &Path) -> Result<Option<WorkTree>, GitError> {
        WorkTree::find(Arc::clone(&self.program), self.limits.clone(), from)
    }

    async fn open_or_share(&self, dir: &Path) -> Result<Arc<Store>, GitError> {
        let Self {
            program,
            limits,
            open,
        } = self.clone();
        let dir = dir.to_path_buf();
        let at = dir.clone();
        let opening = move || {
            // A panic while the map is held leaves it as good as it was.
            let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(store) = open.get(&dir).and_then(Weak::upgrade) {
                return Ok(store);
            }
            let store = Arc::new(Store::open(dir.clone(), program, limits)?);
            open.retain(|_, store| store.strong_count() > 0);
            open.insert(dir, Arc::downgrade(&store));
            Ok(store)
        };
        tokio::task::spawn_blocking(opening)
            .await
            .map_err(|source| GitError::Disk {
                what: "open the mirror",
                path: at,
                source: source.into(),
            })?
    }
}

fn is_executable(program: &Path) -> bool {
    File::open(program)
        .and_then(|file| file.metadata())
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32, u32);

impl Version {
    /// Reads `git version 2.47.3`, and what vendors add to it.
    fn parse(said: &[u8]) -> Option<Self> {
        let said = str::from_utf8(said).ok()?;
        let number = said.strip_prefix("git version ")?;
        let mut parts = number
            .split(|character: char| !character.is_ascii_digit())
            .map(str::parse);
        Some(Self(
            parts.next()?.ok()?,
            parts.next()?.ok()?,
            parts.next().and_then(Result::ok).unwrap_or(0),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{VERSION_MIN, Version};

    #[test]
    fn versions_are_read_as_vendors_write_them() {
        let read = |said: &str| Version::parse(said.as_bytes());
        assert_eq!(read("git version 2.47.3\n"), Some(Version(2, 47, 3)));
        assert_eq!(
            read("git version 2.39.5 (Apple Git-154)\n"),
            Some(Version(2, 39, 5))
        );
        assert_eq!(read("git version 2.51.rc1\n"), Some(Version(2, 51, 0)));
        assert_eq!(read("hub version 1.2.3\n"), None);
        assert!(read("git version 2.9.99\n").is_some_and(|old| old < VERSION_MIN));
    }
}
