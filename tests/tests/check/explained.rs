//! What would run for a push, and why nothing else.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use cofferdam_tests::process::{command, run};

use super::{OWN, cofferdam, said};

#[test]
fn a_push_is_explained_pipeline_by_pipeline() -> Result<()> {
    insta::assert_snapshot!(said(&["check", "--explain", "--branch", "feature/bb-1"], "")?, @r#"
    exit 0
    bitbucket-pipelines.yml: a push of branch `feature/bb-1` runs branches › feature/bb-*

      1  Step 1  line 21

      no    default                  `feature/bb-*` below `branches` matches, and goes before `default`.
      no    branches › feature/*     It matches `feature/bb-1`, and `feature/bb-*` is longer.
      runs  branches › feature/bb-*  It is the longest pattern that matches `feature/bb-1`.
      no    tags › v*                A branch was pushed.
      no    pull-requests › **       A branch was pushed.
      no    custom › nightly         A custom pipeline starts only by hand, by a schedule or by the API.
      no    custom › cleanup         A custom pipeline starts only by hand, by a schedule or by the API.
    "#);
    Ok(())
}

#[test]
fn a_step_is_shown_with_what_holds_it_up() -> Result<()> {
    insta::assert_snapshot!(said(&["check", "--explain", "--branch", "feature/x"], "")?, @r#"
    exit 0
    bitbucket-pipelines.yml: a push of branch `feature/x` runs branches › feature/*

      1  Build       line 7
      2  Unit tests  line 9, parallel 1 of 2, only if `src/**` changed
      3  Docs        line 13, parallel 2 of 2
      4  Deploy      line 14, waits for a person, deploys to staging, on linux+self.hosted

      no    default                  `feature/*` below `branches` matches, and goes before `default`.
      runs  branches › feature/*     It is the longest pattern that matches `feature/x`.
      no    branches › feature/bb-*  It does not match `feature/x`.
      no    tags › v*                A branch was pushed.
      no    pull-requests › **       A branch was pushed.
      no    custom › nightly         A custom pipeline starts only by hand, by a schedule or by the API.
      no    custom › cleanup         A custom pipeline starts only by hand, by a schedule or by the API.
    "#);
    Ok(())
}

#[test]
fn changed_files_decide_a_condition() -> Result<()> {
    insta::assert_snapshot!(said(&["check", "--explain", "--branch", "feature/x", "--changed", "README.md"], "")?, @r#"
    exit 0
    bitbucket-pipelines.yml: a push of branch `feature/x` runs branches › feature/*

      1  Build       line 7
      2  Unit tests  line 9, skipped: no changed file meets the condition in line 11
      3  Docs        line 13, parallel 2 of 2
      4  Deploy      line 14, waits for a person, deploys to staging, on linux+self.hosted

      no    default                  `feature/*` below `branches` matches, and goes before `default`.
      runs  branches › feature/*     It is the longest pattern that matches `feature/x`.
      no    branches › feature/bb-*  It does not match `feature/x`.
      no    tags › v*                A branch was pushed.
      no    pull-requests › **       A branch was pushed.
      no    custom › nightly         A custom pipeline starts only by hand, by a schedule or by the API.
      no    custom › cleanup         A custom pipeline starts only by hand, by a schedule or by the API.
    "#);
    Ok(())
}

#[test]
fn a_tag_runs_its_own_pipeline() -> Result<()> {
    insta::assert_snapshot!(said(&["check", "--explain", "--tag", "v1.0"], "")?, @r#"
    exit 0
    bitbucket-pipelines.yml: a push of tag `v1.0` runs tags › v*

      1  Release  line 24

      no    default                  A tag never starts the `default` pipeline.
      no    branches › feature/*     A tag was pushed.
      no    branches › feature/bb-*  A tag was pushed.
      runs  tags › v*                It is the longest pattern that matches `v1.0`.
      no    pull-requests › **       A tag was pushed.
      no    custom › nightly         A custom pipeline starts only by hand, by a schedule or by the API.
      no    custom › cleanup         A custom pipeline starts only by hand, by a schedule or by the API.
    "#);
    Ok(())
}

#[test]
fn a_push_that_runs_nothing_is_explained() -> Result<()> {
    insta::assert_snapshot!(said(&["check", "--explain", "--tag", "1.0"], "")?, @r#"
    exit 0
    bitbucket-pipelines.yml: a push of tag `1.0` runs nothing. No pattern below `tags` matches `1.0`, and a tag never starts the `default` pipeline.

      no    default                  A tag never starts the `default` pipeline.
      no    branches › feature/*     A tag was pushed.
      no    branches › feature/bb-*  A tag was pushed.
      no    tags › v*                It does not match `1.0`.
      no    pull-requests › **       A tag was pushed.
      no    custom › nightly         A custom pipeline starts only by hand, by a schedule or by the API.
      no    custom › cleanup         A custom pipeline starts only by hand, by a schedule or by the API.
    "#);
    Ok(())
}

#[test]
fn a_pull_request_is_looked_for_by_its_source() -> Result<()> {
    insta::assert_snapshot!(said(&["check", "--explain", "--pull-request", "feature/x:main"], "")?, @r#"
    exit 0
    bitbucket-pipelines.yml: a pull request of `feature/x` into `main` runs pull-requests › **

      1  Review  line 27

      no    default                  A pull request never starts the `default` pipeline.
      no    branches › feature/*     This is a pull request; a push of its source branch is another event.
      no    branches › feature/bb-*  This is a pull request; a push of its source branch is another event.
      no    tags › v*                This is a pull request; a push of its source branch is another event.
      runs  pull-requests › **       It is the longest pattern that matches `feature/x`.
      no    custom › nightly         A custom pipeline starts only by hand, by a schedule or by the API.
      no    custom › cleanup         A custom pipeline starts only by hand, by a schedule or by the API.
    "#);
    Ok(())
}

#[test]
fn a_custom_pipeline_is_explained_with_its_values() -> Result<()> {
    insta::assert_snapshot!(said(&["check", "--explain", "--custom", "nightly", "--var", "LEVEL=high"], "")?, @r#"
    exit 0
    bitbucket-pipelines.yml: asking for `nightly` on branch `main` runs custom › nightly

      LEVEL=high
      1  Nightly  line 34

      no    default                  A custom pipeline was asked for by name.
      no    branches › feature/*     A custom pipeline was asked for by name.
      no    branches › feature/bb-*  A custom pipeline was asked for by name.
      no    tags › v*                A custom pipeline was asked for by name.
      no    pull-requests › **       A custom pipeline was asked for by name.
      runs  custom › nightly         It was asked for by name.
      no    custom › cleanup         `nightly` was asked for.
    "#);
    Ok(())
}

#[test]
fn a_refused_file_is_not_explained() -> Result<()> {
    insta::assert_snapshot!(said(&["check", "--explain", "--branch", "main", "slips.yml"], "")?, @r#"
    exit 1
    error[no-script]: this step has no `script` and no `wasm`
     --> slips.yml:3:7
      |
    3 |     - step:
      |       ^^^^
      = help: did you mean it by `scrpt` in line 5?

    slips.yml: 1 error, 2 warnings
    "#);
    Ok(())
}

#[test]
fn a_script_gets_the_explanation_as_json() -> Result<()> {
    insta::assert_snapshot!(said(&["check", "--explain", "--custom", "cleanup", "--tag", "v1", "--format", "json"], "")?, @r#"
    exit 0
    [
      {
        "file": "bitbucket-pipelines.yml",
        "push": {
          "branch": null,
          "tag": "v1",
          "pull_request": null,
          "custom": "cleanup",
          "variables": {}
        },
        "selected": "custom › cleanup",
        "why_nothing": null,
        "pipelines": [
          {
            "pipeline": "default",
            "selected": false,
            "why": "A custom pipeline was asked for by name."
          },
          {
            "pipeline": "branches › feature/*",
            "selected": false,
            "why": "A custom pipeline was asked for by name."
          },
          {
            "pipeline": "branches › feature/bb-*",
            "selected": false,
            "why": "A custom pipeline was asked for by name."
          },
          {
            "pipeline": "tags › v*",
            "selected": false,
            "why": "A custom pipeline was asked for by name."
          },
          {
            "pipeline": "pull-requests › **",
            "selected": false,
            "why": "A custom pipeline was asked for by name."
          },
          {
            "pipeline": "custom › nightly",
            "selected": false,
            "why": "`cleanup` was asked for."
          },
          {
            "pipeline": "custom › cleanup",
            "selected": true,
            "why": "It was asked for by name."
          }
        ],
        "steps": [
          {
            "name": "Clean",
            "line": 36,
            "kind": "script",
            "unsupported": null,
            "job": 0,
            "needs": [],
            "stage": null,
            "parallel_group": null,
            "runs_on": [],
            "is_manual": false,
            "is_final": false,
            "deployment": null,
            "condition": null,
            "skipped": null
          }
        ],
        "remarks": []
      }
    ]
    "#);
    Ok(())
}

#[test]
fn a_question_without_an_answer_is_explained() -> Result<()> {
    for (line, words) in [
        ("--branch main", "say --explain"),
        ("--changed a", "--explain"),
        ("--explain", "say --branch NAME or --tag NAME"),
        ("--explain --branch a..b", "cannot hold"),
        ("--explain --pull-request feature/x", "`feature/x:main`"),
        (
            "--explain --branch a --changed /etc/passwd",
            "from the repository's root",
        ),
        (
            "--explain --branch a --changed ../x",
            "from the repository's root",
        ),
        ("--explain --branch a --var LEVEL=low", "--custom"),
        ("--explain --custom nightly --var LEVEL", "`NAME=VALUE`"),
        (
            "--explain --custom weekly",
            "There is no custom pipeline `weekly`; there are `nightly`, `cleanup`.",
        ),
        (
            "--explain --custom nightly --var WHERE=here",
            "has no variable `WHERE`; it has `LEVEL`.",
        ),
        (
            "--explain --custom nightly --var LEVEL=middle",
            "`middle` is not allowed for `LEVEL`; allowed are `low`, `high`.",
        ),
        ("missing.yml", "missing.yml: "),
    ] {
        let arguments: Vec<&str> = std::iter::once("check").chain(line.split(' ')).collect();
        let said = said(&arguments, "")?;
        let first = said.lines().next();
        ensure!(
            first == Some("exit 2") && said.contains(words),
            "{line}\n{said}"
        );
    }
    Ok(())
}

#[test]
fn the_branch_that_is_checked_out_is_explained_if_none_is_named() -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let dir = temporary.path();
    fs::write(dir.join("bitbucket-pipelines.yml"), OWN)?;
    for arguments in [
        &["init", "--quiet", "-b", "feature/bb-7"][..],
        &[
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=ada@example.com",
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            "Begin",
        ],
    ] {
        run(command(Path::new("git"), dir).args(arguments))?;
    }
    let said = cofferdam(dir, &["check", "--explain"], "")?;
    ensure!(
        said.contains("a push of branch `feature/bb-7` runs branches › feature/bb-*"),
        "{said}"
    );
    Ok(())
}
