//! What every reader asks of a node: to be a mapping, a list, a text; and to have only keys that are known.
//!
//! The table of keys is applied here.

mod explain;
mod fits;

use std::rc::Rc;

use super::keys::{self, Form, Key, Tier};
use crate::diagnostic::{Report, Severity, Span, quote};
use crate::tree::{Entry, Map, Node};
pub(super) use explain::explain;
pub(super) use fits::fits;

/// What to do about a key with nothing behind it.
pub(super) const NOTHING: &str =
    "write something behind it or indented below it, or remove the key";

/// What to do about something that should be a list.
const DASHES: &str =
    "begin each item with `- ` on a line of its own, or put it between `[` and `]`";

/// The first thing in a step that this version cannot do.
#[derive(Debug, Clone, Default)]
pub(super) struct Lacking(Option<(String, u32)>);

impl Lacking {
    /// Remembers a thing, and warns of it.
    pub(super) fn note(&mut self, what: &str, why: &str, span: Span, report: &mut Report) {
        let message = format!("{what} is not supported: {why}");
        report
            .warning("unsupported", span, message)
            .help("a step that uses it fails when its turn comes, as `unsupported`");
        self.add(what, span.line);
    }

    /// Takes over what an enclosing stage or the whole file lacks. The step's own thing is named first.
    pub(super) fn inherit(&mut self, other: &Self) {
        if let Some((what, line)) = &other.0 {
            self.add(what, *line);
        }
    }

    pub(super) fn first(&self) -> Option<(&str, u32)> {
        self.0.as_ref().map(|(what, line)| (what.as_str(), *line))
    }

    pub(super) fn into_first(self) -> Option<(String, u32)> {
        self.0
    }

    fn add(&mut self, what: &str, line: u32) {
        self.0.get_or_insert_with(|| (what.to_owned(), line));
    }
}

/// Applies the table to the keys of a mapping: their forms, and what this version does with them. What is below a key is
/// held to the table too, unless a reader of its own comes for it.
pub(super) fn keys(map: &Map, place: &str, lacking: &mut Lacking, report: &mut Report) {
    for entry in &map.entries {
        let Some(key) = keys::find(place, &entry.key) else {
            unknown(entry, place, report);
            continue;
        };
        if !fits(&entry.value, &key.form) {
            // A key that only one of several variants knows was looked at together with its mapping.
            if !keys::place(place)
                .variants
                .iter()
                .any(|variant| variant.with.contains(&key.name))
            {
                explain(
                    &entry.value,
                    &key.form,
                    &quote(&entry.key),
                    entry.key_span,
                    report,
                );
            }
            continue;
        }
        remark_on(entry, key, lacking, report);
        below(&entry.value, &key.form, lacking, report);
    }
}

/// Applies the table below a value that has its form.
pub(super) fn below(node: &Node, form: &Form, lacking: &mut Lacking, report: &mut Report) {
    match form {
        Form::Place(name) => {
            if let Some(map) = node.as_map() {
                keys(map, name, lacking, report);
            }
        }
        Form::List { of, .. } => {
            for item in node.as_list().unwrap_or_default() {
                below(item, of, lacking, report);
            }
        }
        Form::Map { of, .. } => {
            for entry in node.as_map().map(|map| &map.entries).into_iter().flatten() {
                below(&entry.value, of, lacking, report);
            }
        }
        Form::OneOf(forms) => {
            if let Some(form) = forms.iter().find(|form| fits(node, form)) {
                below(node, form, lacking, report);
            }
        }
        _ => {}
    }
}

/// What this version does with a key, if its author should know.
fn remark_on(entry: &Entry, key: &Key, lacking: &mut Lacking, report: &mut Report) {
    if matches!(key.tier, Tier::Honoured) || asks_for_default(&entry.value, key.default) {
        return;
    }
    if entry.value.is_null() {
        let message = format!("{} is empty and has no effect", quote(&entry.key));
        report.warning("empty-key", entry.key_span, message);
        return;
    }
    let name = match key.place {
        "file" | "pipeline" | "item" | "stage" | "step" | "wasm" | "pipe" | "agent task" => {
            quote(key.name)
        }
        place => quote(&format!("{place}.{}", key.name)),
    };
    match key.tier {
        Tier::Honoured | Tier::Accepted => {}
        Tier::Warned => {
            let message = format!("{name} has no effect here: {}", key.note);
            report.warning("no-effect", entry.key_span, message);
        }
        Tier::Unsupported => lacking.note(&name, key.note, entry.key_span, report),
        Tier::Refused => {
            let message = format!("{name} cannot stand here: {}", key.note);
            report.error("refused-key", entry.key_span, message);
        }
    }
}

fn asks_for_default(value: &Node, default: &str) -> bool {
    match default {
        "" => false,
        "true" => value.as_bool() == Some(true),
        "false" => value.as_bool() == Some(false),
        default => value.as_text() == Some(default),
    }
}

fn unknown(entry: &Entry, place: &str, report: &mut Report) {
    // Every key here is a place for anchors.
    if place == "definitions" {
        return;
    }
    let severity = if keys::place(place).is_closed {
        Severity::Error
    } else {
        Severity::Warning
    };
    // A file may have thousands of unknown keys; a proposal is looked for only where it will be read.
    let near = if report.is_full(severity) {
        None
    } else {
        keys::nearest(place, &entry.key)
    };
    let message = format!(
        "{} is not a key of {}",
        quote(&entry.key),
        place_name(place)
    );
    let remark = match severity {
        Severity::Error => report.error("unknown-key", entry.key_span, message),
        Severity::Warning => report.warning(
            "unknown-key",
            entry.key_span,
            message + " and has no effect",
        ),
    };
    if let Some(rest) = stuck_dash(&entry.key) {
        remark.help(format!(
            "put a blank behind the dash: {}",
            quote(&format!("- {rest}:"))
        ));
    } else if let Some(help) = elsewhere(place, &entry.key) {
        remark.help(help);
    } else if let Some(near) = near {
        remark.help(format!("did you mean `{near}`?"));
    } else if place == "pipelines" {
        remark.help("the name of a branch goes below `branches:`");
    } else if severity == Severity::Error {
        remark.help(format!("its keys are {}", keys::listed(place)));
    } else if place == "file" {
        remark.help("if it is a store of anchors, `definitions:` is the place for it");
    }
}

/// What stands behind a dash that begins no item, because no blank stands behind it: `-step`.
pub(super) fn stuck_dash(text: &str) -> Option<&str> {
    text.strip_prefix('-')
        .filter(|rest| rest.starts_with(char::is_alphabetic))
}

/// Where a thing stands that other systems have under this name.
fn elsewhere(place: &str, key: &str) -> Option<&'static str> {
    let help = match (place, key) {
        ("service", "environment" | "env") => "did you mean `variables`?",
        ("file", "variables") => {
            "variables are set for the repository, the workspace or a deployment; in a file only a custom pipeline has some"
        }
        ("step", "needs" | "depends-on" | "depends_on") => {
            "steps run in the order of the file, each after all above it; those below `parallel` run at the same time"
        }
        ("step", "env" | "environment-variables" | "variables") => {
            "set it in the script: `export NAME=value`; secrets are set for the repository or a deployment"
        }
        ("stage", "image" | "caches" | "services" | "script" | "size" | "runs-on" | "max-time") => {
            "put it into each step of the stage"
        }
        _ => return None,
    };
    Some(help)
}

fn place_name(place: &str) -> String {
    match place {
        "file" => "a pipeline file".to_owned(),
        "item" => "an item of a pipeline".to_owned(),
        "step" | "stage" | "pipe" | "cache" | "service" | "variable" => format!("a {place}"),
        place => format!("`{place}`"),
    }
}

pub(super) fn map<'n>(node: &'n Node, what: &str, report: &mut Report) -> Option<&'n Map> {
    let map = node.as_map();
    if map.is_none() {
        wrong_kind(node, what, "a mapping", report);
    }
    map
}

pub(super) fn list<'n>(node: &'n Node, what: &str, report: &mut Report) -> Option<&'n [Rc<Node>]> {
    let list = node.as_list();
    if list.is_none() {
        wrong_kind(node, what, "a list", report);
    }
    list
}

/// A text that is not empty. Numbers and booleans count by their spelling.
pub(super) fn text<'n>(node: &'n Node, what: &str, report: &mut Report) -> Option<&'n str> {
    match node.as_text() {
        Some("") => {
            report.error("empty-text", node.span, format!("{what} is an empty text"));
            None
        }
        Some(text) => Some(text),
        None => {
            wrong_kind(node, what, "a text", report);
            None
        }
    }
}

fn wrong_kind(node: &Node, what: &str, due: &str, report: &mut Report) {
    let message = format!("{what} is {due}, and this is {}", node.described());
    let remark = report.error("wrong-kind", node.span, message);
    if node.is_null() {
        remark.help(NOTHING);
    } else if due == "a list" {
        remark.help(DASHES);
    }
}
