//! What is to run: jobs in order of need, each with its steps.
//!
//! Made by [`resolve`](crate::resolve), turned into wire and database rows by the hub, run by the runner. The types
//! carry what the file *asks for*; whether a host grants it is decided elsewhere. Nothing here can be serialised:
//! whoever sends a plan converts it, and destructures it completely.

mod equipment;
mod flow;

use std::collections::BTreeMap;
use std::fmt;

pub use equipment::{
    ArtifactKind, ArtifactUpload, Artifacts, CachePlan, CaptureOn, ClonePlan, Download,
    ImageCredentials, ImagePlan, ServicePlan,
};
pub use flow::{ConcurrencyGroup, Condition, CustomVariable, Deployment, ParallelPlace};

/// One build: the pipeline that a push selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Which pipeline of the file it is, for people: `default`, or `branches › feature/*`.
    pub selected: String,
    /// What a custom pipeline lets its starter set, with the values of this build. Empty for every other pipeline.
    pub variables: Vec<CustomVariable>,
    /// Never empty; a job comes after every job it needs.
    pub jobs: Vec<JobPlan>,
}

/// A chain of steps that one runner executes in order. Never without a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobPlan {
    /// The jobs that must have ended first, as indices into [`Plan::jobs`]; all of them are smaller than the own one.
    /// They must have succeeded, unless the job's steps are final: then it runs however they ended, skipped ones included.
    pub needs: Vec<usize>,
    /// The stage that all steps of the job stand in. A stage without a name is called by its number: `Stage 2`.
    pub stage: Option<String>,
    /// The labels that a runner must carry, all of them; sorted, each once. Empty: any runner.
    pub runs_on: Vec<String>,
    pub steps: Vec<StepPlan>,
}

/// One step, with everything that the file says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepPlan {
    /// Counts the steps of the whole build from 0, in the order of the file.
    pub index: u16,
    /// The step's name, or `Step 3` if it has none. One line, without control characters.
    pub name: String,
    /// The line of the file, from 1, at which the step begins. For a step behind a YAML alias: where it is written.
    pub line: u32,
    /// How long the step may take from its start to its end, `after-script` not counted.
    pub max_time_secs: u64,
    pub retry: RetryRequest,
    /// Its place among the branches of a `parallel`, if it is one.
    pub group: Option<ParallelPlace>,
    /// Whether its failure stops the other branches of its group: what the step says, else what its group says.
    pub fail_fast: bool,
    /// Whether it runs after everything else, also if something failed. Such a step is a job of its own.
    pub is_final: bool,
    /// The line of the file, from 1, that makes the step wait for a person. Such a step is the first of its job. Of a manual
    /// stage it is the first step.
    pub manual: Option<u32>,
    pub condition: Option<Condition>,
    /// Why the step is skipped, in a sentence: the changed files are known, and the condition says no. A skipped step counts
    /// as one that succeeded.
    pub skip: Option<String>,
    pub artifacts: Artifacts,
    /// Each name once, in the order of the file.
    pub caches: Vec<CachePlan>,
    /// At most 5, in the order of the file.
    pub services: Vec<ServicePlan>,
    pub deployment: Option<Deployment>,
    pub concurrency_group: Option<ConcurrencyGroup>,
    pub clone: ClonePlan,
    /// Whether the step asks for a token of the hub's.
    pub oidc: bool,
    pub kind: StepKind,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepKind {
    Script(ScriptStep),
    Wasm(WasmStep),
    /// The step uses something that this version cannot do without changing what the step means.
    /// It must fail when its turn comes, as `unsupported`; it must never be skipped as if it had succeeded.
    Unsupported {
        /// What it uses, as the end of the sentence "this step uses …": `` `services` ``.
        what: String,
        /// The line of the file, from 1, that says so.
        line: u32,
    },
}

/// Shell lines in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptStep {
    pub image: ImagePlan,
    /// Never empty. All lines run in one shell with `set -e`.
    pub script: Vec<String>,
    /// Runs whether the script succeeded or not, and never changes the step's result. May be empty.
    pub after_script: Vec<String>,
}

/// A WASI module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WasmStep {
    pub module: ModuleRef,
    /// The line of the file, from 1, that names the module.
    pub module_line: u32,
    /// The arguments after the program's own name.
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub grants: GrantRequest,
    pub limits: LimitRequest,
}

/// Where a step's module comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModuleRef {
    /// A file of the commit, relative to the repository's root: no leading `./`, no `..`, not empty.
    Path(String),
    /// A step that ships with the runner, `step:NAME` in the file. Lower-case letters, digits and `-`.
    FirstParty(String),
    /// `oci://REPOSITORY@sha256:DIGEST`; only a digest names bytes, so a tag is not accepted.
    Oci {
        /// Registry and repository: `registry.example.com/team/step`.
        repository: String,
        /// 64 lower-case hexadecimal digits.
        sha256: String,
    },
    /// A file among the artifacts of an earlier step.
    Artifact {
        /// Relative to the workspace, normalised like [`ModuleRef::Path`].
        path: String,
        /// The name of the step that made it.
        from: String,
    },
}

/// What a wasm step asks to touch. The default is nothing but the clock and randomness.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrantRequest {
    pub read: Vec<PathGrant>,
    pub write: Vec<PathGrant>,
    pub net: Vec<NetGrant>,
    pub secrets: Vec<SecretGrant>,
    pub clock: Clock,
    pub random: Random,
}

/// A file or directory of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathGrant {
    /// Relative, components joined by single `/`, without `.` and `..`; `.` alone is the whole workspace.
    pub path: String,
    /// From 1.
    pub line: u32,
}

/// One host and port that a step may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetGrant {
    pub scheme: NetScheme,
    /// An exact name in lower case, or an address; an IPv6 address without its brackets.
    pub host: String,
    /// The port that was written, or the scheme's own.
    pub port: u16,
    /// From 1.
    pub line: u32,
}

/// How a host may be talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NetScheme {
    /// `wasi:http` over TLS that the runner ends. Port 443 unless another is written.
    Https,
    /// `wasi:http` in the clear. Port 80 unless another is written.
    Http,
    /// A TCP connection out. Always with a port.
    Tcp,
}

/// The grant as the file would spell it in full: `https://api.example.com:443`.
impl fmt::Display for NetGrant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scheme,
            host,
            port,
            line: _,
        } = self;
        let scheme = match scheme {
            NetScheme::Https => "https",
            NetScheme::Http => "http",
            NetScheme::Tcp => "tcp",
        };
        if host.contains(':') {
            write!(formatter, "{scheme}://[{host}]:{port}")
        } else {
            write!(formatter, "{scheme}://{host}:{port}")
        }
    }
}

/// One secret, by name. The value is never in a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretGrant {
    /// Letters, digits and `_`, not starting with a digit.
    pub name: String,
    pub delivery: SecretDelivery,
    /// From 1.
    pub line: u32,
}

/// How a step gets to see a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretDelivery {
    /// As an environment variable of the same name.
    Environment,
    /// As a file of the same name in a private directory.
    File,
}

/// What the guest's wall clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    #[default]
    Real,
    /// The time of the commit, always.
    Fixed,
}

/// Where the guest's random numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Random {
    #[default]
    Real,
    /// From a seed, so that two runs see the same numbers.
    Seeded,
}

/// The limits that a step asks for; `None` is the host's default. What is above the host's ceiling is the host's to
/// refuse. None of them is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitRequest {
    pub memory_bytes: Option<u64>,
    /// Rounded up to whole seconds.
    pub time_secs: Option<u64>,
    pub output_bytes: Option<u64>,
    pub disk_bytes: Option<u64>,
}

/// How often a step is tried again, and after what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryRequest {
    /// Tries after the first one.
    pub max: u8,
    /// Each cause at most once, in the order of [`RetryCause`].
    pub on: Vec<RetryCause>,
}

/// Once, and never because the step itself failed.
impl Default for RetryRequest {
    fn default() -> Self {
        Self {
            max: 1,
            on: vec![RetryCause::Lost, RetryCause::Infrastructure],
        }
    }
}

/// What a step may be tried again for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetryCause {
    /// The runner was lost.
    Lost,
    /// The step could not be run, for a reason that is not the user's.
    Infrastructure,
    /// The step ran and said no.
    Failed,
}
