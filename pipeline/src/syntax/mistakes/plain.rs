//! Texts without quotes that YAML reads otherwise than they look: an item that became part of the item above, a mark that
//! became no part of the text.

use std::ops::Range;

use super::{columns, indent_of};
use crate::diagnostic::{Report, Span, quote};

/// Warns of a line that begins with a dash and is part of a text, because it is indented deeper than the line above.
///
/// `range` are the bytes of a text without quotes, and `line` is where it begins.
pub(in crate::syntax) fn item_in_text(
    source: &str,
    range: Range<usize>,
    line: u32,
    report: &mut Report,
) {
    let Some(text) = source.get(range.clone()) else {
        return;
    };
    let is_item = |line: &str| line == "-" || line.starts_with("- ");
    let later = (line.saturating_add(1)..).zip(text.lines().skip(1));
    let mut items = later.filter(|(_, text)| is_item(text.trim()));
    let Some((number, item)) = items.next() else {
        return;
    };
    let before = &source[..range.start];
    let first = &before[before.rfind(['\n', '\r']).map_or(0, |at| at + 1)..];
    let column = columns(indent_of(item)).saturating_add(1);
    let span = Span {
        line: number,
        column,
        end_line: number,
        end_column: column.saturating_add(1),
    };
    let help = if is_item(first.trim()) {
        let due = columns(indent_of(first)).saturating_add(1);
        format!("begin it in column {due}, as the item above, if it is an item of its own")
    } else {
        "put a list below its key, and nothing behind the colon".to_owned()
    };
    let message = format!(
        "this line is read as a part of the text that begins in line {line}: {}",
        quote(
            text.split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .as_str()
        )
    );
    report.warning("item-in-text", span, message).help(help);
}

/// Warns of a lone `!` at the beginning of a value: a script that negates a command loses it.
pub(in crate::syntax) fn lost_mark(span: Span, report: &mut Report) {
    let message = "YAML takes the `!` before this value for a mark, and not for a part of it";
    report
        .warning("lost-mark", span, message)
        .help("put the whole value into quotes, the `!` included");
}
