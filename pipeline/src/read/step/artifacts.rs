//! The artifacts of a step, in all three forms of the language.
//!
//! The table has checked the forms; what has another was reported and is left out.

use super::super::definitions::texts;
use crate::diagnostic::{Report, quote};
use crate::plan::{ArtifactKind, ArtifactUpload, Artifacts, CaptureOn, Download};
use crate::tree::{Entry, Map};

/// Reads the value of an `artifacts` key.
pub(super) fn read(entry: &Entry, report: &mut Report) -> Artifacts {
    let mut artifacts = Artifacts::default();
    match entry.value.as_map() {
        None => artifacts.upload.extend(plain(entry, report)),
        Some(map) => {
            if let Some(paths) = map.get("paths") {
                artifacts.upload.extend(plain(paths, report));
            }
            if let Some(upload) = map.get("upload") {
                uploads(upload, &mut artifacts.upload, report);
            }
            if let Some(download) = map.get("download") {
                artifacts.download = match download.value.as_bool() {
                    Some(true) => Download::All,
                    Some(false) => Download::Nothing,
                    None => Download::Named(texts(download)),
                };
            }
        }
    }
    artifacts
}

fn uploads(entry: &Entry, into: &mut Vec<ArtifactUpload>, report: &mut Report) {
    let items = entry.value.as_list().unwrap_or_default();
    let maps: Vec<&Map> = items.iter().filter_map(|item| item.as_map()).collect();
    if maps.is_empty() {
        into.extend(plain(entry, report));
        return;
    }
    for (map, item) in maps.into_iter().zip(items) {
        let text = |key: &str| map.get(key)?.value.as_string();
        let Some(mut upload) = map.get("paths").and_then(|paths| plain(paths, report)) else {
            continue;
        };
        upload.name = text("name").map(str::to_owned);
        upload.ignore_paths = map.get("ignore-paths").map(texts).unwrap_or_default();
        upload.kind = match text("type") {
            Some("scoped") => ArtifactKind::Scoped,
            Some("test-reports") => ArtifactKind::TestReports,
            _ => ArtifactKind::Shared,
        };
        upload.capture_on = match text("capture-on") {
            Some("failed") => CaptureOn::Failed,
            Some("always") => CaptureOn::Always,
            _ => CaptureOn::Success,
        };
        let depth = map.get("depth").and_then(|depth| depth.value.as_whole());
        upload.depth = depth.map(|depth| u32::try_from(depth).unwrap_or(u32::MAX));
        upload.line = item.span.line;
        into.push(upload);
    }
}

/// A list of patterns, kept if the step succeeds.
fn plain(entry: &Entry, report: &mut Report) -> Option<ArtifactUpload> {
    for node in entry.value.as_list().unwrap_or_default() {
        if let Some(text) = node.as_string()
            && (text.starts_with('/') || text.split('/').any(|part| part == ".."))
        {
            let message = format!(
                "{} leads out of the workspace and matches nothing",
                quote(text)
            );
            report
                .warning("artifact-path", node.span, message)
                .help("patterns of artifacts are relative to the repository's root");
        }
    }
    let paths = texts(entry);
    (!paths.is_empty()).then(|| ArtifactUpload {
        name: None,
        paths,
        ignore_paths: Vec::new(),
        kind: ArtifactKind::default(),
        capture_on: CaptureOn::default(),
        depth: None,
        line: entry.key_span.line,
    })
}
