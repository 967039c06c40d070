//! Which keys of the table a file uses, and where.
//!
//! Follows the forms of the table from the file's own mapping down. What stands behind an alias is looked at once.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::Span;
use crate::read::keys::{self, Form, Key};
use crate::tree::{Map, Node, Value};

/// The keys by where they stand.
pub(super) type Uses = BTreeMap<Span, &'static Key>;

/// All keys that are in the table.
pub(super) fn of_file(file: &Map) -> Uses {
    let mut walk = Walk::default();
    walk.map(file, "file");
    walk.uses
}

#[derive(Default)]
struct Walk {
    uses: Uses,
    /// Nodes with the place that they were looked at for: one behind an alias is met again and again.
    seen: BTreeSet<(*const Node, &'static str)>,
}

impl Walk {
    fn map(&mut self, map: &Map, place: &str) {
        for entry in &map.entries {
            if let Some(key) = keys::find(place, &entry.key) {
                self.uses.insert(entry.key_span, key);
                self.value(&entry.value, &key.form);
            }
        }
    }

    fn value(&mut self, node: &Node, form: &Form) {
        match form {
            Form::Place(place) => {
                if let Some(map) = node.as_map()
                    && self.seen.insert((std::ptr::from_ref(node), *place))
                {
                    self.map(map, place);
                }
            }
            Form::Read(form) => self.value(node, form),
            Form::List { of, .. } | Form::Set(of) => self.items(node, of),
            Form::Map { of, .. } => {
                for entry in node.as_map().map(|map| &map.entries).into_iter().flatten() {
                    self.value(&entry.value, of);
                }
            }
            Form::OneOf(forms) => {
                if let Some(form) = forms.iter().find(|form| is_meant(node, form)) {
                    self.value(node, form);
                }
            }
            Form::Pipeline | Form::CustomPipeline | Form::Steps => match node.value {
                Value::Map(_) => self.value(node, &Form::Place("pipeline")),
                Value::List(_) | Value::Scalar(_) => self.items(node, &Form::Place("item")),
            },
            _ => {}
        }
    }

    fn items(&mut self, node: &Node, of: &Form) {
        for item in node.as_list().unwrap_or_default() {
            self.value(item, of);
        }
    }
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
