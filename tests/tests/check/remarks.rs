//! What is wrong with a file, or with several.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use cofferdam_tests::process::{command, run};

use super::{OWN, SLIPS, cofferdam, said};

#[test]
fn the_repositorys_own_file_is_found_from_any_of_its_directories() -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let dir = temporary.path();
    let inside = dir.join("src/deep");
    fs::create_dir_all(&inside)?;
    fs::write(dir.join("bitbucket-pipelines.yml"), SLIPS)?;
    fs::write(inside.join("cofferdam.yml"), SLIPS)?;
    // No repository: what lies here counts.
    let first = |arguments: &[&str]| -> Result<String> { cofferdam(&inside, arguments, "") };
    ensure!(
        first(&["check"])?.contains("--> cofferdam.yml:"),
        "{}",
        first(&["check"])?
    );
    run(command(Path::new("git"), dir).args(["init", "--quiet", "-b", "main"]))?;
    let said = first(&["check"])?;
    ensure!(
        said.contains("--> ../../bitbucket-pipelines.yml:"),
        "{said}"
    );
    // As the hub does, `cofferdam.yml` goes first.
    fs::write(dir.join("cofferdam.yml"), OWN)?;
    let said = first(&["check"])?;
    ensure!(
        said.starts_with("exit 0\n../../cofferdam.yml: no errors"),
        "{said}"
    );
    fs::remove_file(dir.join("cofferdam.yml"))?;
    fs::remove_file(dir.join("bitbucket-pipelines.yml"))?;
    let said = first(&["migrate"])?;
    let words = "there is neither cofferdam.yml nor bitbucket-pipelines.yml in ../.., the root of this repository";
    ensure!(
        said.starts_with("exit 2\n") && said.contains(words),
        "{said}"
    );
    Ok(())
}

#[test]
fn nothing_of_a_file_reaches_the_terminal_as_a_command() -> Result<()> {
    let source = "pipelines:\n  default:\n    - step: {name: \"a\\e[2Jb\", script: [\"echo\"], runs-on: \"\\u202ex\", deployment: \"\\e]0;\"}\n  custom:\n    \"\\e[31m\": [{step: {script: [a]}}]\n";
    for arguments in [
        &["check", "-"][..],
        &["check", "--explain", "--branch", "main", "-"],
        &[
            "check",
            "--explain",
            "--branch",
            "main",
            "--format",
            "json",
            "-",
        ],
        &["migrate", "-"],
        &["migrate", "--format", "json", "-"],
    ] {
        let said = said(arguments, source)?;
        let is_harmless = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
        let is_json = arguments.contains(&"json");
        // JSON escapes control characters; what a reader shows of a text is the reader's business.
        ensure!(
            said.chars()
                .all(|c| is_harmless(c) || (is_json && c == '\u{202e}')),
            "{said:?}"
        );
        ensure!(said.starts_with("exit 0\n"), "{said}");
    }
    Ok(())
}

#[test]
fn a_sound_file_is_said_to_be_sound() -> Result<()> {
    insta::assert_snapshot!(said(&["check"], "")?, @r#"
    exit 0
    bitbucket-pipelines.yml: no errors, no warnings
    "#);
    Ok(())
}

#[test]
fn every_mistake_is_shown_with_its_place() -> Result<()> {
    insta::assert_snapshot!(said(&["check", "slips.yml"], "")?, @r#"
    exit 1
    error[no-script]: this step has no `script` and no `wasm`
     --> slips.yml:3:7
      |
    3 |     - step:
      |       ^^^^
      = help: did you mean it by `scrpt` in line 5?

    warning[unknown-key]: `scrpt` is not a key of a step and has no effect
     --> slips.yml:5:9
      |
    5 |         scrpt:
      |         ^^^^^
      = help: did you mean `script`?

    warning[unsupported]: `oidc` is not supported: no token can be given to a step yet
     --> slips.yml:9:9
      |
    9 |         oidc: true
      |         ^^^^
      = help: a step that uses it fails when its turn comes, as `unsupported`

    slips.yml: 1 error, 2 warnings
    "#);
    Ok(())
}

#[test]
fn a_warning_refuses_nothing() -> Result<()> {
    insta::assert_snapshot!(said(&["check", "warned.yml"], "")?, @r#"
    exit 0
    warning[unsupported]: `oidc` is not supported: no token can be given to a step yet
     --> warned.yml:4:9
      |
    4 |         oidc: true
      |         ^^^^
      = help: a step that uses it fails when its turn comes, as `unsupported`

    warning[unknown-key]: `sript` is not a key of a step and has no effect
     --> warned.yml:5:9
      |
    5 |         sript: [make]
      |         ^^^^^
      = help: did you mean `script`?

    warned.yml: no errors, 2 warnings
    "#);
    Ok(())
}

#[test]
fn several_files_are_checked_and_one_that_is_missing_is_told() -> Result<()> {
    insta::assert_snapshot!(said(&["check", "bitbucket-pipelines.yml", "missing.yml", "slips.yml"], "")?, @r#"
    exit 2
    bitbucket-pipelines.yml: no errors, no warnings
    error[no-script]: this step has no `script` and no `wasm`
     --> slips.yml:3:7
      |
    3 |     - step:
      |       ^^^^
      = help: did you mean it by `scrpt` in line 5?

    warning[unknown-key]: `scrpt` is not a key of a step and has no effect
     --> slips.yml:5:9
      |
    5 |         scrpt:
      |         ^^^^^
      = help: did you mean `script`?

    warning[unsupported]: `oidc` is not supported: no token can be given to a step yet
     --> slips.yml:9:9
      |
    9 |         oidc: true
      |         ^^^^
      = help: a step that uses it fails when its turn comes, as `unsupported`

    slips.yml: 1 error, 2 warnings
    --- standard error
    cofferdam: missing.yml: No such file or directory (os error 2)
    "#);
    Ok(())
}

#[test]
fn standard_input_is_a_file_too() -> Result<()> {
    insta::assert_snapshot!(said(&["check", "-"], "pipelines: {default: []}\n")?, @r#"
    exit 1
    error[empty-pipeline]: the pipeline `default` has no step
     --> standard input:1:13
      |
    1 | pipelines: {default: []}
      |             ^^^^^^^
      = help: put at least one item below it: `- step:`

    standard input: 1 error, no warnings
    "#);
    Ok(())
}

#[test]
fn an_editor_gets_every_remark_as_json() -> Result<()> {
    insta::assert_snapshot!(said(&["check", "--format", "json", "warned.yml"], "")?, @r#"
    exit 0
    [
      {
        "file": "warned.yml",
        "severity": "warning",
        "code": "unsupported",
        "message": "`oidc` is not supported: no token can be given to a step yet",
        "help": "a step that uses it fails when its turn comes, as `unsupported`",
        "line": 4,
        "column": 9,
        "end_line": 4,
        "end_column": 13
      },
      {
        "file": "warned.yml",
        "severity": "warning",
        "code": "unknown-key",
        "message": "`sript` is not a key of a step and has no effect",
        "help": "did you mean `script`?",
        "line": 5,
        "column": 9,
        "end_line": 5,
        "end_column": 14
      }
    ]
    "#);
    Ok(())
}
