//! Makes a container engine usable on this host, and tells the tests and the demo about it.
//!
//! From nothing to `target/engine.json`: packages (as root on Debian), a configuration if the host's
//! own does not work, an image that was made offline ([`image`]), and one container that really ran.
//! The runner finds its engine by itself; it needs no more than the environment that stands in that
//! file. Deliberately absent: any change of the host's own configuration.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::json;

use crate::host::{Host, Tool, progress};
use crate::packages::apt;

mod image;

/// The programs that a host needs, and the packages that Debian has them in. `runc` beside podman:
/// crun, podman's default, refuses hosts that mount both generations of cgroups. `catatonit` is the
/// init that podman starts in a container that asks for one.
const NEEDED: &[(&str, &str)] = &[
    ("podman", "podman"),
    ("runc", "runc"),
    ("busybox", "busybox-static"),
    ("catatonit", "catatonit"),
];

/// Above what a build opens, below what any host allows.
const OPEN_FILES_MAX: u64 = 65_536;

/// As above, for processes.
const PROCESSES_MAX: u64 = 32_768;

/// An engine that ran a container.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    kind: Kind,
    program: PathBuf,
    /// What the engine's commands, and its service, must find in their environment.
    environment: Vec<(OsString, OsString)>,
}

/// Both speak Docker's API and take the same commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Podman,
    Docker,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Docker => "docker",
        }
    }
}

impl Engine {
    /// What the engine's commands, and a runner that starts it, must find in their environment.
    pub(crate) fn environment(&self) -> &[(OsString, OsString)] {
        &self.environment
    }

    fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Tool {
        Tool::new(&self.program)
            .envs(&self.environment)
            .args(arguments)
    }

    /// Starts a container of the image and waits for it.
    fn run_one(&self) -> Result<()> {
        let run = [
            "run",
            "--rm",
            "--pull",
            "never",
            "--network",
            "none",
            image::busybox::TAG,
            "true",
        ];
        self.command(run).output()?;
        Ok(())
    }
}

/// Makes an engine usable if there is a way, and writes `target/engine.json` in either case.
pub(crate) fn prepare(host: &Host) -> Result<Option<Engine>> {
    progress::stage("engine", || {
        fs::create_dir_all(&host.target)?;
        let (engine, (facts, summary)) = match make_usable(host) {
            Ok(engine) => {
                let described = describe(&engine)?;
                (Some(engine), described)
            }
            Err(error) => {
                let reason = format!("{error:#}");
                let summary = format!("none: {}", reason.lines().next().unwrap_or("?"));
                let facts = json!({ "engine": null, "reason": reason });
                (None, (facts, summary))
            }
        };
        let path = host.target.join("engine.json");
        fs::write(&path, serde_json::to_string_pretty(&facts)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok((engine, summary))
    })
}

/// Makes the image that this project's own pipeline runs in, unless the engine has it.
pub(crate) fn prepare_rust_image(host: &Host) -> Result<Engine> {
    let Some(engine) = prepare(host)? else {
        bail!(
            "no container engine: {}",
            read_reason(host)?.unwrap_or_default()
        );
    };
    progress::stage("image", || {
        let (tag, made) = image::rust::ensure(host, &engine)?;
        let how = match made {
            image::Made::Before => "unchanged".to_owned(),
            image::Made::Now(bytes) => format!("made from {} MB", bytes / 1_000_000),
        };
        Ok(((), format!("{tag}, {how}")))
    })?;
    Ok(engine)
}

/// Why there is no engine, as the last [`prepare`] found it; `None` when there is one.
pub(crate) fn read_reason(host: &Host) -> Result<Option<String>> {
    let text = fs::read_to_string(host.target.join("engine.json"))?;
    let facts: serde_json::Value = serde_json::from_str(&text)?;
    Ok(facts["reason"].as_str().map(str::to_owned))
}

fn make_usable(host: &Host) -> Result<Engine> {
    let engine = find_or_install(host)?;
    let configured = configuration(host);
    let plain = Engine {
        environment: Vec::new(),
        ..engine.clone()
    };
    let ours = Engine {
        environment: vec![("CONTAINERS_CONF".into(), configured.clone().into())],
        ..engine
    };
    // Ours first where it was needed before, so that a second call tries nothing in vain.
    if plain.kind == Kind::Podman && configured.exists() && try_out(host, &ours).is_ok() {
        return Ok(ours);
    }
    let Err(error) = try_out(host, &plain) else {
        return Ok(plain);
    };
    if plain.kind == Kind::Docker {
        return Err(error);
    }
    write_configuration(host, &configured)?;
    try_out(host, &ours).map(|()| ours).inspect_err(|_| {
        // A configuration that did not help must not be taken for one that did.
        drop(fs::remove_file(&configured));
    })
}

fn try_out(host: &Host, engine: &Engine) -> Result<()> {
    image::busybox::ensure(host, engine)?;
    engine.run_one()
}

/// Podman first, because it needs no daemon and no group that equals root; a running Docker else.
fn find_or_install(host: &Host) -> Result<Engine> {
    let engine = |kind, program| Engine {
        kind,
        program,
        environment: Vec::new(),
    };
    let podman = || {
        host.find_program("podman")
            .map(|program| engine(Kind::Podman, program))
    };
    if podman().is_none()
        && let Some(docker) = running_docker(host)
    {
        return Ok(engine(Kind::Docker, docker));
    }
    let is_lacking = |(program, package): &&(&str, &str)| {
        host.find_program(program).is_none() && !(host.is_debian && apt::is_installed(package))
    };
    let lacking: Vec<&str> = NEEDED
        .iter()
        .filter(is_lacking)
        .map(|(_, package)| *package)
        .collect();
    let installed = if lacking.is_empty() {
        Ok(())
    } else {
        apt::install(host, &lacking)
    };
    // Podman alone may do: whether it does is tried afterwards.
    match podman() {
        Some(engine) => Ok(engine),
        None => Err(installed
            .err()
            .unwrap_or_else(|| anyhow!("podman is not on PATH"))),
    }
}

fn running_docker(host: &Host) -> Option<PathBuf> {
    let docker = host.find_program("docker")?;
    let version = Tool::new(&docker).args(["version", "--format", "{{.Server.Version}}"]);
    version.output().is_ok().then_some(docker)
}

fn configuration(host: &Host) -> PathBuf {
    host.cache.join("engine/containers.conf")
}

/// For hosts with both generations of cgroups, and for those where root may not raise limits.
fn write_configuration(host: &Host, path: &Path) -> Result<()> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let open_files = hard_limit(&limits, "Max open files").min(OPEN_FILES_MAX);
    let processes = hard_limit(&limits, "Max processes").min(PROCESSES_MAX);
    let runtime = if host.find_program("runc").is_some() {
        "runtime = \"runc\"\n"
    } else {
        ""
    };
    let text = format!(
        "# Written by Cofferdam's workbench. Remove it and it is written anew where it is needed.\n\
         [containers]\n\
         default_ulimits = [\"nofile={open_files}:{open_files}\", \"nproc={processes}:{processes}\"]\n\n\
         [engine]\n{runtime}cgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n"
    );
    fs::create_dir_all(
        path.parent()
            .context("the configuration lies in a directory")?,
    )?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The hard limit of a line in `/proc/self/limits`; none is the largest number.
fn hard_limit(limits: &str, name: &str) -> u64 {
    let line = limits.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(u64::MAX)
}

fn describe(engine: &Engine) -> Result<(serde_json::Value, String)> {
    let version = match engine.kind {
        Kind::Podman => engine.command(["version", "--format", "{{.Client.Version}}"]),
        Kind::Docker => engine.command(["version", "--format", "{{.Server.Version}}"]),
    };
    let version = version.output()?.trim().to_owned();
    let name = engine.kind.name();
    let pairs = engine.environment.iter().map(|(name, value)| {
        (
            name.display().to_string(),
            json!(value.display().to_string()),
        )
    });
    let facts = json!({
        "engine": name,
        "program": engine.program.display().to_string(),
        "version": version,
        "environment": pairs.collect::<serde_json::Map<_, _>>(),
        // Docker's daemon is there; podman's service is started by whoever needs it.
        "service": match engine.kind {
            Kind::Podman => json!(["system", "service", "--time=0", "unix://SOCKET"]),
            Kind::Docker => json!(null),
        },
        "image": image::busybox::TAG,
        "reason": null,
    });
    Ok((facts, format!("{name} {version}, {}", image::busybox::TAG)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_limits_are_read_and_none_is_no_limit() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             96365                unlimited            processes \n\
                      Max open files            1024                 20000                files     \n";
        assert_eq!(hard_limit(limits, "Max open files"), 20_000);
        assert_eq!(hard_limit(limits, "Max processes"), u64::MAX);
        assert_eq!(hard_limit("", "Max processes"), u64::MAX);
    }
}
