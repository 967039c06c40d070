//! Why a value does not have the form that is due, in words that a person can act on.
//!
//! Called for what does not fit, and only then. Says at least one thing; every branch ends in a remark.

use super::super::keys::{self, Form, Place};
use super::fits::{fits, holding, is_of_kind};
use super::{DASHES, NOTHING};
use crate::diagnostic::{Report, Span, quote};
use crate::tree::{Map, Node, Number, Value};

/// Says what is wrong with a value. `what` names it: `` `caches` ``, or `` an item of `caches` ``. `key_span` is where it is
/// pointed at if it is nothing.
pub(in super::super) fn explain(
    node: &Node,
    form: &Form,
    what: &str,
    key_span: Span,
    report: &mut Report,
) {
    let span = if node.is_null() { key_span } else { node.span };
    match form {
        Form::Any | Form::Read(_) | Form::Pipeline | Form::CustomPipeline | Form::Steps => {}
        Form::Text | Form::Spelling | Form::Size | Form::Time => {
            wrong_kind(node, span, what, "a text", report);
        }
        Form::TextOf {
            chars_min,
            chars_max,
        } => match node.as_string() {
            Some(text) if text.chars().count() < *chars_min => {
                report.error("empty-text", span, format!("{what} is an empty text"));
            }
            Some(_) => {
                let message = format!("{what} has at most {chars_max} characters");
                report.error("too-long", span, message);
            }
            None => wrong_kind(node, span, what, "a text", report),
        },
        Form::Line => match node.as_string() {
            Some(_) => {
                let message = format!("{what} is one line, and not an empty one");
                report.error("bad-value", span, message);
            }
            None => wrong_kind(node, span, what, "a text", report),
        },
        Form::Import => match node.as_string() {
            Some(text) => {
                let message = format!("{} does not name a pipeline elsewhere", quote(text));
                report
                    .error("bad-value", span, message)
                    .help("write `REPOSITORY:REF:PIPELINE`, or `PIPELINE@SOURCE`");
            }
            None => wrong_kind(node, span, what, "a text", report),
        },
        Form::Choice(choices) => choice(node, choices, span, what, report),
        Form::Bool => boolean(node, span, what, report),
        Form::Whole { min } => whole(node, *min, span, what, report),
        Form::List { of, min, max } => {
            if let Some(items) = listed(node, span, what, report) {
                counted(items.len(), (*min, *max), span, what, report);
                each(items, of, what, report);
            }
        }
        Form::Set(of) => {
            if let Some(items) = listed(node, span, what, report) {
                each(items, of, what, report);
                if items.iter().all(|item| fits(item, of)) {
                    let message = format!("{what} has an item twice");
                    report.error("duplicate-item", span, message);
                }
            }
        }
        Form::Map { of, min, max } => match node.as_map() {
            Some(map) => {
                counted(map.entries.len(), (*min, *max), span, what, report);
                for entry in map.entries.iter().filter(|entry| !fits(&entry.value, of)) {
                    let what = format!("{} below {what}", quote(&entry.key));
                    explain(&entry.value, of, &what, entry.key_span, report);
                }
            }
            None => wrong_kind(node, span, what, "a mapping", report),
        },
        Form::Place(name) => match node.as_map() {
            Some(map) => mapping(map, name, span, what, report),
            None => wrong_kind(node, span, what, "a mapping", report),
        },
        Form::OneOf(forms) => one_of(node, forms, what, span, report),
    }
}

fn wrong_kind(node: &Node, span: Span, what: &str, due: &str, report: &mut Report) {
    let message = format!("{what} is {due}, and this is {}", node.described());
    let remark = report.error("wrong-kind", span, message);
    match (due, node.as_text()) {
        _ if node.is_null() => remark.help(NOTHING),
        ("a text", Some(text)) if text.chars().count() < 40 => {
            remark.help(format!("put it into quotes: `'{text}'`"));
        }
        ("a list", _) => remark.help(DASHES),
        ("a mapping", _) if node.as_list().is_some() => {
            remark.help("leave out the dashes, or put a name above the list");
        }
        _ => {}
    }
}

fn choice(node: &Node, choices: &[&str], span: Span, what: &str, report: &mut Report) {
    let quoted: Vec<String> = choices.iter().map(|choice| format!("`{choice}`")).collect();
    let due = match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    };
    let message = match node.as_text() {
        Some(text) => format!("{what} is {due}, and this is {}", quote(text)),
        None => format!("{what} is {due}, and this is {}", node.described()),
    };
    let remark = report.error("bad-value", span, message);
    let near = node.as_text().and_then(|text| {
        choices
            .iter()
            .find(|choice| choice.eq_ignore_ascii_case(text))
    });
    if let Some(near) = near {
        remark.help(format!("write `{near}`"));
    }
}

fn boolean(node: &Node, span: Span, what: &str, report: &mut Report) {
    let message = format!(
        "{what} is `true` or `false`, and this is {}",
        node.described()
    );
    let remark = report.error("wrong-kind", span, message);
    match node.as_text().map(str::to_ascii_lowercase).as_deref() {
        Some("true" | "yes" | "on" | "1") => remark.help("write `true`, without quotes"),
        Some("false" | "no" | "off" | "0") => remark.help("write `false`, without quotes"),
        _ => {}
    }
}

fn whole(node: &Node, min: i64, span: Span, what: &str, report: &mut Report) {
    let at_least = if min == i64::MIN {
        String::new()
    } else {
        format!(" of at least {min}")
    };
    let is = match (node.as_text(), node.as_number()) {
        (Some(text), Some(Number::Whole(_) | Number::Broken)) => quote(text),
        _ => node.described().to_owned(),
    };
    let message = format!("{what} is a whole number{at_least}, and this is {is}");
    let remark = report.error("bad-value", span, message);
    if node
        .as_string()
        .is_some_and(|text| text.trim().parse::<u32>().is_ok())
    {
        remark.help("write the number without quotes");
    }
}

fn listed<'n>(
    node: &'n Node,
    span: Span,
    what: &str,
    report: &mut Report,
) -> Option<&'n [std::rc::Rc<Node>]> {
    let items = node.as_list();
    if items.is_none() {
        wrong_kind(node, span, what, "a list", report);
    }
    items
}

fn counted(count: usize, (min, max): (usize, usize), span: Span, what: &str, report: &mut Report) {
    if count < min {
        report
            .error("empty", span, format!("{what} is empty"))
            .help("remove it, or put something below it");
    } else if count > max {
        let message = format!("{what} has {count} entries, and {max} are the most");
        report.error("too-many", span, message);
    }
}

fn each(items: &[std::rc::Rc<Node>], of: &Form, what: &str, report: &mut Report) {
    for item in items.iter().filter(|item| !fits(item, of)) {
        explain(item, of, &format!("an item of {what}"), item.span, report);
    }
}

fn mapping(map: &Map, name: &str, span: Span, what: &str, report: &mut Report) {
    let place = keys::place(name);
    for required in place.required.iter().filter(|key| map.get(key).is_none()) {
        let remark = report.error("missing-key", span, format!("{what} has no `{required}`"));
        let near = map.entries.iter().find(|entry| {
            keys::find(name, &entry.key).is_none()
                && keys::nearest(name, &entry.key) == Some(required)
        });
        if let Some(near) = near {
            let (key, line) = (quote(&near.key), near.key_span.line);
            remark.help(format!("did you mean it by {key} in line {line}?"));
        }
    }
    if map.entries.len() > place.keys_max {
        let names: Vec<String> = map.entries.iter().map(|entry| quote(&entry.key)).collect();
        let message = format!("{what} has only one of its keys: {}", names.join(" or "));
        report.error("too-many-keys", span, message);
    }
    let variants = place.variants.iter().flat_map(|variant| variant.with);
    let of_variants: Vec<&str> = variants.copied().collect();
    let mut is_clean = true;
    for entry in &map.entries {
        let Some(key) = keys::find(name, &entry.key) else {
            super::unknown(entry, name, report);
            continue;
        };
        if fits(&entry.value, &key.form) {
            continue;
        }
        is_clean &= !of_variants.contains(&key.name);
        explain(
            &entry.value,
            &key.form,
            &quote(&entry.key),
            entry.key_span,
            report,
        );
    }
    if is_clean && !place.variants.is_empty() {
        variants_of(map, place, what, span, report);
    }
}

/// Says which keys lack a partner, or exclude each other.
fn variants_of(map: &Map, place: &Place, what: &str, span: Span, report: &mut Report) {
    let holding: Vec<_> = holding(map, place, place.name).collect();
    if holding.len() == 1 {
        return;
    }
    let names = |keys: &[&str]| {
        let names: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        names.join(" and ")
    };
    if holding.len() > 1 {
        let sets: Vec<String> = holding.iter().map(|variant| names(variant.with)).collect();
        let message = format!(
            "{what} has {}, and only one may stand there",
            sets.join(", and ")
        );
        report.error("too-many-keys", span, message);
        return;
    }
    let has = |key: &&&str| map.get(key).is_some();
    let begun = place
        .variants
        .iter()
        .find(|variant| variant.with.iter().any(|key| map.get(key).is_some()));
    let message = if let Some(variant) = begun {
        let there: Vec<&str> = variant.with.iter().filter(has).copied().collect();
        let absent = variant.with.iter().filter(|key| !there.contains(key));
        let absent: Vec<&str> = absent.copied().collect();
        format!("{what} has {} without {}", names(&there), names(&absent))
    } else {
        let sets: Vec<String> = place
            .variants
            .iter()
            .map(|variant| names(variant.with))
            .collect();
        format!("{what} needs {}", sets.join(", or "))
    };
    report.error("missing-key", span, message);
}

fn one_of(node: &Node, forms: &[Form], what: &str, span: Span, report: &mut Report) {
    let fitting = forms.iter().filter(|form| fits(node, form)).count();
    if fitting > 1 {
        let message = format!("{what} can be read in two ways; remove the keys of one");
        report.error("too-many-keys", span, message);
        return;
    }
    // The one whose own keys are there, else the last that could be meant: the long form comes behind the short one.
    let candidates = || forms.iter().rev().filter(|form| is_of_kind(node, form));
    let has_its_key = |form: &&Form| match (form, node.as_map()) {
        (Form::Place(name), Some(map)) => keys::place(name)
            .required
            .iter()
            .any(|key| map.get(key).is_some()),
        _ => false,
    };
    if let Some(meant) = candidates()
        .find(has_its_key)
        .or_else(|| candidates().next())
    {
        explain(node, meant, what, span, report);
        return;
    }
    let kinds: Vec<&str> = forms.iter().map(kind).collect();
    let message = format!(
        "{what} is {}, and this is {}",
        kinds.join(" or "),
        node.described()
    );
    let remark = report.error("wrong-kind", span, message);
    if node.is_null() {
        remark.help(NOTHING);
    } else if let (Value::Scalar(_), Some(text)) = (&node.value, node.as_text())
        && kinds.contains(&"a text")
    {
        remark.help(format!(
            "put it into quotes: {}",
            quote(&format!("'{text}'"))
        ));
    }
}

fn kind(form: &Form) -> &'static str {
    match form {
        Form::List { of: Form::Text, .. } => "a list of texts",
        Form::List { .. } | Form::Set(_) | Form::Steps => "a list",
        Form::Map { .. } | Form::Place(_) => "a mapping",
        Form::Bool => "a boolean",
        Form::Whole { .. } => "a number",
        Form::Choice(_) => "one of some words",
        _ => "a text",
    }
}
