//! From a pack into a directory that an attacker may have prepared: a checkout, the user's own tree.
//!
//! Every directory on the way is opened by name below its parent's handle. What stands where a directory belongs and is
//! none, a link above all, is removed and not followed; what stands where a file or link belongs is removed before the new
//! one is made, so an old hard link or link is never written through.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, SystemTime};

use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt as _};
use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt as _, Permissions, PermissionsExt as _};

use super::pack::{Entry, FileFacts, Kind, Reader};
use super::path::KeptPath;
use super::{Bounds, KeepError, Limit};

/// How often a name is cleared before it is given up. Twice is once more than an honest directory needs; nobody runs in a
/// workspace while it is laid out, and whoever does cannot make us try for ever.
const TRIES_MAX: u32 = 4;

/// What was laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Laid {
    /// Regular files.
    pub files: u64,
    /// Files, directories and links.
    pub entries: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// Lays out every entry, all of which must be within `place`. At an error what was laid out before stays.
pub(super) fn lay(
    pack: &mut Reader,
    root: &Dir,
    place: &KeptPath,
    bounds: &Bounds,
) -> Result<Laid, KeepError> {
    let mut laid = Laid::default();
    let mut open = Opened::new(root)?;
    while let Some(Entry { path, kind }) = pack.next_entry()? {
        bounds.check_cancel()?;
        if !path.is_within(place) {
            return Err(pack.damaged("it holds a path outside its place"));
        }
        laid.entries += 1;
        bounds.check_entries(laid.entries, &path)?;
        let Some(name) = path.names().last() else {
            continue;
        };
        let parent = open.parent_of(&path)?;
        match &kind {
            Kind::Directory => {
                enter(parent, name, &path)?;
            }
            Kind::Link(target) => link(parent, name, &path, target)?,
            Kind::File(facts) => {
                if facts.bytes > bounds.limits.bytes_max - laid.bytes {
                    let limit = Limit::Bytes(bounds.limits.bytes_max);
                    return Err(KeepError::limit(limit, &path));
                }
                let mut file = create(parent, name, &path)?;
                pack.copy_to(&path, facts, &mut file, bounds)?;
                finish(file, facts).map_err(|source| KeepError::io("write", &path, source))?;
                laid.files += 1;
                laid.bytes += facts.bytes;
            }
        }
    }
    Ok(laid)
}

/// The directories above the entry at hand. Entries come in the order of a walk, so the next one needs few others.
struct Opened {
    chain: Vec<(OsString, Dir)>,
    root: Dir,
}

impl Opened {
    fn new(root: &Dir) -> Result<Self, KeepError> {
        let root = root
            .try_clone()
            .map_err(|source| KeepError::io("open", KeptPath::root(), source))?;
        Ok(Self {
            chain: Vec::new(),
            root,
        })
    }

    fn parent_of(&mut self, path: &KeptPath) -> Result<&Dir, KeepError> {
        let names = path.names().collect::<Vec<_>>();
        let above = &names[..names.len().saturating_sub(1)];
        let shared = above
            .iter()
            .zip(&self.chain)
            .take_while(|(name, (open, _))| **name == open.as_os_str())
            .count();
        self.chain.truncate(shared);
        for name in &above[shared..] {
            let parent = self.chain.last().map_or(&self.root, |(_, dir)| dir);
            let dir = enter(parent, name, path)?;
            self.chain.push(((*name).to_owned(), dir));
        }
        Ok(self.chain.last().map_or(&self.root, |(_, dir)| dir))
    }
}

/// Opens the real directory of that name, and makes it in the place of anything that is none.
pub(super) fn enter(parent: &Dir, name: &OsStr, path: &KeptPath) -> Result<Dir, KeepError> {
    let mut is_ours = false;
    for _ in 0..TRIES_MAX {
        match parent.open_dir_nofollow(name) {
            Ok(dir) if is_ours => {
                // Whatever the mask of this process is, a later step's user may enter.
                dir.set_permissions(".", Permissions::from_mode(0o755))
                    .map_err(|source| KeepError::io("set the mode of", path, source))?;
                return Ok(dir);
            }
            Ok(dir) => return Ok(dir),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_not_a_directory) => clear(parent, name, path)?,
        }
        match parent.create_dir(name) {
            Ok(()) => is_ours = true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(KeepError::io("create", path, source)),
        }
    }
    Err(super::walk::changed(path))
}

fn create(parent: &Dir, name: &OsStr, path: &KeptPath) -> Result<File, KeepError> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .follow(FollowSymlinks::No);
    replace(parent, name, path, || parent.open_with(name, &options))
}

fn link(parent: &Dir, name: &OsStr, path: &KeptPath, target: &[u8]) -> Result<(), KeepError> {
    let target = OsStr::from_bytes(target);
    replace(parent, name, path, || parent.symlink_contents(target, name))
}

/// Makes something under a name that must be free, and frees it if it is not.
fn replace<T>(
    parent: &Dir,
    name: &OsStr,
    path: &KeptPath,
    make: impl Fn() -> io::Result<T>,
) -> Result<T, KeepError> {
    for _ in 0..TRIES_MAX {
        match make() {
            Ok(new) => return Ok(new),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                clear(parent, name, path)?;
            }
            Err(source) => return Err(KeepError::io("create", path, source)),
        }
    }
    Err(super::walk::changed(path))
}

/// Removes a file, a link or an empty directory. A directory with something in it is not ours to remove.
fn clear(parent: &Dir, name: &OsStr, path: &KeptPath) -> Result<(), KeepError> {
    let Err(of_file) = parent.remove_file(name) else {
        return Ok(());
    };
    match parent.remove_dir(name) {
        Ok(()) => Ok(()),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            io::ErrorKind::DirectoryNotEmpty => Err(KeepError::InTheWay {
                path: path.to_string(),
            }),
            _ => Err(KeepError::io("replace", path, of_file)),
        },
    }
}

/// The mode and the time, on the open file.
fn finish(file: File, facts: &FileFacts) -> io::Result<()> {
    let mode = if facts.is_executable { 0o755 } else { 0o644 };
    file.set_permissions(Permissions::from_mode(mode))?;
    let (seconds, nanoseconds) = facts.modified;
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)
    };
    let time = time.and_then(|time| time.checked_add(Duration::from_nanos(nanoseconds.into())));
    match time {
        Some(time) => file.into_std().set_modified(time),
        // A time that no clock shows; the file keeps that of its making.
        None => Ok(()),
    }
}
