//! `cofferdam check`: what is wrong with a pipeline file, without a hub, a runner or a repository.
//!
//! From a file's bytes to remarks on standard output. The exit status is 0 if the file can be used, 1 if it is
//! refused, 2 if a file could not be read. Nothing is executed and nothing is written.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use cofferdam_pipeline::{
    ChangedFiles, Diagnostic, PIPELINE_FILE_NAMES, Push, Reference, Resolution, Severity, Span,
    resolve,
};
use serde::Serialize;

/// Bytes of a file that are read. The language refuses far shorter ones, and says so with its own bound.
const FILE_BYTES_READ_MAX: u64 = 16 * 1024 * 1024;

/// Exit status where a file could not be read, or there is none.
const NOTHING_READ: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Pipeline files, `-` for standard input [default: cofferdam.yml, else bitbucket-pipelines.yml, here]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// How remarks are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For editors: one JSON array with all remarks of all files
    Json,
}

/// One remark for an editor. The names and their meaning do not change; new ones may be added.
#[derive(Debug, Serialize)]
struct JsonRemark<'a> {
    file: &'a str,
    severity: &'static str,
    code: &'static str,
    message: &'a str,
    help: Option<&'a str>,
    line: u32,
    column: u32,
    end_line: u32,
    end_column: u32,
}

/// A file that was looked at.
struct Checked {
    name: String,
    source: Vec<u8>,
    diagnostics: Vec<Diagnostic>,
}

impl Checked {
    fn count(&self, severity: Severity) -> usize {
        let is_such = |remark: &&Diagnostic| remark.severity == severity;
        self.diagnostics.iter().filter(is_such).count()
    }
}

pub(super) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let files = if args.files.is_empty() {
        match default_file(Path::new(".")) {
            Ok(file) => vec![file],
            Err(error) => {
                super::complain(&error.to_string());
                return Ok(ExitCode::from(NOTHING_READ));
            }
        }
    } else {
        args.files.clone()
    };
    let mut checked = Vec::new();
    let mut is_all_read = true;
    for file in &files {
        match check(file) {
            Ok(one) => checked.push(one),
            Err(error) => {
                is_all_read = false;
                super::complain(&format!("{}: {error}", file.display()));
            }
        }
    }
    let mut output = io::stdout().lock();
    match args.format {
        Format::Text => write_text(&checked, &mut output)?,
        Format::Json => write_json(&checked, &mut output)?,
    }
    let is_refused = checked.iter().any(|one| one.count(Severity::Error) > 0);
    Ok(match (is_all_read, is_refused) {
        (false, _) => ExitCode::from(NOTHING_READ),
        (true, true) => ExitCode::FAILURE,
        (true, false) => ExitCode::SUCCESS,
    })
}

/// The file that the hub would take of a commit with this root.
fn default_file(root: &Path) -> anyhow::Result<PathBuf> {
    PIPELINE_FILE_NAMES
        .into_iter()
        .map(|name| root.join(name))
        .find(|path| path.exists())
        .map(|path| path.strip_prefix(root).map(Path::to_owned).unwrap_or(path))
        .ok_or_else(|| {
            let [first, second] = PIPELINE_FILE_NAMES;
            anyhow::anyhow!("there is neither {first} nor {second} here")
        })
}

fn check(file: &Path) -> io::Result<Checked> {
    let (name, source) = if file == Path::new("-") {
        ("standard input".to_owned(), bounded(io::stdin().lock())?)
    } else {
        (file.display().to_string(), bounded(File::open(file)?)?)
    };
    // Every part of a file is read whatever was pushed, so any push does.
    let push = Push {
        reference: Reference::Branch("main".to_owned()),
        commit_message: String::new(),
        custom: None,
    };
    let Resolution {
        outcome: _,
        diagnostics,
    } = resolve(&source, &push, ChangedFiles::Unknown);
    Ok(Checked {
        name,
        source,
        diagnostics,
    })
}

fn bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(FILE_BYTES_READ_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write_text(checked: &[Checked], output: &mut impl Write) -> io::Result<()> {
    for one in checked {
        for remark in &one.diagnostics {
            writeln!(output, "{}", remark.render(&one.source, &one.name))?;
        }
        let errors = counted(one.count(Severity::Error), "error");
        let warnings = counted(one.count(Severity::Warning), "warning");
        let name = crate::text::printable(&one.name);
        writeln!(output, "{name}: {errors}, {warnings}")?;
    }
    Ok(())
}

fn counted(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

fn write_json(checked: &[Checked], output: &mut impl Write) -> anyhow::Result<()> {
    let remarks: Vec<JsonRemark<'_>> = checked
        .iter()
        .flat_map(|one| one.diagnostics.iter().map(|remark| json(&one.name, remark)))
        .collect();
    serde_json::to_writer_pretty(&mut *output, &remarks)?;
    writeln!(output)?;
    Ok(())
}

fn json<'a>(file: &'a str, remark: &'a Diagnostic) -> JsonRemark<'a> {
    let Diagnostic {
        severity,
        code,
        span,
        message,
        help,
    } = remark;
    let Span {
        line,
        column,
        end_line,
        end_column,
    } = *span;
    JsonRemark {
        file,
        severity: match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        code,
        message,
        help: help.as_deref(),
        line,
        column,
        end_line,
        end_column,
    }
}
