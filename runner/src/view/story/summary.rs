//! The end of a run: every step with its duration, what it left, how it went, and what to do next.

use std::time::Duration;

use super::{INDENT, SIGN_COLUMNS, paragraph, reason, sign};
use crate::view::event::{Outcome, RunState};
use crate::view::model::{Model, Step};
use crate::view::text::{
    BAR_COLUMNS, Line, Style, count, cut, duration, expand_tabs, harmless, padded, right_aligned,
    size, width, wrap,
};

/// Widest column of names.
const NAME_COLUMNS_MAX: usize = 40;

/// Columns of the bracket around a parallel group.
const BRACKET_COLUMNS: usize = 2;

/// Columns that are left for a reason beside the name, or else it goes below.
const REASON_COLUMNS_MIN: usize = 24;

/// Steps whose logs are named at the end: where more fail, one cause is likely.
const FAILURES_LISTED_MAX: usize = 5;

/// The lines that end a run.
pub(in crate::view) fn summary(model: &Model, columns: Option<usize>) -> Vec<Line> {
    let Some((state, took)) = model.ended else {
        return Vec::new();
    };
    let mut lines = vec![Line::ours()];
    lines.extend(table(model, columns));
    lines.push(Line::ours());
    if !model.artifacts.is_empty() {
        lines.extend(artifacts(model, columns));
        lines.push(Line::ours());
    }
    lines.extend(verdict(model, state, took, columns));
    lines.extend(next(model, state, columns));
    lines
}

/// How wide the columns of the table are.
struct Widths {
    name: usize,
    took: usize,
    has_groups: bool,
    all: Option<usize>,
}

fn table(model: &Model, columns: Option<usize>) -> Vec<Line> {
    let names = model.steps.values().map(|step| width(&name_of(step)));
    let took = |step: &Step| step.took().map_or(0, |took| width(&duration(took)));
    let took = model.steps.values().map(took).max().unwrap_or_default();
    let has_groups = model.steps.values().any(|step| step.row.group.is_some());
    let bracket = if has_groups { BRACKET_COLUMNS } else { 0 };
    let fixed = BAR_COLUMNS + bracket + SIGN_COLUMNS + INDENT.len() + took;
    let most = columns.map_or(NAME_COLUMNS_MAX, |columns| {
        columns.saturating_sub(fixed).min(NAME_COLUMNS_MAX)
    });
    let widths = Widths {
        name: names.max().unwrap_or_default().min(most.max(1)),
        took,
        has_groups,
        all: columns,
    };
    let steps: Vec<&Step> = model.steps.values().collect();
    let mut lines = Vec::new();
    let mut stage = None;
    for (at, step) in steps.iter().enumerate() {
        if step.row.stage != stage {
            stage.clone_from(&step.row.stage);
            if let Some(stage) = &stage {
                lines.push(Line::ours().with(Style::Dim, stage));
            }
        }
        let group_of = |at: Option<usize>| at.and_then(|at| steps.get(at)?.row.group);
        let bracket = match step.row.group {
            None => " ",
            group => match (
                group_of(at.checked_sub(1)) == group,
                group_of(Some(at + 1)) == group,
            ) {
                (false, true) => "┌",
                (true, true) => "├",
                (true, false) => "└",
                (false, false) => " ",
            },
        };
        lines.extend(row(step, bracket, &widths));
    }
    lines
}

/// One step: bracket of its group, sign, name, duration, reason.
fn row(step: &Step, bracket: &str, widths: &Widths) -> Vec<Line> {
    let (style, sign) = step.outcome().map_or((Style::Dim, "·"), sign);
    let reason = step.outcome().map(reason).unwrap_or_default();
    let reason = expand_tabs(&harmless(&reason));
    let took = step.took().map(duration).unwrap_or_default();
    let mut line = Line::ours();
    if widths.has_groups {
        line = line.with(Style::Dim, &format!("{bracket} "));
    }
    let name = cut(&name_of(step), widths.name);
    let line = line.with(style, sign).with(Style::Plain, " ");
    let named = line.clone().with(Style::Plain, &name);
    let line = line
        .with(Style::Plain, &padded(&name, widths.name))
        .with(Style::Plain, INDENT)
        .with(Style::Dim, &right_aligned(&took, widths.took));
    let line = if took.is_empty() && reason.is_empty() {
        named.clone()
    } else {
        line
    };
    if reason.is_empty() {
        return vec![line];
    }
    let Some(all) = widths.all else {
        return vec![line.with(Style::Plain, INDENT).with(style, &reason)];
    };
    let used = line.columns() + INDENT.len();
    let room = all.saturating_sub(used);
    let is_beside = width(&reason) <= room || room >= REASON_COLUMNS_MIN;
    let (first, margin, room) = if is_beside {
        (line.with(Style::Plain, INDENT), used - BAR_COLUMNS, room)
    } else {
        let margin = INDENT.len() * if widths.has_groups { 2 } else { 1 };
        let first = if took.is_empty() { named } else { line };
        (
            first,
            margin,
            all.saturating_sub(BAR_COLUMNS + margin).max(1),
        )
    };
    let below = |piece: &str| {
        Line::ours()
            .with(Style::Plain, &" ".repeat(margin))
            .with(style, piece)
    };
    let mut pieces = wrap(&reason, room).into_iter();
    let mut lines = match pieces.next() {
        Some(piece) if is_beside => vec![first.with(style, piece)],
        Some(piece) => vec![first, below(piece)],
        None => vec![first],
    };
    lines.extend(pieces.map(below));
    lines
}

fn name_of(step: &Step) -> String {
    expand_tabs(&harmless(&step.name))
}

fn artifacts(model: &Model, columns: Option<usize>) -> Vec<Line> {
    let mut lines = vec![Line::ours().with(Style::Plain, "artifacts")];
    for artifact in &model.artifacts {
        let step = model.steps.get(&artifact.step);
        let of = step.map(|step| format!(", {}", harmless(&step.name)));
        let text = format!(
            "{} ({}{})",
            harmless(&artifact.path),
            size(artifact.bytes),
            of.unwrap_or_default()
        );
        lines.extend(sentence(Style::Plain, &text, columns));
    }
    if model.artifacts_unlisted > 0 {
        let more = format!("and {} more", model.artifacts_unlisted);
        lines.extend(sentence(Style::Dim, &more, columns));
    }
    lines
}

/// The one line that answers "did it work?".
fn verdict(model: &Model, state: RunState, took: Duration, columns: Option<usize>) -> Vec<Line> {
    let (style, sign, word) = match state {
        RunState::Passed => (Style::Good, "✓", "passed in"),
        RunState::Failed => (Style::Bad, "✗", "failed after"),
        RunState::Error => (Style::Bad, "!", "could not be run to its end, after"),
        RunState::Cancelled => (Style::Wary, "■", "cancelled after"),
    };
    let pipeline = harmless(&model.pipeline);
    let text = format!("{pipeline} {word} {}", duration(took));
    let counts = counts(model);
    let whole = format!("{text}: {counts}");
    let indent = BAR_COLUMNS + SIGN_COLUMNS;
    let pieces = match columns.map(|columns| columns.saturating_sub(indent).max(1)) {
        Some(room) if width(&whole) > room => {
            let mut pieces = wrap(&text, room);
            pieces.extend(wrap(&counts, room));
            pieces
        }
        _ if counts.is_empty() => vec![text.as_str()],
        _ => vec![whole.as_str()],
    };
    let line = |(number, piece): (usize, &str)| {
        let mark = if number == 0 { sign } else { " " };
        let line = Line::ours().with(style, mark);
        line.with(Style::Plain, " ").with(style, piece)
    };
    pieces.into_iter().enumerate().map(line).collect()
}

/// How many steps ended how, worst first: `1 failed, 3 passed`.
fn counts(model: &Model) -> String {
    let kinds = [
        "unsupported",
        "failed",
        "not runnable",
        "cancelled",
        "passed",
        "skipped",
        "not run",
    ];
    let kind_of = |step: &Step| match step.outcome() {
        Some(Outcome::Unsupported { .. }) => "unsupported",
        Some(Outcome::Failed { .. }) => "failed",
        Some(Outcome::Error { .. }) => "not runnable",
        Some(Outcome::Cancelled { .. }) => "cancelled",
        Some(Outcome::Passed) => "passed",
        Some(Outcome::Skipped { .. }) => "skipped",
        Some(Outcome::NotRun { .. }) | None => "not run",
    };
    let parts: Vec<String> = kinds
        .iter()
        .map(|kind| {
            (
                kind,
                model
                    .steps
                    .values()
                    .filter(|step| kind_of(step) == *kind)
                    .count(),
            )
        })
        .filter(|(_, number)| *number > 0)
        .map(|(kind, number)| format!("{number} {kind}"))
        .collect();
    parts.join(", ")
}

/// What to do now.
fn next(model: &Model, state: RunState, columns: Option<usize>) -> Vec<Line> {
    let bad = || {
        model.steps.values().filter_map(|step| {
            let outcome = step.outcome().filter(|outcome| outcome.is_bad())?;
            Some((step, outcome))
        })
    };
    let mut lines = Vec::new();
    for (step, outcome) in bad().take(FAILURES_LISTED_MAX) {
        if let Some(path) = &step.log_path {
            let text = format!("log of {}: {}", harmless(&step.name), harmless(path));
            lines.extend(sentence(Style::Plain, &text, columns));
        }
        if let Outcome::Unsupported { line, .. } = outcome {
            let text = format!(
                "{} uses, in line {line}, what this version cannot run yet",
                harmless(&step.name)
            );
            lines.extend(sentence(Style::Plain, &text, columns));
        }
    }
    let unlisted = bad().count().saturating_sub(FAILURES_LISTED_MAX);
    if unlisted > 0 {
        let more = format!("and {} more", count(unlisted, "failure"));
        lines.extend(sentence(Style::Dim, &more, columns));
    }
    lines.extend(
        again(model, state)
            .iter()
            .flat_map(|text| sentence(Style::Plain, text, columns)),
    );
    lines
}

/// What to type now, if anything can be.
fn again(model: &Model, state: RunState) -> Option<String> {
    let again = model.commands.again();
    if state == RunState::Cancelled {
        return Some(format!("again: {}", again?));
    }
    // A step that this version cannot run is not helped by another try.
    let is_worth_it =
        |outcome: &Outcome| outcome.is_bad() && !matches!(outcome, Outcome::Unsupported { .. });
    let mut steps = model.steps.values();
    let step = steps.find(|step| step.outcome().is_some_and(is_worth_it))?;
    if step.name != step.row.name {
        // None of two with the same name can be meant by it.
        return None;
    }
    let alone = model.commands.of_step(&step.name)?;
    Some(if Some(alone.as_str()) == again {
        format!("again: {alone}")
    } else {
        format!("this step alone: {alone}")
    })
}

fn sentence(style: Style, text: &str, columns: Option<usize>) -> Vec<Line> {
    match columns {
        None => vec![Line::ours().with(Style::Plain, INDENT).with(style, text)],
        Some(columns) => paragraph(style, text, columns),
    }
}
