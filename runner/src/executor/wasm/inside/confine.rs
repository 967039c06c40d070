//! The walls around a confined process, in the order in which they rise. Each stage has a name; the first
//! one that fails is what the runner hears about.
//!
//! Two more rise when everything is loaded and nothing of the guest has run: `landlock`, while there is
//! one thread, and `filter`, around all threads.

pub(super) mod filter;
pub(super) mod landlock;

use std::io;
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    DumpableBehavior, Gid, Resource, Rlimit, Signal, Uid, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::idmap::STEP_ID;
use super::tree::{self, Raised};
use crate::executor::wasm::link::Mount;
use crate::process::Namespaces;
use crate::receipt::isolation::Isolation;

/// What is to stand around this process.
#[derive(Debug)]
pub(super) struct Confinement<'a> {
    /// What it was cloned into.
    pub namespaces: Namespaces,
    /// The socket to the runner: closed at the other end, the runner is gone.
    pub link: &'a UnixStream,
    /// A tree, and the mounts for it; `None` where the host has no namespaces.
    pub tree: Option<(Raised, &'a [Mount])>,
    /// What it may use.
    pub limits: &'a Rlimits,
}

/// Limits that the kernel watches over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rlimits {
    /// Private writable memory. It does count a guest's memories; reserved address space it does not.
    pub data_bytes: u64,
    /// Largest file.
    pub file_bytes: u64,
    /// Open files.
    pub files: u64,
    /// Processor time.
    pub cpu_secs: Option<u64>,
}

/// Why the walls do not stand.
#[derive(Debug)]
pub(super) enum WallError {
    /// This host cannot build the tree. Another process may be tried without one.
    NoTree(String),
    /// Anything else: this process must not go on.
    Broken(String),
}

/// What every confined process does first of all: it dies with the runner, and a terminal cannot signal it.
pub(super) fn begin(link: &UnixStream) -> Result<(), WallError> {
    stage("orphan", die_with_the_runner(link))?;
    stage("signals", ignore_signals())
}

/// Lets the walls rise around this process, which must have one thread and has called [`begin`].
pub(super) fn confine(confinement: Confinement<'_>) -> Result<Isolation, WallError> {
    let Confinement {
        namespaces,
        link,
        tree,
        limits,
    } = confinement;
    let built = match tree {
        Some((raised, mounts)) => {
            let built = tree::build(raised, mounts);
            Some(built.map_err(|error| WallError::NoTree(error.to_string()))?)
        }
        None => None,
    };
    stage("limits", limit(limits))?;
    stage("bounding set", drop_bounding_set())?;
    if built.as_ref().is_some_and(|built| built.is_step_id) {
        stage("identity", become_nobody())?;
    }
    stage("capabilities", drop_capabilities())?;
    stage("locked", lock())?;
    // Each change of identity made the kernel forget this.
    stage("orphan", die_with_the_runner(link))?;
    let own = built.as_ref().map(|_| tree::NAMESPACES);
    Ok(Isolation {
        namespaces: own
            .into_iter()
            .flatten()
            .chain(namespaces.names())
            .map(str::to_owned)
            .collect(),
        has_tree: built.is_some(),
        uid: rustix::process::geteuid().as_raw(),
        landlock_abi: None,
        has_call_filter: false,
    })
}

fn stage<T>(name: &'static str, done: io::Result<T>) -> Result<T, WallError> {
    done.map_err(|error| WallError::Broken(format!("wall `{name}`: {error}")))
}

/// Closes what the runner did not mean to hand down. It opens everything close-on-exec, but whoever
/// started *it* may not have.
#[expect(unsafe_code, reason = "rustix has no close_range")]
pub(super) fn close_inherited(but: Option<RawFd>) {
    const FIRST: libc::c_uint = 3;
    let kept = but.and_then(|kept| libc::c_uint::try_from(kept).ok());
    let ranges = match kept {
        Some(kept) => [(FIRST, kept - 1), (kept + 1, libc::c_uint::MAX)],
        None => [(FIRST, FIRST), (FIRST, libc::c_uint::MAX)],
    };
    for (first, last) in ranges {
        // SAFETY: called first thing in the process, when nothing in it owns a descriptor above standard
        // error but the one that is kept. A kernel without the call, or a range without a number, leaves
        // things as they are.
        unsafe {
            libc::syscall(libc::SYS_close_range, first, last, 0);
        }
    }
}

/// Closes a descriptor that was kept for the walls, once they stand.
#[expect(
    unsafe_code,
    reason = "it is shared by all clones and cannot be dropped"
)]
pub(super) fn close_kept(kept: Option<RawFd>) {
    if let Some(kept) = kept {
        // SAFETY: nothing uses it after the tree is built, and no descriptor of this number is owned by
        // anything else: it was open all the time.
        unsafe { rustix::io::close(kept) };
    }
}

fn die_with_the_runner(link: &UnixStream) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before we asked. Nobody but the runner holds the other end.
    let mut polled = [PollFd::new(link, PollFlags::RDHUP)];
    let now = rustix::event::Timespec::default();
    match poll(&mut polled, Some(&now))? {
        0 => Ok(()),
        _ => Err(io::Error::other("the runner is gone")),
    }
}

/// What a terminal sends to everybody in front of it is the runner's to decide about; and a file that
/// reaches its largest size is an error for the guest, not its end.
#[expect(unsafe_code, reason = "rustix does not set signal dispositions")]
fn ignore_signals() -> io::Result<()> {
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGXFSZ] {
        // SAFETY: ignoring a signal installs no handler, and there is one thread.
        if unsafe { libc::signal(signal, libc::SIG_IGN) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn limit(limits: &Rlimits) -> io::Result<()> {
    let Rlimits {
        data_bytes,
        file_bytes,
        files,
        cpu_secs,
    } = *limits;
    lower(Resource::Core, 0)?;
    lower(Resource::Data, data_bytes)?;
    lower(Resource::Fsize, file_bytes)?;
    lower(Resource::Nofile, files)?;
    cpu_secs.map_or(Ok(()), |secs| lower(Resource::Cpu, secs))
}

fn lower(resource: Resource, to: u64) -> io::Result<()> {
    let before = rustix::process::getrlimit(resource);
    let to = before.maximum.map_or(to, |maximum| maximum.min(to));
    let limit = Rlimit {
        current: Some(to),
        maximum: Some(to),
    };
    Ok(setrlimit(resource, limit)?)
}

fn drop_bounding_set() -> io::Result<()> {
    for capability in CapabilitySet::all().iter() {
        match remove_capability_from_bounding_set(capability) {
            // Unknown to this kernel, or not ours to drop because we have none to begin with.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn become_nobody() -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(STEP_ID), Gid::from_raw(STEP_ID));
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    Ok(set_thread_res_uid(uid, uid, uid)?)
}

fn drop_capabilities() -> io::Result<()> {
    clear_ambient_capability_set()?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, none)?)
}

fn lock() -> io::Result<()> {
    set_no_new_privs(true)?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
