//! `cofferdam check`: what is wrong with a pipeline file, and what a push would run, without a hub or a runner.
//!
//! From a file's bytes to remarks on standard output. The exit status is 0 if the file can be used, 1 if it is refused,
//! 2 if there was nothing to read or the question has no answer. Nothing is executed and nothing is written.

mod explain;
pub(super) mod json;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use cofferdam_git::{Git, Limits};
use cofferdam_pipeline::{
    ChangedFiles, Diagnostic, Push, Reference, Resolution, Severity, resolve,
};
use tokio_util::sync::CancellationToken;

use super::paint::{Ink, Paint, counted};
use super::pipeline_file::{PipelineFile, named_or_own};
use super::pushed::PushArgs;
use crate::config::Environment;
use explain::Answer;

/// Changed files that are taken. More do not fit on a command line.
const CHANGED_MAX: usize = 100_000;

/// Longest path of a changed file: the kernel's own bound.
const PATH_BYTES_MAX: usize = 4096;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Pipeline files, `-` for standard input [default: the repository's own: cofferdam.yml, else
    /// bitbucket-pipelines.yml]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// How the answer is written
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,

    /// Say what a push would run, and why no other pipeline
    #[arg(long)]
    explain: bool,

    #[command(flatten, next_help_heading = "Which push is explained")]
    push: PushArgs,

    /// With --explain: a file that the push changes, for conditions on changed files; may be repeated
    #[arg(long, value_name = "PATH", value_parser = changed_path, requires = "explain")]
    changed: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[value(alias = "text")]
    Human,
    /// For editors and scripts
    Json,
}

/// A file that was looked at.
struct Checked {
    file: PipelineFile,
    diagnostics: Vec<Diagnostic>,
    /// If it was asked for.
    answer: Option<Answer>,
}

impl Checked {
    fn count(&self, severity: Severity) -> usize {
        let is_such = |remark: &&Diagnostic| remark.severity == severity;
        self.diagnostics.iter().filter(is_such).count()
    }

    fn is_refused(&self) -> bool {
        self.count(Severity::Error) > 0
    }
}

pub(super) fn run(args: &CheckArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    Ok(match checked(args, environment) {
        Ok((checked, is_all_answered)) => {
            let mut output = io::stdout().lock();
            match args.format {
                Format::Human => write_human(&checked, Paint::of_stdout(environment), &mut output)?,
                Format::Json => json::write(&checked, args.explain, &mut output)?,
            }
            match (is_all_answered, checked.iter().any(Checked::is_refused)) {
                (false, _) => ExitCode::from(2),
                (true, true) => ExitCode::FAILURE,
                (true, false) => ExitCode::SUCCESS,
            }
        }
        Err(error) => {
            super::complain(&crate::text::chain(error.as_ref()));
            ExitCode::from(2)
        }
    })
}

/// Every file that could be read, and whether each question had its answer.
fn checked(args: &CheckArgs, environment: &Environment) -> anyhow::Result<(Vec<Checked>, bool)> {
    let push = args.asked(environment)?;
    let here = std::env::current_dir().context("this directory is gone")?;
    let mut all = Vec::new();
    let mut is_all_answered = true;
    for path in named_or_own(&args.files, &here)? {
        let checked = PipelineFile::read(&path).and_then(|file| args.check(file, push.as_ref()));
        match checked {
            Ok(one) => all.push(one),
            Err(error) => {
                is_all_answered = false;
                super::complain(&error);
            }
        }
    }
    Ok((all, is_all_answered))
}

impl CheckArgs {
    /// The push that is to be explained, if one is.
    fn asked(&self, environment: &Environment) -> anyhow::Result<Option<Push>> {
        ensure!(
            self.explain || self.push.is_default(),
            "a push is named only to have it explained: say --explain"
        );
        ensure!(
            self.changed.len() <= CHANGED_MAX,
            "--changed: at most {CHANGED_MAX} files are looked at"
        );
        if !self.explain {
            return Ok(None);
        }
        let checked_out = if self.push.needs_checked_out() {
            checked_out(environment)?
        } else {
            None
        };
        // A custom pipeline is chosen by its name alone, so any branch does.
        let checked_out = match checked_out {
            None if self.push.is_custom() => Some("main".to_owned()),
            checked_out => checked_out,
        };
        self.push.push(checked_out.as_deref()).map(Some)
    }

    fn check(&self, file: PipelineFile, push: Option<&Push>) -> Result<Checked, String> {
        let Some(push) = push else {
            // Every part of a file is read whatever was pushed, so any push does, and any changed files.
            let push = Push {
                reference: Reference::Branch("main".to_owned()),
                commit_message: String::new(),
                custom: None,
            };
            let Resolution {
                outcome: _,
                diagnostics,
            } = resolve(&file.source, &push, ChangedFiles::Known(&[]));
            return Ok(Checked {
                file,
                diagnostics,
                answer: None,
            });
        };
        let changed = match &*self.changed {
            [] => ChangedFiles::Unknown,
            files => ChangedFiles::Known(files),
        };
        let (answer, diagnostics) = Answer::find(&file.source, push, changed)
            .map_err(|why| format!("{}: {why}", crate::text::printable(&file.name)))?;
        Ok(Checked {
            file,
            diagnostics,
            answer: Some(answer),
        })
    }
}

/// The branch of the work tree around this directory; `None` where there is none, or no commit yet.
pub(super) fn checked_out(environment: &Environment) -> anyhow::Result<Option<String>> {
    let Some(git) = Git::find(&environment.search_path()) else {
        return Ok(None);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let git = Git::open(&git, Limits::default()).await?;
        let Some(tree) = git.work_tree(Path::new("."))? else {
            return Ok(None);
        };
        let head = tree.head(&CancellationToken::new()).await?;
        Ok(head.and_then(|head| head.branch))
    })
}

/// A path as a commit has it, from the repository's root.
fn changed_path(text: &str) -> Result<String, String> {
    let path = text.strip_prefix("./").unwrap_or(text);
    let is_inside = |part: &str| !matches!(part, "" | "." | "..");
    if path.len() > PATH_BYTES_MAX {
        return Err(format!("a path has at most {PATH_BYTES_MAX} bytes"));
    }
    if path.split('/').all(is_inside) {
        Ok(path.to_owned())
    } else {
        Err("a path from the repository's root is needed, `src/main.rs`".to_owned())
    }
}

fn write_human(checked: &[Checked], paint: Paint, output: &mut impl Write) -> io::Result<()> {
    for one in checked {
        let name = crate::text::printable(&one.file.name);
        let is_shown =
            |remark: &&Diagnostic| one.answer.is_none() || remark.severity == Severity::Error;
        for remark in one.diagnostics.iter().filter(is_shown) {
            writeln!(
                output,
                "{}",
                paint.remark(remark, &one.file.source, &one.file.name)
            )?;
        }
        if let (Some(answer), false) = (&one.answer, one.is_refused()) {
            answer.write_human(&name, paint, output)?;
            let warnings = one.count(Severity::Warning);
            if warnings > 0 {
                let told = counted(warnings, "warning");
                writeln!(output, "\n{told}: see `cofferdam check {name}`")?;
            }
        } else {
            let errors = one.count(Severity::Error);
            let ink = if errors > 0 { Ink::Bad } else { Ink::Good };
            let errors = paint.put(ink, &counted(errors, "error"));
            let warnings = counted(one.count(Severity::Warning), "warning");
            writeln!(output, "{name}: {errors}, {warnings}")?;
        }
    }
    Ok(())
}
