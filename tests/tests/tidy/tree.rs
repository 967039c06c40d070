//! The repository's own files, as git lists them (those that are new and not ignored too).

use std::path::PathBuf;
use std::process::Command;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the root")
        .to_owned()
}

/// Every file, relative to the root.
#[expect(
    clippy::disallowed_methods,
    reason = "a test asks git for the list of files"
)]
pub(crate) fn tracked() -> Vec<String> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ])
        .current_dir(root())
        .output()
        .expect("git is there, or there would be no checkout");
    assert!(output.status.success(), "git ls-files failed");
    String::from_utf8(output.stdout)
        .expect("our own file names are text")
        .split_terminator('\0')
        .filter(|file| root().join(file).exists())
        .map(str::to_owned)
        .collect()
}

/// Every Rust source file.
pub(crate) fn rust_files() -> impl Iterator<Item = String> {
    tracked().into_iter().filter(|file| has_ending(file, "rs"))
}

/// A file's text.
pub(crate) fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Whether a file's name ends in a dot and `ending`.
pub(crate) fn has_ending(file: &str, ending: &str) -> bool {
    std::path::Path::new(file)
        .extension()
        .is_some_and(|found| found == ending)
}
