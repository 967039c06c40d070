//! What must be there beside a file: variables, and what Bitbucket keeps in its settings or lends to a build.
//!
//! From the tree of a file without errors to two lists. Only what a pipeline uses counts; a definition that nothing uses
//! needs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::names::{self, Origin};
use super::script::{Shell, Want};
use super::shell::{self, Word};
use super::{Elsewhere, ElsewhereKind, Need, VariableUse};
use crate::tree::{Entry, Map, Node, Value};

/// Variables that are told. A real file uses a dozen; a hostile one could make a page of a million.
const VARIABLES_MAX: usize = 2_000;

/// Things beside variables that are told, for the same reason.
const ELSEWHERE_MAX: usize = 2_000;

/// Sections whose pipelines a push or a person can start.
const SECTIONS: [&str; 4] = ["branches", "tags", "pull-requests", "custom"];

#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) variables: Vec<VariableUse>,
    pub(super) elsewhere: Vec<Elsewhere>,
}

/// Looks through the pipelines of a file that has no error.
pub(super) fn of_file(file: &Map) -> Inventory {
    let services = map_at(file, "definitions").and_then(|map| map_at(map, "services"));
    let services = services.map(|map| &map.entries).into_iter().flatten();
    let mut tour = Tour {
        file,
        services: services
            .filter_map(|entry| Some((&*entry.key, entry.value.as_map()?)))
            .collect(),
        variables: BTreeMap::new(),
        elsewhere: BTreeMap::new(),
        seen: BTreeSet::new(),
    };
    tour.pipelines();
    tour.into_inventory()
}

/// What is around a step.
#[derive(Debug, Clone, Copy, Default)]
struct Around<'f> {
    /// Variables that whoever starts the custom pipeline sets.
    custom: Option<&'f BTreeSet<&'f str>>,
    /// The environment that the stage deploys to.
    deployment: Option<&'f str>,
}

/// Everything that is known of a variable.
#[derive(Debug)]
struct Seen {
    lines: BTreeSet<u32>,
    need: Need,
    is_secret: bool,
    environments: BTreeSet<String>,
    /// A step uses it that deploys nowhere.
    is_used_outside: bool,
}

struct Tour<'f> {
    file: &'f Map,
    /// Those that are defined.
    services: BTreeMap<&'f str, &'f Map>,
    variables: BTreeMap<String, Seen>,
    elsewhere: BTreeMap<(ElsewhereKind, String), BTreeSet<u32>>,
    /// Steps that were looked at with nothing around them: one behind an alias is met again and again.
    seen: BTreeSet<*const Node>,
}

impl<'f> Tour<'f> {
    fn pipelines(&mut self) {
        let Some(pipelines) = map_at(self.file, "pipelines") else {
            return;
        };
        if let Some(default) = pipelines.get("default") {
            self.pipeline(&default.value);
        }
        for section in SECTIONS {
            for entry in map_at(pipelines, section)
                .map(|map| &map.entries)
                .into_iter()
                .flatten()
            {
                if section == "custom" {
                    self.note(ElsewhereKind::Custom, &entry.key, entry.key_span.line);
                }
                self.pipeline(&entry.value);
            }
        }
        if let Some(options) = map_at(self.file, "options") {
            self.labels(options);
            if let Some(docker) = options.get("docker").filter(|entry| is_true(entry)) {
                self.note(ElsewhereKind::ContainerEngine, "", docker.key_span.line);
            }
        }
    }

    fn pipeline(&mut self, items: &'f Node) {
        let items = items.as_list().unwrap_or_default();
        let named = items
            .iter()
            .filter_map(|item| item.as_map()?.get("variables")?.value.as_list())
            .flatten();
        let custom: BTreeSet<&str> = named
            .filter_map(|variable| variable.as_map()?.get("name")?.value.as_text())
            .collect();
        // The names are borrowed for this pipeline only; what is kept of a step owns its texts.
        let around = Around {
            custom: Some(&custom).filter(|custom| !custom.is_empty()),
            deployment: None,
        };
        for item in items {
            if let Some(map) = item.as_map() {
                self.item(map, around);
            }
        }
    }

    fn item(&mut self, item: &Map, around: Around<'_>) {
        for entry in &item.entries {
            match &*entry.key {
                "step" | "final" => self.step(&entry.value, around),
                "parallel" => {
                    let steps = match entry.value.as_map() {
                        Some(map) => map.get("steps").map(|entry| &entry.value),
                        None => Some(&entry.value),
                    };
                    self.steps(steps, around);
                }
                "stage" => {
                    let Some(stage) = entry.value.as_map() else {
                        continue;
                    };
                    let around = Around {
                        deployment: self.deployment(stage),
                        ..around
                    };
                    self.steps(stage.get("steps").map(|entry| &entry.value), around);
                }
                _ => {}
            }
        }
    }

    fn steps(&mut self, steps: Option<&Rc<Node>>, around: Around<'_>) {
        for item in steps.and_then(|steps| steps.as_list()).unwrap_or_default() {
            if let Some(map) = item.as_map() {
                self.item(map, around);
            }
        }
    }

    fn step(&mut self, node: &Node, around: Around<'_>) {
        let Some(step) = node.as_map() else {
            return;
        };
        let is_alone = around.custom.is_none() && around.deployment.is_none();
        if is_alone && !self.seen.insert(std::ptr::from_ref(node)) {
            return;
        }
        let around = Around {
            deployment: self.deployment(step).or(around.deployment),
            ..around
        };
        self.labels(step);
        if let Some(oidc) = step.get("oidc").filter(|entry| is_true(entry)) {
            self.note(ElsewhereKind::Oidc, "", oidc.key_span.line);
        }
        if let Some(wasm) = map_at(step, "wasm") {
            self.wasm(wasm, around);
            return;
        }
        if let Some(image) = step.get("image").or_else(|| self.file.get("image")) {
            self.image(&image.value, around);
        }
        for name in texts(step.get("services")) {
            self.service(name, around);
        }
        for key in ["script", "after-script"] {
            if let Some(entry) = step.get(key) {
                self.script(&entry.value, around);
            }
        }
    }

    fn script(&mut self, lines: &Node, around: Around<'_>) {
        let mut shell = Shell::default();
        for item in lines.as_list().unwrap_or_default() {
            match &item.value {
                Value::Scalar(scalar) => shell.take(&scalar.text, item.span.line),
                Value::Map(map) => self.pipe(map, around),
                Value::List(_) => {}
            }
        }
        let (wants, runs) = shell.end();
        for want in wants {
            self.want(want, false, around);
        }
        for (program, line) in runs {
            let name = program.rsplit('/').next().unwrap_or_default();
            match name {
                "ssh" | "scp" | "sftp" | "rsync" => self.note(ElsewhereKind::SshKey, "", line),
                "docker" | "docker-compose" => self.note(ElsewhereKind::ContainerEngine, "", line),
                _ => {}
            }
        }
    }

    fn pipe(&mut self, map: &Map, around: Around<'_>) {
        if let Some((entry, name)) = map
            .get("pipe")
            .and_then(|entry| Some((entry, entry.value.as_text()?)))
        {
            self.note(ElsewhereKind::Pipe, name, entry.key_span.line);
        }
        for entry in map_at(map, "variables")
            .map(|map| &map.entries)
            .into_iter()
            .flatten()
        {
            self.texts_below(&entry.value, names::is_secret(&entry.key), around);
        }
    }

    fn service(&mut self, name: &Node, around: Around<'_>) {
        let Some(text) = name.as_text() else {
            return;
        };
        let definition = self.services.get(text).copied();
        let is_engine = text == "docker"
            || definition
                .and_then(|definition| definition.get("type"))
                .is_some_and(|entry| entry.value.as_text() == Some("docker"));
        if is_engine {
            self.note(ElsewhereKind::ContainerEngine, "", name.span.line);
            return;
        }
        self.note(ElsewhereKind::Service, text, name.span.line);
        let Some(definition) = definition else {
            return;
        };
        if let Some(image) = definition.get("image") {
            self.image(&image.value, around);
        }
        for entry in map_at(definition, "variables")
            .map(|map| &map.entries)
            .into_iter()
            .flatten()
        {
            self.texts_below(&entry.value, names::is_secret(&entry.key), around);
        }
    }

    /// A name, or a mapping with credentials.
    fn image(&mut self, image: &Node, around: Around<'_>) {
        match &image.value {
            Value::Scalar(_) => self.texts_below(image, false, around),
            Value::Map(map) => {
                for entry in &map.entries {
                    let is_secret = matches!(&*entry.key, "password" | "aws");
                    self.texts_below(&entry.value, is_secret, around);
                }
            }
            Value::List(_) => {}
        }
    }

    fn wasm(&mut self, wasm: &Map, around: Around<'_>) {
        for key in ["args", "env"] {
            let values = wasm.get(key).map(|entry| &*entry.value);
            for node in values.into_iter().flat_map(children) {
                // No variable is expanded there but a value that is exactly one.
                let text = node.as_text().unwrap_or_default();
                let bare = text
                    .trim_start_matches("${")
                    .trim_start_matches('$')
                    .trim_end_matches('}');
                if text == format!("${bare}") || text == format!("${{{bare}}}") {
                    self.texts_below(node, false, around);
                }
            }
        }
        let secrets = map_at(wasm, "grants").and_then(|grants| grants.get("secrets"));
        for node in texts(secrets) {
            let name = match node.as_map() {
                Some(map) => map.get("file").and_then(|entry| entry.value.as_text()),
                None => node.as_text(),
            };
            if let Some(name) = name {
                let want = Want {
                    name: name.to_owned(),
                    line: node.span.line,
                    need: Need::Must,
                };
                self.want(want, true, around);
            }
        }
    }

    /// The variables in all texts of a value.
    fn texts_below(&mut self, node: &Node, is_secret: bool, around: Around<'_>) {
        match &node.value {
            Value::Scalar(scalar) => {
                let mut wants = Vec::new();
                shell::expansions(&scalar.text, &mut |word| {
                    if let Word::Read {
                        name, lines_before, ..
                    } = word
                    {
                        wants.push(Want {
                            name: name.to_owned(),
                            line: node.span.line.saturating_add(lines_before),
                            need: Need::Must,
                        });
                    }
                });
                for want in wants {
                    self.want(want, is_secret, around);
                }
            }
            Value::List(_) | Value::Map(_) => {
                for child in children(node) {
                    self.texts_below(child, is_secret, around);
                }
            }
        }
    }

    fn deployment<'s>(&mut self, step: &'s Map) -> Option<&'s str> {
        let entry = step.get("deployment").or_else(|| step.get("environment"))?;
        let environment = entry.value.as_text()?;
        self.note(
            ElsewhereKind::DeploymentEnvironment,
            environment,
            entry.key_span.line,
        );
        Some(environment)
    }

    fn labels(&mut self, step: &Map) {
        for label in texts(step.get("runs-on")) {
            if let Some(text) = label.as_text() {
                self.note(ElsewhereKind::RunnerLabel, text, label.span.line);
            }
        }
    }

    fn note(&mut self, kind: ElsewhereKind, name: &str, line: u32) {
        let key = (kind, name.to_owned());
        if self.elsewhere.len() < ELSEWHERE_MAX || self.elsewhere.contains_key(&key) {
            self.elsewhere.entry(key).or_default().insert(line);
        }
    }

    fn want(&mut self, want: Want, is_secret: bool, around: Around<'_>) {
        let Want { name, line, need } = want;
        if around
            .custom
            .is_some_and(|custom| custom.contains(name.as_str()))
        {
            return;
        }
        let need = match (names::origin(&name), need) {
            (Origin::Here, _) => return,
            (Origin::Bitbucket, _) => {
                return self.note(ElsewhereKind::BitbucketVariable, &name, line);
            }
            (Origin::Image, Need::Must) => Need::OfImages,
            (Origin::Image | Origin::Person, need) => need,
        };
        if self.variables.len() >= VARIABLES_MAX && !self.variables.contains_key(&name) {
            return;
        }
        let is_secret = is_secret || names::is_secret(&name);
        let seen = self.variables.entry(name).or_insert_with(|| Seen {
            lines: BTreeSet::new(),
            need,
            is_secret,
            environments: BTreeSet::new(),
            is_used_outside: false,
        });
        seen.lines.insert(line);
        // The use that is least excused decides.
        seen.need = seen.need.min(need);
        seen.is_secret |= is_secret;
        match around.deployment {
            Some(environment) => drop(seen.environments.insert(environment.to_owned())),
            None => seen.is_used_outside = true,
        }
    }

    fn into_inventory(self) -> Inventory {
        let variables = self.variables.into_iter().map(|(name, seen)| {
            let Seen {
                lines,
                need,
                is_secret,
                environments,
                is_used_outside,
            } = seen;
            VariableUse {
                name,
                is_secret,
                need,
                environments: if is_used_outside {
                    Vec::new()
                } else {
                    environments.into_iter().collect()
                },
                lines: lines.into_iter().collect(),
            }
        });
        let elsewhere = self
            .elsewhere
            .into_iter()
            .map(|((kind, name), lines)| Elsewhere {
                kind,
                name,
                lines: lines.into_iter().collect(),
            });
        Inventory {
            variables: variables.collect(),
            elsewhere: elsewhere.collect(),
        }
    }
}

fn map_at<'m>(map: &'m Map, key: &str) -> Option<&'m Map> {
    map.get(key)?.value.as_map()
}

fn is_true(entry: &Entry) -> bool {
    entry.value.as_bool() == Some(true)
}

/// The items of a list, or the one value that stands in its place.
fn texts(entry: Option<&Entry>) -> impl Iterator<Item = &Node> {
    let nodes = entry.map(|entry| match &entry.value.value {
        Value::List(items) => items.as_slice(),
        Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(&entry.value),
    });
    nodes.unwrap_or_default().iter().map(|node| &**node)
}

/// The values below a list or mapping.
fn children(node: &Node) -> Vec<&Node> {
    match &node.value {
        Value::Scalar(_) => Vec::new(),
        Value::List(items) => items.iter().map(|item| &**item).collect(),
        Value::Map(map) => map.entries.iter().map(|entry| &*entry.value).collect(),
    }
}
