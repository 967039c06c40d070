//! What a person is told who brings an existing file.

use cofferdam_pipeline::{
    Elsewhere, Finding, KeyUse, Migration, Need, Severity, Support, VariableUse, migrate,
    variables::DEFAULTS,
};
use proptest::prelude::*;

/// Everything but the honoured keys, a line for each thing.
fn told(source: &str) -> String {
    let Migration {
        diagnostics,
        honoured: _,
        findings,
        variables,
        elsewhere,
    } = migrate(source.as_bytes());
    let mut lines: Vec<String> = diagnostics
        .iter()
        .filter(|remark| remark.severity == Severity::Error)
        .map(|remark| format!("refused: {}", remark.message))
        .collect();
    for Finding {
        support,
        what,
        advice,
        lines: at,
    } in findings
    {
        let support = match support {
            Support::Partly => "partly",
            Support::Unsupported => "unsupported",
        };
        let advice = advice.unwrap_or_else(|| "?".to_owned());
        lines.push(format!("{support} {at:?} {what} => {advice}"));
    }
    for variable in variables {
        lines.push(outline(&variable));
    }
    for Elsewhere {
        kind,
        name,
        lines: at,
    } in elsewhere
    {
        lines.push(format!("{kind:?} {name} {at:?}"));
    }
    lines.join("\n")
}

fn outline(variable: &VariableUse) -> String {
    let VariableUse {
        name,
        is_secret,
        need,
        environments,
        lines,
    } = variable;
    let what = if *is_secret { "secret" } else { "variable" };
    let of = if environments.is_empty() {
        String::new()
    } else {
        format!(" of {}", environments.join(", "))
    };
    format!("{what} {name} {need:?}{of} {lines:?}")
}

/// The names that a script leaves to be set, each with the reason why it may be left alone.
fn wanted(script: &[&str]) -> String {
    let lines: Vec<String> = script
        .iter()
        .map(|line| format!("          - {}\n", serde_json::Value::from(*line)))
        .collect();
    let source = format!(
        "pipelines:\n  default:\n    - step:\n        script:\n{}",
        lines.concat()
    );
    let names = migrate(source.as_bytes()).variables.into_iter();
    let names: Vec<String> = names
        .map(|VariableUse { name, need, .. }| match need {
            Need::Must => name,
            need => format!("{name} ({need:?})"),
        })
        .collect();
    names.join(" ")
}

/// Scripts and what has to be set for them. That all lines run in one shell, and which variables a step has, is
/// <https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/>.
#[test]
fn a_variable_is_wanted_if_nothing_sets_it_first() {
    for (script, expected) in [
        (&["echo $REGION ${CLUSTER}"][..], "CLUSTER REGION"),
        (
            &["echo $BITBUCKET_COMMIT $CI $HOME $PATH $LC_ALL $RANDOM"],
            "",
        ),
        (&["TAG=1", "echo $TAG"], ""),
        (&["export TAG=$(cat version)", "echo $TAG"], ""),
        (&["for f in *.yml; do echo $f; done", "echo $f"], ""),
        (&["cat list | while read -r name; do echo $name; done"], ""),
        (&["export AWS_REGION=$AWS_REGION"], "AWS_REGION"),
        (&["echo ${LEVEL:-low}"], "LEVEL (HasDefault)"),
        (&["echo ${LEVEL:-low}", "echo $LEVEL"], "LEVEL"),
        (
            &["[ -z \"$TAG\" ] && TAG=latest", "echo $TAG"],
            "TAG (SetLater)",
        ),
        (
            &["source ./env.sh", "echo $REGION"],
            "REGION (MayBeIncluded)",
        ),
        (&["echo $JAVA_HOME"], "JAVA_HOME (OfImages)"),
        (
            &["NODE_ENV=production npm run $TASK", "echo $NODE_ENV"],
            "NODE_ENV TASK",
        ),
        (&["awk '{print $NF}' list", "# $NOTHING"], ""),
    ] {
        assert_eq!(wanted(script), expected, "{script:?}");
    }
}

#[test]
fn a_file_of_everything_is_taken_apart() {
    let source = "\
image:
  name: registry.example.com/build:$BUILD_TAG
  username: $REGISTRY_USER
  password: $REGISTRY_PASSWORD
options: {runs-on: [self.hosted, linux]}
definitions:
  services:
    db: {image: postgres, variables: {POSTGRES_PASSWORD: $DB_PASSWORD}}
    unused: {image: a, variables: {A: $UNUSED}}
  steps:
    - step: &test
        name: Test
        services: [db]
        script:
          - ./test --level $LEVEL
pipelines:
  default:
    - step: *test
    - step:
        oidc: true
        clone: {skip-ssl-verify: true}
        services: [docker]
        script:
          - |
            make
            scp out $SSH_HOST:/srv
          - pipe: atlassian/aws-s3-deploy:1.1.0
            variables:
              AWS_SECRET_ACCESS_KEY: $AWS_SECRET_ACCESS_KEY
              LOCAL: [$PART]
        after-script: [echo $BITBUCKET_EXIT_CODE $LATE]
  branches:
    main:
      - stage:
          deployment: production
          steps:
            - step: {script: ['deploy $TARGET $BITBUCKET_STEP_OIDC_TOKEN']}
  custom:
    nightly:
      - variables: [{name: LEVEL}]
      - step: *test
";
    insta::assert_snapshot!(told(source), @r"
    unsupported [2] a variable in an image's name is not supported: no variable is expanded here yet => write the name of the image out
    unsupported [13, 22] `services` is not supported: no service can be started yet => start what the script needs within the script, from an image that has it
    unsupported [20] `oidc` is not supported: no token can be given to a step yet => give the step a secret instead
    partly [21] `clone.skip-ssl-verify` has no effect here: certificates are always verified => give the runner's host the certificate of the server's authority
    unsupported [27] `pipe` is not supported: no pipe can be run yet => run the pipe's program in a script, from an image that has it, or as a `wasm` step
    secret AWS_SECRET_ACCESS_KEY Must [29]
    variable BUILD_TAG Must [2]
    secret DB_PASSWORD Must [8]
    variable LATE Must [31]
    variable LEVEL Must [15]
    variable PART Must [30]
    secret REGISTRY_PASSWORD Must [4]
    variable REGISTRY_USER Must [3]
    variable SSH_HOST Must [26]
    variable TARGET Must of production [37]
    DeploymentEnvironment production [35]
    RunnerLabel linux [5]
    RunnerLabel self.hosted [5]
    SshKey  [26]
    Oidc  [20]
    Service db [13]
    ContainerEngine  [22]
    Pipe atlassian/aws-s3-deploy:1.1.0 [27]
    BitbucketVariable BITBUCKET_STEP_OIDC_TOKEN [37]
    Custom nightly [39]
    ");
}

#[test]
fn what_a_module_is_given_counts_too() {
    let source = "\
pipelines:
  default:
    - step:
        wasm:
          module: a.wasm
          args: [$LEVEL, a$NOT]
          env: {A: '${WHERE}'}
          grants: {secrets: [SCAN, {file: KEY_FILE}]}
";
    insta::assert_snapshot!(told(source), @r"
    unsupported [6, 7] a variable as a value below `wasm` is not supported: no variable is expanded here yet => write the value out, or grant it as a secret
    secret KEY_FILE Must [8]
    variable LEVEL Must [6]
    secret SCAN Must [8]
    variable WHERE Must [7]
    ");
}

#[test]
fn a_refused_file_is_only_refused() {
    let migration = migrate(b"pipelines: {default: [{step: {script: [], name: $A}}]}");
    assert!(
        migration
            .diagnostics
            .iter()
            .any(|one| one.severity == Severity::Error)
    );
    let Migration {
        diagnostics: _,
        honoured,
        findings,
        variables,
        elsewhere,
    } = migration;
    assert!(honoured.is_empty() && findings.is_empty());
    assert!(variables.is_empty() && elsewhere.is_empty());
}

#[test]
fn every_honoured_key_is_named_with_its_lines() {
    let source = "image: a\npipelines:\n  default:\n    - step: &a {script: [a, {pipe: b, variables: {}}], max-time: 5, retry: {max: 1}}\n    - parallel: [{step: *a}, {step: {script: [b]}}]\n";
    let keys = migrate(source.as_bytes()).honoured.into_iter();
    let keys: Vec<String> = keys
        .map(|KeyUse { key, lines }| format!("{key} {lines:?}"))
        .collect();
    insta::assert_snapshot!(keys.join("\n"), @r"
    image [1]
    item.parallel [5]
    item.step [4, 5]
    pipelines [2]
    pipelines.default [3]
    step.max-time [4]
    step.script [4, 5]
    ");
}

#[test]
fn a_file_full_of_aliases_and_names_takes_no_long_time() {
    let names: Vec<String> = (0..30_000)
        .map(|number| format!("echo $N{number}; "))
        .collect();
    let names = names.concat();
    let steps = "    - step: *a\n".repeat(4);
    let source = format!(
        "definitions:\n  steps:\n    - step: &a {{script: ['{names}']}}\npipelines:\n  default:\n{steps}"
    );
    let migration = migrate(source.as_bytes());
    assert_eq!(migration.variables.len(), 2_000);
}

proptest! {
    #[test]
    fn whatever_is_told_stands_in_the_file(
        lines in proptest::collection::vec("[ -~]{0,30}", 0..6),
        custom in "[A-Z$]{1,4}",
    ) {
        let script: Vec<String> = lines.iter().map(|line| format!("{line:?}")).collect();
        let source = format!(
            "pipelines:\n  default:\n    - step: {{script: [{}]}}\n  custom:\n    a:\n      - variables: [{{name: \"{custom}\"}}]\n      - step: {{script: [a], deployment: $A}}\n",
            script.join(", ")
        );
        let length = u32::try_from(source.lines().count()).unwrap();
        let migration = migrate(source.as_bytes());
        for VariableUse { name, lines, .. } in &migration.variables {
            assert!(source.contains(name.as_str()) && !DEFAULTS.contains(&name.as_str()));
            assert!(lines.iter().all(|line| (1..=length).contains(line)), "{lines:?}");
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _migration = migrate(&bytes);
    }
}
