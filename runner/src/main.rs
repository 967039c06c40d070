//! `cofferdam`: arguments in, exit status out.

use std::process::ExitCode;

use clap::Parser as _;
use cofferdam_runner::command::{self, Cli};
use cofferdam_runner::config::Environment;

fn main() -> ExitCode {
    command::run(Cli::parse(), &Environment::read())
}
