//! Lines that begin in a wrong column: which one it is, and where it should begin.
//!
//! From the line where the parser stopped, and all above it, to a remark that names the column. Nothing here decides
//! whether a file is refused; the parser did.

use granit_parser::ErrorKind;

use super::{columns, indent_of, is_first_colon, line_at};
use crate::diagnostic::{Report, Span, quote};
use crate::syntax::DEPTH_MAX;

/// A line that begins in a column where nothing begins that it could belong to.
pub(super) struct Slip<'a> {
    /// Where it begins.
    line: u32,
    column: u32,
    /// The line above that it most likely belongs beside.
    beside: Opening<'a>,
    /// The line above that it is indented below, although that one has its value already.
    below: Option<Opening<'a>>,
}

impl<'a> Slip<'a> {
    /// Looks at the line where the parser stopped, and at all above it. `None` if its indentation is not to blame.
    pub(super) fn find(kind: &ErrorKind, source: &'a str, stopped: Span) -> Option<Self> {
        let is_of_structure = matches!(
            kind,
            ErrorKind::MappingValueNotAllowed
                | ErrorKind::ExpectedBlockMappingKey
                | ErrorKind::ExpectedBlockSequenceEntry
                | ErrorKind::ExpectedDocumentStart
                | ErrorKind::SimpleKeyExpected
                | ErrorKind::InvalidIndentation
        );
        let line = line_at(source, stopped.line);
        let is_second_colon =
            *kind == ErrorKind::MappingValueNotAllowed && !is_first_colon(line, stopped.column);
        if !is_of_structure || is_second_colon {
            return None;
        }
        let column = columns(indent_of(line)) + 1;
        let own = openings_of(line, stopped.line);
        let (mut fitting, text_below) = Opening::all_above(source, stopped.line);
        let (wanted, label) = match own.first() {
            Some(own) if text_below.is_none_or(|above| column <= above) => (own.form, own.label),
            _ => (Form::Text, line.trim()),
        };
        let last = *fitting.last()?;
        fitting.retain(|open| open.form == wanted);
        if fitting.iter().any(|open| open.column == column) {
            return None;
        }
        // Of two that are as near, the one with the same words, else the one that was written later.
        let beside = fitting
            .into_iter()
            .rev()
            .min_by_key(|open| (open.column.abs_diff(column), open.label != label))?;
        Some(Self {
            line: stopped.line,
            column,
            beside,
            below: (last.has_value && column > last.column).then_some(last),
        })
    }

    /// Tells it to the author of the file.
    pub(super) fn tell(&self, report: &mut Report) {
        let Self {
            line,
            column,
            beside,
            below,
        } = self;
        let message = match below {
            Some(above) => format!(
                "this line is indented deeper than {} on line {}, which has its value already",
                quote(above.label),
                above.line
            ),
            None => format!(
                "this line begins in column {column}, and nothing that it could belong to does"
            ),
        };
        let help = match below {
            Some(above) if beside.form == Form::Dash && above.form == Form::Key => {
                "a list stands either beside its key or below it, not both".to_owned()
            }
            _ => format!(
                "begin it in column {}, as {} on line {}",
                beside.column,
                quote(beside.label),
                beside.line
            ),
        };
        let span = Span {
            line: *line,
            column: *column,
            end_line: *line,
            end_column: column.saturating_add(1),
        };
        report.error("indentation", span, message).help(help);
    }
}

/// Something that begins in a column, and that a later line may go on with.
#[derive(Clone, Copy)]
struct Opening<'a> {
    line: u32,
    column: u32,
    form: Form,
    /// What stands there, as people would call it.
    label: &'a str,
    /// Whether nothing may stand below it any more.
    has_value: bool,
    /// Whether the lines below it are a text, whatever they look like.
    has_text: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// An item of a list.
    Dash,
    /// A key of a mapping.
    Key,
    /// The first line of a text below `|` or `>`.
    Text,
}

impl<'a> Opening<'a> {
    /// What is open above a line, outermost first, and the column that the line must exceed to belong to a text right
    /// above it. This is no reader of YAML: it knows the lines that people write in pipeline files, and of others a hint
    /// gets worse. It takes time in proportion to the file.
    fn all_above(source: &'a str, line: u32) -> (Vec<Self>, Option<u32>) {
        let mut open: Vec<Self> = Vec::new();
        // What is indented deeper than this column is a text, whatever it looks like.
        let mut text_below = None;
        for (number, text) in (1..line).zip(source.lines()) {
            let content = text.trim();
            let column = columns(indent_of(text)) + 1;
            if text_below.is_some_and(|above| column > above) {
                if !content.is_empty() && open.last().is_some_and(|last| last.form != Form::Text) {
                    open.push(Self {
                        line: number,
                        column,
                        form: Form::Text,
                        label: content,
                        has_value: true,
                        has_text: false,
                    });
                }
                continue;
            }
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let own = openings_of(text, number);
            let Some(first) = own.first() else { continue };
            // A list may stand in the column of its key; the next key there ends the list.
            while open
                .pop_if(|last| {
                    last.column > column
                        || (last.column == column
                            && !(last.form == Form::Key && first.form == Form::Dash))
                })
                .is_some()
            {}
            text_below = own
                .last()
                .filter(|last| last.has_text)
                .map(|last| last.column);
            open.extend(own);
        }
        (open, text_below)
    }
}

/// What a line opens: the dashes in front, and a key.
fn openings_of(line: &str, number: u32) -> Vec<Opening<'_>> {
    let mut found = Vec::new();
    let mut at = indent_of(line).len();
    // The parser reads no more levels either.
    while found.len() < DEPTH_MAX {
        let content = line[at..].trim_end();
        let opening = |form, label, value: &str| Opening {
            line: number,
            column: columns(&line[..at]) + 1,
            form,
            label,
            has_value: !value.is_empty() && !value.starts_with(['&', '!', '#', '|', '>']),
            has_text: value.starts_with(['|', '>']),
        };
        let dash = content
            .strip_prefix('-')
            .filter(|rest| rest.is_empty() || rest.starts_with(' '));
        if let Some(rest) = dash {
            let value = rest.trim_start();
            let is_nested = value.starts_with("- ") || colon_of(value).is_some();
            found.push(opening(
                Form::Dash,
                content,
                if is_nested { "" } else { value },
            ));
            at += content.len() - value.len();
            if is_nested {
                continue;
            }
        } else if let Some(colon) = colon_of(content) {
            let value = content[colon + 1..].trim_start();
            found.push(opening(Form::Key, &content[..colon], value));
        }
        break;
    }
    found
}

/// Where the key of a line ends, if it has one.
pub(super) fn colon_of(line: &str) -> Option<usize> {
    line.find(": ")
        .or_else(|| line.trim_end().strip_suffix(':').map(str::len))
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::Report;
    use crate::syntax::read;

    /// Where a file is wrong, and what its author is told.
    fn check(source: &str) -> String {
        let mut report = Report::default();
        assert!(read(source.as_bytes(), &mut report).is_none(), "{source}");
        let found = report.into_diagnostics();
        let [only] = found.as_slice() else {
            panic!("{source}: {found:?}");
        };
        let (line, column) = (only.span.line, only.span.column);
        let help = only.help.as_deref().unwrap_or_default();
        format!("{line}:{column} {}: {help}", only.code)
    }

    const STEP: &str = "pipelines:\n  default:\n    - step:\n        name: Test\n";

    #[test]
    fn a_wrongly_indented_line_is_named_with_the_column_where_it_belongs() {
        let beside =
            |column, what, line| format!("begin it in column {column}, as `{what}` on line {line}");
        for (rest, place, help) in [
            // Too shallow, too deep, and below a key that has its value.
            (
                "       script:\n          - a\n",
                "5:8",
                beside(9, "name", 4),
            ),
            (
                "          script:\n            - a\n",
                "5:11",
                beside(9, "name", 4),
            ),
            (
                "         image: x\n        script: [a]\n",
                "5:10",
                beside(9, "name", 4),
            ),
            (
                "        script:\n          - a\n         - b\n",
                "7:10",
                beside(11, "- a", 6),
            ),
            (
                "        script:\n          - a\n            b: c\n",
                "7:13",
                beside(9, "script", 5),
            ),
            (
                "        script:\n          - a\n   branches:\n    main: []\n",
                "7:4",
                beside(3, "default", 2),
            ),
            (
                "        script:\n        - a\n      - step:\n",
                "7:7",
                beside(5, "- step:", 3),
            ),
            (
                "        script:\n          - |\n            a: b\n           c: d\n",
                "8:12",
                beside(13, "a: b", 7),
            ),
            (
                "        # image: y\n\n       image: x\n",
                "7:8",
                beside(9, "name", 4),
            ),
            (
                "        caches: [node]\n          - more\n",
                "6:11",
                "a list stands either beside its key or below it, not both".to_owned(),
            ),
        ] {
            let source = format!("{STEP}{rest}");
            assert_eq!(
                check(&source),
                format!("{place} indentation: {help}"),
                "{source}"
            );
        }
        assert_eq!(
            check("image: x\n pipelines:\n  default: []\n"),
            "2:2 indentation: begin it in column 1, as `image` on line 1"
        );
    }

    #[test]
    fn a_line_that_is_well_indented_is_told_what_else_is_wrong_with_it() {
        for (rest, expected) in [
            (
                "        script:\n          - a: b: c\n",
                "6:17 syntax: put the whole value into single quotes if it holds `: `",
            ),
            (
                "        image\n        script: [a]\n",
                "5:9 syntax: a key ends with a colon, and an item of a list begins with a dash and a blank",
            ),
        ] {
            assert_eq!(check(&format!("{STEP}{rest}")), expected);
        }
    }
}
