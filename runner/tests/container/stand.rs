//! The stand on which the container executor is tested: a real engine, an image made offline, a log that
//! can be watched. Where there is no engine a test says so aloud, on standard error and in a file
//! `not-run/NAME` in the target directory, and never passes in silence.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bollard::query_parameters::{CreateImageOptionsBuilder, ListContainersOptionsBuilder};
use bollard::{API_DEFAULT_VERSION, Docker};
use cofferdam_protocol::Origin;
use cofferdam_runner::executor::container::{
    ContainerExecutor, ContainerLimits, ContainerSettings, EngineSettings, Network,
};
use cofferdam_runner::executor::{
    Executor as _, ExecutorError, ScriptBounds, ScriptWork, StepRun, Work,
};
use cofferdam_runner::log::LogSink;
use cofferdam_runner::receipt::Receipt;
use cofferdam_runner::workspace::Workspace;
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) const IMAGE: &str = "localhost/cofferdam-test/busybox:2";
pub(crate) const IMAGE_WITH_BASH: &str = "localhost/cofferdam-test/bash:2";

/// A wait in a test: far longer than what is waited for takes.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// One executor with a state directory and a workspace of its own.
pub(crate) struct Stand {
    pub(crate) executor: ContainerExecutor,
    pub(crate) workspace: Workspace,
    pub(crate) tracker: TaskTracker,
    pub(crate) state_dir: PathBuf,
    pub(crate) log: Log,
    pub(crate) cancel: CancellationToken,
    pub(crate) timeout: Duration,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) bounds: ScriptBounds,
    dir: tempfile::TempDir,
}

impl Stand {
    /// `None` where containers cannot be tested; that is then on record under `test`.
    pub(crate) async fn set_up(
        test: &str,
        change: impl FnOnce(&mut ContainerSettings),
    ) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let state_dir = dir.path().join("state");
        std::fs::create_dir(&state_dir).expect("a state directory");
        let mut settings = settings(&state_dir);
        change(&mut settings);
        let tracker = TaskTracker::new();
        let executor = match ContainerExecutor::connect(settings, tracker.clone()).await {
            Ok(executor) => executor,
            Err(error) => {
                not_run(test, &error.to_string());
                return None;
            }
        };
        if let Err(why) = make_images(&executor.engine().socket).await {
            not_run(test, &why);
            return None;
        }
        drop(std::fs::remove_file(not_run_dir().join(test)));
        Some(Self {
            executor,
            workspace: Workspace::create(&dir.path().join("work")).expect("a workspace"),
            tracker,
            state_dir,
            log: Log::default(),
            cancel: CancellationToken::new(),
            timeout: PATIENCE,
            env: BTreeMap::from([("CI".to_owned(), "true".to_owned())]),
            bounds: ScriptBounds::default(),
            dir,
        })
    }

    pub(crate) async fn run(
        &self,
        script: &[&str],
        after: &[&str],
    ) -> Result<Receipt, ExecutorError> {
        self.run_in(IMAGE, script, after).await
    }

    pub(crate) async fn run_in(
        &self,
        image: &str,
        script: &[&str],
        after: &[&str],
    ) -> Result<Receipt, ExecutorError> {
        let lines = |lines: &[&str]| lines.iter().map(ToString::to_string).collect();
        let run = StepRun {
            name: "Test",
            env: &self.env,
            workspace: &self.workspace,
            mounts: &[],
            timeout: self.timeout,
            cancel: &self.cancel,
            work: Work::Script(ScriptWork {
                image: image.to_owned(),
                script: lines(script),
                after_script: lines(after),
                bounds: self.bounds,
            }),
        };
        self.executor.run(run, &self.log).await
    }

    /// Whether the engine can limit anything; if not, that is on record under `test`.
    pub(crate) fn engine_limits(&self, test: &str) -> bool {
        let facts = self.executor.engine();
        if !facts.has_limits {
            not_run(test, &facts.to_string());
        }
        facts.has_limits
    }

    /// Another life of the same runner: another engine connection, the same state directory.
    pub(crate) async fn reborn(&self) -> ContainerExecutor {
        let mut settings = settings(&self.state_dir);
        settings.engine.socket = Some(format!(
            "unix://{}",
            self.executor.engine().socket.display()
        ));
        ContainerExecutor::connect(settings, TaskTracker::new())
            .await
            .expect("the same engine")
    }

    /// The containers that the engine still has for this workspace.
    pub(crate) async fn containers(&self) -> Vec<String> {
        let docker = connect(&self.executor.engine().socket);
        let label = format!(
            "dev.cofferdam.workspace={}",
            self.workspace.path().display()
        );
        let filters = std::iter::once(("label", vec![label])).collect();
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let found = docker.list_containers(Some(options)).await.expect("a list");
        found.into_iter().filter_map(|found| found.id).collect()
    }

    /// What the journal names.
    pub(crate) fn journal(&self) -> Vec<String> {
        names(&self.state_dir.join("containers"))
    }

    /// Asserts that neither engine nor journal nor process table know of the step any more. `token` is
    /// part of the command line of its processes.
    pub(crate) async fn assert_nothing_left(&self, token: &str) {
        assert_eq!(self.containers().await, Vec::<String>::new());
        assert_eq!(self.journal(), Vec::<String>::new());
        assert_eq!(processes(token), Vec::<String>::new());
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test is the edge: its engine needs the environment of whoever runs the test"
)]
pub(crate) fn settings(state_dir: &Path) -> ContainerSettings {
    let names = ["PATH", "HOME", "XDG_RUNTIME_DIR"];
    let service_env: BTreeMap<_, _> = names
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .collect();
    ContainerSettings {
        engine: EngineSettings {
            runtime_dir: service_env.get("XDG_RUNTIME_DIR").map(PathBuf::from),
            service_env,
            ..EngineSettings::default()
        },
        state_dir: state_dir.to_owned(),
        network: Network::None,
        limits: ContainerLimits::default(),
        owner: None,
        fresh_id: || {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).expect("random bytes");
            u128::from_le_bytes(bytes)
        },
    }
}

/// Says, and leaves on record, that a test could not run.
pub(crate) fn not_run(test: &str, why: &str) {
    drop(writeln!(
        std::io::stderr(),
        "cofferdam-test: not run: {test}: {why}"
    ));
    let dir = not_run_dir();
    std::fs::create_dir_all(&dir).expect("the directory of the record");
    std::fs::write(dir.join(test), why).expect("the record");
}

fn not_run_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("not-run")
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a directory");
    entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into()
        })
        .collect()
}

/// The command lines of this host that contain `token`, without this test itself.
pub(crate) fn processes(token: &str) -> Vec<String> {
    names(Path::new("/proc"))
        .into_iter()
        .filter(|name| {
            name.parse::<u32>()
                .is_ok_and(|pid| pid != std::process::id())
        })
        .filter_map(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(token))
        .collect()
}

/// Returns when a process of this host has `token` in its command line.
pub(crate) async fn process_appears(token: &str) {
    let seen = async {
        while processes(token).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen)
        .await
        .unwrap_or_else(|_| panic!("no process with {token:?}"));
}

fn connect(socket: &Path) -> Docker {
    let path = socket.to_str().expect("a socket's path");
    Docker::connect_with_unix(path, 60, API_DEFAULT_VERSION).expect("a client")
}

/// Makes both test images, if they are missing, from this host's static busybox.
async fn make_images(socket: &Path) -> Result<(), String> {
    let lock = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("container-images.lock"))
        .map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let docker = connect(socket);
    for image in [IMAGE, IMAGE_WITH_BASH] {
        if docker.inspect_image(image).await.is_ok() {
            continue;
        }
        let tar = root_file_system(image == IMAGE_WITH_BASH)?;
        // Podman 4.3 ignores a tag of its own.
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            .repo(image)
            .build();
        let body = bollard::body_full(tar.into());
        let mut made = docker.create_image(Some(options), Some(body), None);
        while let Some(step) = made.next().await {
            step.map_err(|error| format!("cannot make {image}: {error}"))?;
        }
    }
    Ok(())
}

/// A tar file with busybox, and with a bash that is sh but says that it is bash.
fn root_file_system(with_bash: bool) -> Result<Vec<u8>, String> {
    let busybox = ["/usr/bin/busybox", "/bin/busybox"]
        .iter()
        .find_map(|path| std::fs::read(path).ok())
        .ok_or("no busybox on this host to make an image of")?;
    let mut tar = Vec::new();
    for dir in ["bin/", "tmp/", "etc/"] {
        entry(&mut tar, dir, "", b'5', &[]);
    }
    entry(&mut tar, "bin/busybox", "", b'0', &busybox);
    let applets = [
        "sh", "cat", "sleep", "echo", "id", "ls", "dd", "seq", "head", "mkdir", "rm", "touch",
        "env", "ps", "chown", "chmod", "true", "false", "grep", "yes", "setsid", "tail", "wc",
        "ip", "nc", "umount", "mknod", "tr", "stat",
    ];
    for applet in applets {
        entry(&mut tar, &format!("bin/{applet}"), "busybox", b'2', &[]);
    }
    if with_bash {
        let bash = b"#!/bin/sh\nexport THIS_IS=bash\nexec sh \"$@\"\n";
        entry(&mut tar, "bin/bash", "", b'0', bash);
    }
    tar.resize(tar.len() + 1024, 0);
    Ok(tar)
}

/// Appends one entry in the ustar format.
fn entry(tar: &mut Vec<u8>, name: &str, link: &str, kind: u8, data: &[u8]) {
    let mut header = [0u8; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000755\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", data.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&header);
    tar.write_all(data).expect("memory");
    tar.resize(tar.len().next_multiple_of(512), 0);
}

type Record = (Origin, Vec<u8>);

/// A log in memory.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    records: Arc<Mutex<Vec<Record>>>,
    count: watch::Sender<usize>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            records: Arc::default(),
            count: watch::Sender::new(0),
        }
    }
}

#[async_trait]
impl LogSink for Log {
    async fn write(&self, origin: Origin, bytes: &[u8]) {
        let mut records = self.records.lock().expect("the log");
        records.push((origin, bytes.to_owned()));
        self.count.send_replace(records.len());
    }
}

impl Log {
    /// All bytes of one origin.
    pub(crate) fn bytes(&self, origin: Origin) -> Vec<u8> {
        let records = self.records.lock().expect("the log");
        let of_it = records.iter().filter(|(its, _)| *its == origin);
        of_it.flat_map(|(_, bytes)| bytes.clone()).collect()
    }

    pub(crate) fn text(&self, origin: Origin) -> String {
        String::from_utf8_lossy(&self.bytes(origin)).into_owned()
    }

    /// All records in order, each line with its origin before it, without what this host lacks: that is
    /// said first and differs.
    pub(crate) fn story(&self) -> String {
        let records = self.records.lock().expect("the log");
        let lines = records.iter().flat_map(|(origin, bytes)| {
            let text = String::from_utf8_lossy(bytes);
            let lines = text
                .lines()
                .filter(|line| !line.starts_with("This step has no "));
            let lines = lines.map(|line| format!("{origin:?}: {line}\n"));
            lines.collect::<Vec<_>>()
        });
        lines.collect()
    }

    /// Returns when standard output contains `text`.
    pub(crate) async fn wait_for(&self, text: &str) {
        let mut count = self.count.subscribe();
        let seen = count.wait_for(|_| self.text(Origin::Stdout).contains(text));
        tokio::time::timeout(PATIENCE, seen)
            .await
            .unwrap_or_else(|_| panic!("no {text:?} in the log:\n{}", self.story()))
            .expect("the log lives");
    }
}

/// Runs a step that does not end by itself.
pub(crate) async fn run_for_ever(
    executor: &ContainerExecutor,
    workspace: &Path,
    line: &str,
    log: &Log,
) {
    let workspace = Workspace::create(workspace).expect("a workspace");
    let cancel = CancellationToken::new();
    let run = StepRun {
        name: "For ever",
        env: &BTreeMap::new(),
        workspace: &workspace,
        mounts: &[],
        timeout: Duration::from_hours(1),
        cancel: &cancel,
        work: Work::Script(ScriptWork {
            image: IMAGE.to_owned(),
            script: vec![line.to_owned()],
            after_script: Vec::new(),
            bounds: ScriptBounds::default(),
        }),
    };
    drop(executor.run(run, log).await);
}
