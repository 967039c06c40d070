//! Programs from crates.io: cargo's own extensions.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::pins::Pin;
use crate::host::{Host, Tool, cache};

/// A large program is compiled on two cores.
const LIMIT: Duration = Duration::from_mins(40);

/// The program of a package that is called like it: the one on `PATH`, else ours, compiled once.
pub(crate) fn program(host: &Host, pin: Pin) -> Result<PathBuf> {
    if let Some(path) = host.find_program(pin.name) {
        return Ok(path);
    }
    let entry = cache::entry(host, &format!("crates/{}", pin.directory()), |directory| {
        Tool::new("cargo")
            .without_cargo_settings()
            .args([
                "install",
                "--locked",
                "--quiet",
                "--version",
                pin.version,
                "--root",
            ])
            .arg(directory)
            .arg(pin.name)
            // Run a few times a day: minutes of optimising would never be earned back.
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
            .dir(&host.root)
            .limit(LIMIT)
            .output()?;
        Ok(())
    })?;
    Ok(entry.join("bin").join(pin.name))
}
