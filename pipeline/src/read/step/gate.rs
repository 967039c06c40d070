//! What a step or a stage waits for: a person, changed files, other builds.
//!
//! Both have the same keys. The table has checked the forms.

use super::super::definitions::texts;
use crate::diagnostic::Report;
use crate::plan::{ConcurrencyGroup, Condition, Deployment};
use crate::tree::{Entry, Map};

/// Patterns of one condition, and characters of each. They are tried against every changed file.
const PATTERNS_MAX: usize = 100;
const PATTERN_CHARS_MAX: usize = 250;

/// The line that makes a step or stage wait for a person.
/// <https://support.atlassian.com/bitbucket-cloud/docs/pipeline-triggers/>
pub(in super::super) fn is_manual(map: &Map) -> Option<u32> {
    let trigger = map.get("trigger")?;
    (trigger.value.as_string() == Some("manual")).then_some(trigger.key_span.line)
}

/// <https://support.atlassian.com/bitbucket-cloud/docs/set-up-and-monitor-deployments/>
pub(in super::super) fn deployment(map: &Map) -> Option<Deployment> {
    let entry = map.get("deployment").or_else(|| map.get("environment"))?;
    Some(Deployment {
        environment: entry.value.as_string()?.to_owned(),
        line: entry.key_span.line,
    })
}

pub(super) fn concurrency_group(map: &Map) -> Option<ConcurrencyGroup> {
    let entry = map.get("concurrency-group")?;
    Some(ConcurrencyGroup {
        name: entry.value.as_string()?.to_owned(),
        line: entry.key_span.line,
    })
}

/// The changed files that a step or stage asks for.
pub(in super::super) fn condition(map: &Map, report: &mut Report) -> Option<Condition> {
    let condition = map.get("condition")?;
    let changesets = condition.value.as_map()?.get("changesets")?;
    let map = changesets.value.as_map()?;
    let mut patterns = |key: &str| {
        map.get(key)
            .map(|entry| bounded(entry, report))
            .unwrap_or_default()
    };
    let condition = Condition {
        include: patterns("includePaths"),
        exclude: patterns("excludePaths"),
        line: changesets.key_span.line,
    };
    let is_empty = condition.include.is_empty() && condition.exclude.is_empty();
    (!is_empty).then_some(condition)
}

fn bounded(entry: &Entry, report: &mut Report) -> Vec<String> {
    let patterns = texts(entry);
    let is_long = |pattern: &String| pattern.chars().count() > PATTERN_CHARS_MAX;
    if patterns.len() > PATTERNS_MAX || patterns.iter().any(is_long) {
        let message = format!(
            "a condition has at most {PATTERNS_MAX} patterns of {PATTERN_CHARS_MAX} characters"
        );
        report.error("too-many-patterns", entry.key_span, message);
        return Vec::new();
    }
    patterns
}
