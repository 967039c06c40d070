//! Artifacts and caches of a build, kept on this host.
//!
//! From a step's workspace into a store (`artifact::capture`, `cache::save`), and from the store into the next
//! workspace (`artifact::restore`, `cache::load`) or to the user (`artifact::collect`). The job decides when, and which
//! store belongs to which build, repository and trust level; nothing here knows the plan, the hub or the wire.
//!
//! Everything in a workspace was written by an attacker. So:
//!
//! - it is entered only through a confined handle, one name at a time, and no link is ever followed, in or out;
//! - kept are regular files, directories, and links that cannot leave the tree. A FIFO, socket or device is passed over
//!   and told; hard links become copies; of the mode only "may be executed" survives, so no setuid, setgid or sticky bit;
//! - what a name is, is asked again of the open file, and it is opened so that a FIFO put there meanwhile cannot block;
//! - entries, files, bytes, depth and path lengths are bounded by [`Limits`], and an error names the limit and the path;
//! - a name from a workspace never becomes a name in the store: an entry there is two files, see `pack`.
//!
//! Deliberately absent: compression, ownership, extended attributes, access lists, and the deletion of artifacts after
//! 14 days (a store belongs to one build; whoever made it removes it). All functions block; they belong on a thread that may.

pub mod artifact;
pub mod cache;
pub mod glob;
pub mod path;

mod lay;
mod pack;
mod store;
mod walk;

use std::fmt;
use std::io;

use tokio_util::sync::CancellationToken;

pub use pack::{Captured, Digest};
pub use walk::{Skipped, SkippedEntry, SkippedWhy};

/// How many files, directories and links one artifact or cache may hold. The largest `node_modules` of real projects have
/// about 150,000; a quarter of a million index lines stay under 64 MiB.
pub const KEPT_ENTRIES_MAX: u64 = 250_000;

/// How many names are looked at to find them. Eight times as many as may be kept; some ten seconds of walking.
pub const SEEN_ENTRIES_MAX: u64 = 2_000_000;

/// Bytes of one artifact or cache, not compressed. Bitbucket allows 1 GB compressed, and build output compresses about four
/// to one. <https://support.atlassian.com/bitbucket-cloud/docs/use-bitbucket-artifacts-in-step/>
pub const KEPT_BYTES_MAX: u64 = 4 << 30;

/// How many directories deep. Each holds an open file while it is walked, and the usual limit of a process is 1,024; nested
/// `node_modules` of real projects reach about 40.
pub const DEPTH_MAX: usize = 128;

/// Bytes of a path below the workspace, and of a link's target: Linux opens none longer (`PATH_MAX`, with its NUL).
pub const PATH_BYTES_MAX: usize = 4095;

/// What one capture, save, restore or load may cost. The default is the constants above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files, directories and links kept.
    pub kept_entries_max: u64,
    /// Names looked at.
    pub seen_entries_max: u64,
    /// Bytes of all kept files together.
    pub bytes_max: u64,
    /// Directories above an entry. More than [`DEPTH_MAX`] counts as that.
    pub depth_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            kept_entries_max: KEPT_ENTRIES_MAX,
            seen_entries_max: SEEN_ENTRIES_MAX,
            bytes_max: KEPT_BYTES_MAX,
            depth_max: DEPTH_MAX,
        }
    }
}

/// What bounds a call: its limits, and the token that stops it between two entries or two chunks of a file.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    /// What it may cost.
    pub limits: Limits,
    /// Ends the call with [`KeepError::Cancelled`]; a half-written capture is removed, a half-laid workspace is not.
    pub cancel: CancellationToken,
}

impl Bounds {
    fn check_cancel(&self) -> Result<(), KeepError> {
        if self.cancel.is_cancelled() {
            return Err(KeepError::Cancelled);
        }
        Ok(())
    }

    fn depth_max(&self) -> usize {
        self.limits.depth_max.min(DEPTH_MAX)
    }

    /// Counts one more kept entry, or says which path was one too many.
    fn check_entries(&self, count: u64, path: &path::KeptPath) -> Result<(), KeepError> {
        if count > self.limits.kept_entries_max {
            return Err(KeepError::limit(
                Limit::Entries(self.limits.kept_entries_max),
                path,
            ));
        }
        Ok(())
    }
}

/// Which bound was met, and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Too much to keep.
    Entries(u64),
    /// Too much to look at.
    Seen(u64),
    /// Too many bytes in all.
    Bytes(u64),
    /// Too deep.
    Depth(usize),
    /// A path or a link's target too long.
    PathBytes(usize),
    /// Too many files that make a cache's key.
    KeyFiles(u64),
    /// Those files together too large.
    KeyBytes(u64),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entries(max) => write!(f, "more than {max} files, directories and links"),
            Self::Seen(max) => write!(f, "more than {max} names to look at"),
            Self::Bytes(max) => write!(f, "more than {max} bytes"),
            Self::Depth(max) => write!(f, "more than {max} directories deep"),
            Self::PathBytes(max) => write!(f, "a path of more than {max} bytes"),
            Self::KeyFiles(max) => write!(f, "more than {max} files for a cache's key"),
            Self::KeyBytes(max) => write!(f, "more than {max} bytes in the files of a cache's key"),
        }
    }
}

/// Why something was not kept or not given back.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The step made more than a bound allows. The user's to change.
    #[error("{limit}, reached at `{path}`")]
    Limit {
        /// Which, and its value.
        limit: Limit,
        /// Where it was reached.
        path: String,
    },
    /// Something still writes in the workspace, or swaps names in it.
    #[error("`{path}` changed while it was being read")]
    Changed {
        /// Where.
        path: String,
    },
    /// What is to be laid there cannot replace it.
    #[error("`{path}` is a directory with something in it, where a file or link belongs")]
    InTheWay {
        /// Where.
        path: String,
    },
    /// A place of the user's own tree that is not ours to replace.
    #[error("`{path}` is a link or a file; artifacts go only into a real directory of that name")]
    NotADirectory {
        /// Where.
        path: String,
    },
    /// A file of the store does not say what was written to it. A cache's entry is dropped with this error.
    #[error("what is kept as `{entry}` is damaged: {what}")]
    Damaged {
        /// The name in the store.
        entry: String,
        /// What was wrong.
        what: &'static str,
    },
    /// The host refused.
    #[error("could not {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: String,
        /// What the host said.
        #[source]
        source: io::Error,
    },
    /// The token was cancelled.
    #[error("stopped, because it was cancelled")]
    Cancelled,
}

impl KeepError {
    fn limit(limit: Limit, path: &path::KeptPath) -> Self {
        Self::Limit {
            limit,
            path: path.to_string(),
        }
    }

    fn io(action: &'static str, path: impl fmt::Display, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_string(),
            source,
        }
    }
}

#[cfg(test)]
mod tests;
