//! Runs other programs. Every external command of the workbench goes through [`Tool`].
//!
//! A command inherits the environment (it needs `PATH`, proxies, the package managers' own
//! settings), gets no standard input, and has a time limit. Deliberately absent: a shell; arguments are passed as they are.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Read};
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Long enough for a compiler or a slow mirror; a command that hangs for ever must not hang CI for ever.
pub(crate) const LIMIT: Duration = Duration::from_mins(15);

/// How much of a failed command's standard error its report shows.
const TAIL_LINES: usize = 15;

/// Variables that change what `cargo` builds and where.
const CARGO_VARIABLES: &[&str] = &[
    "CARGO_BUILD_BUILD_DIR",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTC",
    "RUSTFLAGS",
];

/// A command that is about to be run.
#[derive(Debug)]
pub(crate) struct Tool {
    program: PathBuf,
    command: Command,
    limit: Duration,
}

/// What a command that ended by itself left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    #[error("{} is not installed", .program.display())]
    NotInstalled { program: PathBuf },
    #[error("{command} could not be started")]
    NotStarted {
        command: String,
        #[source]
        source: io::Error,
    },
    #[error("{command} failed ({status}){}", Tail(.stderr))]
    Failed {
        command: String,
        status: ExitStatus,
        stderr: String,
    },
    #[error("{command} had not ended after {} s and was stopped", .limit.as_secs())]
    TimedOut { command: String, limit: Duration },
    #[error("{command} could not be waited for")]
    Lost {
        command: String,
        #[source]
        source: io::Error,
    },
}

struct Tail<'a>(&'a str);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<&str> = self
            .0
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let shown = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        shown
            .iter()
            .try_for_each(|line| write!(formatter, "\n    {line}"))
    }
}

impl Tool {
    /// A command with the workbench's environment, and without standard input.
    pub(crate) fn new(program: impl AsRef<Path>) -> Self {
        let program = program.as_ref().to_owned();
        #[expect(clippy::disallowed_methods, reason = "this is the process module")]
        let mut command = Command::new(&program);
        // Messages are read by people and by parsers; both want them in one language.
        command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        Self {
            program,
            command,
            limit: LIMIT,
        }
    }

    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn arg(self, argument: impl AsRef<OsStr>) -> Self {
        self.args([argument])
    }

    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn envs(mut self, variables: &[(OsString, OsString)]) -> Self {
        self.command
            .envs(variables.iter().map(|(name, value)| (name, value)));
        self
    }

    /// For a build that is not the workspace's own: forgets what the caller's cargo was told.
    pub(crate) fn without_cargo_settings(mut self) -> Self {
        for name in CARGO_VARIABLES {
            self.command.env_remove(name);
        }
        self
    }

    pub(crate) fn dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs to the end and answers standard output; another exit code than 0 is an error.
    pub(crate) fn output(self) -> Result<String, ToolError> {
        let command = self.to_string();
        let Finished {
            status,
            stdout,
            stderr,
        } = self.finish()?;
        if status.success() {
            Ok(stdout)
        } else {
            Err(ToolError::Failed {
                command,
                status,
                stderr,
            })
        }
    }

    /// Runs to the end; the exit code is the caller's to judge.
    pub(crate) fn finish(mut self) -> Result<Finished, ToolError> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn()?;
        let pipes = (child.stdout.take(), child.stderr.take());
        let (Some(stdout), Some(stderr)) = pipes else {
            unreachable!("both were asked for above")
        };
        let (sender, receiver) = mpsc::channel();
        let sender_of_errors = sender.clone();
        thread::spawn(move || sender.send((true, read_all(stdout))));
        thread::spawn(move || sender_of_errors.send((false, read_all(stderr))));
        let (mut out, mut errors) = (String::new(), String::new());
        for _ in 0..2 {
            match receiver.recv_timeout(self.limit) {
                Ok((true, text)) => out = text,
                Ok((false, text)) => errors = text,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(self.stop(&mut child));
                }
            }
        }
        let status = child.wait().map_err(|source| self.lost(source))?;
        Ok(Finished {
            status,
            stdout: out,
            stderr: errors,
        })
    }

    /// Runs with our own standard output and error, without a limit of its own, and answers how it ended.
    pub(crate) fn hand_over(mut self) -> Result<ExitStatus, ToolError> {
        let mut child = self.spawn()?;
        child.wait().map_err(|source| self.lost(source))
    }

    fn spawn(&mut self) -> Result<Child, ToolError> {
        self.command.spawn().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ToolError::NotInstalled {
                program: self.program.clone(),
            },
            _ => ToolError::NotStarted {
                command: self.to_string(),
                source,
            },
        })
    }

    fn stop(&self, child: &mut Child) -> ToolError {
        match child.kill().and_then(|()| child.wait()) {
            Ok(_) => ToolError::TimedOut {
                command: self.to_string(),
                limit: self.limit,
            },
            Err(source) => self.lost(source),
        }
    }

    fn lost(&self, source: io::Error) -> ToolError {
        ToolError::Lost {
            command: self.to_string(),
            source,
        }
    }
}

/// The command as a person would type it, cut off where it gets long.
impl fmt::Display for Tool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_CHARACTERS: usize = 240;
        let name = self.program.file_name().unwrap_or(self.program.as_os_str());
        let words = iter::once(name).chain(self.command.get_args());
        let text = words
            .map(|word| word.display().to_string())
            .collect::<Vec<_>>()
            .join(" ");
        match text.char_indices().nth(SHOWN_CHARACTERS) {
            Some((end, _)) => write!(formatter, "{} …", &text[..end]),
            None => formatter.write_str(&text),
        }
    }
}

fn read_all(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    // What came before a broken pipe is still worth showing; the exit status tells the rest.
    drop(pipe.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Tool {
        Tool::new("sh").args(["-c", script])
    }

    #[test]
    fn a_failed_command_is_reported_with_its_status_and_last_lines() {
        let error = shell("echo first >&2; echo >&2; echo last >&2; exit 3")
            .output()
            .unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("sh -c echo first"), "{text}");
        assert!(
            text.ends_with("failed (exit status: 3)\n    first\n    last"),
            "{text}"
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Tool::new("no-such-program").output().unwrap_err();
        assert_eq!(error.to_string(), "no-such-program is not installed");
    }

    #[test]
    fn a_command_that_hangs_is_stopped_at_its_limit() {
        let error = shell("exec sleep 600")
            .limit(Duration::from_millis(50))
            .output()
            .unwrap_err();
        assert!(matches!(error, ToolError::TimedOut { .. }), "{error}");
    }

    #[test]
    fn much_output_on_both_pipes_does_not_block() {
        let script = "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2";
        let finished = shell(script).finish().unwrap();
        assert_eq!(
            (finished.stdout.len(), finished.stderr.len()),
            (300_000, 300_000)
        );
    }
}
