//! A process id namespace for the step: it sees no process but itself, and is the first one in there.
//!
//! Only a child can be in a new one, so this process makes a child that becomes the step, tells the
//! runner which process of the host that is, and turns into its keeper: it holds nothing, may do next to
//! nothing, waits, and dies of what the step died of.

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Resource, WaitOptions, waitpid};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::filter::{Filtered, filter};
use super::{become_nobody, drop_bounding_set, drop_capabilities, lock, lower};
use crate::executor::wasm::link::{StepReport, send_report};

/// What the child knows of its keeper.
#[derive(Debug)]
pub(super) struct Keeper(OwnedFd);

impl Keeper {
    /// Whether it is gone. From the moment on in which the kernel was asked to end us with it, the answer
    /// "no" stays true for as long as we live.
    pub(super) fn is_gone(&self) -> io::Result<bool> {
        let mut polled = [PollFd::new(&self.0, PollFlags::IN)];
        let now = rustix::event::Timespec::default();
        Ok(poll(&mut polled, Some(&now))? > 0)
    }
}

/// Makes the namespace and returns in it, in a child; `None` where this host allows none. This process
/// must have one thread; it never returns once there is a child. `is_step_id`: whether the step becomes
/// `nobody`, and so its keeper too.
#[expect(
    unsafe_code,
    reason = "a process id namespace begins with a fork into it"
)]
pub(super) fn enter_pid_namespace(
    link: &UnixStream,
    is_step_id: bool,
) -> io::Result<Option<Keeper>> {
    // SAFETY: the descriptor table is not among what is unshared.
    if unsafe { unshare_unsafe(UnshareFlags::NEWPID) }.is_err() {
        return Ok(None);
    }
    let (ours, theirs) = UnixStream::pair()?;
    // SAFETY: this process has one thread, so its child finds every lock free.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(ours);
            // The runner has to hear of us first.
            (&theirs).read_exact(&mut [0])?;
            Ok(Some(Keeper(theirs.into())))
        }
        child => {
            drop(theirs);
            let kept = Pid::from_raw(child)
                .ok_or_else(|| io::Error::other("a child without an id"))
                .and_then(|child| keep(child, is_step_id, (link, &ours)));
            // A child whose keeper fails loses it, and ends.
            let status = kept.map_or(libc::EXIT_FAILURE, die_of);
            // SAFETY: ends this process without running anything that is the step's to run.
            unsafe { libc::_exit(status) }
        }
    }
}

fn keep(
    child: Pid,
    is_step_id: bool,
    (link, mut child_link): (&UnixStream, &UnixStream),
) -> io::Result<ExitStatus> {
    let id = child.as_raw_nonzero().get().unsigned_abs();
    send_report(link, &StepReport::Process(id))?;
    child_link.write_all(&[1])?;
    release_all_but(child_link)?;
    lower(Resource::Core, 0)?;
    drop_bounding_set()?;
    if is_step_id {
        become_nobody()?;
    }
    drop_capabilities()?;
    lock()?;
    super::die_with_parent()?;
    filter(Filtered::Keeper)?;
    loop {
        match waitpid(Some(child), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(ExitStatus::from_raw(status.as_raw())),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The socket to the runner must close when the step closes it, and nothing else is a keeper's either.
#[expect(unsafe_code, reason = "rustix has no close_range")]
fn release_all_but(kept: &UnixStream) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let kept = libc::c_uint::try_from(kept.as_raw_fd()).map_err(io::Error::other)?;
    for (first, last) in [(0, kept - 1), (kept + 1, libc::c_uint::MAX)] {
        // SAFETY: nothing that owns one of these is used, or dropped, before this process ends.
        if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Ends this process by the signal that ended the step, if it was one, so that the runner reads the true
/// status from us. Otherwise the exit status to end with.
#[expect(unsafe_code, reason = "rustix does not set signal dispositions")]
fn die_of(status: ExitStatus) -> libc::c_int {
    if let Some(signal) = status.signal() {
        // SAFETY: there is one thread, and no handler is installed.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        // SAFETY: as above; by now the signal has its default effect.
        unsafe { libc::raise(signal) };
    }
    status.code().unwrap_or(libc::EXIT_FAILURE)
}
