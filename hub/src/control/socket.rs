//! `hub.sock` in the data directory, from both ends.
//!
//! A unix socket's path has at most 107 bytes, a data directory's may have more. So both ends open the
//! directory and name the socket through it, which is short wherever the directory is.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// The socket's name in the data directory.
const NAME: &str = "hub.sock";

/// A short path of the socket, and what keeps it good.
fn short_path(data: &Path) -> io::Result<(File, PathBuf)> {
    let directory = File::open(data)?;
    let path = format!("/proc/self/fd/{}/{NAME}", directory.as_raw_fd());
    Ok((directory, PathBuf::from(path)))
}

/// Opens the socket for the hub. The caller holds the data directory's lock, so one that is there is a
/// dead hub's.
pub fn bind(data: &Path) -> io::Result<UnixListener> {
    let (_directory, path) = short_path(data)?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The directory is 0700, so nobody gets between these two.
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Removes the socket when the hub stops.
pub fn remove(data: &Path) {
    // A hub that could not remove it leaves one that the next hub removes.
    drop(fs::remove_file(data.join(NAME)));
}

/// Dials the hub that serves from a data directory.
pub async fn connect(data: &Path) -> io::Result<UnixStream> {
    let (_directory, path) = short_path(data)?;
    UnixStream::connect(&path).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_path_and_a_dead_hubs_socket_do_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("d".repeat(150));
        fs::create_dir(&data).unwrap();
        drop(bind(&data).unwrap());
        let listener = bind(&data).unwrap();
        let mode = fs::metadata(data.join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (dialled, accepted) = tokio::join!(connect(&data), listener.accept());
        dialled.unwrap();
        accepted.unwrap();
        remove(&data);
        assert!(connect(&data).await.is_err());
    }
}
