//! A commit that may be used, and what is read from it.

mod checkout;
mod listing;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::error::GitError;
use crate::limits::{COMMIT_BYTES_MAX, TREE_PATH_BYTES_MAX};
use crate::names::{CommitId, RefName, TreePath};
use crate::process::{Call, Program};
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
        let git_dir = self.store.git_dir(&self.id);
        let never = CancellationToken::new();
        message_of(&self.id, (&self.store.program, &git_dir), &never).await
    }

    /// When it was committed, in seconds since 1970, as the one who committed says: nobody else can know. Times before
    /// 1970 and beyond what a 64-bit clock of nanoseconds can show, in the year 2554, are [`GitError::Failed`].
    pub async fn committed_secs(&self) -> Result<u64, GitError> {
        let what = "read the commit's time";
        let git_dir = self.store.git_dir(&self.id);
        let call = reading_object(what, &self.id, &git_dir);
        let never = CancellationToken::new();
        let object = read_object(call, &self.store.program, &never).await?;
        committed_secs(&object).ok_or_else(|| GitError::Failed {
            what,
            how: "it has no time that a clock could show".to_owned(),
            detail: String::new(),
        })
    }
}

/// The message of a commit of any repository, as [`Commit::message`]. The object itself is read, because `git log` may
/// be told by the repository to check its signature, in an encoding of its own, by a program of its own.
pub(crate) async fn message_of(
    id: &CommitId,
    (program, git_dir): (&Program, &Path),
    cancel: &CancellationToken,
) -> Result<String, GitError> {
    let call = reading_object("read the commit's message", id, git_dir);
    let object = read_object(call, program, cancel).await?;
    // The first empty line ends the headers.
    let message = (object.windows(2))
        .position(|pair| pair == b"\n\n")
        .map_or(&[][..], |at| &object[at + 2..]);
    Ok(String::from_utf8_lossy(message).into_owned())
}

fn reading_object<'a>(what: &'static str, id: &'a CommitId, git_dir: &'a Path) -> Call<'a> {
    Call::reading(what, git_dir).args(["cat-file", "commit", id.as_str()])
}

/// The first 64 KiB of a commit object.
async fn read_object(
    call: Call<'_>,
    program: &Program,
    cancel: &CancellationToken,
) -> Result<Vec<u8>, GitError> {
    let what = call.what;
    let mut object = Vec::new();
    let ended = program
        .run(call, cancel, &mut |bytes| {
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
    Ok(object)
}

/// The time in the headers of a commit object: `committer NAME <MAIL> SECONDS ZONE`.
fn committed_secs(object: &[u8]) -> Option<u64> {
    const SECS_MAX: u64 = u64::MAX / 1_000_000_000;
    let line = object
        .split(|byte| *byte == b'\n')
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix(b"committer "))?;
    let mut words = line.rsplit(|byte| *byte == b' ');
    let _zone = words.next()?;
    let secs: u64 = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    (secs <= SECS_MAX).then_some(secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commits_time_is_that_of_its_committer() {
        let commit = |committer: &str| {
            format!(
                "tree 0\nauthor A <a@b> 1 +0000\ncommitter {committer}\n\ncommitter C <c@d> 9 +0000\n"
            )
        };
        for (committer, expected) in [
            (
                "Ada <ada@example.com> 1700000000 +0530",
                Some(1_700_000_000),
            ),
            ("A <x> 7 +0000 <ada@example.com> 1 -0000", Some(1)),
            (
                "Ada <ada@example.com> 18446744073 +0000",
                Some(18_446_744_073),
            ),
            ("Ada <ada@example.com> 18446744074 +0000", None),
            ("Ada <ada@example.com> 99999999999999999999999 +0000", None),
            ("Ada <ada@example.com> -1 +0000", None),
            ("Ada <ada@example.com>", None),
            ("", None),
        ] {
            assert_eq!(
                committed_secs(commit(committer).as_bytes()),
                expected,
                "{committer}"
            );
        }
        assert_eq!(
            committed_secs(b"tree 0\n\ncommitter C <c@d> 9 +0000\n"),
            None
        );
    }
}
