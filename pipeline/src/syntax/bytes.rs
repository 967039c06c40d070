//! The file as text: size, encoding, and marks that no pipeline file can hold.
//!
//! Runs before the parser, so that the parser never sees a file that is too large, nor a character at which it and a
//! person would disagree about where the file ends.

use crate::diagnostic::{Report, Span};

use super::FILE_BYTES_MAX;

/// The file as text, if it can be given to the parser.
pub(super) fn checked_text<'a>(source: &'a [u8], report: &mut Report) -> Option<&'a str> {
    if source.len() > FILE_BYTES_MAX {
        let message = format!(
            "the file has {} bytes; a pipeline file may have {FILE_BYTES_MAX}",
            source.len()
        );
        report
            .error("file-too-large", Span::at_line(1), message)
            .help("move long scripts into files of the repository, and call those");
        return None;
    }
    let text = match str::from_utf8(source) {
        Ok(text) => text,
        Err(error) => {
            let before = String::from_utf8_lossy(&source[..error.valid_up_to()]);
            let help = if source.starts_with(&[0xff, 0xfe]) || source.starts_with(&[0xfe, 0xff]) {
                "the file seems to be UTF-16; save it as UTF-8"
            } else {
                "save the file as UTF-8"
            };
            report
                .error("not-utf8", end_of(&before), "this byte is not UTF-8")
                .help(help);
            return None;
        }
    };
    // YAML 1.2, section 5.1, leaves these out. A parser may take a NUL for the end of the file.
    let forbidden = |character: char| {
        character.is_control() && !matches!(character, '\t' | '\n' | '\r' | '\u{85}')
    };
    if let Some((position, character)) = text.char_indices().find(|&(_, c)| forbidden(c)) {
        let message = format!(
            "a control character ({}) stands here",
            character.escape_unicode()
        );
        report
            .error("control-character", end_of(&text[..position]), message)
            .help("remove it, or write it as an escape inside double quotes");
        return None;
    }
    has_no_conflict_marks(text, report).then_some(text)
}

/// Marks of an unfinished merge at the beginning of a line. Both must be there, because a block of text may hold either.
fn has_no_conflict_marks(text: &str, report: &mut Report) -> bool {
    let mark_at = |mark: &str| {
        (1..)
            .zip(text.lines())
            .find(|(_, line)| line.starts_with(mark))
    };
    let (Some((line, text)), Some(_)) = (mark_at("<<<<<<< "), mark_at(">>>>>>> ")) else {
        return true;
    };
    let width = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    let span = Span {
        end_column: width.saturating_add(1),
        ..Span::at_line(line)
    };
    report
        .error(
            "merge-conflict",
            span,
            "an unfinished merge left its marks in the file",
        )
        .help("choose one side and delete the lines with `<<<<<<<`, `=======` and `>>>>>>>`");
    false
}

/// The place behind a text.
fn end_of(text: &str) -> Span {
    let mut line = 1_u32;
    let mut column = 1_u32;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_break = match character {
            '\n' => true,
            '\r' => characters.peek() != Some(&'\n'),
            _ => false,
        };
        if is_break {
            line = line.saturating_add(1);
            column = 1;
        } else {
            column = column.saturating_add(1);
        }
    }
    Span {
        line,
        column,
        end_line: line,
        end_column: column.saturating_add(1),
    }
}
