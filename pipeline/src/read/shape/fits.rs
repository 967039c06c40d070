//! Whether a value has the form that the table asks for. The one truth about what refuses a file; `explain` finds the words.
//!
//! Pure, and exact: what the public schema of the language accepts fits, what it refuses does not, for every key that this
//! schema knows.

use std::collections::BTreeSet;

use super::super::keys::{self, Form, Place, Variant};
use super::super::values;
use crate::tree::{Map, Node, Number, Value};

/// Whether the value has the form. Time in proportion to the value, times the depth of nested alternatives.
pub(in super::super) fn fits(node: &Node, form: &Form) -> bool {
    match form {
        // Readers answer for these.
        Form::Any | Form::Read(_) | Form::Pipeline | Form::CustomPipeline | Form::Steps => true,
        Form::Text => node.as_string().is_some(),
        Form::TextOf {
            chars_min,
            chars_max,
        } => node
            .as_string()
            .is_some_and(|text| (*chars_min..=*chars_max).contains(&text.chars().count())),
        Form::Line => node
            .as_string()
            .is_some_and(|text| !text.is_empty() && !text.contains(['\r', '\n'])),
        Form::Spelling => node.as_text().is_some(),
        Form::Size => node
            .as_text()
            .is_some_and(|text| values::size_bytes(text).is_ok()),
        Form::Time => node
            .as_text()
            .is_some_and(|text| values::time_secs(text).is_ok()),
        Form::Import => node.as_string().is_some_and(is_import),
        Form::Choice(choices) => node.as_string().is_some_and(|text| choices.contains(&text)),
        Form::Bool => node.as_bool().is_some(),
        Form::Whole { min } => {
            matches!(node.as_number(), Some(Number::Whole(whole)) if whole >= *min)
        }
        Form::List { of, min, max } => node.as_list().is_some_and(|items| {
            (*min..=*max).contains(&items.len()) && items.iter().all(|item| fits(item, of))
        }),
        Form::Set(of) => node.as_list().is_some_and(|items| {
            let mut seen = BTreeSet::new();
            items
                .iter()
                .all(|item| fits(item, of) && seen.insert(item.as_text()))
        }),
        Form::Map { of, min, max } => node.as_map().is_some_and(|map| {
            (*min..=*max).contains(&map.entries.len())
                && map.entries.iter().all(|entry| fits(&entry.value, of))
        }),
        Form::Place(name) => node
            .as_map()
            .is_some_and(|map| fits_place(map, keys::place(name), name)),
        Form::OneOf(forms) => forms.iter().filter(|form| fits(node, form)).count() == 1,
    }
}

fn fits_place(map: &Map, place: &Place, name: &str) -> bool {
    let has = |key: &&&str| map.get(key).is_some();
    place.required.iter().filter(has).count() == place.required.len()
        && map.entries.len() <= place.keys_max
        && map
            .entries
            .iter()
            .all(|entry| match keys::find(name, &entry.key) {
                Some(key) => {
                    is_left_to_variants(place, &entry.key) || fits(&entry.value, &key.form)
                }
                None => !place.is_closed,
            })
        && (place.variants.is_empty() || holding(map, place, name).count() == 1)
}

/// The keys of a variant are looked at where the variant is tried. In `storage.aws` the schema looks at them always.
fn is_left_to_variants(place: &Place, key: &str) -> bool {
    place.name != "storage.aws"
        && place
            .variants
            .iter()
            .any(|variant| variant.with.contains(&key))
}

/// The variants that a mapping satisfies.
pub(super) fn holding<'p>(
    map: &'p Map,
    place: &'p Place,
    name: &'p str,
) -> impl Iterator<Item = &'p Variant> {
    place.variants.iter().filter(move |variant| {
        let holds = |key: &&str| match (map.get(key), keys::find(name, key)) {
            (Some(entry), Some(key)) => fits(&entry.value, &key.form),
            _ => false,
        };
        variant.with.iter().all(holds) && variant.without.iter().all(|key| map.get(key).is_none())
    })
}

/// `REPOSITORY:REF:PIPELINE`, or `PIPELINE@SOURCE`; a text that is both is neither.
fn is_import(text: &str) -> bool {
    let is_pair = |separator: char, parts: usize| {
        let mut count = 0;
        text.split(separator).all(|part| {
            count += 1;
            !part.is_empty()
        }) && count == parts
    };
    is_pair(':', 3) != is_pair('@', 2)
}

/// Whether two things are of one kind, so that one may have been meant to be the other.
pub(super) fn is_of_kind(node: &Node, form: &Form) -> bool {
    match form {
        Form::List { of, .. } => match &node.value {
            Value::List(items) => items.first().is_none_or(|first| is_of_kind(first, of)),
            Value::Scalar(_) | Value::Map(_) => false,
        },
        Form::Set(_) | Form::Steps => node.as_list().is_some(),
        Form::Place(_) | Form::Map { .. } => node.as_map().is_some(),
        Form::OneOf(forms) => forms.iter().any(|form| is_of_kind(node, form)),
        Form::Read(form) => is_of_kind(node, form),
        Form::Pipeline | Form::CustomPipeline => {
            matches!(node.value, Value::List(_) | Value::Map(_))
        }
        Form::Any => true,
        Form::Bool => node.as_bool().is_some(),
        Form::Whole { .. } => node.as_number().is_some(),
        Form::Text
        | Form::TextOf { .. }
        | Form::Line
        | Form::Spelling
        | Form::Size
        | Form::Time
        | Form::Import
        | Form::Choice(_) => matches!(&node.value, Value::Scalar(_)),
    }
}
