//! When a step runs: beside which others, behind which gate, under which condition.

/// A step's place among the branches of a `parallel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParallelPlace {
    /// Counts the parallel groups of the build from 0.
    pub group: u16,
    /// From 0.
    pub place: u16,
    /// Branches of the group, at least 1.
    pub count: u16,
    /// What the group itself says. What counts when a step fails is [`StepPlan::fail_fast`](crate::StepPlan::fail_fast).
    pub fail_fast: bool,
}

/// Which changed files a step runs for. `changesets` of the language, of the step or of the stage around it.
/// <https://support.atlassian.com/bitbucket-cloud/docs/step-options/>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The step runs if one of these patterns matches a changed file. Empty: there is no such wish.
    pub include: Vec<String>,
    /// The step runs if there is a changed file that none of these patterns matches. Empty: there is no such wish.
    pub exclude: Vec<String>,
    /// The line of the file, from 1, that says so.
    pub line: u32,
}

/// The environment that a step deploys to. Of all steps of a repository with the same one, one runs at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Any text, as the file spells it.
    pub environment: String,
    /// From 1.
    pub line: u32,
}

/// Steps of a group, in all builds of a repository, run one at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConcurrencyGroup {
    /// Any text of at most 50 characters.
    pub name: String,
    /// From 1.
    pub line: u32,
}

/// A variable that whoever starts a custom pipeline may set.
/// <https://support.atlassian.com/bitbucket-cloud/docs/pipeline-start-conditions/>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomVariable {
    pub name: String,
    /// What it is in this build: what was given, else the default.
    pub value: String,
    pub default: Option<String>,
    /// Empty: any value is allowed.
    pub allowed_values: Vec<String>,
    pub description: Option<String>,
    /// From 1.
    pub line: u32,
}
