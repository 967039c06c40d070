//! `serve`: the hub itself.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::ask::print;
use crate::config::RawConfig;
use crate::wiring::Hub;

/// Each flag wins over the same word in `hub.toml` in the data directory.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where to listen; port 0 picks a free one [default: 127.0.0.1:7878]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// A DNS name or IP address of this hub, for its certificate; may be repeated
    /// [default: localhost and the loopback addresses]
    #[arg(long = "name", value_name = "HOST")]
    names: Vec<String>,
    /// A directory below which a repository may be a `file://` address; may be repeated
    #[arg(long = "git-file-root", value_name = "DIR")]
    git_file_roots: Vec<PathBuf>,
    /// A certificate chain in PEM to show instead of one of the hub's own CA; the CA's certificate stands last
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Make a CA if there is none, also in a directory that has served before: every runner must join again
    #[arg(long, conflicts_with = "tls_cert")]
    new_ca: bool,
    /// How long a lease lasts, in seconds [default: 15]
    #[arg(long, value_name = "N")]
    lease_secs: Option<u32>,
    /// How often a runner renews its leases, in seconds [default: 5]
    #[arg(long, value_name = "N")]
    renew_secs: Option<u32>,
    /// Connections at once [default: 12000]
    #[arg(long, value_name = "N")]
    connections_max: Option<u32>,
}

impl Serve {
    pub(super) async fn run(self, data: &Path) -> anyhow::Result<()> {
        let config = self.flags().over(RawConfig::read(data)?).validate()?;
        // Installed first, so that a signal during the start is not lost.
        let mut terminate =
            signal(SignalKind::terminate()).context("could not wait for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("could not wait for SIGINT")?;
        let hub = Hub::open(data, config).await?;
        print(format_args!(
            "listening on {}, fingerprint {}\n",
            hub.address(),
            hub.fingerprint()
        ))?;
        tracing::info!(address = %hub.address(), fingerprint = hub.fingerprint(), "the hub serves");
        hub.serve(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await;
        Ok(())
    }

    fn flags(self) -> RawConfig {
        let Self {
            listen,
            names,
            git_file_roots,
            tls_cert,
            tls_key,
            new_ca,
            lease_secs,
            renew_secs,
            connections_max,
        } = self;
        RawConfig {
            listen,
            names: (!names.is_empty()).then_some(names),
            git_file_roots: (!git_file_roots.is_empty()).then_some(git_file_roots),
            tls_cert,
            tls_key,
            new_ca: new_ca.then_some(true),
            lease_secs,
            renew_secs,
            connections_max,
        }
    }
}
