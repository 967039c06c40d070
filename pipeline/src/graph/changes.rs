//! Whether the changed files meet the condition of a step.
//!
//! A condition that cannot be decided counts as met, with a warning, because running a step too often is the smaller
//! mistake.
//! <https://support.atlassian.com/bitbucket-cloud/docs/step-options/>

use std::collections::BTreeMap;

use crate::diagnostic::{Report, Span};
use crate::glob::Pattern;
use crate::plan::Condition;
use crate::push::ChangedFiles;

/// Pairs of a pattern's and a path's character that are compared for one build. About 50 ms; a push of a thousand files
/// and a condition of ten patterns take a hundredth of it.
const COMPARISONS_MAX: usize = 20_000_000;

pub(super) struct Changes<'a> {
    changed: ChangedFiles<'a>,
    /// Of all changed paths together.
    path_bytes: usize,
    comparisons: usize,
    /// Steps of one stage, and steps behind aliases, share their condition.
    decided: BTreeMap<(Vec<String>, Vec<String>), bool>,
}

impl<'a> Changes<'a> {
    pub(super) fn new(changed: ChangedFiles<'a>) -> Self {
        let path_bytes = match changed {
            ChangedFiles::Known(files) => files.iter().map(|file| file.len() + 1).sum(),
            ChangedFiles::Unknown => 0,
        };
        Self {
            changed,
            path_bytes,
            comparisons: 0,
            decided: BTreeMap::new(),
        }
    }

    /// Why a step with this condition is skipped; `None` if it runs.
    pub(super) fn skip(&mut self, condition: &Condition, report: &mut Report) -> Option<String> {
        let ChangedFiles::Known(files) = self.changed else {
            let why = "the changed files are not known, so the condition counts as met";
            report.warning("condition-unknown", Span::at_line(condition.line), why);
            return None;
        };
        let key = (condition.include.clone(), condition.exclude.clone());
        let is_met = if let Some(&is_met) = self.decided.get(&key) {
            is_met
        } else {
            let patterns = condition.include.iter().chain(&condition.exclude);
            let pattern_bytes: usize = patterns.map(|pattern| pattern.len() + 1).sum();
            self.comparisons = self
                .comparisons
                .saturating_add(pattern_bytes.saturating_mul(self.path_bytes));
            if self.comparisons > COMPARISONS_MAX {
                let why =
                    "too many files changed for this many patterns, so the condition counts as met";
                report.warning("condition-unknown", Span::at_line(condition.line), why);
                return None;
            }
            let is_met = is_met(condition, files);
            self.decided.insert(key, is_met);
            is_met
        };
        let why = || {
            format!(
                "No changed file meets the condition in line {}.",
                condition.line
            )
        };
        (!is_met).then(why)
    }
}

fn is_met(condition: &Condition, files: &[String]) -> bool {
    let compiled = |patterns: &[String]| -> Vec<Pattern> {
        patterns.iter().map(|text| Pattern::new(text)).collect()
    };
    let matches =
        |patterns: &[Pattern], file: &str| patterns.iter().any(|pattern| pattern.matches(file));
    let (include, exclude) = (compiled(&condition.include), compiled(&condition.exclude));
    files
        .iter()
        .any(|file| (include.is_empty() || matches(&include, file)) && !matches(&exclude, file))
}
