//! Somebody's laptop: a work tree, no hub, and `cofferdam run` in it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::process::{command, program, shell_status, target_dir};
use crate::{Engine, Repository};

/// Gone when dropped.
#[derive(Debug)]
pub struct Laptop {
    dir: TempDir,
    /// Where somebody works.
    pub repository: Repository,
    engine: Engine,
}

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    /// As a shell gives it.
    pub status: i32,
    /// Standard output.
    pub shown: String,
    /// Standard error.
    pub complained: String,
}

impl Laptop {
    /// With an empty work tree.
    pub fn new() -> Result<Self> {
        let dir = TempDir::with_prefix("cofferdam-laptop-")?;
        let repository = Repository::create(dir.path(), "app")?;
        Ok(Self {
            repository,
            engine: Engine::read()?,
            dir,
        })
    }

    /// Why no container can be run here.
    pub fn lacks_engine(&self) -> Option<&str> {
        self.engine.missing.as_deref()
    }

    /// Puts a guest that the set-up built into the work tree, as `ci/NAME.wasm`.
    pub fn add_guest(&self, name: &str) -> Result<()> {
        let guest = target_dir().join(format!("guests/{name}.wasm"));
        let module =
            fs::read(&guest).with_context(|| format!("{}: `just guests`", guest.display()))?;
        self.repository.write(&format!("ci/{name}.wasm"), module)
    }

    /// A `cofferdam` command in the work tree, ready to run.
    pub fn cofferdam(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = command(&program("cofferdam")?, self.dir.path());
        command
            .current_dir(&self.repository.work)
            .envs(
                self.engine
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .env("XDG_CACHE_HOME", self.dir.path().join("cache"))
            .args(arguments);
        Ok(command)
    }

    /// Runs `cofferdam` in the work tree to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Ran> {
        let mut command = self.cofferdam(arguments)?;
        let output = command
            .output()
            .with_context(|| format!("could not start {command:?}"))?;
        Ok(Ran {
            status: shell_status(output.status),
            shown: String::from_utf8_lossy(&output.stdout).into_owned(),
            complained: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// A path in the work tree.
    pub fn path(&self, path: &str) -> PathBuf {
        self.repository.work.join(path)
    }

    /// The whole log of the step of that name in the last run.
    pub fn log(&self, step: &str) -> Result<String> {
        let logs = self.path(".cofferdam/logs");
        let end = format!("-{step}.log");
        for entry in fs::read_dir(&logs)? {
            let name = entry?.file_name();
            if name.to_string_lossy().ends_with(&end) {
                return fs::read_to_string(logs.join(name)).context("a log is text here");
            }
        }
        anyhow::bail!("the step {step} has no log")
    }
}
