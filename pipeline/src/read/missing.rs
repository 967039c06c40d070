//! A file without `pipelines`: what its author most likely meant.
//!
//! Often it was written for another system, or its pipelines begin one level too high.

use super::keys;
use crate::diagnostic::{Report, Span, quote};
use crate::tree::{Entry, Map};

/// Files of other systems, by keys that all stand at their top.
const OTHERS: &[(&[&str], &str)] = &[
    (&["stages"], "GitLab file"),
    (&["before_script"], "GitLab file"),
    (&["on", "jobs"], "GitHub workflow"),
    (&["true", "jobs"], "GitHub workflow"),
    (&["version", "jobs"], "CircleCI file"),
    (&["version", "workflows"], "CircleCI file"),
    (&["pool", "steps"], "file of Azure Pipelines"),
    (&["trigger", "jobs"], "file of Azure Pipelines"),
    (&["trigger", "steps"], "file of Azure Pipelines"),
    (&["kind", "steps"], "Drone file"),
    (&["language", "script"], "Travis file"),
    (&["language", "install"], "Travis file"),
];

/// Refuses the file, and says what to write instead.
pub(super) fn pipelines(map: &Map, span: Span, report: &mut Report) {
    let help = help(map);
    report
        .error("no-pipelines", span, "the file has no `pipelines`")
        .help(help);
}

fn help(map: &Map) -> String {
    let has = |key: &&str| map.get(key).is_some();
    let other = OTHERS.iter().find(|(keys, _)| keys.iter().all(has));
    if let Some((_, name)) = other {
        return from(name);
    }
    if let Some(entry) = map
        .entries
        .iter()
        .find(|entry| keys::nearest("file", &entry.key) == Some("pipelines"))
    {
        return format!(
            "did you mean `pipelines` by {} in line {}?",
            quote(&entry.key),
            entry.key_span.line
        );
    }
    if map.entries.iter().any(has_script) {
        return from("GitLab file");
    }
    if has(&"export") {
        return "it only has pipelines for other repositories to import; put `pipelines:` beside `definitions:` \
                with what a push of this one runs"
            .to_owned();
    }
    if let Some(entry) = map.entries.iter().find(|entry| has_steps(entry)) {
        let (key, line) = (quote(&entry.key), entry.key_span.line);
        return if keys::find("pipelines", &entry.key).is_some() {
            format!("put `pipelines:` above {key} in line {line}, and indent what is below")
        } else {
            format!(
                "{key} in line {line} looks like the pipeline of a branch; put `pipelines:` and `branches:` above it, \
                 and indent it below both"
            )
        };
    }
    "put `pipelines:` at the beginning of a line, and below it `default:` with the steps".to_owned()
}

fn from(name: &str) -> String {
    format!("this looks like a {name}; steps go below `pipelines:`, for example in `default:`")
}

fn has_script(entry: &Entry) -> bool {
    let map = entry.value.as_map();
    map.is_some_and(|map| map.get("script").is_some())
}

/// Whether this is a pipeline, or a section of some.
fn has_steps(entry: &Entry) -> bool {
    let is_item = |entry: &Entry| {
        let items = entry.value.as_list().unwrap_or_default();
        items
            .iter()
            .filter_map(|item| item.as_map())
            .any(|item| item.get("step").is_some() || item.get("parallel").is_some())
    };
    let below = entry.value.as_map().map(|map| map.entries.as_slice());
    is_item(entry) || below.unwrap_or_default().iter().any(is_item)
}
