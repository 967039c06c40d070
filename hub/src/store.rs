//! What the hub remembers: the ports, in the words of the domain.
//!
//! A method is one transaction. Not found is `Ok(None)`. No row type, no SQL and no database error
//! crosses this line. Two implementations, `store/sqlite.rs` and `store/memory.rs`, are held to the
//! same behaviours by `store/contract.rs`.
//!
//! Every method may be called from many tasks at once. Dropping a method's future before it returns
//! leaves either all of its effect or none. "Returned" means durable: what `Ok` answered survives a
//! `kill -9` of the hub.
//!
//! A name that the caller must have checked (the repository of a build, the runner of a lease) and that
//! is unknown all the same is a [`StoreError`]: the hub contradicts itself.

pub mod memory;
pub mod sqlite;

mod changes;
#[cfg(test)]
mod contract;
mod frame;
mod plan;

use std::fmt::Debug;

use async_trait::async_trait;
use cofferdam_pipeline::progress::Outline;
use cofferdam_protocol::proof::PublicKey;
use cofferdam_protocol::report::JobEvent;
use cofferdam_protocol::{AttemptId, BuildId, Fence, JobId, LogFrame, LogRecord, RunnerId, Seq};
use jiff::Timestamp;

use crate::domain::{
    AcceptedPush, Attempt, Build, Happening, Job, JoinToken, Push, PushId, RepoName, ReportedPush,
    Repository, Runner, RunnerState, StepRecord,
};

/// Why the store could not answer. Retrying may help; the caller shows it as the hub's own fault.
#[derive(Debug, thiserror::Error)]
#[error("the store could not {doing}")]
pub struct StoreError {
    /// The verb that failed.
    pub doing: &'static str,
    /// What the database said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl StoreError {
    pub(crate) fn new(
        doing: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            doing,
            source: source.into(),
        }
    }
}

/// All ports in one, for `wiring.rs`. A module takes the narrowest one that it needs.
#[async_trait]
pub trait Store:
    RepositoryStore + PushStore + BuildStore + QueueStore + LogStore + RunnerStore
{
    /// Ends it, once all that was asked for is done: whoever waits for an answer gets it. What is asked for later is
    /// an error. May be called twice.
    async fn close(&self);
}

/// Repositories. Used by the control socket and by `trigger`.
#[async_trait]
pub trait RepositoryStore: Send + Sync + Debug {
    /// Adds a repository; `false` if the name is taken.
    async fn add_repository(&self, repository: &Repository) -> Result<bool, StoreError>;

    /// A repository by name.
    async fn repository(&self, name: &RepoName) -> Result<Option<Repository>, StoreError>;

    /// All of them, by name.
    async fn repositories(&self) -> Result<Vec<Repository>, StoreError>;
}

/// Pushes between their report and their build. Written by `trigger` and `resolve`.
#[async_trait]
pub trait PushStore: Send + Sync + Debug {
    /// Takes a signed report: remembers that its nonce was used, and each of its pushes until it is settled. `None` if
    /// the nonce was used before; then nothing is stored. Nonces whose `expires_at` is past `now` are forgotten: by
    /// then the signature is too old to be taken.
    async fn accept(
        &self,
        report: SignedReport,
        now: Timestamp,
    ) -> Result<Option<Vec<AcceptedPush>>, StoreError>;

    /// The pushes that are not settled, in the order in which they were accepted.
    async fn unsettled(&self) -> Result<Vec<AcceptedPush>, StoreError>;

    /// Forgets a push that led to no build. One that led to a build is forgotten by [`BuildStore::admit`]. Nothing
    /// happens if it is settled already.
    async fn settle(&self, push: PushId) -> Result<(), StoreError>;
}

/// A report whose signature was found good.
#[derive(Clone, Debug)]
pub struct SignedReport {
    /// Whose it is.
    pub repository: RepoName,
    /// What its sender uses once.
    pub nonce: String,
    /// When the signature is too old to be taken again.
    pub expires_at: Timestamp,
    /// What it says was pushed there, as far as something may run for it.
    pub pushes: Vec<ReportedPush>,
}

/// Builds and their jobs. Written by `resolve`, read by the control socket.
#[async_trait]
pub trait BuildStore: Send + Sync + Debug {
    /// Stores a build and its jobs, gives it the next number of its repository, and settles its push. If
    /// this (repository, ref, commit) has a build already, the push is settled, no build is stored, and that
    /// one is returned.
    /// A plan that no build can follow is an error, and so is one with two steps of one index.
    async fn admit(&self, build: NewBuild) -> Result<Admission, StoreError>;

    /// A build by its id.
    async fn build(&self, id: BuildId) -> Result<Option<Build>, StoreError>;

    /// A build by its number.
    async fn build_by_number(
        &self,
        repository: &RepoName,
        number: u64,
    ) -> Result<Option<Build>, StoreError>;

    /// The newest builds first, at most `limit`, of one repository or of all.
    async fn builds(
        &self,
        repository: Option<&RepoName>,
        limit: u32,
    ) -> Result<Vec<Build>, StoreError>;

    /// The jobs of a build, by ordinal.
    async fn jobs(&self, build: BuildId) -> Result<Vec<Job>, StoreError>;

    /// What was last reported about the steps of a job, by index. Of a step that several attempts tried, the newest word
    /// counts.
    async fn steps(&self, job: JobId) -> Result<Vec<StepRecord>, StoreError>;
}

/// A build that is about to be stored.
#[derive(Clone, Debug)]
pub struct NewBuild {
    /// Names it.
    pub id: BuildId,
    /// What it is for.
    pub push: Push,
    /// The accepted push that it settles, if it is for one.
    pub settles: Option<PushId>,
    /// How far it is trusted.
    pub trust: cofferdam_protocol::job_spec::Trust,
    /// Which pipeline was selected.
    pub selected: String,
    /// Rendered diagnostics; may be empty.
    pub diagnostics: String,
    /// What it runs, or `None` when the file could not be planned: the build is stored as `Invalid`, so that
    /// the push has an answer that people can see.
    pub plan: Option<NewPlan>,
}

/// What a build that is about to be stored runs.
#[derive(Clone, Debug)]
pub struct NewPlan {
    /// What its progress depends on.
    pub outline: Outline,
    /// Its jobs, in the order of the outline.
    pub jobs: Vec<NewJob>,
}

/// A job that is about to be stored.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Names it.
    pub id: JobId,
    /// Labels that its runner must have.
    pub runs_on: Vec<String>,
    /// In the order of the outline.
    pub steps: Vec<NewStep>,
}

/// A step that is about to be stored.
#[derive(Clone, Debug)]
pub struct NewStep {
    /// What it executes.
    pub spec: cofferdam_protocol::job_spec::StepSpec,
    /// Why it is skipped, in a sentence, if the outline says that it is.
    pub skip: Option<String>,
}

/// What became of a [`NewBuild`].
#[derive(Clone, Debug)]
pub enum Admission {
    /// It was stored.
    New(Build),
    /// The push already had this build.
    Known(Build),
}

/// The queue. Written by `schedule`, `gateway` and `ingest`.
#[async_trait]
pub trait QueueStore: Send + Sync + Debug {
    /// The jobs to which nothing is missing but a runner, oldest build first, then by ordinal.
    async fn ready(&self) -> Result<Vec<Job>, StoreError>;

    /// Gives `job` to a runner if it is still [`QueueStore::ready`], under the next fence; `None` if it is
    /// not, or if the runner was revoked.
    async fn lease(
        &self,
        job: JobId,
        attempt: AttemptId,
        runner: RunnerId,
        lease_until: Timestamp,
    ) -> Result<Option<Attempt>, StoreError>;

    /// The job of a live attempt; `None` when the attempt is unknown, ended or overtaken.
    async fn leased(&self, attempt: AttemptId, fence: Fence) -> Result<Option<Job>, StoreError>;

    /// Every attempt that is leased now.
    async fn leases(&self) -> Result<Vec<Job>, StoreError>;

    /// Moves the end of a lease to `until`; `false` when `runner` does not hold that try any more
    /// or was revoked.
    async fn renew(
        &self,
        attempt: AttemptId,
        fence: Fence,
        runner: RunnerId,
        until: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Puts back an attempt that its runner declined or could not be handed; `false` when it has
    /// started, or is not the newest. The job is queued again, or ends at `now` if it is to be stopped.
    async fn give_back(
        &self,
        attempt: AttemptId,
        fence: Fence,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Ends every lease that is over at `now`. A job whose attempt had not started, or that is lost for
    /// the first time, is queued again, and goes on with its first step that has no end; of one that is lost
    /// for the second time that step ends as an error; one that is to be stopped ends as cancelled. Returns
    /// the jobs whose lease ended, as they were.
    async fn expire(&self, now: Timestamp) -> Result<Vec<Job>, StoreError>;

    /// Gives every open attempt a fresh lease: a hub that starts cannot know who is still alive.
    async fn refresh_all(&self, until: Timestamp) -> Result<(), StoreError>;

    /// How far the hub has what this attempt reported; `None` before its first report.
    async fn position(&self, attempt: AttemptId) -> Result<Option<Seq>, StoreError>;

    /// Applies one event of an attempt, once, and all that follows from it for the build, in one transaction
    /// with the attempt's position. A step that still runs when its job ends, ends with it. Jobs and builds
    /// keep the hub's time, steps the runner's.
    async fn apply(&self, report: Report) -> Result<Applied, StoreError>;

    /// Cancels a build: ends its jobs that no attempt has, and marks the others as to be stopped. A final job
    /// runs all the same; once nothing else is left, the next cancellation stops that. Returns the attempts
    /// to tell.
    async fn cancel(&self, build: BuildId, now: Timestamp) -> Result<Vec<Attempt>, StoreError>;

    /// Starts, or declines for good, a job that waits for a person; `false` if it does not, or not any more.
    async fn answer(
        &self,
        build: BuildId,
        job: JobId,
        answer: Answer,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Waits until a write may have changed what `ready`, `leases` or a build says, since `seen` was
    /// returned by an earlier call (0 at first). Returns the newest change number. May wake early.
    /// Level-triggered: a change between two calls makes the second return at once. Dropping the future
    /// loses nothing. What only puts things off (a renewed lease) or adds to a log wakes nobody.
    async fn changed(&self, seen: u64) -> u64;

    /// Whether this hub is the one that schedules. Always true with SQLite, which one hub owns alone.
    async fn try_lead(&self) -> Result<bool, StoreError>;
}

/// What a person says to a job that waits for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It may start.
    Start,
    /// It is not to be started: neither it nor what needs it is run, and the build goes on without.
    Decline,
}

impl From<Answer> for Happening {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Start => Self::Begin,
            Answer::Decline => Self::Decline,
        }
    }
}

/// One event of an attempt, as it came from its runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Who sent it; must hold the attempt.
    pub runner: RunnerId,
    /// Which attempt.
    pub attempt: AttemptId,
    /// Which try.
    pub fence: Fence,
    /// Its number.
    pub seq: Seq,
    /// When, by the runner's clock.
    pub at: Timestamp,
    /// What.
    pub event: JobEvent,
    /// The hub's own time.
    pub now: Timestamp,
}

/// What became of a report or a log frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Stored; the attempt now stands at this number.
    Stored(Seq),
    /// It had been stored before; the attempt stands at this number.
    Again(Seq),
    /// A number is missing before it: nothing stored; the attempt stands at this number.
    Gap(Option<Seq>),
    /// The attempt is unknown, ended, overtaken, another runner's, or its runner was revoked: nothing
    /// stored. An attempt that ended by its own report still answers `Again` for what it has.
    Stale,
    /// The event makes no sense in the attempt's state: nothing stored. The words are for the log.
    Refused(String),
}

/// Log bytes. Written by `ingest`, read by the control socket.
#[async_trait]
pub trait LogStore: Send + Sync + Debug {
    /// Stores the records of a frame, once, under the same numbering as [`QueueStore::apply`]. A frame of
    /// an attempt that has not started, one longer than the wire allows, or one with a record of a step
    /// that is not the job's, is refused. What goes beyond [`JOB_LOG_BYTES_MAX`] is numbered and answered,
    /// but not kept; a system record in its place says so, once in the job.
    async fn append(&self, runner: RunnerId, frame: LogFrame) -> Result<Applied, StoreError>;

    /// Records of a build in the order in which they were stored, after `cursor` (0 at first), at most
    /// about `bytes_max` bytes but at least one record if there is one.
    async fn read(
        &self,
        build: BuildId,
        cursor: u64,
        bytes_max: usize,
    ) -> Result<LogPage, StoreError>;
}

/// Most bytes of log that are kept of one job, counted as they travel and over all its attempts.
/// Bitbucket takes 100 MB of a step: ten steps that write so much fit. A runner that lies cannot get more
/// out of a job by letting it be lost and tried again.
pub const JOB_LOG_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Some records of a log and where to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPage {
    /// In the order in which they were stored, each with its attempt.
    pub records: Vec<(AttemptId, LogRecord)>,
    /// The cursor for the next page.
    pub next: u64,
}

/// Runners and the tokens that let them in. Written by `gateway` and the control socket.
#[async_trait]
pub trait RunnerStore: Send + Sync + Debug {
    /// Stores a token. One that is stored already is an error.
    async fn add_token(&self, token: &JoinToken) -> Result<(), StoreError>;

    /// Trades a token for a runner, once. The token is used up in the same transaction.
    async fn join(
        &self,
        token_hash: [u8; 32],
        newcomer: Newcomer,
        now: Timestamp,
    ) -> Result<Joined, StoreError>;

    /// A runner by its id, revoked ones too.
    async fn runner(&self, id: RunnerId) -> Result<Option<Runner>, StoreError>;

    /// All of them, oldest first.
    async fn runners(&self) -> Result<Vec<Runner>, StoreError>;

    /// Revokes a runner for good, and gives up what it holds in the same transaction, as [`QueueStore::expire`] does
    /// when a lease is over: nobody waits for a runner that may not speak. Returns the jobs that it held, as they were;
    /// `None` if there is no such runner.
    async fn revoke(&self, id: RunnerId, now: Timestamp) -> Result<Option<Vec<Job>>, StoreError>;

    /// Notes a sign of life; nothing happens if there is no such runner.
    async fn saw(&self, id: RunnerId, now: Timestamp) -> Result<(), StoreError>;
}

/// A runner that asks to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// The id it gets if the token is good.
    pub id: RunnerId,
    /// What people will call it.
    pub name: String,
    /// Its public key.
    pub key: PublicKey,
}

impl Newcomer {
    /// The runner that it becomes.
    fn runner(self, labels: Vec<String>, now: Timestamp) -> Runner {
        let Self { id, name, key } = self;
        Runner {
            id,
            name,
            key,
            labels,
            state: RunnerState::Active,
            joined_at: now,
            seen_at: None,
        }
    }
}

/// What became of a [`Newcomer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    /// It is a runner now.
    Yes(Runner),
    /// No such token.
    UnknownToken,
    /// Somebody used the token before.
    UsedToken,
    /// The token's time is over.
    ExpiredToken,
}
