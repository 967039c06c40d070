//! Foundations: where things are on this host, how its programs are run, what is kept between runs.

pub(crate) mod cache;
pub(crate) mod config;
pub(crate) mod process;
pub(crate) mod progress;

pub(crate) use config::Host;
pub(crate) use process::Tool;
