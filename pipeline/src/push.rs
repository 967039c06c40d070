//! What happened to the repository: the other input of [`resolve`](crate::resolve), beside the file.
//!
//! Comes from the hub's triggers or from a local run. Pull requests, custom pipelines and schedules are absent here:
//! each of them arrives as a further variant or field, so that every caller has to decide what it says.

/// One push of one reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The branch or tag that was pushed.
    pub reference: Reference,
    /// The whole message of the pushed commit: `[skip ci]` and `[ci skip]` count anywhere in it.
    pub commit_message: String,
}

/// A branch or a tag, by its short name (`main`, not `refs/heads/main`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    Branch(String),
    Tag(String),
}

/// The paths that the push changed, relative to the repository's root and with `/` between components.
///
/// A first push, a forced push or a shallow clone may leave them unknown; a condition on changed files then counts as
/// met, because running a step too often is the smaller mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangedFiles<'a> {
    Known(&'a [String]),
    Unknown,
}
