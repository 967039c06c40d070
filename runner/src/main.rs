//! `cofferdam`: arguments in, exit status out.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use cofferdam_runner::command::{self, Cli};
use cofferdam_runner::config::Environment;
use cofferdam_runner::executor::wasm::zygote_main;
use cofferdam_runner::process::is_zygote;
use cofferdam_runner::step_run;

fn main() -> ExitCode {
    // First of all, while there is one thread and nothing was read: the origin of all confined processes.
    if is_zygote(std::env::args_os()) {
        return zygote_main();
    }
    let environment = Environment::read();
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        // Its exit statuses are a contract of their own, bad arguments included.
        [step, run, rest @ ..] if step == "step" && run == "run" => {
            step_run::main(rest.iter().cloned(), &environment)
        }
        _ => command::run(Cli::parse(), &environment),
    }
}
