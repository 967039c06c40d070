//! The view for a file or a pipe: every line as it comes, behind its step's name, and nothing twice.
//!
//! A step's bytes appear unchanged but for what a terminal would obey, which appears by its number, and for colours,
//! which go where there is no colour. A line that is not whole waits for its end or its step's.

use std::collections::BTreeMap;
use std::time::Duration;

use cofferdam_protocol::Origin;

use super::event::{Event, Outcome};
use super::model::{Model, Splitter};
use super::story;
use super::text::{Line, Style, Whose, cut, expand_tabs, harmless, padded, width};

/// Longest line that is written whole. A minified file on one line is cut, a stack trace is not; a hundred
/// steps that never end a line stay at 20 MiB.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Columns up to which names are padded so that the logs of several steps stand below each other.
const NAME_COLUMNS_MAX: usize = 24;

/// A run shown line after line.
#[derive(Debug)]
pub struct Plain {
    model: Model,
    is_coloured: bool,
    /// Lines that are not whole, by step and origin.
    open: BTreeMap<(u16, Origin), Splitter>,
    name_columns: usize,
}

impl Plain {
    /// Nothing has happened yet.
    pub fn new(is_coloured: bool) -> Self {
        Self {
            model: Model::default(),
            is_coloured,
            open: BTreeMap::new(),
            name_columns: 0,
        }
    }

    /// Takes an event and returns the lines to write.
    pub fn apply(&mut self, at: Duration, event: &Event) -> String {
        let mut text = String::new();
        match event {
            Event::Log {
                index,
                origin,
                bytes,
            } => {
                self.log(*index, *origin, bytes, &mut text);
                return text;
            }
            Event::StepEnded { index, .. } => self.flush(Some(*index), &mut text),
            Event::Ended { .. } => self.flush(None, &mut text),
            _ => {}
        }
        self.model.apply(at, event);
        for line in self.lines(event) {
            self.put(&line, &mut text);
        }
        text
    }

    /// The lines that are not whole: nothing follows.
    pub fn close(&mut self) -> String {
        let mut text = String::new();
        self.flush(None, &mut text);
        text
    }

    /// What an event says that is not a log.
    fn lines(&mut self, event: &Event) -> Vec<Line> {
        let said = |index: &u16, words: &str| self.said(*index, words);
        match event {
            Event::Began { .. } => {
                let names = self
                    .model
                    .steps
                    .values()
                    .map(|step| width(&shown(&step.name)));
                self.name_columns = names.max().unwrap_or_default().min(NAME_COLUMNS_MAX);
                story::opening(&self.model, None)
            }
            Event::StepStarted { index } => {
                let what = self
                    .model
                    .steps
                    .get(index)
                    .map(|step| step.row.what.as_str());
                vec![said(
                    index,
                    &format!("starts ({})", what.unwrap_or("unknown")),
                )]
            }
            Event::Waiting { index, why } => vec![said(index, &format!("waits: {why}"))],
            Event::Asked { index } => vec![said(index, "is started by hand. Run it? [y/N]")],
            Event::Artifact { index, path, bytes } => {
                let size = super::text::size(*bytes);
                vec![said(index, &format!("artifact {path} ({size})"))]
            }
            Event::StepEnded { index, .. } => self.ended(*index),
            Event::Cancelling => vec![Line::ours().with(Style::Wary, "cancelling")],
            Event::Ended { .. } => story::summary(&self.model, None),
            Event::Log { .. } => Vec::new(),
        }
    }

    fn ended(&self, index: u16) -> Vec<Line> {
        let Some(step) = self.model.steps.get(&index) else {
            return Vec::new();
        };
        let mut lines = vec![story::ending(step, None)];
        if let (true, Some(path)) = (step.outcome().is_some_and(Outcome::is_bad), &step.log_path) {
            lines.push(Line::ours().with(Style::Dim, &format!("  whole log: {path}")));
        }
        lines
    }

    /// A line of ours about a step.
    fn said(&self, index: u16, words: &str) -> Line {
        self.about(index, Whose::Ours).with(Style::Plain, words)
    }

    /// The beginning of a line about a step.
    fn about(&self, index: u16, whose: Whose) -> Line {
        let name = self.model.steps.get(&index).map(|step| shown(&step.name));
        let name = name.unwrap_or_else(|| format!("step {}", u32::from(index) + 1));
        let name = padded(&cut(&name, self.name_columns), self.name_columns);
        Line::of(whose).with(Style::Dim, &name).with_bar(whose)
    }

    fn log(&mut self, index: u16, origin: Origin, bytes: &[u8], text: &mut String) {
        let key = (index, origin);
        let splitter = self.open.remove(&key);
        let mut splitter = splitter.unwrap_or_else(|| Splitter::new(LINE_BYTES_MAX));
        splitter.take(bytes, &mut |line, _| self.put_log(key, line, text));
        self.open.insert(key, splitter);
    }

    /// Ends the lines of a step, or of all.
    fn flush(&mut self, index: Option<u16>, text: &mut String) {
        let is_flushed = |of: u16| index.is_none_or(|index| index == of);
        let all = std::mem::take(&mut self.open);
        for (key, mut splitter) in all {
            if is_flushed(key.0) {
                splitter.close(&mut |line, _| self.put_log(key, line, text));
            } else {
                self.open.insert(key, splitter);
            }
        }
    }

    fn put_log(&self, (index, origin): (u16, Origin), line: &[u8], text: &mut String) {
        let line = self.about(index, Whose::from(origin)).with_log(line);
        self.put(&line, text);
    }

    fn put(&self, line: &Line, text: &mut String) {
        text.push_str(&line.render(None, self.is_coloured));
        text.push('\n');
    }
}

/// A name as it is shown in front of a log.
fn shown(name: &str) -> String {
    expand_tabs(&harmless(name))
}
