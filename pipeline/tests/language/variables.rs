//! Which variables a step has, and whose value wins. Every row names the page that says so.

use std::collections::BTreeMap;

use cofferdam_pipeline::variables::{DEFAULTS, RepositoryFacts, StepFacts, UserVariables, of_step};
use cofferdam_pipeline::{CustomVariable, ParallelPlace, Reference};

const VARIABLES: &str = "https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/";
const PARALLEL: &str = "https://support.atlassian.com/bitbucket-cloud/docs/parallel-step-options/";
const AFTER: &str = "https://support.atlassian.com/bitbucket-cloud/docs/step-options/#After-script";
const START: &str = "https://support.atlassian.com/bitbucket-cloud/docs/pipeline-start-conditions/";

fn facts(reference: &Reference) -> StepFacts<'_> {
    StepFacts {
        build_number: 7,
        clone_dir: "/opt/atlassian/pipelines/agent/build",
        commit: "7f777ed95a19224294949e1b4ce56bbffcb1fe9f",
        repository: RepositoryFacts {
            workspace: "team",
            slug: "app",
            http_origin: Some("http://bitbucket.org/team/app"),
            ssh_origin: Some("git@bitbucket.org:/team/app.git"),
            is_private: Some(true),
            ..RepositoryFacts::default()
        },
        reference,
        pull_request: None,
        pipeline_uuid: Some("{1}"),
        step_uuid: Some("{2}"),
        step_run_number: Some(1),
        step_triggerer_uuid: None,
        parallel: None,
        deployment_environment: None,
        deployment_environment_uuid: None,
        exit_code: None,
    }
}

/// What a row changes about a step on the branch `main`.
type Change = fn(&mut StepFacts<'_>);

/// Name, value (`None`: there is no such variable), what is special, the page.
#[rustfmt::skip]
const ROWS: &[(&str, Option<&str>, Change, &str)] = &[
    ("CI", Some("true"), |_| {}, VARIABLES),
    ("BITBUCKET_BUILD_NUMBER", Some("7"), |_| {}, VARIABLES),
    ("BITBUCKET_CLONE_DIR", Some("/opt/atlassian/pipelines/agent/build"), |_| {}, VARIABLES),
    ("BITBUCKET_COMMIT", Some("7f777ed95a19224294949e1b4ce56bbffcb1fe9f"), |_| {}, VARIABLES),
    ("BITBUCKET_WORKSPACE", Some("team"), |_| {}, VARIABLES),
    ("BITBUCKET_REPO_SLUG", Some("app"), |_| {}, VARIABLES),
    ("BITBUCKET_REPO_OWNER", Some("team"), |_| {}, VARIABLES),
    ("BITBUCKET_REPO_FULL_NAME", Some("team/app"), |_| {}, VARIABLES),
    ("BITBUCKET_REPO_IS_PRIVATE", Some("true"), |_| {}, VARIABLES),
    ("BITBUCKET_REPO_UUID", None, |_| {}, VARIABLES),
    ("BITBUCKET_REPO_UUID", Some("{3}"), |step| step.repository.uuid = Some("{3}"), VARIABLES),
    ("BITBUCKET_REPO_OWNER_UUID", Some("{4}"), |step| step.repository.owner_uuid = Some("{4}"), VARIABLES),
    ("BITBUCKET_PROJECT_KEY", Some("APP"), |step| step.repository.project_key = Some("APP"), VARIABLES),
    ("BITBUCKET_PROJECT_UUID", Some("{5}"), |step| step.repository.project_uuid = Some("{5}"), VARIABLES),
    ("BITBUCKET_GIT_HTTP_ORIGIN", Some("http://bitbucket.org/team/app"), |_| {}, VARIABLES),
    ("BITBUCKET_GIT_SSH_ORIGIN", Some("git@bitbucket.org:/team/app.git"), |_| {}, VARIABLES),
    ("BITBUCKET_PIPELINE_UUID", Some("{1}"), |_| {}, VARIABLES),
    ("BITBUCKET_STEP_UUID", Some("{2}"), |_| {}, VARIABLES),
    ("BITBUCKET_STEP_RUN_NUMBER", Some("1"), |_| {}, VARIABLES),
    ("BITBUCKET_STEP_TRIGGERER_UUID", Some("{6}"), |step| step.step_triggerer_uuid = Some("{6}"), VARIABLES),
    ("BITBUCKET_BRANCH", Some("main"), |_| {}, VARIABLES),
    ("BITBUCKET_TAG", None, |_| {}, VARIABLES),
    ("BITBUCKET_PR_ID", None, |_| {}, VARIABLES),
    ("BITBUCKET_PR_DESTINATION_BRANCH", None, |_| {}, VARIABLES),
    ("BITBUCKET_PARALLEL_STEP", None, |_| {}, PARALLEL),
    ("BITBUCKET_PARALLEL_STEP", Some("0"), in_parallel, PARALLEL),
    ("BITBUCKET_PARALLEL_STEP_COUNT", Some("3"), in_parallel, PARALLEL),
    ("BITBUCKET_DEPLOYMENT_ENVIRONMENT", None, |_| {}, VARIABLES),
    ("BITBUCKET_DEPLOYMENT_ENVIRONMENT", Some("production"), |step| step.deployment_environment = Some("production"), VARIABLES),
    ("BITBUCKET_DEPLOYMENT_ENVIRONMENT_UUID", Some("{7}"), |step| step.deployment_environment_uuid = Some("{7}"), VARIABLES),
    ("BITBUCKET_EXIT_CODE", None, |_| {}, AFTER),
    ("BITBUCKET_EXIT_CODE", Some("0"), |step| step.exit_code = Some(0), AFTER),
    ("BITBUCKET_EXIT_CODE", Some("137"), |step| step.exit_code = Some(137), AFTER),
];

fn in_parallel(step: &mut StepFacts<'_>) {
    step.parallel = Some(ParallelPlace {
        group: 2,
        place: 0,
        count: 3,
        fail_fast: false,
    });
}

#[test]
fn a_step_has_each_variable_exactly_when_the_page_says_so() {
    let main = Reference::Branch("main".to_owned());
    for (name, expected, change, page) in ROWS {
        let mut step = facts(&main);
        change(&mut step);
        let variables = of_step(&step, &UserVariables::default());
        assert_eq!(
            variables.get(*name).map(String::as_str),
            *expected,
            "{name}: {page}"
        );
    }
}

#[test]
fn a_branch_a_tag_and_a_pull_request_each_have_variables_of_their_own() {
    let request = Reference::PullRequest {
        source: "feature/x".to_owned(),
        destination: "main".to_owned(),
    };
    let cases = [
        (
            Reference::Tag("v1".to_owned()),
            "BITBUCKET_TAG",
            Some("v1"),
            VARIABLES,
        ),
        (
            Reference::Tag("v1".to_owned()),
            "BITBUCKET_BRANCH",
            None,
            VARIABLES,
        ),
        (
            request.clone(),
            "BITBUCKET_BRANCH",
            Some("feature/x"),
            VARIABLES,
        ),
        (request.clone(), "BITBUCKET_TAG", None, VARIABLES),
        (request.clone(), "BITBUCKET_PR_ID", Some("12"), VARIABLES),
        (
            request,
            "BITBUCKET_PR_DESTINATION_BRANCH",
            Some("main"),
            VARIABLES,
        ),
    ];
    for (reference, name, expected, page) in cases {
        let step = StepFacts {
            pull_request: Some(12),
            ..facts(&reference)
        };
        let variables = of_step(&step, &UserVariables::default());
        assert_eq!(
            variables.get(name).map(String::as_str),
            expected,
            "{name}: {page}"
        );
    }
}

#[test]
fn a_nearer_layer_wins_and_every_layer_wins_over_ours() {
    let layer = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        pairs.collect()
    };
    let workspace = layer(&[("A", "w"), ("B", "w"), ("C", "w"), ("D", "w"), ("CI", "w")]);
    let repository = layer(&[("B", "r"), ("C", "r"), ("D", "r")]);
    let deployment = layer(&[("C", "d"), ("D", "d")]);
    let custom = [CustomVariable {
        name: "D".to_owned(),
        value: "c".to_owned(),
        default: None,
        allowed_values: Vec::new(),
        description: None,
        line: 1,
    }];
    let main = Reference::Branch("main".to_owned());
    let user = UserVariables {
        workspace: Some(&workspace),
        repository: Some(&repository),
        deployment: Some(&deployment),
        custom: &custom,
    };
    let variables = of_step(&facts(&main), &user);
    for (name, expected, page) in [
        ("A", "w", VARIABLES),
        ("B", "r", VARIABLES),
        ("C", "d", VARIABLES),
        ("D", "c", START),
        ("CI", "w", VARIABLES),
    ] {
        assert_eq!(variables[name], expected, "{name}: {page}");
    }
}

/// IEEE Std 1003.1, 8.1: names of letters, digits and `_`, and values end at a NUL.
#[test]
fn what_no_environment_can_hold_is_left_out() {
    let hostile: BTreeMap<String, String> = ["", "A=B", "1A", "A B", "A\n", "É", "OK"]
        .iter()
        .map(|name| ((*name).to_owned(), "x".to_owned()))
        .chain([("NUL".to_owned(), "a\0b".to_owned())])
        .collect();
    let main = Reference::Branch("main".to_owned());
    let user = UserVariables {
        repository: Some(&hostile),
        ..UserVariables::default()
    };
    let ours = of_step(&facts(&main), &UserVariables::default());
    let mut all = of_step(&facts(&main), &user);
    all.retain(|name, _| !ours.contains_key(name));
    assert_eq!(all.into_keys().collect::<Vec<_>>(), ["OK"]);
}

#[test]
fn the_list_of_default_variables_is_complete() {
    let request = Reference::PullRequest {
        source: "feature/a".to_owned(),
        destination: "main".to_owned(),
    };
    let tag = Reference::Tag("v1".to_owned());
    let mut names: Vec<String> = Vec::new();
    for reference in [&request, &tag] {
        let mut step = StepFacts {
            pull_request: Some(1),
            step_triggerer_uuid: Some("{3}"),
            deployment_environment: Some("production"),
            deployment_environment_uuid: Some("{4}"),
            exit_code: Some(0),
            ..facts(reference)
        };
        in_parallel(&mut step);
        step.repository = RepositoryFacts {
            uuid: Some("{5}"),
            owner_uuid: Some("{6}"),
            project_key: Some("P"),
            project_uuid: Some("{7}"),
            ..step.repository
        };
        names.extend(of_step(&step, &UserVariables::default()).into_keys());
    }
    names.sort();
    names.dedup();
    assert_eq!(names, DEFAULTS);
}
