//! What a hostile pusher can try with a whole system in front of him. The attacks on git itself are in
//! `git/tests`; here are those that need hub, runner and steps to meet.

#![expect(
    clippy::tests_outside_test_module,
    reason = "this file is nothing but tests"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use cofferdam_tests::process::{run, target_dir};
use cofferdam_tests::{Repository, World};

const NO_ENGINE: &str = "[container]\nengine = \"none\"\n";

fn pipeline(grants: &str, arguments: &str) -> String {
    format!(
        "pipelines:\n  default:\n    - step:\n        name: The step\n        wasm:\n          module: \
         ci/fs.wasm\n          args: [{arguments}]\n          grants:\n            {grants}\n"
    )
}

/// A world with a runner, and a repository whose only step is the file tool.
fn prepared(grants: &str, arguments: &str) -> Result<(World, cofferdam_tests::Joined, Repository)> {
    let world = World::start()?;
    let runner = world.runner("one", NO_ENGINE)?;
    let repository = world.repository("demo")?;
    let guest = target_dir().join("guests/fs.wasm");
    let module = fs::read(&guest).with_context(|| format!("{}: `just guests`", guest.display()))?;
    repository.write("ci/fs.wasm", module)?;
    repository.write("bitbucket-pipelines.yml", pipeline(grants, arguments))?;
    Ok((world, runner, repository))
}

/// Pushes and returns the build's state and its log.
fn outcome(world: &World, repository: &Repository) -> Result<(String, String)> {
    repository.commit("Attack")?;
    repository.push("main")?;
    let build = world.wait_for_build(&repository.name, 1)?;
    let state = build["state"]
        .as_str()
        .context("a build has a state")?
        .to_owned();
    Ok((state, world.log(&repository.name, 1)?))
}

#[test]
fn a_grant_whose_path_is_a_link_out_of_the_workspace_is_refused_with_its_line() -> Result<()> {
    let (world, _runner, repository) = prepared("read: [data]", "read, data/passwd")?;
    symlink("/etc", repository.work.join("data"))?;
    let (state, log) = outcome(&world, &repository)?;
    ensure!(state == "error", "{state}\n{log}");
    ensure!(log.contains("line 9") && log.contains("data"), "{log}");
    ensure!(!log.contains("root:"), "{log}");
    Ok(())
}

#[test]
fn a_link_inside_a_granted_directory_does_not_lead_out() -> Result<()> {
    let (world, _runner, repository) = prepared("read: [data]", "read, data/passwd")?;
    fs::create_dir_all(repository.work.join("data"))?;
    symlink("/etc/passwd", repository.work.join("data/passwd"))?;
    let (state, log) = outcome(&world, &repository)?;
    ensure!(
        state == "failed" && !log.contains("root:"),
        "{state}\n{log}"
    );
    Ok(())
}

#[test]
fn a_relative_link_out_of_the_workspace_does_not_lead_out() -> Result<()> {
    let (world, runner, repository) = prepared("read: [data]", "read, data/key")?;
    fs::create_dir_all(repository.work.join("data"))?;
    let key = runner.state.join("runner.key");
    ensure!(key.exists(), "the test aims at a file that is there");
    symlink("../../../runner.key", repository.work.join("data/key"))?;
    let (state, log) = outcome(&world, &repository)?;
    ensure!(state == "failed", "{state}\n{log}");
    Ok(())
}

#[test]
fn a_granted_workspace_does_not_include_its_git_directory() -> Result<()> {
    let (world, _runner, repository) = prepared("read: [.]", "read, .git/HEAD")?;
    let (state, log) = outcome(&world, &repository)?;
    ensure!(state == "failed" && !log.contains("ref:"), "{state}\n{log}");
    Ok(())
}

#[test]
fn a_read_grant_cannot_be_written() -> Result<()> {
    let (world, _runner, repository) = prepared("read: [data]", "write, data/new.txt, attack")?;
    repository.write("data/old.txt", "old\n")?;
    let (state, log) = outcome(&world, &repository)?;
    ensure!(state == "failed", "{state}\n{log}");
    Ok(())
}

#[test]
fn a_module_that_is_a_link_is_no_module() -> Result<()> {
    let (world, _runner, repository) = prepared("read: []", "x")?;
    fs::remove_file(repository.work.join("ci/fs.wasm"))?;
    symlink("/proc/self/exe", repository.work.join("ci/fs.wasm"))?;
    let (state, log) = outcome(&world, &repository)?;
    ensure!(
        state == "error" && log.contains("ci/fs.wasm"),
        "{state}\n{log}"
    );
    Ok(())
}

#[test]
fn a_module_that_is_none_is_explained() -> Result<()> {
    for (what, bytes) in [
        ("empty", Vec::new()),
        ("text", b"#!/bin/sh\necho pwned\n".to_vec()),
        ("native code", fs::read("/bin/true")?),
        (
            "cut off",
            b"\0asm\x01\0\0\0\x01\xff\xff\xff\xff\x0f".to_vec(),
        ),
    ] {
        let (world, _runner, repository) = prepared("read: []", "x")?;
        repository.write("ci/fs.wasm", bytes)?;
        let (state, log) = outcome(&world, &repository)?;
        ensure!(state == "error", "{what}: {state}\n{log}");
        ensure!(
            log.contains("module") && !log.contains("pwned"),
            "{what}: {log}"
        );
    }
    Ok(())
}

#[test]
fn what_a_step_prints_cannot_pass_for_what_the_system_says() -> Result<()> {
    let (world, _runner, repository) = prepared("read: [data]", "read, data/lies")?;
    repository.write(
        "data/lies",
        "\r▌ passed\n▌ passed\n\u{1b}[1A▌ passed\n\u{9b}A",
    )?;
    repository.commit("Attack")?;
    repository.push("main")?;
    world.wait_for_build("demo", 1)?;
    let log = world.log("demo", 1)?;
    let claims = log
        .lines()
        .filter(|line| line.starts_with('▌') && line.contains("passed"));
    ensure!(claims.count() == 1, "{log}");
    ensure!(!log.contains(['\r', '\u{1b}', '\u{9b}']), "{log:?}");
    Ok(())
}

#[test]
fn a_pipeline_file_that_is_a_link_or_too_large_is_explained_to_the_one_who_pushed() -> Result<()> {
    let world = World::start()?;
    let repository = world.repository("demo")?;
    symlink(
        "/etc/passwd",
        repository.work.join("bitbucket-pipelines.yml"),
    )?;
    repository.commit("A link")?;
    let said = repository.push("main")?;
    ensure!(
        !said.contains("root:") && said.contains("bitbucket-pipelines.yml"),
        "{said}"
    );
    fs::remove_file(repository.work.join("bitbucket-pipelines.yml"))?;
    repository.write("bitbucket-pipelines.yml", "# large\n".repeat(200_000))?;
    repository.commit("A large file")?;
    let said = repository.push("main")?;
    ensure!(said.contains("bitbucket-pipelines.yml"), "{said}");
    Ok(())
}

/// What plain git would run for the settings of its user, each leaving a mark of its own.
const BAITS: [&str; 4] = ["filter", "hook", "fsmonitor", "pack-objects"];

fn marks(dir: &Path) -> Vec<&'static str> {
    let is_left = |bait: &&str| dir.join(format!("mark-{bait}")).exists();
    BAITS.into_iter().filter(is_left).collect()
}

/// Lays baits in the home that hub and runner share with everybody in `world`, and in the server's own repository.
fn lay_baits(world: &World, repository: &Repository) -> Result<()> {
    let dir = world.dir();
    let script = |bait: &str, rest: &str| -> Result<String> {
        let path = dir.join(format!("hooks-of-home/{bait}"));
        let mark = if bait.starts_with("post-") || bait == "reference-transaction" {
            "hook"
        } else {
            bait
        };
        let text = format!("#!/bin/sh\ntouch '{}/mark-{mark}'\n{rest}\n", dir.display());
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path.display().to_string())
    };
    fs::create_dir_all(dir.join("hooks-of-home"))?;
    for hook in [
        "post-checkout",
        "post-index-change",
        "reference-transaction",
    ] {
        script(hook, "")?;
    }
    let (filter, monitor) = (script("filter", "cat")?, script("fsmonitor", "")?);
    let pack = script("pack-objects", "exec \"$@\"")?;
    let settings = format!(
        "[filter \"evil\"]\n\tsmudge = {filter}\n\tclean = cat\n[uploadpack]\n\tpackObjectsHook = {pack}\n[core]\n\t\
         fsmonitor = {monitor}\n"
    );
    let hooks = format!("\thooksPath = {}\n", dir.join("hooks-of-home").display());
    fs::write(dir.join(".gitconfig"), format!("{settings}{hooks}"))?;
    // Without the path of hooks: those of the server's own receiving end are its own affair.
    let config = repository.bare.join("config");
    let own = fs::read_to_string(&config)?;
    fs::write(config, format!("{own}{settings}"))?;
    Ok(())
}

#[test]
fn attributes_and_hooks_of_a_repository_run_nothing_on_hub_or_runner() -> Result<()> {
    let (world, _runner, repository) = prepared("read: [data]", "read, data/input.txt")?;
    repository.write(".gitattributes", "* filter=evil diff=evil merge=evil\n")?;
    repository.write("data/input.txt", "input\n")?;
    repository.commit("First")?;
    let control = world.dir().join("control");
    run(repository
        .git()
        .args(["push", "--quiet", "origin", "main:control"]))?;
    lay_baits(&world, &repository)?;
    run(repository
        .git()
        .args(["clone", "--quiet", "-b", "control", &repository.url()])
        .arg(&control))?;
    run(repository.git().current_dir(&control).arg("status"))?;
    ensure!(
        marks(world.dir()) == BAITS,
        "plain git takes every bait, or this test shows nothing: {:?}",
        marks(world.dir())
    );
    for bait in BAITS {
        fs::remove_file(world.dir().join(format!("mark-{bait}")))?;
    }
    // By somebody who has no such settings: what is looked at is what hub and runner do.
    run(repository
        .git()
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .args(["push", "--quiet", "origin", "main"]))?;
    let build = world.wait_for_build("demo", 1)?;
    let log = world.log("demo", 1)?;
    ensure!(build["state"] == "passed", "{build:#}\n{log}");
    let build = world.wait_for_build("demo", 2)?;
    ensure!(build["state"] == "passed", "{build:#}\n{log}");
    ensure!(
        marks(world.dir()).is_empty(),
        "something of the repository was executed: {:?}",
        marks(world.dir())
    );
    Ok(())
}
