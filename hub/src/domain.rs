//! The nouns of the hub. Each file keeps the invariants of one.

pub mod attempt;
pub mod build;
pub mod course;
pub mod happening;
pub mod job;
pub mod push;
pub mod repository;
pub mod runner;
pub mod step;

pub use attempt::{AttemptEnd, AttemptRecord, Ending, Turn};
pub use build::{Build, BuildState};
pub use course::{Course, JobCourse};
pub use happening::{BadTransition, Happening};
pub use job::{Attempt, Job, JobEnd, JobState, JobStep};
pub use push::{AcceptedPush, Push, PushId, ReportedPush};
pub use repository::{RepoName, Repository};
pub use runner::{JoinToken, Runner, RunnerState};
pub use step::{StepClose, StepRecord, StepReport};
