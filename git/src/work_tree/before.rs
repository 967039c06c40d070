//! What is seen to before somebody's files are read: that nobody else can reach into our own directory, nested
//! repositories, and how much there is to read.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::WorkTree;
use crate::error::{GitError, TreeLimit, harmless};
use crate::limits::Limits;

/// Bytes of the paths of nested repositories that are taken out of the index one by one; they are arguments of a
/// process, of which Linux takes at least 128 KiB. With more of them the index is begun anew.
const NESTED_BYTES_MAX: usize = 64 * 1024;

/// Refuses a place that another user of this host has prepared or can exchange: in a directory that everybody may write
/// to, such as `/tmp`, only what belongs to us or to root is ours. A repository of ours there has a configuration that
/// git obeys.
pub(super) fn check_place(real: &Path) -> io::Result<()> {
    const STICKY: u32 = 0o1000;
    const OTHERS_WRITE: u32 = 0o002;
    let us = rustix::process::geteuid().as_raw();
    let refused = |path: &Path| {
        let why = format!("others could change {}", path.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
    };
    let mut is_open_above = false;
    let mut path: Vec<&Path> = real.ancestors().collect();
    path.reverse();
    for at in path {
        let found = fs::symlink_metadata(at)?;
        let mode = found.mode();
        if is_open_above && found.uid() != us && found.uid() != 0 {
            return refused(at);
        }
        let is_open = mode & OTHERS_WRITE != 0;
        if is_open && mode & STICKY == 0 {
            return refused(at);
        }
        is_open_above = is_open;
    }
    Ok(())
}

impl WorkTree {
    /// Takes nested repositories out of our index, so that they are new to `git add`.
    ///
    /// Of one that it knows, git wants to know whether it has changed, and runs `git status` in there, which does what
    /// that repository's own configuration says: filters, above all. A new one is only asked for its commit.
    pub(super) async fn forget_nested(
        &self,
        repository: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let what = "list the nested repositories";
        let mut entries = Entries::default();
        let mut nested: Vec<Vec<u8>> = Vec::new();
        let mut bytes = 0;
        let call = self
            .writing(what, repository)
            .args(["ls-files", "--stage", "-z"]);
        let mut take = |piece: &[u8]| {
            entries.take(piece, &mut |entry| {
                if let Some(path) = nested_path(entry) {
                    bytes += path.len() + 1;
                    nested.push(path.to_vec());
                }
                if bytes > NESTED_BYTES_MAX {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })
        };
        let ended = self.program.run(call, cancel, &mut take).await?;
        if !ended.is_success() && !ended.is_stopped {
            return Err(ended.into_error(what));
        }
        if ended.is_stopped {
            let path = repository.join("index");
            return fs::remove_file(&path).map_err(|source| GitError::Disk {
                what: "begin the index anew",
                path,
                source,
            });
        }
        if nested.is_empty() {
            return Ok(());
        }
        let call = self
            .writing("forget the nested repositories", repository)
            .args(["update-index", "--force-remove", "--"])
            .args(nested.iter().map(|path| OsStr::from_bytes(path)));
        self.program.output(call, cancel, 0).await.map(drop)
    }

    /// Refuses a work tree in which more is new than a checkout may hold, before a byte of it is read: whoever forgot to
    /// ignore the image of a disk does not wait until it is compressed.
    pub(super) async fn measure_new(
        &self,
        repository: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let what = "list what is new";
        let mut entries = Entries::default();
        let mut new = New::default();
        let call = self.writing(what, repository).args([
            "ls-files",
            "--others",
            "--modified",
            "--exclude-standard",
            "-z",
        ]);
        let mut take =
            |piece: &[u8]| entries.take(piece, &mut |path| new.add(&self.root, path, &self.limits));
        let ended = self.program.run(call, cancel, &mut take).await?;
        match new.refusal {
            Some((limit, path)) => Err(GitError::WorkTreeTooLarge { limit, path }),
            None if ended.is_success() => Ok(()),
            None => Err(ended.into_error(what)),
        }
    }
}

/// Adds up what is new.
#[derive(Debug, Default)]
struct New {
    entries: u64,
    bytes: u64,
    refusal: Option<(TreeLimit, String)>,
}

impl New {
    fn add(&mut self, root: &Path, path: &[u8], limits: &Limits) -> ControlFlow<()> {
        self.entries += 1;
        // What is gone by now, or was removed, is not read.
        if let Ok(found) = fs::symlink_metadata(root.join(OsStr::from_bytes(path)))
            && found.is_file()
        {
            self.bytes = self.bytes.saturating_add(found.len());
        }
        let limit = if self.entries > limits.tree_entries_max {
            TreeLimit::Entries(limits.tree_entries_max)
        } else if self.bytes > limits.tree_bytes_max {
            TreeLimit::Bytes(limits.tree_bytes_max)
        } else {
            return ControlFlow::Continue(());
        };
        self.refusal = Some((limit, harmless(path)));
        ControlFlow::Break(())
    }
}

/// Entries that end in a NUL byte, of which a piece of output may hold any part.
#[derive(Debug, Default)]
struct Entries {
    begun: Vec<u8>,
}

impl Entries {
    fn take(
        &mut self,
        piece: &[u8],
        each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        for part in piece.split_inclusive(|byte| *byte == 0) {
            match part.strip_suffix(b"\0") {
                None => self.begun.extend_from_slice(part),
                Some(end) if self.begun.is_empty() => each(end)?,
                Some(end) => {
                    self.begun.extend_from_slice(end);
                    each(&std::mem::take(&mut self.begun))?;
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// The path of an entry `160000 <id> <stage>\t<path>`; `None` if it is of another kind.
fn nested_path(entry: &[u8]) -> Option<&[u8]> {
    let tab = entry.iter().position(|byte| *byte == b'\t')?;
    entry[..tab]
        .starts_with(b"160000 ")
        .then(|| &entry[tab + 1..])
}
