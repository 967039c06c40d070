//! What a hostile pusher can try with a whole system in front of him. The attacks on git itself are in
//! `git/tests`; here are those that need hub, runner and steps to meet.

#![expect(
    clippy::tests_outside_test_module,
    reason = "this file is nothing but tests"
)]

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Context as _, Result, ensure};
use cofferdam_tests::process::target_dir;
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

#[test]
fn attributes_and_hooks_of_a_repository_run_nothing_on_hub_or_runner() -> Result<()> {
    let (world, runner, repository) = prepared("read: [data]", "read, data/input.txt")?;
    let canary = world.dir().join("canary");
    let attack = format!("touch '{}'", canary.display());
    // What would run if hub or runner believed the repository, or the git settings of their user.
    repository.write(".gitattributes", "* filter=evil diff=evil merge=evil\n")?;
    repository.write(".git-hooks/post-checkout", format!("#!/bin/sh\n{attack}\n"))?;
    repository.write("data/input.txt", "input\n")?;
    let settings = format!(
        "[filter \"evil\"]\n\tsmudge = {attack}; cat\n\tclean = cat\n\tprocess =\n[core]\n\tfsmonitor = \
         {attack}\n\tsshCommand = {attack}\n[uploadpack]\n\tpackObjectsHook = {attack}; exec\n"
    );
    for place in [
        repository.bare.join("config"),
        runner.state.join(".gitconfig"),
    ] {
        let mut text = fs::read_to_string(&place).unwrap_or_default();
        text.push_str(&settings);
        fs::write(place, text)?;
    }
    fs::create_dir_all(repository.bare.join("hooks"))?;
    for hook in [
        "post-checkout",
        "pre-auto-gc",
        "reference-transaction",
        "post-index-change",
    ] {
        fs::write(
            repository.bare.join("hooks").join(hook),
            format!("#!/bin/sh\n{attack}\n"),
        )?;
    }
    let (state, log) = outcome(&world, &repository)?;
    ensure!(state == "passed", "{state}\n{log}");
    ensure!(!canary.exists(), "something of the repository was executed");
    Ok(())
}
