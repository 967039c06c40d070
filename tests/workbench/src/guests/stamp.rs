//! Whether something has to be built again: a digest over its sources and its compiler.
//!
//! Contents count and times do not: a fresh clone with an old build directory is up to date, and so
//! is a branch that was left and entered again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use checksum_manifest::{digest, manifest, walk};

use crate::host::Host;

/// Raised when the way of building changes, so that everything is built again.
const RECIPE: u32 = 1;

/// The key of sources (files or directories below the root) and a compiler.
pub(super) fn key(root: &Path, sources: &[&str], identity: &str) -> Result<String> {
    let paths: Vec<PathBuf> = sources.iter().map(|source| root.join(source)).collect();
    let listed = walk::files_below(&paths)?.files.into_iter().map(|file| {
        let digest =
            digest::of_file(Path::new(&file)).with_context(|| format!("cannot read {file}"))?;
        // The same sources in another directory are the same sources.
        let name = Path::new(&file).strip_prefix(root)?.display().to_string();
        Ok((name, digest))
    });
    let listed = listed.collect::<Result<_>>()?;
    let text = format!("{RECIPE}\n{identity}\n{}", manifest::render(&listed));
    Ok(digest::of_bytes(text.as_bytes()))
}

/// Whether the last finished build of that name had this key.
pub(super) fn is_current(host: &Host, name: &str, key: &str) -> bool {
    fs::read_to_string(path(host, name)).is_ok_and(|found| found == key)
}

/// Remembers that a build is finished.
pub(super) fn write(host: &Host, name: &str, key: &str) -> Result<()> {
    let path = path(host, name);
    fs::create_dir_all(path.parent().context("a stamp lies in a directory")?)?;
    Ok(fs::write(path, key)?)
}

fn path(host: &Host, name: &str) -> PathBuf {
    host.guests().join("stamps").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_changes_with_a_source_its_name_and_the_compiler_but_not_with_the_place() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for root in [one.path(), two.path()] {
            fs::create_dir(root.join("src")).unwrap();
            fs::write(root.join("src/main.rs"), "fn main() {}").unwrap();
        }
        let key_in = |root: &Path| key(root, &["src"], "rustc 1").unwrap();
        assert_eq!(key_in(one.path()), key_in(two.path()));
        assert_ne!(
            key_in(one.path()),
            key(one.path(), &["src"], "rustc 2").unwrap()
        );

        let first = key_in(one.path());
        fs::write(one.path().join("src/main.rs"), "fn main() { }").unwrap();
        assert_ne!(first, key_in(one.path()));
        fs::rename(
            two.path().join("src/main.rs"),
            two.path().join("src/lib.rs"),
        )
        .unwrap();
        assert_ne!(first, key_in(two.path()));
    }
}
