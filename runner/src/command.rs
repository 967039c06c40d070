//! The `cofferdam` command: what can be asked of it on a terminal.

mod check;
pub mod join;
mod migrate;
mod paint;
mod pipeline_file;
mod policy;
mod pushed;
mod run;
pub mod start;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{ConfigError, Environment};
use crate::first_party::{self, FirstPartyStep};
use crate::step_run::{self, StepRunArgs};
use crate::text::chain;

/// Runs build steps that nobody has to trust.
#[derive(Debug, Parser)]
#[command(name = "cofferdam", version, about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Trade a one-time token of a hub for an identity: makes this host a runner
    Join(join::JoinArgs),
    /// Take jobs from the hub that this runner joined, until told to stop
    Start(start::StartArgs),
    /// Run the pipeline of this work tree, here, without a hub
    Run(run::RunArgs),
    /// Say what is wrong with a pipeline file, or what a push would run; exit status 1 if it is refused
    Check(check::CheckArgs),
    /// List what an existing bitbucket-pipelines.yml needs before it runs here
    Migrate(migrate::MigrateArgs),
    /// Say what this host allows steps at most, and what a pipeline's steps would get of it
    #[command(subcommand)]
    Policy(policy::PolicyVerb),
    /// Work with one step, here, without a hub
    #[command(subcommand)]
    Step(StepVerb),
}

#[derive(Debug, Subcommand)]
enum StepVerb {
    /// Run a WASI module with only what it is granted
    Run(Box<StepRunArgs>),
    /// List the steps that are part of this program: name, digest, and what each does
    List,
}

/// Options of every verb that works with a runner's state.
#[derive(Debug, clap::Args)]
struct StateArgs {
    /// Where the runner keeps its key, mirrors and workspaces [default: /var/lib/cofferdam for root,
    /// else ~/.local/state/cofferdam]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl StateArgs {
    fn dir(&self, environment: &Environment) -> anyhow::Result<PathBuf> {
        Ok(match &self.state {
            Some(dir) => std::path::absolute(dir)?,
            None => environment.state_dir()?,
        })
    }
}

/// Does what the arguments say. Errors go to standard error, each line led by `cofferdam: `.
pub fn run(cli: Cli, environment: &Environment) -> ExitCode {
    let done = match cli.verb {
        Verb::Join(args) => join::run(&args, environment).map(|()| ExitCode::SUCCESS),
        Verb::Start(args) => start::run(&args, environment).map(|()| ExitCode::SUCCESS),
        Verb::Run(args) => run::run(&args, environment),
        Verb::Check(args) => check::run(&args, environment),
        Verb::Migrate(args) => migrate::run(&args, environment),
        Verb::Policy(verb) => Ok(policy::run(&verb, environment)),
        Verb::Step(StepVerb::Run(args)) => {
            return step_run::run(*args, environment);
        }
        Verb::Step(StepVerb::List) => list_steps(),
    };
    match done {
        Ok(status) => status,
        Err(error) => {
            complain_of(&error);
            ExitCode::FAILURE
        }
    }
}

/// One line for each, in columns that a program can cut at tabs.
fn list_steps() -> anyhow::Result<ExitCode> {
    for step in first_party::STEPS {
        let FirstPartyStep { name, about, .. } = step;
        tell(&format!("step:{name}\t{}\t{about}", step.digest()))?;
    }
    for name in first_party::MISSING {
        tell(&format!("step:{name}\t-\tnot part of this build"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An error on standard error: one line, or of a configuration file every mistake where it stands.
fn complain_of(error: &anyhow::Error) {
    use std::io::Write as _;
    if let Some(ConfigError::Mistakes(mistakes)) = error.downcast_ref() {
        let _unheard = write!(std::io::stderr(), "{}", mistakes.render());
        complain("the configuration cannot be used");
    } else {
        complain(&chain(error.as_ref()));
    }
}

/// One line on standard error.
fn complain(line: &str) {
    use std::io::Write as _;
    // Without a standard error there is nobody to tell.
    let _unheard = writeln!(std::io::stderr(), "cofferdam: {line}");
}

/// One line on standard output: the product of a command.
fn tell(line: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{line}")
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
