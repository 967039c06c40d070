//! One push through all twelve stations: git server → hub → runner → steps → hub → the operator's
//! terminal. Real processes, real git, real TLS.

#![expect(
    clippy::tests_outside_test_module,
    reason = "this file is nothing but tests"
)]

mod flow;

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use cofferdam_tests::process::target_dir;
use cofferdam_tests::{Engine, Repository, World, not_run};
use serde_json::Value;

const NO_ENGINE: &str = "[container]\nengine = \"none\"\n";

/// A guest that the set-up built.
fn guest(name: &str) -> Result<Vec<u8>> {
    let path = target_dir().join("guests").join(format!("{name}.wasm"));
    std::fs::read(&path).with_context(|| format!("{}: `just guests` builds it", path.display()))
}

/// A repository with one wasm step that runs `module` with `arguments`.
fn one_step(world: &World, module: &str, arguments: &str, grants: &str) -> Result<Repository> {
    let repository = world.repository("demo")?;
    repository.write(&format!("ci/{module}.wasm"), guest(module)?)?;
    repository.write("data/input.txt", "from the commit\n")?;
    repository.write(
        "bitbucket-pipelines.yml",
        format!(
            "pipelines:\n  default:\n    - step:\n        name: The step\n        wasm:\n          \
             module: ci/{module}.wasm\n          args: [{arguments}]\n{grants}"
        ),
    )?;
    Ok(repository)
}

fn steps(build: &Value) -> Vec<&Value> {
    let jobs = build["jobs"].as_array().into_iter().flatten();
    jobs.flat_map(|job| job["steps"].as_array().into_iter().flatten())
        .collect()
}

#[test]
fn a_push_becomes_a_running_step_and_its_log() -> Result<()> {
    let world = World::start()?;
    let _runner = world.runner("one", NO_ENGINE)?;
    let grants = "          grants:\n            read: [data]\n";
    let repository = one_step(&world, "fs", "read, data/input.txt", grants)?;
    repository.commit("First")?;
    let said = repository.push("main")?;
    ensure!(said.contains("build 1"), "the pusher read: {said}");
    let build = world.wait_for_build("demo", 1)?;
    ensure!(
        build["state"] == "passed",
        "{build:#}\n{}",
        world.log("demo", 1)?
    );
    let log = world.log("demo", 1)?;
    ensure!(log.contains("from the commit"), "{log}");
    Ok(())
}

#[test]
fn a_step_that_fails_fails_the_build_with_its_exit_status() -> Result<()> {
    let world = World::start()?;
    let _runner = world.runner("one", NO_ENGINE)?;
    let repository = one_step(&world, "exit-with", "\"3\"", "")?;
    repository.commit("First")?;
    repository.push("main")?;
    let build = world.wait_for_build("demo", 1)?;
    ensure!(build["state"] == "failed", "{build:#}");
    ensure!(steps(&build)[0]["exit"] == 3, "{build:#}");
    let text = world.hub_says(&["build", "show", "demo", "1"])?;
    ensure!(
        text.contains("exit 3") || text.contains("exit status 3"),
        "{text}"
    );
    Ok(())
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the point is real time")]
fn the_first_byte_is_there_long_before_a_slow_step_ends() -> Result<()> {
    let world = World::start()?;
    let _runner = world.runner("one", NO_ENGINE)?;
    let repository = one_step(&world, "slow", "\"3\"", "")?;
    repository.commit("First")?;
    repository.push("main")?;
    let mut follow = world
        .hub_command(&["build", "logs", "-f", "demo", "1"])?
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(follow.stdout.take().context("it was piped")?).lines();
    // The step's own lines, not the system's about it.
    let mut first = None;
    let mut last = Instant::now();
    for line in &mut lines {
        if line?.starts_with('│') {
            last = Instant::now();
            first.get_or_insert(last);
        }
    }
    ensure!(follow.wait()?.success(), "following failed");
    let first = first.context("the step wrote nothing")?;
    ensure!(
        last - first >= Duration::from_secs(1),
        "only {:?} between first and last",
        last - first
    );
    Ok(())
}

/// A step that ships with the runner, and one whose clock stands and whose numbers have a seed.
#[test]
fn a_first_party_step_and_a_repeatable_one_are_carried_to_the_runner() -> Result<()> {
    let world = World::start()?;
    let _runner = world.runner("one", NO_ENGINE)?;
    let repository = world.repository("demo")?;
    repository.write("ci/now.wasm", guest("now")?)?;
    repository.write("src/greeting.txt", "hello\n")?;
    repository.write(
        "bitbucket-pipelines.yml",
        "pipelines:\n  default:\n    - step:\n        name: Scan\n        wasm: {module: \"step:secret-scan\", \
         args: [src], grants: {read: [src]}}\n    - step:\n        name: Repeat\n        wasm: {module: \
         ci/now.wasm, grants: {clock: fixed, random: seeded}}\n",
    )?;
    let commit = repository.commit("First")?;
    let mut numbers = Vec::new();
    for (number, branch) in [(1, "main"), (2, "main:again")] {
        repository.push(branch)?;
        let build = world.wait_for_build("demo", number)?;
        let log = world.log("demo", number)?;
        ensure!(build["state"] == "passed", "{build:#}\n{log}");
        ensure!(log.contains("1 files scanned, 0 findings"), "{log}");
        let origin = &steps(&build)[0]["receipt"]["origin"];
        ensure!(origin == "step:secret-scan", "{build:#}");
        let number = log.lines().find(|line| line.contains("random "));
        numbers.push(number.context("it says a number")?.to_owned());
        let time = repository
            .git()
            .args(["show", "-s", "--format=%ct000000000", &commit])
            .output()?;
        let time = String::from_utf8(time.stdout)?;
        ensure!(log.contains(&format!("at {}", time.trim())), "{time} {log}");
    }
    ensure!(numbers[0] == numbers[1], "{numbers:?}");
    Ok(())
}

#[test]
fn a_step_that_was_granted_nothing_sees_nothing() -> Result<()> {
    let world = World::start()?;
    let _runner = world.runner("one", NO_ENGINE)?;
    let repository = one_step(&world, "fs", "read, data/input.txt", "")?;
    repository.commit("First")?;
    repository.push("main")?;
    let build = world.wait_for_build("demo", 1)?;
    ensure!(build["state"] == "failed", "{build:#}");
    ensure!(!world.log("demo", 1)?.contains("from the commit"));
    Ok(())
}

/// `.git/shallow` names the commits whose parents were left out; where nothing was, there is none.
#[test]
fn a_step_gets_as_much_history_as_its_file_asks_for() -> Result<()> {
    let world = World::start()?;
    let _runner = world.runner("one", NO_ENGINE)?;
    let repository = world.repository("demo")?;
    repository.write("ci/fs.wasm", guest("fs")?)?;
    repository.commit("First")?;
    let second = repository.commit("Second")?;
    let step = |name: &str, keys: &str| {
        format!(
            "    - step:\n        name: {name}\n{keys}        wasm:\n          module: ci/fs.wasm\n          \
             args: [read, .git/shallow]\n          grants: {{read: [.git]}}\n"
        )
    };
    let file = format!(
        "clone: {{depth: 2}}\npipelines:\n  default:\n{}{}",
        step("two", ""),
        step("whole", "        clone: {depth: full}\n")
    );
    repository.write("bitbucket-pipelines.yml", file)?;
    repository.commit("Third")?;
    repository.push("main")?;
    let build = world.wait_for_build("demo", 1)?;
    let log = world.log("demo", 1)?;
    let steps = steps(&build);
    ensure!(
        steps[0]["state"] == "passed" && log.contains(&second),
        "{build:#}\n{log}"
    );
    ensure!(
        steps[1]["exit"] == 1 && log.contains("NotFound"),
        "{build:#}\n{log}"
    );
    Ok(())
}

#[test]
fn a_push_that_selects_nothing_says_why_to_the_one_who_pushed() -> Result<()> {
    let world = World::start()?;
    let repository = world.repository("demo")?;
    repository.write(
        "bitbucket-pipelines.yml",
        "pipelines:\n  branches:\n    release/*:\n      - step:\n          script: [make]\n",
    )?;
    repository.commit("First")?;
    let said = repository.push("main")?;
    ensure!(said.contains("main"), "{said}");
    ensure!(world.hub_says(&["build", "list", "demo"])?.lines().count() <= 1);
    Ok(())
}

#[test]
fn a_malformed_file_is_explained_to_the_one_who_pushed() -> Result<()> {
    let world = World::start()?;
    let repository = world.repository("demo")?;
    repository.write(
        "bitbucket-pipelines.yml",
        "pipelines:\n  default:\n    - step:\n    name: x\n",
    )?;
    repository.commit("First")?;
    let said = repository.push("main")?;
    ensure!(said.contains("bitbucket-pipelines.yml:"), "{said}");
    Ok(())
}

#[test]
fn a_job_waits_for_a_runner_and_says_so() -> Result<()> {
    let world = World::start()?;
    let repository = one_step(&world, "hello", "", "")?;
    repository.commit("First")?;
    repository.push("main")?;
    let build = world.build("demo", 1)?;
    ensure!(build["state"] == "queued", "{build:#}");
    let text = world.hub_says(&["build", "show", "demo", "1"])?;
    ensure!(text.contains("no runner is online"), "{text}");
    let _runner = world.runner("late", NO_ENGINE)?;
    let build = world.wait_for_build("demo", 1)?;
    ensure!(build["state"] == "passed", "{build:#}");
    Ok(())
}

#[test]
fn a_hub_that_is_killed_and_started_again_loses_no_build_and_no_byte() -> Result<()> {
    let mut world = World::start()?;
    let _runner = world.runner("one", NO_ENGINE)?;
    let repository = one_step(&world, "slow", "\"4\"", "")?;
    repository.commit("First")?;
    repository.push("main")?;
    cofferdam_tests::process::wait_for("the step to run", || {
        Ok(world.log("demo", 1)?.contains('│').then_some(()))
    })?;
    world.restart_hub()?;
    let build = world.wait_for_build("demo", 1)?;
    ensure!(
        build["state"] == "passed",
        "{build:#}\n{}",
        world.log("demo", 1)?
    );
    let log = world.log("demo", 1)?;
    let lines = log.lines().filter(|line| line.starts_with('│')).count();
    ensure!(
        lines == 2,
        "two lines were written, {lines} are kept:\n{log}"
    );
    Ok(())
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the point is real time")]
fn a_cancelled_build_ends_its_step_at_once() -> Result<()> {
    let world = World::start()?;
    let _runner = world.runner("one", NO_ENGINE)?;
    let repository = one_step(&world, "spin", "", "")?;
    repository.commit("First")?;
    repository.push("main")?;
    cofferdam_tests::process::wait_for("the step to run", || {
        let build = world.build("demo", 1)?;
        Ok(steps(&build)
            .iter()
            .any(|step| step["state"] == "running")
            .then_some(()))
    })?;
    let cancelled = Instant::now();
    world.hub_says(&["build", "cancel", "demo", "1"])?;
    let build = world.wait_for_build("demo", 1)?;
    ensure!(build["state"] == "cancelled", "{build:#}");
    // Far above what a step needs to die on a busy host, and far below the grace of a script.
    let took = cancelled.elapsed();
    ensure!(took < Duration::from_secs(5), "it took {took:?}");
    Ok(())
}

#[test]
fn a_script_step_runs_in_a_container_and_names_it() -> Result<()> {
    let engine = Engine::read()?;
    if let Some(why) = &engine.missing {
        not_run::note("a_script_step_runs_in_a_container_and_names_it", why);
        return Ok(());
    }
    let mut world = World::start()?;
    world.environment.clone_from(&engine.environment);
    let _runner = world.runner("one", engine.configuration())?;
    let repository = world.repository("demo")?;
    repository.write("data/input.txt", "from the commit\n")?;
    repository.write(
        "bitbucket-pipelines.yml",
        "image: localhost/cofferdam/busybox:1\npipelines:\n  default:\n    - step:\n        script:\n          \
         - cat data/input.txt\n          - test \"$BITBUCKET_BRANCH\" = main\n          - sleep 3\n    - step:\n        \
         script: [exit 7]\n        after-script: [echo after $BITBUCKET_EXIT_CODE]\n",
    )?;
    repository.commit("First")?;
    repository.push("main")?;
    cofferdam_tests::process::wait_for("the script to run", || {
        Ok(world
            .log("demo", 1)?
            .contains("from the commit")
            .then_some(()))
    })?;
    let known = engine.containers(world.dir())?;
    let build = world.wait_for_build("demo", 1)?;
    let log = world.log("demo", 1)?;
    ensure!(build["state"] == "failed", "{build:#}\n{log}");
    let steps = steps(&build);
    ensure!(steps[0]["state"] == "passed", "{build:#}\n{log}");
    ensure!(steps[1]["exit"] == 7, "{build:#}\n{log}");
    ensure!(
        log.contains("from the commit") && log.contains("after 7"),
        "{log}"
    );
    let container = steps[0]["receipt"]["process"]
        .as_str()
        .context("a container has an id")?;
    ensure!(
        known.iter().any(|id| container.contains(id.as_str())),
        "{container} is none of {known:?}"
    );
    Ok(())
}
