//! The progress view of a local run: what happens, as events, to what a person or a script reads.
//!
//! [`Event`]s come from the local run, each with the time since it began, and go through one [`View`] of
//! three:
//!
//! * [`View::terminal`]: a line per running step that is painted again and again, above it what is over;
//!   a step's log stays folded unless the step fails;
//! * [`View::plain`]: every line as it comes, for a file, a pipe, or by wish;
//! * [`View::json`]: every event as one line of JSON, for a program ([`Json`] lists the fields).
//!
//! Everything here is a function from events, times and sizes to text; only [`show`] waits and writes.
//!
//! A line of Cofferdam begins with `▌` and a line of a step with `│`. What comes from a repository, a step's
//! name included, is shown and never obeyed: control characters, escapes, marks that reorder text, and block
//! elements such as `▌` itself appear by their number, so that no byte of a step can pass for a line of ours,
//! not even where a terminal wraps a line. One thing of a log is understood: the colours of text. Where there
//! is colour, a line has them up to its end; elsewhere they are left out.
//!
//! Absent on purpose: the whole log (the local run keeps it in a file and tells its path), the question of
//! a manual step (asked here, answered elsewhere), signals, the environment, and a clock.

mod commands;
mod event;
mod json;
mod model;
mod plain;
mod show;
mod story;
mod terminal;
mod text;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::commands::Commands;
pub use self::event::{Event, Outcome, Row, RunState};
pub use self::json::Json;
pub use self::model::Model;
pub use self::plain::Plain;
pub use self::show::{Screen, Told, show, size_of};
pub use self::terminal::{Size, Terminal, frame};
pub(crate) use self::text::{count, size};

/// One of the three ways to show a run.
#[derive(Debug)]
pub enum View {
    /// Painted again and again.
    Terminal(Box<Terminal>),
    /// Line after line.
    Plain(Box<Plain>),
    /// For a program.
    Json(Json),
}

impl View {
    /// For a terminal. `is_coloured` is false where the user asked for no colour.
    pub fn terminal(is_coloured: bool) -> Self {
        Self::Terminal(Box::new(Terminal::new(is_coloured)))
    }

    /// For a file or a pipe, and for people who prefer it. Colour is rarely wanted here.
    pub fn plain(is_coloured: bool) -> Self {
        Self::Plain(Box::new(Plain::new(is_coloured)))
    }

    /// For a program.
    pub fn json() -> Self {
        Self::Json(Json)
    }

    /// Takes an event that happened `at` this long after the run began, and returns what to write now.
    pub fn apply(&mut self, at: Duration, event: &Event, size: Size) -> String {
        match self {
            Self::Terminal(terminal) => terminal.apply(at, event, size),
            Self::Plain(plain) => plain.apply(at, event),
            Self::Json(json) => json.apply(at, event),
        }
    }

    /// What to write because time went by or the window changed; empty if nothing changes.
    pub fn tick(&mut self, now: Duration, size: Size) -> String {
        match self {
            Self::Terminal(terminal) => terminal.tick(now, size),
            Self::Plain(_) | Self::Json(_) => String::new(),
        }
    }

    /// What to write when no event follows, whether or not the run ended: begun lines are completed, and a
    /// terminal is left as it was found.
    pub fn close(&mut self, size: Size) -> String {
        match self {
            Self::Terminal(terminal) => terminal.close(size),
            Self::Plain(plain) => plain.close(),
            Self::Json(_) => String::new(),
        }
    }
}
