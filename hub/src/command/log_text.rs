//! A log as people read it: whose each line is can be seen, and no byte of a step can imitate it.
//!
//! Every line begins with a mark of ours: [`SYSTEM`] for Cofferdam, [`STEP`] for a step. A step's bytes
//! never end a line without our beginning the next one, its control characters are shown by their number,
//! whether or not a terminal reads, and so are [`SYSTEM`] itself and what looks like it: a terminal wraps a
//! long line to its first column, where it would otherwise look like ours.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cofferdam_protocol::Origin;

use crate::plain_text::{one_line, put};

/// Begins a line of Cofferdam itself.
const SYSTEM: char = '▌';

/// Begins a line of a step.
const STEP: char = '│';

/// Longest name of a step in a heading, in bytes.
const HEADING_BYTES_MAX: usize = 200;

/// Longest note between the lines of a log, in bytes.
const NOTE_BYTES_MAX: usize = 500;

/// Who writes: a step's index and an origin.
type Writer = (u16, Origin);

/// Turns records into lines. Give it all records of a build in order.
#[derive(Debug)]
pub(super) struct LogText {
    names: BTreeMap<u16, String>,
    /// Whose line is open.
    open: Option<Writer>,
    /// Whose heading was last.
    headed: Option<(String, u16)>,
    /// What is known of each writer's bytes that are not shown yet.
    writers: BTreeMap<Writer, Pending>,
}

/// The end of what a writer wrote so far, if its meaning depends on what comes next.
#[derive(Debug, Default)]
struct Pending {
    /// The beginning of a character.
    bytes: Vec<u8>,
    /// A carriage return, of which a line feed may make one line end.
    is_after_return: bool,
}

impl LogText {
    /// For a build with these steps.
    pub(super) fn new(names: BTreeMap<u16, String>) -> Self {
        Self {
            names,
            open: None,
            headed: None,
            writers: BTreeMap::new(),
        }
    }

    /// Adds one record.
    pub(super) fn take(&mut self, attempt: &str, writer: Writer, bytes: &[u8], out: &mut Vec<u8>) {
        let mut text = String::new();
        self.head(attempt, writer.0, &mut text);
        let pending = self.writers.entry(writer).or_default();
        let mut all = std::mem::take(&mut pending.bytes);
        let is_after_return = std::mem::take(&mut pending.is_after_return);
        all.extend_from_slice(bytes);
        let (whole, rest) = split_at_character(&all);
        let mut before = if is_after_return { '\r' } else { '\0' };
        for character in String::from_utf8_lossy(whole).chars() {
            match (before, character) {
                // The return ended the line already.
                ('\r', '\n') => {}
                // A return would let what follows overwrite the mark, so it ends the line.
                (_, '\n' | '\r') => {
                    self.begin(writer, &mut text);
                    self.close(&mut text);
                }
                (_, character) => {
                    self.begin(writer, &mut text);
                    show(character, &mut text);
                }
            }
            before = character;
        }
        if let Some(pending) = self.writers.get_mut(&writer) {
            pending.bytes = rest.to_vec();
            pending.is_after_return = before == '\r';
        }
        out.extend_from_slice(text.as_bytes());
    }

    /// Adds a line of Cofferdam's own that is no part of the log.
    pub(super) fn note(&mut self, sentence: &str, out: &mut Vec<u8>) {
        let mut text = String::new();
        self.close(&mut text);
        let sentence = one_line(sentence, NOTE_BYTES_MAX);
        // Writing to a String cannot fail.
        _ = writeln!(text, "{SYSTEM} {sentence}");
        out.extend_from_slice(text.as_bytes());
    }

    /// Ends what is open. Nothing follows.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        let mut text = String::new();
        for (writer, pending) in std::mem::take(&mut self.writers) {
            if !pending.bytes.is_empty() {
                self.begin(writer, &mut text);
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.close(&mut text);
        out.extend_from_slice(text.as_bytes());
    }

    /// Says which step begins, when it is another one or another try.
    fn head(&mut self, attempt: &str, step: u16, text: &mut String) {
        let here = (attempt.to_owned(), step);
        if self.headed.as_ref() == Some(&here) {
            return;
        }
        let is_retry = self
            .headed
            .as_ref()
            .is_some_and(|(_, before)| *before == step);
        self.close(text);
        let name = self
            .names
            .get(&step)
            .map(String::as_str)
            .unwrap_or_default();
        let name = one_line(name, HEADING_BYTES_MAX);
        let again = if is_retry { ", again" } else { "" };
        let number = u32::from(step) + 1;
        // Writing to a String cannot fail.
        _ = writeln!(text, "{SYSTEM} step {number}{again}: {name}");
        self.headed = Some(here);
    }

    /// Begins a line of the writer, unless its line is open.
    fn begin(&mut self, writer: Writer, text: &mut String) {
        if self.open == Some(writer) {
            return;
        }
        self.close(text);
        let (_, origin) = writer;
        text.push(match origin {
            Origin::System => SYSTEM,
            Origin::Stdout | Origin::Stderr => STEP,
        });
        text.push(' ');
        self.open = Some(writer);
    }

    fn close(&mut self, text: &mut String) {
        if self.open.take().is_some() {
            text.push('\n');
        }
    }
}

/// A step's character, or what stands for it. A system line may quote a repository's text, so it goes
/// the same way.
fn show(character: char, text: &mut String) {
    match character {
        '\t' => text.push('\t'),
        other => put(text, other),
    }
}

/// The bytes up to the last whole character, and the beginning of the next one.
fn split_at_character(bytes: &[u8]) -> (&[u8], &[u8]) {
    // A character has at most four bytes, so at most three can be the beginning of one.
    for length in 1..=bytes.len().min(3) {
        let (whole, rest) = bytes.split_at(bytes.len() - length);
        let is_begun = str::from_utf8(rest)
            .is_err_and(|error| error.error_len().is_none() && error.valid_up_to() == 0);
        if is_begun {
            return (whole, rest);
        }
    }
    (bytes, &[])
}

#[cfg(test)]
mod tests;
