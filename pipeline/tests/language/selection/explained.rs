//! Why each pipeline of a file is, or is not, what a push runs.

use cofferdam_pipeline::{ChangedFiles, Push, explain};
use insta::assert_snapshot;

use super::{custom, request};
use crate::{branch, tag};

const FILE: &str = "
pipelines:
  default: [{step: {script: [x]}}]
  branches:
    main: [{step: {script: [x]}}]
    '*': [{step: {script: [x]}}]
    'm*n': [{step: {script: [x]}}]
    'a*': [{step: {script: [x]}}]
    '*a': [{step: {script: [x]}}]
  tags:
    'v*': [{step: {script: [x]}}]
  pull-requests:
    '**': [{step: {script: [x]}}]
  custom:
    nightly: [{variables: [{name: A}]}, {step: {script: [x]}}]
    weekly: [{step: {script: [x]}}]
";

fn explained(push: &Push) -> String {
    let all = explain(FILE.as_bytes(), push, ChangedFiles::Unknown).into_iter();
    let lines: Vec<String> = all
        .map(|one| {
            let mark = if one.selected { "▸" } else { " " };
            format!("{mark} {}: {}", one.pipeline, one.why)
        })
        .collect();
    lines.join("\n")
}

#[test]
fn the_exact_name_goes_before_every_pattern() {
    assert_snapshot!(explained(&branch("main")), @r#"
      default: `main` below `branches` matches, and goes before `default`.
    ▸ branches › main: It is exactly `main`.
      branches › *: It matches `main`, and the exact name goes before every pattern.
      branches › m*n: It matches `main`, and the exact name goes before every pattern.
      branches › a*: It does not match `main`.
      branches › *a: It does not match `main`.
      tags › v*: A branch was pushed.
      pull-requests › **: A branch was pushed.
      custom › nightly: A custom pipeline starts only by hand, by a schedule or by the API.
      custom › weekly: A custom pipeline starts only by hand, by a schedule or by the API.
    "#);
}

#[test]
fn of_equally_long_patterns_the_one_that_stands_first_is_named() {
    assert_snapshot!(explained(&branch("aa")), @r#"
      default: `a*` below `branches` matches, and goes before `default`.
      branches › main: It does not match `aa`.
      branches › *: It matches `aa`, and `a*` is longer.
      branches › m*n: It does not match `aa`.
    ▸ branches › a*: It is the longest pattern that matches `aa`.
      branches › *a: It matches `aa`, and `a*` is as long and stands before it.
      tags › v*: A branch was pushed.
      pull-requests › **: A branch was pushed.
      custom › nightly: A custom pipeline starts only by hand, by a schedule or by the API.
      custom › weekly: A custom pipeline starts only by hand, by a schedule or by the API.
    "#);
}

#[test]
fn a_branch_that_no_pattern_matches_runs_the_default() {
    assert_snapshot!(explained(&branch("feature/x")), @r#"
    ▸ default: Nothing below `branches` matches `feature/x`.
      branches › main: It does not match `feature/x`.
      branches › *: It does not match `feature/x`.
      branches › m*n: It does not match `feature/x`.
      branches › a*: It does not match `feature/x`.
      branches › *a: It does not match `feature/x`.
      tags › v*: A branch was pushed.
      pull-requests › **: A branch was pushed.
      custom › nightly: A custom pipeline starts only by hand, by a schedule or by the API.
      custom › weekly: A custom pipeline starts only by hand, by a schedule or by the API.
    "#);
}

#[test]
fn a_tag_and_a_pull_request_look_at_their_own_section() {
    assert_snapshot!(explained(&tag("v1")), @r#"
      default: A tag never starts the `default` pipeline.
      branches › main: A tag was pushed.
      branches › *: A tag was pushed.
      branches › m*n: A tag was pushed.
      branches › a*: A tag was pushed.
      branches › *a: A tag was pushed.
    ▸ tags › v*: It is the longest pattern that matches `v1`.
      pull-requests › **: A tag was pushed.
      custom › nightly: A custom pipeline starts only by hand, by a schedule or by the API.
      custom › weekly: A custom pipeline starts only by hand, by a schedule or by the API.
    "#);
    assert_snapshot!(explained(&request("feature/x", "main")), @r#"
      default: A pull request never starts the `default` pipeline.
      branches › main: This is a pull request; a push of its source branch is another event.
      branches › *: This is a pull request; a push of its source branch is another event.
      branches › m*n: This is a pull request; a push of its source branch is another event.
      branches › a*: This is a pull request; a push of its source branch is another event.
      branches › *a: This is a pull request; a push of its source branch is another event.
      tags › v*: This is a pull request; a push of its source branch is another event.
    ▸ pull-requests › **: It is the longest pattern that matches `feature/x`.
      custom › nightly: A custom pipeline starts only by hand, by a schedule or by the API.
      custom › weekly: A custom pipeline starts only by hand, by a schedule or by the API.
    "#);
}

#[test]
fn a_pipeline_that_was_asked_for_by_name_is_explained_too() {
    assert_snapshot!(explained(&custom("nightly", &[])), @r#"
    default: A custom pipeline was asked for by name.
    branches › main: A custom pipeline was asked for by name.
    branches › *: A custom pipeline was asked for by name.
    branches › m*n: A custom pipeline was asked for by name.
    branches › a*: A custom pipeline was asked for by name.
    branches › *a: A custom pipeline was asked for by name.
    tags › v*: A custom pipeline was asked for by name.
    pull-requests › **: A custom pipeline was asked for by name.
    custom › nightly: The variable `A` has no default, and no value was given.
    custom › weekly: `nightly` was asked for.
    "#);
    assert_snapshot!(explained(&custom("weekly", &[])), @r#"
      default: A custom pipeline was asked for by name.
      branches › main: A custom pipeline was asked for by name.
      branches › *: A custom pipeline was asked for by name.
      branches › m*n: A custom pipeline was asked for by name.
      branches › a*: A custom pipeline was asked for by name.
      branches › *a: A custom pipeline was asked for by name.
      tags › v*: A custom pipeline was asked for by name.
      pull-requests › **: A custom pipeline was asked for by name.
      custom › nightly: `weekly` was asked for.
    ▸ custom › weekly: It was asked for by name.
    "#);
}

#[test]
fn a_skipped_commit_selects_nothing_and_says_so() {
    let push = Push {
        commit_message: "Typo [skip ci]".to_owned(),
        ..branch("main")
    };
    assert_snapshot!(explained(&push), @r#"
    default: `main` below `branches` matches, and goes before `default`.
    branches › main: The commit message says `[skip ci]`.
    branches › *: It matches `main`, and the exact name goes before every pattern.
    branches › m*n: It matches `main`, and the exact name goes before every pattern.
    branches › a*: It does not match `main`.
    branches › *a: It does not match `main`.
    tags › v*: A branch was pushed.
    pull-requests › **: A branch was pushed.
    custom › nightly: A custom pipeline starts only by hand, by a schedule or by the API.
    custom › weekly: A custom pipeline starts only by hand, by a schedule or by the API.
    "#);
}

#[test]
fn a_file_with_errors_has_no_pipeline_to_explain() {
    assert_eq!(
        explain(b"pipelines: 1", &branch("main"), ChangedFiles::Unknown),
        []
    );
}
