//! What is painted below: a line per running step, and one for the whole.

use std::time::Duration;

use crate::view::model::{Model, State, Step};
use crate::view::story::since;
use crate::view::text::{
    BAR_COLUMNS, Line, Style, Whose, cut, duration, expand_tabs, harmless, padded, right_aligned,
    width,
};

/// The size of a terminal's window, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// How many fit beside each other.
    pub columns: u16,
    /// How many lines fit below each other.
    pub rows: u16,
}

impl Size {
    /// What a terminal has that does not tell.
    pub const UNKNOWN: Self = Self {
        columns: 80,
        rows: 24,
    };
}

/// The signs of life, one after the other.
const TURNS: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// How long each of [`TURNS`] stays.
const TURN_MILLIS: u128 = 100;

/// Columns that names get before the latest line gets any: names tell the lines apart.
const NAME_COLUMNS_MIN: usize = 16;

/// Columns of a log line that are worth showing.
const LATEST_COLUMNS_MIN: usize = 8;

/// Columns of the bar between a step's state and its latest line.
const INNER_BAR_COLUMNS: usize = 3;

/// What is painted at a moment: a line each, with its end. Empty before the run began and after its end.
pub fn frame(model: &Model, now: Duration, size: Size, is_coloured: bool) -> String {
    live(model, now, size)
        .iter()
        .map(|line| line.render(Some(usize::from(size.columns)), is_coloured) + "\n")
        .collect()
}

/// As [`frame`], not yet cut to the width. Never more lines than the window has rows above the cursor's.
pub(super) fn live(model: &Model, now: Duration, size: Size) -> Vec<Line> {
    let room = usize::from(size.rows).saturating_sub(1);
    if model.steps.is_empty() || model.ended.is_some() || room == 0 {
        return Vec::new();
    }
    let is_live =
        |step: &&Step| matches!(step.state, State::Running { .. } | State::Waiting { .. });
    let mut steps: Vec<&Step> = model.steps.values().filter(is_live).collect();
    // Those that run come first: of those that wait the number is enough.
    steps.sort_by_key(|step| !matches!(step.state, State::Running { .. }));
    let shown = match steps.len() {
        all if all < room => all,
        // One row for the whole, one for how many are hidden.
        _ => room.saturating_sub(2),
    };
    let hidden = steps.len() - shown;
    let mut lines = rows(&steps[..shown], now, usize::from(size.columns));
    if hidden > 0 && room > 1 {
        lines.push(Line::ours().with(Style::Dim, &format!("… and {hidden} more")));
    }
    lines.push(whole(model, now, usize::from(size.columns)));
    lines
}

fn rows(steps: &[&Step], now: Duration, columns: usize) -> Vec<Line> {
    let times: Vec<String> = steps
        .iter()
        .map(|step| match step.state {
            State::Running { since: start } => since(now, start),
            _ => String::new(),
        })
        .collect();
    let time_columns = times
        .iter()
        .map(|time| width(time))
        .max()
        .unwrap_or_default();
    let names: Vec<String> = steps
        .iter()
        .map(|step| expand_tabs(&harmless(&step.name)))
        .collect();
    let fixed = BAR_COLUMNS + "⠋ ".chars().count() + " ".len() + time_columns;
    let most = (columns / 3)
        .max(NAME_COLUMNS_MIN)
        .min(columns.saturating_sub(fixed).max(1));
    let name_columns = names
        .iter()
        .map(|name| width(name))
        .max()
        .unwrap_or_default()
        .min(most);
    let room = columns.saturating_sub(fixed + name_columns + INNER_BAR_COLUMNS);
    let turn = usize::try_from(now.as_millis() / TURN_MILLIS).unwrap_or_default() % TURNS.len();
    let row = |((step, name), time): ((&&Step, &String), &String)| {
        let (style, sign) = match step.state {
            State::Running { .. } => (Style::Busy, TURNS[turn]),
            _ => (Style::Wary, "◌"),
        };
        let line = Line::ours()
            .with(style, sign)
            .with(Style::Plain, " ")
            .with(
                Style::Strong,
                &padded(&cut(name, name_columns), name_columns),
            )
            .with(Style::Dim, " ")
            .with(Style::Dim, &right_aligned(time, time_columns));
        if room < LATEST_COLUMNS_MIN {
            line
        } else {
            with_latest(line, step)
        }
    };
    steps.iter().zip(&names).zip(&times).map(row).collect()
}

fn with_latest(line: Line, step: &Step) -> Line {
    if let State::Waiting { why } = &step.state {
        return line
            .with_bar(Whose::Ours)
            .with(Style::Dim, &format!("waits: {why}"));
    }
    match step.fold.latest() {
        None => line,
        Some(latest) => line
            .with_bar(Whose::from(latest.origin))
            .with_bytes(Style::Dim, latest.bytes.trim_ascii()),
    }
}

/// How far the run is, and how to end it.
fn whole(model: &Model, now: Duration, columns: usize) -> Line {
    let (over, bad) = model.ended_counts();
    let time = duration(now);
    if model.is_cancelling {
        let running = model.running().count();
        return Line::ours()
            .with(Style::Wary, "cancelling")
            .with(Style::Dim, &format!(" · {running} still stopping · {time}"));
    }
    let all = model.steps.len();
    let failed = match bad {
        0 => String::new(),
        bad => format!(" · {bad} failed"),
    };
    // From the most to the least that can be said; the last one is cut if it must be.
    let all_ways = [
        (
            format!("{over} of {all} done · {time}"),
            " · Ctrl-C cancels",
        ),
        (format!("{over} of {all} done · {time}"), ""),
        (format!("{over}/{all} · {time}"), ""),
    ];
    let lines = all_ways.map(|(done, hint)| {
        Line::ours()
            .with(Style::Dim, &done)
            .with(Style::Bad, &failed)
            .with(Style::Dim, hint)
    });
    let [.., shortest] = &lines;
    let fitting = lines.iter().find(|line| line.columns() <= columns);
    fitting.unwrap_or(shortest).clone()
}
