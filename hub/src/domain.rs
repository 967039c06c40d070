//! The nouns of the hub. Each file keeps the invariants of one.

pub mod attempt;
pub mod build;
pub mod graph;
pub mod job;
pub mod push;
pub mod repository;
pub mod runner;
pub mod step;

pub use attempt::{AttemptEnd, AttemptRecord, Turn};
pub use build::{Build, BuildState};
pub use graph::{BadGraph, JobGraph, JobNode};
pub use job::{Attempt, BadTransition, Ending, Job, JobState, JobStateEvent};
pub use push::{AcceptedPush, Push, PushId};
pub use repository::{RepoName, Repository};
pub use runner::{JoinToken, Runner, RunnerState};
pub use step::{StepClose, StepRecord, StepState};
