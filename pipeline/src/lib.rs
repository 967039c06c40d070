//! The pipeline language: a file and a push go in, a plan comes out.
//!
//! [`resolve`] is the only door. The hub opens it for a push, the runner for a local run. This crate never reads a
//! file, a clock, an environment or a socket, and it has no task and no thread: it must build for any target.

// Foundations: what the stations below hand to each other.
mod diagnostic;
mod plan;
mod push;

pub use diagnostic::{Diagnostic, Severity, Span};
pub use plan::{
    Clock, GrantRequest, JobPlan, LimitRequest, ModuleRef, NetGrant, NetScheme, PathGrant, Plan,
    Random, RetryCause, RetryRequest, ScriptStep, SecretDelivery, SecretGrant, StepKind, StepPlan,
    WasmStep,
};
pub use push::{ChangedFiles, Push, Reference};

/// The names under which a pipeline file is looked for in the root of a commit, the preferred one first: the file is
/// `cofferdam.yml` if there is one, else `bitbucket-pipelines.yml`.
pub const PIPELINE_FILE_NAMES: [&str; 2] = ["cofferdam.yml", "bitbucket-pipelines.yml"];

/// What a push leads to, and what there is to say about the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    pub outcome: Outcome,
    /// In the order of the file; errors only if the outcome is [`Outcome::Invalid`].
    pub diagnostics: Vec<Diagnostic>,
}

/// What a push leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Planned(Plan),
    /// The file is in order and this push starts nothing. Why, in a sentence.
    NothingSelected(String),
    /// The file cannot be used; the diagnostics say why.
    Invalid,
}
