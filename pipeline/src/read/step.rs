//! One step, and what the file says for all of them.
//!
//! A step has a script or a module. What it asks for beyond this version is remembered, so that the step fails when its
//! turn comes and not silently does something else.

mod artifacts;
mod gate;
mod retry;
mod script;
mod wasm;

use std::cell::Cell;
use std::collections::BTreeSet;

use super::definitions::Definitions;
use super::image::{self, Image};
use super::keys;
use super::shape::{self, Lacking};
use super::values::TIME_SECS_MAX;
use crate::diagnostic::{Report, quote};
use crate::graph::model::Step;
use crate::plan::{Artifacts, ClonePlan, RetryRequest, ScriptStep, StepKind};
use crate::tree::{Entry, Map, Node, Value};

pub(super) use gate::{condition, deployment, is_manual};

/// What Bitbucket gives a step that says nothing.
/// <https://support.atlassian.com/bitbucket-cloud/docs/global-options/>
const MAX_TIME_DEFAULT_SECS: u64 = 120 * 60;

/// Steps of a whole file, each counted once for every pipeline that has it. Aliases let a small file have a hundred
/// thousand, and reading so many would take longer than anybody waits.
const STEPS_MAX: usize = 5_000;

/// Characters of a name that are kept. A name fills one line of a page; a plan may hold one in every step.
const NAME_CHARS_MAX: usize = 200;

/// What a file says for every step that says nothing else.
#[derive(Debug)]
pub(super) struct Defaults {
    image: Image,
    pub(super) max_time_secs: u64,
    pub(super) runs_on: Vec<String>,
    clone: ClonePlan,
    runtime: Lacking,
    /// A container engine for scripts.
    docker: Lacking,
    definitions: Definitions,
    /// Steps that were read so far.
    steps: Cell<usize>,
}

impl Defaults {
    /// Reads them from the file's own mapping, whose keys have been held to the table.
    pub(super) fn read(file: &Map, report: &mut Report) -> Self {
        let mut defaults = Self {
            image: file
                .get("image")
                .map(|image| image::read(image, report))
                .unwrap_or_default(),
            max_time_secs: MAX_TIME_DEFAULT_SECS,
            runs_on: Vec::new(),
            clone: file.get("clone").map(clone).unwrap_or_default(),
            runtime: Lacking::default(),
            docker: Lacking::default(),
            definitions: file
                .get("definitions")
                .and_then(|definitions| definitions.value.as_map())
                .map(Definitions::read)
                .unwrap_or_default(),
            steps: Cell::new(0),
        };
        let Some(options) = file
            .get("options")
            .and_then(|options| options.value.as_map())
        else {
            return defaults;
        };
        if let Some(docker) = options.get("docker")
            && docker.value.as_bool() == Some(true)
        {
            let why = "a script step has no container engine";
            defaults
                .docker
                .note("`options.docker`", why, docker.key_span, report);
        }
        if let Some(secs) = options
            .get("max-time")
            .and_then(|entry| max_time_secs(entry, report))
        {
            defaults.max_time_secs = secs;
        }
        if let Some(entry) = options.get("runs-on") {
            defaults.runs_on = runs_on(entry, &mut defaults.runtime, report);
        }
        if let Some(entry) = options.get("runtime") {
            runtime(entry, &mut defaults.runtime, report);
        }
        defaults
    }
}

/// Reads the step below its key.
pub(super) fn read(entry: &Entry, defaults: &Defaults, report: &mut Report) -> Option<Step> {
    let steps = defaults.steps.get() + 1;
    defaults.steps.set(steps);
    if steps > STEPS_MAX {
        if steps == STEPS_MAX + 1 {
            let message = format!("the pipelines of this file have more than {STEPS_MAX} steps");
            report.error("too-many-steps", entry.key_span, message);
        }
        return None;
    }
    if entry.value.is_null() {
        report
            .error("empty-step", entry.key_span, "this step is empty")
            .help("give it a `script` or a `wasm`");
        return None;
    }
    let map = shape::map(&entry.value, "a step", report)?;
    let mut lacking = Lacking::default();
    shape::keys(map, "step", &mut lacking, report);
    let max_time = map
        .get("max-time")
        .and_then(|entry| max_time_secs(entry, report));
    let runs_on = match map.get("runs-on") {
        Some(entry) => runs_on(entry, &mut lacking, report),
        None => defaults.runs_on.clone(),
    };
    if map.get("runtime").is_none() {
        lacking.inherit(&defaults.runtime);
    }
    let definitions = &defaults.definitions;
    let caches = map
        .get("caches")
        .map(|entry| definitions.caches(entry, &mut lacking, report));
    let services = map
        .get("services")
        .map(|entry| definitions.services(entry, report));
    let retry = map.get("retry").map(|entry| retry::read(entry, report));
    let artifacts = map
        .get("artifacts")
        .map(|entry| artifacts::read(entry, report));
    let bool_of = |key: &str| map.get(key).and_then(|entry| entry.value.as_bool());
    let kind = kind(entry, map, defaults, &mut lacking, report)?;
    Some(Step {
        name: map.get("name").and_then(|entry| name(&entry.value)),
        line: entry.key_span.line,
        max_time_secs: max_time.unwrap_or(defaults.max_time_secs),
        runs_on,
        retry: retry.unwrap_or_default(),
        fail_fast: bool_of("fail-fast"),
        manual: is_manual(map),
        condition: condition(map, report),
        artifacts: artifacts.unwrap_or_default(),
        caches: caches.unwrap_or_default(),
        services: services.unwrap_or_default(),
        deployment: deployment(map),
        concurrency_group: gate::concurrency_group(map),
        clone: map
            .get("clone")
            .map_or_else(|| defaults.clone.clone(), clone),
        oidc: bool_of("oidc") == Some(true),
        kind: match lacking.into_first() {
            Some((what, line)) => StepKind::Unsupported { what, line },
            None => kind,
        },
    })
}

/// A step that stands for something that cannot be run: another file's pipeline, a group inside a stage.
pub(super) fn unsupported(key: &Entry, defaults: &Defaults) -> Step {
    let line = key.key_span.line;
    Step {
        name: Some(key.key.to_string()),
        line,
        max_time_secs: defaults.max_time_secs,
        runs_on: defaults.runs_on.clone(),
        retry: RetryRequest::default(),
        fail_fast: None,
        manual: None,
        condition: None,
        artifacts: Artifacts::default(),
        caches: Vec::new(),
        services: Vec::new(),
        deployment: None,
        concurrency_group: None,
        clone: defaults.clone.clone(),
        oidc: false,
        kind: StepKind::Unsupported {
            what: quote(&key.key),
            line,
        },
    }
}

/// What a step does that stands inside something that cannot be done. Its own lack is named first.
pub(super) fn or_unsupported(kind: &StepKind, what: &str, line: u32) -> StepKind {
    match kind {
        StepKind::Unsupported { .. } => kind.clone(),
        StepKind::Script(_) | StepKind::Wasm(_) => StepKind::Unsupported {
            what: what.to_owned(),
            line,
        },
    }
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
    let lines = match map.get("script") {
        Some(script) => script::lines(script, lacking, report),
        None if starts_pipeline(map) => Vec::new(),
        None => {
            no_script(entry, map, report);
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
        image: image.plan,
        script: lines,
        after_script: after_script.unwrap_or_default(),
    }))
}

/// Whether a step starts another pipeline, and so needs no script. It is unsupported by either key.
fn starts_pipeline(map: &Map) -> bool {
    let is_pipeline = |entry: &Entry| entry.value.as_string() == Some("pipeline");
    map.get("type").is_some_and(is_pipeline) || map.get("custom").is_some()
}

fn no_script(entry: &Entry, map: &Map, report: &mut Report) {
    let remark = report.error(
        "no-script",
        entry.key_span,
        "this step has no `script` and no `wasm`",
    );
    let near = map.entries.iter().find(|entry| {
        keys::find("step", &entry.key).is_none()
            && matches!(keys::nearest("step", &entry.key), Some("script" | "wasm"))
    });
    match near {
        Some(near) => remark.help(format!(
            "did you mean it by {} in line {}?",
            quote(&near.key),
            near.key_span.line
        )),
        None => remark.help("put `script:` into it, and the commands below, each with a dash"),
    }
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

/// A name on one line: control characters become blanks, and what is too long is cut.
pub(super) fn name(node: &Node) -> Option<String> {
    let text = node.as_string()?.trim();
    let one_line = |character: char| {
        if character.is_control() {
            ' '
        } else {
            character
        }
    };
    let mut name: String = text.chars().take(NAME_CHARS_MAX).map(one_line).collect();
    if text.chars().count() > NAME_CHARS_MAX {
        name.push('…');
    }
    (!name.is_empty()).then_some(name)
}

fn max_time_secs(entry: &Entry, report: &mut Report) -> Option<u64> {
    let minutes = entry.value.as_whole().filter(|&minutes| minutes > 0)?;
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

fn runs_on(entry: &Entry, lacking: &mut Lacking, report: &mut Report) -> Vec<String> {
    let nodes = match &entry.value.value {
        Value::List(items) => items.as_slice(),
        Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(&entry.value),
    };
    let mut labels = BTreeSet::new();
    for node in nodes {
        let Some(label) = node.as_string() else {
            continue;
        };
        if label.trim().is_empty() || label.contains(char::is_control) {
            let why = "no runner can carry it";
            lacking.note(
                "a label without a printable character",
                why,
                node.span,
                report,
            );
            continue;
        }
        labels.insert(label.to_owned());
    }
    labels.into_iter().collect()
}

fn clone(entry: &Entry) -> ClonePlan {
    let mut plan = ClonePlan {
        line: Some(entry.key_span.line),
        ..ClonePlan::default()
    };
    let Some(map) = entry.value.as_map() else {
        return plan;
    };
    let is = |key: &str| map.get(key).and_then(|entry| entry.value.as_bool());
    plan.enabled = is("enabled") != Some(false);
    plan.lfs = is("lfs") == Some(true);
    plan.skip_ssl_verify = is("skip-ssl-verify") == Some(true);
    if let Some(depth) = map.get("depth") {
        let number = depth.value.as_whole();
        plan.depth = number.map(|depth| u32::try_from(depth).unwrap_or(u32::MAX));
    }
    plan
}

fn runtime(entry: &Entry, lacking: &mut Lacking, report: &mut Report) {
    if let Some(map) = entry.value.as_map() {
        shape::keys(map, "runtime", lacking, report);
    }
}
