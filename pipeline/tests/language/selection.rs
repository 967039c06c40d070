//! Which pipeline a push starts.

mod explained;

use cofferdam_pipeline::{
    ChangedFiles, CustomStart, Outcome, PIPELINE_FILE_NAMES, Push, Reference,
    is_pipeline_file_name, resolve,
};
use insta::assert_snapshot;

use crate::{branch, tag};

const START: &str = "https://support.atlassian.com/bitbucket-cloud/docs/pipeline-start-conditions/";
const GLOBS: &str = "https://support.atlassian.com/bitbucket-cloud/docs/use-glob-patterns-on-the-pipelines-yaml-file/";
const BRACES: &str = "https://www.gnu.org/software/bash/manual/html_node/Brace-Expansion.html";
const SKIP: &str = "https://confluence.atlassian.com/bbkb/how-to-skip-triggering-a-pipeline-build-using-skip-ci-label-1207188270.html";

const STEP: &str = "[{step: {script: [make]}}]";

/// What is selected, or why nothing is, for pipelines that are written in one line each.
fn selected(pipelines: &str, push: &Push) -> String {
    let source = format!(
        "pipelines:\n  {}\n",
        pipelines.replace('P', STEP).replace("; ", "\n  ")
    );
    let resolution = resolve(source.as_bytes(), push, ChangedFiles::Unknown);
    match resolution.outcome {
        Outcome::Planned(plan) => plan.selected,
        Outcome::NothingSelected(why) => why,
        Outcome::Invalid => panic!("{source}\n{:#?}", resolution.diagnostics),
    }
}

#[test]
fn a_branch_selects_its_exact_name_else_the_longest_pattern_else_default() {
    let file = "default: P; branches: {main: P, 'feature/*': P, 'feature/bb-*': P, '**': P, '{dev,stage}': P, 'f{e}': P}";
    let cases = [
        ("main", "branches › main", GLOBS),
        ("feature/x", "branches › feature/*", GLOBS),
        ("feature/bb-12", "branches › feature/bb-*", GLOBS),
        ("feature/bb-12/deep", "branches › **", GLOBS),
        ("dev", "branches › {dev,stage}", BRACES),
        ("f{e}", "branches › f{e}", BRACES),
        ("Main", "branches › **", GLOBS),
    ];
    for (name, expected, page) in cases {
        assert_eq!(selected(file, &branch(name)), expected, "{name}: {page}");
    }
    assert_eq!(
        selected("default: P; branches: {'release/*': P}", &branch("main")),
        "default"
    );
}

#[test]
fn an_exact_name_wins_over_a_longer_pattern() {
    let file = "branches: {'{dev,test,stage}': P, 'de?': P, dev: P}";
    assert_eq!(selected(file, &branch("dev")), "branches › dev");
}

#[test]
fn of_equally_long_patterns_the_first_in_the_file_wins() {
    assert_eq!(
        selected("branches: {'a*': P, '*b': P}", &branch("ab")),
        "branches › a*"
    );
    assert_eq!(
        selected("branches: {'*b': P, 'a*': P}", &branch("ab")),
        "branches › *b"
    );
}

#[test]
fn a_tag_selects_tags_only() {
    let file = "default: P; branches: {'**': P}; tags: {'v*': P}";
    assert_eq!(selected(file, &tag("v1.0")), "tags › v*");
    assert_snapshot!(selected(file, &tag("nightly")), @"No pattern below `tags` matches `nightly`, and a tag never starts the `default` pipeline.");
    assert_snapshot!(selected("default: P", &tag("v1")), @"The file has no `tags`, and a tag never starts the `default` pipeline.");
}

#[test]
fn a_push_that_starts_nothing_says_why() {
    assert_snapshot!(selected("branches: {main: P}", &branch("dev")), @"No pattern below `branches` matches `dev`, and there is no `default` pipeline.");
    assert_snapshot!(selected("custom: {nightly: P}", &branch("dev")), @"The file has neither `branches` nor a `default` pipeline.");
    let long = "x".repeat(600);
    assert_snapshot!(selected("default: P", &branch(&long)), @"The pushed name has more than 512 bytes.");
}

/// Patterns below `pull-requests` match the source branch.
/// <https://support.atlassian.com/bitbucket-cloud/docs/pipeline-start-conditions/>
#[test]
fn a_pull_request_selects_by_its_source_branch_and_nothing_else() {
    let file = "default: P; branches: {'**': P}; pull-requests: {'feature/*': P, 'feature/bb-*': P, main: P}";
    let cases = [
        ("feature/x", "pull-requests › feature/*", START),
        ("feature/bb-1", "pull-requests › feature/bb-*", GLOBS),
        ("main", "pull-requests › main", START),
    ];
    for (source, expected, page) in cases {
        assert_eq!(
            selected(file, &request(source, "main")),
            expected,
            "{source}: {page}"
        );
    }
    assert_snapshot!(selected(file, &request("fix", "main")), @"No pattern below `pull-requests` matches the source branch `fix`.");
    assert_snapshot!(selected("default: P", &request("fix", "main")), @"The file has no `pull-requests`, and a pull request starts no other pipeline.");
}

fn request(source: &str, destination: &str) -> Push {
    Push {
        reference: Reference::PullRequest {
            source: source.to_owned(),
            destination: destination.to_owned(),
        },
        ..branch("")
    }
}

fn custom(name: &str, variables: &[(&str, &str)]) -> Push {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Push {
        custom: Some(CustomStart {
            name: name.to_owned(),
            variables: variables.collect(),
        }),
        ..branch("main")
    }
}

const DEPLOY: &str = "custom: {deploy: [{variables: [{name: WHERE, default: test, allowed-values: [test, production]}, {name: WHY}]}, {step: {script: [x]}}], 'n*': P}; default: P";

/// <https://support.atlassian.com/bitbucket-cloud/docs/pipeline-start-conditions/>
#[test]
fn a_custom_pipeline_is_started_by_its_name_with_its_variables() {
    let start = custom("deploy", &[("WHY", "because")]);
    assert_eq!(selected(DEPLOY, &start), "custom › deploy");
    assert_eq!(selected(DEPLOY, &custom("n*", &[])), "custom › n*");
    let skipped = Push {
        commit_message: "[skip ci]".to_owned(),
        ..custom("n*", &[])
    };
    assert_eq!(selected(DEPLOY, &skipped), "custom › n*");
    let source = format!(
        "pipelines: {{{}}}",
        DEPLOY.replace("; ", ", ").replace('P', STEP)
    );
    let values = |push: &Push| -> Vec<String> {
        let resolution = resolve(source.as_bytes(), push, ChangedFiles::Unknown);
        let Outcome::Planned(plan) = resolution.outcome else {
            panic!("{resolution:#?}")
        };
        let variables = plan.variables.into_iter();
        variables
            .map(|variable| format!("{}={}", variable.name, variable.value))
            .collect()
    };
    assert_eq!(values(&start), ["WHERE=test", "WHY=because"]);
    let both = custom("deploy", &[("WHY", ""), ("WHERE", "production")]);
    assert_eq!(values(&both), ["WHERE=production", "WHY="]);
}

#[test]
fn a_custom_pipeline_that_cannot_be_started_says_why() {
    assert_snapshot!(selected(DEPLOY, &custom("n1", &[])), @"There is no custom pipeline `n1`; there are `deploy`, `n*`.");
    assert_snapshot!(selected("default: P", &custom("a", &[])), @"There is no custom pipeline `a`; the file has no `custom`.");
    assert_snapshot!(selected(DEPLOY, &custom("deploy", &[])), @"The variable `WHY` has no default, and no value was given.");
    assert_snapshot!(selected(DEPLOY, &custom("deploy", &[("WHERE", "moon"), ("WHY", "")])), @"`moon` is not allowed for `WHERE`; allowed are `test`, `production`.");
    assert_snapshot!(selected(DEPLOY, &custom("deploy", &[("WHEN", "now")])), @"The custom pipeline `deploy` has no variable `WHEN`; it has `WHERE`, `WHY`.");
    assert_snapshot!(selected(DEPLOY, &custom("n*", &[("WHEN", "now")])), @"The custom pipeline `n*` has no variable `WHEN`; it has none.");
    assert_snapshot!(selected("custom: {a: [{variables: [{name: A, default: b}]}]}", &custom("a", &[])), @"The pipeline `custom › a` has no step.");
}

#[test]
fn custom_and_pull_request_pipelines_are_checked_and_never_selected_by_a_push() {
    let file = "pull-requests: {'**': P}; custom: {main: [{variables: [{name: WHERE, default: here}]}, {step: {script: [make]}}]}; default: P";
    assert_eq!(selected(file, &branch("main")), "default");
}

#[test]
fn a_commit_message_can_ask_for_no_build() {
    for (message, expected, page) in [
        (
            "Fix a typo [skip ci]",
            "The commit message says `[skip ci]`.",
            SKIP,
        ),
        (
            "Fix\n\nlong story [ci skip] end",
            "The commit message says `[ci skip]`.",
            SKIP,
        ),
        ("skip ci", "default", SKIP),
        ("Fix [skip-ci]", "default", SKIP),
    ] {
        let push = Push {
            commit_message: message.to_owned(),
            ..branch("main")
        };
        assert_eq!(selected("default: P", &push), expected, "{message}: {page}");
    }
}

#[test]
fn the_own_file_name_comes_before_the_one_of_the_base_language() {
    assert_eq!(
        PIPELINE_FILE_NAMES,
        ["cofferdam.yml", "bitbucket-pipelines.yml"]
    );
    assert!(is_pipeline_file_name("cofferdam.yml"));
    assert!(!is_pipeline_file_name("ci/cofferdam.yml") && !is_pipeline_file_name("Cofferdam.yml"));
}
