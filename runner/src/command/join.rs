//! `cofferdam join`: from a one-time token to an identity.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use cofferdam_protocol::join::TOKEN_BYTES_MAX;
use secrecy::SecretString;

use super::{StateArgs, complain, tell};
use crate::config::Environment;
use crate::hub_address::HubAddress;
use crate::identity::StateDir;
use crate::join::{Join, JoinError, join};
use crate::tls::{DialError, Fingerprint, Roots};

/// Longest CA file that is read, in bytes.
const CA_BYTES_MAX: u64 = 256 * 1024;

#[derive(Debug, Args)]
pub(super) struct JoinArgs {
    #[arg(help = "Where the hub is: https://HOST[:PORT]")]
    hub: HubAddress,

    /// Read the one-time token from this file; `-` is standard input. Without it, the variable
    /// `COFFERDAM_JOIN_TOKEN` is used
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// The token itself. Everybody on this host can see a command line: prefer --token-file
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<SecretString>,

    /// Trust the CA with this fingerprint and nobody else; `cofferdam-hub fingerprint` prints it
    #[arg(long, value_name = "sha256:HEX", conflicts_with = "ca_file")]
    hub_fingerprint: Option<Fingerprint>,

    /// Trust the certificates in this PEM file and nobody else
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// What people will call this runner [default: this host's name]
    #[arg(long)]
    name: Option<String>,

    #[command(flatten)]
    state: StateArgs,
}

pub(super) fn run(args: &JoinArgs, environment: &Environment) -> anyhow::Result<()> {
    let roots = match (&args.hub_fingerprint, &args.ca_file) {
        (Some(fingerprint), _) => Roots::Fingerprint(*fingerprint),
        (None, Some(path)) => Roots::Pem(read_bounded(path, CA_BYTES_MAX)?),
        (None, None) => Roots::Platform,
    };
    let wish = Join {
        hub: args.hub.clone(),
        roots,
        token: token(args, environment)?,
        name: args.name.clone().unwrap_or_else(host_name),
    };
    let trusts_platform = matches!(wish.roots, Roots::Platform);
    // Nothing is made before the arguments are known to be good.
    let state = StateDir::open(&args.state.dir(environment)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let identity = runtime
        .block_on(join(wish, &state))
        .map_err(|error| with_hint(error, trusts_platform))?;
    tell(&format!(
        "joined {} as runner {}",
        identity.hub, identity.runner
    ))?;
    if !identity.labels.is_empty() {
        tell(&format!("labels: {}", identity.labels.join(", ")))?;
    }
    Ok(())
}

/// A hub that has just been set up has a CA of its own, which no platform knows.
fn with_hint(error: JoinError, trusts_platform: bool) -> anyhow::Error {
    match error {
        JoinError::Dial(DialError::AnotherCertificate { .. }) if trusts_platform => {
            anyhow::Error::new(error).context(
                "this hub is not vouched for by any authority that this host knows; if it made its own CA, \
                 give --hub-fingerprint with what `cofferdam-hub fingerprint` prints there",
            )
        }
        other => other.into(),
    }
}

fn token(args: &JoinArgs, environment: &Environment) -> anyhow::Result<SecretString> {
    let path = match (&args.token_file, &args.token) {
        (Some(path), _) => path,
        (None, Some(token)) => {
            complain("warning: everybody on this host could read the token in the command line");
            return Ok(token.clone());
        }
        (None, None) => {
            return environment.join_token().cloned().context(
                "no token: give --token-file FILE (or `-` for standard input), or set COFFERDAM_JOIN_TOKEN",
            );
        }
    };
    let bytes_max = TOKEN_BYTES_MAX as u64 + 2;
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().take(bytes_max).read_to_end(&mut bytes)?;
        bytes
    } else {
        read_bounded(path, bytes_max)?
    };
    Ok(String::from_utf8(bytes)
        .context("the token is not text")?
        .into())
}

fn read_bounded(path: &Path, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    let file =
        std::fs::File::open(path).with_context(|| format!("could not open {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("could not read {}", path.display()))?;
    anyhow::ensure!(
        bytes.len() as u64 <= bytes_max,
        "{} is longer than {bytes_max} bytes",
        path.display()
    );
    Ok(bytes)
}

fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
