//! `cofferdam migrate`: what an existing pipeline file needs before it runs here.
//!
//! From a file's bytes to a list on standard output: what is honoured, what is not and what to do about it, what must be
//! set. The exit status is 0, 1 if the file is refused, 2 if there was nothing to read. Nothing is written.

mod human;
mod json;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use cofferdam_pipeline::{Severity, migrate};

use super::check::Format;
use super::paint::Paint;
use super::pipeline_file::{PipelineFile, named_or_own};
use crate::config::Environment;

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// The pipeline file, `-` for standard input [default: the repository's own: cofferdam.yml, else
    /// bitbucket-pipelines.yml]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// How the list is written
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
}

pub(super) fn run(args: &MigrateArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let file = match read(args) {
        Ok(file) => file,
        Err(error) => {
            super::complain(&crate::text::chain(error.as_ref()));
            return Ok(ExitCode::from(2));
        }
    };
    let migration = migrate(&file.source);
    let mut output = io::stdout().lock();
    match args.format {
        Format::Human => {
            human::write(
                &file,
                &migration,
                Paint::of_stdout(environment),
                &mut output,
            )?;
        }
        Format::Json => json::write(&file, &migration, &mut output)?,
    }
    let is_error = |severity| severity == Severity::Error;
    let is_refused = migration
        .diagnostics
        .iter()
        .any(|one| is_error(one.severity));
    Ok(if is_refused {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn read(args: &MigrateArgs) -> anyhow::Result<PipelineFile> {
    let here = std::env::current_dir().context("this directory is gone")?;
    let named: Vec<PathBuf> = args.file.iter().cloned().collect();
    let [path] = &*named_or_own(&named, &here)? else {
        anyhow::bail!("one file is looked at");
    };
    PipelineFile::read(path).map_err(anyhow::Error::msg)
}
