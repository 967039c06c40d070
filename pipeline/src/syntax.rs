//! Bytes → a tree, or a report of why not. The first station of a file.
//!
//! `bytes` looks at the file as text, `build` turns a parser's events into the tree, `mistakes` explains what the parser
//! could not read. Every bound on the shape of a file is enforced here, so that the stations behind may walk the tree
//! without counting. What the keys mean is not known here.

mod build;
mod bytes;
mod mistakes;

use std::rc::Rc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, options};

use crate::diagnostic::{Report, Span};
use crate::tree::Node;
use build::Builder;

/// Largest file. Among real files the largest has 21 kB; a forge's own limit is about this.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Levels of nesting, aliases included. The deepest place of the language is below 20, and every station may recurse this far
/// on a small stack.
const DEPTH_MAX: usize = 48;

/// Scalars, lists, mappings and aliases as written. A real file of 21 kB has about 2,000; each costs up to 150 bytes of memory, and
/// a parser that meets this many of them has taken the better part of 100 ms.
const NODES_MAX: usize = 50_000;

/// Size of the file with every alias written out. Aliases make real files two or three times larger; every station's
/// time and the size of a plan grow with this number, whatever the file does with anchors.
const EXPANDED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Reads the one document of a file. `None` means that the report has an error.
pub(crate) fn read(source: &[u8], report: &mut Report) -> Option<Rc<Node>> {
    let text = bytes::checked_text(source, report)?;
    let options = options! {
        emit_unresolved_aliases: true,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut builder = Builder::new(text, report);
    let mut documents = 0;
    let mut quoted = Vec::new();
    mistakes::unseen(text, builder.report());
    let has_tab = text.contains('\t');
    for next in Parser::new_from_str_with_options(text, options) {
        match next {
            Ok((Event::DocumentStart(..), span)) => {
                documents += 1;
                if documents > 1 {
                    mistakes::second_document(builder.report(), start_of(span.start));
                    return None;
                }
            }
            Ok((event, span)) => {
                if let (Event::Scalar(_, style, ..), Some(range)) = (&event, span.byte_range()) {
                    let lines = span.start.line()..span.end.line();
                    if !matches!(style, ScalarStyle::Plain) {
                        quoted.extend(has_tab.then_some(range));
                    } else if !lines.is_empty() {
                        let line = start_of(span.start).line;
                        mistakes::item_in_text(text, range, line, builder.report());
                    }
                }
                builder.take(event, span_of(span))?;
            }
            Err(error) => {
                mistakes::unreadable(&error, text, builder.report());
                return None;
            }
        }
    }
    if has_tab {
        mistakes::stray_tab(text, &quoted, builder.report());
    }
    builder.finish()
}

fn span_of(span: granit_parser::Span) -> Span {
    let start = start_of(span.start);
    let end = start_of(span.end);
    Span {
        end_line: end.line,
        end_column: end.column,
        ..start
    }
}

/// The parser counts lines from 1 and columns from 0.
fn start_of(mark: Marker) -> Span {
    let line = u32::try_from(mark.line()).unwrap_or(u32::MAX);
    let column = u32::try_from(mark.col())
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    Span {
        line,
        column,
        end_line: line,
        end_column: column.saturating_add(1),
    }
}
