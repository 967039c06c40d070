//! Runs one shell in a running container: starts it, carries its output to the log, sees it end.
//!
//! Two halves that work at once: the `Pump` is polled until the output ends and is never cut in the
//! middle of a write; the `Exec` is asked for the end and the status. Deliberately absent: signals and
//! time, which are `step`'s.

use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as ApiError;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use cofferdam_protocol::Origin;
use futures_util::{Stream, StreamExt as _};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::echo::{Marker, Piece, Scanner};
use super::{CLONE_DIR, shell};
use crate::log::LogSink;

/// How often the engine is asked whether a shell still runs. Its output normally ends with it; where a
/// process that it left behind keeps the output open, this is what notices.
const POLL: Duration = Duration::from_millis(500);

/// An output that is still for so long has nothing left of a shell that ended.
const QUIET: Duration = Duration::from_millis(200);

/// Longest wait for that: a process that was left behind may write for ever.
const QUIET_MAX: Duration = Duration::from_secs(10);

/// Longest wait for the status of a shell whose output has ended.
const STATUS_MAX: Duration = Duration::from_secs(10);

/// Pause before the engine is asked again for that status.
const STATUS_POLL: Duration = Duration::from_millis(20);

/// Longest wait until the shell has taken its program. It reads nothing else.
const SEND_MAX: Duration = Duration::from_mins(1);

/// Bytes read from the engine at once; what Podman puts into a frame.
const FRAME_BYTES: usize = 8 * 1024;

/// What the shells of one step wrote, and the most they may.
#[derive(Debug)]
pub(super) struct Meter {
    bytes: AtomicU64,
    bytes_max: u64,
    over: CancellationToken,
}

impl Meter {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            bytes: AtomicU64::new(0),
            bytes_max,
            over: CancellationToken::new(),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns when more was written than allowed.
    pub(super) async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Counts `bytes`; answers how many of them may still pass.
    fn take(&self, bytes: usize) -> usize {
        let more = bytes as u64;
        let before = self.bytes.fetch_add(more, Ordering::Relaxed);
        let room = self.bytes_max.saturating_sub(before);
        if more <= room {
            return bytes;
        }
        self.bytes.store(self.bytes_max, Ordering::Relaxed);
        self.over.cancel();
        usize::try_from(room).unwrap_or(usize::MAX)
    }
}

/// How far an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Moving,
    Quiet,
    Ended,
}

/// One shell.
#[derive(Debug)]
pub(super) struct Exec {
    docker: Docker,
    id: String,
    flow: watch::Receiver<Flow>,
    cut: CancellationToken,
    /// As soon as it is known: an engine forgets it after a while, and the log may be slow.
    status: OnceLock<Option<u8>>,
}

/// The output of one shell, on its way to the log.
pub(super) struct Pump<'a> {
    output: Pin<Box<dyn Stream<Item = Result<LogOutput, ApiError>> + Send>>,
    scanner: Scanner,
    lines: &'a [String],
    flow: watch::Sender<Flow>,
    cut: CancellationToken,
}

/// Starts a shell in `container` that runs `lines`, with `env` as its environment.
pub(super) async fn start<'a>(
    docker: &Docker,
    container: &str,
    env: Vec<String>,
    lines: &'a [String],
) -> Result<(Exec, Pump<'a>), ApiError> {
    let options = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(false),
        privileged: Some(false),
        user: Some("0:0".to_owned()),
        working_dir: Some(CLONE_DIR.to_owned()),
        env: Some(env),
        cmd: Some(shell::command().map(str::to_owned).to_vec()),
        detach_keys: None,
    };
    let id = docker.create_exec(container, options).await?.id;
    let how = StartExecOptions {
        output_capacity: Some(FRAME_BYTES),
        ..StartExecOptions::default()
    };
    let StartExecResults::Attached { output, input } = docker.start_exec(&id, Some(how)).await?
    else {
        return Err(ApiError::RequestTimeoutError);
    };
    let marker = Marker::new(&id);
    send(input, &shell::program(lines, &marker)).await?;
    let (flow, watched) = watch::channel(Flow::Moving);
    let cut = CancellationToken::new();
    let exec = Exec {
        docker: docker.clone(),
        id,
        flow: watched,
        cut: cut.clone(),
        status: OnceLock::new(),
    };
    let pump = Pump {
        output,
        scanner: Scanner::new(marker),
        lines,
        flow,
        cut,
    };
    Ok((exec, pump))
}

async fn send(mut input: Pin<Box<dyn AsyncWrite + Send>>, program: &str) -> Result<(), ApiError> {
    let sent = timeout(SEND_MAX, async {
        input.write_all(program.as_bytes()).await?;
        input.shutdown().await
    });
    match sent.await {
        Ok(Ok(())) => Ok(()),
        // A shell that ended at once took nothing; its status says why.
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Ok(Err(error)) => Err(error.into()),
        Err(_elapsed) => Err(ApiError::RequestTimeoutError),
    }
}

impl Pump<'_> {
    /// Carries the output to `log` until it ends or is cut. Must be polled to its end: dropping it may
    /// lose bytes.
    pub(super) async fn run(mut self, log: &dyn LogSink, meter: &Meter) {
        let mut flow = Flow::Moving;
        loop {
            self.flow.send_replace(flow);
            let next = tokio::select! {
                biased;
                next = self.output.next() => next,
                () = self.cut.cancelled() => break,
                () = sleep(QUIET), if flow == Flow::Moving => {
                    flow = Flow::Quiet;
                    continue;
                }
            };
            flow = Flow::Moving;
            match next {
                Some(Ok(LogOutput::StdErr { message })) => {
                    let room = meter.take(message.len());
                    if room > 0 {
                        log.write(Origin::Stderr, &message[..room]).await;
                    }
                }
                Some(Ok(output)) => {
                    for piece in self.scanner.push(&output.into_bytes()) {
                        write_piece(piece, self.lines, log, meter).await;
                    }
                }
                // The engine went away: the status, if there is one, tells what became of the shell.
                Some(Err(error)) => {
                    tracing::warn!(%error, "the output of a script broke off");
                    break;
                }
                None => break,
            }
        }
        let rest = Piece::Bytes(self.scanner.finish());
        write_piece(rest, self.lines, log, meter).await;
        self.flow.send_replace(Flow::Ended);
    }
}

async fn write_piece(piece: Piece, lines: &[String], log: &dyn LogSink, meter: &Meter) {
    match piece {
        Piece::Bytes(bytes) => {
            let room = meter.take(bytes.len());
            if room > 0 {
                log.write(Origin::Stdout, &bytes[..room]).await;
            }
        }
        Piece::Line(index) => {
            if let Some(line) = lines.get(index) {
                let echo = format!("+ {}\n", line.trim_end());
                log.write(Origin::System, echo.as_bytes()).await;
            }
        }
    }
}

impl Exec {
    /// Returns when the shell has ended and all that it wrote is in the log.
    pub(super) async fn ended(&self) {
        let mut flow = self.flow.clone();
        loop {
            tokio::select! {
                _ = flow.wait_for(|flow| *flow == Flow::Ended) => return,
                () = sleep(POLL) => {}
            }
            // An engine that does not answer is asked again: the step has a timeout.
            if let Ok(true) = self.has_status().await {
                break;
            }
        }
        let still = flow.wait_for(|flow| *flow != Flow::Moving);
        drop(timeout(QUIET_MAX, still).await);
    }

    /// Waits up to `patience` for the end of the output, then cuts it off.
    pub(super) async fn cut_after(&self, patience: Duration) {
        let mut flow = self.flow.clone();
        let ended = flow.wait_for(|flow| *flow == Flow::Ended);
        drop(timeout(patience, ended).await);
        self.cut.cancel();
    }

    /// The shell's exit status, 128 + n for a signal. `None` when the engine does not know it.
    pub(super) async fn status(&self) -> Result<Option<u8>, ApiError> {
        let deadline = Instant::now() + STATUS_MAX;
        loop {
            // The output may end a moment before the engine has noted the status.
            if self.has_status().await? {
                return Ok(self.status.get().copied().flatten());
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            sleep(STATUS_POLL).await;
        }
    }

    /// Whether the shell has ended; if so, its status is kept.
    async fn has_status(&self) -> Result<bool, ApiError> {
        if self.status.get().is_none() {
            let state = self.docker.inspect_exec(&self.id).await?;
            if state.running != Some(false) {
                return Ok(false);
            }
            let status = state.exit_code.and_then(|code| u8::try_from(code).ok());
            self.status.get_or_init(|| status);
        }
        Ok(true)
    }
}
