//! All that a runner needs for one attempt of a job. It holds no secret.
//!
//! The runner checks each field again: the hub is not trusted blindly.

mod bounds;

use std::collections::BTreeMap;

pub use bounds::{OutOfBounds, check_steps};
use serde::{Deserialize, Serialize};

use crate::ids::{AttemptId, BuildId, CommitId, Fence, StepIndex};

/// One attempt of a job, as handed to a runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// This try.
    pub attempt: AttemptId,
    /// Its number among the tries of the job.
    pub fence: Fence,
    /// The build it belongs to.
    pub build: BuildRef,
    /// What to check out before each step.
    pub checkout: CheckoutSpec,
    /// How far the build is trusted; the runner's ceiling depends on it.
    pub trust: Trust,
    /// `BITBUCKET_*` and `CI`, for every step.
    pub env: BTreeMap<String, String>,
    /// In the order of execution.
    pub steps: Vec<StepSpec>,
}

/// Names a build for people and for paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRef {
    /// The build.
    pub id: BuildId,
    /// Its number in the repository, from 1.
    pub number: u64,
    /// The repository's name on the hub.
    pub repository: String,
}

/// How far a build is trusted. Decided by the hub, never by the pipeline file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// A push by a member.
    Trusted,
    /// A stranger's pull request.
    Untrusted,
}

/// Where the code is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckoutSpec {
    /// `https:`, `ssh:`, or `file:` where the runner's ceiling names the path.
    pub url: String,
    /// The full name of the pushed ref, for example `refs/heads/main`.
    pub reference: String,
    /// What was pushed; the ref must reach it.
    pub commit: CommitId,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSpec {
    /// Its place in the build.
    pub index: StepIndex,
    /// What people call it.
    pub name: String,
    /// The line of the pipeline file where it starts, from 1.
    pub line: u32,
    /// How long it may take, in seconds.
    pub max_time_secs: u64,
    /// Generations of history that its checkout has; `None`, a null on the wire, is all of it. What a hub of an earlier
    /// release says nothing of is [`DEPTH_UNSAID`].
    #[serde(default = "depth_unsaid", skip_serializing_if = "is_depth_unsaid")]
    pub depth: Option<u32>,
    /// What to execute.
    pub work: WorkSpec,
}

/// Generations of history where nobody says how many: Bitbucket's own default.
pub const DEPTH_UNSAID: Option<u32> = Some(50);

fn depth_unsaid() -> Option<u32> {
    DEPTH_UNSAID
}

#[expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks with a reference to the field"
)]
fn is_depth_unsaid(depth: &Option<u32>) -> bool {
    *depth == DEPTH_UNSAID
}

/// What a step executes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum WorkSpec {
    /// Shell lines in a container.
    Script {
        /// The image, by tag or digest.
        image: String,
        /// Run in one shell with `set -e`.
        script: Vec<String>,
        /// Run afterwards, whatever happened.
        after_script: Vec<String>,
    },
    /// A WASI module.
    Wasm(WasmSpec),
    /// The file asks for something that this version cannot do; the step fails and says so.
    Unsupported {
        /// What it asks for.
        what: String,
        /// Where, from 1.
        line: u32,
    },
}

/// A WASI module and what it asks to touch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WasmSpec {
    /// The path of the module in the commit, or the name of a step that ships with the runner.
    pub module: String,
    /// Which of the two. A hub that says nothing means the commit.
    #[serde(default, skip_serializing_if = "is_default")]
    pub module_from: ModuleFrom,
    /// The line that names it, from 1.
    pub module_line: u32,
    /// Its arguments, without the program's name.
    pub args: Vec<String>,
    /// Its environment, beside the job's.
    pub env: BTreeMap<String, String>,
    /// Workspace paths it may read.
    pub read: Vec<GrantSpec>,
    /// Workspace paths it may write.
    pub write: Vec<GrantSpec>,
    /// Origins it may reach.
    pub net: Vec<GrantSpec>,
    /// What its wall clock shows. A hub that says nothing means the host's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub clock: ClockSpec,
    /// Where its random numbers come from. A hub that says nothing means the host.
    #[serde(default, skip_serializing_if = "is_default")]
    pub random: RandomSpec,
    /// Limits it asks for; the runner's own apply where there are none.
    pub limits: LimitsSpec,
}

/// Where a module comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModuleFrom {
    /// A file of the commit.
    #[default]
    Commit,
    /// A step that ships with the runner.
    FirstParty,
}

/// What a step's wall clock shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockSpec {
    /// The time.
    #[default]
    Real,
    /// The time of the commit, always.
    Fixed,
}

/// Where a step's random numbers come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RandomSpec {
    /// The operating system.
    #[default]
    Real,
    /// The commit and the step's name.
    Seeded,
}

/// What a hub of an earlier release would say is left out, so that its frames stay as they were.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// One thing asked for, and the line that asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantSpec {
    /// A workspace path or an origin.
    pub what: String,
    /// Where the file asks for it, from 1.
    pub line: u32,
}

/// The limits of a step; `None` means the runner's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsSpec {
    /// Sum over all linear memories, in bytes.
    pub memory_bytes: Option<u64>,
    /// Wall time, in seconds.
    pub time_secs: Option<u64>,
    /// Standard output and standard error together, in bytes.
    pub output_bytes: Option<u64>,
    /// Bytes written to files.
    pub disk_bytes: Option<u64>,
}
