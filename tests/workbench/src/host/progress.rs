//! One line per stage, with the time it took, on standard error.

use std::io::{self, Write};
use std::time::Instant;

use anyhow::Result;

/// Does a stage's work and prints one line: its name, what the work says of itself, the seconds.
pub(crate) fn stage<T>(name: &str, work: impl FnOnce() -> Result<(T, String)>) -> Result<T> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a person's waiting time is what is measured"
    )]
    let start = Instant::now();
    let result = work();
    let seconds = start.elapsed().as_secs_f64();
    match result {
        Ok((value, summary)) => {
            say(&format!("{name:<10} {seconds:>6.1} s  {summary}"));
            Ok(value)
        }
        Err(error) => {
            say(&format!("{name:<10} {seconds:>6.1} s  failed"));
            Err(error)
        }
    }
}

/// One line for whoever watches. That nobody does is no reason to stop.
pub(crate) fn say(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}
