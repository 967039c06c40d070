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
    /// When it was planned: the time in its id.
    pub created_at: Timestamp,
    /// When its last job ended.
    pub finished_at: Option<Timestamp>,
}

/// When an id was made, by the time that it holds as every ULID does. An id that was not made from a
/// clock may hold a time after year 9999, the last that a [`Timestamp`] can say; that year stands for it.
pub fn made_at(id: BuildId) -> Timestamp {
    let mut ms = [0; 8];
    ms[2..].copy_from_slice(&id.to_bytes()[..6]);
    let ms = i64::from_be_bytes(ms);
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

/// Where a build stands. Derived by [`super::Course::state`] whenever one of its jobs changes, in the
/// same transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildState {
    /// The file could not be planned: no job was made.
    Invalid,
    /// No job runs, and none has ended.
    Queued,
    /// A job runs, or could.
    Running,
    /// It goes on when a person starts a job.
    Paused,
    /// Every step passed, was skipped, or was left to a person who did not want it.
    Passed,
    /// A step failed.
    Failed,
    /// No step failed, but one could not be run.
    Error,
    /// No step failed or could not be run, but one was cancelled.
    Cancelled,
}

impl BuildState {
    /// Every state there is.
    pub const ALL: [Self; 8] = [
        Self::Invalid,
        Self::Queued,
        Self::Running,
        Self::Paused,
        Self::Passed,
        Self::Failed,
        Self::Error,
        Self::Cancelled,
    ];

    /// Its name, for people and for the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing can happen to it any more.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Queued | Self::Running | Self::Paused => false,
            Self::Invalid | Self::Passed | Self::Failed | Self::Error | Self::Cancelled => true,
        }
    }
}
