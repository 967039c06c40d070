//! What one step asks of this host, in words that only [`effective`](super::effective()) reads.

use std::collections::BTreeMap;

use super::{ExecutorKind, LimitName};

/// All that a step asks for. What is not in here it cannot ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What it needs to run at all.
    pub executor: ExecutorKind,
    /// The line of the pipeline file where it begins, from 1; `None` on a command line.
    pub line: Option<u32>,
    /// The commit that a hub sent, if one did: then a push may have to be signed.
    pub repository: Option<Repository>,
    /// A script's image.
    pub image: Option<Wish>,
    /// Where its module is fetched from, if it is not a file of the commit.
    pub module_registry: Option<Wish>,
    /// Workspace paths to read.
    pub read: Vec<Wish>,
    /// Workspace paths to read and write.
    pub write: Vec<Wish>,
    /// Paths of this host to read.
    pub host_read: Vec<Wish>,
    /// Paths of this host to read and write.
    pub host_write: Vec<Wish>,
    /// Origins to reach.
    pub net: Vec<Wish>,
    /// Amounts, in the limit's own unit.
    pub limits: BTreeMap<LimitName, u64>,
}

impl Asked {
    /// Nothing but to run.
    pub fn nothing(executor: ExecutorKind) -> Self {
        Self {
            executor,
            line: None,
            repository: None,
            image: None,
            module_registry: None,
            read: Vec::new(),
            write: Vec::new(),
            host_read: Vec::new(),
            host_write: Vec::new(),
            net: Vec::new(),
            limits: BTreeMap::new(),
        }
    }

    /// A script in that image. It works in the whole workspace, which a module would have to ask for.
    pub fn script(image: Wish, line: u32) -> Self {
        let whole = Wish {
            what: ".".to_owned(),
            line: Some(line),
        };
        Self {
            line: Some(line),
            image: Some(image),
            write: vec![whole],
            ..Self::nothing(ExecutorKind::Script)
        }
    }
}

/// One thing, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Any text.
    pub what: String,
    /// The line of the pipeline file that asks, from 1.
    pub line: Option<u32>,
}

/// Where a hub says that the code is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its address.
    pub address: String,
    /// What the hub calls it.
    pub name: String,
}
