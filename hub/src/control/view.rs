//! What is said over the operator's socket, in both directions, and what `--json` prints.

use serde::{Deserialize, Serialize};

/// Why a request was not done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorView {
    /// For people.
    pub error: String,
}

/// Who the hub is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AboutView {
    /// Where it is reached.
    pub url: String,
    /// Of its CA.
    pub fingerprint: String,
    /// Its public key.
    pub identity: String,
}

/// A repository that is to be added.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddRepository {
    /// Its name on the hub.
    pub name: String,
    /// Where it is fetched from.
    pub url: String,
}

/// A repository.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RepositoryView {
    /// Its name on the hub.
    pub name: String,
    /// Where it is fetched from.
    pub url: String,
}

/// What the git server of a repository needs to report pushes.
#[derive(Serialize, Deserialize)]
#[expect(missing_debug_implementations, reason = "it holds a secret")]
pub struct HookView {
    /// Where the hub is reached.
    pub hub: String,
    /// The repository's name.
    pub repository: String,
    /// The key that signs.
    pub key: String,
    /// The CA that the hub's certificate must come from, in PEM.
    pub ca: String,
}

/// A token that is to be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakeToken {
    /// What its runner will be labelled.
    pub labels: Vec<String>,
    /// How long it works, in seconds.
    pub expires_secs: u64,
}

/// A token, told once.
#[derive(Serialize, Deserialize)]
#[expect(missing_debug_implementations, reason = "it holds a secret")]
pub struct TokenView {
    /// Its text.
    pub token: String,
    /// When it ceases to work, RFC 3339.
    pub expires_at: String,
}

/// A runner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunnerView {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Given by its token.
    pub labels: Vec<String>,
    /// `online`, `offline` or `revoked`.
    pub state: String,
    /// RFC 3339.
    pub joined_at: String,
    /// Its last sign of life that was written down, RFC 3339.
    pub seen_at: Option<String>,
}

/// What a revocation did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevokedView {
    /// Jobs that the runner held, and that are not its own any more.
    pub held: usize,
}

/// A build.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BuildView {
    /// Its repository's name.
    pub repository: String,
    /// Its number there.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// `invalid`, `queued`, `running`, `paused`, `passed`, `failed`, `error` or `cancelled`.
    pub state: String,
    /// The pushed ref.
    pub reference: String,
    /// The pushed commit.
    pub commit: String,
    /// Which pipeline was selected; empty for an invalid file.
    pub selected: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub finished_at: Option<String>,
}

/// A build with all that is known about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BuildDetail {
    /// The build.
    #[serde(flatten)]
    pub build: BuildView,
    /// What the reader of its file had to say.
    pub diagnostics: String,
    /// In the order of the plan.
    pub jobs: Vec<JobView>,
}

/// What a cancellation did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cancelled {
    /// The build, as it is now.
    pub build: BuildView,
    /// Jobs that waited, and ended with it.
    pub ended: usize,
    /// Jobs that runners hold, and are told to stop; the build ends with the last of them.
    pub told: usize,
    /// Whether its final step runs all the same.
    pub is_final_left: bool,
}

/// Which step of a build a person answers for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerStep {
    /// Its number, from 1, or its name.
    pub step: String,
}

/// What an answer for a step did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answered {
    /// The build, as it is now.
    pub build: BuildView,
    /// The step that waited for a person.
    pub step: StepName,
}

/// What a step is called.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepName {
    /// Its place in the build, from 0.
    pub index: u16,
    /// What people call it.
    pub name: String,
}

/// A job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobView {
    /// Its place in the plan, from 0.
    pub ordinal: u32,
    /// `queued`, `paused`, `running`, `passed`, `failed`, `error`, `cancelled`, `skipped` or `not-run`.
    pub state: String,
    /// Why it is queued or paused, or is being stopped.
    pub why: Option<String>,
    /// Who holds it.
    pub runner: Option<String>,
    /// Labels that its runner must have.
    pub runs_on: Vec<String>,
    /// In the order of execution.
    pub steps: Vec<StepView>,
}

/// A step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepView {
    /// Its place in the build, from 0.
    pub index: u16,
    /// What people call it.
    pub name: String,
    /// `queued`, `running`, `passed`, `failed`, `error`, `cancelled`, `skipped` or `not-run`.
    pub state: String,
    /// The exit status of a failed step, if it had one.
    pub exit: Option<u8>,
    /// Why it failed, could not be run, was stopped or was not run.
    pub why: Option<String>,
    /// Whose doing it is that it could not be run: `user`, `infrastructure` or `ours`.
    pub blame: Option<String>,
    /// RFC 3339, by the runner's clock.
    pub started_at: Option<String>,
    /// RFC 3339, by the runner's clock.
    pub finished_at: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: Option<u64>,
    /// What it was granted, used and was refused.
    pub receipt: Option<serde_json::Value>,
}

/// Some records of a log and where to go on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogView {
    /// In the order in which they were stored.
    pub records: Vec<RecordView>,
    /// The cursor for the next page.
    pub next: u64,
    /// Whether the build had ended before these were read: an empty page is then the last.
    pub is_over: bool,
    /// What a person is to do before the build goes on, in a sentence for each job that waits; none while something runs.
    pub waits: Vec<String>,
}

/// One record of a log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordView {
    /// Whose it is.
    pub attempt: String,
    /// Which step, from 0.
    pub step: u16,
    /// Who wrote it.
    pub origin: cofferdam_protocol::Origin,
    /// When, in milliseconds since 1970 by the runner's clock.
    pub at_ms: u64,
    /// In base64.
    pub bytes: String,
}
