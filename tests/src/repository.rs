//! A git repository of the world: a bare one on "the server", with the hub's line in its
//! `post-receive`, and a clone that somebody works in.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result};

use crate::process::{command, run};

/// A bare repository and a clone of it.
#[derive(Debug)]
pub struct Repository {
    /// Its name on the hub.
    pub name: String,
    /// The bare one.
    pub bare: PathBuf,
    /// Where somebody works.
    pub work: PathBuf,
    home: PathBuf,
}

impl Repository {
    /// Makes both, below `dir`.
    pub fn create(dir: &Path, name: &str) -> Result<Self> {
        let repository = Self {
            name: name.to_owned(),
            bare: dir.join("git").join(format!("{name}.git")),
            work: dir.join("work").join(name),
            home: dir.to_owned(),
        };
        fs::create_dir_all(&repository.bare)?;
        fs::create_dir_all(&repository.work)?;
        let bare = repository.bare.clone();
        run(repository
            .git_in(&bare)
            .args(["init", "--quiet", "--bare", "-b", "main", "."]))?;
        run(repository
            .git()
            .args(["init", "--quiet", "-b", "main", "."]))?;
        run(repository
            .git()
            .args(["remote", "add", "origin"])
            .arg(&bare))?;
        Ok(repository)
    }

    /// Its address for hub and runners.
    pub fn url(&self) -> String {
        format!("file://{}", self.bare.display())
    }

    /// Puts a line into the server's `post-receive`.
    pub fn set_hook(&self, line: &str) -> Result<()> {
        let hook = self.bare.join("hooks/post-receive");
        fs::create_dir_all(self.bare.join("hooks"))?;
        fs::write(&hook, format!("#!/bin/sh\n{line}\n"))?;
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// Writes a file of the work tree.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let path = self.work.join(path);
        fs::create_dir_all(path.parent().context("a file is in a directory")?)?;
        fs::write(&path, content).with_context(|| path.display().to_string())
    }

    /// Commits everything and returns the commit.
    pub fn commit(&self, message: &str) -> Result<String> {
        run(self.git().args(["add", "--all"]))?;
        run(self
            .git()
            .args(["commit", "--quiet", "--allow-empty", "-m", message]))?;
        let output = run(self.git().args(["rev-parse", "HEAD"]))?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Pushes a ref and returns what the server said to the one who pushed.
    pub fn push(&self, refspec: &str) -> Result<String> {
        let Output { stderr, .. } = run(self.git().args(["push", "--quiet", "origin", refspec]))?;
        Ok(String::from_utf8_lossy(&stderr).into_owned())
    }

    /// A git command in the work tree, by somebody whose settings the tests decide.
    pub fn git(&self) -> Command {
        self.git_in(&self.work)
    }

    fn git_in(&self, dir: &Path) -> Command {
        let mut git = command(Path::new("git"), &self.home);
        git.current_dir(dir)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "Ada")
            .env("GIT_AUTHOR_EMAIL", "ada@example.com")
            .env("GIT_COMMITTER_NAME", "Ada")
            .env("GIT_COMMITTER_EMAIL", "ada@example.com");
        git
    }
}
