//! A diagnostic as a compiler would print it: place, source line, carets, help.
//!
//! The result goes to terminals and logs. Every character of the file that could steer a terminal, or make text look
//! like other text, is shown by its number; a long line is cut around the place. Colour is absent: whoever prints adds it.

use super::{Diagnostic, Severity, Span};

/// Characters of the source line that are shown. Two thirds of a wide terminal; a longer line is cut around the carets.
const LINE_CHARS_MAX: usize = 120;

/// Characters shown before the place when a line is cut, so that its beginning is still recognisable.
const LEAD_CHARS: usize = 40;

impl Diagnostic {
    /// The remark as several lines of text, with a line feed at the end.
    ///
    /// `source` is what was given to [`resolve`](crate::resolve); with other bytes the wrong line is shown, nothing worse.
    /// Control characters and characters that change the direction of text are shown as `\u{…}`.
    pub fn render(&self, source: &[u8], file_name: &str) -> String {
        let Self {
            severity,
            code,
            span,
            message,
            help,
        } = self;
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let number = span.line.to_string();
        let margin = " ".repeat(number.len());
        let place = format!("{}:{}:{}", shown(file_name), span.line, span.column);
        let mut lines = vec![
            format!("{severity}[{code}]: {}", shown(message)),
            format!("{margin}--> {place}"),
        ];
        if let Some(line) = source_line(source, span.line) {
            let (line, carets) = excerpt(&line, *span);
            lines.push(format!("{margin} |"));
            lines.push(format!("{number} | {line}"));
            lines.push(format!("{margin} | {carets}"));
        }
        if let Some(help) = help {
            lines.push(format!("{margin} = help: {}", shown(help)));
        }
        lines.join("\n") + "\n"
    }
}

/// The line of that number, without its end. YAML ends lines at a line feed, a carriage return, or both.
fn source_line(source: &[u8], number: u32) -> Option<String> {
    let mut current = 1;
    let mut start = 0;
    let mut position = 0;
    while position < source.len() && current < number {
        let length = match &source[position..] {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => 0,
        };
        position += length.max(1);
        if length > 0 {
            current += 1;
            start = position;
        }
    }
    if current != number {
        return None;
    }
    let rest = &source[start..];
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'\r' | b'\n'))
        .unwrap_or(rest.len());
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

/// The shown part of a line, and carets under the place. A place that is the blank before a line's text means the line.
fn excerpt(line: &str, span: Span) -> (String, String) {
    let mut column = usize::try_from(span.column)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    let length = line.chars().count();
    let means_line = span == Span::at_line(span.line) && line.starts_with(' ');
    if means_line {
        column = length - line.trim_start_matches(' ').len();
    }
    let end = if means_line || span.end_line > span.line {
        length
    } else {
        usize::try_from(span.end_column)
            .unwrap_or(usize::MAX)
            .saturating_sub(1)
    };
    let skipped = if length > LINE_CHARS_MAX {
        column.min(length).saturating_sub(LEAD_CHARS)
    } else {
        0
    };

    let mut shown_line = String::new();
    let mut blanks = 0;
    let mut carets = 0;
    if skipped > 0 {
        shown_line.push('…');
        blanks += 1;
    }
    for (index, character) in line.chars().enumerate().skip(skipped).take(LINE_CHARS_MAX) {
        let start = shown_line.len();
        show(character, &mut shown_line);
        let width = shown_line[start..].chars().count();
        if index < column {
            blanks += width;
        } else if index < end {
            carets += width;
        }
    }
    if length > skipped + LINE_CHARS_MAX {
        shown_line.push('…');
    }
    (shown_line, " ".repeat(blanks) + &"^".repeat(carets.max(1)))
}

fn shown(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    text.chars()
        .for_each(|character| show(character, &mut result));
    result
}

fn show(character: char, into: &mut String) {
    match character {
        // One blank keeps the carets in place whatever the terminal's tab stops are.
        '\t' => into.push(' '),
        // Marks of direction (Unicode TR 36): they make a terminal show text in another order than it runs.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}'
        // Line separators and a byte-order mark, which some terminals obey and others hide.
        | '\u{2028}' | '\u{2029}' | '\u{feff}' => into.extend(character.escape_unicode()),
        character if character.is_control() => into.extend(character.escape_unicode()),
        character => into.push(character),
    }
}
