//! What `cofferdam` says to somebody in a directory, whole, for a snapshot.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};

use crate::process::{command, program, shell_status};

/// The exit status, standard output, and standard error if there is any.
pub fn said(dir: &Path, arguments: &[&str], input: &str) -> Result<String> {
    let mut child = command(&program("cofferdam")?, dir)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("it is piped")?;
    // A command that does not read may have ended before it is written to.
    let _unread = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output()?;
    let status = shell_status(output.status);
    let said = String::from_utf8(output.stdout)?;
    let complained = match String::from_utf8(output.stderr)? {
        text if text.is_empty() => text,
        text => format!("--- standard error\n{text}"),
    };
    Ok(format!("exit {status}\n{said}{complained}"))
}
