//! Starts confined processes, watches them and ends them.
//!
//! The runner asks for a process; what comes back is a handle with a socket to it. Every one is cloned from
//! the `zygote`, which is this very executable again. What the process does is decided by `executor/wasm`. No
//! shell, no search path, no inherited environment: other programs are not started from here.

mod namespaces;
mod reap;
pub mod rights;
mod zygote;

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::mpsc;
use std::time::Duration;

use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use self::zygote::{CloneError, Zygote};

pub use self::namespaces::Namespaces;
pub use self::zygote::serve;

/// Launches that may wait for the launching thread. A launch takes a few milliseconds; more waiting than
/// jobs on one host makes no sense.
const LAUNCHES_WAITING_MAX: usize = 256;

/// How much of what a confined process wrote to its own standard error is kept, in bytes: a panic message
/// and some of its context.
const LAST_WORDS_BYTES_MAX: u64 = 4096;

/// What a confined process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Runs one guest, in a tree of its own.
    Step,
    /// Runs one guest where no tree can be built.
    StepInPlace,
    /// Compiles one module.
    Compile,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Step, Self::StepInPlace, Self::Compile];

    /// Its name for whoever looks at the host's processes; the kernel keeps 15 bytes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Step | Self::StepInPlace => "cofferdam-step",
            Self::Compile => "cofferdam-compi",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Step => 1,
            Self::Compile => 2,
            Self::StepInPlace => 3,
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.code() == code)
    }
}

/// Whether this executable was started as a zygote. To be asked first thing in `main`, before any thread exists.
pub fn is_zygote(mut arguments: impl Iterator<Item = impl AsRef<OsStr>>) -> bool {
    let is_it = |argument: &_| AsRef::<OsStr>::as_ref(argument) == zygote::ARGUMENT;
    arguments.nth(1).as_ref().is_some_and(is_it) && arguments.next().is_none()
}

/// Starts confined processes from a thread of its own.
///
/// A process asks the kernel to be killed when its parent dies, and the kernel takes "parent" to mean the
/// thread that started it. So that thread must live as long as the runner does; a worker of an
/// asynchronous runtime does not.
#[derive(Debug)]
pub struct Launcher {
    launches: mpsc::SyncSender<Launch>,
}

#[derive(Debug)]
struct Launch {
    mode: Mode,
    stdin: OwnedFd,
    reply: oneshot::Sender<io::Result<Started>>,
}

#[derive(Debug)]
struct Started {
    pid: Pid,
    link: StdUnixStream,
    stderr: OwnedFd,
}

impl Launcher {
    /// Starts the thread, and the zygote from it. `program` is this executable: `/proc/self/exe`, or its path in
    /// tests.
    pub fn start(program: PathBuf) -> io::Result<Self> {
        let (launches, waiting) = mpsc::sync_channel::<Launch>(LAUNCHES_WAITING_MAX);
        std::thread::Builder::new()
            .name("launcher".to_owned())
            .spawn(move || {
                let mut nursery = Nursery::new(program);
                for launch in waiting {
                    let started = nursery.start(launch.mode, launch.stdin.as_fd());
                    if let Err(Ok(unwanted)) = launch.reply.send(started) {
                        reap::kill_and_forget(unwanted.pid);
                    }
                }
            })?;
        Ok(Self { launches })
    }

    /// Starts a process that has `stdin` as its standard input and a socket to us as its standard
    /// output. It is killed when the handle is dropped.
    pub async fn launch(&self, mode: Mode, stdin: OwnedFd) -> io::Result<Process> {
        let gone = || io::Error::other("the launching thread is gone");
        let (reply, started) = oneshot::channel();
        let launch = Launch { mode, stdin, reply };
        self.launches
            .try_send(launch)
            .map_err(|error| match error {
                mpsc::TrySendError::Full(_) => io::Error::from(io::ErrorKind::WouldBlock),
                mpsc::TrySendError::Disconnected(_) => gone(),
            })?;
        let Started { pid, link, stderr } = started.await.map_err(|_| gone())??;
        Process::adopt(pid, link, stderr)
    }
}

/// The zygote, made anew should it ever be gone: only the host can end it, out of memory for example.
#[derive(Debug)]
struct Nursery {
    program: PathBuf,
    zygote: Option<Zygote>,
}

impl Nursery {
    fn new(program: PathBuf) -> Self {
        // Where this fails, whoever asks first for a process hears why.
        let zygote = Zygote::start(&program).ok();
        Self { program, zygote }
    }

    fn start(&mut self, mode: Mode, stdin: BorrowedFd<'_>) -> io::Result<Started> {
        let (link, theirs) = StdUnixStream::pair()?;
        link.set_nonblocking(true)?;
        let (stderr, their_stderr) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let descriptors = [stdin, theirs.as_fd(), their_stderr.as_fd()];
        let pid = match self.zygote()?.clone_process(mode, descriptors) {
            Err(CloneError::Gone(_)) => {
                self.zygote = None;
                self.zygote()?.clone_process(mode, descriptors)
            }
            cloned => cloned,
        };
        match pid {
            Ok(pid) => Ok(Started { pid, link, stderr }),
            Err(CloneError::Gone(error) | CloneError::Refused(error)) => Err(error),
        }
    }

    fn zygote(&mut self) -> io::Result<&Zygote> {
        let zygote = match self.zygote.take() {
            Some(zygote) => zygote,
            None => Zygote::start(&self.program)?,
        };
        Ok(self.zygote.insert(zygote))
    }
}

/// A running process of ours. Dropping it kills it, without waiting.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    pidfd: AsyncFd<OwnedFd>,
    stderr: OwnedFd,
    is_reaped: bool,
    link: Option<UnixStream>,
}

/// How a process ended, as the kernel saw it.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Exit or signal.
    pub status: ExitStatus,
    /// Processor time, user and system together.
    pub cpu: Duration,
    /// Peak resident memory in bytes. Never less than its parent's at the start, so
    /// [`Process::memory_peak_bytes`] is the better number while it lives.
    pub memory_peak_bytes: u64,
}

impl Process {
    fn adopt(pid: Pid, link: StdUnixStream, stderr: OwnedFd) -> io::Result<Self> {
        let parts = || -> io::Result<_> {
            let pidfd = watch(pidfd_open(pid, PidfdFlags::empty())?)?;
            rustix::io::ioctl_fionbio(stderr.as_fd(), true)?;
            Ok((pidfd, UnixStream::from_std(link)?))
        };
        match parts() {
            Ok((pidfd, link)) => Ok(Self {
                pid,
                pidfd,
                stderr,
                is_reaped: false,
                link: Some(link),
            }),
            Err(error) => {
                reap::kill_and_forget(pid);
                Err(error)
            }
        }
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The socket to it, once. Closing it tells the process that we are done with it.
    pub fn take_link(&mut self) -> io::Result<UnixStream> {
        let taken = || io::Error::other("the socket was taken before");
        self.link.take().ok_or_else(taken)
    }

    /// Ends it now. Harmless when it has already ended.
    pub fn kill(&self) {
        // It fails only when the process is gone, which is what we want.
        let _gone = pidfd_send_signal(self.pidfd.get_ref(), Signal::KILL);
    }

    /// The most resident memory that it has had so far, in bytes, as the kernel counts it.
    pub fn memory_peak_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kib.checked_mul(1024)
    }

    /// Waits for its end. Cancelling the wait is harmless.
    pub async fn wait(&mut self) -> io::Result<Ended> {
        loop {
            let mut ready = self.pidfd.readable().await?;
            if let Some(ended) = reap::try_wait(self.pid)? {
                self.is_reaped = true;
                return Ok(ended);
            }
            ready.clear_ready();
        }
    }

    /// What it wrote to its own standard error, as one harmless line: a panic, if there was one.
    pub fn last_words(&self) -> String {
        let mut words = Vec::new();
        if let Ok(stderr) = self.stderr.try_clone() {
            // It ends at the first byte that is not there yet, with an error that tells us nothing.
            let _end = std::fs::File::from(stderr)
                .take(LAST_WORDS_BYTES_MAX)
                .read_to_end(&mut words);
        }
        one_line(&String::from_utf8_lossy(&words))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_reaped {
            reap::kill_and_forget(self.pid);
        }
    }
}

/// Lets a task wait until there is something to read.
#[expect(unsafe_code, reason = "tokio cannot know that a descriptor stays open")]
pub fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, always gives the same descriptor, and nobody else can close it.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?)
}

/// Text of a confined process as one line that a terminal cannot be fooled with, at most
/// [`LAST_WORDS_BYTES_MAX`] bytes and a little.
pub fn one_line(text: &str) -> String {
    let end = text.floor_char_boundary(usize::try_from(LAST_WORDS_BYTES_MAX).unwrap_or(usize::MAX));
    let harmless = text[..end].replace(|char: char| char.is_control(), " ");
    harmless.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Exit status or signal, in words.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zygote_is_asked_for_by_its_argument_alone() {
        for (arguments, expected) in [
            (vec!["cofferdam", "zygote"], true),
            (vec!["cofferdam", "zygote", "x"], false),
            (vec!["cofferdam", "step", "run"], false),
            (vec!["cofferdam"], false),
            (vec![], false),
        ] {
            assert_eq!(is_zygote(arguments.iter()), expected, "{arguments:?}");
        }
    }
}
