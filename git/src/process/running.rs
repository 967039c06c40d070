//! One git process while it runs.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio_util::sync::CancellationToken;

use crate::limits::STDERR_BYTES_KEPT;

/// Bytes read at once. A Linux pipe holds as many.
const PIECE_BYTES: usize = 64 * 1024;

/// Time for killed processes to let go of their pipes. It passes only where the kernel holds one
/// in a broken disk or network mount.
const END_TIME_MAX: Duration = Duration::from_secs(5);

/// Why we ended a process.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut {
    Cancelled,
    TimedOut,
    /// The reader of its output had enough.
    Stopped,
}

/// A process group whose leader has not been waited for, so that its id is still the group's.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    group: Option<Pid>,
    exit: AsyncFd<OwnedFd>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    /// The last bytes of standard error.
    detail: Vec<u8>,
}

impl Running {
    pub(super) fn new(mut child: Child) -> io::Result<Self> {
        let group = child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
            .ok_or_else(|| io::Error::other("a process without an id"))?;
        let exit = pidfd_open(group, PidfdFlags::NONBLOCK)?;
        #[expect(
            unsafe_code,
            reason = "tokio has no other way to wait for a process without reaping it"
        )]
        // SAFETY: an `OwnedFd` stays open and is the same descriptor until it is dropped, and it is
        // dropped with the registration.
        let exit = unsafe { AsyncFd::register_with_interest(exit, Interest::READABLE) }?;
        Ok(Self {
            exit,
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            group: Some(group),
            detail: Vec::new(),
        })
    }

    /// Reads until the process has ended and closed its pipes, or there is a reason to end it.
    pub(super) async fn watch(
        &mut self,
        cancel: &CancellationToken,
        time_max: Duration,
        read: &mut (dyn FnMut(&[u8]) -> ControlFlow<()> + Send),
    ) -> Option<Cut> {
        let timeout = tokio::time::sleep(time_max);
        tokio::pin!(timeout);
        let mut is_leader_gone = false;
        let mut output = vec![0; PIECE_BYTES];
        let mut errors = vec![0; STDERR_BYTES_KEPT];
        while !is_leader_gone || self.stdout.is_some() || self.stderr.is_some() {
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Some(Cut::Cancelled),
                () = &mut timeout => return Some(Cut::TimedOut),
                count = piece(&mut self.stdout, &mut output) => {
                    if read(&output[..count]).is_break() {
                        return Some(Cut::Stopped);
                    }
                }
                count = piece(&mut self.stderr, &mut errors) => {
                    keep_end(&mut self.detail, &errors[..count]);
                }
                _ = self.exit.readable(), if !is_leader_gone => {
                    // What it started and left behind would keep the pipes open.
                    is_leader_gone = true;
                    self.kill();
                }
            }
        }
        None
    }

    /// Kills what is left of the group, waits until nobody holds its pipes, and reaps the leader.
    pub(super) async fn end(mut self) -> io::Result<(ExitStatus, Vec<u8>)> {
        self.kill();
        let mut output = vec![0; PIECE_BYTES];
        let mut errors = vec![0; STDERR_BYTES_KEPT];
        let drained = async {
            while self.stdout.is_some() || self.stderr.is_some() {
                tokio::select! {
                    _ = piece(&mut self.stdout, &mut output) => {}
                    count = piece(&mut self.stderr, &mut errors) => {
                        keep_end(&mut self.detail, &errors[..count]);
                    }
                }
            }
            self.child.wait().await
        };
        let status = tokio::time::timeout(END_TIME_MAX, drained)
            .await
            .map_err(|_| io::Error::other("a killed git process does not end"))??;
        self.group = None;
        Ok((status, std::mem::take(&mut self.detail)))
    }

    fn kill(&self) {
        if let Some(group) = self.group {
            // The only failure is that nobody is left to kill.
            _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads a piece, and closes the pipe at its end. A closed pipe gives no piece, ever.
async fn piece<Pipe>(pipe: &mut Option<Pipe>, buffer: &mut [u8]) -> usize
where
    Pipe: tokio::io::AsyncRead + Unpin,
{
    let Some(open) = pipe else {
        return std::future::pending().await;
    };
    // A pipe of ours that cannot be read is as good as closed.
    let count = open.read(buffer).await.unwrap_or(0);
    if count == 0 {
        *pipe = None;
    }
    count
}

fn keep_end(kept: &mut Vec<u8>, new: &[u8]) {
    kept.extend_from_slice(new);
    let surplus = kept.len().saturating_sub(STDERR_BYTES_KEPT);
    kept.drain(..surplus);
}
