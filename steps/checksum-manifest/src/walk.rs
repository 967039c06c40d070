//! Lists the regular files below a directory, without following a link.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A large monorepo fits (Chromium has about 450,000 files); a tree that grows while it is
/// walked ends with an error.
pub const FILES_MAX: usize = 1_000_000;

/// What a walk found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Paths of regular files as they are to be written down: `/` between components, no
    /// leading `./`, sorted by byte.
    pub files: BTreeSet<String>,
    /// Symbolic links and special files, which are not listed.
    pub left_out: usize,
}

/// Why a walk stopped.
#[derive(Debug)]
pub enum WalkError {
    /// A directory or entry could not be read.
    Unreadable { path: PathBuf, source: io::Error },
    /// A name is not Unicode, so it has no place in a text file.
    NotUnicode(PathBuf),
    /// There are more than [`FILES_MAX`] files.
    TooMany,
}

impl fmt::Display for WalkError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, .. } => write!(formatter, "cannot read {}", path.display()),
            Self::NotUnicode(path) => write!(formatter, "{} is not a Unicode name", path.display()),
            Self::TooMany => write!(formatter, "more than {FILES_MAX} files"),
        }
    }
}

impl std::error::Error for WalkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::NotUnicode(_) | Self::TooMany => None,
        }
    }
}

/// Lists every regular file below each of the directories. A path that is itself a file counts.
pub fn files_below(directories: &[PathBuf]) -> Result<Found, WalkError> {
    let mut found = Found::default();
    // A stack of our own: a deep tree costs memory here, never the call stack.
    let mut waiting = directories.to_vec();
    while let Some(path) = waiting.pop() {
        let unreadable = |source| WalkError::Unreadable {
            path: path.clone(),
            source,
        };
        let file_type = fs::symlink_metadata(&path).map_err(unreadable)?.file_type();
        if file_type.is_dir() {
            for entry in fs::read_dir(&path).map_err(unreadable)? {
                waiting.push(path.join(entry.map_err(unreadable)?.file_name()));
            }
        } else if file_type.is_file() {
            found.files.insert(written(&path)?);
        } else {
            found.left_out += 1;
        }
        if found.files.len() + waiting.len() > FILES_MAX {
            return Err(WalkError::TooMany);
        }
    }
    Ok(found)
}

/// The path as a manifest spells it.
pub fn written(path: &Path) -> Result<String, WalkError> {
    let text = path
        .to_str()
        .ok_or_else(|| WalkError::NotUnicode(path.to_owned()))?;
    let text = text.trim_start_matches("./");
    Ok(if std::path::MAIN_SEPARATOR == '/' {
        text.to_owned()
    } else {
        text.replace(std::path::MAIN_SEPARATOR, "/")
    })
}
