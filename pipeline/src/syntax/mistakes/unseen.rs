//! Characters that look like a blank or like nothing, and that YAML takes for letters.
//!
//! They come with text that was copied from a page or a chat, in front of a dash or behind a colon, and whoever looks at the
//! line sees nothing wrong with it. From the file's text to a warning. What they do to the file is not known here.

use crate::diagnostic::{Report, Span};

/// Warns of the first such character that stands where the structure of the file is decided.
pub(in crate::syntax) fn unseen(source: &str, report: &mut Report) {
    if source.is_ascii() {
        return;
    }
    for (number, line) in (1..).zip(source.lines()) {
        let Some((column, character)) = place_in(line) else {
            continue;
        };
        // A byte order mark belongs at the beginning of a file.
        if (number, column, character) == (1, 1, '\u{feff}') {
            continue;
        }
        let span = Span {
            line: number,
            column,
            end_line: number,
            end_column: column.saturating_add(1),
        };
        let (like, taken_for) = if is_break(character) {
            ("nothing", "the end of a line by some readers of YAML")
        } else if is_blank(character) {
            ("a blank", "a letter by YAML")
        } else {
            ("nothing", "a letter by YAML")
        };
        let message = format!(
            "the character {} stands here; it looks like {like} and is taken for {taken_for}",
            character.escape_unicode()
        );
        report
            .warning("unseen-character", span, message)
            .help("delete it, and write a blank if one belongs there");
        return;
    }
}

/// The column of the first one in a line.
fn place_in(line: &str) -> Option<(u32, char)> {
    let mut is_leading = true;
    let mut before = None;
    for (column, character) in (1..).zip(line.chars()) {
        let decides = is_leading || before == Some(':');
        if is_break(character) || (decides && (is_blank(character) || is_nothing(character))) {
            return Some((column, character));
        }
        is_leading &= matches!(character, ' ' | '\t' | '-');
        before = Some(character);
    }
    None
}

fn is_blank(character: char) -> bool {
    character.is_whitespace() && !character.is_ascii() && !is_break(character)
}

fn is_nothing(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'
    )
}

/// Line breaks of YAML 1.1 that YAML 1.2 takes for text. <https://yaml.org/spec/1.2.2/#54-line-break-characters>
fn is_break(character: char) -> bool {
    matches!(character, '\u{85}' | '\u{2028}' | '\u{2029}')
}
