//! Somebody's own work tree, read for a local run: its commit, and a snapshot of what lies in it now.
//!
//! From a directory of the user to a store of ours that borrows his objects and adds what he has not committed. Nothing is ever written below the user's directory, his index included. His
//! ignore rules of `.gitignore` and `.git/info/exclude` count; those of his account do not, because no file of a
//! user configures us. Deliberately absent: submodules, filters (LFS) and line-end conversion.

mod before;

use std::fs::{self, DirBuilder};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::commit::{Commit, message_of};
use crate::error::GitError;
use crate::limits::{LOCAL_TIME_MAX, Limits};
use crate::names::CommitId;
use crate::process::{Call, Program};
use crate::store::Store;

/// What a line of git's answer may be long: a path, a ref, an id.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a list of changed paths. With more of them nobody knows what changed.
const CHANGED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of `.git` files and `info/exclude` that are read. Real ones have a few hundred.
const SMALL_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Bytes of an index that is copied: a million files have some 150 MB.
const INDEX_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Where a local run leaves its artifacts and logs: never part of a snapshot.
pub const LOCAL_OUTPUT_DIR: &str = ".cofferdam";

/// What a snapshot counts as the tip of. No such ref is ever written.
const SNAPSHOT_REF: &str = "refs/heads/cofferdam-snapshot";

/// A work tree that somebody works in.
#[derive(Clone, Debug)]
pub struct WorkTree {
    program: Arc<Program>,
    limits: Limits,
    root: PathBuf,
    git_dir: PathBuf,
}

/// Where the work tree stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The commit that is checked out.
    pub commit: CommitId,
    /// The branch, unless no branch is checked out.
    pub branch: Option<String>,
    /// The whole message of the commit; what is no UTF-8 is replaced.
    pub message: String,
}

/// The content of a work tree at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The checked-out commit if nothing differs from it, else a commit that only our store has. No other run makes
    /// a snapshot in the same store while it lives.
    pub commit: Commit,
    /// Whether it is something else than the checked-out commit.
    pub is_changed: bool,
    /// The commit that it was made from: itself, or the checked-out one; `None` before the first commit.
    pub base: Option<Commit>,
}

impl WorkTree {
    pub(crate) fn find(
        program: Arc<Program>,
        limits: Limits,
        from: &Path,
    ) -> Result<Option<Self>, GitError> {
        let failed = |source| GitError::Disk {
            what: "look for a repository",
            path: from.to_path_buf(),
            source,
        };
        let from = real(from).map_err(failed)?;
        for root in from.ancestors() {
            if let Some(git_dir) = git_dir_of(root).map_err(failed)? {
                return Ok(Some(Self {
                    program,
                    limits,
                    root: root.to_path_buf(),
                    git_dir,
                }));
            }
        }
        Ok(None)
    }

    /// The directory with `.git` in it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What is checked out; `None` before the first commit.
    pub async fn head(&self, cancel: &CancellationToken) -> Result<Option<Head>, GitError> {
        // A repository that git cannot read is no repository without a commit.
        self.kind(cancel).await?;
        let Some(commit) = self.commit_of("HEAD", cancel).await? else {
            return Ok(None);
        };
        let what = "tell the branch";
        let branch = self
            .said(what, &["symbolic-ref", "-q", "--short", "HEAD"], cancel)
            .await?;
        let message = message_of(&commit, (&self.program, &self.git_dir), cancel).await?;
        Ok(Some(Head {
            commit,
            branch,
            message: message.trim_end().to_owned(),
        }))
    }

    /// The commit that a revision names (`HEAD~1`, a branch, a tag, an id); `None` if it names none.
    pub async fn commit_of(
        &self,
        revision: &str,
        cancel: &CancellationToken,
    ) -> Result<Option<CommitId>, GitError> {
        let wanted = format!("{revision}^{{commit}}");
        let args = ["rev-parse", "--verify", "-q", "--end-of-options", &wanted];
        let said = self.said("find the commit", &args, cancel).await?;
        Ok(said.and_then(|id| id.parse().ok()))
    }

    /// The last commit that the checked-out branch has in common with its upstream; `None` if it has no upstream.
    pub async fn pushed(&self, cancel: &CancellationToken) -> Result<Option<CommitId>, GitError> {
        let Some(upstream) = self.commit_of("@{upstream}", cancel).await? else {
            return Ok(None);
        };
        let args = ["merge-base", "HEAD", upstream.as_str()];
        let said = self.said("find what was pushed", &args, cancel).await?;
        Ok(said.and_then(|id| id.parse().ok()))
    }

    /// The address of the remote `origin`, without credentials.
    pub async fn origin(&self, cancel: &CancellationToken) -> Result<Option<String>, GitError> {
        let args = ["config", "--local", "--get", "remote.origin.url"];
        self.said("tell the remote", &args, cancel).await
    }

    /// The paths in which a snapshot differs from a commit; `None` if there are too many to tell.
    pub async fn changed(
        &self,
        since: &CommitId,
        snapshot: &Snapshot,
        cancel: &CancellationToken,
    ) -> Result<Option<Vec<String>>, GitError> {
        let git_dir = snapshot.commit.git_dir();
        let call = Call::reading("list what changed", &git_dir).args([
            "diff-tree",
            "-r",
            "-z",
            "--name-only",
            "--no-renames",
            "--no-ext-diff",
            since.as_str(),
            snapshot.commit.id().as_str(),
            "--",
        ]);
        match self.program.output(call, cancel, CHANGED_BYTES_MAX).await {
            Ok(paths) => Ok(Some(
                paths
                    .split(|byte| *byte == 0)
                    .filter(|path| !path.is_empty())
                    .map(|path| String::from_utf8_lossy(path).into_owned())
                    .collect(),
            )),
            Err(GitError::Failed { how, .. }) if how.contains("bytes of output") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes a snapshot: all tracked files as they are now, and all untracked ones that are not ignored. A file that git is
    /// told not to look at (sparse checkout, `skip-worktree`) is as in the index.
    ///
    /// `dir` is a directory of ours for this work tree; it is made if it is missing and makes the next snapshot fast.
    /// On cancel it stays usable.
    pub async fn snapshot(
        &self,
        dir: &Path,
        cancel: &CancellationToken,
    ) -> Result<Snapshot, GitError> {
        let store = self.prepare(dir, cancel).await?;
        let head = self.commit_of("HEAD", cancel).await?;
        let repository = store.git_dir(&self.kind(cancel).await?);
        self.begin_index(&repository)
            .map_err(|source| GitError::Disk {
                what: "read the index",
                path: self.git_dir.join("index"),
                source,
            })?;
        self.forget_nested(&repository, cancel).await?;
        self.measure_new(&repository, cancel).await?;
        let call = (self.writing("read the work tree", &repository)).args(["add", "--all"]);
        let read = self.program.output(call, cancel, LINE_BYTES_MAX).await;
        read.map_err(explained)?;
        let writing = |what| self.writing(what, &repository);
        let call = writing("write the snapshot").args(["write-tree"]);
        let tree = self.line(call, cancel).await?;
        if let Some(head) = &head {
            let whole = format!("{head}^{{tree}}");
            let args = ["rev-parse", "--verify", "-q", &whole];
            if self.said("look at the commit", &args, cancel).await? == Some(tree.clone()) {
                return Ok(found(&store, head.clone()));
            }
        }
        let mut call = writing("write the snapshot").args([
            "-c",
            "user.name=cofferdam",
            "-c",
            "user.email=cofferdam@localhost",
            "commit-tree",
            "-m",
            "What lies in the work tree",
        ]);
        if let Some(head) = &head {
            call = call.args(["-p", head.as_str()]);
        }
        let said = self.line(call.args([tree]), cancel).await?;
        let commit = said.parse().map_err(|_| GitError::Failed {
            what: "write the snapshot",
            how: "its answer is no id".to_owned(),
            detail: String::new(),
        })?;
        Ok(Snapshot {
            base: head.map(|head| of_store(&store, head)),
            commit: of_store(&store, commit),
            is_changed: true,
        })
    }

    /// As [`Self::snapshot`], of a commit and not of what lies in the work tree.
    pub async fn exact(
        &self,
        commit: &CommitId,
        dir: &Path,
        cancel: &CancellationToken,
    ) -> Result<Snapshot, GitError> {
        let store = self.prepare(dir, cancel).await?;
        Ok(found(&store, commit.clone()))
    }

    /// A call that works on the user's files and writes to a repository of ours.
    fn writing<'a>(&'a self, what: &'static str, repository: &'a Path) -> Call<'a> {
        Call {
            work_tree: Some(&self.root),
            directory: &self.root,
            time_max: self.limits.checkout_time_max,
            file_bytes_max: self.limits.tree_bytes_max,
            ..Call::reading(what, repository)
        }
    }

    /// Makes the store that borrows the user's objects, and locks it.
    async fn prepare(
        &self,
        dir: &Path,
        cancel: &CancellationToken,
    ) -> Result<Arc<Store>, GitError> {
        let disk = |source| GitError::Disk {
            what: "keep a snapshot",
            path: dir.to_path_buf(),
            source,
        };
        if let Some(parent) = dir.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(parent)
                .and_then(|()| before::check_place(&real(parent)?))
                .map_err(disk)?;
        }
        let program = Arc::clone(&self.program);
        let store = Store::open(dir.to_path_buf(), program, self.limits.clone())?;
        let kind = self.kind(cancel).await?;
        store.prepare(&kind, cancel).await?;
        self.borrow(&store.git_dir(&kind)).map_err(disk)?;
        Ok(Arc::new(store))
    }

    /// An id of the kind that the user's repository has; there may be no commit yet to take it from.
    async fn kind(&self, cancel: &CancellationToken) -> Result<CommitId, GitError> {
        let args = ["rev-parse", "--show-object-format"];
        let call = Call::reading("read the repository", &self.git_dir).args(args);
        let digits = match self.line(call, cancel).await?.as_str() {
            "sha256" => 64,
            _ => 40,
        };
        Ok("0".repeat(digits).parse().expect("zeros are hexadecimal"))
    }

    /// Lets the bare repository see what the user's has: objects, where its history ends, what it ignores.
    fn borrow(&self, repository: &Path) -> io::Result<()> {
        let common = match read_small(&self.git_dir.join("commondir"))? {
            Some(text) => self.git_dir.join(text.trim_end()),
            None => self.git_dir.clone(),
        };
        let common = real(&common)?;
        fs::create_dir_all(repository.join("objects/info"))?;
        fs::create_dir_all(repository.join("info"))?;
        let objects = common.join("objects").display().to_string();
        if objects.contains('\n') {
            let why = "a path with a line break cannot be borrowed from";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        fs::write(repository.join("objects/info/alternates"), objects + "\n")?;
        match read_small(&common.join("shallow"))? {
            Some(text) => fs::write(repository.join("shallow"), text)?,
            None => remove_if_there(&repository.join("shallow"))?,
        }
        let ignored = read_small(&common.join("info/exclude"))?.unwrap_or_default();
        let ignored = format!("{ignored}\n/{LOCAL_OUTPUT_DIR}/\n");
        fs::write(repository.join("info/exclude"), ignored)
    }

    /// Begins our index as a copy of the user's, which knows what is tracked although it is ignored, and what a sparse
    /// checkout leaves out. An entry is trusted if its file is older than the index, so the copy has the index's own time.
    /// Of a split one the other half is missing: then ours begins empty, as where there is none.
    fn begin_index(&self, repository: &Path) -> io::Result<()> {
        let ours = repository.join("index");
        remove_if_there(&ours)?;
        let theirs = match fs::File::open(self.git_dir.join("index")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let found = theirs.metadata()?;
        if found.len() > INDEX_BYTES_MAX || self.has_split_index()? {
            return Ok(());
        }
        let mut copy = fs::File::create_new(&ours)?;
        io::copy(&mut theirs.take(INDEX_BYTES_MAX), &mut copy)?;
        copy.set_modified(found.modified()?)
    }

    fn has_split_index(&self) -> io::Result<bool> {
        for entry in fs::read_dir(&self.git_dir)? {
            if entry?.file_name().as_bytes().starts_with(b"sharedindex.") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn line(&self, call: Call<'_>, cancel: &CancellationToken) -> Result<String, GitError> {
        let said = self.program.output(call, cancel, LINE_BYTES_MAX).await?;
        Ok(String::from_utf8_lossy(&said).trim_end().to_owned())
    }

    /// One line from the user's repository; `None` when git has no answer.
    async fn said(
        &self,
        what: &'static str,
        args: &[&str],
        cancel: &CancellationToken,
    ) -> Result<Option<String>, GitError> {
        let call = Call {
            time_max: LOCAL_TIME_MAX,
            ..Call::reading(what, &self.git_dir)
        };
        let call = call.args(args.iter().copied());
        match self.line(call, cancel).await {
            Ok(line) => Ok((!line.is_empty()).then_some(line)),
            // One is git's word for no, 128 for a name that it does not know.
            Err(GitError::Failed { how, .. })
                if matches!(how.as_str(), "exit status 1" | "exit status 128") =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Git maps a file into its memory while it reads it, and is killed if that becomes shorter.
fn explained(error: GitError) -> GitError {
    match error {
        GitError::Failed { what, how, .. } if how == "signal 7" => GitError::Failed {
            what,
            how: "a file became shorter while it was read".to_owned(),
            detail: String::new(),
        },
        other => other,
    }
}

fn found(store: &Arc<Store>, commit: CommitId) -> Snapshot {
    let commit = of_store(store, commit);
    Snapshot {
        base: Some(commit.clone()),
        commit,
        is_changed: false,
    }
}

fn of_store(store: &Arc<Store>, commit: CommitId) -> Commit {
    let reference = SNAPSHOT_REF.parse().expect("a ref that we wrote ourselves");
    Commit::new(Arc::clone(store), commit, reference)
}

/// The repository of a directory, if it is the root of a work tree.
fn git_dir_of(root: &Path) -> io::Result<Option<PathBuf>> {
    let place = root.join(".git");
    match fs::metadata(&place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(found) if found.is_dir() => Ok(Some(place)),
        // A further work tree of a repository, or a submodule: the file names the place.
        Ok(_) => Ok(read_small(&place)?.and_then(|text| {
            let path = text.strip_prefix("gitdir: ")?.trim_end().to_owned();
            Some(root.join(path))
        })),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a directory of the user, named by himself, on his own host"
)]
fn real(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

fn read_small(path: &Path) -> io::Result<Option<String>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(found) if found.len() > SMALL_FILE_BYTES_MAX || !found.is_file() => {
            let why = format!("{} is no small file", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(_) => {}
    }
    fs::read_to_string(path).map(Some)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
