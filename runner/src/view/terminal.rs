//! The view for a terminal: what is over scrolls away above, what runs is painted again and again below.
//!
//! Only the painted part ever moves the cursor, and only up by the rows it took itself. Where the window
//! became narrower those rows are more than they were: terminals break long lines anew (xterm alone does
//! not, and loses a few finished lines there, all of which the summary repeats). While something is
//! written, wrapping is off and the cursor is hidden; both are undone in the same write, so a view that is
//! killed leaves nothing behind.

mod frame;

use std::fmt::Write as _;
use std::time::Duration;

use self::frame::live;
pub use self::frame::{Size, frame};
use super::event::{Event, Outcome};
use super::model::Model;
use super::story;
use super::text::{BAR_COLUMNS, Line, Style, cut, expand_tabs, fold, harmless, width};

/// Hide the cursor and stop wrapping (DECTCEM, DECAWM): a line of an unforeseen width is then cut.
const BEGIN: &str = "\u{1b}[?25l\u{1b}[?7l";

/// Undo [`BEGIN`].
const END: &str = "\u{1b}[?7h\u{1b}[?25h";

/// Empty the cursor's row. Before the text, for behind a full row it would take the last character.
const CLEAR_ROW: &str = "\u{1b}[2K";

/// Empty everything below the cursor.
const CLEAR_BELOW: &str = "\u{1b}[J";

/// Before the name of a step that is started by hand.
const QUESTION_SIGN: &str = "? ";

/// Behind it. Everything but a yes leaves the step out.
const QUESTION: &str = "  Run it? [y/N] ";

/// A run shown on a terminal.
#[derive(Debug)]
pub struct Terminal {
    model: Model,
    is_coloured: bool,
    /// The lines that are painted now, without colour: how many rows each takes depends on the width that
    /// the window has when they are replaced.
    painted: Vec<String>,
    /// What is painted now, to not paint it again.
    frame: String,
    /// What became over while a question is open.
    held: String,
    is_held: bool,
}

impl Terminal {
    /// Nothing has happened yet.
    pub fn new(is_coloured: bool) -> Self {
        Self {
            model: Model::default(),
            is_coloured,
            painted: Vec::new(),
            frame: String::new(),
            held: String::new(),
            is_held: false,
        }
    }

    /// Takes an event and returns what to write. A log is only remembered; the next tick shows it.
    pub fn apply(&mut self, at: Duration, event: &Event, size: Size) -> String {
        self.model.apply(at, event);
        let mut over = self.over(event, size);
        match event {
            Event::Log { .. } | Event::Artifact { .. } => return String::new(),
            Event::Asked { index } => return self.ask(*index, over, size),
            _ => {}
        }
        if self.is_held {
            self.held.push_str(&over);
            if self.model.asked.is_some() {
                return String::new();
            }
            self.is_held = false;
            over = std::mem::take(&mut self.held);
        }
        self.paint(at, &over, size)
    }

    /// Paints what runs, if it looks different from before. Nothing moves while a question is open.
    pub fn tick(&mut self, now: Duration, size: Size) -> String {
        if self.is_held {
            return String::new();
        }
        self.paint(now, "", size)
    }

    /// Takes away what is painted.
    pub fn close(&mut self, size: Size) -> String {
        let held = std::mem::take(&mut self.held);
        self.is_held = false;
        self.write(&held, "", size)
    }

    /// What an event leaves above for good.
    fn over(&mut self, event: &Event, size: Size) -> String {
        let columns = usize::from(size.columns);
        let lines = match event {
            Event::Began { .. } => story::opening(&self.model, Some(columns)),
            Event::StepEnded { index, .. } => {
                let log = self.model.take_fold(*index);
                let Some(step) = self.model.steps.get(index) else {
                    return String::new();
                };
                let mut lines = vec![story::ending(step, Some(columns))];
                if step.outcome().is_some_and(Outcome::is_bad) {
                    lines.extend(story::failure(step, &log, columns));
                }
                lines
            }
            Event::Ended { .. } => story::summary(&self.model, Some(columns)),
            _ => Vec::new(),
        };
        self.rows(&lines, size)
    }

    fn rows(&self, lines: &[Line], size: Size) -> String {
        let mut rows = String::new();
        for line in lines {
            rows.push_str(CLEAR_ROW);
            rows.push_str(&line.render(Some(usize::from(size.columns)), self.is_coloured));
            rows.push_str("\r\n");
        }
        rows
    }

    /// Puts the question where the painting was, and leaves the cursor behind it.
    fn ask(&mut self, index: u16, over: String, size: Size) -> String {
        let Some(step) = self.model.steps.get(&index) else {
            return over;
        };
        let fixed = BAR_COLUMNS + width(QUESTION_SIGN) + width(QUESTION);
        let room = usize::from(size.columns).saturating_sub(fixed);
        let name = expand_tabs(&harmless(&step.name));
        let line = Line::ours()
            .with(Style::Wary, QUESTION_SIGN)
            .with(Style::Strong, &cut(&name, room))
            .with(Style::Plain, QUESTION);
        let line = line.render(Some(usize::from(size.columns)), self.is_coloured);
        let mut text = self.write(&over, "", size);
        self.is_held = true;
        text.push_str(&line);
        text
    }

    fn paint(&mut self, now: Duration, over: &str, size: Size) -> String {
        let lines = live(&self.model, now, size);
        let frame = self.rows(&lines, size);
        if over.is_empty() && frame == self.frame {
            return String::new();
        }
        let text = self.write(over, &frame, size);
        let columns = Some(usize::from(size.columns));
        self.painted = lines
            .iter()
            .map(|line| line.render(columns, false))
            .collect();
        self.frame = frame;
        text
    }

    /// Replaces what is painted.
    fn write(&mut self, over: &str, frame: &str, size: Size) -> String {
        let painted = std::mem::take(&mut self.painted);
        self.frame.clear();
        if painted.is_empty() && over.is_empty() && frame.is_empty() {
            return String::new();
        }
        let columns = usize::from(size.columns).max(1);
        let rows: usize = painted.iter().map(|line| fold(line, columns).len()).sum();
        let mut text = String::from(BEGIN);
        text.push('\r');
        if rows > 0 {
            // Writing to a String cannot fail.
            _ = write!(text, "\u{1b}[{rows}A");
        }
        text.push_str(over);
        text.push_str(frame);
        text.push_str(CLEAR_BELOW);
        text.push_str(END);
        text
    }
}
