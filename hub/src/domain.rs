//! The nouns of the hub. Each file keeps the invariants of one.

pub mod build;
pub mod job;
pub mod push;
pub mod repository;
pub mod runner;

pub use build::{Build, BuildState};
pub use job::{Attempt, BadTransition, Job, JobState, JobStateEvent, StepRecord, StepState};
pub use push::Push;
pub use repository::{RepoName, Repository};
pub use runner::{JoinToken, Runner, RunnerState};
