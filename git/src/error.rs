//! What can go wrong between a claimed push and a work tree, and whose fault it is.
//!
//! Text that a repository, a remote or git wrote goes through [`harmless`] before it is put here, so
//! that every message can be printed to a terminal or a log as it is.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use crate::names::{CommitId, RefName};

/// Who has to act so that it works the next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Whoever pushed, or wrote the pipeline file. A retry changes nothing.
    User,
    /// The network, the remote, or this host. A retry may help.
    Infra,
    /// The operator or we. A retry changes nothing.
    Ours,
}

/// The bound that a tree exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeLimit {
    #[error("more than {0} entries")]
    Entries(u64),
    #[error("more than {0} bytes in its files")]
    Bytes(u64),
    #[error("more than {0} bytes on disk, after the conversions in its .gitattributes")]
    BytesOnDisk(u64),
    #[error("directories more than {0} deep")]
    Depth(usize),
    #[error("a path of more than {0} bytes")]
    PathBytes(usize),
    #[error("a name of more than {0} bytes")]
    NameBytes(usize),
}

/// Why there is no commit, no file or no work tree.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("cannot use {program} as git: {why}")]
    Program { program: PathBuf, why: String },
    #[error("could not start git for: {what}")]
    Start {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("git was cancelled while it was to {what}")]
    Cancelled { what: &'static str },
    #[error("git took longer than {secs} s to {what}")]
    TimedOut { what: &'static str, secs: u64 },
    #[error("git could not {what} ({how}){}", after_colon(detail))]
    Failed {
        what: &'static str,
        how: String,
        /// The end of git's own message, which may be empty.
        detail: String,
    },
    #[error("could not {what} at {path}")]
    Disk {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    #[error("the mirror {dir} is in use by another process")]
    MirrorBusy { dir: PathBuf },
    #[error(
        "the mirror {dir} holds more than {bytes_max} bytes; it is begun anew when no job uses it"
    )]
    MirrorFull { dir: PathBuf, bytes_max: u64 },

    #[error("cannot fetch from {url}: {why}")]
    Served { url: String, why: String },
    #[error("{url} sent more than {bytes_max} bytes for {reference}")]
    PackTooLarge {
        url: String,
        reference: RefName,
        bytes_max: u64,
    },
    #[error("{url} sent an object that git's own check refuses: {finding}")]
    BadObject { url: String, finding: String },
    #[error("{url} has no {reference}")]
    NoSuchRef { url: String, reference: RefName },
    #[error("{reference} of {url} does not reach {commit}{}", within(*generations))]
    NotReached {
        url: String,
        reference: RefName,
        commit: CommitId,
        /// How far was looked, if not at the whole history.
        generations: Option<u32>,
    },
    #[error("{url} has ids of another kind than {commit}")]
    OtherKindOfId { url: String, commit: CommitId },
    #[error("{id} is a {kind}, not a commit")]
    NotACommit { id: CommitId, kind: String },

    #[error("{path} at {commit} is a {kind}, not a file")]
    NotAFile {
        path: String,
        commit: CommitId,
        kind: &'static str,
    },
    #[error("{path} at {commit} has {bytes} bytes, more than the {bytes_max} allowed")]
    FileTooLarge {
        path: String,
        commit: CommitId,
        bytes: u64,
        bytes_max: u64,
    },

    #[error("the tree of {commit} has {limit}; seen at {path}")]
    TreeTooLarge {
        commit: CommitId,
        limit: TreeLimit,
        path: String,
    },
    #[error("the tree of {commit} holds a path that no work tree may have: {path} ({why})")]
    UnsafePath {
        commit: CommitId,
        path: String,
        why: &'static str,
    },
    #[error("what is new in the work tree has {limit}; seen at {path}; a .gitignore keeps it out")]
    WorkTreeTooLarge { limit: TreeLimit, path: String },
    #[error("the work tree's directory {into} is not an empty directory: {why}")]
    NotEmpty { into: PathBuf, why: &'static str },
}

impl GitError {
    /// Decides retry and wording.
    pub fn blame(&self) -> Blame {
        match self {
            Self::NoSuchRef { .. }
            | Self::NotReached { .. }
            | Self::OtherKindOfId { .. }
            | Self::NotACommit { .. }
            | Self::PackTooLarge { .. }
            | Self::BadObject { .. }
            | Self::NotAFile { .. }
            | Self::FileTooLarge { .. }
            | Self::TreeTooLarge { .. }
            | Self::WorkTreeTooLarge { .. }
            | Self::UnsafePath { .. } => Blame::User,
            Self::Start { .. }
            | Self::Cancelled { .. }
            | Self::TimedOut { .. }
            | Self::Failed { .. }
            | Self::Disk { .. }
            | Self::MirrorFull { .. } => Blame::Infra,
            Self::Program { .. }
            | Self::MirrorBusy { .. }
            | Self::Served { .. }
            | Self::NotEmpty { .. } => Blame::Ours,
        }
    }
}

fn after_colon(detail: &str) -> String {
    if detail.is_empty() {
        String::new()
    } else {
        format!(": {detail}")
    }
}

fn within(generations: Option<u32>) -> String {
    generations.map_or_else(String::new, |count| {
        format!(" within its newest {count} generations")
    })
}

/// Makes bytes that others wrote fit for one line of a message: what a terminal would obey, or what
/// turns the reading direction, is written as an escape; a line end becomes ` / `.
pub(crate) fn harmless(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for character in String::from_utf8_lossy(bytes).trim_end().chars() {
        match character {
            '\n' => shown.push_str(" / "),
            hidden if hidden.is_control() || is_deceptive(hidden) => {
                // Writing to a String cannot fail.
                _ = write!(shown, "{}", hidden.escape_unicode());
            }
            plain => shown.push(plain),
        }
    }
    shown
}

/// Characters with which text is made to look like other text: what has no width or turns the reading direction, and
/// block elements, with which the lines of those who print this begin.
fn is_deceptive(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2580}'..='\u{259f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn what_a_terminal_would_obey_is_written_as_an_escape() {
        assert_eq!(
            harmless(b"remote: \x1b[2J\x07gone\r\nfatal: a\xff \xe2\x80\xaeb\n\n"),
            "remote: \\u{1b}[2J\\u{7}gone\\u{d} / fatal: a\u{fffd} \\u{202e}b"
        );
    }
}
