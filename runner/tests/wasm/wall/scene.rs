//! What an attacker is after, fresh for each attempt, and the two ways to let it try: inside of a step,
//! through the shipped program, or outside of all walls, as a program of the same user.

use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use super::super::stand::{Stand, eventually, wait};
use super::forge::Forge;
use super::payload::{Program, frame, speaker};

/// Bytes of what is secret: so many are read and shown.
pub(super) const SECRET_BYTES: usize = 32;

/// Where the granted directories are inside of a step.
pub(super) const WORK_INSIDE: &str = "/tree/work";
pub(super) const READ_ONLY_INSIDE: &str = "/tree/fixed";

/// What an attack needs around it when it is tried outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outside {
    /// Nothing.
    Plain,
    /// The granted read-only directory as a read-only mount, and the capabilities that a step loses.
    ReadOnlyMount,
    /// A parent of its own.
    Parent,
}

/// The targets.
pub(super) struct Scene {
    pub(super) key: PathBuf,
    pub(super) neighbour: PathBuf,
    pub(super) work: PathBuf,
    pub(super) read_only: PathBuf,
    pub(super) cached: PathBuf,
    pub(super) abstract_name: String,
    pub(super) port: u16,
    secret: String,
    tcp: TcpListener,
    unix: UnixListener,
    hidden: UnixListener,
    victim: Child,
}

/// What became of an attempt.
pub(super) struct Attempt {
    pub(super) status: ExitStatus,
    pub(super) output: Vec<u8>,
    pub(super) stderr: String,
    pub(super) ended_by: String,
}

impl Scene {
    pub(super) fn new(stand: &Stand, forge: &Forge) -> Self {
        for dir in ["state/", "neighbour/", "work/", "fixed/"] {
            let _none = fs::remove_dir_all(stand.path(dir));
            stand.make(dir, "");
        }
        let mut random = [0; SECRET_BYTES / 2];
        getrandom::fill(&mut random).unwrap();
        let secret = data_encoding::HEXLOWER.encode(&random);
        for file in ["state/key", "neighbour/source", "fixed/file"] {
            stand.make(file, &secret);
            fs::set_permissions(stand.path(file), Permissions::from_mode(0o600)).unwrap();
        }
        let spoken = frame(1, secret.as_bytes());
        stand.make("work/code", "");
        fs::write(stand.path("work/code"), speaker(&spoken)).unwrap();
        let mut program = Program::new();
        let words = program.bytes(&spoken);
        let length = u64::try_from(spoken.len()).unwrap();
        program.call(libc::SYS_write, &[1.into(), words, length.into()]);
        stand.make_program("work/program", &program.executable());
        // In the cache, of the cache's owner.
        let cached = forge.cache.join("another-entry");
        fs::copy(stand.path("state/key"), &cached).unwrap();
        stand.hand_over(&cached);

        let tcp = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let hidden = UnixListener::bind(stand.path("work/socket")).unwrap();
        stand.hand_over(&stand.path("work/socket"));
        let abstract_name = format!("cofferdam-{secret}");
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let unix = UnixListener::bind_addr(&address).unwrap();
        tcp.set_nonblocking(true).unwrap();
        for listener in [&unix, &hidden] {
            listener.set_nonblocking(true).unwrap();
        }
        Self {
            key: stand.path("state/key"),
            neighbour: stand.path("neighbour/source"),
            work: stand.path("work"),
            read_only: stand.path("fixed"),
            cached,
            abstract_name,
            port: tcp.local_addr().unwrap().port(),
            secret,
            tcp,
            unix,
            hidden,
            victim: victim(stand),
        }
    }

    /// A process of the step's own user.
    pub(super) fn victim(&self) -> u64 {
        self.victim.id().into()
    }

    pub(super) fn is_secret_out(&self, attempt: &Attempt) -> bool {
        contains(&attempt.output, self.secret.as_bytes())
    }

    pub(super) fn is_shadow_out(attempt: &Attempt) -> bool {
        contains(
            &attempt.output,
            &fs::read("/etc/shadow").unwrap()[..SECRET_BYTES],
        )
    }

    pub(super) fn was_connected_to(&self) -> bool {
        let unix = [&self.unix, &self.hidden];
        self.tcp.accept().is_ok() || unix.iter().any(|listener| listener.accept().is_ok())
    }

    pub(super) fn is_victim_dead(&mut self) -> bool {
        // A dying process takes a moment: an attack that failed leaves it alive for as long as we look.
        self.victim.try_wait().unwrap().is_some() || {
            let path = format!("/proc/{}/status", self.victim.id());
            let status = fs::read_to_string(path).unwrap();
            !status.contains("\nState:\tS")
        }
    }

    pub(super) fn is_read_only_file_changed(&self) -> bool {
        fs::read_to_string(self.read_only.join("file")).unwrap() != self.secret
    }

    pub(super) fn is_cache_changed(&self) -> bool {
        fs::read_to_string(&self.cached).unwrap() != self.secret
    }

    pub(super) fn was_born(&self) -> bool {
        self.work.join("born").exists()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _gone = self.victim.kill();
        let _gone = self.victim.wait();
    }
}

fn contains(output: &[u8], bytes: &[u8]) -> bool {
    output.windows(bytes.len()).any(|window| window == bytes)
}

#[expect(clippy::disallowed_methods, reason = "somebody has to be attacked")]
fn victim(stand: &Stand) -> Child {
    let mut command = Command::new("/bin/sleep");
    command.arg("600").env_clear().stdin(Stdio::null());
    if let Some(user) = stand.user_of_steps() {
        command.uid(user).gid(user);
    }
    let child = command.spawn().unwrap();
    eventually("the victim sleeps", || {
        let path = format!("/proc/{}/status", child.id());
        fs::read_to_string(path)
            .is_ok_and(|status| status.contains("Name:\tsleep") && status.contains("\nState:\tS"))
    });
    child
}

/// Lets the payload run inside of a step.
pub(super) fn inside(stand: &Stand, forge: &Forge, program: &Program) -> Attempt {
    forge.put(&program.machine_code());
    for dir in ["work/", "fixed/"] {
        stand.make(dir, "");
    }
    let module = stand.module(&forge.wasm);
    let mut command = stand.command();
    command
        .args(["--receipt", "receipt.json", "--time", "10s"])
        .args(["--write", "work::/work", "--read", "fixed::/fixed"])
        .arg(module);
    let _old = fs::remove_file(stand.path("receipt.json"));
    let (status, output, stderr) = finish(stand, command);
    let receipt: serde_json::Value = fs::read(stand.path("receipt.json"))
        .map(|json| serde_json::from_slice(&json).unwrap())
        .unwrap_or_default();
    Attempt {
        status,
        output,
        stderr,
        ended_by: receipt["ended_by"].as_str().unwrap_or("none").to_owned(),
    }
}

/// Lets the payload run outside of all walls.
pub(super) fn outside(stand: &Stand, program: &Program, around: Outside) -> Attempt {
    stand.make_program("payload", &program.executable());
    let payload = stand.path("payload");
    let mut command = match around {
        Outside::Plain => stand.plain(&payload),
        Outside::Parent => {
            let mut command = stand.plain("/bin/sh".as_ref());
            command.args(["-c", r#""$0"; echo alive"#]).arg(payload);
            command
        }
        Outside::ReadOnlyMount => {
            let mut command = stand.plain("/usr/bin/unshare".as_ref());
            command
                .args(["--user", "--map-root-user", "--mount", "/bin/sh", "-c"])
                .arg(r#"mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$0""#)
                .arg(payload)
                .arg(stand.path("fixed"));
            command
        }
    };
    command.stdin(Stdio::null());
    let (status, output, stderr) = finish(stand, command);
    Attempt {
        status,
        output,
        stderr,
        ended_by: String::new(),
    }
}

/// Runs a command in a process group of its own, to its end; what it left behind is killed.
fn finish(stand: &Stand, mut command: Command) -> (ExitStatus, Vec<u8>, String) {
    let [output, errors] = ["output", "errors"].map(|name| stand.path(name));
    let mut child = command
        .process_group(0)
        // Files, because whatever is left behind would hold pipes open.
        .stdout(File::create(&output).unwrap())
        .stderr(File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    let status = wait(&mut child);
    let _nobody_left = kill_process_group(Pid::from_child(&child), Signal::KILL);
    let errors = fs::read(errors).unwrap();
    (
        status,
        fs::read(output).unwrap(),
        String::from_utf8_lossy(&errors).into_owned(),
    )
}
