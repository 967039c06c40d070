//! Bitbucket's own schema of a pipeline file, as the set-up made it checkable.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process::{command, target_dir};

/// Holds files to the schema.
#[derive(Debug)]
pub struct Schema {
    python: PathBuf,
    packages: PathBuf,
}

impl Schema {
    /// Reads what the set-up wrote; the inner error is the reason why this host has no schema.
    pub fn read() -> Result<std::result::Result<Self, String>> {
        let path = target_dir().join("schema.json");
        let Ok(text) = std::fs::read_to_string(&path) else {
            return Ok(Err("`just setup` did not run".to_owned()));
        };
        let facts: Value = serde_json::from_str(&text)?;
        if let Some(reason) = facts["reason"].as_str() {
            return Ok(Err(reason.to_owned()));
        }
        let path = |name: &str| facts[name].as_str().map(PathBuf::from);
        Ok(Ok(Self {
            python: path("python").context("the set-up names a Python")?,
            packages: path("packages").context("the set-up names packages")?,
        }))
    }

    /// What the schema has against a file; nothing if the file is valid.
    pub fn objections(&self, file: &Path) -> Result<Option<String>> {
        let home = file.parent().context("a file is in a directory")?;
        let output = command(&self.python, home)
            .env("PYTHONPATH", &self.packages)
            .args([
                "-m",
                "check_jsonschema",
                "--builtin-schema",
                "vendor.bitbucket-pipelines",
            ])
            .arg(file)
            .output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        Ok((!output.status.success()).then_some(said))
    }
}
