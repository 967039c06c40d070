//! The pipeline language: a file and a push go in, a plan comes out.
//!
//! [`resolve`] is the only door to the language. The hub opens it for a push, the runner for a local run; both then
//! keep the build that comes of it in order with the one state machine in [`progress`]. This crate never reads a
//! file, a clock, an environment or a socket, and it has no task and no thread: it must build for any target.

// Foundations: what goes in, what comes out, and what the stations below hand to each other.
mod diagnostic;
mod plan;
mod push;
mod tree;

// The stations stand in the order in which a file meets them, and import only foundations and later stations.
mod syntax;

mod read;

mod select;

mod graph;

mod glob;

// Beside the walk: the same file, looked at by a person who moves it here.
mod migrate;

// What a step sees of its build, and how far a build is; read by whoever runs a plan.
pub mod progress;
pub mod variables;

pub use diagnostic::{Diagnostic, Severity, Span};
pub use migrate::{
    Elsewhere, ElsewhereKind, Finding, KeyUse, Migration, Need, Support, VariableUse, migrate,
};
pub use plan::{
    ArtifactKind, ArtifactUpload, Artifacts, CachePlan, CaptureOn, Clock, ClonePlan,
    ConcurrencyGroup, Condition, CustomVariable, Deployment, Download, GrantRequest,
    ImageCredentials, ImagePlan, JobPlan, LimitRequest, ModuleRef, NetGrant, NetScheme,
    ParallelPlace, PathGrant, Plan, Random, RetryCause, RetryRequest, ScriptStep, SecretDelivery,
    SecretGrant, ServicePlan, StepKind, StepPlan, WasmStep,
};
pub use push::{ChangedFiles, CustomStart, Push, Reference};
pub use read::keys::{Form, KEYS, Key, PLACES, Place, Tier, Variant};
pub use select::Explained;

use diagnostic::Report;

/// The names under which a pipeline file is looked for in the root of a commit, the preferred one first: the file is
/// `cofferdam.yml` if there is one, else `bitbucket-pipelines.yml`.
pub const PIPELINE_FILE_NAMES: [&str; 2] = ["cofferdam.yml", "bitbucket-pipelines.yml"];

/// Whether a path from the root of a commit is one of [`PIPELINE_FILE_NAMES`].
pub fn is_pipeline_file_name(path: &str) -> bool {
    PIPELINE_FILE_NAMES.contains(&path)
}

/// What a push leads to, and what there is to say about the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    pub outcome: Outcome,
    /// In the order of the file. There are errors among them exactly if the outcome is [`Outcome::Invalid`].
    /// At most 102: of more errors or more warnings than 50, one remark says how many are not shown.
    pub diagnostics: Vec<Diagnostic>,
}

/// What a push leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Planned(Plan),
    /// Nothing is wrong, and this push starts nothing. Why, in a sentence.
    NothingSelected(String),
    /// The file cannot be used; the diagnostics say why.
    Invalid,
}

/// Finds out what a push starts.
///
/// `source` is the pipeline file at the pushed commit, any bytes at all. Never panics; takes time and memory in proportion
/// to the file's size with its aliases written out, which is bounded. The same arguments give the same result.
///
/// A commit message with `[skip ci]` is obeyed before the file is looked at. A step whose condition the changed files do
/// not meet is planned with the reason why it is skipped.
pub fn resolve(source: &[u8], push: &Push, changed: ChangedFiles<'_>) -> Resolution {
    if let Some(why) = select::skip(push) {
        return Resolution {
            outcome: Outcome::NothingSelected(why),
            diagnostics: Vec::new(),
        };
    }
    let mut report = Report::default();
    let file = read(source, &mut report);
    let outcome = if report.has_errors() {
        Outcome::Invalid
    } else {
        match select::select(&file, push) {
            Ok(selected) => Outcome::Planned(graph::plan(selected, changed, &mut report)),
            Err(why) => Outcome::NothingSelected(why),
        }
    };
    Resolution {
        outcome,
        diagnostics: report.into_diagnostics(),
    }
}

/// Says for every pipeline of a file why it is, or is not, what a push runs. Empty if the file has errors, which
/// [`resolve`] tells; time and memory are bounded as there.
///
/// Changed files choose no pipeline; they decide which of its steps are skipped, and a plan says so.
pub fn explain(source: &[u8], push: &Push, _changed: ChangedFiles<'_>) -> Vec<Explained> {
    let mut report = Report::default();
    let file = read(source, &mut report);
    if report.has_errors() {
        return Vec::new();
    }
    select::explain(&file, push)
}

fn read(source: &[u8], report: &mut Report) -> graph::model::File {
    let root = syntax::read(source, report);
    read::file(root.as_deref(), report)
}
