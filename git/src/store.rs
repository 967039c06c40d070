//! A mirror on disk: a directory of ours that no step ever sees.
//!
//! It holds a bare repository for each kind of object id, made when the first commit of that kind is
//! asked for, and a lock file. No git process ever runs `gc` there.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::error::GitError;
use crate::limits::{LOCAL_TIME_MAX, Limits, MIRROR_PACKS_MAX};
use crate::names::CommitId;
use crate::process::{Call, Program};

/// Bytes of a file that `git init` writes.
const INIT_FILE_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) program: Arc<Program>,
    pub(crate) limits: Limits,
    dir: PathBuf,
    /// Two fetches at once would meet at git's own lock files and one would fail.
    pub(crate) fetching: Mutex<()>,
    /// Held for as long as anybody may run git here.
    _lock: File,
}

impl Store {
    /// Blocks on the disk.
    pub(crate) fn open(
        dir: PathBuf,
        program: Arc<Program>,
        limits: Limits,
    ) -> Result<Self, GitError> {
        let failed = |what, source| GitError::Disk {
            what,
            path: dir.clone(),
            source,
        };
        let made = DirBuilder::new().mode(0o700).create(&dir);
        if let Err(source) = made
            && source.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(failed("make the mirror", source));
        }
        let lock = File::options()
            .create(true)
            .append(true)
            .open(dir.join("lock"))
            .map_err(|source| failed("lock the mirror", source))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(GitError::MirrorBusy { dir });
        }
        for format in ["sha1", "sha256", "sha1.new", "sha256.new"] {
            tidy(&dir.join(format), limits.mirror_bytes_max / 2)
                .map_err(|source| failed("tidy the mirror", source))?;
        }
        Ok(Self {
            program,
            limits,
            dir,
            fetching: Mutex::default(),
            _lock: lock,
        })
    }

    /// The bare repository for ids of this kind.
    pub(crate) fn git_dir(&self, id: &CommitId) -> PathBuf {
        self.dir.join(id.object_format())
    }

    /// Makes the bare repository for ids of this kind unless it is there, and removes what a killed
    /// fetch left in it. Called with `fetching` held.
    pub(crate) async fn prepare(
        &self,
        id: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let git_dir = self.git_dir(id);
        let failed = |what, source| GitError::Disk {
            what,
            path: self.dir.clone(),
            source,
        };
        if git_dir.exists() {
            remove_leftovers(&git_dir).map_err(|source| failed("tidy the mirror", source))?;
            let bytes =
                bytes_below(&git_dir).map_err(|source| failed("measure the mirror", source))?;
            let bytes_max = self.limits.mirror_bytes_max;
            if bytes > bytes_max {
                let dir = self.dir.clone();
                return Err(GitError::MirrorFull { dir, bytes_max });
            }
            return Ok(());
        }
        let unfinished = git_dir.with_extension("new");
        let format = id.object_format();
        let call = Call {
            what: "make a mirror",
            args: Vec::new(),
            directory: &self.dir,
            git_dir: None,
            work_tree: None,
            protocol: None,
            time_max: LOCAL_TIME_MAX,
            file_bytes_max: INIT_FILE_BYTES_MAX,
        };
        let call = call.args(["init", "--quiet", "--bare", "--template="]);
        let call = call.args([
            format!("--object-format={format}"),
            "--initial-branch=none".to_owned(),
            "--".to_owned(),
        ]);
        let call = call.args([unfinished.as_os_str()]);
        self.program.output(call, cancel, 0).await?;
        fs::rename(&unfinished, &git_dir).map_err(|source| failed("make the mirror", source))
    }
}

/// Begins a repository anew that is unfinished or has grown past its bounds.
fn tidy(git_dir: &Path, bytes_max: u64) -> io::Result<()> {
    if !git_dir.exists() {
        return Ok(());
    }
    remove_leftovers(git_dir)?;
    let is_unfinished = git_dir.extension().is_some();
    if is_unfinished || bytes_below(git_dir)? > bytes_max || pack_count(git_dir)? > MIRROR_PACKS_MAX
    {
        fs::remove_dir_all(git_dir)?;
    }
    Ok(())
}

/// Removes git's lock files and unfinished packs. Whoever made them is gone: we hold the lock.
fn remove_leftovers(git_dir: &Path) -> io::Result<()> {
    let objects = git_dir.join("objects");
    visit(git_dir, &mut |path, name, _| {
        let is_lock = name.ends_with(b".lock");
        let is_unfinished = path.starts_with(&objects) && name.starts_with(b"tmp_");
        if is_lock || is_unfinished {
            fs::remove_file(path)?;
        }
        Ok(())
    })
}

/// Bytes of all files below a directory. Links are not followed.
pub(crate) fn bytes_below(directory: &Path) -> io::Result<u64> {
    let mut sum = 0;
    visit(directory, &mut |_, _, found| {
        sum += found.size();
        Ok(())
    })?;
    Ok(sum)
}

/// Whether one of its files is so long. What cannot be read is not.
pub(crate) fn holds_file_of(directory: &Path, bytes: u64) -> bool {
    let mut holds = false;
    let visited = visit(directory, &mut |_, _, found| {
        holds |= found.size() >= bytes;
        Ok(())
    });
    visited.is_ok() && holds
}

fn pack_count(git_dir: &Path) -> io::Result<usize> {
    let mut count = 0;
    visit(git_dir, &mut |_, name, _| {
        count += usize::from(name.ends_with(b".pack"));
        Ok(())
    })?;
    Ok(count)
}

/// Is given a path, its last component, and what stands there.
type Visitor<'a> = dyn FnMut(&Path, &[u8], &fs::Metadata) -> io::Result<()> + 'a;

/// Calls `each` for everything below a directory that is not a directory. What vanishes meanwhile
/// is passed over, because git renames its files while we look.
fn visit(directory: &Path, each: &mut Visitor<'_>) -> io::Result<()> {
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        let Some(entries) = unless_gone(fs::read_dir(&directory))? else {
            continue;
        };
        for entry in entries {
            let entry = entry?;
            let Some(found) = unless_gone(entry.metadata())? else {
                continue;
            };
            if found.is_dir() {
                waiting.push(entry.path());
            } else {
                let name = entry.file_name();
                unless_gone(each(&entry.path(), name.as_bytes(), &found))?;
            }
        }
    }
    Ok(())
}

fn unless_gone<T>(answer: io::Result<T>) -> io::Result<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
