//! What a person, a script or a git hook can say on the command line.
//!
//! `serve` is the hub; `notify` is what a git server runs; every other verb asks the hub that serves from
//! the same data directory, over its socket.

mod ask;
mod build;
mod build_text;
mod log_text;
mod notify;
mod repo;
mod runner;
mod serve;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// The hub of Cofferdam: learns of a push, plans a build, hands its jobs to runners.
#[derive(Debug, Parser)]
#[command(name = "cofferdam-hub", version)]
pub struct Cli {
    /// The hub's data directory. Needed by every verb but `notify`.
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve until SIGTERM or SIGINT.
    Serve(serve::Serve),
    /// Tell the hub what was pushed; the line for `post-receive`.
    ///
    /// Reads what git gives to `post-receive` on standard input. Ends with status 0 when the hub was told,
    /// whatever runs, and with 1 when it was not. Git looks at neither: a push that was received stays.
    Notify(notify::Notify),
    /// Repositories.
    #[command(subcommand)]
    Repo(repo::Repo),
    /// Runners and the tokens that let them in.
    #[command(subcommand)]
    Runner(runner::RunnerVerb),
    /// Builds.
    #[command(subcommand)]
    Build(build::BuildVerb),
    /// Print the fingerprint of the hub's CA.
    Fingerprint,
}

/// The hub went away while somebody followed a log. The build may well go on.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the hub stopped or went away, and the build has not ended; follow it again when the hub is back"
)]
pub struct HubWentAway;

impl HubWentAway {
    /// The exit status that scripts may try again on: `EX_TEMPFAIL` of sysexits.h.
    pub const EXIT_STATUS: u8 = 75;
}

impl Cli {
    /// Does what was said. An error is for the person, with its causes.
    pub async fn run(self) -> anyhow::Result<()> {
        let Self { data, verb } = self;
        let data = || {
            data.as_deref()
                .context("--data DIR is missing: the hub's data directory")
        };
        match verb {
            Verb::Serve(serve) => serve.run(data()?).await,
            Verb::Notify(notify) => notify.run().await,
            Verb::Repo(repo) => repo.run(data()?).await,
            Verb::Runner(runner) => runner.run(data()?).await,
            Verb::Build(build) => build.run(data()?).await,
            Verb::Fingerprint => fingerprint(data()?).await,
        }
    }
}

async fn fingerprint(data: &Path) -> anyhow::Result<()> {
    let about: crate::control::view::AboutView = ask::get(data, "/about").await?;
    ask::print(format_args!("{}\n", about.fingerprint))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_verb_and_option_can_be_asked_for() {
        Cli::command().debug_assert();
    }
}
