//! Who could have written the file: a ceiling that anybody may raise is none.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::geteuid;

/// Write permission of the group and of everybody.
const OTHERS_WRITE: u32 = 0o022;

/// In a directory with this bit, nobody replaces another one's file.
const STICKY: u32 = 0o1000;

/// Opens the file. A FIFO of that name does not keep us waiting.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits();
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(path)
}

/// Whether nobody but this user and root could have written it, or put it where it is. What is said otherwise is for a
/// person, and says what to do.
pub(super) fn check(file: &File, path: &Path) -> io::Result<Result<(), String>> {
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Ok(Err("it is not a file".to_owned()));
    }
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let directory = std::fs::metadata(parent.unwrap_or(Path::new(".")))?;
    Ok(file_is_ours(&meta)
        .map_err(|why| format!("{why}: {}", path.display()))
        .and_then(|()| directory_is_ours(&directory)))
}

fn file_is_ours(meta: &Metadata) -> Result<(), String> {
    is_ours(meta, "it").map_err(|why| format!("{why}, who could raise the ceiling; say chown"))?;
    if meta.mode() & OTHERS_WRITE == 0 {
        Ok(())
    } else {
        let mode = meta.mode() & 0o7777;
        Err(format!(
            "others may write to it (mode {mode:04o}) and raise the ceiling; say chmod go-w"
        ))
    }
}

fn directory_is_ours(meta: &Metadata) -> Result<(), String> {
    is_ours(meta, "its directory").map_err(|why| format!("{why}, who could replace the file"))?;
    if meta.mode() & OTHERS_WRITE == 0 || meta.mode() & STICKY != 0 {
        Ok(())
    } else {
        let mode = meta.mode() & 0o7777;
        Err(format!(
            "others may write to its directory (mode {mode:04o}) and replace the file; say chmod go-w"
        ))
    }
}

fn is_ours(meta: &Metadata, what: &str) -> Result<(), String> {
    let (owner, we) = (meta.uid(), geteuid().as_raw());
    if owner == we || owner == 0 {
        Ok(())
    } else {
        Err(format!("{what} belongs to user {owner}"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt as _, chown};

    use super::*;

    fn verdict(path: &Path) -> Result<(), String> {
        let name = path.display().to_string();
        check(&open(path).unwrap(), path)
            .unwrap()
            .map_err(|why| why.replace(&name, "FILE"))
    }

    fn mode(path: &Path, mode: u32) {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_that_others_could_write_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runner.toml");
        write(&path, "").unwrap();
        for (bits, why) in [
            (0o600, ""),
            (0o644, ""),
            (
                0o664,
                "others may write to it (mode 0664) and raise the ceiling; say chmod go-w: FILE",
            ),
            (
                0o646,
                "others may write to it (mode 0646) and raise the ceiling; say chmod go-w: FILE",
            ),
        ] {
            mode(&path, bits);
            assert_eq!(verdict(&path).err().unwrap_or_default(), why);
        }
        mode(&path, 0o600);
        mode(dir.path(), 0o777);
        let why = verdict(&path).unwrap_err();
        assert!(
            why.starts_with("others may write to its directory (mode 0777)"),
            "{why}"
        );
        mode(dir.path(), 0o1777);
        assert_eq!(verdict(&path), Ok(()));
        mode(dir.path(), 0o700);
        if geteuid().is_root() {
            chown(&path, Some(65_531), None).unwrap();
            assert_eq!(
                verdict(&path).unwrap_err(),
                "it belongs to user 65531, who could raise the ceiling; say chown: FILE"
            );
        }
    }

    #[test]
    fn what_is_no_file_is_not_used_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(verdict(dir.path()).unwrap_err(), "it is not a file");
        let fifo = dir.path().join("runner.toml");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert_eq!(verdict(&fifo).unwrap_err(), "it is not a file");
    }
}
