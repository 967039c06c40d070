//! Which keys of the table a file uses, and where.
//!
//! Follows the forms of the table from the file's own mapping down. What stands behind an alias is looked at once.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::Span;
use crate::read::keys::{self, Form, Key, Tier};
use crate::tree::{Map, Node, Value};

/// The keys by where they stand.
pub(super) type Uses = BTreeMap<Span, Use>;

/// One key at one place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    pub(super) key: &'static Key,
    /// It does what the language says, and so does everything around it.
    pub(super) is_honoured: bool,
}

/// All keys that are in the table.
pub(super) fn of_file(file: &Map) -> Uses {
    let mut walk = Walk::default();
    walk.map(file, "file", true);
    walk.uses
}

#[derive(Default)]
struct Walk {
    uses: Uses,
    /// Nodes with the place that they were looked at for: one behind an alias is met again and again.
    seen: BTreeSet<(*const Node, &'static str)>,
}

impl Walk {
    fn map(&mut self, map: &Map, place: &str, is_honoured: bool) {
        // What belongs to a pipe is as little use as the pipe.
        let mut required = keys::place(place).required.iter();
        let is_honoured =
            is_honoured && required.all(|name| keys::find(place, name).is_none_or(is_done));
        for entry in &map.entries {
            if let Some(key) = keys::find(place, &entry.key) {
                let is_honoured = is_honoured && is_done(key);
                self.uses.insert(entry.key_span, Use { key, is_honoured });
                self.value(&entry.value, &key.form, is_honoured);
            }
        }
    }

    fn value(&mut self, node: &Node, form: &Form, is_honoured: bool) {
        match form {
            Form::Place(place) => {
                if let Some(map) = node.as_map()
                    && self.seen.insert((std::ptr::from_ref(node), *place))
                {
                    self.map(map, place, is_honoured);
                }
            }
            Form::Read(form) => self.value(node, form, is_honoured),
            Form::List { of, .. } | Form::Set(of) => self.items(node, of, is_honoured),
            Form::Map { of, .. } => {
                for entry in node.as_map().map(|map| &map.entries).into_iter().flatten() {
                    self.value(&entry.value, of, is_honoured);
                }
            }
            Form::OneOf(forms) => {
                if let Some(form) = forms.iter().find(|form| is_meant(node, form)) {
                    self.value(node, form, is_honoured);
                }
            }
            Form::Pipeline | Form::CustomPipeline | Form::Steps => match node.value {
                Value::Map(_) => self.value(node, &Form::Place("pipeline"), is_honoured),
                Value::List(_) | Value::Scalar(_) => {
                    self.items(node, &Form::Place("item"), is_honoured);
                }
            },
            _ => {}
        }
    }

    fn items(&mut self, node: &Node, of: &Form, is_honoured: bool) {
        for item in node.as_list().unwrap_or_default() {
            self.value(item, of, is_honoured);
        }
    }
}

fn is_done(key: &Key) -> bool {
    matches!(key.tier, Tier::Honoured | Tier::Accepted)
}

/// Whether this is the alternative that a value of a file without errors was written for.
fn is_meant(node: &Node, form: &Form) -> bool {
    match (form, &node.value) {
        (Form::Read(form), _) => is_meant(node, form),
        (Form::Place(place), Value::Map(map)) => {
            let required = keys::place(place).required;
            required.iter().all(|key| map.get(key).is_some())
        }
        (Form::Map { .. }, Value::Map(_))
        | (Form::List { .. } | Form::Set(_) | Form::Steps, Value::List(_)) => true,
        _ => false,
    }
}
