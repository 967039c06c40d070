//! Which variables a shell script reads and sets, and which programs it starts, as far as that can be told without a shell.
//!
//! From the text of a script to [`Word`]s, in the order of the text. Not a shell's parser: quotes, substitutions, comments
//! and here-documents are followed, what a function or a branch does is not. One pass, no recursion; any text at all is
//! read to its end, and no more than a bounded stack is kept.

mod expansion;

pub(super) use expansion::expansions;
use expansion::{Expansion, WORD_BYTES_MAX, identifier};

/// Substitutions and quotes inside each other. A person writes three; deeper ones are read as if they were not there.
const DEPTH_MAX: usize = 64;

/// Here-documents that begin on one line.
const HERE_DOCUMENTS_MAX: usize = 8;

/// What a script does with names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word<'t> {
    Read {
        name: &'t str,
        /// Line feeds before it.
        lines_before: u32,
        /// `${NAME:-default}`, or another way to do without.
        has_default: bool,
        /// It stands in what is assigned to the same name.
        is_of_itself: bool,
    },
    Set {
        name: String,
    },
    Runs {
        program: String,
        lines_before: u32,
    },
    /// `source`, `.` or `eval`: what it sets cannot be seen.
    Includes,
}

impl Word<'_> {
    fn at_line(mut self, line: u32) -> Self {
        if let Self::Read { lines_before, .. } | Self::Runs { lines_before, .. } = &mut self {
            *lines_before = line;
        }
        self
    }
}

/// Tells what a script does.
pub(super) fn scan<'t>(text: &'t str, tell: &mut dyn FnMut(Word<'t>)) {
    let mut scanner = Scanner {
        text,
        at: 0,
        line: 0,
        here: Vec::new(),
        last_word: Vec::new(),
        frames: vec![Frame::new(Kind::Plain { end: None })],
        tell,
    };
    while let Some(byte) = scanner.peek(0) {
        scanner.take(byte);
    }
    while !scanner.frames.is_empty() {
        scanner.end_command();
        scanner.frames.pop();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Commands, up to a closing parenthesis or backtick.
    Plain { end: Option<u8> },
    /// A text with expansions, up to this quote.
    Quoted { end: u8 },
}

/// What the next word of a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// An assignment, a keyword or a program.
    Command,
    Argument,
    /// `export` and its kin: `NAME=value`.
    Declaration,
    /// `read` and its kin: names.
    Names,
    /// `for`: one name.
    Loop,
    /// `printf -v`: one name, behind that option.
    Printed,
}

#[derive(Debug)]
struct Frame {
    kind: Kind,
    due: Due,
    is_in_word: bool,
    word: Vec<u8>,
    /// `NAME=` began this word.
    assigned: Option<String>,
    /// Set for good only if no program follows: `NAME=value program` sets it for the program.
    pending: Vec<String>,
}

impl Frame {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            due: Due::Command,
            is_in_word: false,
            word: Vec::new(),
            assigned: None,
            pending: Vec::new(),
        }
    }
}

/// A here-document whose text begins behind the next line feed.
struct Here<'t> {
    end: &'t str,
    is_literal: bool,
}

struct Scanner<'t, 'f> {
    text: &'t str,
    at: usize,
    line: u32,
    here: Vec<Here<'t>>,
    /// The word before this one, for quotes whose text another shell will read.
    last_word: Vec<u8>,
    /// Never empty while there is text.
    frames: Vec<Frame>,
    tell: &'f mut dyn FnMut(Word<'t>),
}

impl Scanner<'_, '_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn frame(&mut self) -> &mut Frame {
        if self.frames.is_empty() {
            self.frames.push(Frame::new(Kind::Plain { end: None }));
        }
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    fn push(&mut self, kind: Kind) {
        if self.frames.len() < DEPTH_MAX {
            self.frames.push(Frame::new(kind));
        }
    }

    /// Reads at least the byte that stands here.
    fn take(&mut self, byte: u8) {
        let kind = self.frame().kind;
        match (kind, byte) {
            (_, b'\\') => {
                // Before a line feed it joins two lines, and is no part of a word.
                let is_joint = self.peek(1) == Some(b'\n');
                self.line += u32::from(is_joint);
                self.at += 2;
                self.frame().is_in_word |= !is_joint;
            }
            (_, b'$') => self.dollar(),
            (Kind::Quoted { end }, byte) if byte == end => {
                self.at += 1;
                self.frames.pop();
            }
            (Kind::Plain { end: Some(end) }, byte) if byte == end => {
                self.at += 1;
                self.end_command();
                self.frames.pop();
            }
            (_, b'\n') => self.line_feed(kind),
            (_, b'`') => {
                self.at += 1;
                self.frame().is_in_word = true;
                self.push(Kind::Plain { end: Some(b'`') });
            }
            (Kind::Quoted { .. }, _) => self.at += 1,
            (Kind::Plain { .. }, byte) => self.take_plain(byte),
        }
    }

    fn take_plain(&mut self, byte: u8) {
        match byte {
            b'\'' => self.single_quote(),
            b'"' => {
                self.at += 1;
                self.frame().is_in_word = true;
                self.push(Kind::Quoted { end: b'"' });
            }
            b'#' if !self.frame().is_in_word => {
                let rest = &self.text[self.at..];
                self.at += rest.find('\n').unwrap_or(rest.len());
            }
            b' ' | b'\t' | b'\r' | b'>' => {
                self.at += 1;
                self.end_word();
            }
            b'<' => self.less_than(),
            b';' | b'&' | b'|' | b')' => {
                self.at += 1;
                self.end_command();
            }
            b'(' => {
                self.at += 1;
                let is_array = self.frame().assigned.is_some();
                if !is_array {
                    self.end_command();
                }
                self.push(Kind::Plain { end: Some(b')') });
                if is_array {
                    self.frame().due = Due::Argument;
                }
            }
            byte => {
                self.at += 1;
                self.letter(byte);
            }
        }
    }

    fn letter(&mut self, byte: u8) {
        let frame = self.frame();
        frame.is_in_word = true;
        let may_assign = matches!(frame.due, Due::Command | Due::Declaration);
        if byte == b'=' && may_assign && frame.assigned.is_none() {
            let word = std::str::from_utf8(&frame.word).unwrap_or_default();
            let name = identifier(word);
            let is_name = match &word[name.len()..] {
                "" | "+" => true,
                index => index.starts_with('[') && index.ends_with(']'),
            };
            if is_name && !name.is_empty() {
                frame.assigned = Some(name.to_owned());
            }
        }
        if frame.word.len() <= WORD_BYTES_MAX {
            frame.word.push(byte);
        }
    }

    fn dollar(&mut self) {
        self.frame().is_in_word = true;
        if let Some(found) = Expansion::at(self.text, self.at) {
            // The nearest assignment around: `A="$(echo "$A")"` reads A of itself.
            let assigned = self
                .frames
                .iter()
                .rev()
                .find_map(|frame| frame.assigned.as_deref());
            let word = found.word(self.line, assigned);
            (self.tell)(word);
            if found.sets {
                self.set(found.name.to_owned());
            }
            self.at += found.bytes;
            return;
        }
        match self.peek(1) {
            Some(b'(') => {
                self.at += 2;
                self.push(Kind::Plain { end: Some(b')') });
            }
            Some(b'\'') if matches!(self.frame().kind, Kind::Plain { .. }) => {
                self.at += 1;
                self.skip_quoted(true);
            }
            // `$$`, `$?`, `$1`.
            Some(byte) if byte.is_ascii_graphic() && !matches!(byte, b'{' | b'"') => self.at += 2,
            _ => self.at += 1,
        }
    }

    /// A literal text, unless it is a script or a template for the program before it.
    fn single_quote(&mut self) {
        self.frame().is_in_word = true;
        let is_for_shell = self.last_word.starts_with(b"-") && self.last_word.ends_with(b"c");
        if is_for_shell || matches!(&*self.last_word, b"eval" | b"envsubst" | b"trap") {
            self.at += 1;
            self.push(Kind::Quoted { end: b'\'' });
        } else {
            self.skip_quoted(false);
        }
    }

    /// To behind the quote that ends the one that stands here.
    fn skip_quoted(&mut self, has_escapes: bool) {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            match byte {
                b'\'' => return,
                b'\n' => self.line += 1,
                b'\\' if has_escapes => self.at += 1,
                _ => {}
            }
        }
    }

    fn less_than(&mut self) {
        self.end_word();
        let rest = &self.text[self.at..];
        let here = rest
            .strip_prefix("<<")
            .filter(|rest| !rest.starts_with('<'));
        let Some(after) = here else {
            self.at += rest.bytes().take_while(|byte| *byte == b'<').count();
            return;
        };
        let word = after
            .strip_prefix('-')
            .unwrap_or(after)
            .trim_start_matches([' ', '\t']);
        let ends = [' ', '\t', '\n', ';', '&', '|', ')', '<', '>'];
        let length = word.find(ends).unwrap_or(word.len());
        let quotes = ['\'', '"', '\\'];
        let end = word[..length].trim_matches(quotes);
        if !end.is_empty() && self.here.len() < HERE_DOCUMENTS_MAX {
            self.here.push(Here {
                end,
                is_literal: word.starts_with(quotes),
            });
        }
        self.at += rest.len() - word.len() + length;
    }

    fn line_feed(&mut self, kind: Kind) {
        self.at += 1;
        self.line += 1;
        if let Kind::Plain { .. } = kind {
            self.end_command();
        }
        for Here { end, is_literal } in std::mem::take(&mut self.here) {
            let body = &self.text[self.at.min(self.text.len())..];
            for line in body.split_inclusive('\n') {
                let number = self.line;
                self.at += line.len();
                self.line += 1;
                if line.trim() == end {
                    break;
                }
                if !is_literal {
                    expansions(line, &mut |word| {
                        (self.tell)(word.at_line(number));
                    });
                }
            }
        }
    }

    fn set(&mut self, name: String) {
        (self.tell)(Word::Set { name });
    }

    fn end_word(&mut self) {
        let line = self.line;
        let frame = self.frame();
        if !frame.is_in_word {
            return;
        }
        frame.is_in_word = false;
        let word = std::mem::take(&mut frame.word);
        let text = String::from_utf8_lossy(&word).into_owned();
        if let Some(name) = frame.assigned.take() {
            if frame.due == Due::Command {
                frame.pending.push(name);
            } else {
                self.set(name);
            }
            return;
        }
        let is_name = !text.is_empty() && identifier(&text) == text;
        let due = frame.due;
        match due {
            Due::Command => self.command(text, line),
            Due::Loop => {
                frame.due = Due::Argument;
                if is_name {
                    self.set(text);
                }
            }
            Due::Names if is_name => self.set(text),
            Due::Printed if self.last_word == b"-v" && is_name => self.set(text),
            Due::Argument | Due::Declaration | Due::Names | Due::Printed => {}
        }
        self.last_word = word;
    }

    fn command(&mut self, word: String, lines_before: u32) {
        let frame = self.frame();
        frame.due = match &*word {
            "if" | "then" | "else" | "elif" | "while" | "until" | "do" | "!" | "{" | "time" => {
                Due::Command
            }
            "for" | "select" => Due::Loop,
            "export" | "declare" | "local" | "readonly" | "typeset" => Due::Declaration,
            "read" | "mapfile" | "readarray" => Due::Names,
            "printf" => Due::Printed,
            _ => Due::Argument,
        };
        if frame.due == Due::Command {
            return;
        }
        frame.pending.clear();
        if matches!(&*word, "source" | "." | "eval") {
            (self.tell)(Word::Includes);
        } else if frame.due == Due::Argument && !word.is_empty() {
            (self.tell)(Word::Runs {
                program: word,
                lines_before,
            });
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        let frame = self.frame();
        frame.due = Due::Command;
        for name in std::mem::take(&mut frame.pending) {
            self.set(name);
        }
        self.last_word.clear();
    }
}

#[cfg(test)]
mod tests;
