//! The tree → the model: which keys stand where, and what their values say.
//!
//! Comes after `syntax`; `select` and `graph` come behind. The whole file is read, also what no push selects, so that a
//! mistake is found before the day on which it matters. Reading goes on behind a mistake; whoever calls looks at the
//! report. Nothing here knows the push.

mod definitions;
mod image;
mod items;
pub(crate) mod keys;
mod missing;
mod shape;
mod step;
mod values;

use crate::diagnostic::{Report, Span, quote};
use crate::glob;
use crate::graph::model::{File, Pipeline};
use crate::tree::{Entry, Node};
use items::Kind;
use shape::Lacking;
use step::Defaults;

/// Patterns below `branches`, and below `tags`. With [`PATTERN_CHARS_MAX`] it bounds the time that a selection takes.
const PATTERNS_MAX: usize = 200;

/// Characters of one pattern. A ref name of git rarely has more than 100.
const PATTERN_CHARS_MAX: usize = 250;

/// Reads a file. What it returns may be planned only if the report has no error.
pub(crate) fn file(root: Option<&Node>, report: &mut Report) -> File {
    let Some(root) = root.filter(|root| !root.is_null()) else {
        if !report.has_errors() {
            report
                .error("no-pipelines", Span::at_line(1), "the file is empty")
                .help("it needs `pipelines:` with at least one pipeline below");
        }
        return File::default();
    };
    let Some(map) = root.as_map() else {
        let message = format!(
            "a pipeline file is a mapping, and this is {}",
            root.described()
        );
        report
            .error("wrong-kind", root.span, message)
            .help("begin with `pipelines:`");
        return File::default();
    };
    let Some(pipelines) = map.get("pipelines") else {
        missing::pipelines(map, root.span, report);
        return File::default();
    };
    shape::keys(map, "file", &mut Lacking::default(), report);
    let defaults = Defaults::read(map, report);
    if let Some(definitions) = map
        .get("definitions")
        .and_then(|entry| entry.value.as_map())
        && let Some(entry) = definitions.get("pipelines")
    {
        // Nothing in this file selects them; they are read for their mistakes.
        drop(section(entry, &defaults, report));
    }
    read_pipelines(pipelines, &defaults, report)
}

fn read_pipelines(entry: &Entry, defaults: &Defaults, report: &mut Report) -> File {
    if entry.value.is_null() {
        report
            .error(
                "no-pipelines",
                entry.key_span,
                "nothing stands below `pipelines:`",
            )
            .help("indent `default:` or `branches:` below it");
        return File::default();
    }
    let Some(map) = entry.value.as_map() else {
        let message = format!(
            "`pipelines` is a mapping, and this is {}",
            entry.value.described()
        );
        report
            .error("wrong-kind", entry.key_span, message)
            .help("put `default:` above the steps, indented below `pipelines:`");
        return File::default();
    };
    shape::keys(map, "pipelines", &mut Lacking::default(), report);
    if map.entries.is_empty() {
        report.warning(
            "no-pipelines",
            entry.key_span,
            "nothing stands below `pipelines:`",
        );
    }
    let mut sections = |key: &str| {
        map.get(key)
            .map(|entry| section(entry, defaults, report))
            .unwrap_or_default()
    };
    let [branches, tags, pull_requests, custom] =
        ["branches", "tags", "pull-requests", "custom"].map(&mut sections);
    File {
        default: map
            .get("default")
            .map(|entry| items::pipeline(entry, Kind::Pushed, defaults, report)),
        branches,
        tags,
        pull_requests,
        custom,
    }
}

/// The pipelines of a section by their patterns or names.
fn section(entry: &Entry, defaults: &Defaults, report: &mut Report) -> Vec<(String, Pipeline)> {
    let section = quote(&entry.key);
    let Some(map) = entry.value.as_map() else {
        let message = format!(
            "{section} is a mapping of names, and this is {}",
            entry.value.described()
        );
        let remark = report.error("wrong-kind", entry.key_span, message);
        if entry.value.as_list().is_some() {
            remark.help(format!(
                "put a name or pattern above the list: `{}:`, below it `main:`",
                entry.key
            ));
        } else if entry.value.is_null() {
            remark.help(shape::NOTHING);
        }
        return Vec::new();
    };
    if let Some(surplus) = map.entries.get(PATTERNS_MAX) {
        let message = format!("{section} has more than {PATTERNS_MAX} entries");
        report.error("too-many-patterns", surplus.key_span, message);
    }
    let kind = match &*entry.key {
        "custom" | "pipelines" => Kind::Custom,
        _ => Kind::Pushed,
    };
    let mut read = Vec::new();
    for entry in map.entries.iter().take(PATTERNS_MAX) {
        if entry.key.chars().count() > PATTERN_CHARS_MAX {
            let message = format!("this pattern has more than {PATTERN_CHARS_MAX} characters");
            report.error("pattern-too-long", entry.key_span, message);
            continue;
        }
        if kind == Kind::Pushed && glob::has_lone_braces(&entry.key) {
            let message = format!(
                "the braces in {} hold no comma, so they stand for themselves",
                quote(&entry.key)
            );
            report
                .warning("lone-braces", entry.key_span, message)
                .help("leave them out, or write at least two words between them: `{main,develop}`");
        }
        let pipeline = items::pipeline(entry, kind, defaults, report);
        read.push((entry.key.to_string(), pipeline));
    }
    read
}
