//! One hub, its runners and repositories.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::process::{Running, command, program, run, wait_for};
use crate::repository::Repository;

/// A hub that serves, and all around it.
#[derive(Debug)]
pub struct World {
    dir: PathBuf,
    /// The hub's process.
    pub hub: Running,
    /// Where it listens: `https://localhost:PORT`.
    pub address: String,
    /// Its CA's fingerprint.
    pub fingerprint: String,
    /// What its runners find in their environment, beside the usual.
    pub environment: Vec<(String, String)>,
    /// Removes everything, last of all; `None` for a directory that stays.
    temporary: Option<tempfile::TempDir>,
}

/// A runner that has joined and serves.
#[derive(Debug)]
pub struct Joined {
    /// Its process.
    pub process: Running,
    /// Its state directory.
    pub state: PathBuf,
}

impl World {
    /// Starts a hub in a temporary directory.
    pub fn start() -> Result<Self> {
        let temporary = tempfile::Builder::new().prefix("cofferdam-").tempdir()?;
        let mut world = Self::start_in(temporary.path())?;
        world.temporary = Some(temporary);
        Ok(world)
    }

    /// Starts a hub in a directory that stays.
    pub fn start_in(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir.join("git"))?;
        let hub = start_hub(dir, &[])?;
        let address = fs::read_to_string(dir.join("hub/address"))?;
        let port = address
            .trim()
            .rsplit(':')
            .next()
            .context("an address has a port")?;
        let address = format!("https://localhost:{port}");
        let mut world = Self {
            dir: dir.to_owned(),
            temporary: None,
            hub,
            address,
            fingerprint: String::new(),
            environment: Vec::new(),
        };
        let fingerprint = world.hub_says(&["fingerprint"])?;
        fingerprint.trim().clone_into(&mut world.fingerprint);
        Ok(world)
    }

    /// The directory that everything is in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A command of the hub's operator.
    pub fn hub_command(&self, arguments: &[&str]) -> Result<Command> {
        let mut hub = command(&program("cofferdam-hub")?, &self.dir);
        hub.args(arguments).arg("--data").arg(self.dir.join("hub"));
        Ok(hub)
    }

    /// What the hub answers to its operator.
    pub fn hub_says(&self, arguments: &[&str]) -> Result<String> {
        let Output { stdout, .. } = run(&mut self.hub_command(arguments)?)?;
        Ok(String::from_utf8(stdout)?)
    }

    /// Makes a repository and adds it to the hub, with its line in `post-receive`.
    pub fn repository(&self, name: &str) -> Result<Repository> {
        let repository = Repository::create(&self.dir, name)?;
        let hook_file = self.dir.join(format!("{name}.hook"));
        let hook_text = hook_file
            .to_str()
            .context("temporary directories have plain names")?;
        let url = repository.url();
        self.hub_says(&["repo", "add", name, "--url", &url, "--hook-file", hook_text])?;
        let hub = program("cofferdam-hub")?;
        repository.set_hook(&format!("exec '{}' notify '{hook_text}'", hub.display()))?;
        Ok(repository)
    }

    /// A command of a runner's operator, with its own state directory.
    pub fn runner_command(&self, name: &str, verb: &[&str]) -> Result<Command> {
        let mut runner = command(&program("cofferdam")?, &self.dir);
        runner
            .args(verb)
            .arg("--state")
            .arg(self.runner_state(name));
        runner.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(runner)
    }

    /// Where a runner keeps its state.
    pub fn runner_state(&self, name: &str) -> PathBuf {
        self.dir.join("runners").join(name)
    }

    /// Joins a runner without starting it.
    pub fn join(&self, name: &str, configuration: &str) -> Result<()> {
        let state = self.runner_state(name);
        fs::create_dir_all(&state)?;
        let roots = self.dir.join("git");
        let text = format!(
            "{configuration}\n[git]\nfile_roots = [{:?}]\n",
            roots.display().to_string()
        );
        fs::write(state.join("runner.toml"), text)?;
        let token = self.dir.join(format!("{name}.token"));
        let token_text = token
            .to_str()
            .context("temporary directories have plain names")?;
        self.hub_says(&["runner", "token", "--file", token_text])?;
        let address = self.address.clone();
        run(self
            .runner_command(
                name,
                &["join", &address, "--token-file", token_text, "--name", name],
            )?
            .args(["--hub-fingerprint", &self.fingerprint]))?;
        Ok(())
    }

    /// Joins a runner and starts it; returns when it has a session.
    pub fn runner(&self, name: &str, configuration: &str) -> Result<Joined> {
        self.join(name, configuration)?;
        let mut process = self.start_runner(name)?;
        process.wait_until_it_says("session open")?;
        Ok(Joined {
            process,
            state: self.runner_state(name),
        })
    }

    /// Starts a runner that has joined, without waiting for anything.
    pub fn start_runner(&self, name: &str) -> Result<Running> {
        let output = self.dir.join(format!("{name}.log"));
        Running::start(name, &mut self.runner_command(name, &["start"])?, &output)
    }

    /// A build as the hub describes it to scripts.
    pub fn build(&self, repository: &str, number: u64) -> Result<Value> {
        let number = number.to_string();
        let text = self.hub_says(&["build", "show", repository, &number, "--json"])?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Waits until a build has ended and returns its state.
    pub fn wait_for_build(&self, repository: &str, number: u64) -> Result<Value> {
        let what = format!("build {number} of {repository} to end");
        let ended = wait_for(&what, || {
            let build = self.build(repository, number)?;
            let state = build["state"].as_str().context("a build has a state")?;
            Ok((!matches!(state, "queued" | "running")).then_some(build.clone()))
        });
        ended.with_context(|| format!("the hub said:\n{}", self.hub.said()))
    }

    /// The whole log of a build, as people read it.
    pub fn log(&self, repository: &str, number: u64) -> Result<String> {
        let number = number.to_string();
        self.hub_says(&["build", "logs", repository, &number])
    }

    /// Stops the hub without warning and starts it again on the same data and port.
    pub fn restart_hub(&mut self) -> Result<()> {
        self.hub.signal("KILL")?;
        self.hub.wait()?;
        let listen = fs::read_to_string(self.dir.join("hub/address"))?;
        self.hub = start_hub(&self.dir, &["--listen", listen.trim()])?;
        ensure!(
            !self.fingerprint.is_empty(),
            "the hub was never asked for its fingerprint"
        );
        Ok(())
    }
}

/// Starts `cofferdam-hub serve` below `dir`; returns when it serves.
fn start_hub(dir: &Path, more: &[&str]) -> Result<Running> {
    let data = dir.join("hub");
    let mut serve = command(&program("cofferdam-hub")?, dir);
    serve
        .args(["serve", "--data"])
        .arg(&data)
        .arg("--git-file-root")
        .arg(dir.join("git"));
    if more.is_empty() {
        serve.args(["--listen", "127.0.0.1:0"]);
    }
    serve.args(more);
    let mut hub = Running::start("hub", &mut serve, &dir.join("hub.log"))?;
    hub.wait_until_it_says("sha256:")?;
    Ok(hub)
}
