//! The walls around a confined process, in the order in which they rise. Each stage has a name; the first
//! one that fails is what the runner hears about.
//!
//! Two more rise when everything is loaded and nothing of the guest has run: `landlock`, while there is
//! one thread, and `filter`, around all threads.

pub(super) mod filter;
mod keeper;
pub(super) mod landlock;

use std::io;
use std::os::unix::net::UnixStream;

use rustix::process::{
    DumpableBehavior, Gid, Resource, Rlimit, Signal, Uid, getppid, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use self::keeper::Keeper;
use super::idmap::STEP_ID;
use super::tree;
use crate::executor::wasm::link::Mount;
use crate::receipt::isolation::Isolation;

/// What is to stand around this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Confinement<'a> {
    /// Whether this process shall be the only one that it sees.
    pub alone: Option<Alone<'a>>,
    /// A tree of these mounts; `None` where the host has no namespaces.
    pub tree: Option<&'a [Mount]>,
    /// What it may use.
    pub limits: &'a Rlimits,
}

/// What a process id namespace takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alone<'a> {
    /// Who our parent must be.
    pub runner: u32,
    /// Where the runner is told which process became the step.
    pub link: &'a UnixStream,
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

/// Lets the walls rise around this process, which must have one thread. With [`Alone`] it is a child of
/// this process that returns.
pub(super) fn confine(confinement: &Confinement<'_>) -> Result<Isolation, WallError> {
    stage("orphan", die_with_the_runner(confinement.alone))?;
    stage("signals", ignore_signals())?;
    let built = match confinement.tree {
        Some(mounts) => {
            Some(tree::build(mounts).map_err(|error| WallError::NoTree(error.to_string()))?)
        }
        None => None,
    };
    let is_step_id = built.as_ref().is_some_and(|built| built.is_step_id);
    let keeper = match confinement.alone {
        Some(Alone { link, .. }) => {
            let entered = keeper::enter_pid_namespace(link, is_step_id);
            stage("process namespace", entered)?
        }
        None => None,
    };
    stage("limits", limit(confinement.limits))?;
    stage("bounding set", drop_bounding_set())?;
    if is_step_id {
        stage("identity", become_nobody())?;
    }
    stage("capabilities", drop_capabilities())?;
    stage("locked", lock())?;
    // A change of identity and a fork make the kernel forget this.
    stage("orphan", die_with_parent())?;
    stage("orphan", is_kept(keeper.as_ref()))?;
    let namespaces = built.as_ref().map_or(&[][..], |built| built.namespaces);
    let pid = keeper.as_ref().map(|_| "pid");
    Ok(Isolation {
        namespaces: namespaces
            .iter()
            .copied()
            .chain(pid)
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
pub(super) fn close_inherited() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: called first thing in the process, when nothing in it owns a descriptor above standard
    // error. A kernel without the call leaves things as they are.
    unsafe {
        libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0);
    }
}

fn die_with_the_runner(alone: Option<Alone<'_>>) -> io::Result<()> {
    die_with_parent()?;
    // It may have died before we asked.
    let parent = getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
    if alone.is_some_and(|alone| alone.runner != parent) {
        return Err(io::Error::other("the runner is gone"));
    }
    Ok(())
}

fn die_with_parent() -> io::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

fn is_kept(keeper: Option<&Keeper>) -> io::Result<()> {
    match keeper.map(Keeper::is_gone).transpose()? {
        Some(true) => Err(io::Error::other("the keeper is gone")),
        Some(false) | None => Ok(()),
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
