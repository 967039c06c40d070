//! Watches how much a step writes into directories of this host, and says when it is too much.
//!
//! From handles on the directories that a step may write to, to a [`LimitHit`]. The kernel of an ordinary host limits
//! the size of one file, not of many: that takes a file system of its own, which only root can make without holding
//! everything in memory. So this looks, again and again, at what the files take. A step may for a moment have more
//! than it is allowed; then it is ended.
//!
//! What is looked at was written by an attacker: no link is followed, no file is opened, and the search ends where
//! the limit is passed.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstatvfs, openat, statat};
use rustix::io::Errno;

use tokio::time::Instant;

use crate::receipt::LimitHit;

/// Shortest pause between two looks. What a step can write in that time is what it may exceed its limit by.
const PAUSE_MIN: Duration = Duration::from_millis(200);

/// A look may take this part of the time: one in five.
const PAUSE_PER_LOOK: u32 = 4;

/// Deepest directory that is looked into. Each level is an open file of ours. Real trees are not half as deep, and
/// what lies deeper would not be counted, so it counts as too much.
const DEPTH_MAX: usize = 128;

/// What the kernel counts `st_blocks` in.
const BLOCK_BYTES: u64 = 512;

/// What a step may add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskLimit {
    /// Bytes on disk: a hole takes none.
    pub bytes: u64,
    /// Files, directories, links and whatever else has an inode.
    pub inodes: u64,
}

/// What files take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Used {
    bytes: u64,
    inodes: u64,
}

/// A watch over the directories that one step may write to.
#[derive(Clone, Debug)]
pub struct DiskWatch(Arc<Watched>);

#[derive(Debug)]
struct Watched {
    roots: Vec<OwnedFd>,
    limit: DiskLimit,
    /// What was there before the step.
    before: Used,
    /// What the file systems had free then: a neighbour may take of it as well.
    free_before: Vec<Option<Used>>,
}

impl DiskWatch {
    /// Looks at what is there before a step begins. A tree of a hundred thousand files takes a tenth of a second.
    pub async fn begin(roots: Vec<OwnedFd>, limit: DiskLimit) -> io::Result<Self> {
        let watched = blocking(move || Watched::begin(roots, limit)).await?;
        Ok(Self(Arc::new(watched?)))
    }

    /// Waits until the step has written too much: for ever, for one that does not, and where nothing is watched.
    /// Cancelling it is harmless.
    pub async fn exceeded(watch: Option<&Self>) -> LimitHit {
        let Some(Self(watched)) = watch else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(PAUSE_MIN).await;
            let start = Instant::now();
            if let Some(hit) = Self::ask(watched, Watched::look).await {
                return hit;
            }
            tokio::time::sleep(start.elapsed() * PAUSE_PER_LOOK).await;
        }
    }

    /// What to say of a step that has ended by itself.
    pub async fn at_the_end(&self) -> Option<LimitHit> {
        Self::ask(&self.0, Watched::at_the_end).await
    }

    async fn ask(
        watched: &Arc<Watched>,
        question: impl FnOnce(&Watched) -> Option<LimitHit> + Send + 'static,
    ) -> Option<LimitHit> {
        let watched = Arc::clone(watched);
        // A panic in there is told where it happens.
        blocking(move || question(&watched)).await.ok().flatten()
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)
}

impl Watched {
    fn begin(roots: Vec<OwnedFd>, limit: DiskLimit) -> io::Result<Self> {
        // What is there before the step was not written by it.
        let no_limit = Used {
            bytes: u64::MAX,
            inodes: u64::MAX,
        };
        let mut before = Used::default();
        for root in &roots {
            look(root.as_fd(), &mut before, no_limit).map_err(Deep::into)?;
        }
        let free_before = roots.iter().map(free).collect();
        Ok(Self {
            roots,
            limit,
            before,
            free_before,
        })
    }

    /// Looks only where so much is gone from a file system that the step can have passed its limit since the last look.
    fn at_the_end(&self) -> Option<LimitHit> {
        let is_possible = self
            .roots
            .iter()
            .zip(&self.free_before)
            .any(|(root, before)| {
                let (Some(before), Some(now)) = (before, free(root)) else {
                    return true;
                };
                before.bytes.saturating_sub(now.bytes) > self.limit.bytes
                    || before.inodes.saturating_sub(now.inodes) > self.limit.inodes
            });
        if is_possible { self.look() } else { None }
    }

    fn look(&self) -> Option<LimitHit> {
        let allowed = Used {
            bytes: self.before.bytes.saturating_add(self.limit.bytes),
            inodes: self.before.inodes.saturating_add(self.limit.inodes),
        };
        let mut used = Used::default();
        for root in &self.roots {
            let looked = look(root.as_fd(), &mut used, allowed);
            if let Err(Deep::TooDeep) = looked {
                return Some(hit("directory depth", DEPTH_MAX as u64, "directories"));
            }
            if used.bytes > allowed.bytes {
                return Some(hit("disk", self.limit.bytes, "bytes"));
            }
            if used.inodes > allowed.inodes {
                return Some(hit("files", self.limit.inodes, "files"));
            }
        }
        None
    }
}

fn hit(name: &'static str, allowed: u64, unit: &'static str) -> LimitHit {
    LimitHit {
        name,
        allowed,
        unit,
    }
}

fn free(root: &OwnedFd) -> Option<Used> {
    let stat = fstatvfs(root).ok()?;
    Some(Used {
        bytes: stat.f_bfree.checked_mul(stat.f_frsize)?,
        inodes: stat.f_ffree,
    })
}

/// Why a tree could not be looked at.
#[derive(Debug)]
enum Deep {
    TooDeep,
    Io(io::Error),
}

impl From<Errno> for Deep {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

impl Deep {
    fn into(self) -> io::Error {
        match self {
            Self::TooDeep => io::Error::other(format!("more than {DEPTH_MAX} directories deep")),
            Self::Io(error) => error,
        }
    }
}

/// Adds up what a tree takes, until it is more than `allowed`. What vanishes meanwhile, or may not be read, takes
/// nothing.
fn look(root: BorrowedFd<'_>, used: &mut Used, allowed: Used) -> Result<(), Deep> {
    let mut levels = vec![open_dir(root, c".")?];
    while let Some(level) = levels.last_mut() {
        let Some(entry) = level.read() else {
            levels.pop();
            continue;
        };
        let entry = entry?;
        let name: CString = entry.file_name().to_owned();
        if name.as_c_str() == c"." || name.as_c_str() == c".." {
            continue;
        }
        let here = level.fd()?;
        let Ok(stat) = statat(here, &name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        // A file with several names is counted once for each, by its share.
        let names = stat.st_nlink.max(1);
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let blocks = u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK_BYTES;
        used.bytes += if is_directory { blocks } else { blocks / names };
        used.inodes += 1;
        if used.bytes > allowed.bytes || used.inodes > allowed.inodes {
            return Ok(());
        }
        if is_directory && let Ok(inner) = open_dir(here, &name) {
            if levels.len() >= DEPTH_MAX {
                return Err(Deep::TooDeep);
            }
            levels.push(inner);
        }
    }
    Ok(())
}

fn open_dir(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<Dir> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    Dir::new(openat(dir, name, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const LIMIT: DiskLimit = DiskLimit {
        bytes: 1024 * 1024,
        inodes: 100,
    };

    fn watch(dir: &Path) -> Watched {
        // Opened as grants are: as a mere place.
        let root = rustix::fs::open(dir, OFlags::PATH, Mode::empty()).unwrap();
        Watched::begin(vec![root], LIMIT).unwrap()
    }

    fn write(path: &Path, bytes: usize) {
        std::fs::write(path, vec![7; bytes]).unwrap();
    }

    #[test]
    fn what_was_there_before_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("before"), 3 * 1024 * 1024);
        let watch = watch(dir.path());
        assert_eq!(watch.look(), None);
        write(&dir.path().join("after"), 512 * 1024);
        assert_eq!(watch.look(), None);
        write(&dir.path().join("more"), 1024 * 1024);
        assert_eq!(watch.look(), Some(hit("disk", LIMIT.bytes, "bytes")));
    }

    #[test]
    fn many_small_files_in_directories_are_too_much_as_one_large_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let watch = watch(dir.path());
        for number in 0..60 {
            std::fs::create_dir_all(dir.path().join(format!("{number}/in"))).unwrap();
        }
        assert_eq!(watch.look(), Some(hit("files", LIMIT.inodes, "files")));
    }

    #[test]
    fn a_hole_takes_no_room_and_a_second_name_takes_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let watch = watch(dir.path());
        let sparse = std::fs::File::create(dir.path().join("sparse")).unwrap();
        sparse.set_len(1 << 40).unwrap();
        write(&dir.path().join("one"), 700 * 1024);
        std::fs::hard_link(dir.path().join("one"), dir.path().join("two")).unwrap();
        assert_eq!(watch.look(), None);
    }

    #[test]
    fn what_lies_too_deep_to_be_counted_is_too_much() {
        let dir = tempfile::tempdir().unwrap();
        let watch = watch(dir.path());
        // Below the limit on files, so as a part of a name each.
        let deep: std::path::PathBuf = std::iter::repeat_n("d", DEPTH_MAX + 1).collect();
        let generous = DiskLimit {
            inodes: 10_000,
            ..LIMIT
        };
        let watch = Watched {
            limit: generous,
            ..watch
        };
        std::fs::create_dir_all(dir.path().join(deep)).unwrap();
        let expected = hit("directory depth", DEPTH_MAX as u64, "directories");
        assert_eq!(watch.look(), Some(expected));
    }

    #[test]
    fn a_link_is_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        write(&outside.path().join("large"), 3 * 1024 * 1024);
        let dir = tempfile::tempdir().unwrap();
        let watch = watch(dir.path());
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
        assert_eq!(watch.look(), None);
    }

    #[tokio::test]
    async fn a_step_that_writes_too_much_is_noticed_while_it_writes() {
        let dir = tempfile::tempdir().unwrap();
        let watch = DiskWatch(Arc::new(watch(dir.path())));
        let writing = async {
            tokio::task::yield_now().await;
            write(&dir.path().join("large"), 3 * 1024 * 1024);
        };
        let exceeded = DiskWatch::exceeded(Some(&watch));
        let both = async { tokio::join!(exceeded, writing).0 };
        let hit = tokio::time::timeout(Duration::from_secs(20), both).await;
        assert_eq!(hit.unwrap().name, "disk");
    }
}
