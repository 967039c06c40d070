//! Why a file cannot be read as YAML, in the words of a person who writes pipelines.
//!
//! The parser says which rule of YAML was broken; the line says which habit broke it. Only the mistakes that people make
//! in real pipeline files have an explanation of their own.

mod indentation;
mod plain;
mod rules;
mod unseen;

use std::ops::Range;

use granit_parser::{ErrorKind, ScanError};

use super::{DEPTH_MAX, start_of};
use crate::diagnostic::{Report, Severity, Span, quote};
use indentation::{Slip, colon_of};
pub(super) use plain::{item_in_text, lost_mark};
pub(super) use unseen::unseen;

pub(super) fn second_document(report: &mut Report, span: Span) {
    report
        .error(
            "several-documents",
            span,
            "a second YAML document begins here",
        )
        .help("a pipeline file is one document; remove this `---`");
}

pub(super) fn unknown_tag(span: Span, report: &mut Report) {
    report
        .error(
            "unknown-tag",
            span,
            "a word after `!` names a type of YAML, and this one is not known here",
        )
        .help("put the value into quotes if it begins with `!`");
}

pub(super) fn too_deep(span: Span, report: &mut Report) {
    let message = format!("the file is nested more than {DEPTH_MAX} levels deep here");
    report.error("too-deep", span, message);
}

pub(super) fn unknown_anchor(name: &str, span: Span, source: &str, report: &mut Report) {
    // Finding the line takes time in proportion to the file, and a file may have thousands of such aliases.
    let line = if report.is_full(Severity::Error) {
        ""
    } else {
        line_at(source, span.line)
    };
    if is_unquoted_glob(line) {
        unquoted_glob(line, span, report);
    } else {
        let message = format!(
            "no anchor {} stands above this alias",
            quote(&format!("&{name}"))
        );
        report
            .error("unknown-anchor", span, message)
            .help("`*` at the beginning of a value names an anchor; a text that begins with `*` needs quotes");
    }
}

/// What stopped the parser.
pub(super) fn unreadable(error: &ScanError, source: &str, report: &mut Report) {
    // The rest of a pattern without quotes breaks other rules of YAML too; its cause is told.
    if report.has_errors() {
        return;
    }
    let span = start_of(*error.marker());
    let (line, span) = broken_line(source, span);
    let indent = indent_of(line);
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => too_deep(span, report),
        _ if is_unquoted_glob(line) => unquoted_glob(line, span, report),
        // Which rule a tab breaks depends on what stands around it; one in the indentation is to blame for any.
        _ if indent.contains('\t') => {
            let before = indent.find('\t').unwrap_or_default();
            let column = u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1);
            let end_column = column.saturating_add(1);
            tab(
                Span {
                    column,
                    end_line: span.line,
                    end_column,
                    ..span
                },
                report,
            );
        }
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart => tab(span, report),
        _ if let Some(rest) = rules::stuck_dash(line) => {
            report
                .error(
                    "dash-without-blank",
                    span,
                    "this dash begins no item of a list",
                )
                .help(format!(
                    "put a blank behind it: {}",
                    quote(&format!("- {rest}"))
                ));
        }
        _ if let Some(bracket) = rules::closed_before(line, span.column) => {
            let message =
                format!("the value of this line ends at `{bracket}`, and more stands behind it");
            report
                .error("syntax", span, message)
                .help("put the whole value into single quotes if the brackets are a part of it");
        }
        kind if let Some(slip) = Slip::find(kind, source, span) => slip.tell(report),
        ErrorKind::MappingValueNotAllowed if is_first_colon(line, span.column) => {
            let message = "no key can stand here, because the text above goes on into this line";
            report.error("syntax", span, message).help(
                "write a colon behind the text above if it is a key, or `#` before it if it is a remark",
            );
        }
        ErrorKind::MappingValueNotAllowed => {
            report
                .error("syntax", span, "a second `: ` on this line cannot be read")
                .help("put the whole value into single quotes if it holds `: `");
        }
        kind => {
            let remark = report.error("syntax", span, format!("this is not YAML: {kind}"));
            if let Some(help) = rules::help(kind, line) {
                remark.help(help);
            }
        }
    }
}

/// A tab outside of quotes, blocks and comments: this reader takes it for a blank, as YAML says, and others do not.
/// `quoted` are the bytes of the scalars that may hold one, in the order of the file.
pub(super) fn stray_tab(source: &str, quoted: &[Range<usize>], report: &mut Report) {
    let mut quoted = quoted.iter().peekable();
    let mut line_start = 0;
    for (index, line) in (1..).zip(source.split_inclusive('\n')) {
        let mut before = ' ';
        for (column, (at, character)) in (1..).zip(line.char_indices()) {
            let place = line_start + at;
            while quoted.next_if(|range| range.end <= place).is_some() {}
            let is_quoted = quoted.peek().is_some_and(|range| range.contains(&place));
            if !is_quoted && character == '#' && before.is_whitespace() {
                break;
            }
            if !is_quoted && character == '\t' {
                let span = Span {
                    line: index,
                    column,
                    end_line: index,
                    end_column: column + 1,
                };
                report
                    .warning(
                        "tab",
                        span,
                        "a tab stands here as white space, and many readers of YAML refuse it",
                    )
                    .help("replace it by blanks, or put the text around it into quotes");
                return;
            }
            before = character;
        }
        line_start += line.len();
    }
}

fn tab(span: Span, report: &mut Report) {
    report
        .error(
            "tab",
            span,
            "YAML is indented with blanks, and this is a tab",
        )
        .help("replace each tab by blanks");
}

/// A key such as `**:` or `*-fix:`, which YAML reads as an alias.
fn is_unquoted_glob(line: &str) -> bool {
    let content = line.trim();
    content.starts_with('*') && (content.ends_with(':') || content.contains(": "))
}

fn unquoted_glob(line: &str, span: Span, report: &mut Report) {
    let content = line.trim();
    let pattern = content.split(": ").next().unwrap_or(content);
    let pattern = pattern.strip_suffix(':').unwrap_or(pattern).trim_end();
    report
        .error(
            "unquoted-glob",
            span,
            "a pattern that begins with `*` needs quotes",
        )
        .help(format!(
            "without them YAML reads an alias; write {}",
            quote(&format!("'{pattern}':"))
        ));
}

/// The line that is to blame: the parser often notices only at the next one that something is missing.
fn broken_line(source: &str, span: Span) -> (&str, Span) {
    let line = line_at(source, span.line);
    let above = span.line.saturating_sub(1);
    if !is_unquoted_glob(line) && above > 0 && is_unquoted_glob(line_at(source, above)) {
        let line = line_at(source, above);
        let indent = columns(indent_of(line));
        let column = indent.saturating_add(1);
        return (
            line,
            Span {
                line: above,
                column,
                end_line: above,
                end_column: column + 1,
            },
        );
    }
    (line, span)
}

fn is_first_colon(line: &str, column: u32) -> bool {
    colon_of(line).is_some_and(|at| columns(&line[..at]) + 1 == column)
}

fn line_at(source: &str, line: u32) -> &str {
    let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    source.lines().nth(index).unwrap_or_default()
}

fn indent_of(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

fn columns(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX - 1)
}
