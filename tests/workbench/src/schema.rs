//! Makes the published schema of Bitbucket's pipelines checkable on this host, and tells the tests how.
//!
//! From nothing to `target/schema.json`: Python's package check-jsonschema, which carries that schema, and one file that it
//! really checked; or the reason why it cannot be had.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::host::{Host, Tool, progress};
use crate::packages::{pins, pip};

/// What every pipeline file may be.
const SMALLEST: &str = "pipelines:\n  default:\n    - step:\n        script:\n          - make\n";

/// Writes `target/schema.json` in either case.
pub(crate) fn prepare(host: &Host) -> Result<()> {
    progress::stage("schema", || {
        fs::create_dir_all(&host.target)?;
        let (facts, summary) = match make_usable(host) {
            Ok((python, packages)) => {
                let summary = pins::CHECK_JSONSCHEMA.directory();
                (
                    json!({ "python": python, "packages": packages, "reason": null }),
                    summary,
                )
            }
            Err(error) => {
                let reason = format!("{error:#}");
                let summary = format!("none: {}", reason.lines().next().unwrap_or("?"));
                (
                    json!({ "python": null, "packages": null, "reason": reason }),
                    summary,
                )
            }
        };
        let path = host.target.join("schema.json");
        fs::write(&path, serde_json::to_string_pretty(&facts)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(((), summary))
    })
}

fn make_usable(host: &Host) -> Result<(PathBuf, PathBuf)> {
    let python = pip::python_with_pip(host)?;
    let packages = pip::package_with(host, pins::CHECK_JSONSCHEMA, pins::CHECK_JSONSCHEMA_NEEDS)?;
    let file = host.target.join("smallest.yml");
    fs::write(&file, SMALLEST)?;
    check(&python, &packages, &file)?;
    Ok((python, packages))
}

fn check(python: &Path, packages: &Path, file: &Path) -> Result<()> {
    let output = Tool::new(python)
        .envs(&[("PYTHONPATH".into(), packages.into())])
        .args([
            "-m",
            "check_jsonschema",
            "--builtin-schema",
            "vendor.bitbucket-pipelines",
        ])
        .arg(file)
        .output()?;
    ensure!(!output.is_empty(), "check-jsonschema says nothing");
    Ok(())
}
