//! How often a step is tried again, and after what.
//!
//! `retry` is our own key. A file of another system may have one of its own, so only a mapping is taken for ours.

use std::collections::BTreeSet;

use super::super::shape::{self, Lacking};
use crate::diagnostic::Report;
use crate::plan::{RetryCause, RetryRequest};
use crate::tree::{Entry, Node};

/// More tries than this only delay the bad news.
const RETRIES_MAX: u64 = 10;

/// Reads the value of a `retry` key.
pub(super) fn read(entry: &Entry, report: &mut Report) -> RetryRequest {
    let mut retry = RetryRequest::default();
    let Some(map) = entry.value.as_map() else {
        let message = "`retry` is a mapping; this one is ignored";
        report
            .warning("retry", entry.key_span, message)
            .help("write `retry: {max: 2, on: [lost, infrastructure]}`");
        return retry;
    };
    shape::keys(map, "retry", &mut Lacking::default(), report);
    if let Some(max) = map.get("max") {
        let number = max.value.as_whole().filter(|&max| max <= RETRIES_MAX);
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
