//! One step, and what the file says for all of them.
//!
//! A step has a script or a module. What it asks for beyond this version is remembered, so that the step fails when its
//! turn comes and not silently does something else.

use std::collections::BTreeSet;

use super::image::{self, Image};
use super::shape::{self, Lacking};
use super::values::TIME_SECS_MAX;
use super::{keys, script, wasm};
use crate::diagnostic::{Report, quote};
use crate::graph::model::Step;
use crate::plan::{RetryCause, RetryRequest, ScriptStep, StepKind};
use crate::tree::{Entry, Map, Node, Value};

/// What Bitbucket gives a step that says nothing.
/// <https://support.atlassian.com/bitbucket-cloud/docs/global-options/>
const MAX_TIME_DEFAULT_SECS: u64 = 120 * 60;

/// Characters of a name that are kept. A name fills one line of a page; a plan may hold one in every step.
const NAME_CHARS_MAX: usize = 200;

/// Labels of one step, and characters of one label: the bounds of the language's schema.
const LABELS_MAX: usize = 10;
const LABEL_CHARS_MAX: usize = 50;

/// More tries than this only delay the bad news.
const RETRIES_MAX: u64 = 10;

/// What a file says for every step that says nothing else.
#[derive(Debug)]
pub(super) struct Defaults {
    image: Image,
    pub(super) max_time_secs: u64,
    pub(super) runs_on: Vec<String>,
    clone: Lacking,
    runtime: Lacking,
    /// A container engine for scripts.
    docker: Lacking,
}

impl Defaults {
    /// Reads them from the file's own mapping.
    pub(super) fn read(file: &Map, report: &mut Report) -> Self {
        let mut defaults = Self {
            image: file
                .get("image")
                .map(|image| image::read(image, report))
                .unwrap_or_default(),
            max_time_secs: MAX_TIME_DEFAULT_SECS,
            runs_on: Vec::new(),
            clone: Lacking::default(),
            runtime: Lacking::default(),
            docker: Lacking::default(),
        };
        if let Some(clone) = file.get("clone") {
            read_clone(clone, &mut defaults.clone, report);
        }
        let Some(options) = file.get("options") else {
            return defaults;
        };
        let Some(options) = shape::map(&options.value, "`options`", report) else {
            return defaults;
        };
        shape::keys(options, "options", &mut defaults.docker, report);
        if let Some(secs) = options
            .get("max-time")
            .and_then(|entry| max_time_secs(entry, report))
        {
            defaults.max_time_secs = secs;
        }
        if let Some(entry) = options.get("runs-on") {
            defaults.runs_on = runs_on(entry, report);
        }
        if let Some(entry) = options.get("runtime") {
            read_runtime(entry, &mut defaults.runtime, report);
        }
        defaults
    }
}

/// Reads the step below its key. `outer` is what the item or stage around it lacks.
pub(super) fn read(
    entry: &Entry,
    defaults: &Defaults,
    outer: &Lacking,
    report: &mut Report,
) -> Option<Step> {
    if entry.value.is_null() {
        report
            .error("empty-step", entry.key_span, "this step is empty")
            .help("give it a `script` or a `wasm`");
        return None;
    }
    let map = shape::map(&entry.value, "a step", report)?;
    let mut lacking = Lacking::default();
    shape::keys(map, "step", &mut lacking, report);
    let name = map.get("name").and_then(|entry| name(&entry.value, report));
    let max_time = map
        .get("max-time")
        .and_then(|entry| max_time_secs(entry, report));
    let runs_on = match map.get("runs-on") {
        Some(entry) => runs_on(entry, report),
        None => defaults.runs_on.clone(),
    };
    let retry = map
        .get("retry")
        .map(|entry| retry(entry, report))
        .unwrap_or_default();
    match map.get("clone") {
        Some(entry) => read_clone(entry, &mut lacking, report),
        None => lacking.inherit(&defaults.clone),
    }
    match map.get("runtime") {
        Some(entry) => read_runtime(entry, &mut lacking, report),
        None => lacking.inherit(&defaults.runtime),
    }
    let kind = kind(entry, map, defaults, &mut lacking, report)?;
    lacking.inherit(outer);
    Some(Step {
        name,
        line: entry.key_span.line,
        max_time_secs: max_time.unwrap_or(defaults.max_time_secs),
        runs_on,
        retry,
        stands_alone: stands_alone(map),
        kind: match lacking.into_first() {
            Some((what, line)) => StepKind::Unsupported { what, line },
            None => kind,
        },
    })
}

fn kind(
    entry: &Entry,
    map: &Map,
    defaults: &Defaults,
    lacking: &mut Lacking,
    report: &mut Report,
) -> Option<StepKind> {
    if let Some(module) = map.get("wasm") {
        refuse_beside_wasm(map, report);
        return wasm::read(module, lacking, report).map(StepKind::Wasm);
    }
    let starts_pipeline = map
        .get("type")
        .is_some_and(|entry| entry.value.as_text() == Some("pipeline"));
    let lines = match map.get("script") {
        Some(script) => script::lines(script, lacking, report),
        None if starts_pipeline => Vec::new(),
        None => {
            let remark = report.error(
                "no-script",
                entry.key_span,
                "this step has no `script` and no `wasm`",
            );
            let near = map.entries.iter().find(|entry| {
                keys::find("step", &entry.key).is_none()
                    && matches!(keys::nearest("step", &entry.key), Some("script" | "wasm"))
            });
            if let Some(near) = near {
                remark.help(format!(
                    "did you mean it by {} in line {}?",
                    quote(&near.key),
                    near.key_span.line
                ));
            }
            return None;
        }
    };
    let after_script = map
        .get("after-script")
        .map(|entry| script::lines(entry, lacking, report));
    let image = match map.get("image") {
        Some(entry) => image::read(entry, report),
        None => defaults.image.clone(),
    };
    lacking.inherit(&image.lacking);
    lacking.inherit(&defaults.docker);
    Some(StepKind::Script(ScriptStep {
        image: image.name,
        script: lines,
        after_script: after_script.unwrap_or_default(),
    }))
}

fn refuse_beside_wasm(map: &Map, report: &mut Report) {
    for entry in &map.entries {
        if let Some(key) = keys::find("wasm step", &entry.key) {
            let message = format!(
                "{} cannot stand beside `wasm`: {}",
                quote(&entry.key),
                key.note
            );
            report.error("beside-wasm", entry.key_span, message);
        }
    }
    if let Some(grants) = map.get("grants") {
        report
            .error(
                "beside-wasm",
                grants.key_span,
                "the `grants` of a module stand below `wasm`",
            )
            .help("indent `grants` by two blanks more, below `module`");
    }
    if let Some(image) = map.get("image") {
        report.warning(
            "no-effect",
            image.key_span,
            "`image` has no effect here: a module needs none",
        );
    }
}

fn stands_alone(map: &Map) -> bool {
    let is_manual = map
        .get("trigger")
        .is_some_and(|entry| entry.value.as_text() == Some("manual"));
    is_manual
        || ["deployment", "environment", "concurrency-group"]
            .iter()
            .any(|key| map.get(key).is_some())
}

/// A name on one line: control characters become blanks, and what is too long is cut.
pub(super) fn name(node: &Node, report: &mut Report) -> Option<String> {
    let text = if node.as_text() == Some("") {
        ""
    } else {
        shape::text(node, "a name", report)?
    };
    let one_line = |character: char| {
        if character.is_control() {
            ' '
        } else {
            character
        }
    };
    let mut name: String = text
        .trim()
        .chars()
        .take(NAME_CHARS_MAX)
        .map(one_line)
        .collect();
    if text.trim().chars().count() > NAME_CHARS_MAX {
        name.push('…');
    }
    (!name.is_empty()).then_some(name)
}

fn max_time_secs(entry: &Entry, report: &mut Report) -> Option<u64> {
    let Some(minutes) = entry.value.as_number().filter(|&minutes| minutes > 0) else {
        report
            .error(
                "max-time",
                entry.value.span,
                "`max-time` is a whole number of minutes above zero",
            )
            .help("write a number without quotes and unit: `max-time: 30`");
        return None;
    };
    let secs = minutes.saturating_mul(60);
    if secs > TIME_SECS_MAX {
        report.warning(
            "max-time",
            entry.value.span,
            "no step runs longer than a week; this one gets a week",
        );
    }
    Some(secs.min(TIME_SECS_MAX))
}

fn runs_on(entry: &Entry, report: &mut Report) -> Vec<String> {
    let nodes = match &entry.value.value {
        Value::List(items) => items.as_slice(),
        Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(&entry.value),
    };
    if nodes.is_empty() || nodes.len() > LABELS_MAX {
        let message = format!("`runs-on` has between one and {LABELS_MAX} labels");
        report.error("runs-on", entry.key_span, message);
    }
    let mut labels = BTreeSet::new();
    for node in nodes.iter().take(LABELS_MAX) {
        let Some(label) = shape::text(node, "a label", report) else {
            continue;
        };
        if label.chars().count() > LABEL_CHARS_MAX || label.contains(char::is_control) {
            let message = format!("a label has at most {LABEL_CHARS_MAX} printable characters");
            report.error("runs-on", node.span, message);
            continue;
        }
        labels.insert(label.to_owned());
    }
    labels.into_iter().collect()
}

fn read_clone(entry: &Entry, lacking: &mut Lacking, report: &mut Report) {
    if let Some(map) = shape::map(&entry.value, "`clone`", report) {
        shape::keys(map, "clone", lacking, report);
    }
}

fn read_runtime(entry: &Entry, lacking: &mut Lacking, report: &mut Report) {
    let Some(map) = shape::map(&entry.value, "`runtime`", report) else {
        return;
    };
    shape::keys(map, "runtime", lacking, report);
    for place in ["cloud", "self-hosted"] {
        if let Some(entry) = map.get(place)
            && let Some(map) = shape::map(&entry.value, &quote(place), report)
        {
            shape::keys(map, place, lacking, report);
        }
    }
}

fn retry(entry: &Entry, report: &mut Report) -> RetryRequest {
    let mut retry = RetryRequest::default();
    let Some(map) = shape::map(&entry.value, "`retry`", report) else {
        return retry;
    };
    shape::keys(map, "retry", &mut Lacking::default(), report);
    if let Some(max) = map.get("max") {
        let number = max.value.as_number().filter(|&max| max <= RETRIES_MAX);
        if let Some(number) = number.and_then(|number| u8::try_from(number).ok()) {
            retry.max = number;
        } else {
            let message = format!("`max` is a whole number from 0 to {RETRIES_MAX}");
            report.error("retry", max.value.span, message);
        }
    }
    if let Some(on) = map.get("on")
        && let Some(nodes) = shape::list(&on.value, "`on`", report)
    {
        let causes: BTreeSet<RetryCause> = nodes
            .iter()
            .filter_map(|node| cause(node, report))
            .collect();
        retry.on = causes.into_iter().collect();
    }
    retry
}

fn cause(node: &Node, report: &mut Report) -> Option<RetryCause> {
    match node.as_text() {
        Some("lost") => Some(RetryCause::Lost),
        Some("infrastructure") => Some(RetryCause::Infrastructure),
        Some("failed") => Some(RetryCause::Failed),
        _ => {
            let message = "a step is retried on `lost`, `infrastructure` or `failed`";
            report.error("retry", node.span, message);
            None
        }
    }
}
