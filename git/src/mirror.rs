//! From a claim (this ref of that remote reaches this commit) to a commit that may be used.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::commit::Commit;
use crate::depth::Depth;
use crate::error::GitError;
use crate::limits::{DEPTH_FIRST, DEPTH_LAST, MIRROR_TIPS_MAX};
use crate::names::{CommitId, Protocol, RefName, RemoteUrl};
use crate::process::{Call, Ended, upload_pack};
use crate::store::{Store, holds_file_of};

/// The file of a repository that says to which depth somebody asked for its history.
const DEEPEST_FILE: &str = "cofferdam-depth";

/// Bytes of the answers `commit`, `tree`, `blob` and `tag`.
const KIND_BYTES_MAX: usize = 16;

/// A bare repository of ours, for one repository and one trust level. Clones share it.
#[derive(Clone, Debug)]
pub struct Mirror {
    store: Arc<Store>,
}

/// One conversation with a remote.
struct Asked<'a> {
    url: &'a RemoteUrl,
    reference: &'a RefName,
    commit: &'a CommitId,
    generations: u32,
    /// The ref of the mirror that the answer is put under.
    tip: String,
    git_dir: PathBuf,
}

impl Asked<'_> {
    /// Whether git left out parents because of the depth. It keeps one list for the whole mirror, so
    /// this may be so for another ref only, which costs no more than a second look.
    fn is_shallow(&self) -> bool {
        self.git_dir.join("shallow").exists()
    }
}

impl Mirror {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Fetches a ref and proves that it reaches a commit.
    ///
    /// The fetch is shallow: the newest 50 generations of the ref, or as many as are asked for if that is more; then, if
    /// the commit is not among them, the newest 1,000. A shallow history only leaves parents out and never adds one, so a commit that
    /// is found in it is truly reached; one that is older counts as not reached, which bounds what
    /// a claim about the past can make us transfer.
    ///
    /// A mirror that was once asked for more than 50 generations keeps to that number: git would cut the history of
    /// all others off again with a smaller one.
    ///
    /// Several calls at once wait for each other. On cancel, and when the future is dropped, git is
    /// killed and the mirror stays usable.
    pub async fn fetch(
        &self,
        url: &RemoteUrl,
        reference: &RefName,
        (commit, depth): (&CommitId, Depth),
        cancel: &CancellationToken,
    ) -> Result<Commit, GitError> {
        let what = "fetch";
        let _alone = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(GitError::Cancelled { what }),
            alone = self.store.fetching.lock() => alone,
        };
        self.store.prepare(commit, cancel).await?;
        let git_dir = self.store.git_dir(commit);
        let asked_once = deepest(&git_dir);
        let first = asked_once.max(depth.generations()).max(DEPTH_FIRST);
        let mut asked = Asked {
            url,
            reference,
            commit,
            generations: first,
            tip: remembered_tip(url, reference),
            git_dir,
        };
        for generations in [first, DEPTH_LAST.max(first)] {
            asked.generations = generations;
            self.fetch_tip(&asked, cancel).await?;
            if generations == first && first > asked_once.max(DEPTH_FIRST) {
                remember_deepest(&asked.git_dir, first)?;
            }
            if self.reaches(&asked, cancel).await? {
                let store = Arc::clone(&self.store);
                return Ok(Commit::new(store, commit.clone(), reference.clone()));
            }
            if !asked.is_shallow() || generations >= DEPTH_LAST {
                break;
            }
        }
        Err(GitError::NotReached {
            url: url.to_string(),
            reference: reference.clone(),
            commit: commit.clone(),
            generations: asked.is_shallow().then_some(asked.generations),
        })
    }

    async fn fetch_tip(
        &self,
        asked: &Asked<'_>,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let call = Call {
            what: "fetch",
            args: Vec::new(),
            directory: &asked.git_dir,
            git_dir: Some(asked.git_dir.clone()),
            work_tree: None,
            protocol: Some(asked.url.protocol()),
            time_max: self.store.limits.fetch_time_max,
            file_bytes_max: self.store.limits.mirror_bytes_max,
        };
        let call = call.args(["fetch", "--quiet", "--no-progress", "--force", "--no-tags"]);
        let call = call.args([
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--refmap=",
        ]);
        let call = call.args(["--no-recurse-submodules"]);
        let call = call.args([format!("--depth={}", asked.generations)]);
        let call = if asked.url.protocol() == Protocol::File {
            let mut option = OsString::from("--upload-pack=");
            option.push(upload_pack(self.store.program.path()));
            call.args([option])
        } else {
            call
        };
        let refspec = format!("+{}:{}", asked.reference, asked.tip);
        let call = call.args(["--".to_owned(), asked.url.for_git()?, refspec]);
        let ended = self
            .store
            .program
            .run(call, cancel, &mut |_| ControlFlow::Continue(()))
            .await?;
        if ended.is_success() {
            Ok(())
        } else {
            Err(self.why_not_fetched(asked, ended))
        }
    }

    /// Git tells these apart by its messages alone, which `LC_ALL=C` keeps in English.
    fn why_not_fetched(&self, asked: &Asked<'_>, ended: Ended) -> GitError {
        let url = asked.url.to_string();
        let bytes_max = self.store.limits.mirror_bytes_max;
        // The process that was cut off is one that `git fetch` started, and it says nothing of it.
        if ended.is_file_too_long() || holds_file_of(&asked.git_dir, bytes_max) {
            GitError::PackTooLarge {
                url,
                reference: asked.reference.clone(),
                bytes_max,
            }
        } else if ended.detail.contains("mismatched algorithms") {
            let commit = asked.commit.clone();
            GitError::OtherKindOfId { url, commit }
        } else if ended.detail.contains("couldn't find remote ref") {
            let reference = asked.reference.clone();
            GitError::NoSuchRef { url, reference }
        } else if ended.detail.contains("fsck error") {
            let finding = finding(&ended.detail);
            GitError::BadObject { url, finding }
        } else {
            ended.into_error("fetch")
        }
    }

    /// Whether the tip that was just fetched is the commit or one of its descendants.
    async fn reaches(
        &self,
        asked: &Asked<'_>,
        cancel: &CancellationToken,
    ) -> Result<bool, GitError> {
        let commit = asked.commit;
        let program = &self.store.program;
        let what = "look at the commit";
        let call = Call::reading(what, &asked.git_dir).args(["cat-file", "-t", commit.as_str()]);
        let mut kind = Vec::new();
        let ended = program
            .run(call, cancel, &mut |bytes| {
                kind.extend_from_slice(bytes);
                if kind.len() > KIND_BYTES_MAX {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })
            .await?;
        match (ended.code, kind.trim_ascii()) {
            (Some(0), b"commit") => {}
            (Some(0), other) => {
                return Err(GitError::NotACommit {
                    id: commit.clone(),
                    kind: String::from_utf8_lossy(other).into_owned(),
                });
            }
            (Some(_), _) if ended.detail.contains("could not get object info") => return Ok(false),
            _ => return Err(ended.into_error(what)),
        }
        let what = "follow the history";
        let call = Call::reading(what, &asked.git_dir).args([
            "merge-base",
            "--is-ancestor",
            commit.as_str(),
            &asked.tip,
        ]);
        let ended = program
            .run(call, cancel, &mut |_| ControlFlow::Continue(()))
            .await?;
        match ended.code {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            // A tag may point at a tree or a file. Nothing is reached from there.
            _ if ended.detail.contains("Not a valid commit name") => Ok(false),
            _ => Err(ended.into_error(what)),
        }
    }
}

/// The largest depth that this repository was ever asked for; nothing if that was never more than usual.
fn deepest(git_dir: &Path) -> u32 {
    let said = fs::read_to_string(git_dir.join(DEEPEST_FILE)).unwrap_or_default();
    said.trim().parse().unwrap_or(0)
}

fn remember_deepest(git_dir: &Path, generations: u32) -> Result<(), GitError> {
    let path = git_dir.join(DEEPEST_FILE);
    fs::write(&path, generations.to_string()).map_err(|source| GitError::Disk {
        what: "note the depth",
        path,
        source,
    })
}

/// The last finding among what git's check says: `error: object ID: NAME: EXPLANATION / fatal: …`.
fn finding(detail: &str) -> String {
    let finding = detail.rsplit("error: object ").next().unwrap_or(detail);
    let end = finding.find(" / fatal: ").unwrap_or(finding.len());
    finding[..end].to_owned()
}

/// The ref of the mirror that remembers a tip for the next fetch.
///
/// It is a number and not the ref's own name, because a remote may turn `x` into `x/y`, which git
/// cannot hold at once. Two refs with one number only forget each other.
fn remembered_tip(url: &RemoteUrl, reference: &RefName) -> String {
    let mut hasher = DefaultHasher::new();
    url.as_str().hash(&mut hasher);
    reference.hash(&mut hasher);
    format!("refs/cofferdam/{}", hasher.finish() % MIRROR_TIPS_MAX)
}
