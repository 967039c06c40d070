//! The hub's program: arguments in, exit status out. What each verb does stands in `command`.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use cofferdam_hub::command::{Cli, HubWentAway};
use cofferdam_hub::config;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::new(config::log_filter());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let done = runtime.block_on(cli.run());
    // A read of standard input that never ends must not keep us.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Says what failed and why, in one line.
fn fail(error: &anyhow::Error) -> ExitCode {
    // Nobody can be told that telling failed.
    drop(writeln!(std::io::stderr(), "cofferdam-hub: {error:#}"));
    if error.is::<HubWentAway>() {
        return ExitCode::from(HubWentAway::EXIT_STATUS);
    }
    ExitCode::FAILURE
}
