//! Every crate of the lock file as a directory that cargo takes instead of a registry.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::host::{Host, Tool};

/// How the crates are called that only Windows compiles. cargo wants to see each crate of the lock file,
/// and reads no more of these than the manifest; their import libraries are half of all bytes.
const WINDOWS: [&str; 2] = ["windows", "winapi"];

/// Fills an empty directory. cargo takes crates from its own cache, and fetches what is not there.
pub(crate) fn collect(host: &Host, directory: &Path) -> Result<()> {
    Tool::new("cargo")
        .args(["vendor", "--quiet", "--locked", "--versioned-dirs"])
        .arg(directory)
        .dir(&host.root)
        .output()?;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if WINDOWS.iter().any(|prefix| name.starts_with(prefix)) {
            hollow_out(&path).with_context(|| format!("cannot empty {}", path.display()))?;
        }
    }
    Ok(())
}

/// Leaves the manifest, an empty library, and the checksums of nothing.
fn hollow_out(path: &Path) -> Result<()> {
    let manifest = fs::read(path.join("Cargo.toml"))?;
    let checksums = fs::read_to_string(path.join(".cargo-checksum.json"))?;
    let checksums: Value = serde_json::from_str(&checksums)?;
    fs::remove_dir_all(path)?;
    fs::create_dir_all(path.join("src"))?;
    fs::write(path.join("src/lib.rs"), "")?;
    fs::write(path.join("Cargo.toml"), manifest)?;
    let checksums = json!({ "files": {}, "package": checksums["package"] });
    Ok(fs::write(
        path.join(".cargo-checksum.json"),
        checksums.to_string(),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_that_is_hollowed_out_keeps_its_name_and_the_sum_of_the_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("windows-sys-0.61.2");
        fs::create_dir_all(path.join("lib")).unwrap();
        fs::write(path.join("lib/windows.lib"), "much").unwrap();
        fs::write(path.join("Cargo.toml"), "[package]").unwrap();
        let sums = r#"{"files":{"lib/windows.lib":"1"},"package":"2"}"#;
        fs::write(path.join(".cargo-checksum.json"), sums).unwrap();
        hollow_out(&path).unwrap();
        let read = |name: &str| fs::read_to_string(path.join(name)).unwrap();
        assert_eq!(read("Cargo.toml"), "[package]");
        assert_eq!(read("src/lib.rs"), "");
        assert_eq!(
            read(".cargo-checksum.json"),
            r#"{"files":{},"package":"2"}"#
        );
        assert!(!path.join("lib").exists());
    }
}
