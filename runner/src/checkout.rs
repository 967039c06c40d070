//! From a plan's commit to work trees: fetch once, then a clean workspace for each step.
//!
//! A mirror belongs to one repository and one trust level, so that what a stranger pushed can never
//! stand in for what a member did. No git process of ours ever runs in a workspace that a step had.

use std::path::{Path, PathBuf};

use cofferdam_git::{CheckoutStats, Commit, Depth, Git, GitError, RefName, RemoteUrl, TreePath};
use cofferdam_protocol::CommitId;
use cofferdam_protocol::job_spec::Trust;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::first_party::{self, SCHEME};
use crate::workspace::Workspace;

/// Largest module that is read from a commit, in bytes. Yosys, the largest real one we know, has 69 MB.
pub const MODULE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Where the code is.
#[derive(Debug)]
pub struct Source {
    /// Allowed by the ceiling.
    pub url: RemoteUrl,
    /// The pushed ref.
    pub reference: RefName,
    /// Reached by it.
    pub commit: CommitId,
    /// The most history that a step of the job wants.
    pub depth: Depth,
    /// How far the build is trusted.
    pub trust: Trust,
}

/// Fetches and checks out, below the runner's state directory.
#[derive(Debug)]
pub struct Checkouts {
    git: Git,
    mirrors: PathBuf,
    workspaces: PathBuf,
}

/// Why there is no work tree, or no module.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// Git refused or failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The runner's own disk.
    #[error("could not make {}", path.display())]
    Disk {
        /// What.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The module's path cannot be one.
    #[error("{path:?} is not a path that a commit could hold")]
    BadPath {
        /// As the file has it.
        path: String,
    },
    /// The commit has no such file.
    #[error("there is no module `{path}` in the commit; {}", advice(.path))]
    NoModule {
        /// As the file has it.
        path: String,
    },
}

/// What somebody who named this file may have forgotten.
fn advice(path: &str) -> String {
    match first_party::find(path.trim_start_matches("./")) {
        Ok(step) => format!("did you mean `{SCHEME}{}`?", step.name),
        Err(_) => "was it added, or does git ignore it?".to_owned(),
    }
}

impl Checkouts {
    /// Works below `state`, which belongs to this runner alone. What an earlier life left of
    /// workspaces is removed.
    pub fn new(git: Git, state: &Path) -> std::io::Result<Self> {
        let mirrors = state.join("mirrors");
        let workspaces = state.join("workspaces");
        std::fs::create_dir_all(&mirrors)?;
        std::fs::create_dir_all(&workspaces)?;
        for leftover in std::fs::read_dir(&workspaces)? {
            let path = leftover?.path();
            // A step may have left what this user cannot remove. Its name is never used again, so it
            // costs disk and nothing else.
            if let Err(error) = crate::workspace::remove_tree(&path) {
                tracing::warn!(path = %path.display(), %error, "an old workspace stays");
            }
        }
        Ok(Self {
            git,
            mirrors,
            workspaces,
        })
    }

    /// Fetches the commit, proving that the pushed ref reaches it.
    pub async fn fetch(
        &self,
        source: &Source,
        cancel: &CancellationToken,
    ) -> Result<Commit, CheckoutError> {
        let Source {
            url,
            reference,
            commit,
            depth,
            trust,
        } = source;
        let dir = self.mirrors.join(mirror_name(url.as_str(), *trust));
        let mirror = self.git.mirror(&dir).await?;
        let commit = commit
            .as_str()
            .parse()
            .expect("both kinds of commit id are 40 or 64 lower-case hexadecimal digits");
        let wanted = (&commit, *depth);
        Ok(mirror.fetch(url, reference, wanted, cancel).await?)
    }

    /// Reads a module from the commit's objects, where no step can have changed it.
    pub async fn module(&self, commit: &Commit, path: &str) -> Result<Vec<u8>, CheckoutError> {
        let plain = path.trim_start_matches("./");
        let tree_path: TreePath = plain.parse().map_err(|_| CheckoutError::BadPath {
            path: path.to_owned(),
        })?;
        commit
            .read_file(&tree_path, MODULE_BYTES_MAX)
            .await?
            .ok_or_else(|| CheckoutError::NoModule {
                path: path.to_owned(),
            })
    }

    /// Makes a clean work tree of the commit for one step, with a name that is used once and so much history.
    pub async fn workspace(
        &self,
        commit: &Commit,
        (name, depth): (&str, Depth),
        cancel: &CancellationToken,
    ) -> Result<(Workspace, CheckoutStats), CheckoutError> {
        let path = self.workspaces.join(name);
        let disk = |source| CheckoutError::Disk {
            path: path.clone(),
            source,
        };
        let workspace = Workspace::create(&path).map_err(disk)?;
        let stats = commit.check_out(workspace.path(), depth, cancel).await?;
        Ok((workspace, stats))
    }
}

fn mirror_name(url: &str, trust: Trust) -> String {
    let trust = match trust {
        Trust::Trusted => "trusted",
        Trust::Untrusted => "untrusted",
    };
    let hash = Sha256::digest(url.as_bytes());
    format!("{trust}-{}", data_encoding::HEXLOWER.encode(&hash))
}
