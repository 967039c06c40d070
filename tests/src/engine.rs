//! What the set-up found out about container engines on this host.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process::{command, run, target_dir};

/// The image that the set-up made without a network.
pub const IMAGE: &str = "localhost/cofferdam/busybox:1";

/// An engine that ran a container, or why there is none.
#[derive(Debug)]
pub struct Engine {
    /// Why there is none.
    pub missing: Option<String>,
    /// What a runner that starts the engine must find in its environment.
    pub environment: Vec<(String, String)>,
}

impl Engine {
    /// Reads what the set-up wrote.
    pub fn read() -> Result<Self> {
        let path = target_dir().join("engine.json");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{}: `just engine` writes it", path.display()))?;
        let facts: Value = serde_json::from_str(&text)?;
        let variables = facts["environment"].as_object().into_iter().flatten();
        Ok(Self {
            missing: facts["reason"].as_str().map(str::to_owned),
            environment: variables
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect(),
        })
    }

    /// The ids, in full, of the containers that the engine says are there. It is asked by its own client.
    pub fn containers(&self, home: &Path) -> Result<Vec<String>> {
        let mut podman = command(Path::new("podman"), home);
        podman.envs(self.environment.iter().map(|(name, value)| (name, value)));
        podman.args(["ps", "--all", "--quiet", "--no-trunc"]);
        let said = String::from_utf8(run(&mut podman)?.stdout)?;
        Ok(said.lines().map(str::to_owned).collect())
    }

    /// What a runner's configuration says about containers.
    pub fn configuration(&self) -> &'static str {
        if self.missing.is_some() {
            "[container]\nengine = \"none\"\n"
        } else {
            ""
        }
    }
}
