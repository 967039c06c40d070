//! Finds the container engine of this host, or starts one.
//!
//! From the configuration and the host's sockets to a connected client and what is known about it. The
//! order is: the configured socket and nothing else; else the known sockets, rootless first; else a
//! `podman system service` of our own. Deliberately absent: reading the environment (`config` does).

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bollard::models::SystemInfoCgroupVersionEnum;
use bollard::{API_DEFAULT_VERSION, Docker};
use rustix::process::{Resource, Signal, geteuid, getrlimit, set_parent_process_death_signal};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// Longest wait for one answer of the engine. Creating a container on a slow disk takes seconds; an
/// engine that is silent for two minutes is broken.
const REQUEST_SECS: u64 = 120;

/// Longest wait for a socket that exists to say its version: a live engine takes milliseconds.
const HELLO: Duration = Duration::from_secs(5);

/// Longest wait for a service that we started. The first start of Podman on a host sets up its storage.
const SERVICE_START: Duration = Duration::from_secs(15);

/// How often a starting service is asked.
const SERVICE_POLL: Duration = Duration::from_millis(20);

/// How much of a failed service's last words goes into our error, in bytes.
const LAST_WORDS_BYTES_MAX: usize = 500;

/// Open files that a process in a container may have: what most distributions give a login, and below
/// what an engine without `CAP_SYS_RESOURCE` may hand on.
const NOFILE_MAX: u64 = 65_536;

/// Processes of one user. Podman lowers its own limit to this (the usual `kernel.pid_max`) when it may not
/// raise it. The container's own limit on processes is the one that counts.
const NPROC_MAX: u64 = 32_768;

/// How to find an engine. All of it comes from the configuration.
#[derive(Clone, Debug, Default)]
pub struct EngineSettings {
    /// `unix:///path/of/the.sock`. When set, no other engine is looked for.
    pub socket: Option<String>,
    /// This user's runtime directory (`XDG_RUNTIME_DIR`), where rootless engines listen.
    pub runtime_dir: Option<PathBuf>,
    /// A `containers.conf` for the service that we start; without it one is written where this host
    /// needs it.
    pub containers_conf: Option<PathBuf>,
    /// The whole environment of the service that we start: `PATH`, `HOME`, `XDG_RUNTIME_DIR` and the
    /// proxy variables, as far as they are set.
    pub service_env: BTreeMap<String, String>,
}

/// Why there is no container engine.
#[derive(Debug, thiserror::Error)]
pub enum NoEngine {
    /// The configured address is not one that we can use.
    #[error("no container engine: the configured socket {0:?} does not start with unix:///")]
    Address(String),
    /// The configured socket does not answer.
    #[error("no container engine: the configured socket {path} does not answer: {why}")]
    Configured {
        /// The socket.
        path: String,
        /// What was seen.
        why: String,
    },
    /// Nothing answers and none could be started.
    #[error("no container engine: {}; {service}", tried.join(", "))]
    NotFound {
        /// Each known socket and what was seen there.
        tried: Vec<String>,
        /// Why our own service did not start.
        service: String,
    },
    /// The journal of containers cannot be kept, so none may be started.
    #[error("no container engine: cannot keep a journal of containers under {path}")]
    Journal {
        /// The runner's state directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Which program an engine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// Podman, through its Docker API.
    Podman,
    /// Docker, or something that calls itself so.
    Docker,
}

impl EngineKind {
    /// As people and the journal call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Docker => "docker",
        }
    }
}

/// What is known about the engine.
#[derive(Clone, Debug)]
pub struct EngineFacts {
    /// Podman or Docker.
    pub kind: EngineKind,
    /// Its own version.
    pub version: String,
    /// Whether root in a container is an ordinary user of this host. If not, the engine's socket, and
    /// every hole in the kernel, is as good as root on this host.
    pub is_rootless: bool,
    /// Whether it really limits memory and processes. A rootless engine on version 1 cgroups may not,
    /// although Podman 4.3 says that it does.
    pub has_limits: bool,
    /// Whether `SELinux` keeps containers from files without their label.
    pub has_selinux: bool,
    /// Where it listens.
    pub socket: PathBuf,
}

impl Display for EngineFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rights = if self.is_rootless {
            "rootless"
        } else {
            "rootful: as good as root on this host"
        };
        let limits = if self.has_limits {
            ""
        } else {
            ", no limits on memory and processes: version 1 cgroups"
        };
        let name = self.kind.name();
        write!(f, "{name} {}, {rights}{limits}", self.version)
    }
}

/// A connected engine. Dropping it kills the service, if we started it; its containers stay.
#[derive(Debug)]
pub(super) struct Engine {
    docker: Docker,
    facts: EngineFacts,
    _service: Option<Child>,
}

impl Engine {
    /// See the order at the top of this file.
    pub(super) async fn find(
        settings: &EngineSettings,
        state_dir: &Path,
    ) -> Result<Self, NoEngine> {
        if let Some(address) = &settings.socket {
            let path = address
                .strip_prefix("unix://")
                .filter(|path| path.starts_with('/'))
                .ok_or_else(|| NoEngine::Address(address.clone()))?;
            return match greet(Path::new(path)).await {
                Ok((docker, facts)) => Ok(Self::new(docker, facts, None)),
                Err(why) => Err(NoEngine::Configured {
                    path: path.to_owned(),
                    why,
                }),
            };
        }
        let mut tried = Vec::new();
        for path in known_sockets(settings.runtime_dir.as_deref()) {
            match greet(&path).await {
                Ok((docker, facts)) => return Ok(Self::new(docker, facts, None)),
                Err(why) => tried.push(format!("{}: {why}", path.display())),
            }
        }
        match start_service(settings, state_dir).await {
            Ok((docker, facts, child)) => Ok(Self::new(docker, facts, Some(child))),
            Err(service) => Err(NoEngine::NotFound { tried, service }),
        }
    }

    fn new(docker: Docker, facts: EngineFacts, service: Option<Child>) -> Self {
        Self {
            docker,
            facts,
            _service: service,
        }
    }

    pub(super) fn docker(&self) -> &Docker {
        &self.docker
    }

    pub(super) fn facts(&self) -> &EngineFacts {
        &self.facts
    }
}

/// The resource limits that a container gets on this host: `(open files, processes)`. An engine that
/// lacks `CAP_SYS_RESOURCE` cannot start a container whose limits are above its own, and Podman's
/// defaults are; we take our own limits for the engine's.
pub(super) fn ulimits() -> (u64, u64) {
    let ours = |resource, most: u64| {
        getrlimit(resource)
            .maximum
            .map_or(most, |hard| hard.min(most))
    };
    (
        ours(Resource::Nofile, NOFILE_MAX),
        ours(Resource::Nproc, NPROC_MAX),
    )
}

/// Where engines listen, rootless ones first, Podman before Docker.
fn known_sockets(runtime_dir: Option<&Path>) -> Vec<PathBuf> {
    let rootless = ["podman/podman.sock", "docker.sock"];
    let rootful = ["/run/podman/podman.sock", "/var/run/docker.sock"];
    runtime_dir
        .into_iter()
        .flat_map(|dir| rootless.map(|name| dir.join(name)))
        .chain(rootful.map(PathBuf::from))
        .collect()
}

/// Asks who listens at `path`. The error is what was seen, in a few words.
async fn greet(path: &Path) -> Result<(Docker, EngineFacts), String> {
    let address = path.to_str().ok_or("not a path in UTF-8")?;
    if !path.exists() {
        return Err("not there".to_owned());
    }
    let hello = async {
        // Who listens, as the kernel knows it: Podman 4.3 does not tell Docker clients that it is rootless.
        let peer = UnixStream::connect(path).await?.peer_cred()?.uid();
        let docker = Docker::connect_with_unix(address, REQUEST_SECS, API_DEFAULT_VERSION)?
            .negotiate_version()
            .await?;
        let version = docker.version().await?;
        let info = docker.info().await?;
        Ok::<_, bollard::errors::Error>((peer, docker, version, info))
    };
    let (peer, docker, version, info) = match timeout(HELLO, hello).await {
        Ok(Ok(answers)) => answers,
        Ok(Err(error)) => return Err(chain(&error)),
        Err(_elapsed) => return Err(format!("no answer within {} s", HELLO.as_secs())),
    };
    let is_podman = version
        .components
        .iter()
        .flatten()
        .any(|component| component.name.contains("Podman"));
    let options = info.security_options.unwrap_or_default();
    let has_option = |name: &str| options.iter().any(|option| option.contains(name));
    let is_users = peer != 0 && peer == geteuid().as_raw();
    let is_rootless = is_users || has_option("name=rootless");
    let is_cgroup_1 = info.cgroup_version == Some(SystemInfoCgroupVersionEnum::_1);
    let facts = EngineFacts {
        kind: if is_podman {
            EngineKind::Podman
        } else {
            EngineKind::Docker
        },
        version: version.version.unwrap_or_else(|| "unknown".to_owned()),
        is_rootless,
        has_limits: !(is_rootless && is_cgroup_1),
        has_selinux: has_option("name=selinux"),
        socket: path.to_owned(),
    };
    Ok((docker, facts))
}

/// Starts a service of our own and waits until it answers.
async fn start_service(
    settings: &EngineSettings,
    state_dir: &Path,
) -> Result<(Docker, EngineFacts, Child), String> {
    let socket = state_dir.join("podman.sock");
    let words = state_dir.join("podman.log");
    let seen = |what: &str, error: &std::io::Error| format!("{what}: {error}");
    match std::fs::remove_file(&socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(seen("cannot remove the old socket of our podman", &error));
        }
        _ => {}
    }
    let conf = match &settings.containers_conf {
        Some(path) => Some(path.clone()),
        None => write_conf(settings, state_dir)
            .map_err(|error| seen("cannot write a containers.conf", &error))?,
    };
    let log = std::fs::File::create(&words)
        .map_err(|error| seen("cannot write the log of our podman", &error))?;
    let mut child = spawn_service(settings, &socket, conf.as_deref(), log)
        .map_err(|error| seen("podman did not start", &error))?;
    let deadline = Instant::now() + SERVICE_START;
    loop {
        if let Ok((docker, facts)) = greet(&socket).await {
            return Ok((docker, facts, child));
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!(
                "podman system service ended with {status}: {}",
                last_words(&words)
            ));
        }
        if Instant::now() >= deadline {
            return Err(format!(
                "podman system service did not answer within {} s: {}",
                SERVICE_START.as_secs(),
                last_words(&words)
            ));
        }
        sleep(SERVICE_POLL).await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the engine's own process: empty environment but for what the configuration hands in, killed on drop"
)]
fn spawn_service(
    settings: &EngineSettings,
    socket: &Path,
    conf: Option<&Path>,
    log: std::fs::File,
) -> std::io::Result<Child> {
    let mut address = std::ffi::OsString::from("unix://");
    address.push(socket);
    let mut command = Command::new("podman");
    command
        .args(["--log-level=error", "system", "service", "--time=0"])
        .arg(address)
        .env_clear()
        .envs(&settings.service_env)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        // A Ctrl-C at the runner's terminal must leave the engine alive: the runner still needs it to
        // stop its steps.
        .process_group(0)
        .kill_on_drop(true);
    if let Some(conf) = conf {
        command.env("CONTAINERS_CONF", conf);
    }
    #[expect(
        unsafe_code,
        reason = "a runner that is killed must not leave a service behind, and only prctl says so"
    )]
    // SAFETY: between fork and exec the closure only makes one system call, prctl, which is
    // async-signal-safe; it allocates nothing and touches no lock.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    command.spawn()
}

/// Our `containers.conf`. `exit_command_delay` is for how many seconds Podman keeps a monitor process
/// after the end of an exec; its default is five minutes, and we ask for the status at once.
const CONF: &str = "[engine]\nruntime = \"runc\"\nexit_command_delay = 30\n";

/// Writes the `containers.conf` that this host needs, if it needs one: on hybrid cgroups (version 1
/// controllers) crun, Podman's first choice, refuses to run, and runc works. Elsewhere none is written,
/// because Podman 4 reads it *instead of* the host's own.
fn write_conf(settings: &EngineSettings, state_dir: &Path) -> std::io::Result<Option<PathBuf>> {
    let is_unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let path = settings.service_env.get("PATH").map_or("", String::as_str);
    let has_runc = std::env::split_paths(path).any(|dir| dir.join("runc").is_file());
    if is_unified || !has_runc {
        return Ok(None);
    }
    let conf = state_dir.join("containers.conf");
    std::fs::write(&conf, CONF)?;
    Ok(Some(conf))
}

/// The end of what a service wrote before it failed, on one line.
fn last_words(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let tail = &text[text.len().saturating_sub(LAST_WORDS_BYTES_MAX)..];
    String::from_utf8_lossy(tail).trim().replace('\n', "; ")
}

/// An error with all its sources on one line: for sentences that a person reads, where no chain follows.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let words = inner.to_string();
        // Transparent errors say the same again.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rootless_engines_are_asked_first_and_podman_before_docker() {
        let paths = known_sockets(Some(Path::new("/run/user/7")));
        insta::assert_debug_snapshot!(paths, @r#"
        [
            "/run/user/7/podman/podman.sock",
            "/run/user/7/docker.sock",
            "/run/podman/podman.sock",
            "/var/run/docker.sock",
        ]
        "#);
    }
}
