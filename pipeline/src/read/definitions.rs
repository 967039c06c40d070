//! The caches and services that a file defines, and what a step that names one gets.
//!
//! A definition is written once and planned in every step that names it, so the sum is bounded here.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use super::image;
use super::shape::Lacking;
use crate::diagnostic::{Report, quote};
use crate::plan::{CachePlan, ServicePlan};
use crate::tree::{Entry, Map, Node};

/// Caches of one step. The language predefines nine, and every one costs a download.
const CACHES_MAX: usize = 50;

/// Bytes of definitions that are planned, over all steps of the file. The steps themselves have as much.
const PLANNED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a service gets if it says nothing.
/// <https://support.atlassian.com/bitbucket-cloud/docs/databases-and-service-containers/>
const SERVICE_MEMORY_MIB: u64 = 1024;

/// The caches that need no definition.
/// <https://support.atlassian.com/bitbucket-cloud/docs/cache-dependencies/>
const PREDEFINED: &[(&str, &str)] = &[
    ("composer", "~/.composer/cache"),
    ("dotnetcore", "~/.nuget/packages"),
    ("gradle", "~/.gradle/caches"),
    ("ivy2", "~/.ivy2/cache"),
    ("maven", "~/.m2/repository"),
    ("node", "node_modules"),
    ("pip", "~/.cache/pip"),
    ("sbt", "~/.sbt"),
];

#[derive(Debug, Default)]
pub(super) struct Definitions {
    caches: BTreeMap<String, Cache>,
    services: BTreeMap<String, Service>,
    planned_bytes: Cell<usize>,
}

#[derive(Debug)]
struct Cache {
    path: String,
    key_files: Vec<String>,
}

#[derive(Debug)]
struct Service {
    plan: ServicePlan,
    bytes: usize,
}

impl Definitions {
    /// Reads them from the value of `definitions`; what has not its form was reported and is left out.
    pub(super) fn read(map: &Map) -> Self {
        let below = |key: &str| {
            let entries = map.get(key).and_then(|entry| entry.value.as_map());
            entries
                .map(|map| map.entries.as_slice())
                .unwrap_or_default()
        };
        let caches = below("caches")
            .iter()
            .filter_map(|entry| Some((entry.key.to_string(), cache(&entry.value)?)));
        let services = below("services")
            .iter()
            .filter_map(|entry| Some((entry.key.to_string(), service(entry)?)));
        Self {
            caches: caches.collect(),
            services: services.collect(),
            planned_bytes: Cell::new(0),
        }
    }

    /// The caches that a step names.
    pub(super) fn caches(
        &self,
        entry: &Entry,
        lacking: &mut Lacking,
        report: &mut Report,
    ) -> Vec<CachePlan> {
        let mut seen = BTreeSet::new();
        let mut caches = Vec::new();
        for node in entry.value.as_list().unwrap_or_default() {
            let Some(name) = node.as_string() else {
                continue;
            };
            if !seen.insert(name) {
                continue;
            }
            if caches.len() >= CACHES_MAX {
                let message = format!("a step has at most {CACHES_MAX} caches");
                report.error("too-many", node.span, message);
                break;
            }
            let Some((path, key_files)) = self.cache(name) else {
                no_cache(name, node, lacking, report);
                continue;
            };
            let bytes = path.len() + key_files.iter().map(String::len).sum::<usize>();
            if !self.may_plan(bytes, node, report) {
                break;
            }
            caches.push(CachePlan {
                name: name.to_owned(),
                path: path.to_owned(),
                key_files: key_files.to_vec(),
                line: node.span.line,
            });
        }
        caches
    }

    fn cache(&self, name: &str) -> Option<(&str, &[String])> {
        if let Some(cache) = self.caches.get(name) {
            return Some((&cache.path, &cache.key_files));
        }
        let (_, path) = PREDEFINED.iter().find(|(known, _)| *known == name)?;
        Some((path, &[]))
    }

    /// The services that a step names.
    pub(super) fn services(&self, entry: &Entry, report: &mut Report) -> Vec<ServicePlan> {
        let mut services = Vec::new();
        for node in entry.value.as_list().unwrap_or_default() {
            let Some(name) = node.as_string() else {
                continue;
            };
            let defined = self.services.get(name);
            if defined.is_none() && name != "docker" {
                let message = format!("no service {} is defined", quote(name));
                report
                    .warning("unknown-service", node.span, message)
                    .help("define it below `definitions: services:`");
            }
            if !self.may_plan(defined.map_or(0, |service| service.bytes), node, report) {
                break;
            }
            let undefined = || ServicePlan {
                name: name.to_owned(),
                image: None,
                memory_mib: SERVICE_MEMORY_MIB,
                variables: BTreeMap::new(),
                line: 0,
            };
            services.push(ServicePlan {
                line: node.span.line,
                ..defined.map_or_else(undefined, |service| service.plan.clone())
            });
        }
        services
    }

    fn may_plan(&self, bytes: usize, node: &Node, report: &mut Report) -> bool {
        let planned = self.planned_bytes.get().saturating_add(bytes);
        self.planned_bytes.set(planned);
        if planned > PLANNED_BYTES_MAX {
            let message = format!(
                "written out in every step that names them, the definitions have more than {PLANNED_BYTES_MAX} bytes"
            );
            report.error("too-many-definitions", node.span, message);
        }
        planned <= PLANNED_BYTES_MAX
    }
}

fn no_cache(name: &str, node: &Node, lacking: &mut Lacking, report: &mut Report) {
    if name == "docker" {
        let why = "a script step has no container engine";
        lacking.note("the cache `docker`", why, node.span, report);
        return;
    }
    let message = format!("no cache {} is defined, and none is kept", quote(name));
    report
        .warning("unknown-cache", node.span, message)
        .help("define it below `definitions: caches:`");
}

fn cache(node: &Node) -> Option<Cache> {
    if let Some(path) = node.as_string() {
        return Some(Cache {
            path: path.to_owned(),
            key_files: Vec::new(),
        });
    }
    let map = node.as_map()?;
    let files = map
        .get("key")
        .and_then(|key| key.value.as_map()?.get("files"));
    Some(Cache {
        path: map.get("path")?.value.as_string()?.to_owned(),
        key_files: files.map(texts).unwrap_or_default(),
    })
}

/// The texts of a list.
pub(super) fn texts(entry: &Entry) -> Vec<String> {
    let items = entry.value.as_list().unwrap_or_default().iter();
    items
        .filter_map(|item| item.as_string().map(str::to_owned))
        .collect()
}

fn service(entry: &Entry) -> Option<Service> {
    let map = entry.value.as_map()?;
    // What an image lacks is said where `definitions` is held to the table; the step is unsupported by its services anyway.
    let image = map
        .get("image")
        .map(|image| image::read(image, &mut Report::default()).plan);
    let variables: BTreeMap<String, String> = map
        .get("variables")
        .and_then(|variables| variables.value.as_map())
        .map(|map| map.entries.as_slice())
        .unwrap_or_default()
        .iter()
        .filter_map(|entry| {
            let text = entry.value.as_string()?;
            Some((entry.key.to_string(), text.to_owned()))
        })
        .collect();
    let memory = map.get("memory").and_then(|memory| memory.value.as_whole());
    let bytes = variables
        .iter()
        .map(|(name, text)| name.len() + text.len())
        .sum::<usize>()
        + image.as_ref().map_or(0, |image| image.name.len());
    Some(Service {
        plan: ServicePlan {
            name: entry.key.to_string(),
            image,
            memory_mib: memory.unwrap_or(SERVICE_MEMORY_MIB),
            variables,
            line: entry.key_span.line,
        },
        bytes,
    })
}
