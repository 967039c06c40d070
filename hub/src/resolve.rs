//! From a push to a build: fetch the commit, read its pipeline file, plan, admit.
//!
//! The push is a hint. What counts is what git says: the ref is fetched here, and it must reach the
//! commit. Nothing of the repository is executed; one file and the commit's message are read from git
//! objects.

mod to_wire;

use std::path::PathBuf;
use std::sync::Arc;

use cofferdam_git::{
    BadRefName, BadRemoteUrl, Commit, Depth, Git, GitError, RefName, RemotePolicy, RemoteUrl,
};
use cofferdam_pipeline::progress::Outline;
use cofferdam_pipeline::{
    ChangedFiles, Diagnostic, Outcome, PIPELINE_FILE_NAMES, Reference, StepPlan,
};
use cofferdam_protocol::job_spec::{OutOfBounds, Trust, check_steps};
use cofferdam_protocol::{BuildId, CommitId, JobId};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Entropy};
use crate::domain::{AcceptedPush, Build, BuildState, Push, Repository};
use crate::store::{
    Admission, BuildStore, NewBuild, NewJob, NewPlan, NewStep, PushStore, StoreError,
};

/// Longest pipeline file that is fetched from git, in bytes: as much as the language reads.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Longest rendering of a file's diagnostics that is kept, in bytes. A hundred of them fit.
const DIAGNOSTICS_BYTES_MAX: usize = 64 * 1024;

/// Turns pushes into builds. One for the life of the hub; pushes of one repository wait for each other
/// in its mirror.
#[derive(Debug)]
pub struct Resolver {
    /// Fetches.
    pub git: Git,
    /// Where the mirrors are; below the data directory.
    pub mirrors: PathBuf,
    /// Where repositories may be.
    pub remotes: RemotePolicy,
    /// Remembers the pushes.
    pub pushes: Arc<dyn PushStore>,
    /// Keeps the builds.
    pub builds: Arc<dyn BuildStore>,
    /// Stamps them.
    pub clock: Arc<dyn Clock>,
    /// Names them.
    pub entropy: Arc<dyn Entropy>,
}

/// What a push led to.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A build with jobs.
    Planned {
        /// The build.
        build: Build,
        /// Whether it is new; `false` when the same push came before.
        is_new: bool,
        /// The names of the steps of each job, in the order of the plan.
        jobs: Vec<Vec<String>>,
    },
    /// A build without jobs: the file cannot be planned. Its diagnostics say why.
    Invalid {
        /// The build.
        build: Build,
    },
    /// No build.
    Nothing {
        /// Why, in a sentence.
        why: String,
        /// Warnings about the file, rendered; may be empty.
        diagnostics: String,
    },
}

/// Why a push led to nothing that could be said about its file.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The repository's address is not, or no longer, one that this hub may fetch from.
    #[error("{repository} cannot be fetched")]
    Remote {
        /// Which repository.
        repository: String,
        /// Why not.
        #[source]
        source: BadRemoteUrl,
    },
    /// The ref has no good name.
    #[error("the pushed ref is malformed")]
    Reference(#[from] BadRefName),
    /// Git refused or failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ResolveError {
    /// Whether the push has its answer with that. It has none when it was the hub that stopped or could not write.
    fn is_final(&self) -> bool {
        match self {
            Self::Git(GitError::Cancelled { .. }) | Self::Store(_) => false,
            Self::Remote { .. } | Self::Reference(_) | Self::Git(_) => true,
        }
    }
}

impl Resolver {
    /// Resolves one push and settles it. Dropping the future, or cancelling, leaves no build or a whole one; without
    /// one the push stays as it was, as it does when the store fails, and the next hub goes on with it.
    pub async fn resolve(
        &self,
        repository: &Repository,
        push: AcceptedPush,
        cancel: &CancellationToken,
    ) -> Result<Answer, ResolveError> {
        let id = push.id;
        let answered = self.answer(repository, push, cancel).await;
        let is_without_build = match &answered {
            // Settled with the build, in one transaction.
            Ok(Answer::Planned { .. } | Answer::Invalid { .. }) => false,
            Ok(Answer::Nothing { .. }) => true,
            Err(error) => error.is_final(),
        };
        if is_without_build {
            self.pushes.settle(id).await?;
        }
        answered
    }

    async fn answer(
        &self,
        repository: &Repository,
        accepted: AcceptedPush,
        cancel: &CancellationToken,
    ) -> Result<Answer, ResolveError> {
        let push = &accepted.push;
        let reference: RefName = push.reference.parse()?;
        let Some(pushed) = pushed_name(&reference) else {
            let why = format!("{reference} is neither a branch nor a tag.");
            return Ok(Answer::Nothing {
                why,
                diagnostics: String::new(),
            });
        };
        let commit = self.fetch(repository, &reference, push, cancel).await?;
        let (file_name, source) = match pipeline_file(&commit).await? {
            PipelineFile::Found(file_name, source) => (file_name, source),
            PipelineFile::Unusable(error) => {
                return self
                    .admit(accepted, String::new(), format!("error: {error}\n"), None)
                    .await;
            }
            PipelineFile::Missing => {
                let names = PIPELINE_FILE_NAMES.join(" nor ");
                return Ok(Answer::Nothing {
                    why: format!("The commit has neither {names}."),
                    diagnostics: String::new(),
                });
            }
        };
        let pushed = cofferdam_pipeline::Push {
            reference: pushed,
            commit_message: commit.message().await?,
            custom: None,
        };
        let changed = changed_files(&commit, accepted.before.as_ref(), cancel).await?;
        let changed = match &changed {
            Some(paths) => ChangedFiles::Known(paths),
            None => ChangedFiles::Unknown,
        };
        let resolution = cofferdam_pipeline::resolve(&source, &pushed, changed);
        let diagnostics = rendered(&resolution.diagnostics, &source, file_name);
        match resolution.outcome {
            Outcome::NothingSelected(why) => Ok(Answer::Nothing { why, diagnostics }),
            Outcome::Invalid => self.admit(accepted, String::new(), diagnostics, None).await,
            Outcome::Planned(plan) => {
                let outline = Outline::from(&plan);
                let jobs = plan.jobs.into_iter().map(|job| self.new_job(job));
                let jobs: Vec<NewJob> = jobs.collect();
                // A job that no runner would take is the file's mistake, and said now, not at each offer.
                if let Some(error) = jobs.iter().find_map(|job| check(job).err()) {
                    let diagnostics = format!("{diagnostics}error: {file_name}: {error}\n");
                    return self.admit(accepted, String::new(), diagnostics, None).await;
                }
                let runs = NewPlan { outline, jobs };
                self.admit(accepted, plan.selected, diagnostics, Some(runs))
                    .await
            }
        }
    }

    async fn fetch(
        &self,
        repository: &Repository,
        reference: &RefName,
        push: &Push,
        cancel: &CancellationToken,
    ) -> Result<Commit, ResolveError> {
        let url = RemoteUrl::parse(&repository.url, &self.remotes).map_err(|source| {
            ResolveError::Remote {
                repository: repository.name.to_string(),
                source,
            }
        })?;
        let mirror = self
            .git
            .mirror(&self.mirrors.join(repository.name.as_str()))
            .await?;
        let commit = push.commit.as_str().parse().expect(SAME_IDS);
        Ok(mirror
            .fetch(&url, reference, (&commit, Depth::default()), cancel)
            .await?)
    }

    fn new_job(&self, job: cofferdam_pipeline::JobPlan) -> NewJob {
        // What a job needs stands in the outline.
        let cofferdam_pipeline::JobPlan {
            needs: _,
            stage: _,
            runs_on,
            steps,
        } = job;
        NewJob {
            id: JobId::new(self.entropy.id(self.clock.now())),
            runs_on,
            steps: steps.into_iter().map(new_step).collect(),
        }
    }

    async fn admit(
        &self,
        accepted: AcceptedPush,
        selected: String,
        diagnostics: String,
        plan: Option<NewPlan>,
    ) -> Result<Answer, ResolveError> {
        let AcceptedPush {
            id,
            push,
            before: _,
        } = accepted;
        let jobs = plan.iter().flat_map(|plan| &plan.jobs);
        let names = jobs.map(names_of).collect();
        let new = NewBuild {
            id: BuildId::new(self.entropy.id(self.clock.now())),
            push,
            settles: Some(id),
            // Every trigger that exists today is a push by a member.
            trust: Trust::Trusted,
            selected,
            diagnostics,
            plan,
        };
        let (build, is_new) = match self.builds.admit(new).await? {
            Admission::New(build) => (build, true),
            Admission::Known(build) => (build, false),
        };
        Ok(match build.state {
            BuildState::Invalid => Answer::Invalid { build },
            _ => Answer::Planned {
                build,
                is_new,
                jobs: names,
            },
        })
    }
}

/// The files that a push changed, for conditions on them: what differs from where the ref pointed before, as the server
/// says. Nobody knows for a new ref, or when the mirror has no such commit; then conditions count as met.
async fn changed_files(
    commit: &Commit,
    before: Option<&CommitId>,
    cancel: &CancellationToken,
) -> Result<Option<Vec<String>>, GitError> {
    let Some(before) = before else {
        return Ok(None);
    };
    let before = before.as_str().parse().expect(SAME_IDS);
    commit.changed_since(&before, cancel).await
}

/// Why a commit id of the protocol is one of git's.
const SAME_IDS: &str = "both kinds of commit id are 40 or 64 lower-case hexadecimal digits";

fn names_of(job: &NewJob) -> Vec<String> {
    let steps = job.steps.iter();
    steps.map(|step| step.spec.name.clone()).collect()
}

fn new_step(step: StepPlan) -> NewStep {
    NewStep {
        skip: step.skip.clone(),
        spec: to_wire::step(step),
    }
}

fn check(job: &NewJob) -> Result<(), OutOfBounds> {
    let steps = job.steps.iter().map(|step| step.spec.clone());
    check_steps(&steps.collect::<Vec<_>>())
}

fn pushed_name(reference: &RefName) -> Option<Reference> {
    let branch = reference
        .branch()
        .map(|name| Reference::Branch(name.to_owned()));
    branch.or_else(|| reference.tag().map(|name| Reference::Tag(name.to_owned())))
}

/// What a commit has for a pipeline file.
enum PipelineFile {
    /// Its name and bytes.
    Found(&'static str, Vec<u8>),
    /// It is too long, or a link or a directory. The author's doing, so the build says so.
    Unusable(GitError),
    /// There is none.
    Missing,
}

async fn pipeline_file(commit: &Commit) -> Result<PipelineFile, GitError> {
    for name in PIPELINE_FILE_NAMES {
        let path = name.parse().expect("the names of pipeline files are plain");
        match commit.read_file(&path, FILE_BYTES_MAX).await {
            Ok(Some(source)) => return Ok(PipelineFile::Found(name, source)),
            Ok(None) => {}
            Err(error @ (GitError::FileTooLarge { .. } | GitError::NotAFile { .. })) => {
                return Ok(PipelineFile::Unusable(error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(PipelineFile::Missing)
}

fn rendered(diagnostics: &[Diagnostic], source: &[u8], file_name: &str) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        let next = diagnostic.render(source, file_name);
        if text.len() + next.len() > DIAGNOSTICS_BYTES_MAX {
            text.push_str("… and more\n");
            break;
        }
        text.push_str(&next);
        if !next.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}
