//! A JSON Schema of `cofferdam.yml`, so that editors complete and check.
//!
//! As strict as the reader where that helps a person who types; what the reader finds out beyond forms (a manual first
//! step, the grammar of a grant) is not in it.

use std::collections::BTreeSet;

use cofferdam_pipeline::{Form, KEYS, Key, PLACES, Place, Tier};
use serde_json::{Map, Value, json};

pub(crate) fn schema() -> Value {
    let mut definitions: Map<String, Value> = places()
        .into_iter()
        .map(|place| (slug(place), mapping(place)))
        .collect();
    definitions.insert("steps".to_owned(), steps());
    definitions.insert(
        "items".to_owned(),
        items(&["step", "parallel", "stage", "final"]),
    );
    definitions.insert(
        "custom-items".to_owned(),
        items(&["variables", "step", "parallel", "stage"]),
    );
    let mut schema = mapping("file");
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("A pipeline file of Cofferdam");
    schema["required"] = json!(["pipelines"]);
    schema["definitions"] = Value::Object(definitions);
    schema
}

/// Every mapping that some form leads to, from the file's own one.
pub(crate) fn places() -> BTreeSet<&'static str> {
    let mut found = BTreeSet::from(["item", "pipeline"]);
    let mut open = vec!["file", "item", "pipeline"];
    while let Some(place) = open.pop() {
        for key in keys(place) {
            named(&key.form, &mut |name| {
                if found.insert(name) {
                    open.push(name);
                }
            });
        }
    }
    found
}

fn named(form: &Form, take: &mut dyn FnMut(&'static str)) {
    match form {
        Form::Place(name) => take(name),
        Form::List { of, .. } | Form::Set(of) | Form::Map { of, .. } | Form::Read(of) => {
            named(of, take);
        }
        Form::OneOf(forms) => forms.iter().for_each(|form| named(form, take)),
        _ => {}
    }
}

fn keys(place: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.place == place)
}

fn slug(place: &str) -> String {
    place.replace([' ', '.'], "-")
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{}", slug(name)) })
}

fn mapping(name: &str) -> Value {
    let properties: Map<String, Value> = keys(name)
        .map(|key| (key.name.to_owned(), described(key)))
        .collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if let Some(place) = PLACES.iter().find(|place| place.name == name) {
        constrain(&mut schema, place);
    }
    if name == "step" {
        schema["anyOf"] = json!([
            { "required": ["script"] },
            { "required": ["wasm"] },
            { "required": ["custom"] },
            { "required": ["type"] },
        ]);
        schema["allOf"] = json!([
            { "not": { "required": ["wasm", "script"] } },
            { "not": { "required": ["wasm", "after-script"] } },
        ]);
    }
    schema
}

fn constrain(schema: &mut Value, place: &Place) {
    if !place.required.is_empty() {
        schema["required"] = json!(place.required);
    }
    if place.is_closed {
        schema["additionalProperties"] = json!(false);
    }
    if place.keys_max < usize::MAX {
        schema["maxProperties"] = json!(place.keys_max);
    }
    let variants: Vec<Value> = place
        .variants
        .iter()
        .map(|variant| {
            let without: Vec<Value> = variant
                .without
                .iter()
                .map(|key| json!({ "required": [key] }))
                .collect();
            if without.is_empty() {
                json!({ "required": variant.with })
            } else {
                json!({ "not": { "anyOf": without } })
            }
        })
        .collect();
    if !variants.is_empty() {
        schema["oneOf"] = json!(variants);
    }
}

/// A key's form, with what an editor shows beside it.
fn described(key: &Key) -> Value {
    let tier = match key.tier {
        Tier::Honoured | Tier::Accepted => "",
        Tier::Warned => " (no effect here)",
        Tier::Unsupported => " (not supported yet)",
        Tier::Refused => " (refused)",
    };
    let text = format!("{}{tier}", key.note);
    let mut schema = form(&key.form);
    // Beside a reference draft 7 ignores every other word.
    if schema.get("$ref").is_some() {
        schema = json!({ "allOf": [schema] });
    }
    schema["description"] = json!(text);
    schema
}

fn form(of: &Form) -> Value {
    match of {
        Form::Any => json!({}),
        Form::Text => json!({ "type": "string" }),
        Form::TextOf {
            chars_min,
            chars_max,
        } => json!({ "type": "string", "minLength": chars_min, "maxLength": chars_max }),
        Form::Line => json!({ "type": "string", "pattern": "^[^\\r\\n]+$" }),
        Form::Spelling => json!({ "type": ["string", "number", "boolean"] }),
        Form::Size => {
            json!({ "type": "string", "pattern": "^[0-9]+ ?([KMGT]i?B|kB|B)$" })
        }
        Form::Time => json!({ "type": "string", "pattern": "^[0-9]+ ?(ms|s|m|h)$" }),
        Form::Import => json!({ "type": "string", "oneOf": [
            { "pattern": "^[^:]+:[^:]+:[^:]+$" },
            { "pattern": "^[^@]+@[^@]+$" },
        ] }),
        Form::Choice(choices) => json!({ "type": "string", "enum": choices }),
        Form::Bool => json!({ "type": "boolean" }),
        Form::Whole { min: i64::MIN } => json!({ "type": "integer" }),
        Form::Whole { min } => json!({ "type": "integer", "minimum": min }),
        Form::List { of, min, max } => {
            let mut schema = json!({ "type": "array", "items": form(of) });
            bounds(&mut schema, ["minItems", "maxItems"], *min, *max);
            schema
        }
        Form::Set(of) => json!({ "type": "array", "items": form(of), "uniqueItems": true }),
        Form::Map { of, min, max } => {
            let mut schema = json!({ "type": "object", "additionalProperties": form(of) });
            bounds(&mut schema, ["minProperties", "maxProperties"], *min, *max);
            schema
        }
        Form::Place(name) => reference(name),
        Form::OneOf(forms) => {
            let forms: Vec<Value> = forms.iter().map(form).collect();
            json!({ "oneOf": forms })
        }
        Form::Read(of) => form(of),
        Form::Pipeline => json!({ "oneOf": [reference("items"), reference("pipeline")] }),
        Form::CustomPipeline => {
            json!({ "oneOf": [reference("custom-items"), reference("pipeline")] })
        }
        Form::Steps => reference("steps"),
    }
}

fn bounds(schema: &mut Value, names: [&str; 2], min: usize, max: usize) {
    if min > 0 {
        schema[names[0]] = json!(min);
    }
    if max < usize::MAX {
        schema[names[1]] = json!(max);
    }
}

fn steps() -> Value {
    json!({ "type": "array", "minItems": 1, "items": one_of_items(&["step"]) })
}

fn items(names: &[&str]) -> Value {
    json!({ "type": "array", "minItems": 1, "items": one_of_items(names) })
}

/// An item with exactly one of these keys.
fn one_of_items(names: &[&str]) -> Value {
    let properties: Map<String, Value> = keys("item")
        .filter(|key| names.contains(&key.name))
        .map(|key| (key.name.to_owned(), described(key)))
        .collect();
    json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
    })
}
