//! What to write instead, for the rules of YAML that people break most.
//!
//! The parser names the rule, in its own words; a rule without an entry here is one that nobody was seen to break.

use granit_parser::ErrorKind;

/// What the author of a line that breaks a rule may do.
pub(super) fn help(kind: &ErrorKind, line: &str) -> Option<&'static str> {
    let content = line.trim_start();
    let help = match kind {
        _ if content.starts_with("```") => {
            "these are marks of Markdown; leave only what stands between them"
        }
        _ if content.contains("{%") || content.contains("{{") => {
            "this looks like a template; fill it in first, or put the value into single quotes"
        }
        ErrorKind::UnclosedQuotedScalar => "end the text with the quote that it begins with",
        ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            "put the whole value into single quotes; inside them each single quote is written twice"
        }
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidUnicodeEscape => {
            "use single quotes, in which a backslash is an ordinary character, or write it twice"
        }
        ErrorKind::UnexpectedCharacter { .. }
        | ErrorKind::PlainScalarStartsWithDashFlowIndicator
        | ErrorKind::MissingAnchorOrAliasName
        | ErrorKind::UndeclaredTagHandle => "put the whole value into single quotes",
        ErrorKind::CommentNotSeparated => {
            "put a blank before the `#`, or the whole value into single quotes"
        }
        ErrorKind::SimpleKeyExpected
        | ErrorKind::InvalidSimpleKey
        | ErrorKind::ExpectedBlockMappingKey => {
            "a key ends with a colon, and an item of a list begins with a dash and a blank"
        }
        ErrorKind::BlockSequenceEntryNotAllowed => {
            "a list stands below its key, one item on each line, and not beside it"
        }
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::MisplacedFlowCollectionEnd
        | ErrorKind::MismatchedFlowCollectionEnd { .. }
        | ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping => {
            "close each `[` and `{`; if they are part of a text, put all of it into single quotes"
        }
        ErrorKind::ExpectedDocumentStart => {
            "if what stands above is a remark, begin each of its lines with `#`"
        }
        ErrorKind::BomInsideDocument => {
            "delete the invisible character here; it belongs at the beginning of a file only"
        }
        ErrorKind::InvalidBlockScalarHeader => {
            "leave the rest of the line behind `|` or `>` empty, and put the text below it"
        }
        _ => return None,
    };
    Some(help)
}

/// The bracket behind which a value goes on, although it ends there for YAML: `[ -f a ] && b`.
pub(super) fn closed_before(line: &str, column: u32) -> Option<char> {
    let value = match line.find(": ") {
        Some(colon) => &line[colon + 1..],
        None => line,
    };
    let value = value.trim_start_matches([' ', '-']);
    let before: String = line
        .chars()
        .take(usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX))
        .collect();
    let last = before.trim_end().chars().next_back()?;
    let is_closed = (value.starts_with('[') && last == ']')
        || (value.starts_with('{') && last == '}' && !value.starts_with("{{"));
    is_closed.then_some(last)
}

/// A line such as `-step:`, whose dash begins no item; what stands behind the dash.
pub(super) fn stuck_dash(line: &str) -> Option<&str> {
    let rest = line.trim().strip_prefix('-')?;
    (rest.starts_with(char::is_alphabetic) && rest.contains(':')).then_some(rest)
}
