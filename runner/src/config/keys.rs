//! Every key that `runner.toml` may have. What the file's reader takes, what it proposes for a mistyped key, and what
//! `docs/ceiling.md` and `docs/operator.md` describe are held to this one list by tests.

use std::ops::Range;

use super::document::{Entry, Report, Table};
use crate::ceiling::{ExecutorKind, LIMITS, NOT_HELD};

/// Keys that are not about the ceiling, and the tables that they stand in.
const RUNNER_KEYS: [&str; 6] = [
    "slots",
    "git",
    "git.file_roots",
    "container",
    "container.engine",
    "container.network",
];

/// A key of `[trusted]` and `[untrusted]`, and what counts where it is not written.
#[derive(Clone, Copy, Debug)]
pub struct LevelKey {
    /// Its name.
    pub name: &'static str,
    /// In `[trusted]`, as it would be written; empty where it cannot be.
    pub trusted: &'static str,
    /// In `[untrusted]`; `None`: as `[trusted]` has it.
    pub untrusted: Option<&'static str>,
}

/// The keys of a level, beside its limits.
pub const LEVEL_KEYS: [LevelKey; 15] = [
    key("executors", r#"["wasm", "script"]"#, Some(r#"["wasm"]"#)),
    key("isolation", r#""best""#, Some(r#""strict""#)),
    key("read", r#""any""#, None),
    key("write", r#""any""#, None),
    key("host_read", "[]", Some("[]")),
    key("host_write", "[]", Some("[]")),
    key("hosts", r#""any""#, Some("[]")),
    key("private_ranges", "[]", Some("[]")),
    key("registries", r#""any""#, Some("[]")),
    key("images", r#""any""#, None),
    key("script_network", "true", Some("false")),
    key("rootful_engine", "true", Some("false")),
    key("repositories", r#""any""#, None),
    key("repository_names", r#""any""#, None),
    key("push_keys", "", None),
];

const fn key(
    name: &'static str,
    trusted: &'static str,
    untrusted: Option<&'static str>,
) -> LevelKey {
    LevelKey {
        name,
        trusted,
        untrusted,
    }
}

/// The tables that are levels.
pub(super) const LEVELS: [&str; 2] = ["trusted", "untrusted"];

/// Every key and table that the file may have, with the names of its tables.
pub fn keys() -> Vec<String> {
    let mut keys: Vec<String> = RUNNER_KEYS.map(str::to_owned).into();
    for level in LEVELS {
        keys.push(level.to_owned());
        let of_members = level == LEVELS[0];
        let names = LEVEL_KEYS.iter().map(|key| key.name);
        let names = names.filter(|name| of_members || *name != "push_keys");
        keys.extend(names.map(|name| format!("{level}.{name}")));
        keys.push(format!("{level}.limits"));
        for executor in [ExecutorKind::Wasm, ExecutorKind::Script] {
            keys.push(format!("{level}.limits.{executor}"));
        }
        for kind in &LIMITS {
            let (executor, name) = (kind.executor, kind.name.name());
            keys.push(format!("{level}.limits.{executor}.{name}"));
        }
    }
    keys
}

/// Letters that may be wrong in a key for it to count as a slip of the fingers.
const EDITS_MAX: usize = 2;

/// Notes each key of the file that means nothing.
pub(super) fn check(root: &Table<'_, '_>, report: &mut Report<'_>) {
    check_below(root, &keys(), report);
}

fn check_below(table: &Table<'_, '_>, keys: &[String], report: &mut Report<'_>) {
    for entry in table.entries() {
        if !keys.contains(&entry.path) {
            unknown(&entry, keys, report);
            continue;
        }
        let prefix = format!("{}.", entry.path);
        let is_table = keys.iter().any(|key| key.starts_with(&prefix));
        if is_table
            && entry.is_table()
            && let Some(table) = entry.table(report)
        {
            check_below(&table, keys, report);
        }
    }
}

fn unknown(entry: &Entry<'_, '_>, keys: &[String], report: &mut Report<'_>) {
    let (parent, name) = entry.path.rsplit_once('.').unwrap_or(("", &entry.path));
    let at: &Range<usize> = &entry.at;
    let executor = parent.rsplit_once("limits.").map(|(_, executor)| executor);
    let not_held = NOT_HELD
        .iter()
        .find(|(of, limit, _)| Some(of.name()) == executor && *limit == name);
    if let Some((_, _, why)) = not_held {
        let message = format!("`{}` cannot be held: {why}", entry.path);
        report.error("not-held", at, message, Some("leave it out".to_owned()));
        return;
    }
    if parent == LEVELS[1] && name == "push_keys" {
        let message =
            "`push_keys` counts for trusted builds only: no stranger's push is signed by a member";
        let help = Some("write it below `[trusted]`".to_owned());
        report.error("unknown-key", at, message, help);
        return;
    }
    let message = format!("there is no key `{}`", entry.path);
    report.error("unknown-key", at, message, Some(meant(parent, name, keys)));
}

/// What somebody perhaps meant who wrote `name` in the table `parent`: a key of that table that looks alike, else the same
/// key of another table, else a list of what there is.
fn meant(parent: &str, name: &str, keys: &[String]) -> String {
    let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    let siblings: Vec<&String> = keys
        .iter()
        .filter(|key| key.rsplit_once('.').map_or("", |(table, _)| table) == parent)
        .collect();
    let nearest = |among: &mut dyn Iterator<Item = &String>| {
        among
            .map(|key| (edits(&last(key), name), key.clone()))
            .filter(|(edits, _)| *edits <= EDITS_MAX.min(name.len().saturating_sub(1)))
            .min()
    };
    if let Some((_, key)) = nearest(&mut siblings.iter().copied()) {
        return format!("did you mean `{key}`?");
    }
    match nearest(&mut keys.iter()) {
        Some((0, key)) => match key.rsplit_once('.') {
            Some((table, name)) => format!("`{name}` belongs below `[{table}]`"),
            None => format!("`{key}` belongs above the first `[`"),
        },
        Some((_, key)) => format!("did you mean `{key}`?"),
        None => {
            let names: Vec<String> = siblings.into_iter().map(|key| last(key)).collect();
            format!("there are {}", names.join(", "))
        }
    }
}

/// How many letters have to be put in, taken out or replaced to make one word of the other (Levenshtein's distance).
fn edits(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, left) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, right) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
