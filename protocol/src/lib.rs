//! What hub and runner say to each other, and nothing else.
//!
//! One websocket, subprotocol [`SUBPROTOCOL`]. Control messages are JSON text frames from two closed
//! enums, [`HubFrame`] and [`RunnerFrame`]; log bytes are binary frames, [`LogFrame`]. Everything that
//! arrives is bounded by [`limits`] before it is parsed.
//!
//! A field that this version does not know is ignored, so that a newer peer can say more; a frame or a
//! variant that it does not know is an error. A new field therefore has a default, and what must not be
//! ignored is a new variant or a new subprotocol.
//!
//! This crate is pure: no I/O, no clock, no randomness, no async. It never decides what a frame means
//! for a build; it only says what a well-formed one is.

#![warn(missing_docs)]
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod codec;
pub mod frame;
pub mod hello;
pub mod ids;
pub mod job_spec;
pub mod join;
pub mod limits;
pub mod log;
pub mod proof;
pub mod report;

pub use frame::{HubFrame, RunnerFrame};
pub use ids::{AttemptId, BuildId, CommitId, Fence, JobId, RunnerId, Seq, StepIndex};
pub use log::{LogFrame, LogRecord, Origin};

/// The websocket subprotocol that both sides ask for (RFC 6455, section 1.9).
pub const SUBPROTOCOL: &str = "cofferdam.v1";

/// The path of the websocket door on the hub.
pub const SESSION_PATH: &str = "/api/v1/session";

/// The path where a runner trades its one-time token for an identity.
pub const JOIN_PATH: &str = "/api/v1/runners/join";
