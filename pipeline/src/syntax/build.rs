//! Events of the parser → the tree.
//!
//! Keeps its own stack, so that a deep file costs memory and not the machine's stack; resolves aliases by sharing; merges
//! merge keys; refuses duplicate keys. Counts nodes, depth and the size with all aliases written out, and stops at the
//! first bound that is passed.

use std::collections::BTreeMap;
use std::rc::Rc;

use granit_parser::{Event, ScalarStyle, Tag};

use super::{DEPTH_MAX, EXPANDED_BYTES_MAX, NODES_MAX, mistakes};
use crate::diagnostic::{Report, Span, quote};
use crate::tree::{Entry, Map, Node, Scalar, Value};

/// What a node costs beside its text: about what `- ` and a line feed take in the file.
const NODE_BYTES: usize = 4;

pub(super) struct Builder<'a> {
    source: &'a str,
    report: &'a mut Report,
    /// The lists and mappings that are not finished, the outermost first.
    open: Vec<Open>,
    /// Finished nodes by the number of their anchor.
    anchors: BTreeMap<usize, Rc<Node>>,
    nodes: usize,
    aliased_bytes: usize,
    root: Option<Rc<Node>>,
    /// An alias names nothing, so that values are missing. What the readers would say of them would lead astray.
    is_torn: bool,
}

/// A list or mapping that has begun.
struct Open {
    span: Span,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Rc<Node>>),
    Map {
        entries: Vec<Entry>,
        merges: Vec<Entry>,
        /// Each with the line where it stands.
        keys: BTreeMap<Rc<str>, u32>,
        next: Next,
    },
}

/// What the next node of a mapping is.
enum Next {
    Key,
    Value {
        key: Rc<str>,
        key_span: Span,
        is_merge: bool,
    },
    /// The key could not be used, and its value is read only to get past it.
    Nothing,
}

impl<'a> Builder<'a> {
    pub(super) fn new(source: &'a str, report: &'a mut Report) -> Self {
        Self {
            source,
            report,
            open: Vec::new(),
            anchors: BTreeMap::new(),
            nodes: 0,
            aliased_bytes: 0,
            root: None,
            is_torn: false,
        }
    }

    pub(super) fn report(&mut self) -> &mut Report {
        self.report
    }

    /// Takes one event. `None` means that a bound was passed, that it was reported, and that no event may follow.
    pub(super) fn take(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = match tag.as_deref() {
                    // A lone `!` says nothing about the type.
                    Some(tag) if tag.original() != "!" => self.is_plain_by(tag, span),
                    Some(_) if matches!(style, ScalarStyle::Plain) => {
                        mistakes::lost_mark(span, self.report);
                        true
                    }
                    _ => matches!(style, ScalarStyle::Plain),
                };
                let is_nothing = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("null"));
                let text = if is_nothing {
                    String::new()
                } else {
                    text.into_owned()
                };
                self.scalar(text, is_plain, anchor, span)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", span);
                self.begin(Open {
                    span,
                    anchor,
                    content: Content::List(Vec::new()),
                })
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", span);
                let content = Content::Map {
                    entries: Vec::new(),
                    merges: Vec::new(),
                    keys: BTreeMap::new(),
                    next: Next::Key,
                };
                self.begin(Open {
                    span,
                    anchor,
                    content,
                })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop()?;
                let anchor = open.anchor;
                let node = self.close(open);
                self.finished(node, anchor)
            }
            Event::Alias(anchor) => {
                self.count_node(span)?;
                self.alias(anchor, span)
            }
            Event::UnresolvedAlias(name) => {
                self.count_node(span)?;
                mistakes::unknown_anchor(&name, span, self.source, self.report);
                self.is_torn = true;
                self.place(Rc::new(nothing(span)), span)
            }
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::Anchor(..) => Some(()),
            // A later version of the parser may know more; a node that is passed over would shift all others.
            _ => {
                self.report
                    .error("syntax", span, "this part of YAML is not known here");
                None
            }
        }
    }

    /// The document's root; an empty document has none, nor has one with aliases that name nothing.
    pub(super) fn finish(self) -> Option<Rc<Node>> {
        self.root.filter(|_| !self.is_torn)
    }

    fn scalar(&mut self, text: String, is_plain: bool, anchor: usize, span: Span) -> Option<()> {
        if text.contains('\0') {
            self.report
                .error("nul", span, "a text of a pipeline file holds no NUL");
        }
        let expanded_bytes = NODE_BYTES + text.len();
        let value = Value::Scalar(Scalar { text, is_plain });
        let node = Node {
            span,
            value,
            expanded_bytes,
            depth: 0,
        };
        self.finished(node, anchor)
    }

    /// Whether a scalar with a tag may be a number, a boolean or nothing.
    fn is_plain_by(&mut self, tag: &Tag, span: Span) -> bool {
        // A point in time has no type in a pipeline file: it is the text that stands there.
        let is_text = ["str", "timestamp"]
            .iter()
            .any(|name| tag.is_yaml_core_schema_tag(name));
        let is_other = ["int", "float", "bool", "null"]
            .iter()
            .any(|name| tag.is_yaml_core_schema_tag(name));
        if !is_text && !is_other {
            mistakes::unknown_tag(span, self.report);
        }
        is_other
    }

    fn check_tag(&mut self, tag: Option<&Tag>, due: &str, span: Span) {
        if tag.is_some_and(|tag| !tag.is_yaml_core_schema_tag(due)) {
            mistakes::unknown_tag(span, self.report);
        }
    }

    fn begin(&mut self, open: Open) -> Option<()> {
        if self.open.len() >= DEPTH_MAX {
            return self.too_deep(open.span);
        }
        self.open.push(open);
        Some(())
    }

    fn finished(&mut self, node: Node, anchor: usize) -> Option<()> {
        let span = node.span;
        self.count_node(span)?;
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.place(node, span)
    }

    fn count_node(&mut self, span: Span) -> Option<()> {
        self.nodes += 1;
        if self.nodes <= NODES_MAX {
            return Some(());
        }
        let message = format!("the file has more than {NODES_MAX} values");
        self.report.error("too-many-values", span, message);
        None
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Option<()> {
        let Some(node) = self.anchors.get(&anchor).map(Rc::clone) else {
            let message = "this alias stands inside the value that it names";
            self.report
                .error("recursive-alias", span, message)
                .help("move the value with the anchor above the place that uses it");
            self.is_torn = true;
            return self.place(Rc::new(nothing(span)), span);
        };
        self.count_aliased(node.expanded_bytes, span)?;
        if self.open.len() + node.depth > DEPTH_MAX {
            return self.too_deep(span);
        }
        self.place(node, span)
    }

    fn count_aliased(&mut self, bytes: usize, span: Span) -> Option<()> {
        self.aliased_bytes = self.aliased_bytes.saturating_add(bytes);
        if self.aliased_bytes <= EXPANDED_BYTES_MAX {
            return Some(());
        }
        let message = format!(
            "with every alias written out the file would have more than {EXPANDED_BYTES_MAX} bytes"
        );
        self.report.error("too-many-aliases", span, message);
        None
    }

    fn too_deep(&mut self, span: Span) -> Option<()> {
        mistakes::too_deep(span, self.report);
        None
    }

    /// Puts a finished node where it belongs. `used_at` is the alias for a node behind one.
    fn place(&mut self, node: Rc<Node>, used_at: Span) -> Option<()> {
        let Some(Open { content, .. }) = self.open.last_mut() else {
            self.root = Some(node);
            return Some(());
        };
        match content {
            Content::List(items) => items.push(node),
            Content::Map {
                entries,
                merges,
                keys,
                next,
            } => {
                match std::mem::replace(next, Next::Key) {
                    Next::Key => *next = key_of(&node, used_at, keys, self.report),
                    Next::Value {
                        key,
                        key_span,
                        is_merge: true,
                    } => {
                        let bytes = node.expanded_bytes;
                        merges.push(Entry {
                            key,
                            key_span,
                            value: node,
                        });
                        // A merged entry is a second use of a value, whether it came by an alias or not.
                        return self.count_aliased(bytes, used_at);
                    }
                    Next::Value {
                        key,
                        key_span,
                        is_merge: false,
                    } => {
                        entries.push(Entry {
                            key,
                            key_span,
                            value: node,
                        });
                    }
                    Next::Nothing => {}
                }
            }
        }
        Some(())
    }

    fn close(&mut self, open: Open) -> Node {
        let Open {
            span,
            anchor: _,
            content,
        } = open;
        // A collection's own span runs to the next token, often lines below; its beginning says where it is.
        let span = Span {
            end_line: span.line,
            end_column: span.column.saturating_add(1),
            ..span
        };
        let value = match content {
            Content::List(items) => Value::List(items),
            Content::Map {
                mut entries,
                merges,
                mut keys,
                next: _,
            } => {
                for merge in merges {
                    merge_into(&mut entries, &mut keys, &merge, self.report);
                }
                Value::Map(Map { entries })
            }
        };
        let (mut expanded_bytes, mut depth) = (NODE_BYTES, 0);
        let mut count = |child: &Node, extra: usize| {
            expanded_bytes = expanded_bytes
                .saturating_add(child.expanded_bytes)
                .saturating_add(extra);
            depth = depth.max(child.depth);
        };
        match &value {
            Value::Scalar(_) => {}
            Value::List(items) => items.iter().for_each(|item| count(item, 0)),
            Value::Map(map) => {
                map.entries
                    .iter()
                    .for_each(|entry| count(&entry.value, entry.key.len()));
            }
        }
        Node {
            span,
            value,
            expanded_bytes,
            depth: depth + 1,
        }
    }
}

fn nothing(span: Span) -> Node {
    let value = Value::Scalar(Scalar {
        text: String::new(),
        is_plain: true,
    });
    Node {
        span,
        value,
        expanded_bytes: NODE_BYTES,
        depth: 0,
    }
}

/// What a node says as a key of a mapping that already has `keys`.
fn key_of(node: &Node, span: Span, keys: &mut BTreeMap<Rc<str>, u32>, report: &mut Report) -> Next {
    let Value::Scalar(Scalar { text, is_plain }) = &node.value else {
        report
            .error(
            "key-not-text",
            span,
            "a key is a text, not a list or a mapping",
        )
        .help("put it into quotes if its brackets are a part of the text; a template must be filled in first");
        return Next::Nothing;
    };
    let key: Rc<str> = Rc::from(text.as_str());
    if let Some(&first) = keys.get(&key) {
        let remark = report.error(
            "duplicate-key",
            span,
            format!("{} stands a second time in the same mapping", quote(text)),
        );
        if text == "<<" {
            remark.help("merge several mappings with one list: `<<: [*first, *second]`");
        } else {
            remark.help(format!(
                "the first is in line {first}; remove one of the two, because a reader could obey either"
            ));
        }
        return Next::Nothing;
    }
    keys.insert(Rc::clone(&key), span.line);
    let is_merge = *is_plain && text == "<<";
    Next::Value {
        key,
        key_span: span,
        is_merge,
    }
}

/// Adds the entries of a merge key: the mapping's own keys win, then the earlier mapping of a list.
/// <https://yaml.org/type/merge.html>
fn merge_into(
    entries: &mut Vec<Entry>,
    keys: &mut BTreeMap<Rc<str>, u32>,
    merge: &Entry,
    report: &mut Report,
) {
    let sources = match &merge.value.value {
        Value::List(items) => items.as_slice(),
        Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(&merge.value),
    };
    for source in sources {
        let Some(map) = source.as_map() else {
            let message = format!("`<<` merges mappings, and this is {}", source.described());
            report
                .error("merge-not-mapping", merge.key_span, message)
                .help("name a mapping that has an anchor: `<<: *name`");
            continue;
        };
        for entry in &map.entries {
            if !keys.contains_key(&entry.key) {
                keys.insert(Rc::clone(&entry.key), entry.key_span.line);
                entries.push(entry.clone());
            }
        }
    }
}
