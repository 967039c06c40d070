//! What a step's log says of its artifacts and caches.

use jiff::Timestamp;

use crate::keep::Captured;
use crate::keep::artifact::{Capture, Laid, Unmatched};
use crate::keep::glob::PatternFault;
use crate::text::printable;
use crate::view::{count, size};

/// Lines of patterns that matched nothing and of files that were passed over; the rest are counted.
const LINES_MAX: usize = 10;

pub(super) fn name(text: &str) -> String {
    format!("`{}`", printable(text))
}

pub(super) fn laid(laid: Laid) -> String {
    amount(laid.files, laid.bytes)
}

pub(super) fn captured(captured: &Captured) -> String {
    amount(captured.files, captured.bytes)
}

pub(super) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

pub(super) fn bad_pattern(pattern: &str, fault: PatternFault) -> String {
    format!("the pattern {}: {fault}", name(pattern))
}

/// What became of one artifact.
pub(super) fn capture(artifact: Option<&str>, capture: &Capture) -> Vec<String> {
    let what = match artifact {
        Some(artifact) => format!("the artifact {}", name(artifact)),
        None => "artifacts".to_owned(),
    };
    let Capture {
        captured: kept,
        unmatched,
    } = capture;
    let mut lines = Vec::new();
    if kept.entries() == 0 {
        lines.push(format!("{what}: there is nothing to keep"));
    } else {
        lines.push(format!("{what}: {}", captured(kept)));
    }
    lines.extend(unmatched.iter().take(LINES_MAX).map(unmatched_line));
    lines.extend(more(unmatched.len() as u64, "patterns that match nothing"));
    let named = kept.skipped.named.iter().take(LINES_MAX);
    lines.extend(named.map(|skipped| {
        let path = name(&skipped.path.to_string());
        format!("left out {path}: {}", skipped.why)
    }));
    lines.extend(more(kept.skipped.count, "entries that are not kept"));
    lines
}

fn unmatched_line(unmatched: &Unmatched) -> String {
    let pattern = name(&unmatched.pattern);
    if unmatched.is_directory {
        let all = name(&format!("{}/**", unmatched.pattern.trim_end_matches('/')));
        format!("{pattern} matches no file; it is a directory, all of which is {all}")
    } else {
        format!("{pattern} matches no file")
    }
}

fn more(count: u64, what: &str) -> Option<String> {
    let more = count.checked_sub(LINES_MAX as u64)?;
    (more > 0).then(|| format!("… and {more} more {what}"))
}

fn amount(files: u64, bytes: u64) -> String {
    let files = count(usize::try_from(files).unwrap_or(usize::MAX), "file");
    format!("{files}, {}", size(bytes))
}
