//! The runner: takes jobs from a hub, pulls the code, executes each step as a WASI module or in a
//! container, and reports. The same executors serve `cofferdam step run` on a laptop.
//!
//! Modules stand in the order a job meets them, after the foundations; a module imports only
//! foundations and later modules. Only `wiring.rs` and `main.rs` name a concrete adapter.
//!
//! This crate never trusts the hub blindly (`session::from_wire` checks every field again) and never
//! runs git where a step could write.

// Foundations.
pub mod receipt;
pub mod workspace;

// The walk.
pub mod step_run;

pub mod executor;
pub mod grant;
pub mod log;
pub mod process;
