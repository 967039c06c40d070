//! One run of a pipeline for a push.

use cofferdam_protocol::BuildId;
use cofferdam_protocol::job_spec::Trust;
use jiff::Timestamp;

use super::Push;

/// A build. Its jobs are rows of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// Names it.
    pub id: BuildId,
    /// Its number in its repository, from 1, without gaps.
    pub number: u64,
    /// What it is for.
    pub push: Push,
    /// How far it is trusted.
    pub trust: Trust,
    /// Which pipeline of the file was selected, for example `branches › feature/*`.
    pub selected: String,
    /// What the reader of the pipeline file had to say, rendered; may be empty.
    pub diagnostics: String,
    /// Where it stands.
    pub state: BuildState,
    /// When it was planned.
    pub created_at: Timestamp,
    /// When its last job ended.
    pub finished_at: Option<Timestamp>,
}

/// Where a build stands. Derived from its jobs whenever one of them changes, in the same transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildState {
    /// The file could not be planned: no job was made.
    Invalid,
    /// No job has started yet.
    Queued,
    /// A job runs, or others wait for one.
    Running,
    /// Every job passed.
    Passed,
    /// A job failed.
    Failed,
    /// A job could not be run.
    Error,
    /// A job was cancelled.
    Cancelled,
}
