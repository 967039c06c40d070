//! What the author of a file is told.

mod habits;

use insta::assert_snapshot;

use crate::{codes, remarks};

#[test]
fn a_step_whose_keys_slipped_out_is_told_how_to_indent_them() {
    assert_snapshot!(remarks("
pipelines:
  default:
    - step:
      name: Build
      script:
        - make
"), @r#"
    error[indent-slip]: `step` is empty, and `name` stands beside it, not below
     --> p.yml:5:7
      |
    5 |       name: Build
      |       ^^^^
      = help: indent it by two blanks more than `step`
    "#);
}

#[test]
fn a_pattern_without_quotes_is_not_blamed_on_an_anchor() {
    assert_snapshot!(remarks("
pipelines:
  branches:
    **:
      - step:
          script: [make]
"), @r#"
    error[unquoted-glob]: a pattern that begins with `*` needs quotes
     --> p.yml:4:5
      |
    4 |     **:
      |     ^^^
      = help: without them YAML reads an alias; write `'**':`
    "#);
}

#[test]
fn several_mistakes_are_told_at_once_each_with_its_explanation() {
    assert_snapshot!(remarks(r#"
clone:
  debth: 1
pipelines:
  default:
    - step:
        name: one
        script:
          - make
          -
          - echo "result": done
        name: two
    - step:
        scripts: [make]
"#), @r#"
    warning[unknown-key]: `debth` is not a key of `clone` and has no effect
     --> p.yml:3:3
      |
    3 |   debth: 1
      |   ^^^^^
      = help: did you mean `depth`?

    error[empty-script-line]: this dash has no command behind it
      --> p.yml:10:12
       |
    10 |           -
       |            ^
       = help: remove it, or write the command on the same line

    error[script-line-mapping]: this line of the script was read as a mapping
      --> p.yml:11:13
       |
    11 |           - echo "result": done
       |             ^
       = help: YAML takes `: ` for a key and its value; put the whole line into single quotes, or below `- |`

    error[duplicate-key]: `name` stands a second time in the same mapping
      --> p.yml:12:9
       |
    12 |         name: two
       |         ^^^^
       = help: the first is in line 7; remove one of the two, because a reader could obey either

    error[no-script]: this step has no `script` and no `wasm`
      --> p.yml:13:7
       |
    13 |     - step:
       |       ^^^^
       = help: did you mean it by `scripts` in line 14?

    warning[unknown-key]: `scripts` is not a key of a step and has no effect
      --> p.yml:14:9
       |
    14 |         scripts: [make]
       |         ^^^^^^^
       = help: did you mean `script`?
    "#);
}

#[test]
fn a_refused_grant_is_shown_with_its_line() {
    assert_snapshot!(remarks("
pipelines:
  default:
    - step:
        wasm:
          module: ci/a.wasm
          grants:
            read:
              - src
              - ../other
              - /etc/passwd
"), @r#"
    error[bad-value]: `read`: `../other` leads upwards by `..`; no step leaves its workspace
      --> p.yml:10:17
       |
    10 |               - ../other
       |                 ^^^^^^^^

    error[bad-value]: `read`: `/etc/passwd` is absolute; paths start at the repository's root
      --> p.yml:11:17
       |
    11 |               - /etc/passwd
       |                 ^^^^^^^^^^^
    "#);
}

#[test]
fn what_could_steer_a_terminal_is_shown_by_its_number() {
    assert_snapshot!(remarks("pipelines: {default: [{step: {script: [x], \"a\\e[2Jb\\u202ec\\n\": 1}}]}"), @r#"
    warning[unknown-key]: `a\u{1b}[2Jb\u{202e}c\u{a}` is not a key of a step and has no effect
     --> p.yml:1:44
      |
    1 | pipelines: {default: [{step: {script: [x], "a\e[2Jb\u202ec\n": 1}}]}
      |                                            ^^^^^^^^^^^^^^^^^^
    "#);
    assert_snapshot!(remarks("pipelines: \u{1b}[2J"), @r#"
    error[control-character]: a control character (\u{1b}) stands here
     --> p.yml:1:12
      |
    1 | pipelines: \u{1b}[2J
      |            ^^^^^^
      = help: remove it, or write it as an escape inside double quotes
    "#);
}

#[test]
fn a_long_line_is_cut_around_the_place() {
    let source = format!(
        "pipelines: {{default: [{{step: {{name: {}, nome: x, script: [{}]}}}}]}}",
        "a".repeat(100),
        "b, ".repeat(500)
    );
    assert_snapshot!(remarks(&source), @r#"
    warning[unknown-key]: `nome` is not a key of a step and has no effect
     --> p.yml:1:139
      |
    1 | …aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, nome: x, script: [b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b,…
      |                                          ^^^^
      = help: did you mean `name`?
    "#);
}

/// Each file is wrong in one way, and is told so by one remark.
#[rustfmt::skip]
const FILES: &[(&str, &str)] = &[
    ("", "Error no-pipelines 1"),
    ("# nothing\n", "Error no-pipelines 1"),
    ("pipelines:\n", "Error no-pipelines 1"),
    ("pipelines: {}\n", "Warning no-pipelines 1"),
    ("image: a\n", "Error no-pipelines 1"),
    ("stages: [build]\nbuild:\n  script: [make]\n", "Error no-pipelines 1"),
    ("- a\n", "Error wrong-kind 1"),
    ("just text\n", "Error wrong-kind 1"),
    ("pipelines:\n  - step:\n      script: [x]\n", "Error wrong-kind 1"),
    ("pipelines:\n  branches:\n    - step:\n        script: [x]\n", "Error wrong-kind 2"),
    ("pipelines:\n  default:\n    step:\n      script: [x]\n", "Error wrong-kind 2"),
    ("pipelines:\n  default:\n", "Error empty-pipeline 2"),
    ("pipelines:\n  default: []\n", "Error empty-pipeline 2"),
    ("pipelines: {default: {import: }}\n", "Error wrong-kind 1"),
    ("pipelines: {custom: {a: [{variables: [{name: A}]}]}}\n", "Warning empty-pipeline 1"),
    ("a: 1\n---\nb: 2\n", "Error several-documents 2"),
    ("a: 1\n...\nb: 2\n", "Error several-documents 3"),
    ("pipelines:\n\tdefault: 1\n", "Error tab 2"),
    ("a:\n<<<<<<< HEAD\n  b: 1\n=======\n  b: 2\n>>>>>>> theirs\n", "Error merge-conflict 2"),
    ("pipelines: {default: [{step: {script: [x]}}]}\npipelines: 1\n", "Error duplicate-key 2"),
    ("a: *b\n", "Error unknown-anchor 1"),
    ("a: &a [*a]\n", "Error recursive-alias 1"),
    ("? [a]\n: b\npipelines: {default: [{step: {script: [x]}}]}\n", "Error key-not-text 1"),
    ("<<: 1\npipelines: {default: [{step: {script: [x]}}]}\n", "Error merge-not-mapping 1"),
    ("a: b: c\n", "Error syntax 1"),
    ("a: [b\n", "Error syntax 1"),
    ("a: \"b\n", "Error syntax 1"),
    ("a: @b\n", "Error syntax 1"),
    ("export: yes\u{0}\n", "Error control-character 1"),
    ("labels: {a: \"\\0\"}\npipelines: {default: [{step: {script: [x]}}]}\n", "Error nul 1"),
];

#[test]
fn every_known_mistake_of_a_file_has_a_code_of_its_own() {
    for (source, expected) in FILES {
        assert_eq!(codes(source.as_bytes()), [*expected], "{source}");
    }
}

/// The errors of a file whose default pipeline has one item, in line 3.
fn errors_of_item(item: &str) -> Vec<String> {
    let source = format!("pipelines:\n  default:\n    {item}\n");
    codes(source.as_bytes())
        .into_iter()
        .filter(|code| code.starts_with("Error"))
        .collect()
}

#[rustfmt::skip]
const ITEMS: &[(&str, &str)] = &[
    ("- step:", "Error empty-step 3"),
    ("- step", "Error wrong-kind 3"),
    ("-", "Error wrong-kind 3"),
    ("- {}", "Error no-step 3"),
    ("- name: x\n      script: [x]", "Error no-step 3"),
    ("- steps: {script: [x]}", "Error unknown-key 3"),
    ("- step: {script: [x]}\n      parallel: []", "Error two-items 4"),
    ("- step: {script: [x]}\n      cron: 1", "Error unknown-key 4"),
    ("- variables: [{name: A}]", "Error misplaced-variables 3"),
    ("- parallel:", "Error wrong-kind 3"),
    ("- parallel: []", "Error empty-group 3"),
    ("- parallel: {fail-fast: false}", "Error empty-parallel 3"),
    ("- parallel: [{parallel: []}]", "Error nested-group 3"),
    ("- stage: {name: x}", "Error empty-stage 3"),
    ("- stage: {trigger: manual, steps: [{step: {script: [x]}}]}", "Error manual-first 3"),
];

#[test]
fn every_known_mistake_around_a_step_has_a_code_of_its_own() {
    for (item, expected) in ITEMS {
        assert_eq!(errors_of_item(item), [*expected], "{item}");
    }
}

#[rustfmt::skip]
const STEPS: &[(&str, &str)] = &[
    ("- step: {name: x}", "Error no-script 3"),
    ("- step: {script: }", "Error empty-script 3"),
    ("- step: {script: []}", "Error empty-script 3"),
    ("- step: {script: make}", "Error wrong-kind 3"),
    ("- step: {script: [[x]]}", "Error wrong-kind 3"),
    ("- step: {script: [x, ~]}", "Error empty-script-line 3"),
    ("- step: {script: [{x: y}]}", "Error script-line-mapping 3"),
    ("- step: {script: [x], max-time: 0}", "Error bad-value 3"),
    ("- step: {script: [x], max-time: '5'}", "Error bad-value 3"),
    ("- step: {script: [x], max-time: -1}", "Error bad-value 3"),
    ("- step: {script: [x], image: }", "Error wrong-kind 3"),
    ("- step: {script: [x], image: {run-as-user: 0}}", "Error missing-key 3"),
    ("- step: {script: [x], runs-on: []}", "Error empty 3"),
    ("- step: {script: [x], runs-on: [a,b,c,d,e,f,g,h,i,j,k]}", "Error too-many 3"),
    ("- step: {script: [x], retry: {max: 11}}", "Error retry 3"),
    ("- step: {script: [x], retry: {on: [failure]}}", "Error retry 3"),
    ("- step: {wasm: a.wasm}", "Error wrong-kind 3"),
    ("- step: {wasm: {args: []}}", "Error no-module 3"),
    ("- step: {wasm: {module: a.wasm}, script: [x]}", "Error beside-wasm 3"),
    ("- step: {wasm: {module: a.wasm}, after-script: [x]}", "Error beside-wasm 3"),
    ("- step: {wasm: {module: a.wasm, grant: {}}}", "Error unknown-key 3"),
    ("- step: {wasm: {module: a.wasm, env: {A-B: x}}}", "Error bad-value 3"),
    ("- step: {wasm: {module: a.wasm, env: {A: }}}", "Error wrong-kind 3"),
];

#[test]
fn every_known_mistake_in_a_step_has_a_code_of_its_own() {
    for (item, expected) in STEPS {
        assert_eq!(errors_of_item(item), [*expected], "{item}");
    }
}

#[test]
fn a_module_grant_or_limit_that_is_not_exact_is_refused() {
    let cases = [
        "module: ../a.wasm",
        "module: /a.wasm",
        "module: .",
        "module: step:../a",
        "module: step:A",
        "module: https://example.com/a.wasm",
        "module: oci://r/a:latest",
        "module: oci://r/a@sha256:12",
        "grants: {read: [..]}",
        "grants: {read: [a/../../b]}",
        "grants: {read: [/]}",
        "grants: {read: ['src/**']}",
        "grants: {write: [.git]}",
        "grants: {write: [sub/.GIT/hooks]}",
        "grants: {net: [example.com]}",
        "grants: {net: ['https://']}",
        "grants: {net: ['https://*.example.com']}",
        "grants: {net: ['https://a/b']}",
        "grants: {net: ['https://user@a']}",
        "grants: {net: ['https://a:0']}",
        "grants: {net: ['https://a:+1']}",
        "grants: {net: ['https://a:']}",
        "grants: {net: ['tcp://a']}",
        "grants: {net: ['udp://a:1']}",
        "grants: {net: ['https://[::1']}",
        "grants: {net: ['https://[a]']}",
        "grants: {net: ['https://a..b']}",
        "grants: {secrets: [A B]}",
        "grants: {secrets: ['']}",
        "grants: {secrets: [{file: 1A}]}",
        "grants: {clock: false}",
        "grants: {random: fixed}",
        "limits: {memory: 5}",
        "limits: {memory: 0MiB}",
        "limits: {time: 1d}",
        "limits: {disk: 99999TiB}",
    ];
    for case in cases {
        let module = if case.starts_with("module") {
            ""
        } else {
            "module: a.wasm, "
        };
        let source = format!("pipelines: {{default: [{{step: {{wasm: {{{module}{case}}}}}}}]}}");
        let codes = codes(source.as_bytes());
        assert_eq!(codes.len(), 1, "{source}: {codes:?}");
        assert!(codes[0].starts_with("Error"), "{source}: {codes:?}");
    }
}

#[test]
fn a_path_that_is_granted_twice_is_refused() {
    let source = "pipelines: {default: [{step: {wasm: {module: a.wasm, grants: {read: [src], write: [./src/]}}}}]}";
    assert_eq!(codes(source.as_bytes()), ["Error duplicate-grant 1"]);
}

#[test]
fn a_mistake_behind_an_alias_is_told_once() {
    let source = "
definitions: {steps: [{step: &a {script: []}}]}
pipelines: {default: [{step: *a}, {step: *a}, {step: *a}]}
";
    assert_eq!(codes(source.as_bytes()), ["Error empty-script 2"]);
}

#[test]
fn of_more_remarks_than_anybody_reads_the_rest_is_counted() {
    let source = format!(
        "pipelines: {{default: [{}]}}
a: 1
",
        "{step: }, ".repeat(60)
    );
    let codes = codes(source.as_bytes());
    assert_eq!(codes.len(), 50 + 1 + 1);
    assert_eq!(
        codes.last().map(String::as_str),
        Some("Error more-errors 1")
    );
    assert!(remarks(&source).contains("and 10 more errors that are not shown"));
}

#[test]
fn a_tab_that_other_readers_refuse_is_warned_of() {
    let codes_of = |line: &str| {
        codes(format!("pipelines:\n  default:\n    - step:\n        script:\n{line}\n").as_bytes())
    };
    for line in [
        "          - a\t",
        "          -\ta",
        "          - a\tb",
        "          - a\n\t",
        "          - a\t# b",
    ] {
        let codes = codes_of(line);
        assert_eq!(codes.len(), 1, "{line:?}");
        assert!(codes[0].starts_with("Warning tab"), "{line:?}");
    }
    for line in [
        "          - \"a\tb\"",
        "          - 'a\tb'",
        "          - |\n            a\tb\n            \tc",
        "          - >\n            a\tb",
        "          # a\tb\n          - c",
        "          - a # b\tc",
    ] {
        assert_eq!(codes_of(line), Vec::<String>::new(), "{line:?}");
    }
}
