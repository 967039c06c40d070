//! A step's own clean work tree, as a confined directory handle.
//!
//! Made by `checkout`, handed to one step, removed afterwards. What the runner itself does in it goes
//! through the handle and never follows a link out; a path is for those that need one: a bind mount,
//! a container engine.

mod clear;

use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

pub(crate) use self::clear::remove_tree;

/// A directory that belongs to one step. Removed with all that is in it when dropped.
#[derive(Debug)]
pub struct Workspace {
    dir: Dir,
    path: PathBuf,
}

impl Workspace {
    /// Makes the empty directory `path`, which must not exist, readable by nobody else.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new().mode(0o700).create(path)?;
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        Ok(Self {
            dir,
            path: path.to_owned(),
        })
    }

    /// The handle: every path given to it stays inside.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The path on the host. For mounting, never for opening what is inside.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Workspace {
    /// Removes it on a thread that may block: a step can leave a million files.
    pub async fn remove(self) {
        // A panic in there is told where it happens.
        let _done = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "could not remove a workspace");
        }
    }
}
