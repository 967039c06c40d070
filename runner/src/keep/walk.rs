//! From a workspace that an attacker wrote to the entries that are wanted, each as an open file or a checked link.
//!
//! Each directory is listed to its end, sorted, and closed; what is in it is opened by its own name below the directory's
//! handle, without following a link and without waiting. So a name that is swapped between listing and opening gives an
//! error, and a place outside the workspace is never reached. One open file per directory of depth.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsSyncExt as _};
use cap_std::fs::{Dir, File, FileType, FileTypeExt as _, Metadata, OpenOptions};

use super::path::KeptPath;
use super::{Bounds, KeepError, Limit, PATH_BYTES_MAX};

/// How many passed-over entries are told by name. A line of log each; the rest are counted.
const SKIPPED_NAMED_MAX: usize = 100;

/// What is wanted of a tree.
pub(super) trait Scope {
    /// Whether anything below the directory can be wanted.
    fn enters(&self, directory: &KeptPath) -> bool;
    /// Whether this file, link or special file is wanted.
    fn takes(&self, path: &KeptPath) -> bool;
    /// Whether the directory itself is wanted, even if it is empty.
    fn takes_directory(&self, path: &KeptPath) -> bool;
}

/// What the walk hands on.
pub(super) enum Found {
    Directory,
    /// A regular file, opened for reading, and what the open file says of itself.
    File(File, Metadata),
    /// A link that cannot leave the tree, and its target.
    Link(Vec<u8>),
}

/// Entries that were wanted and are of a kind that is not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// The first hundred.
    pub named: Vec<SkippedEntry>,
    /// All of them.
    pub count: u64,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedEntry {
    /// Where.
    pub path: KeptPath,
    /// What it is.
    pub why: SkippedWhy,
}

/// What is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SkippedWhy {
    /// A link to outside the tree, or one that cannot be judged without following another.
    #[error("a link that leads, or might lead, out of the workspace")]
    LinkOutside,
    /// A named pipe.
    #[error("a FIFO")]
    Fifo,
    /// A socket.
    #[error("a socket")]
    Socket,
    /// A device.
    #[error("a device")]
    Device,
}

/// Walks what `scope` enters, in the byte order of names, and hands each wanted entry to `visit`, a directory before what is
/// in it. Ends at the first error.
pub(super) fn walk(
    root: &Dir,
    scope: &dyn Scope,
    bounds: &Bounds,
    visit: &mut dyn FnMut(&KeptPath, Found) -> Result<(), KeepError>,
) -> Result<Skipped, KeepError> {
    let mut walk = Walk {
        scope,
        bounds,
        visit,
        seen: 0,
        skipped: Skipped::default(),
    };
    let root = root
        .try_clone()
        .map_err(|source| KeepError::io("open", KeptPath::root(), source))?;
    walk.directory(&root, &KeptPath::root())?;
    Ok(walk.skipped)
}

struct Walk<'a> {
    scope: &'a dyn Scope,
    bounds: &'a Bounds,
    visit: &'a mut dyn FnMut(&KeptPath, Found) -> Result<(), KeepError>,
    seen: u64,
    skipped: Skipped,
}

impl Walk<'_> {
    fn directory(&mut self, dir: &Dir, at: &KeptPath) -> Result<(), KeepError> {
        for (name, kind) in self.list(dir, at)? {
            self.bounds.check_cancel()?;
            let path = at.join(&name);
            if path.as_bytes().len() > PATH_BYTES_MAX {
                return Err(KeepError::limit(Limit::PathBytes(PATH_BYTES_MAX), at));
            }
            if kind.is_dir() {
                self.below(dir, &name, &path)?;
            } else if self.scope.takes(&path) {
                self.entry(dir, &name, &path, kind)?;
            }
        }
        Ok(())
    }

    /// The names in a directory, sorted, with what the listing says they are. Only a hint: each is asked again.
    fn list(&mut self, dir: &Dir, at: &KeptPath) -> Result<Vec<(OsString, FileType)>, KeepError> {
        let mut names = Vec::new();
        for entry in dir
            .entries()
            .map_err(|source| KeepError::io("list", at, source))?
        {
            let entry = entry.map_err(|source| KeepError::io("list", at, source))?;
            self.seen += 1;
            if self.seen > self.bounds.limits.seen_entries_max {
                return Err(KeepError::limit(
                    Limit::Seen(self.bounds.limits.seen_entries_max),
                    at,
                ));
            }
            if self.seen.is_multiple_of(1024) {
                self.bounds.check_cancel()?;
            }
            let name = entry.file_name();
            let kind = entry.file_type().and_then(|kind| {
                if is_told(kind) {
                    Ok(kind)
                } else {
                    // Some file systems do not say it in the listing.
                    Ok(entry.metadata()?.file_type())
                }
            });
            let kind = kind.map_err(|source| opening(&at.join(&name), source))?;
            names.push((name, kind));
        }
        names.sort_unstable_by(|(one, _), (other, _)| one.as_bytes().cmp(other.as_bytes()));
        Ok(names)
    }

    fn below(&mut self, dir: &Dir, name: &OsStr, path: &KeptPath) -> Result<(), KeepError> {
        let enters = self.scope.enters(path);
        let takes = self.scope.takes_directory(path);
        if !enters && !takes {
            return Ok(());
        }
        if path.depth() > self.bounds.depth_max() {
            return Err(KeepError::limit(
                Limit::Depth(self.bounds.depth_max()),
                path,
            ));
        }
        let inside = dir
            .open_dir_nofollow(name)
            .map_err(|source| opening(path, source))?;
        if takes {
            (self.visit)(path, Found::Directory)?;
        }
        if enters {
            self.directory(&inside, path)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        dir: &Dir,
        name: &OsStr,
        path: &KeptPath,
        kind: FileType,
    ) -> Result<(), KeepError> {
        if kind.is_file() {
            let (file, metadata) = open_file(dir, name, path)?;
            return (self.visit)(path, Found::File(file, metadata));
        }
        let why = if kind.is_symlink() {
            let target = dir
                .read_link_contents(name)
                .map_err(|source| opening(path, source))?;
            let target = target.as_os_str().as_bytes();
            if path.keeps_link(target) {
                return (self.visit)(path, Found::Link(target.to_owned()));
            }
            SkippedWhy::LinkOutside
        } else if kind.is_fifo() {
            SkippedWhy::Fifo
        } else if kind.is_socket() {
            SkippedWhy::Socket
        } else {
            SkippedWhy::Device
        };
        self.skipped.count += 1;
        if self.skipped.named.len() < SKIPPED_NAMED_MAX {
            let path = path.clone();
            self.skipped.named.push(SkippedEntry { path, why });
        }
        Ok(())
    }
}

fn is_told(kind: FileType) -> bool {
    kind.is_dir()
        || kind.is_file()
        || kind.is_symlink()
        || kind.is_fifo()
        || kind.is_socket()
        || kind.is_block_device()
        || kind.is_char_device()
}

/// Opens a regular file and nothing else: a link is refused, and a FIFO put there since the listing does not block.
fn open_file(dir: &Dir, name: &OsStr, path: &KeptPath) -> Result<(File, Metadata), KeepError> {
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No).nonblock(true);
    let file = dir
        .open_with(name, &options)
        .map_err(|source| opening(path, source))?;
    let metadata = file
        .metadata()
        .map_err(|source| KeepError::io("look at", path, source))?;
    if !metadata.is_file() {
        return Err(changed(path));
    }
    Ok((file, metadata))
}

pub(super) fn changed(path: &KeptPath) -> KeepError {
    KeepError::Changed {
        path: path.to_string(),
    }
}

/// Whether an error of opening says that the name is no longer what the listing called it.
fn opening(path: &KeptPath, source: io::Error) -> KeepError {
    use rustix::io::Errno;
    match Errno::from_io_error(&source) {
        // No entry; a link; not a directory; not a link; a socket or a device without a driver.
        Some(
            Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::INVAL | Errno::NXIO | Errno::NODEV,
        ) => changed(path),
        _ => KeepError::io("open", path, source),
    }
}
