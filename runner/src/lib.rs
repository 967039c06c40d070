//! The runner: takes jobs from a hub, pulls the code, executes each step as a WASI module or in a
//! container, and reports. The same executors serve `cofferdam step run` on a laptop.
//!
//! Modules stand in the order a job meets them, after the foundations; a module imports only
//! foundations and later modules. Only `wiring.rs`, `main.rs` and the commands under `command/` name a
//! concrete adapter.
//!
//! This crate never trusts the hub blindly (`session::from_wire` checks every field again), never runs
//! git where a step could write, and never executes a module in its own process.

// Foundations.
pub mod ceiling;
pub mod clock;
pub mod config;
pub mod first_party;
pub mod hub_address;
pub mod keep;
pub mod process;
pub mod receipt;
pub mod secrets;
pub mod text;
pub mod tls;
pub mod workspace;

pub mod mask;

pub mod identity;

// The commands, and what they are wired from.
pub mod command;
pub mod step_run;
pub mod wiring;

pub mod local;

pub mod view;

// The walk.
pub mod join;
pub mod session;

pub mod job;

pub mod slots;

pub mod step;

pub mod checkout;
pub mod executor;

pub mod egress;
pub mod grant;
pub mod log;
pub mod outbox;
