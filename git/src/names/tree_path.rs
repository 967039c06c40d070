//! The path of a file inside a commit.

use std::fmt;
use std::str::FromStr;

use crate::limits::{TREE_DEPTH_MAX, TREE_PATH_BYTES_MAX};

/// The path of a file inside a commit: relative, `/` between its components.
///
/// Components that are `.` are dropped, so that `./ci/scan.wasm` is `ci/scan.wasm`. A `..` is
/// refused and not resolved.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TreePath(String);

/// Why a text is not the path of a file inside a commit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTreePath {
    #[error("a path inside the repository is needed")]
    Empty,
    #[error("a path inside the repository does not start with a slash")]
    Absolute,
    #[error("a path inside the repository cannot hold `..` or an empty part")]
    Component,
    #[error("a path inside the repository cannot hold a control character")]
    Control,
    #[error(
        "a path inside the repository has at most {TREE_PATH_BYTES_MAX} bytes and {TREE_DEPTH_MAX} parts"
    )]
    TooLong,
}

impl TreePath {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TreePath {
    type Err = BadTreePath;

    fn from_str(text: &str) -> Result<Self, BadTreePath> {
        if text.len() > TREE_PATH_BYTES_MAX {
            return Err(BadTreePath::TooLong);
        }
        if text.starts_with('/') {
            return Err(BadTreePath::Absolute);
        }
        if text.chars().any(char::is_control) {
            return Err(BadTreePath::Control);
        }
        let components: Vec<&str> = text.split('/').filter(|part| *part != ".").collect();
        if components.is_empty() || text.is_empty() {
            return Err(BadTreePath::Empty);
        }
        if components.iter().any(|part| matches!(*part, "" | "..")) {
            return Err(BadTreePath::Component);
        }
        if components.len() > TREE_DEPTH_MAX {
            return Err(BadTreePath::TooLong);
        }
        Ok(Self(components.join("/")))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "TreePath({})", self.0)
    }
}
