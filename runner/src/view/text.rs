//! Text from outside made harmless, its width in columns, and the words for amounts.

mod colour;
mod line;

use std::fmt::Write as _;
use std::time::Duration;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

pub(super) use self::line::{BAR_COLUMNS, Line, Style, Whose};

/// The mark that begins a line of Cofferdam, and that no text from outside may contain.
pub(super) const OURS: char = '▌';

/// The mark that begins a line of a step.
pub(super) const STEPS: char = '│';

/// Most marks in a row that sit upon one character. No script needs as many; without a bound a pile of
/// them would cover the lines above.
const MARKS_MAX: usize = 8;

/// Columns between tab stops, as every terminal has them.
const TAB_COLUMNS: usize = 8;

/// Bytes as text that no terminal obeys, in one line, without their colours. Tabs stay; what is not UTF-8 appears as
/// `\xff`.
pub(super) fn harmless_bytes(bytes: &[u8]) -> String {
    let mut text = Harmless::default();
    for (_, piece) in colour::pieces(bytes) {
        text.put_bytes(piece);
    }
    text.text
}

/// As [`harmless_bytes`], for what is text already.
pub(super) fn harmless(text: &str) -> String {
    let mut harmless = Harmless::default();
    harmless.put(text);
    harmless.text
}

/// Harmless text that grows. Pieces are judged one by one, so that no two halves make a whole; marks are counted over
/// all of them, because they pile up over all of them.
#[derive(Default)]
struct Harmless {
    text: String,
    marks: usize,
}

impl Harmless {
    fn put_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.utf8_chunks() {
            self.put(chunk.valid());
            for byte in chunk.invalid() {
                // Writing to a String cannot fail.
                _ = write!(self.text, "\\x{byte:02x}");
                self.marks = 0;
            }
        }
    }

    fn put(&mut self, text: &str) {
        for character in text.chars() {
            self.marks = match character.width() {
                Some(0) => self.marks + 1,
                _ => 0,
            };
            if character == '\t' || (is_plain(character) && self.marks <= MARKS_MAX) {
                self.text.push(character);
            } else {
                self.text.extend(character.escape_unicode());
            }
        }
    }
}

/// Whether a character only shows itself. Block elements do not: a line of ours begins with one, and where a terminal
/// wraps a long line, the others look like it.
fn is_plain(character: char) -> bool {
    let is_block = matches!(character, '\u{2580}'..='\u{259f}');
    !character.is_control() && !is_block && !steers(character)
}

/// Characters that reorder what a person reads (Unicode UAX #9, "trojan source"), end its line, or hide in
/// it. The joiners U+200C and U+200D stay: Persian and emoji are written with them.
pub(super) fn steers(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Columns that harmless text takes. A tab counts as one and must have been expanded where it matters.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// Replaces tabs by spaces up to the next stop, counted from the text's own beginning.
pub(super) fn expand_tabs(text: &str) -> String {
    expand_tabs_from(&mut 0, text)
}

/// As [`expand_tabs`], for a text that begins in this column; the column behind it takes its place.
fn expand_tabs_from(column: &mut usize, text: &str) -> String {
    let mut expanded = String::with_capacity(text.len());
    for (number, piece) in text.split('\t').enumerate() {
        if number > 0 {
            let spaces = TAB_COLUMNS - *column % TAB_COLUMNS;
            expanded.extend(std::iter::repeat_n(' ', spaces));
            *column += spaces;
        }
        expanded.push_str(piece);
        *column += width(piece);
    }
    expanded
}

/// The beginning of a text that takes at most so many columns; what is cut is marked by `…`.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    let mut kept = text[..fitting_bytes(text, columns - 1)].to_owned();
    kept.push('…');
    kept
}

/// The text filled up with spaces to so many columns.
pub(super) fn padded(text: &str, columns: usize) -> String {
    let spaces = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(spaces))
}

/// The text behind as many spaces as make it so many columns.
pub(super) fn right_aligned(text: &str, columns: usize) -> String {
    let spaces = columns.saturating_sub(width(text));
    format!("{}{text}", " ".repeat(spaces))
}

/// Cuts a text into pieces of at most so many columns each, at any character. Never empty.
pub(super) fn fold(text: &str, columns: usize) -> Vec<&str> {
    pieces(text, columns, |_, most| most)
}

/// As [`fold`], but between words, or behind a slash of a path, where there are some.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<&str> {
    let at_word = |rest: &str, most: usize| {
        let is_between = rest[most..].starts_with(' ');
        let space = rest[..most].rfind([' ', '/']).map(|space| space + 1);
        if is_between {
            most
        } else {
            space.unwrap_or(most)
        }
    };
    let mut wrapped = pieces(text, columns, at_word);
    for piece in &mut wrapped {
        *piece = piece.trim();
    }
    wrapped
}

/// Cuts by `choose(rest, most)`, which returns how many of the `most` bytes that fit are taken.
fn pieces(text: &str, columns: usize, choose: impl Fn(&str, usize) -> usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    loop {
        let most = fitting_bytes(rest, columns);
        if most == rest.len() {
            break;
        }
        let taken = match choose(rest, most) {
            // Not even one character fits: it goes alone, and the line's own cut deals with it.
            0 => rest.graphemes(true).next().map_or(rest.len(), str::len),
            taken => taken,
        };
        let (piece, left) = rest.split_at(taken);
        pieces.push(piece);
        rest = left;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(rest);
    }
    pieces
}

/// How many bytes of the text fit into so many columns, cut between characters as people see them.
fn fitting_bytes(text: &str, columns: usize) -> usize {
    let mut taken = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        taken += width(grapheme);
        if taken > columns {
            return at;
        }
    }
    text.len()
}

/// A duration for people: `0.8 s`, `1 min 05 s`, `2 h 03 min`. Cut, not rounded, so that it only grows.
pub(super) fn duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    match secs {
        0..60 => format!("{secs}.{} s", duration.subsec_millis() / 100),
        60..3600 => format!("{} min {:02} s", secs / 60, secs % 60),
        _ => format!("{} h {:02} min", secs / 3600, secs / 60 % 60),
    }
}

/// A size for people: `12 bytes`, `1.5 KiB`.
pub(crate) fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut unit_bytes = 1024;
    let mut unit = "KiB";
    for larger in ["MiB", "GiB", "TiB"] {
        if bytes / unit_bytes < 1024 {
            break;
        }
        unit_bytes *= 1024;
        unit = larger;
    }
    let tenths = bytes % unit_bytes * 10 / unit_bytes;
    format!("{}.{tenths} {unit}", bytes / unit_bytes)
}

/// A number and its noun: `1 step`, `2 steps`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
