//! The hub: learns of a push, plans a build, hands its jobs to runners, keeps what they report and
//! shows it.
//!
//! Modules stand in the order a job meets them, after the foundations; a module imports only
//! foundations and later modules. Only `wiring.rs` and `main.rs` name a concrete adapter.
//!
//! The hub never executes anything of a repository: it reads one file from git objects. It never
//! dials a runner. SQL lives under `store/` alone.

// Foundations.
pub mod authority;
pub mod clock;
pub mod config;
pub mod data_dir;
pub mod domain;
pub mod hook;
pub mod plain_text;
pub mod server;
pub mod store;

// The commands, and what they are wired from.
pub mod command;
pub mod wiring;

// The walk.
pub mod trigger;

pub mod resolve;

pub mod schedule;

pub mod gateway;

pub mod ingest;

pub mod control;

pub mod live;
