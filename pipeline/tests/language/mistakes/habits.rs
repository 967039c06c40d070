//! What people write, and what they are told to write instead. Every row is a mistake that stood in a real file, in our words.

use crate::{codes, on_main};

/// What people write, and what they should be told: the code, the line, and words of the help.
#[rustfmt::skip]
const HABITS: &[(&str, &str, &str)] = &[
    ("pipelines:\n  default:\n    - step:\n      name: a\n      script: [x]\n", "indent-slip 4", "two blanks more"),
    ("clone:\n  debth: 5\npipelines: {default: [{step: {script: [x]}}]}\n", "unknown-key 2", "did you mean `depth`?"),
    ("pipelines: {default: [{step: {nmae: a, script: [x]}}]}\n", "unknown-key 1", "did you mean `name`?"),
    ("pipelines: {default: [{step: {wasm: {module: ./a, grants: {raed: [b]}}}}]}\n", "unknown-key 1", "did you mean `read`?"),
    ("pipelines: {default: [{step: {wasm: {module: ./a, limits: {cpu: 1}}}}]}\n", "unknown-key 1", "its keys are `memory`, `time`, `output`, `disk`"),
    ("image: a\nimage: b\npipelines: {default: [{step: {script: [x]}}]}\n", "duplicate-key 2", "the first is in line 1"),
    ("pipelines:\n  default:\n    - step:\n        script:\n          -\n", "empty-script-line 5", "remove it"),
    ("pipelines:\n  branches:\n    *-fix:\n      - step: {script: [x]}\n", "unquoted-glob 3", "write `'*-fix':`"),
    ("pipelines:\n  default:\n\t- step: {script: [x]}\n", "tab 3", "replace each tab"),
    ("a:\n<<<<<<< HEAD\n  b: 1\n=======\n  b: 2\n>>>>>>> theirs\n", "merge-conflict 2", "choose one side"),
    ("image: a\npipelines:\n", "no-pipelines 2", "indent `default:`"),
    ("pipelines:\n  branches:\n    - step: {script: [x]}\n", "wrong-kind 2", "put a name or pattern above the list"),
    ("pipelines:\n  - step: {script: [x]}\n", "wrong-kind 1", "put `default:` above the steps"),
    ("pipelines:\n  master:\n    - step: {script: [x]}\n", "unknown-key 2", "below `branches:`"),
    ("stages: [build]\nbuild:\n  script: [make]\n", "no-pipelines 1", "GitLab"),
    ("on: push\njobs:\n  a: {}\n", "no-pipelines 1", "GitHub"),
    ("pipeline: {default: []}\n", "no-pipelines 1", "did you mean `pipelines`"),
    ("a: 1\n---\nb: 2\n", "several-documents 2", "remove this `---`"),
    ("pipelines: {default: [{step: {script: [x], max-time: '5'}}]}\n", "bad-value 1", "without quotes"),
    ("pipelines: {default: [{step: {script: [x], oidc: yes}}]}\n", "wrong-kind 1", "write `true`"),
    ("pipelines: {default: [{step: {script: [true]}}]}\n", "wrong-kind 1", "put it into quotes: `'true'`"),
    ("pipelines: {default: [{step: {script: [x], caches: node}}]}\n", "wrong-kind 1", "begin each item with `- `"),
    ("pipelines: {default: [{step: {script: [x], trigger: Manual}}]}\n", "bad-value 1", "write `manual`"),
    ("pipelines: {default: [{step: {script: [x], artifacts: {upload: [{nam: a, paths: [b]}]}}}]}\n", "missing-key 1", "did you mean it by `nam` in line 1?"),
    // Dashes.
    ("pipelines:\n  default:\n    - step:\n        script:\n          -make\n", "wrong-kind 5", "`- make`"),
    ("pipelines:\n  default:\n    -step:\n        script: [x]\n", "wrong-kind 2", "`- step:`"),
    ("pipelines:\n  default:\n    - step:\n        script: [x]\n    -step:\n        script: [x]\n", "dash-without-blank 5", "`- step:`"),
    ("pipelines:\n  default:\n    - parallel:\n        -step: {script: [x]}\n", "unknown-key 4", "`- step:`"),
    ("pipelines:\n  default:\n    - step:\n        script:\n          - a\n            - b\n", "item-in-text 6", "begin it in column 11"),
    ("pipelines:\n  default:\n    - step:\n        script: [x]\n        name: a\n          - b\n", "item-in-text 6", "below its key"),
    // What does not look like what it is.
    ("pipelines:\n  default:\n    - step:\n        script:\n          -\u{a0}make\n", "unseen-character 5", "delete it"),
    ("pipelines:\n  default:\n    - step:\n        script:\n         \u{a0}- make\n", "unseen-character 5", "delete it"),
    ("pipelines:\n  default:\n    - step:\n        \u{200b}script: [x]\n", "unseen-character 4", "delete it"),
    ("pipelines:\n  default:\n    - step:\n        script:\u{a0}[x]\n", "unseen-character 4", "delete it"),
    ("pipelines:\n  default:\n    - step:\n        script: ['a\u{2028}b']\n", "unseen-character 4", "delete it"),
    ("pipelines:\n  default:\n    - step:\n        script:\n          - ! grep x y\n", "lost-mark 5", "quotes"),
    ("pipelines:\n  branches:\n    '{main}':\n      - step: {script: [x]}\n", "lone-braces 3", "leave them out"),
    // Values that are no YAML, or other YAML than was meant.
    ("pipelines:\n  default:\n    - step:\n        script:\n          - [ -f x ] && y\n", "syntax 5", "single quotes"),
    ("pipelines:\n  default:\n    - step:\n        script:\n          - @a\n", "syntax 5", "single quotes"),
    ("pipelines:\n  default:\n    - step:\n        script:\n          - 'it's'\n", "syntax 5", "written twice"),
    ("pipelines:\n  default:\n    - step:\n        script:\n          - \"a\\d\"\n", "syntax 5", "single quotes"),
    ("pipelines:\n  default:\n    - step:\n        script:\n          - \"a\n", "syntax 5", "end the text"),
    ("image: {{ image }}\npipelines: {default: [{step: {script: [x]}}]}\n", "key-not-text 1", "template"),
    ("{% if x %}\npipelines: {}\n", "syntax 1", "template"),
    ("Our pipeline\n\nimage: a\npipelines: {}\n", "syntax 3", "`#` before it"),
    ("pipelines\n  default:\n    - step: {script: [x]}\n", "syntax 2", "write a colon"),
    ("```yaml\npipelines: {}\n```\n", "syntax 1", "Markdown"),
    // Nothing where something is due.
    ("definitions:\npipelines: {default: [{step: {script: [x]}}]}\n", "wrong-kind 1", "remove the key"),
    ("image:\npipelines: {default: [{step: {script: [x]}}]}\n", "wrong-kind 1", "remove the key"),
    ("pipelines:\n  default:\n", "empty-pipeline 2", "`- step:`"),
    ("pipelines:\n  default:\n    - step:\n        script:\n", "empty-script 4", "with a dash"),
    ("pipelines:\n  default:\n    - step:\n        name: a\n", "no-script 3", "put `script:`"),
    ("pipelines:\n  default:\n    - parallel: {fail-fast: true}\n", "empty-parallel 3", "list the steps"),
    ("pipelines:\n  default:\n    - stage: {name: a}\n", "empty-stage 3", "write `steps:`"),
    ("pipelines: {default: [{step: {<<: , script: [x]}}]}\n", "merge-not-mapping 1", "anchor"),
    ("pipelines:\n  branches:\n  default:\n    - step: {script: [x]}\n", "wrong-kind 2", "remove the key"),
    // The wrong thing in the right place.
    ("pipelines:\n  custom:\n    a:\n      - variables: {name: B}\n      - step: {script: [x]}\n", "wrong-kind 4", "begin each item"),
    ("pipelines:\n  default:\n    - parallel:\n        - stage: {steps: [{step: {script: [x]}}]}\n", "nested-group 4", "`- step:`"),
    ("pipelines:\n  default:\n    - parallel:\n        - variables: []\n        - step: {script: [x]}\n", "nested-group 4", "`- step:`"),
    ("pipelines:\n  default:\n    - step\n", "wrong-kind 3", "with a colon"),
    ("pipelines:\n  default:\n    - make\n", "wrong-kind 3", "write `- step:`"),
    ("definitions: {services: {db: {image: a, environment: {A: b}}}}\npipelines: {default: [{step: {script: [x]}}]}\n", "unknown-key 1", "`variables`"),
    ("pipelines: {default: [{step: {script: [x], needs: [a]}}]}\n", "unknown-key 1", "order of the file"),
    ("pipelines: {default: [{stage: {image: a, steps: [{step: {script: [x]}}]}}]}\n", "unknown-key 1", "each step of the stage"),
    ("variables: {A: b}\npipelines: {default: [{step: {script: [x]}}]}\n", "unknown-key 1", "custom pipeline"),
    ("steps:\n  - &a {script: [x]}\npipelines: {default: [{step: *a}]}\n", "unknown-key 1", "store of anchors"),
    // No `pipelines`.
    ("export: true\ndefinitions: {pipelines: {a: [{step: {script: [x]}}]}}\n", "no-pipelines 1", "for other repositories"),
    ("develop:\n  - step: {script: [x]}\n", "no-pipelines 1", "`branches:`"),
    ("default:\n  - step: {script: [x]}\n", "no-pipelines 1", "above `default` in line 1"),
    ("branches:\n  main:\n    - step: {script: [x]}\n", "no-pipelines 1", "above `branches` in line 1"),
    ("version: 2.1\njobs: {}\n", "no-pipelines 1", "CircleCI"),
    ("trigger: [main]\nsteps: []\n", "no-pipelines 1", "Azure"),
    ("language: ruby\nscript: rake\n", "no-pipelines 1", "Travis"),
    ("image: a\n", "no-pipelines 1", "below it `default:`"),
];

#[test]
fn what_people_write_is_answered_with_what_to_write_instead() {
    for (source, expected, words) in HABITS {
        let diagnostics = on_main(source).diagnostics;
        let said = diagnostics.iter().any(|diagnostic| {
            let place = format!("{} {}", diagnostic.code, diagnostic.span.line);
            let help = diagnostic.help.as_deref().unwrap_or_default();
            place == *expected && help.contains(words)
        });
        assert!(said, "{source}{diagnostics:#?}");
    }
}

#[test]
fn what_only_looks_like_such_a_mistake_is_not_remarked_on() {
    for line in [
        "          - a\n            --flag b",
        "          - a\n            b - c",
        "          - |\n            - a\n            - b",
        "          - \"a\n            - b\"",
        "          - 'a\u{a0}b\u{200b}'",
        "          - echo \u{a0}\u{1f468}\u{200d}\u{1f4bb}",
        "          - '! grep x y'",
        "          - -x",
        "          - '[ -f x ] && y'",
    ] {
        let source = format!("pipelines:\n  default:\n    - step:\n        script:\n{line}\n");
        assert_eq!(codes(source.as_bytes()), Vec::<String>::new(), "{line}");
    }
    let file = "\u{feff}pipelines: {branches: {'{a,b}': [{step: {script: [x]}}], 'a}{': [{step: {script: [x]}}]}}\n";
    assert_eq!(codes(file.as_bytes()), Vec::<String>::new());
}
