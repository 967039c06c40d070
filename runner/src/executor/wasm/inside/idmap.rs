//! Lets a step that runs as nobody work on files as if it were their owner.
//!
//! A runner that is root must not run steps as root, and yet a step shall read what is granted to it and
//! leave files behind that belong to whoever owns the granted directory. So each granted tree is mounted
//! with its ids mapped: inside the mount, its owner and [`STEP_ID`] change places. On disk nothing
//! changes. The kernel takes such a map in the form of a user namespace.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, WaitOptions, getegid, geteuid, kill_process, waitpid};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Who a step is on a host whose runner is root: `nobody`, as user and as group. Later each slot has its own.
pub(super) const STEP_ID: u32 = 65534;

/// The largest id; the one above it means "none".
const ID_MAX: u32 = u32::MAX - 1;

const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// `struct mount_attr` of `mount_setattr(2)`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// The map for what belongs to the runner itself, as workspaces do: made once, in the zygote, for all its clones.
static OWN: OnceLock<OwnedFd> = OnceLock::new();

/// Makes [`OWN`]; only root can use one. Where it fails, each step makes what it needs.
pub(super) fn prepare() {
    if geteuid().is_root()
        && let Ok(map) = swapped((geteuid().as_raw(), getegid().as_raw()))
    {
        OWN.get_or_init(|| map);
    }
}

/// The map that was prepared, if it is this owner's.
pub(super) fn prepared(owner: (u32, u32)) -> Option<BorrowedFd<'static>> {
    let own = (geteuid().as_raw(), getegid().as_raw());
    OWN.get().filter(|_| owner == own).map(AsFd::as_fd)
}

/// The number under which clones find [`OWN`].
pub(super) fn prepared_number() -> Option<RawFd> {
    OWN.get().map(AsRawFd::as_raw_fd)
}

/// Makes a user namespace in which the owner and [`STEP_ID`] have changed places. Needs root, and a
/// process with one thread.
pub(super) fn swapped(owner: (u32, u32)) -> io::Result<OwnedFd> {
    let (ours, theirs) = UnixStream::pair()?;
    let holder = fork_holder(ours, theirs)?;
    let opened = holder.write_maps(owner);
    kill_process(holder.pid, Signal::KILL)?;
    waitpid(Some(holder.pid), WaitOptions::empty())?;
    opened
}

/// A process that does nothing but be in a new user namespace.
struct Holder {
    pid: Pid,
    ready: UnixStream,
}

#[expect(
    unsafe_code,
    reason = "a user namespace is made by a process that enters it"
)]
fn fork_holder(ours: UnixStream, mut theirs: UnixStream) -> io::Result<Holder> {
    // SAFETY: this process has one thread, so its child finds every lock free.
    let forked = unsafe { libc::fork() };
    match forked {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(ours);
            // SAFETY: only the user namespace is left; descriptors are not touched.
            let entered = unsafe { unshare_unsafe(UnshareFlags::NEWUSER) };
            let id = if entered.is_ok() { host_id() } else { 0 };
            let _unheard = theirs.write_all(&id.to_ne_bytes());
            // Until we are killed, or whoever made us is gone.
            let _end = theirs.read(&mut [0]);
            // SAFETY: ends this process without running anything of its parent's.
            unsafe { libc::_exit(0) }
        }
        child => Ok(Holder {
            pid: Pid::from_raw(child).ok_or_else(|| io::Error::other("a child without an id"))?,
            ready: ours,
        }),
    }
}

/// What the host's `/proc` calls this process, which has another id in a namespace of its own; 0 if it calls it
/// nothing.
fn host_id() -> u32 {
    let link = std::fs::read_link("/proc/self").ok();
    link.and_then(|name| name.to_str()?.parse().ok())
        .unwrap_or(0)
}

impl Holder {
    fn write_maps(&self, (uid, gid): (u32, u32)) -> io::Result<OwnedFd> {
        let mut id = [0; size_of::<u32>()];
        (&self.ready).read_exact(&mut id)?;
        let id = u32::from_ne_bytes(id);
        if id == 0 {
            return Err(io::Error::other("no user namespace could be made"));
        }
        let proc = format!("/proc/{id}");
        std::fs::write(format!("{proc}/uid_map"), swap_map(uid))?;
        std::fs::write(format!("{proc}/gid_map"), swap_map(gid))?;
        let namespace = format!("{proc}/ns/user");
        Ok(rustix::fs::open(
            namespace,
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )?)
    }
}

/// The map of a user namespace in which `owner` and [`STEP_ID`] have changed places.
fn swap_map(owner: u32) -> String {
    let (low, high) = (owner.min(STEP_ID), owner.max(STEP_ID));
    let swapped = [(low, high, 1), (high, low, 1)];
    let kept = [
        (0, low),
        (low.saturating_add(1), high),
        (high.saturating_add(1), ID_MAX),
    ];
    let kept = kept
        .into_iter()
        .filter(|(from, to)| from < to)
        .map(|(from, to)| (from, from, to - from));
    let swapped = swapped.into_iter().take(if low == high { 1 } else { 2 });
    let lines: Vec<String> = swapped
        .chain(kept)
        .map(|(inside, outside, count)| format!("{inside} {outside} {count}\n"))
        .collect();
    lines.concat()
}

/// How far attributes reach.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reach<'a> {
    /// This mount alone.
    One,
    /// This mount and all below it, and their id map if there is one.
    All(Option<BorrowedFd<'a>>),
}

/// Sets attributes (`MOUNT_ATTR_*`) of a mount.
#[expect(unsafe_code, reason = "rustix has no mount_setattr")]
pub(super) fn set_attributes(
    mount: BorrowedFd<'_>,
    attributes: u64,
    reach: Reach<'_>,
) -> io::Result<()> {
    let mut attr = MountAttr {
        attr_set: attributes,
        ..MountAttr::default()
    };
    let (flags, map) = match reach {
        Reach::One => (libc::AT_EMPTY_PATH, None),
        Reach::All(map) => (libc::AT_EMPTY_PATH | libc::AT_RECURSIVE, map),
    };
    if let Some(map) = map {
        attr.attr_set |= MOUNT_ATTR_IDMAP;
        attr.userns_fd = u64::try_from(map.as_raw_fd()).map_err(io::Error::other)?;
    }
    // SAFETY: the path is an empty C string, the structure lives until the call returns and its size is
    // given; the kernel keeps neither.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ids_change_places_and_all_others_stay() {
        for (owner, expected) in [
            (
                0,
                "0 65534 1\n65534 0 1\n1 1 65533\n65535 65535 4294901759\n",
            ),
            (
                1000,
                "1000 65534 1\n65534 1000 1\n0 0 1000\n1001 1001 64533\n65535 65535 4294901759\n",
            ),
            (65534, "65534 65534 1\n0 0 65534\n65535 65535 4294901759\n"),
        ] {
            assert_eq!(swap_map(owner), expected, "{owner}");
        }
    }
}
