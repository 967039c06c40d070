//! A YAML document as a small tree in which every node knows its place.
//!
//! Made by `syntax`, read by `read`. Aliases are shared, not copied; merge keys are already merged; anchors, tags,
//! comments and styles are gone. A scalar keeps its spelling; what YAML takes a plain one for is found out when somebody
//! asks, by `number`.

mod number;

use std::rc::Rc;

use crate::diagnostic::Span;
pub(crate) use number::Number;

/// A node of the document.
#[derive(Debug)]
pub(crate) struct Node {
    /// A scalar's whole text; of a list or mapping only its beginning.
    pub(crate) span: Span,
    pub(crate) value: Value,
    /// What this node would take in the file with every alias below it written out, in bytes, roughly.
    pub(crate) expanded_bytes: usize,
    /// Levels below this node, aliases included. A scalar has none.
    pub(crate) depth: usize,
}

#[derive(Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Rc<Node>>),
    Map(Map),
}

#[derive(Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Neither quoted nor a block: only such a scalar can be a number, a boolean, or nothing.
    pub(crate) is_plain: bool,
}

impl Scalar {
    /// Whether this is nothing, as YAML's core schema spells it.
    pub(crate) fn is_null(&self) -> bool {
        self.is_plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    fn as_bool(&self) -> Option<bool> {
        match self.text.as_str() {
            "true" | "True" | "TRUE" if self.is_plain => Some(true),
            "false" | "False" | "FALSE" if self.is_plain => Some(false),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<Number> {
        self.is_plain.then(|| number::read(&self.text)).flatten()
    }

    /// Whether YAML takes this for a text: not for nothing, a boolean or a number.
    fn is_string(&self) -> bool {
        !self.is_plain
            || !(self.is_null() || self.as_bool().is_some() || self.as_number().is_some())
    }
}

/// A mapping. No two entries have the same key.
#[derive(Debug, Default)]
pub(crate) struct Map {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Rc<str>,
    pub(crate) key_span: Span,
    pub(crate) value: Rc<Node>,
}

impl Map {
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| &*entry.key == key)
    }
}

impl Node {
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.is_null())
    }

    pub(crate) fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            Value::Scalar(_) | Value::List(_) => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Rc<Node>]> {
        match &self.value {
            Value::List(items) => Some(items),
            Value::Scalar(_) | Value::Map(_) => None,
        }
    }

    /// The spelling of a scalar that is not nothing; a number or boolean by what stands there.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if !scalar.is_null() => Some(&scalar.text),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The text of a scalar that YAML takes for a text.
    pub(crate) fn as_string(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if scalar.is_string() => Some(&scalar.text),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// A boolean of YAML's core schema.
    pub(crate) fn as_bool(&self) -> Option<bool> {
        match &self.value {
            Value::Scalar(scalar) => scalar.as_bool(),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// A number that YAML takes for one, whole or not.
    pub(crate) fn as_number(&self) -> Option<Number> {
        match &self.value {
            Value::Scalar(scalar) => scalar.as_number(),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// A whole number that is not negative, `5` or `5.0`.
    pub(crate) fn as_whole(&self) -> Option<u64> {
        match self.as_number()? {
            Number::Whole(whole) => u64::try_from(whole).ok(),
            Number::Broken => None,
        }
    }

    /// What a person would call this, with its article.
    pub(crate) fn described(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) if scalar.is_null() => "nothing",
            Value::Scalar(scalar) if scalar.as_bool().is_some() => "a boolean",
            Value::Scalar(scalar) if scalar.as_number().is_some() => "a number",
            Value::Scalar(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}
