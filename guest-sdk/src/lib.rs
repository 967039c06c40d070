//! What a step written in Rust says to Cofferdam.
//!
//! **A step is an ordinary program.** It is compiled to WebAssembly (`cargo build --target
//! wasm32-wasip1`) and it reads its arguments, environment and standard input, opens files by
//! path, prints, and exits, as any command-line tool does. What is different is what it finds:
//! only the files, hosts and secrets that the pipeline file grants it. Without a grant there is
//! nothing to open, and asking is an ordinary "not found" or "permission denied".
//!
//! This crate is a convenience and no part of the contract; a step in C or Go has the same doors:
//!
//! | door | what passes through it |
//! |---|---|
//! | environment | the `BITBUCKET_*` variables, read by [`Context`] |
//! | working directory | the granted paths of the checkout, by the same relative paths |
//! | standard output and error | the step's log, live |
//! | exit code | 0 is passed, anything else is failed; [`Verdict`] names the usual three |
//!
//! ```
//! use cofferdam_guest_sdk::{Context, Verdict};
//!
//! fn main() -> Verdict {
//!     let context = Context::from_env();
//!     match context.branch() {
//!         Some(branch) => println!("checking {branch}"),
//!         None => println!("checking a commit that no branch was named for"),
//!     }
//!     Verdict::passed_if(std::path::Path::new("/").exists())
//! }
//! ```
//!
//! Deliberately absent: anything that parses or prints commands on standard output, and any call
//! that reaches past what the step was granted.

mod context;
mod verdict;

pub use context::{Context, ContextError};
pub use verdict::Verdict;
