//! One level of trust: what it allows, what it allows if nobody says, and that a stranger's never exceeds a member's.

use super::limit::{Bound, Bounds};
use super::{
    Allowed, By, Covers, Demand, ExecutorKind, HostPath, ImagePattern, IpRange, LIMITS, Origin,
    PushKey, Registry, RemotePattern, RepositoryName, Ruled, WorkspacePath,
};

/// What builds of one level of trust may ask for at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// Which kinds of steps run at all.
    pub executors: Ruled<Allowed<ExecutorKind>>,
    /// What is to be done where a wall is missing.
    pub isolation: Ruled<Demand>,
    /// Paths of the workspace that a grant may name for reading.
    pub read: Ruled<Allowed<WorkspacePath>>,
    /// And for reading and writing.
    pub write: Ruled<Allowed<WorkspacePath>>,
    /// Paths of this host outside of any workspace, for reading.
    pub host_read: Ruled<Allowed<HostPath>>,
    /// And for reading and writing.
    pub host_write: Ruled<Allowed<HostPath>>,
    /// Origins that a grant may name.
    pub hosts: Ruled<Allowed<Origin>>,
    /// Addresses that are not the public internet's and may be reached all the same. Never [`Allowed::Any`].
    pub private_ranges: Ruled<Allowed<IpRange>>,
    /// Where images and modules may be fetched from.
    pub registries: Ruled<Allowed<Registry>>,
    /// Which images scripts may run in.
    pub images: Ruled<Allowed<ImagePattern>>,
    /// Whether scripts have the network that the configuration gives to containers, or none.
    pub script_network: Ruled<bool>,
    /// Whether scripts run although their engine is as good as root on this host.
    pub rootful_engine: Ruled<bool>,
    /// Which addresses may be cloned.
    pub repositories: Ruled<Allowed<RemotePattern>>,
    /// By which names the hub may know them.
    pub repository_names: Ruled<Allowed<RepositoryName>>,
    /// One of these must have signed a push. `None`: pushes need no signature.
    pub push_keys: Option<Ruled<Vec<PushKey>>>,
    /// What steps may use.
    pub limits: Bounds,
}

impl Level {
    /// What members get if the operator says nothing: what a step asks for and the public internet has, and no address of
    /// this host's own network.
    pub fn trusted() -> Self {
        let bounds = LIMITS.iter().map(|kind| {
            let bound = Bound {
                default: kind.default,
                max: kind.max,
            };
            ((kind.executor, kind.name), Ruled::built_in(bound))
        });
        let both = [ExecutorKind::Wasm, ExecutorKind::Script].map(Ruled::built_in);
        Self {
            executors: Ruled::built_in(Allowed::Only(both.into())),
            isolation: Ruled::built_in(Demand::Best),
            read: Ruled::built_in(Allowed::Any),
            write: Ruled::built_in(Allowed::Any),
            host_read: Ruled::built_in(Allowed::nothing()),
            host_write: Ruled::built_in(Allowed::nothing()),
            hosts: Ruled::built_in(Allowed::Any),
            private_ranges: Ruled::built_in(Allowed::nothing()),
            registries: Ruled::built_in(Allowed::Any),
            images: Ruled::built_in(Allowed::Any),
            script_network: Ruled::built_in(true),
            rootful_engine: Ruled::built_in(true),
            repositories: Ruled::built_in(Allowed::Any),
            repository_names: Ruled::built_in(Allowed::Any),
            push_keys: None,
            limits: bounds.collect(),
        }
    }

    /// What strangers get of what members get if the operator says nothing: modules behind every wall, and no way out.
    pub fn untrusted(trusted: &Self) -> Self {
        let mut executors = trusted.executors.clone();
        executors.value = Allowed::Only(
            trusted
                .executors
                .allows(&ExecutorKind::Wasm)
                .map(|by| Ruled {
                    value: ExecutorKind::Wasm,
                    by,
                })
                .into_iter()
                .collect(),
        );
        Self {
            executors,
            isolation: Ruled::built_in(Demand::Strict),
            host_read: Ruled::built_in(Allowed::nothing()),
            host_write: Ruled::built_in(Allowed::nothing()),
            hosts: Ruled::built_in(Allowed::nothing()),
            private_ranges: Ruled::built_in(Allowed::nothing()),
            registries: Ruled::built_in(Allowed::nothing()),
            script_network: Ruled::built_in(false),
            rootful_engine: Ruled::built_in(false),
            // A stranger's pull request is not signed by a member, and is not believed as if it were.
            push_keys: None,
            ..trusted.clone()
        }
    }

    /// Where this level allows what `wider` does not: the first such place of each key.
    pub fn beyond(&self, wider: &Self) -> Vec<Surplus> {
        let Self {
            executors,
            isolation,
            read,
            write,
            host_read,
            host_write,
            hosts,
            private_ranges,
            registries,
            images,
            script_network,
            rootful_engine,
            repositories,
            repository_names,
            push_keys: _,
            limits,
        } = self;
        let mut surplus = Vec::new();
        surplus.extend(more("executors", executors, &wider.executors));
        surplus.extend(more("read", read, &wider.read));
        surplus.extend(more("write", write, &wider.write));
        surplus.extend(more("host_read", host_read, &wider.host_read));
        surplus.extend(more("host_write", host_write, &wider.host_write));
        surplus.extend(more("hosts", hosts, &wider.hosts));
        surplus.extend(more(
            "private_ranges",
            private_ranges,
            &wider.private_ranges,
        ));
        surplus.extend(more("registries", registries, &wider.registries));
        surplus.extend(more("images", images, &wider.images));
        surplus.extend(more("repositories", repositories, &wider.repositories));
        surplus.extend(more(
            "repository_names",
            repository_names,
            &wider.repository_names,
        ));
        for (key, is_wider, by, theirs) in [
            (
                "isolation",
                isolation.value < wider.isolation.value,
                isolation.by,
                wider.isolation.by,
            ),
            (
                "script_network",
                script_network.value && !wider.script_network.value,
                script_network.by,
                wider.script_network.by,
            ),
            (
                "rootful_engine",
                rootful_engine.value && !wider.rootful_engine.value,
                rootful_engine.by,
                wider.rootful_engine.by,
            ),
        ] {
            if is_wider {
                surplus.push(Surplus::of_key(key, by, theirs));
            }
        }
        surplus.extend(more_of(limits, &wider.limits));
        surplus
    }
}

/// A place where strangers would get more than members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surplus {
    /// The key, below the table of the level.
    pub key: String,
    /// Which entry of it, counted from 0, if it is a list with entries.
    pub entry: Option<usize>,
    /// Who allows it.
    pub by: By,
    /// Who does not.
    pub theirs: By,
}

impl Surplus {
    fn of_key(key: &str, by: By, theirs: By) -> Self {
        Self {
            key: key.to_owned(),
            entry: None,
            by,
            theirs,
        }
    }
}

/// Limits that are higher than others, or given more of to whoever does not ask.
fn more_of<'b>(bounds: &'b Bounds, wider: &'b Bounds) -> impl Iterator<Item = Surplus> + 'b {
    bounds.iter().filter_map(|(key, bound)| {
        let theirs = wider.get(key)?;
        let (ours, their) = (bound.value, theirs.value);
        let is_more = ours.max > their.max || ours.default > their.default;
        let (executor, name) = key;
        let key = format!("limits.{executor}.{}", name.name());
        is_more.then(|| Surplus::of_key(&key, bound.by, theirs.by))
    })
}

/// The first entry of a list that another list does not have.
fn more<T: Covers>(
    key: &str,
    narrow: &Ruled<Allowed<T>>,
    wide: &Ruled<Allowed<T>>,
) -> Option<Surplus> {
    let (entry, by) = match (&narrow.value, &wide.value) {
        (_, Allowed::Any) => return None,
        (Allowed::Any, Allowed::Only(_)) => (None, narrow.by),
        (Allowed::Only(entries), Allowed::Only(_)) => entries
            .iter()
            .enumerate()
            .find(|(_, entry)| wide.allows(&entry.value).is_none())
            .map(|(index, entry)| (Some(index), entry.by))?,
    };
    Some(Surplus {
        key: key.to_owned(),
        entry,
        by,
        theirs: wide.by,
    })
}
