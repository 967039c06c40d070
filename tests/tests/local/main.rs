//! `cofferdam run` on a laptop: real git, real modules, real containers, no hub.

#![expect(
    clippy::tests_outside_test_module,
    reason = "this file is nothing but tests"
)]

mod alone;
mod cases;
mod ends;
mod flow;
mod granted;
mod play;
mod secrets;

use anyhow::{Result, ensure};
use cofferdam_tests::engine::IMAGE;
use cofferdam_tests::{Laptop, not_run};

use cases::{ARTIFACTS, CACHES};
use flow::{AFTER_SCRIPTS, FLOW};
use play::{Case, Form, play};

fn all(cases: &[Case], form: Form) -> Result<()> {
    let laptop = Laptop::new()?;
    if let (Form::Script, Some(why)) = (form, laptop.lacks_engine()) {
        not_run::note("local-in-containers", why);
        return Ok(());
    }
    for case in cases {
        play(case, form)?;
    }
    Ok(())
}

#[test]
fn artifacts_go_where_the_vendor_says_between_modules() -> Result<()> {
    all(ARTIFACTS, Form::Wasm)
}

#[test]
fn artifacts_go_where_the_vendor_says_between_containers() -> Result<()> {
    all(ARTIFACTS, Form::Script)
}

#[test]
fn caches_live_as_the_vendor_says_for_modules() -> Result<()> {
    all(CACHES, Form::Wasm)
}

#[test]
fn caches_live_as_the_vendor_says_for_containers() -> Result<()> {
    all(CACHES, Form::Script)
}

#[test]
fn steps_run_when_and_with_what_the_vendor_says_as_modules() -> Result<()> {
    all(FLOW, Form::Wasm)
}

#[test]
fn steps_run_when_and_with_what_the_vendor_says_in_containers() -> Result<()> {
    all(FLOW, Form::Script)
}

#[test]
fn an_after_script_runs_as_the_vendor_says_in_containers() -> Result<()> {
    all(AFTER_SCRIPTS, Form::Script)
}

/// A script sees its home, which is outside of the workspace; a module has none.
#[test]
fn a_cache_below_the_home_is_there_in_the_next_container() -> Result<()> {
    let laptop = Laptop::new()?;
    if let Some(why) = laptop.lacks_engine() {
        not_run::note("a-cache-below-the-home", why);
        return Ok(());
    }
    let file = |script: &str| {
        format!(
            "definitions: {{caches: {{things: ~/.things, other: /var/cache/other}}}}\npipelines:\n  default:\n    - step:\n        \
             name: build\n        caches: [things, other]\n        image: {IMAGE}\n        script: [\"{script}\"]\n"
        )
    };
    laptop.repository.write(
        "bitbucket-pipelines.yml",
        file("echo one > ~/.things/a && echo two > /var/cache/other/b"),
    )?;
    laptop.repository.commit("Begin")?;
    let ran = laptop.run(&["run", "--plain"])?;
    ensure!(ran.status == 0, "{ran:?}");
    laptop.repository.write(
        "bitbucket-pipelines.yml",
        file("cat ~/.things/a /var/cache/other/b"),
    )?;
    let ran = laptop.run(&["run", "--plain"])?;
    ensure!(ran.status == 0, "{ran:?}");
    let log = laptop.log("build")?;
    ensure!(log.contains("\none\ntwo\n"), "{log}");
    Ok(())
}

#[test]
fn a_module_that_an_earlier_step_left_is_run() -> Result<()> {
    let laptop = Laptop::new()?;
    laptop.add_guest("fs")?;
    let file = |artifact: &str, from: &str| {
        format!(
            "pipelines:\n  default:\n    - step:\n        name: build\n        artifacts: [built.wasm]\n        \
             wasm: {{module: ci/fs.wasm, args: [rename, ci/fs.wasm, built.wasm], grants: {{write: [.]}}}}\n    \
             - step:\n        name: use\n        wasm: {{module: {{artifact: {artifact}, from: {from}}}, args: [list, .], \
             grants: {{read: [.]}}}}\n"
        )
    };
    laptop
        .repository
        .write("bitbucket-pipelines.yml", file("built.wasm", "build"))?;
    laptop.repository.commit("Begin")?;
    let ran = laptop.run(&["run", "--plain"])?;
    ensure!(ran.status == 0, "{ran:?}");
    let log = laptop.log("use")?;
    ensure!(log.contains("file built.wasm\n"), "{log}");

    laptop
        .repository
        .write("bitbucket-pipelines.yml", file("other.wasm", "build"))?;
    let ran = laptop.run(&["run", "--plain"])?;
    let log = laptop.log("use")?;
    ensure!(
        ran.status == 1
            && log.contains(
                "could not be run: `build` left no file `other.wasm` among its artifacts"
            ),
        "{ran:?} {log}"
    );
    Ok(())
}

#[test]
fn one_step_alone_gets_what_the_last_run_of_the_others_left() -> Result<()> {
    let laptop = Laptop::new()?;
    laptop.add_guest("fs")?;
    let file = |text: &str| {
        format!(
            "pipelines:\n  default:\n    - step:\n        name: build\n        artifacts: [built]\n        \
             wasm: {{module: ci/fs.wasm, args: [write, built, {text}], grants: {{write: [.]}}}}\n    \
             - step:\n        name: use\n        wasm: {{module: ci/fs.wasm, args: [read, built], grants: {{read: [.]}}}}\n"
        )
    };
    laptop
        .repository
        .write("bitbucket-pipelines.yml", file("first"))?;
    laptop.repository.commit("Begin")?;
    let ran = laptop.run(&["run", "--plain", "--step", "use"])?;
    ensure!(ran.status == 1, "there was no run yet: {ran:?}");
    let ran = laptop.run(&["run", "--plain"])?;
    ensure!(ran.status == 0, "{ran:?}");
    laptop
        .repository
        .write("bitbucket-pipelines.yml", file("second"))?;
    let ran = laptop.run(&["run", "--plain", "--step", "use"])?;
    let log = laptop.log("use")?;
    ensure!(ran.status == 0 && log.contains("first"), "{ran:?} {log}");
    Ok(())
}

/// `.git/shallow` names the commits whose parents were left out; where nothing was, there is none.
#[test]
fn a_step_gets_as_much_history_as_its_file_asks_for() -> Result<()> {
    let laptop = Laptop::new()?;
    laptop.add_guest("fs")?;
    let step = |name: &str, depth: &str| {
        format!(
            "    - step:\n        name: {name}\n        clone: {{depth: {depth}}}\n        \
             wasm: {{module: ci/fs.wasm, args: [read, .git/shallow], grants: {{read: [.git]}}}}\n"
        )
    };
    let first = laptop.repository.commit("First")?;
    let file = format!(
        "pipelines:\n  default:\n{}{}",
        step("two", "2"),
        step("whole", "full")
    );
    laptop.repository.write("bitbucket-pipelines.yml", file)?;
    let second = laptop.repository.commit("Second")?;
    laptop.repository.write("changed", "since")?;
    let ran = laptop.run(&["run", "--plain"])?;
    let log = laptop.log("two")?;
    ensure!(
        log.contains(&second) && !log.contains(&first),
        "what lies in the work tree is a commit on top of the last one: {ran:?} {log}"
    );
    let log = laptop.log("whole")?;
    ensure!(ran.status == 1 && log.contains("NotFound"), "{ran:?} {log}");
    Ok(())
}
