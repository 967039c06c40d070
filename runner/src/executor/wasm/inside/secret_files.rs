//! Secrets as files: a file system of their own, in memory, that only this step's process has mounted.
//!
//! It is a `ramfs` and no `tmpfs`, because pages of a `tmpfs` may be swapped out to a disk. It goes when the process
//! does, however that ends: the mount belongs to its namespace, and no other process is in that.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, chownat, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};

use super::idmap::{Reach, set_attributes};
use crate::executor::wasm::link::SecretFiles;

/// Makes the file system, detached and read-only, with each secret a file that its owner alone may read.
pub(super) fn raise(files: &SecretFiles, owner: (u32, u32)) -> io::Result<OwnedFd> {
    let ramfs = fsopen("ramfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(ramfs.as_fd(), "mode", "0500")?;
    fsconfig_create(ramfs.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mount = fsmount(ramfs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    for (name, value) in &files.0 {
        put(&mount, name, value.as_bytes(), owner)?;
    }
    own(&mount, "", owner)?;
    let attributes = attributes | MountAttrFlags::MOUNT_ATTR_RDONLY;
    set_attributes(mount.as_fd(), attributes.bits().into(), Reach::One)?;
    Ok(mount)
}

fn put(dir: &OwnedFd, name: &str, value: &[u8], owner: (u32, u32)) -> io::Result<()> {
    let mut parts = Path::new(name).components();
    let is_plain = matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(part)), None) if part == name
    );
    if !is_plain {
        return Err(io::Error::other("a secret whose name is a path"));
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = openat(dir, name, flags, Mode::from_raw_mode(0o400))?;
    io::Write::write_all(&mut std::fs::File::from(file), value)?;
    own(dir, name, owner)
}

fn own(dir: &OwnedFd, name: &str, (uid, gid): (u32, u32)) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
    Ok(chownat(dir, name, Some(uid), Some(gid), flags)?)
}
