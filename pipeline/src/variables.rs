//! The environment of a step: `CI`, the `BITBUCKET_*` variables, and what people set.
//!
//! From facts about a build, gathered by the hub or by a local run, to names and values for an executor. Pure: nothing is
//! read from the environment of this process. Secrets are absent; they travel on their own way and at their own time.
//! <https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/>

use std::collections::BTreeMap;

use crate::plan::{CustomVariable, ParallelPlace};
use crate::push::Reference;

/// What is known of a build and of one of its steps. What is `None` has no variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFacts<'a> {
    /// Counts the builds of the repository from 1.
    pub build_number: u64,
    /// Where the step sees the commit's files.
    pub clone_dir: &'a str,
    /// In hexadecimal digits.
    pub commit: &'a str,
    pub repository: RepositoryFacts<'a>,
    pub reference: &'a Reference,
    /// The number of the pull request, if the reference is one.
    pub pull_request: Option<u64>,
    pub pipeline_uuid: Option<&'a str>,
    pub step_uuid: Option<&'a str>,
    /// Tries of the step so far, this one included.
    pub step_run_number: Option<u32>,
    pub step_triggerer_uuid: Option<&'a str>,
    pub parallel: Option<ParallelPlace>,
    /// The environment that the step deploys to, by its name.
    pub deployment_environment: Option<&'a str>,
    pub deployment_environment_uuid: Option<&'a str>,
    /// How the script ended. Known to `after-script` only.
    pub exit_code: Option<i32>,
}

/// What is known of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RepositoryFacts<'a> {
    /// Who owns it, as it stands in an address: the first half of the full name.
    pub workspace: &'a str,
    /// Its name as it stands in an address: the second half of the full name.
    pub slug: &'a str,
    pub uuid: Option<&'a str>,
    pub owner_uuid: Option<&'a str>,
    pub is_private: Option<bool>,
    pub project_key: Option<&'a str>,
    pub project_uuid: Option<&'a str>,
    pub http_origin: Option<&'a str>,
    pub ssh_origin: Option<&'a str>,
}

/// What people set, the weakest first: a later one wins, and each wins over the variables that we set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UserVariables<'a> {
    pub workspace: Option<&'a BTreeMap<String, String>>,
    pub repository: Option<&'a BTreeMap<String, String>>,
    /// Of the environment that the step deploys to.
    pub deployment: Option<&'a BTreeMap<String, String>>,
    /// Of the custom pipeline that was started.
    pub custom: &'a [CustomVariable],
}

/// The names of all variables that [`of_step`] can set by itself, sorted.
pub const DEFAULTS: &[&str] = &[
    "BITBUCKET_BRANCH",
    "BITBUCKET_BUILD_NUMBER",
    "BITBUCKET_CLONE_DIR",
    "BITBUCKET_COMMIT",
    "BITBUCKET_DEPLOYMENT_ENVIRONMENT",
    "BITBUCKET_DEPLOYMENT_ENVIRONMENT_UUID",
    "BITBUCKET_EXIT_CODE",
    "BITBUCKET_GIT_HTTP_ORIGIN",
    "BITBUCKET_GIT_SSH_ORIGIN",
    "BITBUCKET_PARALLEL_STEP",
    "BITBUCKET_PARALLEL_STEP_COUNT",
    "BITBUCKET_PIPELINE_UUID",
    "BITBUCKET_PROJECT_KEY",
    "BITBUCKET_PROJECT_UUID",
    "BITBUCKET_PR_DESTINATION_BRANCH",
    "BITBUCKET_PR_ID",
    "BITBUCKET_REPO_FULL_NAME",
    "BITBUCKET_REPO_IS_PRIVATE",
    "BITBUCKET_REPO_OWNER",
    "BITBUCKET_REPO_OWNER_UUID",
    "BITBUCKET_REPO_SLUG",
    "BITBUCKET_REPO_UUID",
    "BITBUCKET_STEP_RUN_NUMBER",
    "BITBUCKET_STEP_TRIGGERER_UUID",
    "BITBUCKET_STEP_UUID",
    "BITBUCKET_TAG",
    "BITBUCKET_WORKSPACE",
    "CI",
];

/// The plain variables of a step. A name that no shell could read is left out, and so is a value with a NUL, which no
/// environment can hold.
pub fn of_step(facts: &StepFacts<'_>, user: &UserVariables<'_>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    defaults(facts, &mut |name, value| {
        variables.insert(name.to_owned(), value);
    });
    let layers = [user.workspace, user.repository, user.deployment];
    for (name, value) in layers.into_iter().flatten().flatten() {
        put(name, value, &mut variables);
    }
    for variable in user.custom {
        put(&variable.name, &variable.value, &mut variables);
    }
    variables
}

fn put(name: &str, value: &str, variables: &mut BTreeMap<String, String>) {
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.starts_with(|first: char| !first.is_ascii_digit());
    if is_name && !value.contains('\0') {
        variables.insert(name.to_owned(), value.to_owned());
    }
}

fn defaults(facts: &StepFacts<'_>, put: &mut dyn FnMut(&str, String)) {
    let StepFacts {
        build_number,
        clone_dir,
        commit,
        repository,
        reference,
        pull_request,
        pipeline_uuid,
        step_uuid,
        step_run_number,
        step_triggerer_uuid,
        parallel,
        deployment_environment,
        deployment_environment_uuid,
        exit_code,
    } = facts;
    put("CI", "true".to_owned());
    put("BITBUCKET_BUILD_NUMBER", build_number.to_string());
    put("BITBUCKET_CLONE_DIR", (*clone_dir).to_owned());
    put("BITBUCKET_COMMIT", (*commit).to_owned());
    match reference {
        Reference::Branch(name) => put("BITBUCKET_BRANCH", name.clone()),
        Reference::Tag(name) => put("BITBUCKET_TAG", name.clone()),
        Reference::PullRequest {
            source,
            destination,
        } => {
            put("BITBUCKET_BRANCH", source.clone());
            put("BITBUCKET_PR_DESTINATION_BRANCH", destination.clone());
            if let Some(id) = pull_request {
                put("BITBUCKET_PR_ID", id.to_string());
            }
        }
    }
    if let Some(ParallelPlace { place, count, .. }) = parallel {
        put("BITBUCKET_PARALLEL_STEP", place.to_string());
        put("BITBUCKET_PARALLEL_STEP_COUNT", count.to_string());
    }
    if let Some(number) = step_run_number {
        put("BITBUCKET_STEP_RUN_NUMBER", number.to_string());
    }
    if let Some(code) = exit_code {
        put("BITBUCKET_EXIT_CODE", code.to_string());
    }
    let texts = [
        ("BITBUCKET_PIPELINE_UUID", pipeline_uuid),
        ("BITBUCKET_STEP_UUID", step_uuid),
        ("BITBUCKET_STEP_TRIGGERER_UUID", step_triggerer_uuid),
        ("BITBUCKET_DEPLOYMENT_ENVIRONMENT", deployment_environment),
        (
            "BITBUCKET_DEPLOYMENT_ENVIRONMENT_UUID",
            deployment_environment_uuid,
        ),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            put(name, (*text).to_owned());
        }
    }
    of_repository(repository, put);
}

fn of_repository(repository: &RepositoryFacts<'_>, put: &mut dyn FnMut(&str, String)) {
    let RepositoryFacts {
        workspace,
        slug,
        uuid,
        owner_uuid,
        is_private,
        project_key,
        project_uuid,
        http_origin,
        ssh_origin,
    } = *repository;
    put("BITBUCKET_WORKSPACE", workspace.to_owned());
    put("BITBUCKET_REPO_OWNER", workspace.to_owned());
    put("BITBUCKET_REPO_SLUG", slug.to_owned());
    put("BITBUCKET_REPO_FULL_NAME", format!("{workspace}/{slug}"));
    if let Some(is_private) = is_private {
        put("BITBUCKET_REPO_IS_PRIVATE", is_private.to_string());
    }
    let texts = [
        ("BITBUCKET_REPO_UUID", uuid),
        ("BITBUCKET_REPO_OWNER_UUID", owner_uuid),
        ("BITBUCKET_PROJECT_KEY", project_key),
        ("BITBUCKET_PROJECT_UUID", project_uuid),
        ("BITBUCKET_GIT_HTTP_ORIGIN", http_origin),
        ("BITBUCKET_GIT_SSH_ORIGIN", ssh_origin),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            put(name, text.to_owned());
        }
    }
}
