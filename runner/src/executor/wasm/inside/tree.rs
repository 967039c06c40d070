//! The tree of files that a step sees: a file system of its own that holds exactly the granted paths,
//! mounted from the host, and nothing else. The kernel enforces what is read-only, whichever way a guest
//! takes to a file.
//!
//! ```text
//! /          an empty file system in memory, read-only
//!   tree/    the guest's root: the granted paths
//!   aside/   granted paths that nothing in the tree could carry
//!   secrets/ the secrets that the step gets as files, in memory
//! ```
//!
//! As root the process stays in the host's user namespace and becomes `nobody` afterwards (see `idmap`);
//! as an ordinary user it was cloned into a user namespace in which it is itself.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
    mount_change, move_mount, open_tree, unmount,
};
use rustix::process::{fchdir, getegid, geteuid, pivot_root};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::idmap::{Reach, STEP_ID, prepared, set_attributes, swapped};
use super::secret_files;
use crate::executor::wasm::link::{Mount, MountWhat};
use crate::grant::{ASIDE, HostFile, TREE};

/// Room for the directories that lead to granted paths, in inodes; nothing else is made in there.
const INODES_MAX: &str = "20000";

/// A directory that every host has, and that nothing needs any more once the tree is built: the place
/// where it stands for the moment before it becomes the root.
const SCAFFOLD: &str = "/proc";

/// What was built.
#[derive(Debug)]
pub(super) struct Built {
    /// Whether the mounts expect this process to become [`STEP_ID`].
    pub is_step_id: bool,
}

/// Why it could not be built.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub(super) struct TreeError {
    what: String,
    source: io::Error,
}

trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, TreeError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, TreeError> {
        self.map_err(|error| TreeError {
            what: what(),
            source: error.into(),
        })
    }
}

/// A tree with nothing in it, for a process that waits for its step.
#[derive(Debug)]
pub(super) struct Raised(Root);

/// Makes the namespaces and the file system of a tree. This process must have one thread.
pub(super) fn raise() -> Result<Raised, TreeError> {
    enter_namespaces()?;
    Ok(Raised(Root::raise()?))
}

/// Builds the tree and makes it the root of this process, which must have one thread. When it fails this
/// process is good for nothing but saying so.
pub(super) fn build(Raised(root): Raised, mounts: &[Mount]) -> Result<Built, TreeError> {
    let (sources, is_step_id) = sources(mounts, geteuid().is_root())?;
    root.attach().doing(|| "attaching the tree".to_owned())?;
    for (mount, source) in mounts.iter().zip(&sources) {
        root.place(mount, source.as_ref())
            .doing(|| format!("mounting `{}`", mount.at.display()))?;
    }
    root.enter().doing(|| "entering the tree".to_owned())?;
    Ok(Built { is_step_id })
}

/// The namespaces that a tree comes with, beside those that this process was cloned into.
pub(super) const NAMESPACES: [&str; 3] = ["mount", "ipc", "uts"];

#[expect(unsafe_code, reason = "unshare can take descriptor tables apart")]
fn enter_namespaces() -> Result<(), TreeError> {
    let flags = UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    // SAFETY: the descriptor table is not among what is unshared.
    unsafe { unshare_unsafe(flags) }.doing(|| "making namespaces".to_owned())?;
    // Nothing that we mount may show up on the host.
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).doing(|| "leaving the host's mounts".to_owned())
}

/// Detached copies of what is to be mounted, with their attributes set; nothing for what is hidden.
type Sources = Vec<Option<OwnedFd>>;

/// Takes them, with mapped ids if we are root and every file system can do it. Where one cannot, the step
/// keeps the runner's id.
fn sources(mounts: &[Mount], is_root: bool) -> Result<(Sources, bool), TreeError> {
    if is_root && let Ok(sources) = take_sources(mounts, &mut Some(BTreeMap::new())) {
        return Ok((sources, true));
    }
    take_sources(mounts, &mut None).map(|sources| (sources, false))
}

type IdMaps = Option<BTreeMap<(u32, u32), OwnedFd>>;

fn take_sources(mounts: &[Mount], maps: &mut IdMaps) -> Result<Sources, TreeError> {
    let mut taken = Vec::with_capacity(mounts.len());
    for mount in mounts {
        taken.push(match &mount.what {
            MountWhat::Granted { host, is_writable } => {
                let mut attributes = guarded() | MountAttrFlags::MOUNT_ATTR_NOEXEC;
                attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, !is_writable);
                Some(take(host, attributes, maps)?)
            }
            MountWhat::Hidden { .. } => None,
            MountWhat::Secrets(files) => Some(
                secret_files::raise(files, step_owner(maps.is_some()))
                    .doing(|| "keeping secrets in memory".to_owned())?,
            ),
        });
    }
    Ok(taken)
}

/// Who this process will be when the guest runs.
fn step_owner(is_step_id: bool) -> (u32, u32) {
    if is_step_id {
        (STEP_ID, STEP_ID)
    } else {
        (geteuid().as_raw(), getegid().as_raw())
    }
}

fn guarded() -> MountAttrFlags {
    MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV
}

fn take(
    host: &HostFile,
    attributes: MountAttrFlags,
    maps: &mut IdMaps,
) -> Result<OwnedFd, TreeError> {
    let taking = || format!("taking `{}`", host.path.display());
    let opened = host.open().doing(taking)?;
    let copy = copy_mount(opened.as_fd()).doing(taking)?;
    let map = match maps {
        Some(_) if let Some(prepared) = prepared(host.owner) => Some(prepared),
        Some(maps) if host.owner != (STEP_ID, STEP_ID) => {
            let map: &OwnedFd = match maps.entry(host.owner) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    place.insert(swapped(host.owner).doing(|| "mapping ids".to_owned())?)
                }
            };
            Some(map.as_fd())
        }
        _ => None,
    };
    set_attributes(copy.as_fd(), attributes.bits().into(), Reach::All(map)).doing(taking)?;
    Ok(copy)
}

/// A detached copy of the mount at a file or directory. What else is mounted below it is left out where
/// the kernel allows that; a process in a user namespace must take it along, with the same attributes.
fn copy_mount(opened: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    match open_tree(opened, "", flags) {
        Err(Errno::INVAL) => open_tree(opened, "", flags | OpenTreeFlags::AT_RECURSIVE),
        copied => copied,
    }
}

/// The file system that becomes the root.
#[derive(Debug)]
struct Root {
    mount: OwnedFd,
    device: u64,
}

impl Root {
    /// Makes it, attached to nothing.
    fn raise() -> Result<Self, TreeError> {
        let raised = || -> io::Result<Self> {
            let tmpfs = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_set_string(tmpfs.as_fd(), "mode", "0755")?;
            fsconfig_set_string(tmpfs.as_fd(), "nr_inodes", INODES_MAX)?;
            fsconfig_create(tmpfs.as_fd())?;
            let mount = fsmount(
                tmpfs.as_fd(),
                FsMountFlags::FSMOUNT_CLOEXEC,
                guarded() | MountAttrFlags::MOUNT_ATTR_NOEXEC,
            )?;
            for dir in [TREE, ASIDE, "hidden"] {
                mkdirat(&mount, dir, Mode::from_raw_mode(0o755))?;
            }
            let device = fstat(&mount)?.st_dev;
            Ok(Self { mount, device })
        };
        raised().doing(|| "raising the tree".to_owned())
    }

    /// Mounts it, for the moment over [`SCAFFOLD`]: mounts can only be placed on what is mounted. Nothing of the host
    /// is opened by its path from here on.
    fn attach(&self) -> io::Result<()> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        Ok(move_mount(self.mount.as_fd(), "", CWD, SCAFFOLD, flags)?)
    }

    fn place(&self, mount: &Mount, source: Option<&OwnedFd>) -> io::Result<()> {
        match (&mount.what, source) {
            (MountWhat::Granted { host, .. }, Some(source)) => {
                attach(source, &self.mount_point(&mount.at, host.is_directory)?)
            }
            (MountWhat::Hidden { is_directory }, _) => {
                let target = self.mount_point(&mount.at, *is_directory)?;
                attach(&self.cover(*is_directory)?, &target)
            }
            (MountWhat::Secrets(_), Some(source)) => {
                attach(source, &self.mount_point(&mount.at, true)?)
            }
            (MountWhat::Granted { .. } | MountWhat::Secrets(_), None) => {
                Err(io::Error::other("a grant without a source"))
            }
        }
    }

    /// Something empty and read-only to hide what is at a place.
    fn cover(&self, is_directory: bool) -> io::Result<OwnedFd> {
        let hidden = self.open("hidden", OFlags::PATH | OFlags::DIRECTORY)?;
        let name = if is_directory { "directory" } else { "file" };
        make(hidden.as_fd(), OsStr::new(name), is_directory)?;
        let opened = openat(&hidden, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let copy = copy_mount(opened.as_fd())?;
        let attributes =
            guarded() | MountAttrFlags::MOUNT_ATTR_NOEXEC | MountAttrFlags::MOUNT_ATTR_RDONLY;
        set_attributes(copy.as_fd(), attributes.bits().into(), Reach::All(None))?;
        Ok(copy)
    }

    /// Opens the place where something is to be mounted, and makes it where it is
    /// missing and ours to make: never inside a directory of the host.
    fn mount_point(&self, at: &Path, is_directory: bool) -> io::Result<OwnedFd> {
        let mut here = self.open(".", OFlags::PATH)?;
        let mut components = at.components().peekable();
        while let Some(component) = components.next() {
            let Component::Normal(name) = component else {
                return Err(io::Error::other("a place outside the tree"));
            };
            let is_ours = fstat(&here)?.st_dev == self.device;
            if is_ours {
                make(
                    here.as_fd(),
                    name,
                    is_directory || components.peek().is_some(),
                )?;
            }
            here = open_below(here.as_fd(), Path::new(name), OFlags::PATH)?;
        }
        Ok(here)
    }

    fn open(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        open_below(self.mount.as_fd(), Path::new(path), flags)
    }

    /// Makes it the root, read-only, and lets the host's go.
    fn enter(self) -> io::Result<()> {
        let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY;
        fchdir(&self.mount)?;
        pivot_root(".", ".")?;
        // The old root now lies on top of the new one.
        unmount(".", UnmountFlags::DETACH)?;
        rustix::process::chdir("/")?;
        let root = openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        set_attributes(root.as_fd(), attributes.bits().into(), Reach::One)
    }
}

fn attach(source: &OwnedFd, target: &OwnedFd) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(source.as_fd(), "", target.as_fd(), "", flags)?)
}

fn open_below(dir: BorrowedFd<'_>, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    Ok(openat2(
        dir,
        path,
        flags | OFlags::CLOEXEC,
        Mode::empty(),
        resolve,
    )?)
}

/// Makes an empty directory or file, unless something is there already.
fn make(dir: BorrowedFd<'_>, name: &OsStr, is_directory: bool) -> io::Result<()> {
    let made = if is_directory {
        mkdirat(dir, name, Mode::from_raw_mode(0o755))
    } else {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDONLY | OFlags::CLOEXEC;
        openat(dir, name, flags, Mode::from_raw_mode(0o644)).map(drop)
    };
    match made {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
