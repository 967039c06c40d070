//! Packages of Python's index that carry a program: compilers, and wasm modules that others built.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::apt;
use super::pins::Pin;
use crate::host::{Host, Tool, cache};

/// The directory that holds the package's files, fetched once.
pub(crate) fn package(host: &Host, pin: Pin) -> Result<PathBuf> {
    cache::entry(host, &format!("pypi/{}", pin.directory()), |directory| {
        install(host, pin, directory)
    })
}

fn install(host: &Host, pin: Pin, directory: &Path) -> Result<()> {
    let python = python_with_pip(host)?;
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
        .arg(format!("{}=={}", pin.name, pin.version))
        .output()?;
    Ok(())
}

fn python_with_pip(host: &Host) -> Result<PathBuf> {
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
