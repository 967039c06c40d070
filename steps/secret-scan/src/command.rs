//! The command line: from arguments to findings on standard output and a verdict.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cofferdam_guest_sdk::Verdict;

use crate::scan::{self, Finding, Strictness};
use crate::walk::{self, LeftOut};

/// More findings than anyone reads; the rest is counted.
const FINDINGS_PRINTED_MAX: usize = 1000;

const USAGE: &str = "usage: secret-scan [--strict] [PATH...]

Finds secrets in the text files below each PATH (default: the working
directory) and prints one line for each:

    PATH:LINE:COLUMN RULE FINGERPRINT

The secret itself is never printed. --strict also finds random-looking values
that are assigned to names like password, token or api_key. A line that holds
the words \"secret-scan: allow\" is left out, and counted.

exit code: 0 nothing found; 1 something found; 2 could not scan everything
";

#[derive(Debug, PartialEq, Eq)]
enum Request {
    Help,
    Scan {
        paths: Vec<PathBuf>,
        strictness: Strictness,
    },
}

/// Runs the step. Findings go to `out`, the summary and everything else to `notes`.
pub fn run(arguments: &[OsString], out: &mut dyn Write, notes: &mut dyn Write) -> Verdict {
    let result = match parse(arguments) {
        Ok(Request::Help) => out.write_all(USAGE.as_bytes()).map(|()| Verdict::Passed),
        Ok(Request::Scan { paths, strictness }) => scan_all(&paths, strictness, out, notes),
        Err(message) => {
            write!(notes, "secret-scan: {message}\n{USAGE}").map(|()| Verdict::CouldNotRun)
        }
    };
    // The only error left is that nobody listens; the exit code still speaks.
    result.unwrap_or(Verdict::CouldNotRun)
}

fn parse(arguments: &[OsString]) -> Result<Request, String> {
    let (mut paths, mut strictness) = (Vec::new(), Strictness::Known);
    for argument in arguments {
        match argument.to_str() {
            Some("--help" | "-h") => return Ok(Request::Help),
            Some("--strict") => strictness = Strictness::Strict,
            Some(option) if option.starts_with('-') => {
                return Err(format!("unknown option {option}"));
            }
            _ => paths.push(PathBuf::from(argument)),
        }
    }
    if paths.is_empty() {
        paths.push(PathBuf::from("."));
    }
    Ok(Request::Scan { paths, strictness })
}

fn scan_all(
    paths: &[PathBuf],
    strictness: Strictness,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> io::Result<Verdict> {
    let (mut files, mut found, mut allowed) = (0_usize, 0_usize, 0_usize);
    let left_out = walk::for_each_text_file(paths, |path, bytes| {
        let scanned = scan::scan(bytes, strictness);
        files += 1;
        allowed += scanned.allowed;
        for finding in scanned.findings {
            found += 1;
            if found <= FINDINGS_PRINTED_MAX {
                print(path, &finding, out)?;
            }
        }
        Ok(())
    })?;
    out.flush()?;
    writeln!(
        notes,
        "{files} files scanned, {found} findings, {allowed} allowed by a mark"
    )?;
    report(&left_out, notes)?;
    let is_complete = left_out.unreadable.is_empty() && !left_out.is_cut_short;
    Ok(match (found, is_complete) {
        (0, true) => Verdict::Passed,
        (0, false) => Verdict::CouldNotRun,
        _ => Verdict::Failed,
    })
}

/// A file's name is the repository's to choose, so what could move a terminal's cursor is escaped.
fn print(path: &Path, finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    let Finding {
        line,
        column,
        rule,
        fingerprint,
    } = finding;
    let path = path.display().to_string();
    writeln!(
        out,
        "{}:{line}:{column} {rule} {fingerprint}",
        path.escape_debug()
    )
}

fn report(left_out: &LeftOut, notes: &mut dyn Write) -> io::Result<()> {
    let LeftOut {
        binary,
        too_large,
        not_files,
        unreadable,
        is_cut_short,
    } = left_out;
    if binary + too_large + not_files > 0 {
        writeln!(
            notes,
            "left out: {binary} binary, {too_large} larger than {} MiB, {not_files} links and special files",
            walk::FILE_BYTES_MAX >> 20
        )?;
    }
    for (path, error) in unreadable {
        writeln!(
            notes,
            "secret-scan: cannot read {}: {error}",
            path.display().to_string().escape_debug()
        )?;
    }
    if *is_cut_short {
        writeln!(
            notes,
            "secret-scan: stopped after {} entries",
            walk::ENTRIES_MAX
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
