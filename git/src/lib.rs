//! Git against hostile repositories.
//!
//! A push claims that a ref of a remote reaches a commit. This crate fetches that ref into a mirror
//! of our own, proves the claim, and only then hands out a [`Commit`], from which a file is read
//! (the hub's pipeline file, the runner's wasm module) or a work tree is made (the runner's
//! workspace). Every byte of the remote is taken for an attack.
//!
//! Deliberately absent: submodules, LFS, partial clones, credentials, writing to a remote, and any
//! git process in a directory that a step has touched. No file of the user or the system configures
//! a git process of ours; see `process/environment.rs` for all that does.

// Foundations.
mod depth;
mod error;
mod limits;
mod names;
mod process;

// The walk: a git program, somebody's own work tree, a mirror, a proven commit, its repository on disk. The lines stand apart
// because rustfmt sorts neighbours.
mod git;

mod work_tree;

mod mirror;

mod commit;

mod store;

pub use commit::{CheckoutStats, Commit};
pub use depth::Depth;
pub use error::{Blame, GitError, TreeLimit};
pub use git::Git;
pub use limits::Limits;
pub use mirror::Mirror;
pub use names::{
    BadCommitId, BadRefName, BadRemoteUrl, BadTreePath, CommitId, RefName, RemotePolicy, RemoteUrl,
    TreePath,
};
pub use work_tree::{Head, LOCAL_OUTPUT_DIR, Snapshot, WorkTree};
