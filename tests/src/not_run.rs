//! What could not run on this host, by name and reason. The recipe that runs the tests lists it last.

use std::io::Write as _;
use std::path::PathBuf;

use crate::process::target_dir;

/// Says that a test could not run here: on its output, and in a file that the recipe collects.
pub fn note(name: &str, reason: &str) {
    let notes: PathBuf = target_dir().join("not-run");
    let line = format!("{reason}\n");
    let written = std::fs::create_dir_all(&notes)
        .and_then(|()| std::fs::write(notes.join(name), line.as_bytes()));
    let _unheard = writeln!(
        std::io::stderr(),
        "not run here: {name}: {reason} ({written:?})"
    );
}
