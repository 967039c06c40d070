//! The value that every trigger produces.

use cofferdam_protocol::CommitId;
use jiff::Timestamp;

use super::RepoName;

/// Names an accepted push. Never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PushId(pub u64);

/// A push that the hub has promised to look after: it is remembered until it has a build, or until it is known that
/// there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedPush {
    /// Names it.
    pub id: PushId,
    /// What was pushed.
    pub push: Push,
    /// What the ref pointed to before, as far as anybody knows. A hint.
    pub before: Option<CommitId>,
}

/// A push as it was reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedPush {
    /// What was pushed.
    pub push: Push,
    /// What the ref pointed to before, if it is not new.
    pub before: Option<CommitId>,
}

/// A ref of a repository now points to a commit. A hint until the hub has seen it in git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Where.
    pub repository: RepoName,
    /// The full name of the ref, for example `refs/heads/main`.
    pub reference: String,
    /// What it points to now.
    pub commit: CommitId,
    /// When the hub learnt of it.
    pub received_at: Timestamp,
}
