//! The namespaces that a clone of the zygote finds itself in.
//!
//! What is dear and holds nothing is made once and shared: an empty network, and for an ordinary user a user
//! namespace in which it is itself. What tells processes apart, a namespace of process ids, is made for each clone.
//! Mounts and what else a clone can make for itself is left to it.

use std::io;

use rustix::process::{Pid, getegid, geteuid};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::zygote::fork;

/// What stands around a clone before it does anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespaces {
    /// A user namespace in which it has every capability and is nobody else than the runner's user.
    pub has_user: bool,
    /// A network without an interface that is up, shared by all clones of a zygote.
    pub has_net: bool,
    /// Process ids of its own: it is the first process in there and sees no other.
    pub has_pid: bool,
}

impl Namespaces {
    /// The names of those that stand, as the kernel calls them.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let Self {
            has_user,
            has_net,
            has_pid,
        } = self;
        [("user", has_user), ("net", has_net), ("pid", has_pid)]
            .into_iter()
            .filter_map(|(name, stands)| stands.then_some(name))
    }

    /// Makes what clones share, as far as this host allows it. To be called with one thread.
    pub(super) fn enter() -> Self {
        let has_user = !geteuid().is_root() && enter_user_namespace().is_ok();
        Self {
            has_user,
            has_net: unshare(UnshareFlags::NEWNET).is_ok(),
            // Known when it was tried.
            has_pid: true,
        }
    }

    /// Clones this process, with process ids of its own unless the host has none; `None` in the clone.
    pub(super) fn fork_into(&mut self) -> io::Result<Option<Pid>> {
        if self.has_pid {
            match fork(libc::CLONE_NEWPID) {
                Err(_) => self.has_pid = false,
                cloned => return cloned,
            }
        }
        fork(0)
    }
}

#[expect(unsafe_code, reason = "unshare can take descriptor tables apart")]
fn unshare(what: UnshareFlags) -> rustix::io::Result<()> {
    // SAFETY: the descriptor table is not among what is unshared.
    unsafe { unshare_unsafe(what) }
}

/// An ordinary user may make namespaces in a user namespace only. One without a map would be nobody to the host's
/// files.
fn enter_user_namespace() -> io::Result<()> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    unshare(UnshareFlags::NEWUSER)?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
}
