//! `cofferdam run --step`: one step, and what it needs of the others; and the commands that a run proposes.

use anyhow::{Context as _, Result, ensure};
use cofferdam_tests::Laptop;
use cofferdam_tests::process::run;
use serde_json::Value;

/// A step that makes a module, one that runs it, and one that reads a file that the first one made.
const FILE: &str = "\
pipelines:
  default:
    - step:
        name: build
        artifacts: [built.wasm, note]
        wasm: {module: ci/fs.wasm, args: [rename, ci/fs.wasm, built.wasm], grants: {write: [.]}}
    - step:
        name: use
        wasm: {module: {artifact: built.wasm, from: build}, args: [list, .], grants: {read: [.]}}
    - step:
        name: read
        wasm: {module: ci/fs.wasm, args: [read, note], grants: {read: [.]}}
";

fn laptop(file: &str) -> Result<Laptop> {
    let laptop = Laptop::new()?;
    for guest in ["fs", "hello"] {
        laptop.add_guest(guest)?;
    }
    laptop.repository.write("bitbucket-pipelines.yml", file)?;
    laptop.repository.commit("Begin")?;
    Ok(laptop)
}

#[test]
fn a_step_whose_module_was_never_made_is_not_begun_and_says_how_to_make_it() -> Result<()> {
    let laptop = laptop(FILE)?;
    let alone =
        |step: &str| laptop.run(&["run", "--plain", "--branch", "feature/x", "--step", step]);
    let ran = alone("use")?;
    let why = "\"use\" runs a module that \"build\" makes, and that step has not run here; run it first: \
               cofferdam run --branch feature/x --step build\n";
    ensure!(ran.status == 1 && ran.complained.contains(why), "{ran:?}");
    ensure!(ran.shown.is_empty(), "nothing else is proposed: {ran:?}");
    for step in ["build", "use"] {
        let ran = alone(step)?;
        ensure!(ran.status == 0, "{ran:?}");
    }
    Ok(())
}

#[test]
fn artifacts_that_no_run_made_are_named_with_the_command_that_makes_them() -> Result<()> {
    let laptop = laptop(FILE)?;
    let ran = laptop.run(&["run", "--plain", "--step", "read"])?;
    let log = laptop.log("read")?;
    let why =
        "artifacts of `build`: none, it has not run here; to run it: cofferdam run --step build\n";
    ensure!(ran.status == 1 && log.contains(why), "{ran:?} {log}");
    let again = "  again: cofferdam run --step read\n";
    ensure!(ran.shown.ends_with(again), "{ran:?}");

    // It runs, and leaves no `note`: from now on there is nothing to propose.
    let ran = laptop.run(&["run", "--plain", "--step", "build"])?;
    ensure!(ran.status == 0, "{ran:?}");
    laptop.run(&["run", "--plain", "--step", "read"])?;
    let log = laptop.log("read")?;
    ensure!(!log.contains("has not run here"), "{log}");
    Ok(())
}

#[test]
fn a_refused_argument_leaves_what_the_last_run_left() -> Result<()> {
    let laptop = laptop(FILE)?;
    let ran = laptop.run(&["run", "--plain", "--step", "build"])?;
    ensure!(ran.status == 0, "{ran:?}");
    let ran = laptop.run(&["run", "--plain", "--secret", "IT_IS_NOT_THERE"])?;
    ensure!(ran.status == 1, "{ran:?}");
    let ran = laptop.run(&["run", "--plain", "--step", "use"])?;
    ensure!(ran.status == 0, "{ran:?}");
    Ok(())
}

#[test]
fn the_command_that_is_proposed_has_every_option_that_decides_what_runs() -> Result<()> {
    let file = "\
pipelines:
  custom:
    by night:
      - variables: [{name: LEVEL, default: '1'}, {name: OTHER, default: of the file}]
      - step: {name: Show all, wasm: {module: ci/hello.wasm}}
      - step: {name: Fail, wasm: {module: ci/fs.wasm, args: [read, missing]}}
";
    let laptop = laptop(file)?;
    laptop.repository.write("../options.toml", "slots = 1\n")?;
    let options = [
        &["run", "--branch", "feature/x", "--custom", "by night"][..],
        &[
            "--var",
            "LEVEL=3 and it's",
            "--commit",
            "HEAD",
            "--since",
            "HEAD",
        ],
        &["--secret", "TOKEN", "--config", "../options.toml"],
    ]
    .concat();
    let expected = r"cofferdam run --branch feature/x --custom 'by night' --var 'LEVEL=3 and it'\''s' --commit HEAD --since HEAD --config ../options.toml --secret TOKEN";
    let start = |more: &[&str]| -> Result<String> {
        let mut command = laptop.cofferdam(&[&options, more].concat())?;
        let output = command.env("TOKEN", "hunter22").output()?;
        ensure!(output.status.code() == Some(1), "{output:?}");
        Ok(String::from_utf8(output.stdout)?)
    };
    let shown = start(&["--plain"])?;
    let alone = format!("  this step alone: {expected} --step Fail\n");
    ensure!(shown.ends_with(&alone), "{shown}");
    // A value of the command line reaches the step, and so does the file's own.
    ensure!(shown.contains(" env LEVEL=3 and it's\n"), "{shown}");
    ensure!(shown.contains(" env OTHER=of the file\n"), "{shown}");

    let events = start(&["--events", "json", "--step", "Fail"])?;
    let began: Value = serde_json::from_str(events.lines().next().context("an event")?)?;
    ensure!(
        began["command"] == format!("{expected} --step Fail"),
        "{began}"
    );
    Ok(())
}

#[test]
fn whoever_names_a_manual_step_starts_it() -> Result<()> {
    let file = "\
pipelines:
  default:
    - step: {name: build, wasm: {module: ci/hello.wasm}}
    - step: {name: deploy, trigger: manual, wasm: {module: ci/hello.wasm}}
";
    let laptop = laptop(file)?;
    let ran = laptop.run(&["run", "--plain", "--step", "deploy"])?;
    ensure!(ran.status == 0 && ran.shown.contains("1 passed"), "{ran:?}");
    let ran = laptop.run(&["run", "--plain"])?;
    ensure!(ran.shown.contains("1 passed, 1 skipped"), "{ran:?}");
    // Where nobody can answer, nothing is asked.
    ensure!(!ran.shown.contains("[y/N]"), "{ran:?}");
    Ok(())
}

#[test]
fn git_does_not_see_what_a_run_leaves() -> Result<()> {
    let laptop = laptop(FILE)?;
    laptop.run(&["run", "--plain", "--step", "build"])?;
    ensure!(
        laptop
            .path(".cofferdam/artifacts/build/built.wasm")
            .exists()
    );
    let status = run(laptop.repository.git().args(["status", "--porcelain"]))?;
    let status = String::from_utf8(status.stdout)?;
    ensure!(status.is_empty(), "{status}");
    Ok(())
}
