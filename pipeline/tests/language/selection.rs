//! Which pipeline a push starts.

use cofferdam_pipeline::{
    ChangedFiles, Outcome, PIPELINE_FILE_NAMES, Push, is_pipeline_file_name, resolve,
};
use insta::assert_snapshot;

use crate::{branch, tag};

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
        ("main", "branches › main"),
        ("feature/x", "branches › feature/*"),
        ("feature/bb-12", "branches › feature/bb-*"),
        ("feature/bb-12/deep", "branches › **"),
        ("dev", "branches › {dev,stage}"),
        ("f{e}", "branches › f{e}"),
        ("Main", "branches › **"),
    ];
    for (name, expected) in cases {
        assert_eq!(selected(file, &branch(name)), expected, "{name}");
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

#[test]
fn custom_and_pull_request_pipelines_are_checked_and_never_selected_by_a_push() {
    let file = "pull-requests: {'**': P}; custom: {main: [{variables: [{name: WHERE, default: here}]}, {step: {script: [make]}}]}; default: P";
    assert_eq!(selected(file, &branch("main")), "default");
}

#[test]
fn a_commit_message_can_ask_for_no_build() {
    for (message, expected) in [
        (
            "Fix a typo [skip ci]",
            "The commit message says `[skip ci]`.",
        ),
        (
            "Fix\n\nlong story [ci skip] end",
            "The commit message says `[ci skip]`.",
        ),
        ("skip ci", "default"),
    ] {
        let push = Push {
            commit_message: message.to_owned(),
            ..branch("main")
        };
        assert_eq!(selected("default: P", &push), expected, "{message}");
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
