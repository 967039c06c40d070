//! The lines of `script` and `after-script`.
//!
//! A line is a text for the shell. A pipe or an agent is recognised, and the step that holds one is unsupported.

use super::super::keys::Form;
use super::super::shape::{self, Lacking, explain, fits};
use crate::diagnostic::{Report, quote};
use crate::tree::{Entry, Map, Node, Value};

/// What may stand in a script beside text.
const TASKS: [Form; 2] = [Form::Place("pipe"), Form::Place("agent task")];

/// What to do about a script without lines.
const LINES: &str = "write at least one line below it, with a dash: `- make`";

/// Reads the lines below a key.
pub(super) fn lines(entry: &Entry, lacking: &mut Lacking, report: &mut Report) -> Vec<String> {
    let key = quote(&entry.key);
    if entry.value.is_null() {
        report
            .error(
                "empty-script",
                entry.key_span,
                format!("nothing stands below {key}"),
            )
            .help(LINES);
        return Vec::new();
    }
    let Some(items) = entry.value.as_list() else {
        let message = format!("{key} is a list, and this is {}", entry.value.described());
        let remark = report.error("wrong-kind", entry.value.span, message);
        match entry.value.as_text().and_then(shape::stuck_dash) {
            Some(rest) => remark.help(format!(
                "put a blank behind the dash: {}",
                quote(&format!("- {rest}"))
            )),
            None => remark.help("begin each line of the script with `- `"),
        }
        return Vec::new();
    };
    if items.is_empty() {
        report
            .error("empty-script", entry.key_span, format!("{key} has no line"))
            .help(LINES);
    }
    items
        .iter()
        .filter_map(|item| line(item, lacking, report))
        .collect()
}

fn line(item: &Node, lacking: &mut Lacking, report: &mut Report) -> Option<String> {
    match &item.value {
        Value::Scalar(scalar) if scalar.is_null() => {
            report
                .error(
                    "empty-script-line",
                    item.span,
                    "this dash has no command behind it",
                )
                .help("remove it, or write the command on the same line");
            None
        }
        Value::Scalar(_) => {
            if item.as_string().is_none() {
                explain(item, &Form::Text, "a line of a script", item.span, report);
            }
            item.as_string().map(str::to_owned)
        }
        Value::Map(map) => {
            task(map, item, lacking, report);
            None
        }
        Value::List(_) => {
            report
                .error("wrong-kind", item.span, "a line of a script is a text, and this is a list")
                .help("an anchor on a list of lines cannot be one item; repeat the lines, or give each an anchor");
            None
        }
    }
}

/// A pipe or an agent, or a line that YAML took for a mapping.
fn task(map: &Map, item: &Node, lacking: &mut Lacking, report: &mut Report) {
    if map.get("pipe").is_none() && map.get("agent").is_none() {
        report
            .error("script-line-mapping", item.span, "this line of the script was read as a mapping")
            .help("YAML takes `: ` for a key and its value; put the whole line into single quotes, or below `- |`");
        return;
    }
    let form = Form::OneOf(&TASKS);
    if fits(item, &form) {
        shape::below(item, &form, lacking, report);
    } else {
        explain(item, &form, "an item of a script", item.span, report);
    }
}
