//! The zygote: this executable once more, with one thread, from which every confined process is cloned.
//!
//! A clone finds the engine made and the program loaded, which an execution would have to do again, and the
//! runner itself, which has threads, cannot be cloned. A request is one message with a mode and three
//! descriptors; the answer is a process id or an error of the kernel. The clone is a child of the runner and
//! not of the zygote, so whoever asked can wait for it, and it dies with the thread that asked.
//!
//! What the clones share because of it: where the kernel put the program, and the stack protector's secret.
//! Whoever reads them in one step knows them in the next. Deliberately absent: anything that a guest, a module or
//! a hub has said. The zygote never sees a byte of theirs.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, ExitCode, Stdio};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{Pid, Signal, set_parent_process_death_signal};

use super::{Mode, Namespaces};

/// The hidden argument that makes this executable a zygote.
pub(super) const ARGUMENT: &str = "zygote";

/// Standard input, the link and standard error of a new process.
const DESCRIPTORS: usize = 3;

/// What a process ends with that panicked, as Rust programs do.
const PANICKED: u8 = 101;

/// A running zygote.
#[derive(Debug)]
pub(super) struct Zygote {
    process: Child,
    socket: OwnedFd,
}

impl Zygote {
    /// Executes `program` as a zygote.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the process module: empty environment, explicit directory"
    )]
    pub(super) fn start(program: &Path) -> io::Result<Self> {
        let (socket, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let process = std::process::Command::new(program)
            .arg(ARGUMENT)
            .env_clear()
            .current_dir("/")
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { process, socket })
    }

    /// Clones a process that has these as its standard input, output and error.
    pub(super) fn clone_process(
        &self,
        mode: Mode,
        descriptors: [BorrowedFd<'_>; DESCRIPTORS],
    ) -> Result<Pid, CloneError> {
        let gone = |error: Errno| CloneError::Gone(error.into());
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        let request = [mode.code()];
        let message = [IoSlice::new(&request)];
        sendmsg(&self.socket, &message, &mut ancillary, SendFlags::NOSIGNAL).map_err(gone)?;

        let mut answer = [0; size_of::<i32>()];
        let (_, length) =
            rustix::net::recv(&self.socket, &mut answer, RecvFlags::empty()).map_err(gone)?;
        if length != answer.len() {
            return Err(CloneError::Gone(io::ErrorKind::UnexpectedEof.into()));
        }
        match i32::from_ne_bytes(answer) {
            error @ ..=0 => Err(CloneError::Refused(io::Error::from_raw_os_error(-error))),
            id => Pid::from_raw(id).ok_or(CloneError::Refused(io::ErrorKind::InvalidData.into())),
        }
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        // Both fail only when it has gone before.
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Why there is no new process.
#[derive(Debug)]
pub(super) enum CloneError {
    /// The zygote is no more; another one may be better.
    Gone(io::Error),
    /// The kernel said no.
    Refused(io::Error),
}

/// Answers requests until the runner is gone. `become_mode` is what a clone does, in these namespaces; it returns its
/// exit status.
pub fn serve(become_mode: impl Fn(Mode, Namespaces) -> u8) -> ExitCode {
    let served = set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(io::Error::from)
        .and_then(|()| serve_requests(&become_mode));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve_requests(become_mode: &impl Fn(Mode, Namespaces) -> u8) -> io::Result<()> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let mut namespaces = Namespaces::enter();
    while let Some((mode, descriptors)) = take_request(socket.as_fd())? {
        let answer = match namespaces.fork_into() {
            Ok(Some(child)) => child.as_raw_nonzero().get(),
            Ok(None) => end(in_clone(mode, &descriptors, |mode| {
                become_mode(mode, namespaces)
            })),
            Err(error) => -error.raw_os_error().unwrap_or(libc::EIO),
        };
        drop(descriptors);
        rustix::net::send(&socket, &answer.to_ne_bytes(), SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

type Request = (Mode, [OwnedFd; DESCRIPTORS]);

fn take_request(socket: BorrowedFd<'_>) -> io::Result<Option<Request>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut code = [0];
    let mut message = [IoSliceMut::new(&mut code)];
    let received = recvmsg(
        socket,
        &mut message,
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let descriptors: Vec<OwnedFd> = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    let nonsense = || io::Error::from(io::ErrorKind::InvalidData);
    let mode = Mode::of_code(code[0]).ok_or_else(nonsense)?;
    let descriptors = descriptors.try_into().map_err(|_| nonsense())?;
    Ok(Some((mode, descriptors)))
}

/// What a clone does: takes its streams and becomes what was asked for.
fn in_clone(
    mode: Mode,
    [stdin, link, stderr]: &[OwnedFd; DESCRIPTORS],
    become_mode: impl FnOnce(Mode) -> u8,
) -> u8 {
    let streams = rustix::stdio::dup2_stdin(stdin)
        .and_then(|()| rustix::stdio::dup2_stdout(link))
        .and_then(|()| rustix::stdio::dup2_stderr(stderr));
    if streams.is_err() {
        return PANICKED;
    }
    // A panic must not return into the loop of the zygote.
    catch_unwind(AssertUnwindSafe(|| become_mode(mode))).unwrap_or(PANICKED)
}

/// Clones this process, which must have one thread; `None` in the clone.
#[expect(
    unsafe_code,
    reason = "neither the standard library nor rustix clones a process"
)]
pub(super) fn fork(flags: libc::c_int) -> io::Result<Option<Pid>> {
    let arguments = libc::clone_args {
        flags: u64::try_from(flags | libc::CLONE_PARENT).map_err(io::Error::other)?,
        pidfd: 0,
        child_tid: 0,
        parent_tid: 0,
        // The clone's parent learns of its end as it learns of ours.
        exit_signal: 0,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    // SAFETY: there is one thread, so the clone finds every lock free; no memory is shared with it, and it goes
    // on with a copy of this stack. The structure lives until the call returns.
    let cloned = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const arguments,
            size_of::<libc::clone_args>(),
        )
    };
    match cloned {
        -1 => Err(io::Error::last_os_error()),
        id => Ok(i32::try_from(id).ok().and_then(Pid::from_raw)),
    }
}

/// Ends a clone without what the zygote would have to do at its own end.
#[expect(
    unsafe_code,
    reason = "the standard library has no way out that runs nothing"
)]
fn end(status: u8) -> ! {
    // SAFETY: ends this process, and runs nothing of it before.
    unsafe { libc::_exit(status.into()) }
}
