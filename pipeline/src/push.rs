//! What happened to the repository: the other input of [`resolve`](crate::resolve), beside the file.
//!
//! Comes from the hub's triggers or from a local run. Schedules and the API start a custom pipeline like a person does.

use std::collections::BTreeMap;

/// One push of one reference, or a person's wish to run a pipeline on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// What was pushed, or what a custom pipeline is to run on.
    pub reference: Reference,
    /// The whole message of the pushed commit: `[skip ci]` and `[ci skip]` count anywhere in it, unless a custom pipeline
    /// is asked for by name.
    pub commit_message: String,
    /// The custom pipeline that was asked for. `None`: the reference alone decides.
    pub custom: Option<CustomStart>,
}

/// A branch or a tag, by its short name (`main`, not `refs/heads/main`), or a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    Branch(String),
    Tag(String),
    /// A pull request was opened, or its source was pushed to.
    PullRequest {
        /// The branch that is to be merged. Patterns below `pull-requests` are for this one.
        source: String,
        /// The branch that it is to be merged into. No pattern looks at it.
        destination: String,
    },
}

/// A custom pipeline, by hand, by a schedule or by the API.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomStart {
    /// Exactly as below `custom`; no pattern.
    pub name: String,
    /// Values for the pipeline's variables.
    pub variables: BTreeMap<String, String>,
}

/// The paths that the push changed, relative to the repository's root and with `/` between components. For a pull request
/// those of all its commits.
///
/// A first push, a forced push or a shallow clone may leave them unknown; a condition on changed files then counts as
/// met, because running a step too often is the smaller mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangedFiles<'a> {
    Known(&'a [String]),
    Unknown,
}
