//! Hands over the text files below some paths, one at a time, with a bound on everything.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A hand-written file is smaller; a larger one is generated or data, and is counted as left out.
pub const FILE_BYTES_MAX: u64 = 8 << 20;

/// A large monorepo fits (Chromium has about 450,000 files); a tree that grows while it is walked ends.
pub const ENTRIES_MAX: usize = 1_000_000;

/// As git does: a NUL byte this early makes a file binary.
const BINARY_PROBE_BYTES: usize = 8000;

/// A history is not the commit; what it holds is not what a step is asked about.
const HISTORY: &[&str] = &[".git", ".hg", ".svn"];

/// What the walk did not hand over, and why.
#[derive(Debug, Default)]
pub struct LeftOut {
    /// Files with a NUL byte in their beginning.
    pub binary: usize,
    /// Files of more than [`FILE_BYTES_MAX`].
    pub too_large: usize,
    /// Links and special files.
    pub not_files: usize,
    /// What could not be opened, with the reason. A scan that missed something did not pass.
    pub unreadable: Vec<(PathBuf, io::Error)>,
    /// Whether the walk stopped at [`ENTRIES_MAX`].
    pub is_cut_short: bool,
}

/// Calls `visit` with each text file, in the order of paths, and tells what was left out.
pub fn for_each_text_file(
    roots: &[PathBuf],
    mut visit: impl FnMut(&Path, &[u8]) -> io::Result<()>,
) -> io::Result<LeftOut> {
    let mut left_out = LeftOut::default();
    let mut waiting: Vec<PathBuf> = roots.iter().rev().cloned().collect();
    let mut entries = 0;
    while let Some(path) = waiting.pop() {
        entries += 1;
        if entries > ENTRIES_MAX {
            left_out.is_cut_short = true;
            break;
        }
        match look(&path) {
            Err(error) => left_out.unreadable.push((path, error)),
            Ok(Entry::Directory(children)) => waiting.extend(children.into_iter().rev()),
            Ok(Entry::Text(bytes)) => visit(&path, &bytes)?,
            Ok(Entry::Binary) => left_out.binary += 1,
            Ok(Entry::TooLarge) => left_out.too_large += 1,
            Ok(Entry::NotAFile) => left_out.not_files += 1,
        }
    }
    Ok(left_out)
}

enum Entry {
    /// Its children, sorted.
    Directory(Vec<PathBuf>),
    Text(Vec<u8>),
    Binary,
    TooLarge,
    NotAFile,
}

fn look(path: &Path) -> io::Result<Entry> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        return Ok(Entry::Directory(children(path)?));
    }
    // Never opened: a FIFO would wait for a writer for ever, a link may lead anywhere.
    if !metadata.is_file() {
        return Ok(Entry::NotAFile);
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Ok(Entry::TooLarge);
    }
    let probe = &bytes[..bytes.len().min(BINARY_PROBE_BYTES)];
    Ok(if probe.contains(&0) {
        Entry::Binary
    } else {
        Entry::Text(bytes)
    })
}

fn children(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut children = Vec::new();
    for entry in fs::read_dir(path)?.take(ENTRIES_MAX) {
        let name = entry?.file_name();
        if !HISTORY.iter().any(|history| name == *history) {
            children.push(if path == Path::new(".") {
                PathBuf::from(name)
            } else {
                path.join(name)
            });
        }
    }
    children.sort();
    Ok(children)
}
