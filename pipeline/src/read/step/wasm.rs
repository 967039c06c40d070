//! The `wasm` of a step: module, arguments, environment, limits.
//!
//! What a module may touch is read by `grants`. No variable is expanded here; a value that is exactly one variable will be,
//! and until then makes the step unsupported.

mod grants;

use std::collections::BTreeMap;

use super::super::shape::{self, Lacking};
use super::super::values;
use crate::diagnostic::{Report, Span, quote};
use crate::plan::{GrantRequest, LimitRequest, ModuleRef, WasmStep};
use crate::tree::{Entry, Map, Node, Value};

/// Hexadecimal digits of a SHA-256.
const SHA256_DIGITS: usize = 64;

/// Longest name of a first-party step, and of a step that made an artifact. Both are names that people type.
const STEP_NAME_CHARS_MAX: usize = 200;

/// Reads the value of a `wasm` key.
pub(super) fn read(entry: &Entry, lacking: &mut Lacking, report: &mut Report) -> Option<WasmStep> {
    let Value::Map(map) = &entry.value.value else {
        let message = format!(
            "`wasm` is a mapping, and this is {}",
            entry.value.described()
        );
        report
            .error("wrong-kind", entry.key_span, message)
            .help("write `module: ./PATH.wasm` below it");
        return None;
    };
    shape::keys(map, "wasm", lacking, report);
    let Some(module) = map.get("module") else {
        report
            .error("no-module", entry.key_span, "this `wasm` has no `module`")
            .help("write `module: ./PATH.wasm` or `module: step:NAME`");
        return None;
    };
    let args = map.get("args").map(|entry| args(entry, lacking, report));
    let env = map
        .get("env")
        .map(|entry| environment(entry, lacking, report));
    let grants = match map.get("grants") {
        Some(entry) => grants::read(entry, lacking, report),
        None => GrantRequest::default(),
    };
    let limits = map.get("limits").map(|entry| limits(entry, report));
    Some(WasmStep {
        module: module_ref(&module.value, lacking, report)?,
        module_line: module.value.span.line,
        args: args.unwrap_or_default(),
        env: env.unwrap_or_default(),
        grants,
        limits: limits.unwrap_or_default(),
    })
}

fn module_ref(node: &Node, lacking: &mut Lacking, report: &mut Report) -> Option<ModuleRef> {
    if let Value::Map(map) = &node.value {
        return artifact(map, node.span, report);
    }
    let text = value(node, "a module", lacking, report)?;
    let named = if let Some(name) = text.strip_prefix("step:") {
        first_party(name)
    } else if let Some(reference) = text.strip_prefix("oci://") {
        oci(reference)
    } else if text.contains("://") {
        Err(
            "has a scheme that is not known; there is `oci://`, and a path such as `./ci/scan.wasm`",
        )
    } else {
        file(text).map(ModuleRef::Path)
    };
    named
        .map_err(|why| refuse("module", text, why, node.span, report))
        .ok()
}

fn first_party(name: &str) -> Result<ModuleRef, &'static str> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > STEP_NAME_CHARS_MAX || !name.bytes().all(is_allowed) {
        return Err("does not name a step: lower-case letters, digits and `-`");
    }
    Ok(ModuleRef::FirstParty(name.to_owned()))
}

fn oci(reference: &str) -> Result<ModuleRef, &'static str> {
    let (repository, sha256) = reference
        .split_once("@sha256:")
        .ok_or("names no digest; a tag may change, so write `@sha256:…`")?;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if sha256.len() != SHA256_DIGITS || !sha256.bytes().all(is_digit) {
        return Err("has a digest that is not 64 lower-case hexadecimal digits");
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte);
    let is_repository = repository.bytes().all(is_allowed)
        && repository.split('/').count() > 1
        && repository
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with(['.', '-']));
    if !is_repository {
        return Err("does not name a registry and a repository");
    }
    Ok(ModuleRef::Oci {
        repository: repository.to_owned(),
        sha256: sha256.to_owned(),
    })
}

fn file(text: &str) -> Result<String, &'static str> {
    let path = values::workspace_path(text)?;
    if path == "." {
        return Err("does not name a file");
    }
    Ok(path)
}

fn artifact(map: &Map, span: Span, report: &mut Report) -> Option<ModuleRef> {
    shape::keys(map, "module", &mut Lacking::default(), report);
    let (Some(path), Some(from)) = (map.get("artifact"), map.get("from")) else {
        report
            .error(
                "module",
                span,
                "a module in a mapping has `artifact` and `from`",
            )
            .help("write `{artifact: PATH, from: STEP}`");
        return None;
    };
    let text = shape::text(&path.value, "an artifact", report)?;
    let from_text = shape::text(&from.value, "a step's name", report)?;
    if from_text.chars().count() > STEP_NAME_CHARS_MAX || from_text.contains(char::is_control) {
        refuse(
            "from",
            from_text,
            "is not the name of a step",
            from.value.span,
            report,
        );
        return None;
    }
    match file(text) {
        Ok(path) => Some(ModuleRef::Artifact {
            path,
            from: from_text.to_owned(),
        }),
        Err(why) => {
            refuse("artifact", text, why, path.value.span, report);
            None
        }
    }
}

fn args(entry: &Entry, lacking: &mut Lacking, report: &mut Report) -> Vec<String> {
    let nodes = shape::list(&entry.value, "`args`", report).unwrap_or_default();
    let texts = nodes
        .iter()
        .filter_map(|node| any_text(node, "an argument", lacking, report));
    texts.map(str::to_owned).collect()
}

fn environment(
    entry: &Entry,
    lacking: &mut Lacking,
    report: &mut Report,
) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::new();
    let Some(map) = shape::map(&entry.value, "`env`", report) else {
        return environment;
    };
    for entry in &map.entries {
        let name = match values::variable_name(&entry.key) {
            Ok(name) => name,
            Err(why) => {
                refuse("env", &entry.key, why, entry.key_span, report);
                continue;
            }
        };
        if let Some(text) = any_text(&entry.value, "a value of `env`", lacking, report) {
            environment.insert(name, text.to_owned());
        }
    }
    environment
}

fn limits(entry: &Entry, report: &mut Report) -> LimitRequest {
    let mut limits = LimitRequest::default();
    let Some(map) = shape::map(&entry.value, "`limits`", report) else {
        return limits;
    };
    shape::keys(map, "limits", &mut Lacking::default(), report);
    let mut read = |name: &str, parse: fn(&str) -> Result<u64, &'static str>| {
        let entry = map.get(name)?;
        let text = shape::text(&entry.value, &quote(name), report)?;
        parse(text)
            .map_err(|why| refuse(name, text, why, entry.value.span, report))
            .ok()
    };
    limits.memory_bytes = read("memory", values::size_bytes);
    limits.time_secs = read("time", values::time_secs);
    limits.output_bytes = read("output", values::size_bytes);
    limits.disk_bytes = read("disk", values::size_bytes);
    limits
}

/// A text that may be empty.
fn any_text<'n>(
    node: &'n Node,
    what: &str,
    lacking: &mut Lacking,
    report: &mut Report,
) -> Option<&'n str> {
    if node.as_text() == Some("") {
        Some("")
    } else {
        value(node, what, lacking, report)
    }
}

/// A text as the file spells it. One that is exactly a variable is noted.
pub(super) fn value<'n>(
    node: &'n Node,
    what: &str,
    lacking: &mut Lacking,
    report: &mut Report,
) -> Option<&'n str> {
    let text = shape::text(node, what, report)?;
    if values::is_variable(text) {
        let why = "no variable is expanded here yet";
        lacking.note("a variable as a value below `wasm`", why, node.span, report);
    }
    Some(text)
}

/// Refuses a value, with the reason as the end of the sentence.
pub(super) fn refuse(key: &str, text: &str, why: &str, span: Span, report: &mut Report) {
    report.error("bad-value", span, format!("`{key}`: {} {why}", quote(text)));
}
