//! The items of a pipeline: steps, parallel groups, stages.
//!
//! Most mistakes in real files are slips of the indentation around `- step:`, so that is what the explanations are about.

use std::rc::Rc;

use super::keys::{self, Tier};
use super::shape::{self, Lacking};
use super::step::{self, Defaults};
use crate::diagnostic::{Report, quote};
use crate::graph::model::{Item, Pipeline, Step};
use crate::plan::{RetryRequest, StepKind};
use crate::tree::{Entry, Map, Node, Value};

/// Steps of one pipeline. The longest of 235 real files has 88 in all its pipelines together.
const STEPS_MAX: usize = 500;

/// Steps of one parallel group, and of one stage. Two groups in a row have the square of this in edges between their jobs.
const WIDTH_MAX: usize = 100;

/// Whether the variables of a pipeline that is started by hand may stand before its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variables {
    MayComeFirst,
    None,
}

/// Reads the pipeline below a key.
pub(super) fn pipeline(
    entry: &Entry,
    variables: Variables,
    defaults: &Defaults,
    report: &mut Report,
) -> Pipeline {
    if let Some(map) = entry.value.as_map()
        && let Some(import) = map.get("import")
    {
        return imported(map, import, defaults, report);
    }
    let Some(items) = listed(entry, variables, report) else {
        return Pipeline::default();
    };
    let mut read = Vec::new();
    let mut steps = 0;
    for (index, node) in items.iter().enumerate() {
        let Some(item) = item(node, index == 0, defaults, report) else {
            continue;
        };
        steps += match &item {
            Item::Step(_) => 1,
            Item::Parallel(branches) => branches.len(),
            Item::Stage { steps, .. } => steps.len(),
        };
        if steps > STEPS_MAX {
            let name = quote(&entry.key);
            let message = format!("the pipeline {name} has more than {STEPS_MAX} steps");
            report.error("too-many-steps", node.span, message);
            break;
        }
        read.push(item);
    }
    Pipeline { items: read }
}

/// The items of a pipeline without its variables; at least one.
fn listed<'n>(
    entry: &'n Entry,
    variables: Variables,
    report: &mut Report,
) -> Option<&'n [Rc<Node>]> {
    let name = quote(&entry.key);
    let node = &entry.value;
    let Some(items) = node.as_list() else {
        if node.is_null() {
            let message = format!("the pipeline {name} has no step");
            report.error("empty-pipeline", entry.key_span, message);
        } else {
            let message = format!(
                "{name} is a list of items, and this is {}",
                node.described()
            );
            let remark = report.error("wrong-kind", entry.key_span, message);
            remark.help("begin each item with a dash: `- step:`");
        }
        return None;
    };
    let is_variables = |node: &Node| {
        node.as_map()
            .is_some_and(|map| map.get("variables").is_some())
    };
    let items = match items.split_first() {
        Some((first, rest)) if variables == Variables::MayComeFirst && is_variables(first) => rest,
        _ => items,
    };
    if items.is_empty() {
        let message = format!("the pipeline {name} has no step");
        report.error("empty-pipeline", entry.key_span, message);
        return None;
    }
    Some(items)
}

/// A pipeline of another file, as one step that says that it cannot be run.
fn imported(map: &Map, import: &Entry, defaults: &Defaults, report: &mut Report) -> Pipeline {
    if shape::text(&import.value, "an import", report).is_none() {
        return Pipeline::default();
    }
    let mut lacking = Lacking::default();
    shape::keys(map, "pipeline", &mut lacking, report);
    let line = import.key_span.line;
    let step = Step {
        name: Some("import".to_owned()),
        line,
        max_time_secs: defaults.max_time_secs,
        runs_on: defaults.runs_on.clone(),
        retry: RetryRequest::default(),
        stands_alone: true,
        kind: StepKind::Unsupported {
            what: quote(&import.key),
            line,
        },
    };
    Pipeline {
        items: vec![Item::Step(Box::new(step))],
    }
}

fn item(node: &Node, is_first: bool, defaults: &Defaults, report: &mut Report) -> Option<Item> {
    let Some(map) = node.as_map() else {
        let message = format!(
            "an item of a pipeline is a mapping, and this is {}",
            node.described()
        );
        let remark = report.error("wrong-kind", node.span, message);
        if node.as_text() == Some("step") {
            remark.help("write `- step:` with a colon");
        }
        return None;
    };
    let Some(entry) = map
        .entries
        .iter()
        .find(|entry| keys::find("item", &entry.key).is_some())
    else {
        no_item(map, node, report);
        return None;
    };
    beside(map, entry, report)?;
    let mut lacking = Lacking::default();
    shape::keys(map, "item", &mut lacking, report);
    match &*entry.key {
        "step" => {
            let step = step::read(entry, defaults, &lacking, report)?;
            if is_first {
                refuse_manual(&entry.value, report);
            }
            Some(Item::Step(Box::new(step)))
        }
        "final" => {
            let step = step::read(entry, defaults, &lacking, report)?;
            Some(Item::Step(Box::new(Step {
                stands_alone: true,
                ..step
            })))
        }
        "parallel" => parallel(entry, defaults, report).map(Item::Parallel),
        "stage" => stage(entry, is_first, defaults, report),
        _ => {
            let message = "`variables` stand first in a custom pipeline, and nowhere else";
            report.error("misplaced-variables", entry.key_span, message);
            None
        }
    }
}

/// An item without `step`, `parallel` or `stage`.
fn no_item(map: &Map, node: &Node, report: &mut Report) {
    if let Some(entry) = map
        .entries
        .iter()
        .find(|entry| keys::find("step", &entry.key).is_some())
    {
        report
            .error(
                "no-step",
                entry.key_span,
                format!("{} stands outside a step", quote(&entry.key)),
            )
            .help("put `- step:` above it and indent it by four blanks more than the dash");
        return;
    }
    match map.entries.first() {
        None => {
            report
                .error("no-step", node.span, "this item is empty")
                .help("write `- step:`");
        }
        Some(_) => shape::keys(map, "item", &mut Lacking::default(), report),
    }
}

/// Refuses keys beside `step:`, which is what a slip of the indentation looks like to YAML.
fn beside(map: &Map, kind: &Entry, report: &mut Report) -> Option<()> {
    let is_inner = |entry: &&Entry| {
        matches!(keys::find(&kind.key, &entry.key), Some(key) if key.tier != Tier::Refused)
            || (&*kind.key == "final" && keys::find("step", &entry.key).is_some())
    };
    let slipped = map
        .entries
        .iter()
        .filter(|entry| entry.key != kind.key)
        .find(is_inner);
    let kind_name = quote(&kind.key);
    if let Some(slipped) = slipped {
        let message = if kind.value.is_null() {
            format!(
                "{kind_name} is empty, and {} stands beside it, not below",
                quote(&slipped.key)
            )
        } else {
            format!(
                "{} stands beside {kind_name}, not below",
                quote(&slipped.key)
            )
        };
        report
            .error("indent-slip", slipped.key_span, message)
            .help(format!("indent it by two blanks more than {kind_name}"));
        return None;
    }
    let other = map
        .entries
        .iter()
        .find(|entry| entry.key != kind.key && keys::find("item", &entry.key).is_some());
    if let Some(other) = other {
        let message = format!("{} and {kind_name} stand in one item", quote(&other.key));
        report
            .error("two-items", other.key_span, message)
            .help("begin it with a dash of its own");
        return None;
    }
    Some(())
}

/// <https://support.atlassian.com/bitbucket-cloud/docs/pipeline-triggers/>
fn refuse_manual(node: &Node, report: &mut Report) {
    if let Some(map) = node.as_map()
        && let Some(trigger) = map.get("trigger")
        && trigger.value.as_text() == Some("manual")
    {
        report
            .error(
                "manual-first",
                trigger.key_span,
                "the first step of a pipeline cannot be manual",
            )
            .help("a push starts it; make a `custom` pipeline for what is started by hand");
    }
}

fn parallel(entry: &Entry, defaults: &Defaults, report: &mut Report) -> Option<Vec<Step>> {
    let list = match &entry.value.value {
        Value::Map(map) => {
            shape::keys(map, "parallel", &mut Lacking::default(), report);
            let Some(steps) = map.get("steps") else {
                report.error(
                    "empty-parallel",
                    entry.key_span,
                    "this `parallel` has no `steps`",
                );
                return None;
            };
            steps
        }
        Value::Scalar(_) | Value::List(_) => entry,
    };
    steps(list, "parallel", defaults, &Lacking::default(), report)
}

fn stage(entry: &Entry, is_first: bool, defaults: &Defaults, report: &mut Report) -> Option<Item> {
    let map = shape::map(&entry.value, "a stage", report)?;
    let mut lacking = Lacking::default();
    shape::keys(map, "stage", &mut lacking, report);
    if is_first {
        refuse_manual(&entry.value, report);
    }
    let Some(list) = map.get("steps") else {
        report.error("empty-stage", entry.key_span, "this stage has no `steps`");
        return None;
    };
    let name = map
        .get("name")
        .and_then(|name| step::name(&name.value, report));
    let steps = steps(list, "stage", defaults, &lacking, report)?;
    let items = list.value.as_list().unwrap_or_default();
    for (index, item) in items.iter().enumerate() {
        let Some(step) = item.as_map().and_then(|map| map.get("step")) else {
            continue;
        };
        if is_first && index == 0 {
            refuse_manual(&step.value, report);
        }
        if let Some(condition) = step.value.as_map().and_then(|map| map.get("condition")) {
            report
                .error(
                    "condition-in-stage",
                    condition.key_span,
                    "a step of a stage has no condition",
                )
                .help("put the condition on the stage");
        }
    }
    Some(Item::Stage { name, steps })
}

/// The steps of a parallel group or a stage: items that are steps and nothing else.
fn steps(
    list: &Entry,
    place: &str,
    defaults: &Defaults,
    lacking: &Lacking,
    report: &mut Report,
) -> Option<Vec<Step>> {
    let items = shape::list(&list.value, &quote(&list.key), report)?;
    if items.is_empty() {
        report.error(
            "empty-group",
            list.key_span,
            format!("this {place} has no step"),
        );
        return None;
    }
    if let Some(surplus) = items.get(WIDTH_MAX) {
        let message = format!("this {place} has more than {WIDTH_MAX} steps");
        report.error("too-many-steps", surplus.span, message);
        return None;
    }
    let mut read = Vec::new();
    for node in items {
        let Some(map) = shape::map(node, &format!("an item of a {place}"), report) else {
            continue;
        };
        let Some(step) = map.get("step") else {
            match map
                .entries
                .iter()
                .find(|entry| matches!(&*entry.key, "parallel" | "stage" | "final"))
            {
                Some(other) => {
                    let message = format!(
                        "a {place} holds steps only, and this is {}",
                        quote(&other.key)
                    );
                    report.error("nested-group", other.key_span, message);
                }
                None => no_item(map, node, report),
            }
            continue;
        };
        if beside(map, step, report).is_some() {
            shape::keys(map, "item", &mut Lacking::default(), report);
            read.extend(step::read(step, defaults, lacking, report));
        }
    }
    Some(read)
}
