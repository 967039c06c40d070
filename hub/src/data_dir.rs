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

/// The database of a hub, in its data directory.
pub const DATABASE_FILE: &str = "hub.db";

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
    #[error(
        "{path} is open to others on this host (mode {mode:04o}); `chmod {wanted:o} {path}` mends that"
    )]
    TooOpen {
        /// Which file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they should be.
        wanted: u32,
    },
    /// Somebody else could change what the hub believes.
    #[error(
        "{path} belongs to user {owner}, and this is user {user}; run the hub as its owner, or `chown {user} {path}`"
    )]
    NotOurs {
        /// Which file or directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
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
    /// Makes the directory if it is missing, 0700, and takes its lock. One that others may enter, or that is another
    /// user's, is refused: whoever reaches `hub.sock` in it is the operator. Blocks on the disk.
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
        let found = fs::metadata(path).map_err(disk("look at the data directory"))?;
        check_private(path, &found, 0o700)?;
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

/// Opens a file that a library will read and write, or makes it, 0600. Refuses one that others could read, or that is
/// another user's.
pub fn make_private(path: &Path) -> Result<(), DataDirError> {
    let failed = |source| DataDirError::Disk {
        doing: "open",
        path: path.to_path_buf(),
        source,
    };
    let mut options = OpenOptions::new();
    let file = options
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    check_private(path, &file.metadata().map_err(failed)?, 0o600)
}

fn check_private(path: &Path, found: &fs::Metadata, wanted: u32) -> Result<(), DataDirError> {
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        return Err(DataDirError::NotOurs {
            path: path.to_path_buf(),
            owner: found.uid(),
            user,
        });
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(DataDirError::TooOpen {
            path: path.to_path_buf(),
            mode,
            wanted,
        });
    }
    Ok(())
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
    if is_secret {
        check_private(path, &file.metadata().map_err(failed)?, 0o600)?;
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
    fn a_data_directory_that_others_may_enter_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        drop(DataDir::open(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        for mode in [0o755, 0o710, 0o701, 0o770] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = DataDir::open(&path).unwrap_err().to_string();
            let refused = refused.replace(&path.display().to_string(), "DATA");
            let expected = format!(
                "DATA is open to others on this host (mode {mode:04o}); `chmod 700 DATA` mends that"
            );
            assert_eq!(refused, expected);
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn what_is_another_users_is_refused() {
        // Whoever runs the tests: the file is not of a user who is the next one.
        let found = fs::metadata("/proc/self").unwrap();
        let user = rustix::process::geteuid().as_raw();
        assert_eq!(found.uid(), user);
        let root = fs::metadata("/proc/1").unwrap();
        let checked = check_private(Path::new("/proc/1"), &root, 0o700);
        if root.uid() == user {
            // As root nothing here is another's but what was given away.
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("theirs");
            fs::create_dir(&path).unwrap();
            std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
            let refused = DataDir::open(&path).unwrap_err().to_string();
            assert!(refused.contains("belongs to user 12345"), "{refused}");
        } else {
            assert!(matches!(checked, Err(DataDirError::NotOurs { .. })));
        }
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
