//! What the tests stand on: `cofferdam step run` as a child process in a directory of its own.

use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::geteuid;

/// The user that plays "an ordinary user" where the tests run as root.
const ORDINARY: u32 = 65_532;

/// Who a step is where the runner is root.
const NOBODY: u32 = 65_534;

/// Who runs the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Whoever runs the tests.
    Self_,
    /// Somebody without any privilege.
    Ordinary,
    /// Whoever runs the tests, on a host without mount namespaces.
    Hardened,
}

/// Runs a command where no mount namespace can be made, as on a hardened host.
const HARDENED: &str = r#"echo 0 > /proc/sys/user/max_mnt_namespaces && exec "$0" "$@""#;

/// A directory with a copy of the program, a cache and a place for files.
pub(super) struct Stand {
    dir: tempfile::TempDir,
    who: Who,
}

/// What `step run` did.
pub(super) struct Did {
    pub(super) status: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
    pub(super) receipt: serde_json::Value,
}

impl Did {
    /// How it ended, as `status ended_by`.
    pub(super) fn end(&self) -> String {
        let ended_by = self.receipt["ended_by"].as_str().unwrap_or("no receipt");
        format!("{} {ended_by}", self.status)
    }
}

impl Stand {
    pub(super) fn new() -> Self {
        Self::of(Who::Self_)
    }

    /// For whoever runs the tests and, where that is root, for an ordinary user too.
    pub(super) fn everybody(test: &str) -> Vec<Self> {
        if geteuid().is_root() {
            vec![Self::of(Who::Self_), Self::of(Who::Ordinary)]
        } else {
            not_run(&format!("{test} as root"), "the tests do not run as root");
            vec![Self::new()]
        }
    }

    fn of(who: Who) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let stand = Self { dir, who };
        std::fs::create_dir(stand.path("files")).unwrap();
        if who == Who::Ordinary {
            // The build directory may be out of an ordinary user's reach.
            std::fs::copy(env!("CARGO_BIN_EXE_cofferdam"), stand.path("cofferdam")).unwrap();
            let all = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(stand.dir.path(), all).unwrap();
            stand.hand_over(&stand.path("."));
            stand.hand_over(&stand.path("files"));
        }
        stand
    }

    /// Who the stand's steps are on this host, if that is somebody else than whoever runs the tests.
    pub(super) fn user_of_steps(&self) -> Option<u32> {
        match self.who {
            Who::Ordinary => Some(ORDINARY),
            Who::Self_ => geteuid().is_root().then_some(NOBODY),
            Who::Hardened => None,
        }
    }

    /// The stand's user in words, for tables.
    pub(super) fn user(&self) -> &'static str {
        match self.who {
            Who::Self_ if geteuid().is_root() => "root",
            Who::Self_ | Who::Ordinary => "an ordinary user",
            Who::Hardened => "no namespaces",
        }
    }

    /// A program that whoever runs the command may execute.
    pub(super) fn make_program(&self, name: &str, code: &[u8]) {
        let path = self.path(name);
        std::fs::write(&path, code).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        self.hand_over(&path);
    }

    /// Another program, as whoever runs the command.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own program is a process"
    )]
    pub(super) fn plain(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.dir.path()).env_clear();
        if self.who == Who::Ordinary {
            command.uid(ORDINARY).gid(ORDINARY);
        }
        command
    }

    /// Gives a file to whoever runs the command.
    pub(super) fn hand_over(&self, path: &Path) {
        if self.who == Who::Ordinary {
            chown(path, Some(ORDINARY), Some(ORDINARY)).unwrap();
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a file or, with a slash at its end, a directory that belongs to whoever runs the command.
    pub(super) fn make(&self, name: &str, content: &str) {
        let path = self.path(name);
        if name.ends_with('/') {
            std::fs::create_dir_all(&path).unwrap();
        } else {
            std::fs::write(&path, content).unwrap();
        }
        self.hand_over(&path);
    }

    pub(super) fn module(&self, wasm: &[u8]) -> PathBuf {
        let path = self.path("guest.wasm");
        std::fs::write(&path, wasm).unwrap();
        path
    }

    /// A host without mount namespaces, if one can be had here.
    pub(super) fn hardened(test: &str) -> Option<Self> {
        let stand = Self::of(Who::Hardened);
        let help = stand.bare(&["--help"]);
        if help.status != 0 {
            not_run(
                test,
                &format!("namespaces cannot be taken away here: {}", help.stderr),
            );
        }
        (help.status == 0).then_some(stand)
    }

    /// The command, with its program, directory and environment.
    #[expect(
        clippy::disallowed_methods,
        reason = "the program under test is a process"
    )]
    pub(super) fn command(&self) -> Command {
        let program = match self.who {
            Who::Self_ | Who::Hardened => PathBuf::from(env!("CARGO_BIN_EXE_cofferdam")),
            Who::Ordinary => self.path("cofferdam"),
        };
        let mut command = if self.who == Who::Hardened {
            let mut command = Command::new("/usr/bin/unshare");
            command.args(["--user", "--map-root-user", "/bin/sh", "-c", HARDENED]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .args(["step", "run"])
            .current_dir(self.dir.path())
            .env_clear()
            .env("XDG_CACHE_HOME", self.path("cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if self.who == Who::Ordinary {
            command.uid(ORDINARY).gid(ORDINARY);
        }
        command
    }

    /// Runs a guest with options before the module and arguments behind it.
    pub(super) fn run(&self, wasm: &[u8], options: &[&str], arguments: &[&str]) -> Did {
        self.run_with_input(wasm, options, arguments, b"")
    }

    pub(super) fn run_with_input(
        &self,
        wasm: &[u8],
        options: &[&str],
        arguments: &[&str],
        input: &[u8],
    ) -> Did {
        let module = self.module(wasm);
        let mut command = self.command();
        command
            .args(["--receipt", "receipt.json"])
            .args(options)
            .arg(module);
        if !arguments.is_empty() {
            command.arg("--").args(arguments);
        }
        self.outcome(command, input)
    }

    /// What `cofferdam step list` says.
    #[expect(
        clippy::disallowed_methods,
        reason = "the program under test is a process"
    )]
    pub(super) fn list_steps(&self) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
        let output = command
            .args(["step", "list"])
            .current_dir(self.dir.path())
            .env_clear()
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the command with arguments as they are.
    pub(super) fn bare(&self, arguments: &[&str]) -> Did {
        let mut command = self.command();
        command.args(arguments);
        self.outcome(command, b"")
    }

    fn outcome(&self, mut command: Command, input: &[u8]) -> Did {
        let _old = std::fs::remove_file(self.path("receipt.json"));
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // A guest that does not read closes its end early.
        let feeder = std::thread::spawn(move || {
            let _closed = stdin.write_all(&input);
        });
        let output: Output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        let receipt = std::fs::read(self.path("receipt.json"))
            .map(|json| serde_json::from_slice(&json).unwrap())
            .unwrap_or_default();
        Did {
            status: output.status.code().expect("an exit status"),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
            receipt,
        }
    }
}

/// Waits for a child's end and fails the test if it takes too long.
pub(super) fn wait(child: &mut Child) -> ExitStatus {
    let mut status = None;
    eventually("the command ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

/// Waits until something is so.
#[expect(
    clippy::disallowed_methods,
    reason = "waits for a condition, with a limit"
)]
pub(super) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "not in time: {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Says, and leaves on record, that a test could not run.
pub(super) fn not_run(test: &str, why: &str) {
    let _unheard = writeln!(std::io::stderr(), "cofferdam-test: not run: {test}: {why}");
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("not-run");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join(test), why).unwrap();
}
