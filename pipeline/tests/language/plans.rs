//! What a file makes of a push: jobs, steps, grants.

mod equipment;
mod flow;

use cofferdam_pipeline::{
    Clock, GrantRequest, LimitRequest, ModuleRef, Outcome, Random, RetryCause, RetryRequest,
    StepKind, StepPlan, WasmStep,
};
use insta::assert_snapshot;

use crate::{codes, on_main, plan};

/// The only step of a file's only job.
fn step(source: &str) -> StepPlan {
    let resolution = on_main(source);
    let Outcome::Planned(plan) = resolution.outcome else {
        panic!("{:#?}", resolution.diagnostics)
    };
    let [job] = plan.jobs.as_slice() else {
        panic!("{plan:#?}")
    };
    let [step] = job.steps.as_slice() else {
        panic!("{plan:#?}")
    };
    step.clone()
}

fn wasm(yaml: &str) -> WasmStep {
    let indented = yaml.replace('\n', "\n          ");
    let step = step(&format!(
        "pipelines:\n  default:\n    - step:\n        wasm:\n          {indented}\n"
    ));
    let StepKind::Wasm(wasm) = step.kind else {
        panic!("{step:#?}")
    };
    wasm
}

#[test]
fn steps_in_a_row_are_one_job() {
    assert_snapshot!(plan("
image: rust:1.95
pipelines:
  default:
    - step:
        name: Build
        script:
          - cargo build
          - |
            if true; then
              echo built
            fi
    - step:
        image: {name: alpine:3}
        max-time: 5
        script: ['true', '1.50']
        after-script: [echo $BITBUCKET_EXIT_CODE]
"), @r#"
    default
    job 0 needs [] on []
      0 Build (line 5, 120 min): rust:1.95 ["cargo build", "if true; then\n  echo built\nfi\n"]
      1 Step 2 (line 13, 5 min): alpine:3 ["true", "1.50"], then ["echo $BITBUCKET_EXIT_CODE"]
    "#);
}

#[test]
fn a_job_waits_for_every_job_it_needs() {
    assert_snapshot!(plan("
pipelines:
  default:
    - step: {name: a, script: [x]}
    - parallel:
        - step: {name: b, script: [x]}
        - step: {name: c, script: [x]}
    - parallel:
        fail-fast: false
        steps:
          - step: {name: d, script: [x]}
          - step: {name: e, script: [x]}
    - step: {name: f, script: [x]}
    - step: {name: g, script: [x]}
"), @r#"
    default
    job 0 needs [] on []
      0 a (line 4, 120 min): atlassian/default-image:latest ["x"]
    job 1 needs [0] on []
      1 b (line 6, 120 min, branch 1/2 of group 0): atlassian/default-image:latest ["x"]
    job 2 needs [0] on []
      2 c (line 7, 120 min, branch 2/2 of group 0): atlassian/default-image:latest ["x"]
    job 3 needs [1, 2] on []
      3 d (line 11, 120 min, branch 1/2 of group 1): atlassian/default-image:latest ["x"]
    job 4 needs [1, 2] on []
      4 e (line 12, 120 min, branch 2/2 of group 1): atlassian/default-image:latest ["x"]
    job 5 needs [3, 4] on []
      5 f (line 13, 120 min): atlassian/default-image:latest ["x"]
      6 g (line 14, 120 min): atlassian/default-image:latest ["x"]
    "#);
}

#[test]
fn a_stage_and_other_labels_begin_a_job_of_their_own() {
    assert_snapshot!(plan("
options: {max-time: 30, runs-on: linux}
pipelines:
  default:
    - step: {name: a, script: [x]}
    - step: {name: b, runs-on: [self.hosted, big, big], script: [x]}
    - stage:
        name: Build
        steps:
          - step: {name: c, script: [x]}
          - step: {name: d, script: [x]}
    - stage:
        steps:
          - step: {name: e, script: [x]}
    - step: {name: f, script: [x]}
"), @r#"
    default
    job 0 needs [] on ["linux"]
      0 a (line 5, 30 min): atlassian/default-image:latest ["x"]
    job 1 needs [0] on ["big", "self.hosted"]
      1 b (line 6, 30 min): atlassian/default-image:latest ["x"]
    job 2 needs [1] on ["linux"], stage Build
      2 c (line 10, 30 min): atlassian/default-image:latest ["x"]
      3 d (line 11, 30 min): atlassian/default-image:latest ["x"]
    job 3 needs [2] on ["linux"], stage Stage 2
      4 e (line 14, 30 min): atlassian/default-image:latest ["x"]
    job 4 needs [3] on ["linux"]
      5 f (line 15, 30 min): atlassian/default-image:latest ["x"]
    "#);
}

#[test]
fn a_step_that_cannot_be_done_right_is_planned_as_unsupported_with_the_line() {
    assert_snapshot!(plan("
definitions:
  services: {db: {image: postgres}}
pipelines:
  default:
    - step: {name: plain, script: [x]}
    - step:
        name: service
        services: [db]
        script: [x]
    - step:
        name: pipe
        script:
          - x
          - pipe: atlassian/aws-s3-deploy:1.1.0
            variables: {S3_BUCKET: b}
    - step: {name: private, image: {name: a/b, aws: {oidc-role: r}}, script: [x]}
    - step: {name: image, image: 'a b', script: [x]}
    - step: {name: variable, image: $IMAGE, script: [x]}
    - step: {name: windows, runtime: {cloud: {platform: windows, arch: x86}}, script: [x]}
    - step: {name: child, type: pipeline, custom: other}
    - step: {name: granted, script: [x], grants: {net: ['https://a.b']}}
    - step: {name: token, oidc: true, script: [x]}
    - step: {name: docker, caches: [docker], script: [x]}
    - step: {name: state, condition: {state: 'A == true'}, script: [x]}
    - step: {name: user, image: {name: a, run-as-user: -1}, script: [x]}
    - stage:
        name: Ship
        steps:
          - parallel: [{step: {script: [x]}}]
          - step: {name: staged, script: [x]}
"), @r#"
    default
    job 0 needs [] on []
      0 plain (line 6, 120 min): atlassian/default-image:latest ["x"]
      1 service (line 7, 120 min): unsupported: `services` in line 9
      2 pipe (line 11, 120 min): unsupported: `pipe` in line 15
      3 private (line 17, 120 min): unsupported: `image.aws` in line 17
      4 image (line 18, 120 min): unsupported: `a b` as the name of an image in line 18
      5 variable (line 19, 120 min): unsupported: a variable in an image's name in line 19
      6 windows (line 20, 120 min): unsupported: `cloud.platform` in line 20
      7 child (line 21, 120 min): unsupported: `type` in line 21
      8 granted (line 22, 120 min): unsupported: `grants` in line 22
      9 token (line 23, 120 min): unsupported: `oidc` in line 23
      10 docker (line 24, 120 min): unsupported: the cache `docker` in line 24
      11 state (line 25, 120 min): unsupported: `condition.state` in line 25
      12 user (line 26, 120 min): unsupported: `image.run-as-user` in line 26
    job 1 needs [0] on [], stage Ship
      13 parallel (line 30, 120 min): unsupported: `parallel` in line 30
      14 staged (line 31, 120 min): atlassian/default-image:latest ["x"]
    "#);
}

#[test]
fn options_for_the_whole_file_reach_every_step_they_concern() {
    assert_snapshot!(plan("
options: {docker: true, runtime: {cloud: {arch: arm}}}
pipelines:
  default:
    - step: {name: script, runtime: {cloud: {}}, script: [x]}
    - step: {name: wasm, runtime: {self-hosted: {cpu: 1}}, wasm: {module: 'step:a'}}
    - step: {name: bare, wasm: {module: 'step:a'}}
"), @r#"
    default
    job 0 needs [] on []
      0 script (line 5, 120 min): unsupported: `options.docker` in line 2
      1 wasm (line 6, 120 min): wasm FirstParty("a")
      2 bare (line 7, 120 min): unsupported: `cloud.arch` in line 2
    "#);
}

#[test]
fn an_imported_pipeline_is_one_unsupported_step() {
    assert_snapshot!(plan("
pipelines:
  default:
    import: shared:main:build
"), @r#"
    default
    job 0 needs [] on []
      0 import (line 4, 120 min): unsupported: `import` in line 4
    "#);
}

#[test]
fn anchors_and_merge_keys_are_written_out() {
    assert_snapshot!(plan("
definitions:
  steps:
    - step: &build
        name: Build
        image: rust:1
        script: &lines
          - cargo build
    - step: &test
        <<: *build
        name: Test
  defaults: &defaults {image: 'alpine:3', max-time: 7}
pipelines:
  default:
    - step: *build
    - step:
        <<: [*defaults, *test]
        script: *lines
"), @r#"
    default
    job 0 needs [] on []
      0 Build (line 15, 120 min): rust:1 ["cargo build"]
      1 Test (line 16, 7 min): alpine:3 ["cargo build"]
    "#);
}

/// Everything that a wasm step asks for, a line each.
fn asked(step: &WasmStep) -> String {
    let WasmStep {
        module,
        module_line,
        args,
        env,
        grants,
        limits,
    } = step;
    let GrantRequest {
        read,
        write,
        net,
        secrets,
        clock,
        random,
    } = grants;
    let mut lines = vec![format!("line {module_line}: {module:?} {args:?} {env:?}")];
    lines.extend(
        read.iter()
            .map(|grant| format!("line {}: read {}", grant.line, grant.path)),
    );
    lines.extend(
        write
            .iter()
            .map(|grant| format!("line {}: write {}", grant.line, grant.path)),
    );
    lines.extend(
        net.iter()
            .map(|grant| format!("line {}: net {grant}", grant.line)),
    );
    lines.extend(secrets.iter().map(|grant| format!("{grant:?}")));
    lines.push(format!("{clock:?} clock, {random:?} random"));
    lines.push(format!("{limits:?}"));
    lines.join("\n")
}

#[test]
fn a_wasm_step_asks_for_what_it_says_and_for_nothing_else() {
    assert_snapshot!(asked(&wasm("module: ./ci//scan.wasm
args: [--strict, 2, '']
env: {LEVEL: 2, EMPTY: ''}
grants:
  read: [src/, ./Cargo.lock]
  write:
    - report
  net: ['https://API.example.com', 'http://[::1]:8080/', tcp://db.internal:5432]
  secrets: [SCAN_TOKEN, {file: KEY}]
  clock: fixed
  random: seeded
limits: {memory: 256MiB, time: 1500ms, output: 10MB, disk: 1 GiB}")), @r#"
    line 5: Path("ci/scan.wasm") ["--strict", "2", ""] {"EMPTY": "", "LEVEL": "2"}
    line 9: read src
    line 9: read Cargo.lock
    line 11: write report
    line 12: net https://api.example.com:443
    line 12: net http://[::1]:8080
    line 12: net tcp://db.internal:5432
    SecretGrant { name: "SCAN_TOKEN", delivery: Environment, line: 13 }
    SecretGrant { name: "KEY", delivery: File, line: 13 }
    Fixed clock, Seeded random
    LimitRequest { memory_bytes: Some(268435456), time_secs: Some(2), output_bytes: Some(10000000), disk_bytes: Some(1073741824) }
    "#);
    let bare = wasm("module: step:secret-scan");
    assert_eq!(bare.module, ModuleRef::FirstParty("secret-scan".to_owned()));
    assert_eq!(
        bare.grants,
        GrantRequest {
            clock: Clock::Real,
            random: Random::Real,
            ..GrantRequest::default()
        }
    );
    assert_eq!(
        (bare.limits, bare.env.len(), bare.args.len()),
        (LimitRequest::default(), 0, 0)
    );
}

#[test]
fn a_module_comes_from_the_commit_a_release_a_registry_or_an_earlier_step() {
    let digest = "0123456789abcdef".repeat(4);
    let oci = format!("oci://registry.example.com:5000/team/scan@sha256:{digest}");
    let cases = [
        ("ci/a.wasm", ModuleRef::Path("ci/a.wasm".to_owned())),
        ("step:a-1", ModuleRef::FirstParty("a-1".to_owned())),
        (
            &oci,
            ModuleRef::Oci {
                repository: "registry.example.com:5000/team/scan".to_owned(),
                sha256: digest.clone(),
            },
        ),
        (
            "{artifact: out/./a.wasm, from: Build it}",
            ModuleRef::Artifact {
                path: "out/a.wasm".to_owned(),
                from: "Build it".to_owned(),
            },
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(wasm(&format!("module: {text}")).module, expected, "{text}");
    }
}

#[test]
fn a_value_that_is_one_variable_is_not_taken_for_a_text() {
    let source = "pipelines: {default: [{step: {wasm: {module: a.wasm, env: {A: $B}}}}]}";
    assert!(matches!(
        step(source).kind,
        StepKind::Unsupported { line: 1, .. }
    ));
    let source = "pipelines: {default: [{step: {wasm: {module: a.wasm, args: [x$B]}}}]}";
    assert!(matches!(step(source).kind, StepKind::Wasm(_)));
}

#[test]
fn a_step_is_retried_once_unless_it_says_otherwise() {
    let of = |retry: &str| {
        step(&format!(
            "pipelines: {{default: [{{step: {{script: [x]{retry}}}}}]}}"
        ))
        .retry
    };
    assert_eq!(
        of(""),
        RetryRequest {
            max: 1,
            on: vec![RetryCause::Lost, RetryCause::Infrastructure]
        }
    );
    assert_eq!(of(", retry: {max: 0}").max, 0);
    assert_eq!(
        of(", retry: {on: [failed, lost, failed]}").on,
        [RetryCause::Lost, RetryCause::Failed]
    );
}

#[test]
fn a_name_is_one_line_without_control_characters() {
    let source = "pipelines: {default: [{step: {name: \"a\\tb\\e[31m\\nc\", script: [x]}}]}";
    assert_eq!(step(source).name, "a b [31m c");
    let long = format!(
        "pipelines: {{default: [{{step: {{name: {}, script: [x]}}}}]}}",
        "é".repeat(999)
    );
    assert_eq!(step(&long).name.chars().count(), 201);
}

#[test]
fn what_is_harmless_is_warned_of_and_the_step_runs() {
    let source = "
labels: {team: a}
pipelines:
  default:
    - step:
        size: 2x
        auth: {system: {scopes: [a]}}
        trigger: automatic
        caches: [cargo]
        artifacts: [../out/**]
        clone: {depth: 1, skip-ssl-verify: true}
        max-time: 999999
        output-variables:
        unheard-of: 1
        script: [x]
";
    assert!(matches!(step(source).kind, StepKind::Script(_)));
    assert_eq!(
        codes(source.as_bytes()),
        [
            "Warning no-effect 7",
            "Warning unknown-cache 9",
            "Warning artifact-path 10",
            "Warning no-effect 11",
            "Warning max-time 12",
            "Warning empty-key 13",
            "Warning unknown-key 14",
        ]
    );
}
