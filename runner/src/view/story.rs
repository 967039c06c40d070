//! What is told once and stays: the beginning, how a step ended, the log of one that failed, the summary.
//!
//! Each function takes the columns there are, or `None` where lines may be as long as they are.

mod summary;

use std::time::Duration;

use super::event::Outcome;
use super::model::{Fold, Model, Step};
use super::text::{
    BAR_COLUMNS, Line, Style, Whose, count, cut, duration, expand_tabs, harmless, width, wrap,
};

pub(super) use self::summary::summary;

/// Most rows of a failed step's log that are printed. Enough for the failure itself after a long build's
/// noise, and little enough that the lines of other steps above are found again.
const FAILURE_ROWS_MAX: usize = 500;

/// Digits of a commit's id that are shown: unique in every repository there is.
const COMMIT_CHARS: usize = 12;

/// Columns below which a name is not cut for the sake of a reason.
const NAME_COLUMNS_MIN: usize = 8;

/// Columns of a reason below which it is left out.
const REASON_COLUMNS_MIN: usize = 4;

/// Columns of a sign and the space behind it.
pub(super) const SIGN_COLUMNS: usize = 2;

/// Text of ours inside a block is set in by so much.
pub(super) const INDENT: &str = "  ";

/// The first line, or lines: what runs, on what, how much of it.
pub(super) fn opening(model: &Model, columns: Option<usize>) -> Vec<Line> {
    let is_id = model.commit.len() >= 40 && model.commit.bytes().all(|b| b.is_ascii_hexdigit());
    let commit = if is_id {
        &model.commit[..COMMIT_CHARS]
    } else {
        &model.commit
    };
    let steps = count(model.steps.len(), "step");
    let line = Line::ours()
        .with(Style::Strong, &model.pipeline)
        .with(Style::Dim, " · ")
        .with(Style::Plain, commit)
        .with(Style::Dim, " · ")
        .with(Style::Plain, &steps);
    match columns {
        Some(columns) if line.columns() > columns => {
            let more = format!("{} · {steps}", harmless(commit));
            let mut lines = vec![Line::ours().with(Style::Strong, &model.pipeline)];
            lines.extend(paragraph(Style::Plain, &more, columns));
            lines
        }
        _ => vec![line],
    }
}

/// The sign of an outcome.
pub(super) const fn sign(outcome: &Outcome) -> (Style, &'static str) {
    match outcome {
        Outcome::Passed => (Style::Good, "✓"),
        Outcome::Failed { .. } | Outcome::Unsupported { .. } => (Style::Bad, "✗"),
        Outcome::Error { .. } => (Style::Bad, "!"),
        Outcome::Cancelled { .. } => (Style::Wary, "■"),
        Outcome::Skipped { .. } | Outcome::NotRun { .. } => (Style::Dim, "–"),
    }
}

/// What is to say about an outcome beside its sign; empty if nothing.
pub(super) fn reason(outcome: &Outcome) -> String {
    let with = |what: &str, why: &str| {
        if why.is_empty() {
            what.to_owned()
        } else {
            format!("{what}: {why}")
        }
    };
    match outcome {
        Outcome::Passed => String::new(),
        Outcome::Failed {
            exit: Some(exit),
            why,
        } => with(&format!("exit {exit}"), why),
        Outcome::Failed { exit: None, why } => with("failed", why),
        Outcome::Error { why } => with("could not be run", why),
        Outcome::Cancelled { why } => with("cancelled", why),
        Outcome::Skipped { why } => with("skipped", why),
        Outcome::NotRun { why } => with("not run", why),
        Outcome::Unsupported { what, line } => {
            with("unsupported", &format!("{what} (line {line})"))
        }
    }
}

/// What [`ending`] says, as far as there is room.
struct Parts {
    name: String,
    reason: String,
    took: String,
}

/// One line about a step that ended. Where room is short, the duration goes first, then the reason, and
/// the name is cut last.
pub(super) fn ending(step: &Step, columns: Option<usize>) -> Line {
    let Some(outcome) = step.outcome() else {
        return Line::ours().with(Style::Plain, &step.name);
    };
    let (style, sign) = sign(outcome);
    let Parts { name, reason, took } = parts(step, outcome, columns);
    let mut line = Line::ours()
        .with(style, sign)
        .with(Style::Plain, " ")
        .with(Style::Strong, &name);
    if !reason.is_empty() {
        line = line.with(Style::Plain, INDENT).with(style, &reason);
    }
    if !took.is_empty() {
        line = line.with(Style::Plain, INDENT).with(Style::Dim, &took);
    }
    line
}

fn parts(step: &Step, outcome: &Outcome, columns: Option<usize>) -> Parts {
    let all = Parts {
        name: expand_tabs(&harmless(&step.name)),
        reason: expand_tabs(&harmless(&reason(outcome))),
        took: step.took().map(duration).unwrap_or_default(),
    };
    match columns {
        None => all,
        Some(columns) => fit(all, columns),
    }
}

fn fit(mut parts: Parts, columns: usize) -> Parts {
    let gap = |text: &str| match width(text) {
        0 => 0,
        columns => INDENT.len() + columns,
    };
    let room = columns.saturating_sub(BAR_COLUMNS + SIGN_COLUMNS);
    let name = width(&parts.name);
    let (reason, took) = (gap(&parts.reason), gap(&parts.took));
    if name + reason + took <= room {
        return parts;
    }
    // A short reason such as an exit status says more than the duration, which the summary repeats.
    let least = name.min(NAME_COLUMNS_MIN) + reason.min(INDENT.len() + NAME_COLUMNS_MIN);
    if took > 0 && least + took > room {
        parts.took.clear();
        return fit(parts, columns);
    }
    let room = room.saturating_sub(took);
    let name_room = room
        .saturating_sub(reason)
        .max(room / 2)
        .max(NAME_COLUMNS_MIN.min(room));
    parts.name = cut(&parts.name, name_room);
    let left = room.saturating_sub(width(&parts.name) + INDENT.len());
    if left < REASON_COLUMNS_MIN {
        parts.reason.clear();
    }
    parts.reason = cut(&parts.reason, left);
    parts
}

/// What a person needs to see of a step that ended badly: its reason in full where [`ending`] had to cut
/// it, the end of its log, and where the whole log lies.
pub(super) fn failure(step: &Step, log: &Fold, columns: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(outcome) = step.outcome() {
        let reason = harmless(&reason(outcome));
        let is_cut = parts(step, outcome, Some(columns)).reason != expand_tabs(&reason);
        if is_cut {
            lines.extend(paragraph(Style::Plain, &reason, columns));
        }
    }
    let mut shown = Vec::new();
    let mut rows = 0;
    for line in log.lines().iter().rev() {
        if rows >= FAILURE_ROWS_MAX {
            break;
        }
        let line = Line::of(Whose::from(line.origin)).with_log(&line.bytes);
        let folded = line.folded(columns);
        rows += folded.len();
        shown.push(folded);
    }
    let left_out = log.dropped() + (log.lines().len() - shown.len()) as u64;
    if left_out > 0 {
        let lines_left_out = match left_out {
            1 => "1 earlier line is left out".to_owned(),
            many => format!("{many} earlier lines are left out"),
        };
        lines.extend(paragraph(Style::Wary, &lines_left_out, columns));
    }
    let is_silent = shown.is_empty() && matches!(step.outcome(), Some(Outcome::Failed { .. }));
    lines.extend(shown.into_iter().rev().flatten());
    if is_silent {
        lines.extend(paragraph(Style::Dim, "it printed nothing", columns));
    }
    if let Some(path) = &step.log_path {
        let place = format!("whole log: {}", harmless(path));
        lines.extend(paragraph(Style::Dim, &place, columns));
    }
    lines
}

/// A sentence of ours, set in, on as many lines as it takes.
pub(super) fn paragraph(style: Style, text: &str, columns: usize) -> Vec<Line> {
    let room = columns.saturating_sub(BAR_COLUMNS + INDENT.len()).max(1);
    wrap(text, room)
        .into_iter()
        .map(|piece| Line::ours().with(Style::Plain, INDENT).with(style, piece))
        .collect()
}

/// A duration since a moment.
pub(super) fn since(now: Duration, since: Duration) -> String {
    duration(now.saturating_sub(since))
}
