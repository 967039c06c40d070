//! The step's process: arguments in, exit code out. The work is in the library.

use std::io;

use cofferdam_guest_sdk::Verdict;
use secret_scan::command;

fn main() -> Verdict {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    command::run(
        &arguments,
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
    )
}
