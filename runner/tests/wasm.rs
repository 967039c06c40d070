//! WASI steps from outside: `cofferdam step run` as a program, and the executor as a job uses it.
//!
//! The guests are small modules in WebAssembly's text form, assembled here; nothing else needs to be
//! installed. What this host cannot do is listed by name.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail the test")]

#[path = "wasm/command.rs"]
mod command;
#[path = "wasm/executor.rs"]
mod executor;
#[path = "wasm/files.rs"]
mod files;
#[path = "wasm/given.rs"]
mod given;
#[path = "wasm/guests.rs"]
mod guests;
#[path = "wasm/isolation.rs"]
mod isolation;
#[path = "wasm/limits.rs"]
mod limits;
#[path = "wasm/network.rs"]
mod network;
#[path = "wasm/soak.rs"]
mod soak;
#[path = "wasm/stand.rs"]
mod stand;
#[cfg(target_arch = "x86_64")]
#[path = "wasm/wall.rs"]
mod wall;
