//! The pipeline file that a command looks at: which one it is, and its bytes.
//!
//! From a name, or from nothing, to bytes. Nothing is read but that one file; a commit's file is `run`'s business.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use cofferdam_pipeline::PIPELINE_FILE_NAMES;
use rustix::fs::{Mode, OFlags};

use crate::text::printable;

/// Bytes of a file that are read. The language refuses far shorter ones, and says so with its own bound.
const FILE_BYTES_READ_MAX: u64 = 16 * 1024 * 1024;

/// Directories above this one that are asked for a repository. The kernel's longest path has fewer that are of use.
const LEVELS_MAX: usize = 64;

/// A file as it was read.
#[derive(Debug)]
pub(super) struct PipelineFile {
    /// As people are told.
    pub(super) name: String,
    pub(super) source: Vec<u8>,
}

impl PipelineFile {
    /// Reads a file, or standard input for `-`.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let (name, source) = if path == Path::new("-") {
            ("standard input".to_owned(), bounded(io::stdin().lock()))
        } else {
            let source = open(path).and_then(bounded);
            (path.display().to_string(), source)
        };
        match source {
            Ok(source) => Ok(Self { name, source }),
            Err(error) => Err(format!("{}: {error}", printable(&name))),
        }
    }
}

/// Opens a regular file and nothing else: what a repository put in its place, a FIFO or a device, could be waited for
/// or read for ever.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    match file.metadata()?.file_type() {
        kind if kind.is_file() => Ok(file),
        kind if kind.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(io::Error::other("it is not a regular file")),
    }
}

fn bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(FILE_BYTES_READ_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The files that were named, else the one that the hub would take: it lies in the root of the repository around `here`,
/// or in `here` where there is no repository.
pub(super) fn named_or_own(named: &[PathBuf], here: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let root = repository_root(here);
    PIPELINE_FILE_NAMES
        .into_iter()
        .map(|name| root.join(name))
        .find(|path| path.exists())
        .map(|path| vec![path])
        .ok_or_else(|| {
            let [first, second] = PIPELINE_FILE_NAMES;
            let place = if root.as_os_str().is_empty() {
                "here".to_owned()
            } else {
                format!("in {}, the root of this repository", root.display())
            };
            anyhow::anyhow!("there is neither {first} nor {second} {place}")
        })
}

/// `..` as often as needed to reach the directory with a `.git`; nothing if there is none, or if it is this one.
fn repository_root(here: &Path) -> PathBuf {
    let mut root = PathBuf::new();
    for above in here.ancestors().take(LEVELS_MAX) {
        if above.join(".git").exists() {
            return root;
        }
        root.push("..");
    }
    PathBuf::new()
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo.yml");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let link = dir.path().join("link.yml");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for (path, expected) in [
            (fifo.as_path(), "it is not a regular file"),
            (&link, "it is not a regular file"),
            (dir.path(), "is a directory"),
        ] {
            let error = PipelineFile::read(path).unwrap_err();
            assert!(error.ends_with(expected), "{error}");
        }
    }
}
