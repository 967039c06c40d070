//! A build as people read it.

use std::fmt::Write as _;

use crate::control::view::{
    Answered, BuildDetail, BuildView, Cancelled, JobView, StepName, StepView,
};
use crate::plain_text::one_line;

/// Longest name or sentence on a line, in bytes.
const TEXT_BYTES_MAX: usize = 300;

/// Digits of a commit that people compare.
const COMMIT_DIGITS: usize = 10;

/// One line about a build.
pub(super) fn line(build: &BuildView) -> String {
    let BuildView {
        repository,
        number,
        id: _,
        state,
        reference,
        commit,
        selected,
        created_at: _,
        finished_at: _,
    } = build;
    let reference = plain(reference);
    let commit = commit.get(..COMMIT_DIGITS).unwrap_or(commit);
    let selected = plain(selected);
    format!("{repository} {number}  {state:<9}  {reference} {commit}  {selected}")
        .trim_end()
        .to_owned()
}

/// What a cancellation did.
pub(super) fn cancelled(what: &Cancelled) -> String {
    let Cancelled {
        build,
        ended,
        told,
        is_final_left,
    } = what;
    let BuildView {
        repository,
        number,
        state,
        ..
    } = build;
    let jobs = |count: usize| match count {
        1 => "1 job".to_owned(),
        _ => format!("{count} jobs"),
    };
    let mut done = Vec::new();
    if *ended > 0 {
        done.push(format!("{} will not start", jobs(*ended)));
    }
    if *told > 0 {
        done.push(format!("{} at a runner told to stop", jobs(*told)));
    }
    if done.is_empty() {
        done.push("nothing of it was left to cancel".to_owned());
    }
    let done = done.join(", ");
    let rest = if *is_final_left {
        ", and its final step runs all the same; another cancel stops that"
    } else {
        ""
    };
    format!("Cancelled build {number} of {repository}: {done}; it is {state} now{rest}")
}

/// That a step was started which waited for a person.
pub(super) fn started(what: &Answered) -> String {
    let Answered { build, step } = what;
    let BuildView {
        repository,
        number,
        state,
        ..
    } = build;
    let called = called(step);
    format!("Started {called} of build {number} of {repository}; it is {state} now")
}

/// That a step was declined which waited for a person.
pub(super) fn declined(what: &Answered) -> String {
    let Answered { build, step } = what;
    let BuildView {
        repository,
        number,
        state,
        ..
    } = build;
    let called = called(step);
    format!(
        "Declined {called} of build {number} of {repository}: neither it nor what comes after it is run; \
         the build is {state} now"
    )
}

fn called(step: &StepName) -> String {
    let StepName { index, name } = step;
    format!("step {} `{}`", u32::from(*index) + 1, plain(name))
}

/// All about a build.
pub(super) fn page(build: &BuildDetail) -> String {
    let BuildDetail {
        build: about,
        diagnostics,
        jobs,
    } = build;
    let mut page = line(about);
    page.push('\n');
    for diagnostic in diagnostics.lines() {
        add(&mut page, format_args!("  {}", plain(diagnostic)));
    }
    for job in jobs {
        put_job(&mut page, job);
    }
    page
}

fn put_job(page: &mut String, job: &JobView) {
    let JobView {
        ordinal,
        state,
        why,
        runner,
        runs_on,
        steps,
    } = job;
    let mut text = format!("  job {}  {}", ordinal + 1, status(state, why.as_deref()));
    if !runs_on.is_empty() {
        // Writing to a String cannot fail.
        _ = write!(text, "  [{}]", plain(&runs_on.join(", ")));
    }
    if let Some(runner) = runner {
        _ = write!(text, "  on {runner}");
    }
    add(page, format_args!("{text}"));
    for step in steps {
        put_step(page, step);
    }
}

fn put_step(page: &mut String, step: &StepView) {
    let StepView {
        index,
        name,
        state,
        exit,
        why,
        blame: _,
        started_at: _,
        finished_at: _,
        took_ms,
        receipt: _,
    } = step;
    // Why a step did not run is the whole story, and stands beside the word; what a step that ran says gets a line.
    let did_not_run = matches!(state.as_str(), "not-run" | "skipped" | "cancelled");
    let (short, why) = match why {
        Some(why) if did_not_run => (Some(why), None),
        why => (None, why.as_deref()),
    };
    let status = match exit {
        Some(exit) => format!("{state} (exit {exit})"),
        None => status(state, short.map(String::as_str)),
    };
    let took = took_ms.map_or_else(String::new, |ms| format!("  {}", duration(ms)));
    let name = plain(name);
    add(
        page,
        format_args!("    step {}  {name}  {status}{took}", u32::from(*index) + 1),
    );
    if let Some(why) = why {
        add(page, format_args!("      {}", plain(why)));
    }
}

fn status(state: &str, why: Option<&str>) -> String {
    why.map_or_else(
        || state.to_owned(),
        |why| format!("{state}: {}", plain(why)),
    )
}

fn add(page: &mut String, line: std::fmt::Arguments<'_>) {
    _ = writeln!(page, "{line}");
}

fn plain(text: &str) -> String {
    one_line(text, TEXT_BYTES_MAX)
}

/// `0.42 s`, `12.3 s`, `3 min 05 s`.
fn duration(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{:02} s", ms / 1000, ms % 1000 / 10),
        10_000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_says_what_it_did() {
        let of = |ended, told, state: &str| {
            cancelled(&Cancelled {
                build: BuildView {
                    repository: "demo".to_owned(),
                    number: 3,
                    id: String::new(),
                    state: state.to_owned(),
                    reference: String::new(),
                    commit: String::new(),
                    selected: String::new(),
                    created_at: String::new(),
                    finished_at: None,
                },
                ended,
                told,
                is_final_left: false,
            })
        };
        assert_eq!(
            of(2, 1, "running"),
            "Cancelled build 3 of demo: 2 jobs will not start, 1 job at a runner told to stop; it is running now"
        );
        assert_eq!(
            of(1, 0, "cancelled"),
            "Cancelled build 3 of demo: 1 job will not start; it is cancelled now"
        );
    }

    #[test]
    fn a_build_reads_like_a_page() {
        let step = |index, name: &str, state: &str| StepView {
            index,
            name: name.to_owned(),
            state: state.to_owned(),
            exit: None,
            why: None,
            blame: None,
            started_at: None,
            finished_at: None,
            took_ms: None,
            receipt: None,
        };
        let job = |ordinal, state: &str, steps| JobView {
            ordinal,
            state: state.to_owned(),
            why: None,
            runner: None,
            runs_on: Vec::new(),
            steps,
        };
        let detail = BuildDetail {
            build: BuildView {
                repository: "demo".to_owned(),
                number: 3,
                id: String::new(),
                state: "failed".to_owned(),
                reference: "refs/heads/main\u{1b}".to_owned(),
                commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
                selected: "default".to_owned(),
                created_at: String::new(),
                finished_at: None,
            },
            diagnostics: "warning: x\n".to_owned(),
            jobs: vec![
                job(
                    0,
                    "failed",
                    vec![
                        StepView {
                            took_ms: Some(423),
                            ..step(0, "Scan", "passed")
                        },
                        StepView {
                            exit: Some(3),
                            why: Some("it said no".to_owned()),
                            took_ms: Some(185_000),
                            ..step(1, "Test", "failed")
                        },
                    ],
                ),
                JobView {
                    why: Some("no online runner has the labels gpu".to_owned()),
                    runs_on: vec!["gpu".to_owned()],
                    ..job(1, "queued", vec![step(2, "Train", "queued")])
                },
            ],
        };
        insta::assert_snapshot!(page(&detail), @r"
        demo 3  failed     refs/heads/main\u{1b} 0123456789  default
          warning: x
          job 1  failed
            step 1  Scan  passed  0.42 s
            step 2  Test  failed (exit 3)  3 min 05 s
              it said no
          job 2  queued: no online runner has the labels gpu  [gpu]
            step 3  Train  queued
        ");
    }
}
