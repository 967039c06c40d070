//! From a commit to a work tree that a step may have.
//!
//! `git init` without a template, a fetch of the commit from our mirror, `git read-tree -u`, and last
//! of all HEAD. None of them runs a hook; a filter, a merge or a diff driver that `.gitattributes`
//! names exists only in a configuration, and there is none. After [`Commit::check_out`] returns, no
//! git process of ours runs there again: from then on the directory is the step's.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Commit;
use super::listing::{Refusal, Survey};
use crate::depth::Depth;
use crate::error::{GitError, TreeLimit};
use crate::names::{Protocol, file_url};
use crate::process::{Call, upload_pack};
use crate::store::bytes_below;

/// How often a tree that `.gitattributes` may blow up is measured while it is written.
const MEASURE_PAUSE: Duration = Duration::from_millis(200);

/// Bytes of output of git processes that say nothing when all is well.
const NO_OUTPUT: usize = 0;

/// What a work tree holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckoutStats {
    /// Files, directories, links and submodules.
    pub entries: u64,
    /// Bytes of the files as the commit has them.
    pub bytes: u64,
    /// Symbolic links. They may point anywhere: whoever opens files of a work tree must not follow
    /// them out of it.
    pub links: u64,
    /// Submodules: each became an empty directory, and the step's log should say so.
    pub submodule_count: u64,
    /// The paths of the first 32 submodules, fit to be printed.
    pub submodules: Vec<String>,
}

impl Commit {
    /// Makes a work tree of the commit in an empty directory.
    ///
    /// Its `.git` holds the commit with so many generations of its history, as far as the mirror has them, and
    /// nothing of the host: no remote, no path, no hooks. HEAD is the branch if the ref is one, else the commit; a tag's name is not
    /// made. Symbolic links are made as the commit has them.
    ///
    /// On an error, and on cancel, the directory is empty again when this returns, as far as the
    /// disk allows. When the future is dropped git is killed and what it wrote stays, without a HEAD
    /// that leads to a commit; the caller throws the directory away.
    pub async fn check_out(
        &self,
        into: &Path,
        depth: Depth,
        cancel: &CancellationToken,
    ) -> Result<CheckoutStats, GitError> {
        check_empty(into)?;
        let survey = self.survey(cancel).await?;
        let steps = Steps {
            commit: self,
            into,
            depth,
        };
        match steps.run_all(survey.has_attributes, cancel).await {
            Ok(()) => Ok(CheckoutStats {
                entries: survey.entries,
                bytes: survey.bytes,
                links: survey.links,
                submodule_count: survey.submodule_count,
                submodules: survey.submodules,
            }),
            Err(error) => {
                let into = into.to_path_buf();
                // A panic in there leaves files behind, as any other failure to remove them does.
                drop(tokio::task::spawn_blocking(move || make_empty(&into)).await);
                Err(error)
            }
        }
    }

    /// Lists the whole tree and refuses it at the first bound.
    async fn survey(&self, cancel: &CancellationToken) -> Result<Survey, GitError> {
        let what = "list the tree";
        let git_dir = self.store.git_dir(&self.id);
        let call = Call::reading(what, &git_dir)
            .args(["ls-tree", "-r", "-t", "-l", "-z", "--full-tree", "--"])
            .args([self.id.as_str()]);
        let mut survey = Survey::new(&self.store.limits);
        let ended = (self.store.program)
            .run(call, cancel, &mut |bytes| survey.take(bytes))
            .await?;
        let commit = self.id.clone();
        match survey.refusal.take() {
            Some(Refusal::TooLarge { limit, path }) => Err(GitError::TreeTooLarge {
                commit,
                limit,
                path,
            }),
            Some(Refusal::Unsafe { why, path }) => Err(GitError::UnsafePath { commit, path, why }),
            None if ended.is_success() => Ok(survey),
            None => Err(ended.into_error(what)),
        }
    }
}

/// The git processes that make a work tree, in their order.
struct Steps<'a> {
    commit: &'a Commit,
    into: &'a Path,
    depth: Depth,
}

impl Steps<'_> {
    async fn run_all(
        &self,
        has_attributes: bool,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        self.init(cancel).await?;
        self.bring_objects(cancel).await?;
        self.write_files(has_attributes, cancel).await?;
        self.set_head(cancel).await
    }

    fn call(&self, what: &'static str) -> Call<'_> {
        let limits = &self.commit.store.limits;
        Call {
            what,
            args: Vec::new(),
            directory: self.into,
            git_dir: Some(self.into.join(".git")),
            work_tree: None,
            protocol: None,
            time_max: limits.checkout_time_max,
            file_bytes_max: limits.tree_bytes_max.max(limits.mirror_bytes_max),
        }
    }

    async fn run(&self, call: Call<'_>, cancel: &CancellationToken) -> Result<(), GitError> {
        let program = &self.commit.store.program;
        let output = program.output(call, cancel, NO_OUTPUT).await?;
        debug_assert!(output.is_empty(), "output is bounded to nothing");
        Ok(())
    }

    async fn init(&self, cancel: &CancellationToken) -> Result<(), GitError> {
        let branch = self.commit.reference.branch().unwrap_or("none");
        let mut call = self.call("make a repository");
        // With GIT_DIR set, `git init` would write down where the work tree is.
        call.git_dir = None;
        let call = call.args(["init", "--quiet", "--template="]);
        let call = call.args([
            format!("--object-format={}", self.commit.id.object_format()),
            format!("--initial-branch={branch}"),
        ]);
        let call = call.args([OsString::from("--"), self.into.into()]);
        self.run(call, cancel).await
    }

    /// Copies the commit and its history by git's own protocol, so that the new repository holds
    /// nothing of what other refs have brought into the mirror, and no link to it.
    async fn bring_objects(&self, cancel: &CancellationToken) -> Result<(), GitError> {
        let store = &self.commit.store;
        let mut call = self.call("copy the commit from the mirror");
        call.protocol = Some(Protocol::File);
        let call = call.args(["fetch", "--quiet", "--no-progress", "--no-tags"]);
        // FETCH_HEAD would name the mirror.
        let call = call.args([
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--refmap=",
        ]);
        let call = call.args(["--no-recurse-submodules"]);
        let mut option = OsString::from("--upload-pack=");
        option.push(upload_pack(store.program.path()));
        let mirror = file_url(&store.git_dir(&self.commit.id));
        let call = call.args([option]);
        let depth = format!("--depth={}", self.depth.generations());
        let call = call.args([depth, "--".to_owned(), mirror]);
        let call = call.args([self.commit.id.as_str()]);
        self.run(call, cancel).await
    }

    async fn write_files(
        &self,
        has_attributes: bool,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let what = "write the work tree";
        let mut call = self.call(what);
        call.work_tree = Some(self.into);
        let call = call.args(["read-tree", "-m", "-u", "--no-recurse-submodules"]);
        let call = call.args([self.commit.id.as_str()]);
        // An encoding, a line end or `$Id$` can make a file up to twelve times as long.
        let bytes_max = self.commit.store.limits.tree_bytes_max;
        let stop = cancel.child_token();
        let mut no_output = |_: &[u8]| ControlFlow::Continue(());
        let writing = (self.commit.store.program).run(call, &stop, &mut no_output);
        tokio::pin!(writing);
        let ended = tokio::select! {
            ended = &mut writing => Some(ended?),
            () = outgrows(self.into, bytes_max), if has_attributes => {
                stop.cancel();
                // The answer is that it was cancelled; what counts is that it is gone.
                drop(writing.await);
                None
            }
        };
        let Some(ended) = ended.filter(|ended| !ended.is_file_too_long()) else {
            return Err(self.outgrown());
        };
        if !ended.is_success() {
            return Err(ended.into_error(what));
        }
        if has_attributes && measure(self.into).await > bytes_max {
            return Err(self.outgrown());
        }
        Ok(())
    }

    fn outgrown(&self) -> GitError {
        GitError::TreeTooLarge {
            commit: self.commit.id.clone(),
            limit: TreeLimit::BytesOnDisk(self.commit.store.limits.tree_bytes_max),
            path: ".gitattributes".to_owned(),
        }
    }

    /// Until here HEAD leads to no commit, so an interrupted work tree cannot pass for a whole one.
    async fn set_head(&self, cancel: &CancellationToken) -> Result<(), GitError> {
        let call = self.call("set HEAD").args(["update-ref"]);
        let call = match self.commit.reference.branch() {
            Some(_) => call,
            None => call.args(["--no-deref"]),
        };
        let call = call.args(["--", "HEAD", self.commit.id.as_str()]);
        self.run(call, cancel).await
    }
}

/// Waits until the files in a directory are more than so many bytes. Never ends otherwise.
async fn outgrows(into: &Path, bytes_max: u64) {
    while measure(into).await <= bytes_max {
        tokio::time::sleep(MEASURE_PAUSE).await;
    }
}

/// Bytes of the files of a work tree, without `.git`. What cannot be measured counts as endless.
async fn measure(into: &Path) -> u64 {
    let into = into.to_path_buf();
    let measuring = move || -> io::Result<u64> {
        let git_dir = bytes_below(&into.join(".git"))?;
        Ok(bytes_below(&into)?.saturating_sub(git_dir))
    };
    match tokio::task::spawn_blocking(measuring).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) | Err(_) => u64::MAX,
    }
}

fn check_empty(into: &Path) -> Result<(), GitError> {
    let not_empty = |why| GitError::NotEmpty {
        into: PathBuf::from(into),
        why,
    };
    let failed = |source: io::Error| GitError::Disk {
        what: "look at the work tree's directory",
        path: PathBuf::from(into),
        source,
    };
    if !into.is_absolute() {
        return Err(not_empty("its path is not absolute"));
    }
    let found = fs::symlink_metadata(into).map_err(failed)?;
    if !found.is_dir() {
        return Err(not_empty("it is something else, or a link"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(not_empty("it belongs to somebody else"));
    }
    if fs::read_dir(into).map_err(failed)?.next().is_some() {
        return Err(not_empty("something is in it"));
    }
    Ok(())
}

/// Removes what a failed checkout left. No git process writes there any more, and no step has begun.
fn make_empty(into: &Path) {
    let Ok(entries) = fs::read_dir(into) else {
        return;
    };
    for entry in entries.flatten() {
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let removed = if is_directory {
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        };
        if let Err(error) = removed {
            tracing::warn!(%error, path = ?entry.path(), "could not remove a half-made work tree");
        }
    }
}
