//! `cofferdam policy`: what this host allows at most, and what the steps of a pipeline file would get of it.
//!
//! From `runner.toml` and a pipeline file to a screen or JSON on standard output. Nothing is executed, and what is shown
//! comes from the same function that decides when a step runs.

mod explain;
mod show;
mod wants;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use cofferdam_protocol::job_spec::Trust;

use crate::config::{Config, Environment};

#[derive(Debug, Subcommand)]
pub(super) enum PolicyVerb {
    /// Show the ceiling in force: each key, its value, and the line that says so
    Show(ShowArgs),
    /// Show for each step of a pipeline what it asks for, what it gets, and which line decided; exit status 1 if one may
    /// not run
    Explain(explain::ExplainArgs),
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Only the level of this trust [default: both]
    #[arg(long, value_name = "TRUST")]
    trust: Option<TrustLevel>,

    #[command(flatten)]
    common: CommonArgs,
}

/// Options of both verbs.
#[derive(Debug, Args)]
struct CommonArgs {
    /// The runner.toml that counts [default: your own, if there is one; else what is built in]
    #[arg(long, value_name = "FILE")]
    ceiling: Option<PathBuf>,

    /// How the answer is written
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[value(alias = "text")]
    Human,
    /// For scripts
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TrustLevel {
    /// A push of a member
    Trusted,
    /// A stranger's pull request
    Untrusted,
}

impl From<TrustLevel> for Trust {
    fn from(level: TrustLevel) -> Self {
        match level {
            TrustLevel::Trusted => Self::Trusted,
            TrustLevel::Untrusted => Self::Untrusted,
        }
    }
}

impl CommonArgs {
    fn config(&self, environment: &Environment) -> anyhow::Result<Config> {
        Ok(Config::load_own(self.ceiling.as_deref(), environment)?)
    }
}

/// Where a ceiling comes from, for people, behind `the ceiling`.
fn origin(config: &Config) -> String {
    match &config.file {
        Some(path) => format!("of {}", crate::text::printable(&path.display().to_string())),
        None => "that is built in, because no runner.toml is there".to_owned(),
    }
}

/// Exit status 2: there was nothing to read, or the question has no answer.
pub(super) fn run(verb: &PolicyVerb, environment: &Environment) -> ExitCode {
    let done = match verb {
        PolicyVerb::Show(args) => show::run(args, environment).map(|()| ExitCode::SUCCESS),
        PolicyVerb::Explain(args) => explain::run(args, environment),
    };
    done.unwrap_or_else(|error| {
        super::complain_of(&error);
        ExitCode::from(2)
    })
}
