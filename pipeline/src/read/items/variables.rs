//! The variables of a custom pipeline, which whoever starts it may set.
//!
//! <https://support.atlassian.com/bitbucket-cloud/docs/pipeline-start-conditions/>

use super::super::definitions::texts;
use super::super::keys::Form;
use super::super::shape::{self, Lacking, explain, fits};
use crate::diagnostic::{Report, quote};
use crate::plan::CustomVariable;
use crate::tree::{Entry, Map};

/// Variables of one pipeline. A person has to fill in each.
const VARIABLES_MAX: usize = 200;

const FORM: Form = Form::List {
    of: &Form::Place("variable"),
    min: 1,
    max: usize::MAX,
};

/// Reads the value of a `variables` key.
pub(super) fn read(entry: &Entry, into: &mut Vec<CustomVariable>, report: &mut Report) {
    if !fits(&entry.value, &FORM) {
        explain(&entry.value, &FORM, "`variables`", entry.key_span, report);
        return;
    }
    shape::below(&entry.value, &FORM, &mut Lacking::default(), report);
    for node in entry.value.as_list().unwrap_or_default() {
        if into.len() >= VARIABLES_MAX {
            let message = format!("a pipeline has at most {VARIABLES_MAX} variables");
            report.error("too-many", node.span, message);
            return;
        }
        let Some(variable) = node.as_map().and_then(|map| variable(map, node.span.line)) else {
            continue;
        };
        if into.iter().any(|other| other.name == variable.name) {
            let message = format!(
                "{} is declared twice; the first counts",
                quote(&variable.name)
            );
            report.warning("duplicate-variable", node.span, message);
            continue;
        }
        if let Some(default) = &variable.default
            && !variable.allowed_values.is_empty()
            && !variable.allowed_values.contains(default)
        {
            let message = format!(
                "the default {} is not among the allowed values",
                quote(default)
            );
            report.warning("default-not-allowed", node.span, message);
        }
        into.push(variable);
    }
}

fn variable(map: &Map, line: u32) -> Option<CustomVariable> {
    let text = |key: &str| map.get(key)?.value.as_string().map(str::to_owned);
    let default = text("default");
    Some(CustomVariable {
        name: text("name")?,
        value: default.clone().unwrap_or_default(),
        default,
        allowed_values: map.get("allowed-values").map(texts).unwrap_or_default(),
        description: text("description"),
        line,
    })
}
