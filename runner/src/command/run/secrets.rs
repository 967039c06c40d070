//! `--secret` and `--secrets`: by name from the environment, or from a file. No value ever stands in a command line.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::config::Environment;
use crate::secrets::{SecretFault, Secrets};
use crate::text::printable;

/// Bytes of a file of secrets. All the secrets that there may be, each a private key, fit.
const SECRETS_FILE_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct SecretArgs {
    /// A secret that the environment holds under this name; once for each
    #[arg(long = "secret", value_name = "NAME")]
    secret: Vec<String>,

    /// A file of secrets, one NAME=VALUE a line; read before each `--secret`, which wins
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
}

impl SecretArgs {
    /// The secrets that were named.
    pub(super) fn read(&self, environment: &Environment) -> anyhow::Result<Secrets> {
        let mut secrets = Secrets::default();
        if let Some(path) = &self.secrets {
            let mut text = String::new();
            File::open(path)
                .and_then(|file| {
                    file.take(SECRETS_FILE_BYTES_MAX + 1)
                        .read_to_string(&mut text)
                })
                .with_context(|| format!("--secrets {}", path.display()))?;
            if text.len() as u64 > SECRETS_FILE_BYTES_MAX {
                bail!(
                    "--secrets {}: more than {SECRETS_FILE_BYTES_MAX} bytes",
                    path.display()
                );
            }
            secrets
                .put_lines(&text)
                .with_context(|| format!("--secrets {}", path.display()))?;
        }
        for name in &self.secret {
            let shown = printable(name);
            if let Some((name, _)) = name.split_once('=') {
                // The value is not said again: it was seen by too many as it is.
                bail!(
                    "--secret takes a name alone, `--secret {}`; its value is what the environment holds",
                    printable(name)
                );
            }
            let value = environment.variable(name).with_context(|| {
                format!("--secret {shown}: the environment has no such variable")
            })?;
            let value = value
                .into_string()
                .map_err(|_| SecretFault::NotText(name.clone()))
                .with_context(|| format!("--secret {shown}"))?;
            secrets
                .put(name.clone(), value)
                .with_context(|| format!("--secret {shown}"))?;
        }
        Ok(secrets)
    }

    /// The options as somebody would type them again: names and files, no value.
    pub(super) fn words(&self) -> Vec<(&'static str, String)> {
        let files = self.secrets.iter();
        let files = files.map(|path| ("--secrets", path.display().to_string()));
        let names = self.secret.iter().map(|name| ("--secret", name.clone()));
        files.chain(names).collect()
    }
}
