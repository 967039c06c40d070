//! How every git process of this project runs.
//!
//! A [`Call`] becomes one process in a group of its own, with the environment of `environment.rs`
//! and nothing else, no standard input, bounds on memory, file size, output and time, and it is gone
//! with all it started before [`Program::run`] returns. Deliberately absent: a shell of ours, and
//! any argument that was not parsed into one of the types of `names`.

mod environment;
mod running;
mod spawner;

use std::ffi::OsString;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::error::{GitError, harmless};
use crate::limits::LOCAL_TIME_MAX;
use crate::names::Protocol;

pub(crate) use environment::upload_pack;
use running::{Cut, Running};
use spawner::Spawner;

/// What one git process is to do, and what it may cost.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// Completes "git could not …".
    pub(crate) what: &'static str,
    pub(crate) args: Vec<OsString>,
    /// The process's working directory.
    pub(crate) directory: &'a Path,
    /// The repository it works on. Without one, git must not look for any.
    pub(crate) git_dir: Option<PathBuf>,
    pub(crate) work_tree: Option<&'a Path>,
    /// The one protocol it may speak.
    pub(crate) protocol: Option<Protocol>,
    pub(crate) time_max: Duration,
    /// No file that it writes gets longer.
    pub(crate) file_bytes_max: u64,
}

impl<'a> Call<'a> {
    /// A call that reads a repository of ours and writes no file.
    pub(crate) fn reading(what: &'static str, git_dir: &'a Path) -> Self {
        Self {
            what,
            args: Vec::new(),
            directory: git_dir,
            git_dir: Some(git_dir.to_path_buf()),
            work_tree: None,
            protocol: None,
            time_max: LOCAL_TIME_MAX,
            file_bytes_max: 0,
        }
    }

    pub(crate) fn args<Arg: Into<OsString>>(mut self, args: impl IntoIterator<Item = Arg>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }
}

/// How a process ended by itself.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    signal: Option<i32>,
    /// The end of its standard error, made harmless.
    pub(crate) detail: String,
    /// Whether the reader of its output had enough, so that we ended it.
    pub(crate) is_stopped: bool,
}

impl Ended {
    pub(crate) fn is_success(&self) -> bool {
        self.code == Some(0)
    }

    /// Whether it, or a process that it started, wrote a longer file than it may.
    pub(crate) fn is_file_too_long(&self) -> bool {
        const SIGXFSZ: i32 = 25;
        self.signal == Some(SIGXFSZ)
            || self.detail.contains("died of signal 25")
            || self.detail.contains("File too large")
    }

    pub(crate) fn into_error(self, what: &'static str) -> GitError {
        let how = match (self.code, self.signal) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "ended by us".to_owned(),
        };
        GitError::Failed {
            what,
            how,
            detail: self.detail,
        }
    }
}

/// The git program, found once, and the thread that starts it.
#[derive(Debug)]
pub(crate) struct Program {
    path: PathBuf,
    spawner: Spawner,
}

impl Program {
    pub(crate) fn new(path: PathBuf) -> io::Result<Self> {
        Ok(Self {
            path,
            spawner: Spawner::start()?,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a process to its end and hands its standard output to `read`, piece by piece.
    ///
    /// `read` ends the process by answering `Break`. On return the process and all that it started
    /// are gone, on cancel and timeout as well; when the future is dropped they are killed, but not
    /// waited for.
    pub(crate) async fn run(
        &self,
        call: Call<'_>,
        cancel: &CancellationToken,
        read: &mut (dyn FnMut(&[u8]) -> ControlFlow<()> + Send),
    ) -> Result<Ended, GitError> {
        let what = call.what;
        if cancel.is_cancelled() {
            return Err(GitError::Cancelled { what });
        }
        let failed_to_start = |source| GitError::Start { what, source };
        let child = self
            .spawner
            .spawn(self.command(&call))
            .await
            .map_err(failed_to_start)?;
        let mut running = Running::new(child).map_err(failed_to_start)?;
        let cut = running.watch(cancel, call.time_max, read).await;
        let (status, detail) = running.end().await.map_err(failed_to_start)?;
        let detail = harmless(&detail);
        tracing::debug!(call = what, status = %status, detail, "git ended, asked to {what}");
        match cut {
            Some(Cut::Cancelled) => Err(GitError::Cancelled { what }),
            Some(Cut::TimedOut) => Err(GitError::TimedOut {
                what,
                secs: call.time_max.as_secs(),
            }),
            Some(Cut::Stopped) | None => Ok(Ended {
                code: status.code(),
                signal: std::os::unix::process::ExitStatusExt::signal(&status),
                detail,
                is_stopped: cut.is_some(),
            }),
        }
    }

    /// Runs a process that must succeed, and whose output is at most `bytes_max` long.
    pub(crate) async fn output(
        &self,
        call: Call<'_>,
        cancel: &CancellationToken,
        bytes_max: usize,
    ) -> Result<Vec<u8>, GitError> {
        let what = call.what;
        let mut output = Vec::new();
        let ended = self
            .run(call, cancel, &mut |bytes| {
                if output.len() + bytes.len() > bytes_max {
                    return ControlFlow::Break(());
                }
                output.extend_from_slice(bytes);
                ControlFlow::Continue(())
            })
            .await?;
        if ended.is_stopped {
            return Err(GitError::Failed {
                what,
                how: format!("more than {bytes_max} bytes of output"),
                detail: ended.detail,
            });
        }
        if !ended.is_success() {
            return Err(ended.into_error(what));
        }
        Ok(output)
    }

    fn command(&self, call: &Call<'_>) -> Command {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the process module: empty environment, explicit directory, killed on drop"
        )]
        let mut command = Command::new(&self.path);
        command
            .env_clear()
            .envs(environment::variables(call))
            .args(&call.args)
            .current_dir(call.directory);
        spawner::confine(&mut command, call.file_bytes_max);
        command
    }
}
