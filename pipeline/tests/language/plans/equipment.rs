//! What a step has around it. Each test cites the page that its expectation comes from.

use cofferdam_pipeline::{ImageCredentials, StepKind};
use insta::assert_debug_snapshot;

use super::step;
use crate::codes;

fn with(definitions: &str, keys: &str) -> cofferdam_pipeline::StepPlan {
    step(&format!(
        "definitions: {{{definitions}}}\npipelines:\n  default:\n    - step:\n        script: [x]\n        {}\n",
        keys.replace('\n', "\n        ")
    ))
}

/// <https://support.atlassian.com/bitbucket-cloud/docs/use-artifacts-in-steps/>
#[test]
fn artifacts_have_three_forms() {
    assert_debug_snapshot!(with("", "artifacts: [dist/**, '*.txt']").artifacts, @r#"
    Artifacts {
        upload: [
            ArtifactUpload {
                name: None,
                paths: [
                    "dist/**",
                    "*.txt",
                ],
                ignore_paths: [],
                kind: Shared,
                capture_on: Success,
                depth: None,
                line: 6,
            },
        ],
        download: All,
    }
    "#);
    assert_debug_snapshot!(with("", "artifacts: {download: [report], paths: [a], upload: [b, c]}").artifacts, @r#"
    Artifacts {
        upload: [
            ArtifactUpload {
                name: None,
                paths: [
                    "a",
                ],
                ignore_paths: [],
                kind: Shared,
                capture_on: Success,
                depth: None,
                line: 6,
            },
            ArtifactUpload {
                name: None,
                paths: [
                    "b",
                    "c",
                ],
                ignore_paths: [],
                kind: Shared,
                capture_on: Success,
                depth: None,
                line: 6,
            },
        ],
        download: Named(
            [
                "report",
            ],
        ),
    }
    "#);
    assert_debug_snapshot!(with("", "artifacts:
  download: false
  upload:
    - {name: report, paths: [r/*.xml], type: test-reports, capture-on: always, depth: 3, ignore-paths: [r/x]}
    - {name: log, paths: [log], type: scoped, capture-on: failed}").artifacts, @r#"
    Artifacts {
        upload: [
            ArtifactUpload {
                name: Some(
                    "report",
                ),
                paths: [
                    "r/*.xml",
                ],
                ignore_paths: [
                    "r/x",
                ],
                kind: TestReports,
                capture_on: Always,
                depth: Some(
                    3,
                ),
                line: 9,
            },
            ArtifactUpload {
                name: Some(
                    "log",
                ),
                paths: [
                    "log",
                ],
                ignore_paths: [],
                kind: Scoped,
                capture_on: Failed,
                depth: None,
                line: 10,
            },
        ],
        download: Nothing,
    }
    "#);
}

/// <https://support.atlassian.com/bitbucket-cloud/docs/cache-dependencies/>
#[test]
fn a_cache_is_predefined_or_defined_and_a_definition_wins() {
    let definitions = "caches: {cargo: {path: ~/.cargo, key: {files: [Cargo.lock]}}, node: web/node_modules, docker: /var/lib/docker}";
    assert_debug_snapshot!(with(definitions, "caches: [cargo, node, pip, cargo, docker]").caches, @r#"
    [
        CachePlan {
            name: "cargo",
            path: "~/.cargo",
            key_files: [
                "Cargo.lock",
            ],
            line: 6,
        },
        CachePlan {
            name: "node",
            path: "web/node_modules",
            key_files: [],
            line: 6,
        },
        CachePlan {
            name: "pip",
            path: "~/.cache/pip",
            key_files: [],
            line: 6,
        },
        CachePlan {
            name: "docker",
            path: "/var/lib/docker",
            key_files: [],
            line: 6,
        },
    ]
    "#);
}

const CACHES: &str = "https://support.atlassian.com/bitbucket-cloud/docs/cache-dependencies/";

#[test]
fn every_predefined_cache_has_the_path_of_the_page() {
    for (name, path, page) in [
        ("composer", "~/.composer/cache", CACHES),
        ("dotnetcore", "~/.nuget/packages", CACHES),
        ("gradle", "~/.gradle/caches", CACHES),
        ("ivy2", "~/.ivy2/cache", CACHES),
        ("maven", "~/.m2/repository", CACHES),
        ("node", "node_modules", CACHES),
        ("pip", "~/.cache/pip", CACHES),
        ("sbt", "~/.sbt", CACHES),
    ] {
        let caches = with("", &format!("caches: [{name}]")).caches;
        assert_eq!(caches.len(), 1, "{name}: {page}");
        assert_eq!(caches[0].path, path, "{name}: {page}");
    }
}

/// <https://support.atlassian.com/bitbucket-cloud/docs/databases-and-service-containers/>
#[test]
fn a_service_keeps_what_its_definition_says() {
    let definitions = "services: {db: {image: 'postgres:16', memory: 512, variables: {POSTGRES_DB: app}}, docker: {memory: 2048}}";
    let step = with(definitions, "services: [db, docker]");
    assert_debug_snapshot!(step.services, @r#"
    [
        ServicePlan {
            name: "db",
            image: Some(
                ImagePlan {
                    name: "postgres:16",
                    run_as_user: None,
                    credentials: None,
                    line: Some(
                        1,
                    ),
                },
            ),
            memory_mib: 512,
            variables: {
                "POSTGRES_DB": "app",
            },
            line: 6,
        },
        ServicePlan {
            name: "docker",
            image: None,
            memory_mib: 2048,
            variables: {},
            line: 6,
        },
    ]
    "#);
    assert!(matches!(step.kind, StepKind::Unsupported { .. }));
}

const CLONE: &str = "https://support.atlassian.com/bitbucket-cloud/docs/git-clone-behavior/";

#[test]
fn a_step_is_cloned_as_it_says_else_as_the_file_says_else_by_default() {
    let source = |file: &str, step: &str| {
        format!("{file}\npipelines: {{default: [{{step: {{script: [x]{step}}}}}]}}")
    };
    let of = |file: &str, of_step: &str| {
        let clone = step(&source(file, of_step)).clone;
        let depth = clone
            .depth
            .map_or("full".to_owned(), |depth| depth.to_string());
        format!("{} {depth} {} {:?}", clone.enabled, clone.lfs, clone.line)
    };
    #[rustfmt::skip]
    let rows = [
        ("", "", "true 50 false None", CLONE),
        ("clone: {depth: full, lfs: true}", "", "true full true Some(1)", CLONE),
        ("clone: {depth: full}", ", clone: {enabled: false}", "false 50 false Some(2)", CLONE),
        ("", ", clone: {depth: 1}", "true 1 false Some(2)", CLONE),
        ("", ", clone: {depth: 5.0}", "true 5 false Some(2)", CLONE),
    ];
    for (file, of_step, expected, page) in rows {
        assert_eq!(of(file, of_step), expected, "{file}{of_step}: {page}");
    }
}

/// <https://support.atlassian.com/bitbucket-cloud/docs/use-docker-images-as-build-environments/>
#[test]
fn an_image_carries_its_user_and_credentials() {
    let step = with(
        "",
        "image: {name: 'r.example.com/a/b:1', run-as-user: 1000, username: $U, password: $P}",
    );
    let StepKind::Script(script) = step.kind else {
        panic!("{step:#?}")
    };
    assert_eq!(script.image.name, "r.example.com/a/b:1");
    assert_eq!(
        (script.image.run_as_user, script.image.line),
        (Some(1000), Some(6))
    );
    let credentials = ImageCredentials {
        username: "$U".to_owned(),
        password: "$P".to_owned(),
        line: 6,
    };
    assert_eq!(script.image.credentials, Some(credentials));
}

#[test]
fn definitions_that_many_steps_name_do_not_fill_the_memory() {
    let big = "x".repeat(100_000);
    let steps = "{step: {script: [x], caches: [a]}},".repeat(400);
    let source =
        format!("definitions: {{caches: {{a: {big}}}}}\npipelines: {{default: [{steps}]}}");
    assert!(codes(source.as_bytes()).contains(&"Error too-many-definitions 2".to_owned()));
}
