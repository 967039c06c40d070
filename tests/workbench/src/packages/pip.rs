//! Packages of Python's index that carry a program: compilers, and wasm modules that others built.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::apt;
use super::pins::Pin;
use crate::host::{Host, Tool, cache};

/// The directory that holds the package's files, fetched once.
pub(crate) fn package(host: &Host, pin: Pin) -> Result<PathBuf> {
    package_with(host, pin, &[])
}

/// The same, with other packages beside it in the same directory.
pub(crate) fn package_with(host: &Host, pin: Pin, needs: &[Pin]) -> Result<PathBuf> {
    cache::entry(host, &format!("pypi/{}", pin.directory()), |directory| {
        let pins: Vec<Pin> = std::iter::once(pin).chain(needs.iter().copied()).collect();
        install(host, &pins, directory)
    })
}

fn install(host: &Host, pins: &[Pin], directory: &Path) -> Result<()> {
    let python = python_with_pip(host)?;
    let versions = pins
        .iter()
        .map(|pin| format!("{}=={}", pin.name, pin.version));
    Tool::new(python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
        ])
        // Files and nothing else: no dependency, no byte code, no trace in the user's own Python.
        .args([
            "--no-deps",
            "--no-compile",
            "--only-binary",
            ":all:",
            "--target",
        ])
        .arg(directory)
        .args(versions)
        .output()?;
    Ok(())
}

/// The Python that the packages were made for.
pub(crate) fn python_with_pip(host: &Host) -> Result<PathBuf> {
    let has_pip = |python: &PathBuf| {
        Tool::new(python)
            .args(["-m", "pip", "--version"])
            .output()
            .is_ok()
    };
    let find = || {
        ["python3", "python"]
            .iter()
            .filter_map(|name| host.find_program(name))
            .find(has_pip)
    };
    if let Some(python) = find() {
        return Ok(python);
    }
    if host.is_debian && host.is_root {
        apt::install(host, &["python3-pip"])?;
        if let Some(python) = find() {
            return Ok(python);
        }
    }
    bail!("python3 with pip is not installed")
}
