//! What is remembered of an attempt for good, and when its reports count.
//!
//! The live attempt of a job is part of [`super::JobState`]; this is what stays of every one, so that a
//! report that comes late, twice or from the wrong place gets the right answer.

use cofferdam_protocol::{AttemptId, BuildId, Fence, JobId, RunnerId, Seq};
use jiff::Timestamp;

use super::StepClose;

/// An attempt, whatever became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// Names it.
    pub id: AttemptId,
    /// The job that was tried.
    pub job: JobId,
    /// The build of the job.
    pub build: BuildId,
    /// Its number among the tries of the job.
    pub fence: Fence,
    /// Who holds or held it.
    pub runner: RunnerId,
    /// How it ended; `None` while it lives.
    pub end: Option<AttemptEnd>,
    /// The last of its reports that is stored.
    pub position: Option<Seq>,
    /// What its stored log frames take, in bytes.
    pub log_bytes: u64,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// Its runner reported the end of the job.
    Finished,
    /// The hub gave it up after it had started.
    Lost,
    /// It went back to the queue unstarted.
    Returned,
}

impl AttemptEnd {
    /// Every end there is.
    pub const ALL: [Self; 3] = [Self::Finished, Self::Lost, Self::Returned];

    /// Its name, for the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Lost => "lost",
            Self::Returned => "returned",
        }
    }
}

/// The end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// How it is remembered.
    pub by: AttemptEnd,
    /// When, by the hub's clock.
    pub at: Timestamp,
    /// What becomes of its steps that have no end of their own.
    pub close: StepClose,
}

/// Whether a report's turn has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is the next one.
    Next,
    /// It is stored already.
    Again(Seq),
    /// One before it is missing.
    Gap,
    /// Its attempt does not count any more, or is not its sender's.
    Stale,
}

impl AttemptRecord {
    /// Whether it is the turn of report `seq`, sent by `runner` for try `fence`.
    ///
    /// A finished attempt still answers for what it has: the acknowledgement of the last report may have
    /// been lost with a connection, and the runner sends it again until it hears one. A lost or returned
    /// attempt answers nothing: the job went on without it.
    pub fn turn(&self, runner: RunnerId, fence: Fence, seq: Seq) -> Turn {
        if runner != self.runner || fence != self.fence {
            return Turn::Stale;
        }
        let next = self.position.map_or(Seq::FIRST, Seq::next);
        match (self.end, self.position) {
            (None | Some(AttemptEnd::Finished), Some(position)) if seq <= position => {
                Turn::Again(position)
            }
            (Some(AttemptEnd::Finished | AttemptEnd::Lost | AttemptEnd::Returned), _) => {
                Turn::Stale
            }
            (None, _) if seq == next => Turn::Next,
            (None, _) => Turn::Gap,
        }
    }
}
