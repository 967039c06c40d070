//! `cofferdam check` as people and editors run it: what it says, and how it ends.

#![expect(
    clippy::tests_outside_test_module,
    reason = "this file is nothing but tests"
)]

mod explained;
mod options_of_run;
mod page;
mod remarks;

use std::fs;

use anyhow::Result;
use cofferdam_tests::said as cofferdam;

const OWN: &str = r#"image: node:22
pipelines:
  default:
    - step: {name: Build, script: [npm ci]}
  branches:
    feature/*:
      - step: {name: Build, script: [npm ci]}
      - parallel:
          - step:
              name: Unit tests
              condition: {changesets: {includePaths: ["src/**"]}}
              script: [npm test]
          - step: {name: Docs, script: [npm run docs]}
      - step:
          name: Deploy
          deployment: staging
          trigger: manual
          runs-on: [self.hosted, linux]
          script: [./deploy $REGION]
    feature/bb-*:
      - step: {script: [npm ci]}
  tags:
    v*:
      - step: {name: Release, script: [npm publish]}
  pull-requests:
    "**":
      - step: {name: Review, script: [npm run lint]}
  custom:
    nightly:
      - variables:
          - name: LEVEL
            default: low
            allowed-values: [low, high]
      - step: {name: Nightly, script: [./nightly $LEVEL]}
    cleanup:
      - step: {name: Clean, script: [./clean]}
"#;

const SLIPS: &str = "pipelines:
  default:
    - step:
        name: Build
        scrpt:
          - make
    - step:
        script: [make test]
        oidc: true
";

const WARNED: &str = "pipelines:
  default:
    - step:
        oidc: true
        sript: [make]
        script: [make]
";

/// What is said in a directory with these files.
fn said(arguments: &[&str], input: &str) -> Result<String> {
    let temporary = tempfile::tempdir()?;
    for (name, text) in [
        ("bitbucket-pipelines.yml", OWN),
        ("slips.yml", SLIPS),
        ("warned.yml", WARNED),
    ] {
        fs::write(temporary.path().join(name), text)?;
    }
    cofferdam(temporary.path(), arguments, input)
}
