//! What the pusher reads in `git push`, line by line.

use crate::domain::{Build, RepoName};
use crate::hook::{BuildAnswer, PushAnswer};
use crate::resolve::{Answer, ResolveError};

/// Lines of diagnostics that the pusher gets: five mistakes with their places. The build has them all.
const DIAGNOSTIC_LINES_MAX: usize = 40;

/// Jobs that the pusher gets to see: a screen full.
const JOB_LINES_MAX: usize = 20;

/// Longest line that a pusher gets, in characters.
const LINE_CHARS_MAX: usize = 500;

/// Adds what became of one pushed ref.
pub(super) fn tell(reference: &str, answered: Result<Answer, ResolveError>, to: &mut PushAnswer) {
    match answered {
        Ok(Answer::Planned {
            build,
            is_new,
            jobs,
        }) => {
            let number = build.number;
            let again = if is_new {
                ""
            } else {
                " (this commit was built before)"
            };
            let selected = harmless(&build.selected);
            to.lines
                .push(format!("{reference}: build {number}, {selected}{again}"));
            tell_jobs(&jobs, to);
            tell_diagnostics(&build.diagnostics, to);
            tell_build(reference, &build, to);
        }
        Ok(Answer::Invalid { build }) => {
            let number = build.number;
            to.lines.push(format!(
                "{reference}: build {number} is invalid, nothing runs"
            ));
            tell_diagnostics(&build.diagnostics, to);
            tell_build(reference, &build, to);
        }
        Ok(Answer::Nothing { why, diagnostics }) => {
            let why = harmless(&why);
            to.lines.push(format!("{reference}: nothing runs. {why}"));
            tell_diagnostics(&diagnostics, to);
        }
        Err(error) => {
            let chain = harmless(&chain(&error));
            to.lines.push(format!("{reference}: nothing runs: {chain}"));
        }
    }
}

/// Notes what became of it for the operator.
pub(super) fn log(repository: &RepoName, answered: &Result<Answer, ResolveError>) {
    match answered {
        Ok(Answer::Planned {
            build,
            is_new,
            jobs: _,
        }) => tracing::info!(
            repository = %repository, build.id = %build.id, build.number, is_new,
            "planned a build"
        ),
        Ok(Answer::Invalid { build }) => tracing::info!(
            repository = %repository, build.id = %build.id, build.number,
            "the pipeline file of a push is invalid"
        ),
        Ok(Answer::Nothing { why, .. }) => {
            tracing::info!(repository = %repository, why, "a push runs nothing");
        }
        Err(error) => tracing::warn!(
            repository = %repository, error = error as &dyn std::error::Error,
            "a push could not be resolved"
        ),
    }
}

fn tell_jobs(jobs: &[Vec<String>], to: &mut PushAnswer) {
    for (number, steps) in (1..).zip(jobs).take(JOB_LINES_MAX) {
        let steps = harmless(&steps.join(" › "));
        to.lines.push(format!("  job {number}: {steps}"));
    }
    if jobs.len() > JOB_LINES_MAX {
        let more = jobs.len() - JOB_LINES_MAX;
        to.lines.push(format!("  … and {more} more jobs"));
    }
}

fn tell_build(reference: &str, build: &Build, to: &mut PushAnswer) {
    to.builds.push(BuildAnswer {
        reference: reference.to_owned(),
        number: build.number,
    });
}

fn tell_diagnostics(diagnostics: &str, to: &mut PushAnswer) {
    let count = diagnostics.lines().count();
    let shown = diagnostics.lines().take(DIAGNOSTIC_LINES_MAX);
    to.lines
        .extend(shown.map(|line| format!("  {}", harmless(line))));
    if count > DIAGNOSTIC_LINES_MAX {
        let more = count - DIAGNOSTIC_LINES_MAX;
        to.lines.push(format!("  … and {more} more lines"));
    }
}

/// One line that a terminal takes as text, whatever it was made of.
pub(super) fn harmless(text: &str) -> String {
    crate::plain_text::one_line(text, LINE_CHARS_MAX)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
