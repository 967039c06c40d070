//! The directory of ours that belongs to one work tree: its snapshots, the workspaces of its steps, artifacts, caches.
//!
//! From the user's cache directory and the root of a work tree to a place that nobody removes while a run has it. Each
//! place notes whose it is and when it was last used. A run that finds no other run of this user tidies up first: places
//! whose work tree is gone, places that were not used for long, and the longest unused of more than all may hold.
//!
//! Every run holds the lock of all places together with the others; whoever tidies up holds it alone. So a run that
//! waits for days keeps others from tidying up, and nothing else. What ends a process ends its hold.
//!
//! Deliberately absent: who may use a place at the same time (the snapshot's own lock), and what lies in it.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use rustix::fs::{FlockOperation, flock};
use rustix::io::retry_on_intr;
use sha2::{Digest as _, Sha256};

/// How long a place may lie unused. Its caches die after seven days, and artifacts live for fourteen on Bitbucket.
const UNUSED_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Bytes of all places together: three work trees, each with as many caches as it may have.
const ALL_BYTES_MAX: u64 = 60 << 30;

/// Bytes of a note that are read: a time, and a path of the longest that Linux opens.
const NOTE_BYTES_MAX: u64 = 8 * 1024;

/// In a place: when it was last used, a line feed, and the path of the work tree.
const NOTE: &str = "work-tree";

/// Beside the places.
const LOCK: &str = "lock";

/// Hexadecimal digits of a place's name.
const NAME_CHARS: usize = 16;

/// The place of a work tree that a run has.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    run: String,
    _lock: File,
}

impl Place {
    /// Takes the place of the work tree at `root`, which is made below `all` if it is missing, and tidies up if no other
    /// run has a place. `run` is a name that no other run ever had. Waits while another one tidies up. Blocks.
    ///
    /// Nobody removes the place before it is dropped.
    pub fn take(all: &Path, root: &Path, now: Timestamp, run: String) -> io::Result<Self> {
        Self::take_bounded(all, root, (now, ALL_BYTES_MAX), run)
    }

    fn take_bounded(
        all: &Path,
        root: &Path,
        (now, bytes_max): (Timestamp, u64),
        run: String,
    ) -> io::Result<Self> {
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700);
        private.create(all)?;
        let lock = File::options()
            .create(true)
            .append(true)
            .open(all.join(LOCK))?;
        let path = all.join(name_of(root));
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            tidy(all, &path, (now, bytes_max));
        }
        retry_on_intr(|| flock(&lock, FlockOperation::LockShared))?;
        private.create(&path)?;
        let note = [
            now.to_string().as_bytes(),
            b"\n",
            root.as_os_str().as_bytes(),
        ]
        .concat();
        fs::write(path.join(NOTE), note)?;
        Ok(Self {
            path,
            run,
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the run that has it, for what must not meet the leftovers of an earlier one.
    pub fn run(&self) -> &str {
        &self.run
    }
}

/// What a place says of itself.
#[derive(Debug)]
struct Use {
    last: Timestamp,
    /// `None` where the note is missing or no note.
    root: Option<PathBuf>,
}

/// Removes every place but `own` that nobody needs. What cannot be removed is left for the next time.
fn tidy(all: &Path, own: &Path, (now, bytes_max): (Timestamp, u64)) {
    let mut living = Vec::new();
    let mut bytes = bytes_below(own);
    for place in places(all) {
        if place == own {
            continue;
        }
        let Ok(found) = last_use(&place) else {
            continue;
        };
        let is_old = now.duration_since(found.last) > UNUSED_MAX;
        if is_old || found.root.as_deref().is_some_and(is_gone) {
            remove(&place);
        } else {
            let own_bytes = bytes_below(&place);
            bytes += own_bytes;
            living.push((found.last, place, own_bytes));
        }
    }
    living.sort_unstable();
    for (_, place, own_bytes) in living {
        if bytes <= bytes_max {
            break;
        }
        remove(&place);
        bytes -= own_bytes;
    }
}

/// The directories that are named as places are; nothing else beside them is ours to remove.
fn places(all: &Path) -> Vec<PathBuf> {
    let is_place = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().as_bytes();
        let is_named = name.len() == NAME_CHARS && name.iter().all(u8::is_ascii_hexdigit);
        is_named && fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
    };
    let entries = fs::read_dir(all).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(is_place).collect()
}

/// Whose a place is, and since when it lies there. Without a readable note, its own time counts.
fn last_use(place: &Path) -> io::Result<Use> {
    let mut note = Vec::new();
    let read = File::open(place.join(NOTE))
        .and_then(|file| file.take(NOTE_BYTES_MAX).read_to_end(&mut note));
    if let (Ok(_), Some(end)) = (read, note.iter().position(|byte| *byte == b'\n'))
        && let Some(last) = str::from_utf8(&note[..end])
            .ok()
            .and_then(|text| text.parse().ok())
    {
        let root = Path::new(std::ffi::OsStr::from_bytes(&note[end + 1..])).to_owned();
        return Ok(Use {
            last,
            root: Some(root),
        });
    }
    let seconds = fs::symlink_metadata(place)?.mtime();
    let last = Timestamp::from_second(seconds).map_err(io::Error::other)?;
    Ok(Use { last, root: None })
}

/// Whether there is no work tree any more. One that cannot be looked at now, for whatever other reason, is not gone.
fn is_gone(root: &Path) -> bool {
    let looked_at = fs::symlink_metadata(root.join(".git"));
    looked_at.is_err_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        )
    })
}

fn remove(place: &Path) {
    match fs::remove_dir_all(place) {
        Ok(()) => tracing::info!(place = %place.display(), "removed what a work tree left"),
        Err(error) => {
            tracing::info!(place = %place.display(), %error, "what a work tree left stays");
        }
    }
}

/// Bytes of all files below a directory, as far as it can be read. Links are not followed.
fn bytes_below(directory: &Path) -> u64 {
    let mut bytes = 0;
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => waiting.push(entry.path()),
                Ok(found) => bytes += found.len(),
                Err(_gone) => {}
            }
        }
    }
    bytes
}

fn name_of(root: &Path) -> String {
    let hash = Sha256::digest(root.as_os_str().as_bytes());
    let mut name = data_encoding::HEXLOWER.encode(&hash);
    name.truncate(NAME_CHARS);
    name
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use tempfile::TempDir;

    use super::*;

    /// A user with work trees.
    struct User {
        dir: TempDir,
        now: Timestamp,
        bytes_max: u64,
    }

    impl User {
        fn new() -> Self {
            Self {
                dir: TempDir::new().unwrap(),
                now: "2026-03-01T12:00:00Z".parse().unwrap(),
                bytes_max: ALL_BYTES_MAX,
            }
        }

        fn tree(&self, name: impl AsRef<OsStr>) -> PathBuf {
            let tree = self.dir.path().join(name.as_ref());
            fs::create_dir_all(tree.join(".git")).unwrap();
            tree
        }

        /// A run in that work tree, which leaves a kilobyte.
        fn run(&self, tree: &Path) -> Place {
            let all = self.dir.path().join("local");
            let bounds = (self.now, self.bytes_max);
            let place = Place::take_bounded(&all, tree, bounds, "1".to_owned()).unwrap();
            fs::write(place.path().join("cache"), [0; 1024]).unwrap();
            place
        }

        fn later(&mut self, hours: i64) {
            self.now += SignedDuration::from_hours(hours);
        }
    }

    #[test]
    fn the_place_of_a_work_tree_that_is_gone_is_removed() {
        let user = User::new();
        // A path is bytes, line feeds included.
        let odd = user.tree(OsStr::from_bytes(b"odd\n\xff"));
        let (kept, gone) = (user.tree("kept"), user.tree("gone"));
        let places = [&odd, &kept, &gone].map(|tree| user.run(tree).path().to_owned());
        fs::remove_dir_all(&gone).unwrap();
        drop(user.run(&kept));
        assert_eq!(
            places.clone().map(|place| place.exists()),
            [true, true, false]
        );
        fs::remove_dir_all(odd.join(".git")).unwrap();
        drop(user.run(&kept));
        assert!(!places[0].exists());
    }

    #[test]
    fn no_place_is_removed_while_any_run_has_one() {
        let user = User::new();
        let (one, other) = (user.tree("one"), user.tree("other"));
        let running = user.run(&one);
        fs::remove_dir_all(&one).unwrap();
        drop(user.run(&other));
        assert!(running.path().exists());
        let path = running.path().to_owned();
        drop(running);
        drop(user.run(&other));
        assert!(!path.exists());
    }

    #[test]
    fn a_place_that_nobody_used_for_a_month_is_removed() {
        let mut user = User::new();
        let (one, other) = (user.tree("one"), user.tree("other"));
        let place = user.run(&one).path().to_owned();
        user.later(30 * 24);
        drop(user.run(&other));
        assert!(place.exists());
        user.later(1);
        drop(user.run(&other));
        assert!(!place.exists());
    }

    #[test]
    fn of_too_much_the_longest_unused_goes_and_never_the_own() {
        let mut user = User::new();
        let trees = ["a", "b", "c"].map(|name| user.tree(name));
        let places = trees.each_ref().map(|tree| {
            user.later(1);
            user.run(tree).path().to_owned()
        });
        // Two kilobytes and two notes.
        user.bytes_max = 2 * (1024 + 512);
        user.later(1);
        drop(user.run(&trees[0]));
        assert_eq!(
            places.each_ref().map(|place| place.exists()),
            [true, false, true]
        );
        user.bytes_max = 0;
        drop(user.run(&trees[0]));
        assert_eq!(places.map(|place| place.exists()), [true, false, false]);
    }

    #[test]
    fn what_is_no_place_stays_and_a_place_without_a_note_goes_by_its_age() {
        let mut user = User::new();
        let tree = user.tree("tree");
        drop(user.run(&tree));
        let all = user.dir.path().join("local");
        for name in ["0123456789abcdef", "something", "0123456789ABCDEG"] {
            fs::create_dir(all.join(name)).unwrap();
        }
        let made = fs::symlink_metadata(all.join("something")).unwrap().mtime();
        user.now = Timestamp::from_second(made).unwrap();
        drop(user.run(&tree));
        assert!(all.join("0123456789abcdef").exists());
        user.later(30 * 24 + 1);
        drop(user.run(&tree));
        assert!(!all.join("0123456789abcdef").exists());
        assert!(all.join("something").exists() && all.join("0123456789ABCDEG").exists());
    }
}
