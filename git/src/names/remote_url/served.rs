//! A repository on this host's own disk, before a git process reads it.
//!
//! `git upload-pack` follows whatever the directory's owner put there: a link, a `commondir` file or
//! alternates can make it serve objects of a repository that only we may read. So those are refused.
//! What is looked at here could be replaced before git opens it; whoever can do that can write to
//! the operator's own directory, and is not the one we guard against.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, open, openat, readlink, statat};
use rustix::io::Errno;

/// A directory, not what a link leads to, and only to look at.
const DIRECTORY: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What makes git read objects of another repository, by the manual page gitrepository-layout.
const LEADS_ELSEWHERE: [&str; 4] = [
    "commondir",
    "gitdir",
    "objects/info/alternates",
    "objects/info/http-alternates",
];

/// The repository at a path below a root: its `.git`, else the directory itself, else the path with
/// `.git` added, in git's own order: a work tree may hold files that look like a bare repository.
/// The answer is free of links.
pub(super) fn find(root: &Path, below: &Path) -> Result<PathBuf, String> {
    // The root is the operator's word, so a link in it is followed.
    let root = open(root, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty())
        .map_err(|errno| format!("the operator's directory cannot be opened ({errno})"))?;
    let mut candidates = vec![below.join(".git"), below.to_path_buf()];
    if let Some(name) = below.file_name() {
        let mut with_suffix = name.to_owned();
        with_suffix.push(".git");
        candidates.push(below.with_file_name(with_suffix));
    }
    for candidate in candidates {
        match descend(&root, &candidate) {
            Ok(directory) if is_repository(&directory) => {
                check(&directory)?;
                return real_path(&directory);
            }
            Ok(_) | Err(Errno::NOENT) => {}
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return Err("a part of its path is a link or not a directory".to_owned());
            }
            Err(errno) => return Err(format!("its path cannot be opened ({errno})")),
        }
    }
    Err("there is no repository".to_owned())
}

/// Whether a path has a `..`, as a component of any kind.
pub(super) fn has_parent(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}

fn descend(root: &OwnedFd, below: &Path) -> Result<OwnedFd, Errno> {
    let mut directory = openat(root, ".", DIRECTORY, Mode::empty())?;
    for component in below.components() {
        match component {
            Component::Normal(name) => {
                directory = openat(&directory, name, DIRECTORY, Mode::empty())?;
            }
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(Errno::NOTDIR);
            }
        }
    }
    Ok(directory)
}

fn is_repository(directory: &OwnedFd) -> bool {
    ["HEAD", "objects", "refs"]
        .iter()
        .all(|name| kind(directory, name).is_some())
}

fn check(directory: &OwnedFd) -> Result<(), String> {
    for name in ["objects", "objects/info", "objects/pack", "refs"] {
        if !matches!(kind(directory, name), None | Some(FileType::Directory)) {
            return Err(format!("its {name} is not a directory"));
        }
    }
    for name in LEADS_ELSEWHERE {
        if kind(directory, name).is_some() {
            return Err(format!("its {name} would make git read another repository"));
        }
    }
    Ok(())
}

/// What stands under a name, links not followed. An unreadable one counts as absent: git, which runs
/// as the same user, will not read it either.
fn kind(directory: &OwnedFd, name: &str) -> Option<FileType> {
    let found = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(found.st_mode))
}

fn real_path(directory: &OwnedFd) -> Result<PathBuf, String> {
    let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
    let target = readlink(link, Vec::new())
        .map_err(|errno| format!("its path cannot be read back ({errno})"))?;
    Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
}
