//! Asked ∩ ceiling: the one function that decides what a step gets.
//!
//! Grants are all or nothing: a step that lacks one of them is refused, because it would fail in a way that explains less.
//! Limits are lowered to the maximum, because a step that asks for much may need little. Pure: same arguments, same answer.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::str::FromStr;

use cofferdam_protocol::job_spec::Trust;

use super::{
    Allowed, Asked, By, Ceiling, Covers, Demand, ExecutorKind, HostPath, ImageName, ImagePattern,
    IpRange, LIMITS, Level, LimitName, Origin, Registry, RemotePattern, Repository, RepositoryName,
    Ruled, Wish, WorkspacePath, name_of,
};

/// What a step gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// What runs it.
    pub executor: ExecutorKind,
    /// Whose commit it is of.
    pub repository: Option<Repository>,
    /// A script's image, under its full name.
    pub image: Option<ImageName>,
    /// Where its module may be fetched from.
    pub module_registry: Option<Registry>,
    /// What it may read.
    pub read: Vec<WorkspacePath>,
    /// What it may read and write.
    pub write: Vec<WorkspacePath>,
    /// What it may read of this host.
    pub host_read: Vec<HostPath>,
    /// What it may read and write of this host.
    pub host_write: Vec<HostPath>,
    /// What it may reach.
    pub net: Vec<Origin>,
    /// Addresses beside the public ones that those origins may lead to.
    pub private_ranges: Vec<IpRange>,
    /// What is to be done where a wall is missing.
    pub isolation: Demand,
    /// Whether a script has the network that containers have here. Never for a module.
    pub has_script_network: bool,
    /// Whether a script may run in an engine that is as good as root. Never for a module.
    pub may_be_rootful: bool,
    /// Each limit of its kind, in the limit's own unit.
    pub limits: BTreeMap<LimitName, u64>,
}

/// One thing, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What it is about: `read`, `image`, `memory`.
    pub subject: &'static str,
    /// As the step asks for it; `None` if it says nothing.
    pub asked: Option<String>,
    /// The line of the pipeline file that asks.
    pub line: Option<u32>,
    /// What it gets.
    pub given: Given,
    /// The key of `runner.toml` that decided, below the table of its level.
    pub key: String,
    /// Where it stands.
    pub by: By,
}

/// What became of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// This, which is all that was asked.
    All(String),
    /// This, which is less.
    Less(String),
    /// Nothing, and so the step cannot run: why.
    Refused(String),
}

/// Why a step may not run here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{what} is refused: {why} (`{key}`, {by})", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct Refusal {
    /// What is missing: ``net grant `https://api.example.com` ``.
    pub what: String,
    /// Why, in a few words.
    pub why: String,
    /// The line of the pipeline file that asks.
    pub line: Option<u32>,
    /// The key of `runner.toml` that says no, below the table of its level.
    pub key: String,
    /// Where it stands.
    pub by: By,
}

/// All that keeps a step from running; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusals(pub Vec<Refusal>);

impl Display for Refusals {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        out.write_str(&all.join("; "))
    }
}

impl std::error::Error for Refusals {}

/// What a step gets, or everything that keeps it from running.
pub fn effective(asked: &Asked, ceiling: &Ceiling, trust: Trust) -> Result<Effective, Refusals> {
    let (effective, decisions) = weigh(asked, ceiling, trust);
    let refusals: Vec<Refusal> = decisions
        .into_iter()
        .filter_map(Decision::refusal)
        .collect();
    if refusals.is_empty() {
        Ok(effective)
    } else {
        Err(Refusals(refusals))
    }
}

/// Every decision, for whoever explains them. What is given counts only if nothing is refused.
pub fn weigh(asked: &Asked, ceiling: &Ceiling, trust: Trust) -> (Effective, Vec<Decision>) {
    let level = ceiling.of(trust);
    let mut scales = Scales {
        trust: name_of(trust),
        line: asked.line,
        decisions: Vec::new(),
    };
    scales.executor(asked, level);
    scales.repository(asked, level);
    let (image, module_registry) = scales.images(asked, level);
    let paths = Paths::of(asked, level, &mut scales);
    let net = scales.each("net", &[("hosts", &level.hosts)], &asked.net);
    let private_ranges = scales.private(&net, &asked.net, level);
    let effective = Effective {
        executor: asked.executor,
        repository: asked.repository.clone(),
        image,
        module_registry,
        read: paths.read,
        write: paths.write,
        host_read: paths.host_read,
        host_write: paths.host_write,
        net,
        private_ranges,
        isolation: scales.isolation(level),
        has_script_network: scales.script_network(asked, level),
        may_be_rootful: scales.rootful_engine(asked, level),
        limits: scales.limits(asked, level),
    };
    (effective, scales.decisions)
}

struct Paths {
    read: Vec<WorkspacePath>,
    write: Vec<WorkspacePath>,
    host_read: Vec<HostPath>,
    host_write: Vec<HostPath>,
}

impl Paths {
    /// Whatever may be written may be read too: a writable grant lets a step do both.
    fn of(asked: &Asked, level: &Level, scales: &mut Scales) -> Self {
        let (read, write) = (("read", &level.read), ("write", &level.write));
        let host_read = ("host_read", &level.host_read);
        let host_write = ("host_write", &level.host_write);
        Self {
            read: scales.each("read", &[read, write], &asked.read),
            write: scales.each("write", &[write], &asked.write),
            host_read: scales.each("read", &[host_read, host_write], &asked.host_read),
            host_write: scales.each("write", &[host_write], &asked.host_write),
        }
    }
}

struct Scales {
    trust: &'static str,
    line: Option<u32>,
    decisions: Vec<Decision>,
}

impl Scales {
    fn put(&mut self, subject: &'static str, wish: Option<&Wish>, key: &str) -> &mut Decision {
        self.decisions.push(Decision {
            subject,
            asked: wish.map(|wish| wish.what.clone()),
            line: wish.and_then(|wish| wish.line),
            given: Given::All(wish.map(|wish| wish.what.clone()).unwrap_or_default()),
            key: key.to_owned(),
            by: By::BuiltIn,
        });
        let last = self.decisions.len() - 1;
        &mut self.decisions[last]
    }

    /// Holds each wish against lists, of which one has to allow it. The first list is the one that says no.
    fn each<T>(
        &mut self,
        subject: &'static str,
        lists: &[(&'static str, &Ruled<Allowed<T>>)],
        wishes: &[Wish],
    ) -> Vec<T>
    where
        T: Covers + Display + FromStr<Err: Display>,
    {
        let trust = self.trust;
        let mut given = Vec::new();
        for wish in wishes {
            let Some((first, list)) = lists.first() else {
                continue;
            };
            let decision = self.put(subject, Some(wish), first);
            decision.by = list.by;
            match wish.what.parse::<T>() {
                Err(why) => decision.given = Given::Refused(format!("it {why}")),
                Ok(thing) => {
                    let allowed = lists
                        .iter()
                        .find_map(|(key, list)| list.allows(&thing).map(|by| (*key, by)));
                    match allowed {
                        Some((key, by)) => {
                            key.clone_into(&mut decision.key);
                            decision.by = by;
                            decision.given = Given::All(thing.to_string());
                            given.push(thing);
                        }
                        None => decision.given = Given::Refused(none_or_others(list, trust)),
                    }
                }
            }
        }
        given
    }

    fn executor(&mut self, asked: &Asked, level: &Level) {
        let wish = Wish {
            what: asked.executor.name().to_owned(),
            line: self.line,
        };
        self.each("executor", &[("executors", &level.executors)], &[wish]);
    }

    /// An address is not taken apart where every address is allowed.
    fn repository(&mut self, asked: &Asked, level: &Level) {
        let Some(Repository { address, name }) = &asked.repository else {
            return;
        };
        let wish = |what: &String| {
            let what = what.clone();
            [Wish { what, line: None }]
        };
        if level.repositories.value == Allowed::Any {
            self.put("repository", wish(address).first(), "repositories")
                .by = level.repositories.by;
        } else {
            let list: &Ruled<Allowed<RemotePattern>> = &level.repositories;
            self.each("repository", &[("repositories", list)], &wish(address));
        }
        if level.repository_names.value != Allowed::Any {
            let list: &Ruled<Allowed<RepositoryName>> = &level.repository_names;
            self.each(
                "repository name",
                &[("repository_names", list)],
                &wish(name),
            );
        }
        if let Some(keys) = &level.push_keys {
            let decision = self.put("push", None, "push_keys");
            decision.by = keys.by;
            let why = "it has to be signed, and this version cannot check signatures";
            decision.given = Given::Refused(why.to_owned());
        }
    }

    fn images(&mut self, asked: &Asked, level: &Level) -> (Option<ImageName>, Option<Registry>) {
        let registries = [("registries", &level.registries)];
        let module = asked.module_registry.as_slice();
        let module = self.each("module registry", &registries, module).pop();
        let Some(wish) = &asked.image else {
            return (None, module);
        };
        let Ok(image) = wish.what.parse::<ImageName>() else {
            let decision = self.put("image", Some(wish), "images");
            decision.given = Given::Refused("it is not the name of an image".to_owned());
            decision.by = level.images.by;
            return (None, module);
        };
        let line = wish.line;
        let registry = Wish {
            what: image.registry().to_string(),
            line,
        };
        self.each("registry", &registries, &[registry]);
        let (list, trust) = (&level.images, self.trust);
        let decision = self.put("image", Some(wish), "images");
        let allowed = list.allows(&ImagePattern::One(image.clone()));
        decision.by = allowed.unwrap_or(list.by);
        decision.given = match allowed {
            Some(_) => Given::All(image.to_string()),
            None => Given::Refused(none_or_others(list, trust)),
        };
        (Some(image), module)
    }

    /// An address of this host's own network needs a range that includes it, whatever `hosts` says.
    fn private(&mut self, origins: &[Origin], wishes: &[Wish], level: &Level) -> Vec<IpRange> {
        let ranges = &level.private_ranges;
        for wish in wishes {
            let origin = wish
                .what
                .parse()
                .ok()
                .filter(|origin| origins.contains(origin));
            let Some(address) = origin.and_then(|origin: Origin| origin.private_address()) else {
                continue;
            };
            let allowed = ranges
                .value
                .entries()
                .iter()
                .find(|range| range.value.contains(address));
            let decision = self.put("private address", Some(wish), "private_ranges");
            decision.by = allowed.map_or(ranges.by, |range| range.by);
            decision.given = match allowed {
                Some(_) => Given::All(address.to_string()),
                None => Given::Refused(format!(
                    "{address} is no public address, and no range that may be reached includes it"
                )),
            };
        }
        if origins.is_empty() {
            return Vec::new();
        }
        ranges
            .value
            .entries()
            .iter()
            .map(|range| range.value)
            .collect()
    }

    fn isolation(&mut self, level: &Level) -> Demand {
        let Ruled { value, by } = level.isolation;
        let decision = self.put("isolation", None, "isolation");
        decision.by = by;
        decision.given = Given::All(value.name().to_owned());
        value
    }

    fn script_network(&mut self, asked: &Asked, level: &Level) -> bool {
        if asked.executor != ExecutorKind::Script {
            return false;
        }
        let Ruled { value, by } = level.script_network;
        let decision = self.put("network", None, "script_network");
        decision.by = by;
        decision.given = if value {
            Given::All("engine".to_owned())
        } else {
            Given::Less("none".to_owned())
        };
        value
    }

    fn rootful_engine(&mut self, asked: &Asked, level: &Level) -> bool {
        if asked.executor != ExecutorKind::Script {
            return false;
        }
        let Ruled { value, by } = level.rootful_engine;
        let decision = self.put("engine", None, "rootful_engine");
        decision.by = by;
        let words = if value { "any" } else { "rootless only" };
        decision.given = Given::All(words.to_owned());
        value
    }

    fn limits(&mut self, asked: &Asked, level: &Level) -> BTreeMap<LimitName, u64> {
        let kinds = LIMITS.iter().filter(|kind| kind.executor == asked.executor);
        let mut limits = BTreeMap::new();
        for kind in kinds {
            let Ruled { value: bound, by } = level.limits[&(kind.executor, kind.name)];
            let unit = kind.name.unit();
            let wanted = asked.limits.get(&kind.name).copied();
            let given = wanted.unwrap_or(bound.default).min(bound.max);
            let wish = wanted.map(|wanted| Wish {
                what: unit.shown(wanted),
                line: asked.line,
            });
            let key = format!("limits.{}.{}", kind.executor.name(), kind.name.name());
            let decision = self.put(kind.name.name(), wish.as_ref(), &key);
            decision.by = by;
            let shown = unit.shown(given);
            decision.given = match wanted {
                Some(wanted) if wanted > given => Given::Less(shown),
                _ => Given::All(shown),
            };
            limits.insert(kind.name, given);
        }
        limits
    }
}

fn none_or_others<T>(list: &Ruled<Allowed<T>>, trust: &str) -> String {
    if list.value.entries().is_empty() {
        format!("this host's list for {trust} builds is empty")
    } else {
        format!("it is not on this host's list for {trust} builds")
    }
}

impl Decision {
    /// What a person is told where less is given than was asked for.
    pub fn lowered(&self) -> Option<String> {
        let (Some(asked), Given::Less(given)) = (&self.asked, &self.given) else {
            return None;
        };
        let Self {
            subject, key, by, ..
        } = self;
        Some(format!(
            "{subject}: {given}, and not {asked} as asked (`{key}`, {by})"
        ))
    }

    /// What a person is told, if this keeps the step from running.
    pub fn refusal(self) -> Option<Refusal> {
        let Self {
            subject,
            asked,
            line,
            given,
            key,
            by,
        } = self;
        let Given::Refused(why) = given else {
            return None;
        };
        let noun = match subject {
            "read" | "write" | "net" => format!("{subject} grant"),
            "private address" => "net grant".to_owned(),
            _ => subject.to_owned(),
        };
        let what = match asked {
            Some(asked) => format!("{noun} `{asked}`"),
            None => noun,
        };
        Some(Refusal {
            what,
            why,
            line,
            key,
            by,
        })
    }
}

impl From<&Effective> for Asked {
    /// What a step asks for that wants exactly what this one got.
    fn from(effective: &Effective) -> Self {
        let Effective {
            executor,
            repository,
            image,
            module_registry,
            read,
            write,
            host_read,
            host_write,
            net,
            private_ranges: _,
            isolation: _,
            has_script_network: _,
            may_be_rootful: _,
            limits,
        } = effective;
        Self {
            executor: *executor,
            line: None,
            repository: repository.clone(),
            image: image.as_ref().map(wish),
            module_registry: module_registry.as_ref().map(wish),
            read: read.iter().map(wish).collect(),
            write: write.iter().map(wish).collect(),
            host_read: host_read.iter().map(wish).collect(),
            host_write: host_write.iter().map(wish).collect(),
            net: net.iter().map(wish).collect(),
            limits: limits.clone(),
        }
    }
}

fn wish(what: &impl Display) -> Wish {
    Wish {
        what: what.to_string(),
        line: None,
    }
}
