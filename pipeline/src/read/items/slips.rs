//! Slips of the indentation around `- step:`, and what the first step may not be.

use super::super::keys::{self, Tier};
use super::super::shape::{self, Lacking};
use crate::diagnostic::{Report, quote};
use crate::tree::{Entry, Map, Node};

/// An item without `step`, `parallel` or `stage`.
pub(super) fn no_item(map: &Map, node: &Node, report: &mut Report) {
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
pub(super) fn beside(map: &Map, kind: &Entry, report: &mut Report) -> Option<()> {
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
pub(super) fn refuse_manual(node: &Node, report: &mut Report) {
    if let Some(map) = node.as_map()
        && let Some(trigger) = map.get("trigger")
        && trigger.value.as_string() == Some("manual")
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
