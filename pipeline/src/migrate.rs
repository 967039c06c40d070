//! What becomes of an existing file: what is honoured, what is not, and what must be set anew beside it.
//!
//! Stands beside the walk: it reads the same tree as [`resolve`](crate::resolve), for a person who moves from Bitbucket
//! instead of for a push. A script is looked at as text, never run, so what it says of variables is a good guess and no
//! proof. Values are absent: nothing here knows a secret.

mod advice;
mod inventory;
mod keys;
mod names;
mod script;
mod shell;

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Diagnostic, Report, Severity};
use crate::{read, syntax};
use inventory::Inventory;
use keys::Use;

/// Remarks of each severity that are kept. Nobody moves a file with more by hand.
const REMARKS_MAX: usize = 1_000;

/// What there is to know about moving a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Migration {
    /// As of [`resolve`](crate::resolve), but up to 1,000 of each severity. With an error among them the file is refused,
    /// and everything else here is empty.
    pub diagnostics: Vec<Diagnostic>,
    /// Keys that do here what they do there, in the order of their names.
    pub honoured: Vec<KeyUse>,
    /// What does not, in the order of the file.
    pub findings: Vec<Finding>,
    /// Variables that the file uses and does not set, by name.
    pub variables: Vec<VariableUse>,
    /// What Bitbucket keeps outside the file, or lends to it.
    pub elsewhere: Vec<Elsewhere>,
}

/// A key, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// `step.script`.
    pub key: String,
    /// From 1; ascending, each once.
    pub lines: Vec<u32>,
}

/// Something that is not honoured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub support: Support,
    /// A sentence without a full stop. May hold text of the file.
    pub what: String,
    /// What to do about it, if we know.
    pub advice: Option<String>,
    pub lines: Vec<u32>,
}

/// How far something is honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Support {
    /// It has no effect, or a part of it has none, and the build is right without.
    Partly,
    /// The step that uses it fails when its turn comes, as `unsupported`.
    Unsupported,
}

/// A variable that a file uses and nothing that we know of sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableUse {
    pub name: String,
    /// By its name, or by its use, it should be kept as a secret.
    pub is_secret: bool,
    pub need: Need,
    /// If only steps that deploy use it: the environments that they deploy to. It may have a value for each.
    pub environments: Vec<String>,
    pub lines: Vec<u32>,
}

/// Whether somebody has to set a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    Must,
    /// Every use of it says what holds without it: `${NAME:-default}`.
    HasDefault,
    /// The same script sets it, behind its first use.
    SetLater,
    /// The script reads another file first, which may set it.
    MayBeIncluded,
    /// Images often set it.
    OfImages,
}

/// Something that is not in the file and must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    pub kind: ElsewhereKind,
    /// As the file spells it. Empty where there is only one of the kind.
    pub name: String,
    pub lines: Vec<u32>,
}

/// What Bitbucket keeps in its settings, or lends to a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ElsewhereKind {
    DeploymentEnvironment,
    RunnerLabel,
    /// A key and known hosts, which Bitbucket gives to every step.
    SshKey,
    /// A token by which other clouds know the step.
    Oidc,
    /// A container beside the step.
    Service,
    /// A container engine that scripts call.
    ContainerEngine,
    /// A program of others, from their registry.
    Pipe,
    /// A variable that Bitbucket sets and we do not.
    BitbucketVariable,
    /// A pipeline that somebody or a schedule starts.
    Custom,
}

/// Looks through a file. Any bytes at all; never panics; time and memory are bounded as those of
/// [`resolve`](crate::resolve). The same file gives the same answer.
pub fn migrate(source: &[u8]) -> Migration {
    let mut report = Report::with_room(REMARKS_MAX);
    let root = syntax::read(source, &mut report);
    read::file(root.as_deref(), &mut report);
    let is_refused = report.has_errors();
    let diagnostics = report.into_diagnostics();
    let Some(map) = root
        .as_deref()
        .and_then(|root| root.as_map())
        .filter(|_| !is_refused)
    else {
        return Migration {
            diagnostics,
            ..Migration::default()
        };
    };
    let keys = keys::of_file(map);
    let Inventory {
        variables,
        elsewhere,
    } = inventory::of_file(map);
    Migration {
        honoured: honoured(&keys),
        findings: findings(&diagnostics, &keys),
        variables,
        elsewhere,
        diagnostics,
    }
}

fn honoured(keys: &keys::Uses) -> Vec<KeyUse> {
    let mut lines: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for (span, Use { key, is_honoured }) in keys {
        if *is_honoured {
            let name = match key.place {
                "file" => key.name.to_owned(),
                place => format!("{place}.{}", key.name),
            };
            lines.entry(name).or_default().insert(span.line);
        }
    }
    let of_key = |(key, lines): (String, BTreeSet<u32>)| KeyUse {
        key,
        lines: lines.into_iter().collect(),
    };
    lines.into_iter().map(of_key).collect()
}

/// The warnings, those of the same words together.
fn findings(diagnostics: &[Diagnostic], keys: &keys::Uses) -> Vec<Finding> {
    let mut places: BTreeMap<(&str, Support), usize> = BTreeMap::new();
    let mut findings: Vec<Finding> = Vec::new();
    for remark in diagnostics {
        if remark.severity == Severity::Error {
            continue;
        }
        let support = match remark.code {
            "unsupported" => Support::Unsupported,
            _ => Support::Partly,
        };
        let place = *places
            .entry((&remark.message, support))
            .or_insert(findings.len());
        if place == findings.len() {
            let of_key = keys
                .get(&remark.span)
                .and_then(|found| advice::of_key(found.key))
                .or_else(|| advice::of_value(&remark.message));
            // That the step fails is said by the finding's support.
            let own = remark.help.clone().filter(|_| support == Support::Partly);
            findings.push(Finding {
                support,
                what: remark.message.clone(),
                advice: of_key.map(str::to_owned).or(own),
                lines: Vec::new(),
            });
        }
        let lines = &mut findings[place].lines;
        if lines.last() != Some(&remark.span.line) {
            lines.push(remark.span.line);
        }
    }
    findings
}
