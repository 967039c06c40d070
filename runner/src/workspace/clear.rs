//! Removes a tree that a step may have built to be hard to remove: a hundred thousand directories deep, without
//! permissions, with names that are no text.
//!
//! The standard library keeps a file open for every directory of depth, and gives up where there are no more; what
//! it leaves would stay for ever. Here a directory that lies too deep is first moved up to the top. No link is
//! followed, and nothing outside the tree is touched.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, RenameFlags, fchmod, openat, renameat_with, unlinkat,
};
use rustix::io::Errno;

/// How deep we go before a directory is moved up: as many files are open at once.
const DEPTH_MAX: usize = 64;

/// Removes the directory at `path` with all that is in it. One that is not there is no error.
///
/// What is added while it works may make it fail; nobody may run in a workspace that is removed. `path` itself is the
/// runner's own and is not checked for links.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let top = match open_dir(CWD, path) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened?,
    };
    clear(&top)?;
    Ok(unlinkat(CWD, path, AtFlags::REMOVEDIR)?)
}

/// A directory that is being cleared, and what its parent calls it.
struct Level {
    dir: OwnedFd,
    name: CString,
}

fn clear(top: &OwnedFd) -> io::Result<()> {
    let mut moved = 0_u64;
    // Below the top; the deepest last.
    let mut levels: Vec<Level> = Vec::new();
    loop {
        let here = levels.last().map_or(top.as_fd(), |level| level.dir.as_fd());
        match clear_files(here)? {
            Some(name) if levels.len() < DEPTH_MAX => {
                let dir = open_dir(here, &name)?;
                levels.push(Level { dir, name });
            }
            Some(name) => move_up(here, &name, top.as_fd(), &mut moved)?,
            None => {
                let Some(Level { name, .. }) = levels.pop() else {
                    return Ok(());
                };
                let parent = levels.last().map_or(top.as_fd(), |level| level.dir.as_fd());
                unlinkat(parent, &name, AtFlags::REMOVEDIR)?;
            }
        }
    }
}

/// Removes what is not a directory, and empty directories; gives the first directory that is not empty.
fn clear_files(dir: BorrowedFd<'_>) -> io::Result<Option<CString>> {
    let mut is_any_left = true;
    while is_any_left {
        is_any_left = false;
        // A fresh reading each time: whether one sees what was removed meanwhile is up to the file system.
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            is_any_left = true;
            if !unlink(dir, name)? {
                return Ok(Some(name.to_owned()));
            }
        }
    }
    Ok(None)
}

/// Removes an entry; `false` for a directory that is not empty.
fn unlink(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<bool> {
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        // Linux says the one, POSIX the other.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    match unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ACCESS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Moves a directory to the top, under a name that nothing there has.
fn move_up(
    from: BorrowedFd<'_>,
    name: &CStr,
    top: BorrowedFd<'_>,
    moved: &mut u64,
) -> io::Result<()> {
    // To move a directory is to write to it: its `..` changes.
    open_dir(from, name)?;
    loop {
        *moved += 1;
        let up = format!("moved-up-{moved}");
        match renameat_with(from, name, top, up, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST | Errno::NOTEMPTY) => {}
            renamed => return Ok(renamed?),
        }
    }
}

/// Opens a directory and makes sure that we may list and change it.
fn open_dir<P: rustix::path::Arg + Copy>(
    dir: BorrowedFd<'_>,
    name: P,
) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match openat(dir, name, flags | OFlags::RDONLY, Mode::empty()) {
        Err(Errno::ACCESS) => {
            // Its mode forbids even its owner to look; opened as a mere place it can be changed.
            let place = openat(dir, name, flags | OFlags::PATH, Mode::empty())?;
            allow(place.as_fd())?;
            openat(dir, name, flags | OFlags::RDONLY, Mode::empty())?
        }
        opened => opened?,
    };
    match fchmod(&opened, Mode::RWXU) {
        // It is another's, and we are root or have no business there.
        Ok(()) | Err(Errno::PERM | Errno::ROFS) => Ok(opened),
        Err(error) => Err(error),
    }
}

/// Gives the owner all rights to a directory that is opened as a place, which `fchmod` refuses.
fn allow(place: BorrowedFd<'_>) -> rustix::io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    rustix::fs::chmod(path, Mode::RWXU)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use rustix::fs::{FileType, mkdirat, mknodat};

    use super::*;

    /// A directory in which `d/d/d/…` lies this deep, with a file in every one.
    fn deep(root: &Path, depth: usize) {
        let mut here = open_dir(CWD, root).unwrap();
        for _ in 0..depth {
            mkdirat(&here, "d", Mode::RWXU).unwrap();
            let flags = OFlags::CREATE | OFlags::WRONLY;
            openat(&here, "file", flags, Mode::RUSR).unwrap();
            here = open_dir(here.as_fd(), "d").unwrap();
        }
    }

    fn removed(build: impl FnOnce(&Path)) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir(&root).unwrap();
        build(&root);
        remove_tree(&root).unwrap();
        assert!(!root.exists());
        dir
    }

    #[test]
    fn a_tree_deeper_than_there_may_be_open_files_goes() {
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let files = usize::try_from(files.current.unwrap_or(0).min(4096)).unwrap();
        removed(|root| deep(root, files + 500));
    }

    #[test]
    fn names_that_the_move_to_the_top_wants_may_be_taken() {
        removed(|root| {
            for taken in 1..4 {
                std::fs::write(root.join(format!("moved-up-{taken}")), "").unwrap();
            }
            deep(root, 3 * DEPTH_MAX);
        });
    }

    #[test]
    fn what_forbids_everything_and_what_is_no_file_goes() {
        removed(|root| {
            let shut = root.join("shut");
            std::fs::create_dir_all(shut.join("inner")).unwrap();
            std::fs::write(shut.join("inner/file"), "").unwrap();
            for path in [shut.join("inner"), shut] {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o0)).unwrap();
            }
            std::fs::write(root.join(OsStr::from_bytes(b"\xff\n")), "").unwrap();
            mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::empty(), 0).unwrap();
        });
    }

    #[test]
    fn many_entries_of_one_directory_go() {
        removed(|root| {
            for number in 0..3000 {
                std::fs::write(root.join(number.to_string()), "").unwrap();
                std::fs::create_dir_all(root.join(format!("dir-{number}/in"))).unwrap();
            }
        });
    }

    #[test]
    fn what_a_link_leads_to_stays() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("precious"), "kept").unwrap();
        removed(|root| symlink(outside.path(), root.join("link")).unwrap());
        let kept = std::fs::read_to_string(outside.path().join("precious"));
        assert_eq!(kept.unwrap(), "kept");
    }

    #[test]
    fn what_is_not_there_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        remove_tree(&dir.path().join("missing")).unwrap();
    }
}
