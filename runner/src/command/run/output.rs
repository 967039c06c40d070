//! `.cofferdam` in the user's work tree: the one directory of it that a run writes.
//!
//! The work tree came from a repository, which may hold a link of that name, to anywhere: so nothing here goes through
//! one.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use cofferdam_git::LOCAL_OUTPUT_DIR;

/// Hides the directory and itself from git.
const IGNORE_ALL: &str = "*\n";

/// Makes `.cofferdam` ready for a run: git is told to ignore it, the logs of the last run are removed and, before a run of
/// all steps, the artifacts too. Returns the empty directory for logs.
pub(super) fn prepare(root: &Path, is_of_all_steps: bool) -> anyhow::Result<PathBuf> {
    let output = root.join(LOCAL_OUTPUT_DIR);
    let (logs, artifacts) = (output.join("logs"), output.join("artifacts"));
    for place in [&output, &logs, &artifacts] {
        if fs::symlink_metadata(place).is_ok_and(|found| !found.is_dir()) {
            bail!("{} is not a directory", place.display());
        }
    }
    // Every run leaves that file, so without it these are somebody's own.
    if !output.join(".gitignore").exists() {
        for place in [&logs, &artifacts] {
            if fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_some()) {
                let place = place.display();
                bail!("{place} was not made by a run, which would remove it; move it away");
            }
        }
    }
    let made = || {
        fs::create_dir_all(&output)?;
        ignore(&output)?;
        remove(&logs)?;
        if is_of_all_steps {
            remove(&artifacts)?;
        }
        fs::create_dir(&logs)
    };
    made().with_context(|| format!("could not make {}", logs.display()))?;
    Ok(logs)
}

/// A file that is there stays as it is: it is the user's.
fn ignore(output: &Path) -> io::Result<()> {
    match fs::File::create_new(output.join(".gitignore")) {
        Ok(mut file) => file.write_all(IGNORE_ALL.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_directory_hides_itself_and_a_file_of_the_user_stays() {
        let root = TempDir::new().unwrap();
        let ignore = root.path().join(".cofferdam/.gitignore");
        prepare(root.path(), true).unwrap();
        assert_eq!(fs::read_to_string(&ignore).unwrap(), "*\n");
        fs::write(&ignore, "logs\n").unwrap();
        prepare(root.path(), true).unwrap();
        assert_eq!(fs::read_to_string(&ignore).unwrap(), "logs\n");
    }

    #[test]
    fn logs_are_of_one_run_and_artifacts_of_one_run_of_all_steps() {
        let root = TempDir::new().unwrap();
        let logs = prepare(root.path(), true).unwrap();
        let artifacts = root.path().join(".cofferdam/artifacts");
        fs::create_dir(&artifacts).unwrap();
        fs::write(logs.join("old"), "").unwrap();
        prepare(root.path(), false).unwrap();
        assert_eq!(
            (logs.join("old").exists(), artifacts.exists()),
            (false, true)
        );
        prepare(root.path(), true).unwrap();
        assert!(logs.exists() && !artifacts.exists());
    }

    #[test]
    fn what_no_run_has_made_is_not_removed() {
        for name in ["logs", "artifacts"] {
            let root = TempDir::new().unwrap();
            let precious = root.path().join(".cofferdam").join(name).join("precious");
            fs::create_dir_all(precious.parent().unwrap()).unwrap();
            fs::write(&precious, "").unwrap();
            let error = prepare(root.path(), true).unwrap_err();
            assert!(error.to_string().contains("move it away"), "{error}");
            assert!(precious.exists());
        }
    }

    #[test]
    fn a_link_that_the_repository_holds_is_not_followed_nor_removed() {
        for name in [".cofferdam", ".cofferdam/logs", ".cofferdam/artifacts"] {
            let (root, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
            fs::write(elsewhere.path().join("precious"), "").unwrap();
            let link = root.path().join(name);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(elsewhere.path(), &link).unwrap();
            let error = prepare(root.path(), true).unwrap_err();
            assert!(error.to_string().contains("is not a directory"), "{error}");
            let left: Vec<_> = fs::read_dir(elsewhere.path()).unwrap().collect();
            assert!(link.is_symlink() && left.len() == 1, "{left:?}");
        }
    }
}
