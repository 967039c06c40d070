//! The items of a pipeline: steps, parallel groups, stages.
//!
//! Most mistakes in real files are slips of the indentation around `- step:`, so that is what the explanations are about.

mod slips;
mod variables;

use std::rc::Rc;

use super::keys::{self, Form};
use super::shape::{self, Lacking, explain, fits};
use super::step::{self, Defaults};
use crate::diagnostic::{Report, quote};
use crate::graph::model::{Item, Pipeline, Step};
use crate::plan::CustomVariable;
use crate::tree::{Entry, Map, Node, Value};
use slips::{beside, no_item, refuse_manual};

/// Steps of one pipeline. The longest of 235 real files has 88 in all its pipelines together.
const STEPS_MAX: usize = 500;

/// Steps of one parallel group, and of one stage. Two groups in a row have the square of this in edges between their jobs.
const WIDTH_MAX: usize = 100;

/// What to do about something without steps.
const ITEM: &str = "put at least one item below it: `- step:`";

/// Who starts a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A push or a pull request.
    Pushed,
    /// A person. `variables` may stand among the items, and `final` may not.
    Custom,
}

/// Reads the pipeline below a key.
pub(super) fn pipeline(
    entry: &Entry,
    kind: Kind,
    defaults: &Defaults,
    report: &mut Report,
) -> Pipeline {
    if entry.value.as_map().is_some() {
        return imported(entry, defaults, report);
    }
    let Some(items) = listed(entry, report) else {
        return Pipeline::default();
    };
    let mut pipeline = Pipeline::default();
    let mut steps = 0;
    for node in items {
        let is_first = pipeline.items.is_empty();
        let read = match variables_of(node, kind) {
            Some(variables) => {
                read_variables(node, variables, is_first, &mut pipeline.variables, report);
                continue;
            }
            None => item(node, is_first, kind, defaults, report),
        };
        let Some(item) = read else {
            continue;
        };
        steps += match &item {
            Item::Step(_) | Item::Final(_) => 1,
            Item::Parallel { steps, .. } | Item::Stage { steps, .. } => steps.len(),
        };
        if steps > STEPS_MAX {
            let name = quote(&entry.key);
            let message = format!("the pipeline {name} has more than {STEPS_MAX} steps");
            report.error("too-many-steps", node.span, message);
            break;
        }
        pipeline.items.push(item);
    }
    if pipeline.items.is_empty() && !report.has_errors() {
        let message = format!("the pipeline {} has no step", quote(&entry.key));
        report.warning("empty-pipeline", entry.key_span, message);
    }
    final_comes_last(&pipeline, items, report);
    pipeline
}

/// <https://support.atlassian.com/bitbucket-cloud/docs/step-options/>
fn final_comes_last(pipeline: &Pipeline, items: &[Rc<Node>], report: &mut Report) {
    let is_final = |item: &&Item| matches!(item, Item::Final(_));
    let finals = pipeline.items.iter().filter(is_final).count();
    if finals == 0 || (finals == 1 && matches!(pipeline.items.last(), Some(Item::Final(_)))) {
        return;
    }
    let mut entries = items.iter().filter_map(|item| item.as_map()?.get("final"));
    if let Some(entry) = entries.next_back() {
        let message = "`final` stands once, as the last item; it runs after all other steps";
        report.warning("final-not-last", entry.key_span, message);
    }
}

/// The variables that an item of a custom pipeline holds.
fn variables_of(node: &Node, kind: Kind) -> Option<&Entry> {
    let entry = node.as_map()?.get("variables")?;
    (kind == Kind::Custom).then_some(entry)
}

fn read_variables(
    node: &Node,
    entry: &Entry,
    is_first: bool,
    into: &mut Vec<CustomVariable>,
    report: &mut Report,
) {
    if let Some(map) = node.as_map() {
        let others = map.entries.iter().filter(|other| other.key != entry.key);
        for other in others {
            let message = format!("{} and `variables` stand in one item", quote(&other.key));
            report
                .error("two-items", other.key_span, message)
                .help("begin it with a dash of its own");
        }
    }
    if !is_first {
        let message = "`variables` stand first in a custom pipeline";
        report.warning("misplaced-variables", entry.key_span, message);
    }
    variables::read(entry, into, report);
}

/// The items of a pipeline; at least one.
fn listed<'n>(entry: &'n Entry, report: &mut Report) -> Option<&'n [Rc<Node>]> {
    let name = quote(&entry.key);
    let node = &entry.value;
    let Some(items) = node.as_list() else {
        if node.is_null() {
            let message = format!("the pipeline {name} has no step");
            report
                .error("empty-pipeline", entry.key_span, message)
                .help(ITEM);
        } else {
            let message = format!(
                "{name} is a list of items, and this is {}",
                node.described()
            );
            let remark = report.error("wrong-kind", entry.key_span, message);
            let first = node.as_map().and_then(|map| map.entries.first());
            match first.and_then(|first| shape::stuck_dash(&first.key)) {
                Some(rest) => remark.help(format!(
                    "put a blank behind each dash: {}",
                    quote(&format!("- {rest}:"))
                )),
                None => remark.help("begin each item with a dash: `- step:`"),
            }
        }
        return None;
    };
    if items.is_empty() {
        let message = format!("the pipeline {name} has no step");
        report
            .error("empty-pipeline", entry.key_span, message)
            .help(ITEM);
        return None;
    }
    Some(items)
}

/// A pipeline of another file, as one step that says that it cannot be run.
fn imported(entry: &Entry, defaults: &Defaults, report: &mut Report) -> Pipeline {
    let form = Form::Place("pipeline");
    let import = entry.value.as_map().and_then(|map| map.get("import"));
    let Some(import) = import else {
        listed(entry, report);
        return Pipeline::default();
    };
    if !fits(&entry.value, &form) {
        explain(
            &entry.value,
            &form,
            &quote(&entry.key),
            entry.key_span,
            report,
        );
        return Pipeline::default();
    }
    shape::below(&entry.value, &form, &mut Lacking::default(), report);
    let step = step::unsupported(import, defaults);
    Pipeline {
        items: vec![Item::Step(Box::new(step))],
        variables: Vec::new(),
    }
}

fn item(
    node: &Node,
    is_first: bool,
    kind: Kind,
    defaults: &Defaults,
    report: &mut Report,
) -> Option<Item> {
    let Some(map) = node.as_map() else {
        let message = format!(
            "an item of a pipeline is a mapping, and this is {}",
            node.described()
        );
        let remark = report.error("wrong-kind", node.span, message);
        match node.as_text() {
            Some("step") => remark.help("write `- step:` with a colon"),
            _ => remark.help("write `- step:`, and the keys of the step below, indented by four blanks more than the dash"),
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
    shape::keys(map, "item", &mut Lacking::default(), report);
    match &*entry.key {
        "step" => {
            let step = step::read(entry, defaults, report)?;
            if is_first {
                refuse_manual(&entry.value, report);
            }
            Some(Item::Step(Box::new(step)))
        }
        "final" => final_step(entry, kind, defaults, report),
        "parallel" => parallel(entry, defaults, report),
        "stage" => stage(entry, is_first, defaults, report),
        _ => {
            let message = "`variables` stand first in a custom pipeline, and nowhere else";
            report.error("misplaced-variables", entry.key_span, message);
            None
        }
    }
}

/// <https://support.atlassian.com/bitbucket-cloud/docs/step-options/>
fn final_step(entry: &Entry, kind: Kind, defaults: &Defaults, report: &mut Report) -> Option<Item> {
    if kind == Kind::Custom {
        let message = "a custom pipeline has no `final`";
        report
            .error("final-in-custom", entry.key_span, message)
            .help("make it the last `- step:`");
        return None;
    }
    let entry = &without_condition(entry, report);
    let step = step::read(entry, defaults, report)?;
    let map = entry.value.as_map()?;
    for key in ["deployment", "fail-fast", "trigger"] {
        let Some(found) = map.get(key) else {
            continue;
        };
        if key != "trigger" || found.value.as_string() != Some("automatic") {
            let message = format!("{} cannot stand in a `final` step", quote(&found.key));
            report
                .error("in-final", found.key_span, message)
                .help("it runs after everything else, without being asked");
        }
    }
    Some(Item::Final(Box::new(step)))
}

/// The language's schema does not know a condition there, so it is left out whatever it says.
fn without_condition(entry: &Entry, report: &mut Report) -> Entry {
    let mut entry = entry.clone();
    let Some(map) = entry.value.as_map() else {
        return entry;
    };
    let Some(condition) = map.get("condition") else {
        return entry;
    };
    let message = "`condition` has no effect in a `final` step";
    report.warning("no-effect", condition.key_span, message);
    let others = map
        .entries
        .iter()
        .filter(|other| &*other.key != "condition");
    let value = Value::Map(Map {
        entries: others.cloned().collect(),
    });
    entry.value = Rc::new(Node {
        span: entry.value.span,
        value,
        expanded_bytes: entry.value.expanded_bytes,
        depth: entry.value.depth,
    });
    entry
}

fn parallel(entry: &Entry, defaults: &Defaults, report: &mut Report) -> Option<Item> {
    let mut fail_fast = false;
    let list = match &entry.value.value {
        Value::Map(map) => {
            shape::keys(map, "parallel", &mut Lacking::default(), report);
            let group = map.get("fail-fast").map(|entry| entry.value.as_bool());
            fail_fast = group.flatten() == Some(true);
            let Some(steps) = map.get("steps") else {
                let message = "this `parallel` has no `steps`";
                report
                    .error("empty-parallel", entry.key_span, message)
                    .help("list the steps below it, each with a dash: `- step:`");
                return None;
            };
            steps
        }
        Value::Scalar(_) | Value::List(_) => entry,
    };
    let items = group(list, "parallel", report)?;
    let mut steps = Vec::new();
    for node in items {
        let Some((map, entry)) = step_of(node, "parallel", report) else {
            continue;
        };
        if beside(map, entry, report).is_some() {
            shape::keys(map, "item", &mut Lacking::default(), report);
            steps.extend(step::read(entry, defaults, report));
        }
    }
    Some(Item::Parallel { steps, fail_fast })
}

fn stage(entry: &Entry, is_first: bool, defaults: &Defaults, report: &mut Report) -> Option<Item> {
    let map = shape::map(&entry.value, "a stage", report)?;
    let mut lacking = Lacking::default();
    shape::keys(map, "stage", &mut lacking, report);
    if is_first {
        refuse_manual(&entry.value, report);
    }
    let Some(list) = map.get("steps") else {
        report
            .error("empty-stage", entry.key_span, "this stage has no `steps`")
            .help("write `steps:` into it, and below that each step with a dash: `- step:`");
        return None;
    };
    let items = group(list, "stage", report)?;
    let mut steps = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let Some(step) = step_of_stage(node, defaults, report) else {
            continue;
        };
        if is_first
            && index == 0
            && let Some(entry) = node.as_map().and_then(|map| map.get("step"))
        {
            refuse_manual(&entry.value, report);
        }
        steps.push(step);
    }
    let condition = step::condition(map, report);
    for step in &mut steps {
        step.condition.clone_from(&condition);
        if let Some((what, line)) = lacking.first() {
            step.kind = step::or_unsupported(&step.kind, what, line);
        }
    }
    if let (Some(first), Some(line)) = (steps.first_mut(), step::is_manual(map)) {
        first.manual.get_or_insert(line);
    }
    Some(Item::Stage {
        name: map.get("name").and_then(|name| step::name(&name.value)),
        steps,
        deployment: step::deployment(map),
    })
}

/// A step of a stage. The language's schema leaves the item around it open, so only a warning is due there.
fn step_of_stage(node: &Node, defaults: &Defaults, report: &mut Report) -> Option<Step> {
    let map = shape::map(node, "an item of a stage", report)?;
    let nested = ["parallel", "stage", "final"];
    let other = map
        .entries
        .iter()
        .find(|entry| nested.contains(&&*entry.key));
    if let (None, Some(other)) = (map.get("step"), other) {
        let what = format!("{} inside a stage", quote(&other.key));
        let why = "a stage holds steps only";
        Lacking::default().note(&what, why, other.key_span, report);
        return Some(step::unsupported(other, defaults));
    }
    let (map, entry) = step_of(node, "stage", report)?;
    if entry.value.is_null() {
        beside(map, entry, report)?;
    }
    for other in map.entries.iter().filter(|other| other.key != entry.key) {
        let message = format!(
            "{} stands beside `step` and has no effect",
            quote(&other.key)
        );
        report
            .warning("indent-slip", other.key_span, message)
            .help("indent it by two blanks more than `step`");
    }
    let step = step::read(entry, defaults, report)?;
    if let Some(condition) = entry.value.as_map().and_then(|map| map.get("condition")) {
        let message = "a step of a stage has no condition";
        report
            .error("condition-in-stage", condition.key_span, message)
            .help("put the condition on the stage");
    }
    Some(step)
}

/// The items of a parallel group or a stage.
fn group<'n>(list: &'n Entry, place: &str, report: &mut Report) -> Option<&'n [Rc<Node>]> {
    let items = shape::list(&list.value, &quote(&list.key), report)?;
    if items.is_empty() {
        let message = format!("this {place} has no step");
        report
            .error("empty-group", list.key_span, message)
            .help(ITEM);
        return None;
    }
    if let Some(surplus) = items.get(WIDTH_MAX) {
        let message = format!("this {place} has more than {WIDTH_MAX} steps");
        report.error("too-many-steps", surplus.span, message);
        return None;
    }
    Some(items)
}

/// The step of an item of a group.
fn step_of<'n>(node: &'n Node, place: &str, report: &mut Report) -> Option<(&'n Map, &'n Entry)> {
    let map = shape::map(node, &format!("an item of a {place}"), report)?;
    if let Some(step) = map.get("step") {
        return Some((map, step));
    }
    match map
        .entries
        .iter()
        .find(|entry| keys::find("item", &entry.key).is_some())
    {
        Some(other) => {
            let key = quote(&other.key);
            let message = format!("a {place} holds steps only, and this is {key}");
            report
                .error("nested-group", other.key_span, message)
                .help(format!(
                    "write `- step:` here, or move {key} out of the {place}, as an item of the pipeline"
                ));
        }
        None => no_item(map, node, report),
    }
    None
}
