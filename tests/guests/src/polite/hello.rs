//! `hello [ARG]…`: shows everything that a host gives a step without being asked.
//!
//! Standard output gets one line per argument (without the program's name), one per
//! environment variable in sorted order, and then standard input as it came.
//! Standard error gets one line. Deliberately absent: any file.

use std::io::{self, Read, Write};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (index, argument) in std::env::args_os().enumerate().skip(1) {
        writeln!(out, "arg {index}: {}", argument.to_string_lossy())?;
    }
    let mut variables: Vec<_> = std::env::vars_os().collect();
    variables.sort();
    for (name, value) in variables {
        writeln!(
            out,
            "env {}={}",
            name.to_string_lossy(),
            value.to_string_lossy()
        )?;
    }
    let mut input = Vec::new();
    io::stdin().lock().read_to_end(&mut input)?;
    writeln!(out, "stdin {} bytes", input.len())?;
    out.write_all(&input)?;
    out.flush()?;
    writeln!(io::stderr(), "hello from standard error")
}
