//! The ceiling: what any job may ask of this host at most, by how far it is trusted.
//!
//! From `runner.toml` (read by `config`) and from what a step asks for ([`Asked`]) to what it gets ([`Effective`]), or to
//! refusals that name what is missing, the line that asks and the line that says no. [`effective`] is the one place that
//! decides this, for the daemon, for local runs and for `policy explain` alike, and it is pure: nothing below this folder
//! opens a file, resolves a name or reads a clock.
//!
//! A ceiling takes away and never gives: a step gets what it asked for and the ceiling allows, and nothing that only one of
//! them names. In a list, nothing means nothing and the word `any` means everything.

mod asked;
mod effective;
mod image;
mod level;
mod limit;
mod origin;
mod path;
mod push_key;
pub mod quantity;
mod remote;

use std::fmt;
use std::str::FromStr;

use cofferdam_protocol::job_spec::Trust;

pub use crate::receipt::isolation::Demand;
pub use asked::{Asked, Repository, Wish};
pub use effective::{Decision, Effective, Given, Refusal, Refusals, effective, weigh};
pub use image::{BadImage, ImageName, ImagePattern, Registry};
pub use level::{Level, Surplus};
pub use limit::{Bound, Bounds, LIMITS, LimitKind, LimitName, NOT_HELD, Unit, kind_of};
pub use origin::{BadOrigin, BadRange, Host, IpRange, Origin, Scheme};
pub use path::{BadPath, HostPath, WorkspacePath};
pub use push_key::{BadPushKey, PushKey};
pub use remote::{BadRemote, RemotePattern};

/// What this host allows, at each level of trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// To a push of a member, and to whoever runs something by hand.
    pub trusted: Level,
    /// To a stranger's pull request: never more than to a member.
    pub untrusted: Level,
}

impl Default for Ceiling {
    /// What counts where the operator says nothing.
    fn default() -> Self {
        let trusted = Level::trusted();
        Self {
            untrusted: Level::untrusted(&trusted),
            trusted,
        }
    }
}

impl Ceiling {
    /// The level of that trust.
    pub fn of(&self, trust: Trust) -> &Level {
        match trust {
            Trust::Trusted => &self.trusted,
            Trust::Untrusted => &self.untrusted,
        }
    }
}

/// What a level of trust is called, and its table in `runner.toml`.
pub fn name_of(trust: Trust) -> &'static str {
    match trust {
        Trust::Trusted => "trusted",
        Trust::Untrusted => "untrusted",
    }
}

/// Who decided something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// Nobody wrote anything about it.
    BuiltIn,
    /// This line of `runner.toml`, from 1.
    Line(u32),
}

impl fmt::Display for By {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => out.write_str("built in"),
            Self::Line(line) => write!(out, "runner.toml line {line}"),
        }
    }
}

/// A value, and who decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruled<T> {
    /// What.
    pub value: T,
    /// Who.
    pub by: By,
}

impl<T> Ruled<T> {
    /// A value that nobody wrote.
    pub const fn built_in(value: T) -> Self {
        Self {
            value,
            by: By::BuiltIn,
        }
    }
}

/// Whether one entry of a list includes a thing, or another entry.
pub trait Covers {
    /// Whether nothing of `other` is outside of `self`.
    fn covers(&self, other: &Self) -> bool;
}

/// A list of what is allowed. An empty one allows nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed<T> {
    /// Everything there is.
    Any,
    /// What one of the entries covers.
    Only(Vec<Ruled<T>>),
}

impl<T> Allowed<T> {
    /// Allows nothing.
    pub const fn nothing() -> Self {
        Self::Only(Vec::new())
    }

    /// The entries, if they are listed.
    pub fn entries(&self) -> &[Ruled<T>] {
        match self {
            Self::Any => &[],
            Self::Only(entries) => entries,
        }
    }
}

impl<T: Covers> Ruled<Allowed<T>> {
    /// Who allows this, if anybody does.
    pub fn allows(&self, thing: &T) -> Option<By> {
        match &self.value {
            Allowed::Any => Some(self.by),
            Allowed::Only(entries) => entries
                .iter()
                .find(|entry| entry.value.covers(thing))
                .map(|entry| entry.by),
        }
    }
}

/// What executes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExecutorKind {
    /// WASI modules.
    Wasm,
    /// Shell lines in a container.
    Script,
}

impl ExecutorKind {
    /// As pipeline files and `runner.toml` call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wasm => "wasm",
            Self::Script => "script",
        }
    }
}

/// A text is not one of the words that are possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not one of {0}")]
pub struct BadWord(pub &'static str);

impl FromStr for ExecutorKind {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        match text {
            "wasm" => Ok(Self::Wasm),
            "script" => Ok(Self::Script),
            _ => Err(BadWord("`wasm`, `script`")),
        }
    }
}

impl fmt::Display for ExecutorKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl Covers for ExecutorKind {
    fn covers(&self, other: &Self) -> bool {
        self == other
    }
}

impl FromStr for Demand {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        match text {
            "best" => Ok(Self::Best),
            "strict" => Ok(Self::Strict),
            _ => Err(BadWord("`strict`, `best`")),
        }
    }
}

/// A repository's name on the hub.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepositoryName(pub String);

/// Longest name that is taken, in bytes: as on the wire.
const REPOSITORY_NAME_BYTES_MAX: usize = cofferdam_protocol::limits::NAME_BYTES_MAX;

/// A text is no name of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not the name of a repository on the hub; addresses belong into `repositories`")]
pub struct BadRepositoryName;

impl FromStr for RepositoryName {
    type Err = BadRepositoryName;

    fn from_str(text: &str) -> Result<Self, BadRepositoryName> {
        let is_odd = |c: char| c.is_control() || c.is_whitespace() || c == '*';
        let is_name = !text.is_empty() && text.len() <= REPOSITORY_NAME_BYTES_MAX;
        if is_name && !text.contains(is_odd) && !text.contains("://") {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadRepositoryName)
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Covers for RepositoryName {
    fn covers(&self, other: &Self) -> bool {
        self == other
    }
}

#[cfg(test)]
mod tests;
