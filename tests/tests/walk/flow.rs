//! Which steps of a build run, and when: groups that fail fast, final and manual steps, conditions, and a runner that dies.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use cofferdam_tests::process::wait_for;
use cofferdam_tests::{Repository, World};
use serde_json::Value;

use super::{NO_ENGINE, guest, steps};

/// A runner that holds one job at a time.
const ONE_SLOT: &str = "slots = 1\n[container]\nengine = \"none\"\n";

/// A repository with guests and this pipeline, in which `MODULE a b` in braces stands for a wasm step's keys.
fn repository(world: &World, pipeline: &str) -> Result<Repository> {
    let repository = world.repository("demo")?;
    for module in ["hello", "exit-with", "slow", "spin"] {
        repository.write(&format!("ci/{module}.wasm"), guest(module)?)?;
    }
    repository.write("bitbucket-pipelines.yml", pipeline)?;
    repository.commit("First")?;
    Ok(repository)
}

/// A step's keys.
fn step(name: &str, module: &str, arguments: &str) -> String {
    format!("name: {name}, wasm: {{module: ci/{module}.wasm, args: [{arguments}]}}")
}

fn state(step: &Value) -> &str {
    step["state"].as_str().unwrap_or_default()
}

fn states(build: &Value) -> Vec<String> {
    steps(build)
        .into_iter()
        .map(|step| state(step).to_owned())
        .collect()
}

fn why(step: &Value) -> &str {
    step["why"].as_str().unwrap_or_default()
}

fn wait_for_step(world: &World, number: u64, index: usize, wanted: &str) -> Result<()> {
    let what = format!("step {} of build {number} to be {wanted}", index + 1);
    wait_for(&what, || {
        let build = world.build("demo", number)?;
        let is_so = steps(&build)
            .get(index)
            .is_some_and(|step| state(step) == wanted);
        Ok(is_so.then_some(()))
    })
}

fn show(world: &World, number: u64) -> Result<String> {
    world.hub_says(&["build", "show", "demo", &number.to_string()])
}

#[test]
fn a_group_that_fails_fast_stops_its_other_steps() -> Result<()> {
    let world = World::start()?;
    let _one = world.runner("one", ONE_SLOT)?;
    let (forever, bad) = (
        step("Forever", "spin", ""),
        step("Lint", "exit-with", "\"3\""),
    );
    let after = step("After", "hello", "");
    let repository = repository(
        &world,
        &format!(
            "pipelines:\n  default:\n    - parallel:\n        fail-fast: true\n        steps:\n          \
             - step: {{{forever}}}\n          - step: {{{bad}}}\n    - step: {{{after}}}\n"
        ),
    )?;
    repository.push("main")?;
    wait_for_step(&world, 1, 0, "running")?;
    let _two = world.runner("two", ONE_SLOT)?;
    let build = world.wait_for_build("demo", 1)?;
    ensure!(build["state"] == "failed", "{build:#}");
    ensure!(
        states(&build) == ["cancelled", "failed", "not-run"],
        "{build:#}"
    );
    let text = show(&world, 1)?;
    for line in [
        "step 1  Forever  cancelled: step 2 `Lint` failed and stops its group (fail-fast)",
        "step 3  After  not-run: step 2 `Lint` failed",
    ] {
        ensure!(text.contains(line), "{text}");
    }
    Ok(())
}

#[test]
fn a_final_step_runs_after_a_failure_and_after_a_cancel() -> Result<()> {
    let world = World::start()?;
    let _runner = world.runner("one", NO_ENGINE)?;
    let pipeline = |module: &str, arguments: &str| {
        let (first, second) = (
            step("First", module, arguments),
            step("Second", "hello", ""),
        );
        let last = step("Clean up", "hello", "");
        format!(
            "pipelines:\n  default:\n    - step: {{{first}}}\n    - step: {{{second}}}\n    \
             - final: {{{last}}}\n"
        )
    };
    let repository = repository(&world, &pipeline("exit-with", "\"3\""))?;
    repository.push("main")?;
    let failed = world.wait_for_build("demo", 1)?;
    ensure!(failed["state"] == "failed", "{failed:#}");
    ensure!(
        states(&failed) == ["failed", "not-run", "passed"],
        "{failed:#}"
    );
    repository.write("bitbucket-pipelines.yml", pipeline("spin", ""))?;
    repository.commit("Second")?;
    repository.push("main")?;
    wait_for_step(&world, 2, 0, "running")?;
    let said = world.hub_says(&["build", "cancel", "demo", "2"])?;
    ensure!(said.contains("its final step runs all the same"), "{said}");
    let cancelled = world.wait_for_build("demo", 2)?;
    ensure!(cancelled["state"] == "cancelled", "{cancelled:#}");
    ensure!(
        states(&cancelled) == ["cancelled", "not-run", "passed"],
        "{cancelled:#}"
    );
    ensure!(
        why(steps(&cancelled)[1]) == "the build was cancelled",
        "{cancelled:#}"
    );
    Ok(())
}

/// A pipeline whose second step waits for a person.
fn gated() -> String {
    let (first, gate) = (step("Build", "hello", ""), step("Deploy", "hello", ""));
    let last = step("Announce", "hello", "");
    format!(
        "pipelines:\n  default:\n    - step: {{{first}}}\n    - step: {{{gate}, trigger: manual}}\n    \
         - step: {{{last}}}\n"
    )
}

#[test]
fn a_manual_step_waits_over_a_restart_until_it_is_started() -> Result<()> {
    let mut world = World::start()?;
    let _runner = world.runner("one", NO_ENGINE)?;
    repository(&world, &gated())?.push("main")?;
    let paused = world.wait_for_build("demo", 1)?;
    ensure!(paused["state"] == "paused", "{paused:#}");
    world.restart_hub()?;
    let paused = world.build("demo", 1)?;
    ensure!(paused["state"] == "paused", "{paused:#}");
    ensure!(
        states(&paused) == ["passed", "queued", "queued"],
        "{paused:#}"
    );
    let start = "waits for a person: `cofferdam-hub build start demo 1 2`";
    let text = show(&world, 1)?;
    ensure!(text.contains(start), "{text}");
    let mut follow = world
        .hub_command(&["build", "logs", "-f", "demo", "1"])?
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(follow.stdout.take().context("it was piped")?).lines();
    // Who follows is told, and reads on after the start.
    let told = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(start)));
    ensure!(told.is_some(), "nothing was said of the step that waits");
    let early = world
        .hub_command(&["build", "start", "demo", "1", "Announce"])?
        .output()?;
    ensure!(!early.status.success(), "{early:?}");
    let said = world.hub_says(&["build", "start", "demo", "1", "Deploy"])?;
    ensure!(
        said.starts_with("Started step 2 `Deploy` of build 1 of demo"),
        "{said}"
    );
    let build = world.wait_for_build("demo", 1)?;
    ensure!(build["state"] == "passed", "{build:#}");
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    ensure!(follow.wait()?.success(), "following failed");
    ensure!(
        rest.iter().any(|line| line == "▌ step 2: Deploy"),
        "{rest:#?}"
    );
    let again = world
        .hub_command(&["build", "start", "demo", "1", "2"])?
        .output()?;
    ensure!(!again.status.success(), "{again:?}");
    Ok(())
}

#[test]
fn a_manual_step_that_is_declined_is_not_run_nor_what_comes_after_it() -> Result<()> {
    let world = World::start()?;
    let _runner = world.runner("one", NO_ENGINE)?;
    repository(&world, &gated())?.push("main")?;
    let paused = world.wait_for_build("demo", 1)?;
    ensure!(paused["state"] == "paused", "{paused:#}");
    world.hub_says(&["build", "decline", "demo", "1", "2"])?;
    let build = world.build("demo", 1)?;
    ensure!(build["state"] == "passed", "{build:#}");
    ensure!(
        states(&build) == ["passed", "not-run", "not-run"],
        "{build:#}"
    );
    let text = show(&world, 1)?;
    for line in [
        "step 2  Deploy  not-run: it was declined",
        "step 3  Announce  not-run: step 2 `Deploy` was declined",
    ] {
        ensure!(text.contains(line), "{text}");
    }
    Ok(())
}

#[test]
fn a_step_is_skipped_if_nothing_changed_that_its_condition_is_about() -> Result<()> {
    let world = World::start()?;
    let _runner = world.runner("one", NO_ENGINE)?;
    let (docs, all) = (step("Docs", "hello", ""), step("All", "hello", ""));
    let condition = "condition: {changesets: {includePaths: [\"docs/**\"]}}";
    let pipeline = format!(
        "pipelines:\n  default:\n    - step: {{{docs}, {condition}}}\n    - step: {{{all}}}\n"
    );
    let repository = repository(&world, &pipeline)?;
    repository.push("main")?;
    for (number, path, expected) in [
        (2, "src/a.txt", ["skipped", "passed"]),
        (3, "docs/a.txt", ["passed", "passed"]),
    ] {
        world.wait_for_build("demo", number - 1)?;
        repository.write(path, "changed\n")?;
        repository.commit("More")?;
        repository.push("main")?;
        let build = world.wait_for_build("demo", number)?;
        ensure!(build["state"] == "passed", "{build:#}");
        ensure!(states(&build) == expected, "{build:#}");
    }
    let first = world.build("demo", 1)?;
    ensure!(
        states(&first) == ["passed", "passed"],
        "of a new branch nobody knows: {first:#}"
    );
    let text = show(&world, 2)?;
    ensure!(
        text.contains("step 1  Docs  skipped: No changed file meets"),
        "{text}"
    );
    Ok(())
}

#[test]
fn a_retry_after_a_lost_runner_begins_with_the_first_step_that_has_no_end() -> Result<()> {
    let world = World::start()?;
    let mut first = world.runner("one", NO_ENGINE)?;
    let (one, two) = (step("One", "hello", ""), step("Two", "slow", "\"4\""));
    let pipeline =
        format!("pipelines:\n  default:\n    - step: {{{one}}}\n    - step: {{{two}}}\n");
    repository(&world, &pipeline)?.push("main")?;
    wait_for("the second step to speak", || {
        Ok(world
            .log("demo", 1)?
            .contains("slow: started")
            .then_some(()))
    })?;
    let began = steps(&world.build("demo", 1)?)[0]["started_at"].clone();
    first.process.signal("KILL")?;
    first.process.wait()?;
    let _second = world.runner("two", NO_ENGINE)?;
    let build = world.wait_for_build("demo", 1)?;
    ensure!(
        build["state"] == "passed",
        "{build:#}\n{}",
        world.log("demo", 1)?
    );
    ensure!(
        steps(&build)[0]["started_at"] == began,
        "the first step ran again: {build:#}"
    );
    let log = world.log("demo", 1)?;
    let count = |text: &str| log.lines().filter(|line| *line == text).count();
    ensure!(count("▌ step 1: One") == 1, "{log}");
    ensure!(count("▌ step 2, again: Two") == 1, "{log}");
    Ok(())
}
