//! What the pusher reads in `git push`, line by line.

use cofferdam_git::{Blame, GitError};

use crate::domain::{Build, RepoName, Repository};
use crate::hook::{BuildAnswer, PushAnswer};
use crate::resolve::{Answer, ResolveError};

/// Lines of diagnostics that the pusher gets: five mistakes with their places. The build has them all.
const DIAGNOSTIC_LINES_MAX: usize = 40;

/// Jobs that the pusher gets to see: a screen full.
const JOB_LINES_MAX: usize = 20;

/// Longest line that a pusher gets, in bytes.
const LINE_BYTES_MAX: usize = 500;

/// Adds what became of one pushed ref.
pub(super) fn tell(
    repository: &Repository,
    reference: &str,
    answered: Result<Answer, ResolveError>,
    to: &mut PushAnswer,
) {
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
            let why = harmless(&told(&error, repository));
            to.lines.push(format!("{reference}: nothing runs: {why}"));
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
    crate::plain_text::one_line(text, LINE_BYTES_MAX)
}

/// An error in the pusher's words: what the pusher can mend in full, and of everything else only whose it is. Paths of
/// this host, and where it fetches from, are its operator's; they stand in the log.
fn told(error: &ResolveError, repository: &Repository) -> String {
    match error {
        ResolveError::Reference(_) => chain(error),
        ResolveError::Git(git) => match git {
            GitError::Cancelled { .. } => {
                "the hub stops; it goes on with this push when it is back".to_owned()
            }
            GitError::TimedOut { .. } => git.to_string(),
            git if git.blame() == Blame::User => {
                chain(error).replace(&repository.url, repository.name.as_str())
            }
            _ => "the hub could not fetch it; its operator finds the reason in its log".to_owned(),
        },
        ResolveError::Remote { .. } => {
            "the hub may not fetch from the repository's address; its operator can mend that"
                .to_owned()
        }
        ResolveError::Store(_) => {
            "the hub could not write it down, and tries again when it is started next".to_owned()
        }
    }
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::store::StoreError;

    #[test]
    fn a_pusher_learns_no_path_of_the_hub() {
        let repository = Repository {
            name: "demo".parse().unwrap(),
            url: "file:///srv/git/demo.git".to_owned(),
            hook_key: "key".into(),
        };
        let dir = PathBuf::from("/var/lib/hub/mirrors/demo");
        let disk = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        let url = repository.url.clone();
        let reference: cofferdam_git::RefName = "refs/heads/main".parse().unwrap();
        for (error, expected) in [
            (
                GitError::NoSuchRef { url, reference }.into(),
                "demo has no refs/heads/main",
            ),
            (
                GitError::MirrorBusy { dir: dir.clone() }.into(),
                "the hub could not fetch it; its operator finds the reason in its log",
            ),
            (
                GitError::Disk {
                    what: "tidy the mirror",
                    path: dir.clone(),
                    source: disk(),
                }
                .into(),
                "the hub could not fetch it; its operator finds the reason in its log",
            ),
            (
                GitError::Failed {
                    what: "fetch",
                    how: "status 128".to_owned(),
                    detail: format!("fatal: '{}' is no repository", dir.display()),
                }
                .into(),
                "the hub could not fetch it; its operator finds the reason in its log",
            ),
            (
                GitError::TimedOut {
                    what: "fetch",
                    secs: 60,
                }
                .into(),
                "git took longer than 60 s to fetch",
            ),
            (
                StoreError::new("admit a build", "/var/lib/hub/hub.db is full").into(),
                "the hub could not write it down, and tries again when it is started next",
            ),
        ] {
            let error: ResolveError = error;
            let mut answer = PushAnswer {
                lines: Vec::new(),
                builds: Vec::new(),
            };
            tell(&repository, "main", Err(error), &mut answer);
            assert_eq!(answer.lines, [format!("main: nothing runs: {expected}")]);
        }
    }
}
