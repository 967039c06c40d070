//! A commit that may be used, and what is read from it.

mod checkout;
mod listing;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::error::GitError;
use crate::limits::{COMMIT_BYTES_MAX, TREE_PATH_BYTES_MAX};
use crate::names::{CommitId, RefName, TreePath};
use crate::process::Call;
use crate::store::Store;

pub use checkout::CheckoutStats;
use listing::{Entry, Kind};

/// Bytes of a list of changed paths: ten times what a large move of files takes. With more of them nobody knows what changed.
const CHANGED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A commit in a mirror that its ref was proven to reach, or a snapshot of a user's own work tree. Only
/// [`Mirror::fetch`](crate::Mirror::fetch) and [`WorkTree`](crate::WorkTree) make one, so nothing of a remote can be
/// read or checked out without the proof.
#[derive(Clone, Debug)]
pub struct Commit {
    store: Arc<Store>,
    id: CommitId,
    reference: RefName,
}

impl Commit {
    pub(crate) fn new(store: Arc<Store>, id: CommitId, reference: RefName) -> Self {
        Self {
            store,
            id,
            reference,
        }
    }

    /// The repository that has it.
    pub(crate) fn git_dir(&self) -> PathBuf {
        self.store.git_dir(&self.id)
    }

    pub fn id(&self) -> &CommitId {
        &self.id
    }

    /// The ref that reaches it.
    pub fn reference(&self) -> &RefName {
        &self.reference
    }

    /// Reads a file from the commit's tree, where no step can have changed it.
    ///
    /// `None` if there is nothing under that path, which includes everything behind a symbolic link:
    /// git's trees are looked up and never followed. A link, a directory or a submodule is
    /// [`GitError::NotAFile`]; a file of more than `bytes_max` bytes is not read at all.
    pub async fn read_file(
        &self,
        path: &TreePath,
        bytes_max: u64,
    ) -> Result<Option<Vec<u8>>, GitError> {
        let git_dir = self.store.git_dir(&self.id);
        let program = &self.store.program;
        let never = CancellationToken::new();
        let call = Call::reading("look up a file", &git_dir)
            .args(["ls-tree", "-z", "-l", "--full-tree", "--"])
            .args([self.id.as_str(), path.as_str()]);
        let listed = program
            .output(call, &never, 2 * TREE_PATH_BYTES_MAX)
            .await?;
        let Some(line) = listed.strip_suffix(b"\0") else {
            return Ok(None);
        };
        let entry = Entry::parse(line).filter(|entry| entry.path == path.as_str().as_bytes());
        let Some(entry) = entry else {
            return Ok(None);
        };
        let Kind::File { bytes } = entry.kind else {
            return Err(GitError::NotAFile {
                path: path.to_string(),
                commit: self.id.clone(),
                kind: entry.kind.name(),
            });
        };
        let too_large = || GitError::FileTooLarge {
            path: path.to_string(),
            commit: self.id.clone(),
            bytes,
            bytes_max,
        };
        if bytes > bytes_max {
            return Err(too_large());
        }
        let length = usize::try_from(bytes).map_err(|_| too_large())?;
        let call = Call::reading("read a file", &git_dir).args(["cat-file", "blob", entry.id]);
        Ok(Some(program.output(call, &never, length).await?))
    }

    /// The paths in which the trees of the two commits differ. `None` if nobody can tell: the repository has no such commit
    /// (what is left of a shallow history, or a ref that was moved by force), or there are too many paths.
    pub async fn changed_since(
        &self,
        before: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<Option<Vec<String>>, GitError> {
        let git_dir = self.store.git_dir(&self.id);
        let call = Call::reading("list what changed", &git_dir).args([
            "diff-tree",
            "-r",
            "-z",
            "--name-only",
            "--no-renames",
            "--no-ext-diff",
            before.as_str(),
            self.id.as_str(),
            "--",
        ]);
        match self
            .store
            .program
            .output(call, cancel, CHANGED_BYTES_MAX)
            .await
        {
            Ok(paths) => {
                let paths = paths
                    .split(|byte| *byte == 0)
                    .filter(|path| !path.is_empty());
                let paths = paths.map(|path| String::from_utf8_lossy(path).into_owned());
                Ok(Some(paths.collect()))
            }
            Err(GitError::Failed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The commit's message; bytes that are not UTF-8 are replaced, and what lies beyond the first
    /// 64 KiB of the commit object is left out.
    pub async fn message(&self) -> Result<String, GitError> {
        let what = "read the commit's message";
        let git_dir = self.store.git_dir(&self.id);
        let call = Call::reading(what, &git_dir).args(["cat-file", "commit", self.id.as_str()]);
        let mut object = Vec::new();
        let never = CancellationToken::new();
        let ended = (self.store.program)
            .run(call, &never, &mut |bytes| {
                object.extend_from_slice(bytes);
                if object.len() > COMMIT_BYTES_MAX {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })
            .await?;
        if !ended.is_success() && !ended.is_stopped {
            return Err(ended.into_error(what));
        }
        object.truncate(COMMIT_BYTES_MAX);
        // The first empty line ends the headers.
        let message = (object.windows(2))
            .position(|pair| pair == b"\n\n")
            .map_or(&[][..], |at| &object[at + 2..]);
        Ok(String::from_utf8_lossy(message).into_owned())
    }
}
