//! Files that are made to hurt: each ends in a remark, soon.

use std::fmt::Write as _;

use cofferdam_pipeline::{ChangedFiles, Outcome, resolve};

use crate::{branch, codes, plan};

/// The codes of the errors.
fn errors(source: &[u8]) -> Vec<String> {
    codes(source)
        .into_iter()
        .filter(|code| code.starts_with("Error"))
        .collect()
}

fn first_error(source: &str) -> String {
    let first = errors(source.as_bytes()).into_iter().next();
    let code = first
        .as_deref()
        .and_then(|error| error.split(' ').nth(1))
        .unwrap_or("none");
    code.to_owned()
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    assert_eq!(first_error(&"x".repeat(10 * 1024 * 1024)), "file-too-large");
}

#[test]
fn nesting_is_bounded_in_every_form_of_yaml() {
    let deep = 100_000;
    for source in [
        "[".repeat(deep),
        "{".repeat(deep),
        "{a: ".repeat(deep),
        "[{".repeat(deep),
        "- ".repeat(deep),
        "? ".repeat(deep),
        "? - ".repeat(deep),
        format!("a: {}", "[".repeat(deep)),
    ] {
        let code = first_error(&source);
        assert!(
            ["too-deep", "syntax"].contains(&code.as_str()),
            "{code}: {}",
            &source[..10]
        );
    }
    let mut stairs = String::new();
    for level in 0..1_000 {
        writeln!(stairs, "{}a:", " ".repeat(level)).unwrap();
    }
    assert_eq!(first_error(&stairs), "too-deep");
}

#[test]
fn depth_is_counted_through_aliases() {
    let mut source = "a0: &a0 [x]\n".to_owned();
    for level in 1..100 {
        writeln!(source, "a{level}: &a{level} [*a{}]", level - 1).unwrap();
    }
    assert_eq!(first_error(&source), "too-deep");
}

#[test]
fn a_billion_laughs_are_not_laughed() {
    let mut source = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = format!("*a{}, ", level - 1).repeat(10);
        writeln!(source, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    assert_eq!(first_error(&source), "too-many-aliases");

    let mut merged = "a0: &a0 {k0: x, l0: x}\n".to_owned();
    for level in 1..200 {
        writeln!(
            merged,
            "a{level}: &a{level} {{<<: *a{}, k{level}: [*a{0}]}}",
            level - 1
        )
        .unwrap();
    }
    assert!(["too-many-aliases", "too-deep"].contains(&first_error(&merged).as_str()));
}

#[test]
fn one_long_line_behind_many_aliases_does_not_fill_the_memory() {
    let steps = "{step: *a}, ".repeat(400);
    let line = "x".repeat(500_000);
    let source = format!("a: &a {{script: ['{line}']}}\npipelines: {{default: [{steps}]}}\n");
    assert_eq!(first_error(&source), "too-many-aliases");
}

#[test]
fn the_number_of_values_steps_branches_and_patterns_is_bounded() {
    assert_eq!(
        first_error(&format!("a: [{}]", "b,".repeat(150_000))),
        "too-many-values"
    );
    let file = |items: &str| first_error(&format!("pipelines: {{default: [{items}]}}"));
    let step = "{step: {script: [x]}}, ";
    assert_eq!(file(&step.repeat(501)), "too-many-steps");
    assert_eq!(file(&step.repeat(500)), "none");
    assert_eq!(
        file(&format!("{{parallel: [{}]}}", step.repeat(101))),
        "too-many-steps"
    );
    let patterns: Vec<String> = (0..201)
        .map(|index| format!("b{index}: [{step}]"))
        .collect();
    let patterns = patterns.join(", ");
    assert_eq!(
        first_error(&format!("pipelines: {{branches: {{{patterns}}}}}")),
        "too-many-patterns"
    );
    let long = "x".repeat(300);
    assert_eq!(
        first_error(&format!("pipelines: {{branches: {{{long}: [{step}]}}}}")),
        "pattern-too-long"
    );
}

#[test]
fn the_widest_plan_has_a_sane_number_of_edges() {
    let group = format!(
        "{{parallel: [{}]}}, ",
        "{step: {script: [x]}}, ".repeat(100)
    );
    let plan = plan(&format!("pipelines: {{default: [{}]}}", group.repeat(5)));
    assert_eq!(plan.lines().count(), 1 + 2 * 500);
}

/// An eighth of the largest file in every shape that could cost a parser more than its length says. A reader whose time
/// grew with the square would keep this test beyond its limit.
#[test]
fn no_shape_of_a_file_takes_longer_than_its_length_says() {
    let fill = |unit: &str| unit.repeat(128 * 1024 / unit.len());
    for unit in [
        "a",
        " ",
        "\n",
        "\r",
        "-",
        "- ",
        "-\n",
        "a: ",
        "a:\n",
        ": ",
        "? ",
        "&a ",
        "&a\n",
        "*a ",
        "*a:\n",
        "*a: x\n",
        "!a ",
        "!!str ",
        "#",
        "# \n",
        "'",
        "''",
        "\"",
        "\"\\n",
        "|\n",
        ">\n",
        "- |\n x\n",
        "%",
        "%a\n",
        "---\n",
        "...\n",
        "[]",
        "[],",
        "{}",
        "[a, ",
        "\t",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "🙂",
        "- <<: {}\n",
        "<<: {}\n",
        "- &a\n- *a\n",
        "a: &a\n",
        "@",
        "`",
    ] {
        let source = fill(unit);
        assert!(!errors(source.as_bytes()).is_empty(), "{unit:?}");
    }
    for (head, unit) in [
        ("pipelines:\n  default:\n", "    - *x\n"),
        ("pipelines:\n  default:\n", "    - step: {}\n"),
        ("pipelines:\n  default:\n", "    - a\n"),
        ("pipelines: \"", "\\u0041"),
        ("pipelines: |\n", "  a\n"),
        (
            "pipelines: {default: [",
            "{step: {script: [a], unknown: 1}},",
        ),
        ("x: &x {script: [a]}\npipelines: {default: [", "{step: *x},"),
        ("x: &x {a: b}\ny: {<<: [", "*x,"),
    ] {
        let source = format!("{head}{}", &fill(unit)[head.len()..]);
        assert!(!errors(source.as_bytes()).is_empty(), "{head:?} {unit:?}");
    }
}

#[test]
fn a_mapping_with_very_many_keys_is_read_once() {
    let mut source = "pipelines: {default: [{step: {script: [x]}}]}\n".to_owned();
    for index in 0..20_000 {
        writeln!(source, "imagf{index}: x").unwrap();
    }
    assert_eq!(errors(source.as_bytes()), Vec::<String>::new());
}

#[test]
fn the_slowest_selection_ends() {
    let step = "[{step: {script: [x]}}]";
    let mut source = "pipelines:\n  branches:\n".to_owned();
    for index in 100..300 {
        writeln!(source, "    '{}{index}': {step}", "*a".repeat(120)).unwrap();
    }
    let push = branch(&"a".repeat(512));
    let resolution = resolve(source.as_bytes(), &push, ChangedFiles::Unknown);
    assert!(matches!(resolution.outcome, Outcome::NothingSelected(_)));
}

#[test]
fn steps_are_counted_in_every_pipeline_that_has_them() {
    let steps = "{step: *x}, ".repeat(500);
    let mut source =
        format!("x: &x {{script: [a], odd: 1}}\np: &p [{steps}]\npipelines:\n  branches:\n");
    for index in 0..199 {
        writeln!(source, "    b{index}: *p").unwrap();
    }
    assert_eq!(first_error(&source), "too-many-steps");
}
