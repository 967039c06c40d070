//! How a run ends: what it says, what it leaves behind when it is stopped, and what of earlier ones goes.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use cofferdam_tests::engine::IMAGE;
use cofferdam_tests::process::{Running, run, shell_status};
use cofferdam_tests::{Laptop, not_run};

/// The directories of all work trees.
fn places(laptop: &Laptop) -> Result<Vec<PathBuf>> {
    let mut places = Vec::new();
    for entry in fs::read_dir(laptop.path("../../cache/cofferdam/local"))? {
        let path = entry?.path();
        places.extend(path.is_dir().then_some(path));
    }
    Ok(places)
}

#[test]
fn a_step_starts_before_anything_is_said_of_it_and_its_end_is_said_once() -> Result<()> {
    let laptop = Laptop::new()?;
    laptop.add_guest("fs")?;
    let file = "\
pipelines:
  default:
    - parallel:
        - step: {name: lacks, wasm: {module: ci/none.wasm}}
        - step: {name: fails, wasm: {module: ci/fs.wasm, args: [read, missing]}}
";
    laptop.repository.write("bitbucket-pipelines.yml", file)?;
    laptop.repository.commit("Begin")?;
    let shown = laptop.run(&["run", "--plain"])?.shown;
    let at = |text: &str| shown.find(text).with_context(|| format!("{text}: {shown}"));
    ensure!(
        at("lacks ▌ starts (wasm)")? < at("lacks ▌ could not be run: ")?,
        "{shown}"
    );
    let ending = shown.lines().find(|line| line.starts_with("▌ ✗ fails"));
    let ending = ending.with_context(|| shown.clone())?;
    ensure!(ending.starts_with("▌ ✗ fails  exit 1  "), "{ending}");
    Ok(())
}

#[test]
fn the_second_interrupt_kills_what_does_not_end_and_leaves_no_container() -> Result<()> {
    let laptop = Laptop::new()?;
    if let Some(why) = laptop.lacks_engine() {
        not_run::note("interrupted-twice", why);
        return Ok(());
    }
    let file = format!(
        "pipelines:\n  default:\n    - step:\n        name: stubborn\n        image: {IMAGE}\n        \
         script: [\"trap '' TERM; echo began; while true; do sleep 1; done\"]\n        after-script: [echo after]\n"
    );
    laptop.repository.write("bitbucket-pipelines.yml", file)?;
    laptop.repository.commit("Begin")?;
    let mut command = laptop.cofferdam(&["run", "--plain"])?;
    let mut running = Running::start("run", &mut command, &laptop.path("../output"))?;
    running.wait_until_it_says("│ began")?;
    running.signal("INT")?;
    running.wait_until_it_says("cancelling")?;
    running.signal("INT")?;
    let status = shell_status(running.wait()?);
    ensure!(status == 130, "{status}: {}", running.said());
    ensure!(!running.said().contains("│ after"), "{}", running.said());
    for place in places(&laptop)? {
        for kept in ["containers", "workspaces"] {
            let left: Vec<_> = fs::read_dir(place.join(kept))?.collect();
            ensure!(left.is_empty(), "{kept}: {left:?}");
        }
    }
    Ok(())
}

#[test]
fn what_is_kept_for_a_work_tree_that_is_gone_is_removed() -> Result<()> {
    let laptop = Laptop::new()?;
    laptop.add_guest("hello")?;
    let file = "pipelines:\n  default:\n    - step: {wasm: {module: ci/hello.wasm}}\n";
    laptop.repository.write("bitbucket-pipelines.yml", file)?;
    laptop.repository.commit("Begin")?;
    let second = laptop.path("../second");
    run(laptop
        .repository
        .git()
        .args(["worktree", "add", "-b", "other"])
        .arg(&second))?;
    let mut there = laptop.cofferdam(&["run", "--plain"])?;
    run(there.current_dir(&second))?;
    laptop.run(&["run", "--plain"])?;
    ensure!(places(&laptop)?.len() == 2);
    fs::remove_dir_all(&second)?;
    laptop.run(&["run", "--plain"])?;
    ensure!(places(&laptop)?.len() == 1, "{:?}", places(&laptop)?);
    Ok(())
}
