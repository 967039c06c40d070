//! The data directory: one hub's home, locked while it serves, with its secrets in 0600 files.
//!
//! Deliberately absent: what the files mean. Each module names its own.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Longest file of ours that is read whole, in bytes: a certificate chain is a few thousand long.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A data directory that this process alone serves from.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why a file or directory of the hub cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another hub serves from it.
    #[error("another hub serves from {0}; one data directory belongs to one hub")]
    InUse(PathBuf),
    /// Others on this host could read or write a secret.
    #[error("{path} is open to others on this host (mode {mode:04o}); it must be 0600")]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is longer than anything we would have written.
    #[error("{0} has more than {FILE_BYTES_MAX} bytes")]
    TooLong(PathBuf),
    /// The disk said no.
    #[error("could not {doing} {path}")]
    Disk {
        /// The verb.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl DataDir {
    /// Makes the directory if it is missing, 0700, and takes its lock. Blocks on the disk.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let disk = |doing| {
            let path = path.to_path_buf();
            move |source| DataDirError::Disk {
                doing,
                path,
                source,
            }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(disk("make the data directory"))?;
        // Made absolute once: nothing may depend on where the process was started.
        let path = std::path::absolute(path).map_err(disk("find the data directory"))?;
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(disk("lock the data directory"))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(DataDirError::InUse(path));
        }
        Ok(Self { path, _lock: lock })
    }

    /// Where it is, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or directory in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes a directory in it, 0700, unless it is there.
    pub fn make_dir(&self, name: &str) -> Result<PathBuf, DataDirError> {
        let path = self.join(name);
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                Err(DataDirError::Disk {
                    doing: "make",
                    path,
                    source,
                })
            }
            _ => Ok(path),
        }
    }
}

/// Writes a file that only its owner may read, whole or not at all, durably. Blocks on the disk.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), DataDirError> {
    let failed = |source| DataDirError::Disk {
        doing: "write",
        path: path.to_path_buf(),
        source,
    };
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    // A leftover of a killed process may have other permissions.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&unfinished, path).map_err(failed)?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))
        .and_then(|directory| directory.sync_all())
        .map_err(failed)
}

/// Reads a file that holds a secret; `None` if there is none. Refuses one that others could read.
pub fn read_private(path: &Path) -> Result<Option<Vec<u8>>, DataDirError> {
    read(path, true)
}

/// Reads a file that holds no secret; `None` if there is none.
pub fn read_public(path: &Path) -> Result<Option<Vec<u8>>, DataDirError> {
    read(path, false)
}

fn read(path: &Path, is_secret: bool) -> Result<Option<Vec<u8>>, DataDirError> {
    let failed = |source| DataDirError::Disk {
        doing: "read",
        path: path.to_path_buf(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if is_secret && mode & 0o077 != 0 {
        return Err(DataDirError::TooOpen {
            path: path.to_path_buf(),
            mode,
        });
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(DataDirError::TooLong(path.to_path_buf()));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn one_data_directory_belongs_to_one_hub() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(&dir.path().join("data")).unwrap();
        let second = DataDir::open(&dir.path().join("data"));
        assert!(matches!(second, Err(DataDirError::InUse(_))));
        drop(first);
        DataDir::open(&dir.path().join("data")).unwrap();
    }

    #[test]
    fn a_secret_that_others_could_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(read_private(&path).unwrap().is_none());
        write_private(&path, b"secret").unwrap();
        assert_eq!(read_private(&path).unwrap().unwrap(), b"secret");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = read_private(&path).unwrap_err();
        assert!(refused.to_string().contains("mode 0640"), "{refused}");
        assert!(read_public(&path).unwrap().is_some());
    }
}
