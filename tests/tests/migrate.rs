//! `cofferdam migrate` as somebody runs it who brings a file: what it says, and how it ends.

#![expect(
    clippy::tests_outside_test_module,
    reason = "this file is nothing but tests"
)]

use std::fs;

use anyhow::{Result, ensure};
use cofferdam_tests::said as cofferdam;
use serde_json::{Value, json};

const MOVE: &str = "image:
  name: registry.example.com/build:4
  username: $REGISTRY_USER
  password: $REGISTRY_PASSWORD
pipelines:
  default:
    - step:
        name: Test
        clone: {skip-ssl-verify: true}
        script:
          - export VERSION=$(cat version)
          - ./test --level ${LEVEL:-low} --as $VERSION
  branches:
    main:
      - step:
          name: Deploy
          deployment: production
          runs-on: [self.hosted, linux]
          oidc: true
          script:
            - scp out $SSH_HOST:/srv
            - pipe: atlassian/slack-notify:2.3.0
              variables: {WEBHOOK_URL: $SLACK_WEBHOOK}
";

/// What is said in a directory with this file.
fn said(arguments: &[&str], input: &str) -> Result<String> {
    let temporary = tempfile::tempdir()?;
    fs::write(temporary.path().join("move.yml"), MOVE)?;
    cofferdam(temporary.path(), arguments, input)
}

#[test]
fn a_file_that_moves_is_taken_apart() -> Result<()> {
    insta::assert_snapshot!(said(&["migrate", "move.yml"], "")?, @r#"
    exit 0
    move.yml: 13 keys honoured, 1 in part, 2 unsupported; 4 to be set

    Unsupported: the step fails when its turn comes
      `oidc` is not supported: no token can be given to a step yet (line 19)
        → give the step a secret instead
      `pipe` is not supported: no pipe can be run yet (line 22)
        → run the pipe's program in a script, from an image that has it, or as a `wasm` step

    In part: the build is right without
      `clone.skip-ssl-verify` has no effect here: certificates are always verified (line 9)
        → give the runner's host the certificate of the server's authority

    To be set as secrets
      REGISTRY_PASSWORD  line 4
      SLACK_WEBHOOK      line 23; only for deployments to production

    To be set as variables
      REGISTRY_USER  line 3
      SSH_HOST       line 21; only for deployments to production

    Perhaps to be set
      LEVEL  line 12; the script has a default

    Not in the file: to be made anew, or done without
      deployment environments: they need no making; give each its variables
        production  line 17
      runner labels: a runner takes such a step only if it carries all of its labels
        linux  line 18
        self.hosted  line 18
      SSH keys and known hosts: keep the key as a secret, and write both below ~/.ssh in the script
        line 21
      OIDC tokens: give the step a secret instead
        line 19
      pipes: their images come from another registry
        atlassian/slack-notify:2.3.0  line 22

    Honoured as it is
      image image.name image.password image.username item.step pipelines pipelines.branches
      pipelines.default step.clone step.deployment step.name step.runs-on step.script
    "#);
    Ok(())
}

#[test]
fn a_script_gets_the_same_as_json() -> Result<()> {
    let said = said(&["migrate", "move.yml", "--format", "json"], "")?;
    let json: Value = serde_json::from_str(said.trim_start_matches("exit 0\n"))?;
    let names: Vec<&String> = json
        .as_object()
        .into_iter()
        .flat_map(|fields| fields.keys())
        .collect();
    let expected = [
        "elsewhere",
        "file",
        "honoured",
        "is_refused",
        "partly",
        "remarks",
        "unsupported",
        "variables",
    ];
    ensure!(names == expected, "{names:?}");
    for (place, expected) in [
        ("/file", json!("move.yml")),
        ("/is_refused", json!(false)),
        ("/honoured/1", json!({"key": "image.name", "lines": [2]})),
        (
            "/partly/0",
            json!({
                "message": "`clone.skip-ssl-verify` has no effect here: certificates are always verified",
                "advice": "give the runner's host the certificate of the server's authority",
                "lines": [9],
            }),
        ),
        ("/unsupported/0/lines", json!([19])),
        (
            "/variables/3",
            json!({
                "name": "SLACK_WEBHOOK",
                "is_secret": true,
                "need": "must",
                "environments": ["production"],
                "lines": [23],
            }),
        ),
        (
            "/elsewhere/0",
            json!({"kind": "deployment-environment", "name": "production", "lines": [17]}),
        ),
        (
            "/elsewhere/3",
            json!({"kind": "ssh-key", "name": null, "lines": [21]}),
        ),
        ("/remarks/0/code", json!("no-effect")),
    ] {
        ensure!(
            json.pointer(place) == Some(&expected),
            "{place}: {:?}",
            json.pointer(place)
        );
    }
    Ok(())
}

#[test]
fn a_file_that_cannot_be_listed_ends_with_its_own_status() -> Result<()> {
    for (arguments, input, begin, words) in [
        (
            &["migrate", "-"][..],
            "a: b\n",
            "exit 1\n",
            "standard input: refused, 1 error",
        ),
        (
            &["migrate", "-", "--format", "json"],
            "a: b\n",
            "exit 1\n",
            "\"is_refused\": true",
        ),
        (&["migrate", "missing.yml"], "", "exit 2\n", "missing.yml: "),
        (
            &["migrate"],
            "",
            "exit 2\n",
            "there is neither cofferdam.yml nor bitbucket-pipelines.yml here",
        ),
        (
            &["migrate", "a", "b"],
            "",
            "exit 2\n",
            "unexpected argument",
        ),
    ] {
        let said = said(arguments, input)?;
        ensure!(
            said.starts_with(begin) && said.contains(words),
            "{arguments:?}\n{said}"
        );
    }
    Ok(())
}
