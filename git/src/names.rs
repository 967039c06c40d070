//! The names that others give us, parsed at the edge.
//!
//! A value of one of these types is safe as an argument of git wherever an object, a ref, a path or
//! a remote is expected: it never starts with `-` and holds no control character.

mod commit_id;
mod ref_name;
mod remote_url;
mod tree_path;

pub use commit_id::{BadCommitId, CommitId};
pub use ref_name::{BadRefName, RefName};
pub use remote_url::{BadRemoteUrl, RemotePolicy, RemoteUrl};
pub(crate) use remote_url::{Protocol, file_url};
pub use tree_path::{BadTreePath, TreePath};
