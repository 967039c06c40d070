//! What is kept between runs and between checkouts, outside of any checkout.
//!
//! An entry is a directory that is either whole or not there: it is made under another name, and
//! renamed when it is finished. Two processes that want the same entry wait for each other.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Host, progress};

/// The entry of that name (it may hold `/`), if it was made already.
pub(crate) fn find(host: &Host, name: &str) -> Option<PathBuf> {
    Some(host.cache.join(name)).filter(|path| path.is_dir())
}

/// The entry of that name; `make` fills an empty directory when there is none yet.
///
/// The directory is renamed afterwards, so nothing in it may hold its own absolute path.
pub(crate) fn entry(
    host: &Host,
    name: &str,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    if let Some(path) = find(host, name) {
        return Ok(path);
    }
    let path = host.cache.join(name);
    let beside = |ending: &str| {
        let file = path.file_name().unwrap_or_default();
        path.with_file_name(format!(".{}.{ending}", file.display()))
    };
    let parent = path
        .parent()
        .context("an entry lies in the cache directory")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let lock = File::create(beside("lock"))?;
    lock.lock()
        .with_context(|| format!("cannot lock {}", beside("lock").display()))?;
    if let Some(path) = find(host, name) {
        return Ok(path);
    }
    let unfinished = beside("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir(&unfinished)?;
    progress::say(&format!("once: {name}"));
    make(&unfinished).with_context(|| format!("cannot make {name}"))?;
    fs::rename(&unfinished, &path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    fn host(cache: &Path) -> Host {
        Host {
            root: cache.to_owned(),
            target: cache.to_owned(),
            cache: cache.to_owned(),
            search_path: Vec::new(),
            is_root: false,
            is_debian: false,
        }
    }

    #[test]
    fn an_entry_is_made_once_and_whole() {
        let directory = tempfile::tempdir().unwrap();
        let host = host(directory.path());
        let failed = entry(&host, "a/b", |path| {
            fs::write(path.join("half"), "")?;
            bail!("no network")
        });
        assert_eq!(
            format!("{:#}", failed.unwrap_err()),
            "cannot make a/b: no network"
        );
        assert_eq!(find(&host, "a/b"), None);

        let path = entry(&host, "a/b", |path| Ok(fs::write(path.join("whole"), "")?)).unwrap();
        assert!(path.join("whole").exists() && !path.join("half").exists());
        assert_eq!(entry(&host, "a/b", |_| bail!("made twice")).unwrap(), path);
    }
}
