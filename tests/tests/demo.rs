//! The demo as a newcomer meets it: every command that `just demo --keep` prints is pasted into a shell.

#![expect(
    clippy::tests_outside_test_module,
    reason = "this file is nothing but tests"
)]

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use cofferdam_tests::Engine;
use cofferdam_tests::process::{command, program, wait_for};

/// Runs a line in a shell of its own: whether it succeeded, and all it said.
fn paste(line: &str, dir: &Path) -> Result<(bool, String)> {
    let output = command(Path::new("/bin/bash"), dir)
        .args(["-c", line])
        .output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

/// The processes of the modules by their ids, and the container by the id that its engine has for it.
fn shows_what_ran(said: &str) -> Result<()> {
    let ids = |kind: &str| {
        let ids = said.lines().filter_map(|line| line.strip_prefix(kind));
        ids.filter_map(|rest| rest.split(':').next().map(str::to_owned))
            .collect::<Vec<String>>()
    };
    let processes = ids("ran as    process ");
    ensure!(
        processes.len() == 3 && processes.iter().all(|id| id.parse::<u32>().is_ok()),
        "{processes:?}: {said}"
    );
    let containers = ids("ran as    container ");
    let expected = usize::from(Engine::read()?.missing.is_none());
    let is_whole = |id: &String| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    ensure!(
        containers.len() == expected && containers.iter().all(is_whole),
        "{containers:?}: {said}"
    );
    Ok(())
}

#[test]
fn every_command_that_a_kept_demo_prints_can_be_pasted() -> Result<()> {
    let home = tempfile::tempdir()?;
    let mut demo = command(&program("demo")?, home.path());
    let output = demo.arg("--keep").output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}\n{complaint}");
    shows_what_ran(&said)?;
    let (_, after) = said
        .split_once("go on with any of these")
        .context("it says how to go on")?;
    let commands: Vec<&str> = after
        .lines()
        .skip_while(|line| !line.starts_with("# "))
        .filter(|line| !line.starts_with("# "))
        .collect();
    let [commands @ .., stop, remove] = commands.as_slice() else {
        bail!("it prints no commands: {said}");
    };
    let pasted: Result<Vec<(bool, String)>> = commands
        .iter()
        .map(|line| paste(line, home.path()))
        .collect();
    // Whatever came of those, what the demo left is ended and removed.
    let stopped = paste(stop, home.path())?;
    wait_for("the demo's directory to be gone", || {
        Ok(paste(remove, home.path())?.0.then_some(()))
    })?;
    let pasted = pasted?;
    ensure!(
        stopped.0 && pasted.iter().all(|(is_good, _)| *is_good),
        "{commands:#?}\n{pasted:#?}\n{stopped:?}"
    );
    let [push, log, list, show] = pasted.as_slice() else {
        bail!("{commands:#?}");
    };
    ensure!(push.1.contains("main: build 3"), "{}", push.1);
    ensure!(log.1.contains("Scan for leaked secrets"), "{}", log.1);
    ensure!(
        list.1.contains("passed") && list.1.contains("failed"),
        "{}",
        list.1
    );
    ensure!(show.1.contains("\"ended_by\""), "{}", show.1);
    Ok(())
}
