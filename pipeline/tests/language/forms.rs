//! Which values the language takes and which it refuses, a row for each rule.
//!
//! Each row names the page that describes the key; the verdicts are those of the language's public JSON Schema (as
//! `check-jsonschema` carries it), plus our own refusals: duplicate keys, no `pipelines`, a step without a script, a manual first step.

use cofferdam_pipeline::{ChangedFiles, Outcome, Severity, resolve};

use crate::branch;

const ACCEPTED: bool = true;
const REFUSED: bool = false;

/// Where a snippet stands: `@` is it.
const FILE: &str = "@\npipelines: {default: [{step: {script: [x]}}]}";
const STEP: &str = "pipelines: {default: [{step: {script: [x], @}}]}";
const ITEM: &str = "pipelines: {default: [{step: {script: [x]}}, @]}";
const CUSTOM: &str = "pipelines: {custom: {a: [@, {step: {script: [x]}}]}}";
const PIPELINE: &str = "pipelines: {default: @}";
const SCRIPT: &str = "pipelines: {default: [{step: {script: [@]}}]}";

/// The address of a page of the language's documentation.
macro_rules! docs {
    ($page:literal) => {
        concat!(
            "https://support.atlassian.com/bitbucket-cloud/docs/",
            $page,
            "/"
        )
    };
}

const STEP_OPTIONS: &str = docs!("step-options");
const STAGE_OPTIONS: &str = docs!("stage-options");
const PARALLEL_OPTIONS: &str = docs!("parallel-step-options");
const REFERENCE: &str = docs!("bitbucket-pipelines-configuration-reference");
const START: &str = docs!("pipeline-start-conditions");
const IMAGES: &str = docs!("use-docker-images-as-build-environments");
const CLONE: &str = docs!("git-clone-behavior");
const ARTIFACTS: &str = docs!("use-artifacts-in-steps");
const CACHES: &str = docs!("cache-dependencies");
const SERVICES: &str = docs!("databases-and-service-containers");
const OPTIONS: &str = docs!("global-options");
const TRIGGERS: &str = docs!("pipeline-triggers");
const RUNNERS: &str = docs!("runners");
const AGENTS: &str = docs!("ai-agents");

/// A place, and snippets each with its verdict and the page that describes its key.
type Group = (&'static str, &'static [(&'static str, bool, &'static str)]);

#[rustfmt::skip]
const RULES: &[Group] = &[
    (STEP, &[
        ("name: a", ACCEPTED, STEP_OPTIONS),
        ("name: ''", ACCEPTED, STEP_OPTIONS),
        ("name: 1", REFUSED, STEP_OPTIONS),
        ("name: yes", ACCEPTED, STEP_OPTIONS),
        ("name: true", REFUSED, STEP_OPTIONS),
        ("name: 1.5", REFUSED, STEP_OPTIONS),
        ("name: ~", REFUSED, STEP_OPTIONS),
        ("name: 2020-01-01", ACCEPTED, STEP_OPTIONS),
        ("name: [a]", REFUSED, STEP_OPTIONS),
        ("name: 0x1f", REFUSED, STEP_OPTIONS),
        ("name: \"1\"", ACCEPTED, STEP_OPTIONS),
        ("name: 1_000", REFUSED, STEP_OPTIONS),
        ("max-time: 1", ACCEPTED, STEP_OPTIONS),
        ("max-time: 0", REFUSED, STEP_OPTIONS),
        ("max-time: -5", REFUSED, STEP_OPTIONS),
        ("max-time: 1.5", REFUSED, STEP_OPTIONS),
        ("max-time: 5.0", ACCEPTED, STEP_OPTIONS),
        ("max-time: '5'", REFUSED, STEP_OPTIONS),
        ("max-time: 0x10", ACCEPTED, STEP_OPTIONS),
        ("max-time: 99999999999999999999", ACCEPTED, STEP_OPTIONS),
        ("max-time: true", REFUSED, STEP_OPTIONS),
        ("max-time: ~", REFUSED, STEP_OPTIONS),
        ("size: 1x", ACCEPTED, STEP_OPTIONS),
        ("size: 32x", ACCEPTED, STEP_OPTIONS),
        ("size: 3x", REFUSED, STEP_OPTIONS),
        ("size: 2X", REFUSED, STEP_OPTIONS),
        ("size: 2", REFUSED, STEP_OPTIONS),
        ("size: ~", REFUSED, STEP_OPTIONS),
        ("fail-fast: true", ACCEPTED, STEP_OPTIONS),
        ("fail-fast: TRUE", ACCEPTED, STEP_OPTIONS),
        ("fail-fast: yes", REFUSED, STEP_OPTIONS),
        ("fail-fast: 'true'", REFUSED, STEP_OPTIONS),
        ("fail-fast: 1", REFUSED, STEP_OPTIONS),
        ("oidc: true", ACCEPTED, STEP_OPTIONS),
        ("oidc: on", REFUSED, STEP_OPTIONS),
        ("oidc: ~", REFUSED, STEP_OPTIONS),
        ("trigger: manual-ish", REFUSED, STEP_OPTIONS),
        ("trigger: automatic", ACCEPTED, STEP_OPTIONS),
        ("trigger: Manual", REFUSED, STEP_OPTIONS),
        ("trigger: ~", REFUSED, STEP_OPTIONS),
        ("trigger: []", REFUSED, STEP_OPTIONS),
        ("runs-on: linux", ACCEPTED, STEP_OPTIONS),
        ("runs-on: [a, b]", ACCEPTED, STEP_OPTIONS),
        ("runs-on: []", REFUSED, STEP_OPTIONS),
        ("runs-on: ''", ACCEPTED, STEP_OPTIONS),
        ("runs-on: 1", REFUSED, STEP_OPTIONS),
        ("runs-on: [1]", REFUSED, STEP_OPTIONS),
        ("runs-on: ~", REFUSED, STEP_OPTIONS),
        ("runs-on: {a: b}", REFUSED, STEP_OPTIONS),
        ("runs-on: [a,b,c,d,e,f,g,h,i,j]", ACCEPTED, STEP_OPTIONS),
        ("runs-on: [a,b,c,d,e,f,g,h,i,j,k]", REFUSED, STEP_OPTIONS),
        ("runs-on: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", ACCEPTED, STEP_OPTIONS),
        ("runs-on: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", REFUSED, STEP_OPTIONS),
        ("concurrency-group: a", ACCEPTED, STEP_OPTIONS),
        ("concurrency-group: ''", ACCEPTED, STEP_OPTIONS),
        ("concurrency-group: 1", REFUSED, STEP_OPTIONS),
        ("concurrency-group: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", REFUSED, STEP_OPTIONS),
        ("deployment: test", ACCEPTED, STEP_OPTIONS),
        ("deployment: ~", REFUSED, STEP_OPTIONS),
        ("deployment: [test]", REFUSED, STEP_OPTIONS),
        ("environment: test", ACCEPTED, STEP_OPTIONS),
        ("environment: {name: test}", REFUSED, STEP_OPTIONS),
        ("condition: {}", ACCEPTED, STEP_OPTIONS),
        ("condition: {changesets: {}}", ACCEPTED, STEP_OPTIONS),
        ("condition: {changesets: {includePaths: [a]}}", ACCEPTED, STEP_OPTIONS),
        ("condition: {changesets: {excludePaths: [a]}}", ACCEPTED, STEP_OPTIONS),
        ("condition: {changesets: {includePaths: [a], excludePaths: [b]}}", REFUSED, STEP_OPTIONS),
        ("condition: {changesets: {includePaths: []}}", REFUSED, STEP_OPTIONS),
        ("condition: {changesets: {includePaths: a}}", REFUSED, STEP_OPTIONS),
        ("condition: {changesets: {paths: [a]}}", REFUSED, STEP_OPTIONS),
        ("condition: {changesets: ~}", REFUSED, STEP_OPTIONS),
        ("condition: ~", REFUSED, STEP_OPTIONS),
        ("condition: {state: 'A == true'}", ACCEPTED, STEP_OPTIONS),
        ("condition: {state: ''}", REFUSED, STEP_OPTIONS),
        ("condition: {state: true}", REFUSED, STEP_OPTIONS),
        ("condition: {other: 1}", ACCEPTED, STEP_OPTIONS),
        ("type: inline", ACCEPTED, STEP_OPTIONS),
        ("type: pipeline", ACCEPTED, STEP_OPTIONS),
        ("type: other", REFUSED, STEP_OPTIONS),
        ("custom: a", ACCEPTED, STEP_OPTIONS),
        ("custom: [a]", REFUSED, STEP_OPTIONS),
        ("input-variables: {A: b}", ACCEPTED, STEP_OPTIONS),
        ("input-variables: {}", REFUSED, STEP_OPTIONS),
        ("input-variables: {A: 1}", REFUSED, STEP_OPTIONS),
        ("output-variables: [A]", ACCEPTED, STEP_OPTIONS),
        ("output-variables: 1", ACCEPTED, STEP_OPTIONS),
        ("auth: {}", ACCEPTED, STEP_OPTIONS),
        ("auth: {system: {scopes: [a, b]}}", ACCEPTED, STEP_OPTIONS),
        ("auth: {system: {scopes: [a, a]}}", REFUSED, STEP_OPTIONS),
        ("auth: {system: {scopes: a}}", REFUSED, STEP_OPTIONS),
        ("auth: []", REFUSED, STEP_OPTIONS),
        ("unheard-of: 1", ACCEPTED, STEP_OPTIONS),
        ("needs: [a]", ACCEPTED, STEP_OPTIONS),
        ("debth: ~", ACCEPTED, STEP_OPTIONS),
        ("wat: {a: [b]}", ACCEPTED, STEP_OPTIONS),
        ("after-script: [x]", ACCEPTED, STEP_OPTIONS),
        ("after-script: []", REFUSED, STEP_OPTIONS),
        ("after-script: x", REFUSED, STEP_OPTIONS),
        ("after-script: ~", REFUSED, STEP_OPTIONS),
        ("after-script: [~]", REFUSED, STEP_OPTIONS),
    ]),
    (ITEM, &[
        ("{stage: {steps: [{step: {script: [x]}}]}}", ACCEPTED, STAGE_OPTIONS),
        ("{stage: {name: 1, steps: [{step: {script: [x]}}]}}", REFUSED, STAGE_OPTIONS),
        ("{stage: {steps: []}}", REFUSED, STAGE_OPTIONS),
        ("{stage: {}}", REFUSED, STAGE_OPTIONS),
        ("{stage: ~}", REFUSED, STAGE_OPTIONS),
        ("{stage: {steps: [{step: {script: [x], condition: {}}}]}}", REFUSED, STAGE_OPTIONS),
        ("{stage: {steps: [{step: {script: [x]}, name: slipped}]}}", ACCEPTED, STAGE_OPTIONS),
        ("{stage: {condition: {}, steps: [{step: {script: [x]}}]}}", ACCEPTED, STAGE_OPTIONS),
        ("{stage: {trigger: manual, deployment: a, steps: [{step: {script: [x]}}]}}", ACCEPTED, STAGE_OPTIONS),
        ("{stage: {steps: [{parallel: [{step: {script: [x]}}]}]}}", ACCEPTED, STAGE_OPTIONS),
        ("{stage: {unknown: 1, steps: [{step: {script: [x]}}]}}", ACCEPTED, STAGE_OPTIONS),
        ("{stage: {steps: [step]}}", REFUSED, STAGE_OPTIONS),
        ("{stage: {steps: [{step: ~}]}}", REFUSED, STAGE_OPTIONS),
    ]),
    (ITEM, &[
        ("{parallel: [{step: {script: [x]}}]}", ACCEPTED, PARALLEL_OPTIONS),
        ("{parallel: []}", REFUSED, PARALLEL_OPTIONS),
        ("{parallel: ~}", REFUSED, PARALLEL_OPTIONS),
        ("{parallel: {steps: [{step: {script: [x]}}]}}", ACCEPTED, PARALLEL_OPTIONS),
        ("{parallel: {fail-fast: yes, steps: [{step: {script: [x]}}]}}", REFUSED, PARALLEL_OPTIONS),
        ("{parallel: {fail-fast: true, unknown: 1, steps: [{step: {script: [x]}}]}}", ACCEPTED, PARALLEL_OPTIONS),
        ("{parallel: {fail-fast: true}}", REFUSED, PARALLEL_OPTIONS),
        ("{parallel: [{step: {script: [x]}, name: slipped}]}", REFUSED, PARALLEL_OPTIONS),
        ("{parallel: [{parallel: [{step: {script: [x]}}]}]}", REFUSED, PARALLEL_OPTIONS),
        ("{parallel: [{step: {script: [x], condition: {}}}]}", ACCEPTED, PARALLEL_OPTIONS),
        ("{parallel: [step]}", REFUSED, PARALLEL_OPTIONS),
    ]),
    (ITEM, &[
        ("{final: {script: [x]}}", ACCEPTED, STEP_OPTIONS),
        ("{final: ~}", REFUSED, STEP_OPTIONS),
        ("{final: {script: [x], deployment: a}}", REFUSED, STEP_OPTIONS),
        ("{final: {script: [x], fail-fast: true}}", REFUSED, STEP_OPTIONS),
        ("{final: {script: [x], trigger: manual}}", REFUSED, STEP_OPTIONS),
        ("{final: {script: [x], trigger: automatic}}", ACCEPTED, STEP_OPTIONS),
        ("{final: {script: [x], condition: 1}}", ACCEPTED, STEP_OPTIONS),
        ("{final: {script: []}}", REFUSED, STEP_OPTIONS),
    ]),
    (ITEM, &[
        ("{step: {script: [x]}, name: slipped}", REFUSED, REFERENCE),
        ("{step: {script: [x]}, parallel: []}", REFUSED, REFERENCE),
        ("{step: ~}", REFUSED, REFERENCE),
        ("{steps: {script: [x]}}", REFUSED, REFERENCE),
        ("{}", REFUSED, REFERENCE),
        ("step", REFUSED, REFERENCE),
        ("~", REFUSED, REFERENCE),
        ("[]", REFUSED, REFERENCE),
        ("{variables: [{name: A}]}", REFUSED, REFERENCE),
    ]),
    (CUSTOM, &[
        ("{variables: [{name: A}]}", ACCEPTED, START),
        ("{variables: [{name: A, default: b, allowed-values: [b], description: c}]}", ACCEPTED, START),
        ("{variables: []}", REFUSED, START),
        ("{variables: ~}", REFUSED, START),
        ("{variables: [{default: a}]}", REFUSED, START),
        ("{variables: [{name: A, default: 1}]}", REFUSED, START),
        ("{variables: [{name: A, default: yes}]}", ACCEPTED, START),
        ("{variables: [{name: A, allowed-values: []}]}", REFUSED, START),
        ("{variables: [{name: A, allowed-values: [1]}]}", REFUSED, START),
        ("{variables: [{name: A, type: string}]}", ACCEPTED, START),
        ("{variables: [A]}", REFUSED, START),
        ("{variables: [{name: A}], step: {script: [x]}}", REFUSED, START),
        ("{final: {script: [x]}}", REFUSED, START),
    ]),
    (PIPELINE, &[
        ("[]", REFUSED, START),
        ("~", REFUSED, START),
        ("{}", REFUSED, START),
        ("x", REFUSED, START),
        ("{import: 'a:b:c'}", ACCEPTED, START),
        ("{import: 'a:b'}", REFUSED, START),
        ("{import: 'a@b'}", ACCEPTED, START),
        ("{import: 'a:b:c@d'}", REFUSED, START),
        ("{import: ~}", REFUSED, START),
        ("{import: 'a@b', variables: [{name: A}]}", ACCEPTED, START),
        ("{import: 'a@b', other: 1}", REFUSED, START),
        ("{step: {script: [x]}}", REFUSED, START),
    ]),
    (SCRIPT, &[
        ("x", ACCEPTED, STEP_OPTIONS),
        ("''", ACCEPTED, STEP_OPTIONS),
        ("1", REFUSED, STEP_OPTIONS),
        ("true", REFUSED, STEP_OPTIONS),
        ("yes", ACCEPTED, STEP_OPTIONS),
        ("~", REFUSED, STEP_OPTIONS),
        ("1.5", REFUSED, STEP_OPTIONS),
        ("2020-01-01", ACCEPTED, STEP_OPTIONS),
        ("[x]", REFUSED, STEP_OPTIONS),
        ("{x: y}", REFUSED, STEP_OPTIONS),
        ("{pipe: 'a/b:1'}", ACCEPTED, STEP_OPTIONS),
        ("{pipe: 'a/b:1', variables: {A: b, C: [d]}}", ACCEPTED, STEP_OPTIONS),
        ("{pipe: 'a/b:1', variables: {A: 1}}", REFUSED, STEP_OPTIONS),
        ("{pipe: 'a/b:1', variables: {A: true}}", REFUSED, STEP_OPTIONS),
        ("{pipe: 'a/b:1', variables: ~}", REFUSED, STEP_OPTIONS),
        ("{pipe: 'a/b:1', name: 1}", ACCEPTED, STEP_OPTIONS),
        ("{pipe: ~}", REFUSED, STEP_OPTIONS),
        ("{pipe: 'docker://a/b'}", ACCEPTED, STEP_OPTIONS),
        ("{agent: a}", ACCEPTED, STEP_OPTIONS),
        ("{agent: a, provider: claude}", ACCEPTED, STEP_OPTIONS),
        ("{agent: a, provider: other}", REFUSED, STEP_OPTIONS),
        ("{pipe: 'a/b:1', agent: a}", REFUSED, STEP_OPTIONS),
    ]),
    (STEP, &[
        ("image: a", ACCEPTED, IMAGES),
        ("image: ''", ACCEPTED, IMAGES),
        ("image: 3.8", REFUSED, IMAGES),
        ("image: ~", REFUSED, IMAGES),
        ("image: 'a b'", ACCEPTED, IMAGES),
        ("image: [a]", REFUSED, IMAGES),
        ("image: {name: a}", ACCEPTED, IMAGES),
        ("image: {}", REFUSED, IMAGES),
        ("image: {name: 1}", REFUSED, IMAGES),
        ("image: {name: a, run-as-user: 0}", ACCEPTED, IMAGES),
        ("image: {name: a, run-as-user: '0'}", REFUSED, IMAGES),
        ("image: {name: a, run-as-user: -1}", ACCEPTED, IMAGES),
        ("image: {name: a, username: u, password: p}", ACCEPTED, IMAGES),
        ("image: {name: a, username: u}", REFUSED, IMAGES),
        ("image: {name: a, password: p}", REFUSED, IMAGES),
        ("image: {name: a, username: u, password: 1}", REFUSED, IMAGES),
        ("image: {name: a, email: 1}", ACCEPTED, IMAGES),
        ("image: {name: a, aws: {access-key: a, secret-key: b}}", ACCEPTED, IMAGES),
        ("image: {name: a, aws: {oidc-role: a}}", ACCEPTED, IMAGES),
        ("image: {name: a, aws: {access-key: a}}", REFUSED, IMAGES),
        ("image: {name: a, aws: {access-key: a, secret-key: b, oidc-role: c}}", REFUSED, IMAGES),
        ("image: {name: a, aws: {oidc-role: a}, username: u, password: p}", REFUSED, IMAGES),
        ("image: {name: a, aws: {oidc-role: a}, username: u}", ACCEPTED, IMAGES),
        ("image: {name: a, unknown: 1}", ACCEPTED, IMAGES),
    ]),
    (STEP, &[
        ("clone: {}", ACCEPTED, CLONE),
        ("clone: ~", REFUSED, CLONE),
        ("clone: {depth: 1}", ACCEPTED, CLONE),
        ("clone: {depth: 0}", REFUSED, CLONE),
        ("clone: {depth: full}", ACCEPTED, CLONE),
        ("clone: {depth: Full}", REFUSED, CLONE),
        ("clone: {depth: '1'}", REFUSED, CLONE),
        ("clone: {enabled: no}", REFUSED, CLONE),
        ("clone: {enabled: false}", ACCEPTED, CLONE),
        ("clone: {lfs: true}", ACCEPTED, CLONE),
        ("clone: {skip-ssl-verify: 1}", REFUSED, CLONE),
        ("clone: {debth: 1}", ACCEPTED, CLONE),
    ]),
    (STEP, &[
        ("artifacts: [a]", ACCEPTED, ARTIFACTS),
        ("artifacts: []", REFUSED, ARTIFACTS),
        ("artifacts: a", REFUSED, ARTIFACTS),
        ("artifacts: ~", REFUSED, ARTIFACTS),
        ("artifacts: [1]", REFUSED, ARTIFACTS),
        ("artifacts: [{name: a, paths: [b]}]", REFUSED, ARTIFACTS),
        ("artifacts: {}", ACCEPTED, ARTIFACTS),
        ("artifacts: {paths: [a]}", ACCEPTED, ARTIFACTS),
        ("artifacts: {paths: []}", REFUSED, ARTIFACTS),
        ("artifacts: {download: false}", ACCEPTED, ARTIFACTS),
        ("artifacts: {download: [a]}", ACCEPTED, ARTIFACTS),
        ("artifacts: {download: []}", REFUSED, ARTIFACTS),
        ("artifacts: {download: a}", REFUSED, ARTIFACTS),
        ("artifacts: {upload: [a]}", ACCEPTED, ARTIFACTS),
        ("artifacts: {upload: [{name: a, paths: [b]}]}", ACCEPTED, ARTIFACTS),
        ("artifacts: {upload: [{name: a}]}", REFUSED, ARTIFACTS),
        ("artifacts: {upload: [{paths: [b]}]}", REFUSED, ARTIFACTS),
        ("artifacts: {upload: [{name: a, paths: [b]}, c]}", REFUSED, ARTIFACTS),
        ("artifacts: {upload: []}", REFUSED, ARTIFACTS),
        ("artifacts: {upload: [{name: a, paths: [b], type: shared, capture-on: always, depth: 1, ignore-paths: []}]}", ACCEPTED, ARTIFACTS),
        ("artifacts: {upload: [{name: a, paths: [b], type: other}]}", REFUSED, ARTIFACTS),
        ("artifacts: {upload: [{name: a, paths: [b], capture-on: never}]}", REFUSED, ARTIFACTS),
        ("artifacts: {upload: [{name: a, paths: [b], depth: 0}]}", REFUSED, ARTIFACTS),
    ]),
    (STEP, &[
        ("caches: [node]", ACCEPTED, CACHES),
        ("caches: []", REFUSED, CACHES),
        ("caches: node", REFUSED, CACHES),
        ("caches: ~", REFUSED, CACHES),
        ("caches: [node, 1]", REFUSED, CACHES),
        ("caches: [unknown]", ACCEPTED, CACHES),
    ]),
    (FILE, &[
        ("definitions: {caches: {a: b}}", ACCEPTED, CACHES),
        ("definitions: {caches: {a: 1}}", REFUSED, CACHES),
        ("definitions: {caches: {a: {path: b}}}", ACCEPTED, CACHES),
        ("definitions: {caches: {a: {key: {files: [b]}}}}", REFUSED, CACHES),
        ("definitions: {caches: {a: {path: b, key: {files: []}}}}", REFUSED, CACHES),
        ("definitions: {caches: {a: {path: b, key: {}}}}", REFUSED, CACHES),
        ("definitions: {caches: ~}", REFUSED, CACHES),
        ("definitions: {caches: {}}", ACCEPTED, CACHES),
    ]),
    (STEP, &[
        ("services: [a]", ACCEPTED, SERVICES),
        ("services: []", REFUSED, SERVICES),
        ("services: docker", REFUSED, SERVICES),
        ("services: [a,b,c,d,e]", ACCEPTED, SERVICES),
        ("services: [a,b,c,d,e,f]", REFUSED, SERVICES),
        ("services: ~", REFUSED, SERVICES),
    ]),
    (FILE, &[
        ("definitions: {services: {a: {image: b}}}", ACCEPTED, SERVICES),
        ("definitions: {services: {a: {memory: 128}}}", ACCEPTED, SERVICES),
        ("definitions: {services: {a: {memory: 127}}}", REFUSED, SERVICES),
        ("definitions: {services: {a: {type: docker}}}", ACCEPTED, SERVICES),
        ("definitions: {services: {a: {type: other}}}", REFUSED, SERVICES),
        ("definitions: {services: {a: {variables: {A: 1}}}}", REFUSED, SERVICES),
        ("definitions: {services: {a: {variables: {}}}}", REFUSED, SERVICES),
        ("definitions: {services: {a: {environment: {A: 1}}}}", ACCEPTED, SERVICES),
        ("definitions: {services: {a: ~}}", REFUSED, SERVICES),
        ("definitions: {services: ~}", REFUSED, SERVICES),
    ]),
    (FILE, &[
        ("options: {}", ACCEPTED, OPTIONS),
        ("options: ~", REFUSED, OPTIONS),
        ("options: {docker: true}", ACCEPTED, OPTIONS),
        ("options: {docker: yes}", REFUSED, OPTIONS),
        ("options: {max-time: 0}", REFUSED, OPTIONS),
        ("options: {size: 2x, unknown: 1}", ACCEPTED, OPTIONS),
        ("options: {runs-on: []}", REFUSED, OPTIONS),
        ("labels: {a: 1}", ACCEPTED, OPTIONS),
        ("labels: [a]", REFUSED, OPTIONS),
        ("labels: ~", REFUSED, OPTIONS),
        ("export: true", ACCEPTED, OPTIONS),
        ("export: yes", REFUSED, OPTIONS),
        ("image: ~", REFUSED, OPTIONS),
        ("image: a", ACCEPTED, OPTIONS),
        ("clone: []", REFUSED, OPTIONS),
        ("unknown: ~", ACCEPTED, OPTIONS),
        ("definitions: ~", REFUSED, OPTIONS),
        ("definitions: {}", ACCEPTED, OPTIONS),
        ("definitions: {anything: [1]}", ACCEPTED, OPTIONS),
        ("definitions: {steps: ~}", ACCEPTED, OPTIONS),
        ("definitions: {imports: 1}", ACCEPTED, OPTIONS),
        ("definitions: {pipelines: {a: [{step: {script: [x]}}]}}", ACCEPTED, OPTIONS),
        ("definitions: {pipelines: {a: [{final: {script: [x]}}]}}", REFUSED, OPTIONS),
        ("definitions: {pipelines: {a: []}}", REFUSED, OPTIONS),
    ]),
    (FILE, &[
        ("triggers: {}", ACCEPTED, TRIGGERS),
        ("triggers: {repository-push: [{condition: a, pipelines: [b]}]}", ACCEPTED, TRIGGERS),
        ("triggers: {repository-push: []}", REFUSED, TRIGGERS),
        ("triggers: {a: [{condition: b}]}", REFUSED, TRIGGERS),
        ("triggers: {a: [{condition: b, pipelines: []}]}", REFUSED, TRIGGERS),
        ("triggers: ~", REFUSED, TRIGGERS),
    ]),
    (STEP, &[
        ("runtime: {}", ACCEPTED, RUNNERS),
        ("runtime: ~", REFUSED, RUNNERS),
        ("runtime: {cloud: {arch: arm}}", ACCEPTED, RUNNERS),
        ("runtime: {cloud: {arch: mips}}", REFUSED, RUNNERS),
        ("runtime: {cloud: {version: 3}}", REFUSED, RUNNERS),
        ("runtime: {cloud: {version: '3'}}", ACCEPTED, RUNNERS),
        ("runtime: {cloud: {atlassian-ip-ranges: 1}}", REFUSED, RUNNERS),
        ("runtime: {self-hosted: {cpu: 1.5}}", REFUSED, RUNNERS),
        ("runtime: {self-hosted: {cpu: -1, memory: 5}}", ACCEPTED, RUNNERS),
        ("runtime: {self-hosted: {volumes: [1]}}", REFUSED, RUNNERS),
        ("runtime: {self-hosted: {storage: {}}}", REFUSED, RUNNERS),
        ("runtime: {self-hosted: {storage: {gcp: {bucket: a, key-file: b}}}}", ACCEPTED, RUNNERS),
        ("runtime: {self-hosted: {storage: {aws: {bucket: a, region: b, oidc-role: c}}}}", ACCEPTED, RUNNERS),
        ("runtime: {self-hosted: {storage: {aws: {bucket: a, region: b}}}}", REFUSED, RUNNERS),
        ("runtime: {self-hosted: {storage: {aws: {bucket: a, region: b, access-key: 5, oidc-role: c}}}}", REFUSED, RUNNERS),
        ("runtime: {self-hosted: {storage: {aws: {bucket: a, region: b, oidc-role: c}, gcp: {bucket: a, key-file: b}}}}", REFUSED, RUNNERS),
    ]),
    (FILE, &[
        ("definitions: {agents: {a: {prompt: b}}}", ACCEPTED, AGENTS),
        ("definitions: {agents: {a: {}}}", REFUSED, AGENTS),
        ("definitions: {agents: {a: {prompt: b, provider: x}}}", REFUSED, AGENTS),
        ("definitions: {agents: {a: {prompt: b, permissions: {on-ask: allow}}}}", ACCEPTED, AGENTS),
        ("definitions: {agents: {a: {prompt: b, permissions: {on-ask: {deny: [x], default: deny}}}}}", ACCEPTED, AGENTS),
        ("definitions: {agents: {a: {prompt: b, permissions: {on-ask: {deny: ['']}}}}}", REFUSED, AGENTS),
        ("definitions: {agents: {a: {prompt: b, setup-script: [x, {pipe: y}]}}}", ACCEPTED, AGENTS),
        ("definitions: {agents: {a: {prompt: b, setup-script: [1]}}}", REFUSED, AGENTS),
    ]),
];

#[test]
fn a_value_is_refused_exactly_where_the_public_schema_refuses_it() {
    for (place, snippets) in RULES {
        for (snippet, is_accepted, page) in *snippets {
            let source = place.replace('@', snippet);
            let resolution = resolve(source.as_bytes(), &branch("main"), ChangedFiles::Unknown);
            let diagnostics = resolution.diagnostics;
            assert_eq!(
                resolution.outcome != Outcome::Invalid,
                *is_accepted,
                "{page}: {snippet}\n{diagnostics:#?}"
            );
            let errors = diagnostics
                .iter()
                .filter(|diagnostic| diagnostic.severity == Severity::Error);
            // One mistake, one remark: a second one about the same value only confuses.
            assert_eq!(
                errors.count(),
                usize::from(!is_accepted),
                "{page}: {snippet}\n{diagnostics:#?}"
            );
        }
    }
}
