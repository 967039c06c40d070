//! The project's own pipeline file: that it can be planned, and that its image is the one that is made here.
//!
//! Deliberately absent: running it. That takes an image of a gigabyte and minutes of a compiler; `just self` does it.

#![expect(
    clippy::tests_outside_test_module,
    reason = "this file is nothing but tests"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use cofferdam_pipeline::{
    ChangedFiles, ModuleRef, Outcome, Plan, Push, Reference, Resolution, StepKind, StepPlan,
    resolve,
};

fn read(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// What a push of this branch starts. Any remark about the file is an error here.
fn plan(branch: &str) -> Result<Plan> {
    let push = Push {
        reference: Reference::Branch(branch.to_owned()),
        commit_message: String::new(),
        custom: None,
    };
    let source = read("cofferdam.yml")?;
    let Resolution {
        outcome,
        diagnostics,
    } = resolve(source.as_bytes(), &push, ChangedFiles::Unknown);
    let remarks: Vec<String> = diagnostics
        .iter()
        .map(|remark| remark.render(source.as_bytes(), "cofferdam.yml"))
        .collect();
    ensure!(remarks.is_empty(), "{}", remarks.concat());
    match outcome {
        Outcome::Planned(plan) => Ok(plan),
        other => anyhow::bail!("{other:?}"),
    }
}

fn steps(plan: &Plan) -> impl Iterator<Item = &StepPlan> {
    plan.jobs.iter().flat_map(|job| &job.steps)
}

#[test]
fn the_projects_own_pipeline_is_planned_for_every_branch_without_a_remark() -> Result<()> {
    for branch in ["main", "feature/x"] {
        let plan = plan(branch)?;
        let names: Vec<&str> = steps(&plan).map(|step| step.name.as_str()).collect();
        ensure!(
            names
                == [
                    "Format",
                    "Build the secret scan",
                    "Scan for leaked secrets",
                    "Lints"
                ],
            "{names:?}"
        );
    }
    Ok(())
}

#[test]
fn the_image_of_the_projects_own_pipeline_has_the_version_of_the_toolchain() -> Result<()> {
    let toolchain = read("rust-toolchain.toml")?;
    let channel = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix('"'))
        .context("rust-toolchain.toml names no channel")?;
    let plan = plan("main")?;
    let images: BTreeSet<&str> = steps(&plan)
        .filter_map(|step| match &step.kind {
            StepKind::Script(script) => Some(script.image.name.as_str()),
            _ => None,
        })
        .collect();
    let expected = format!("localhost/cofferdam/rust:{channel}");
    ensure!(images == BTreeSet::from([expected.as_str()]), "{images:?}");
    Ok(())
}

#[test]
fn the_secret_scan_of_the_projects_own_pipeline_sees_all_folders_and_can_write_nothing()
-> Result<()> {
    let plan = plan("main")?;
    let modules: Vec<_> = steps(&plan)
        .filter_map(|step| match &step.kind {
            StepKind::Wasm(wasm) => Some(wasm),
            _ => None,
        })
        .collect();
    let [wasm] = modules[..] else {
        anyhow::bail!("{} wasm steps", modules.len());
    };
    ensure!(
        matches!(&wasm.module, ModuleRef::Artifact { from, .. } if from == "Build the secret scan"),
        "{:?}",
        wasm.module
    );
    let grants = &wasm.grants;
    ensure!(grants.write.is_empty() && grants.net.is_empty() && grants.secrets.is_empty());
    let granted: BTreeSet<String> = grants.read.iter().map(|path| path.path.clone()).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for folder in [".ci", "docs"]
        .into_iter()
        .map(str::to_owned)
        .chain(members()?)
    {
        ensure!(root.join(&folder).exists(), "there is no {folder}");
        ensure!(granted.contains(&folder), "{folder} is not scanned");
    }
    Ok(())
}

/// The root folders that the workspace's members are in.
fn members() -> Result<BTreeSet<String>> {
    let manifest = read("Cargo.toml")?;
    let list = manifest
        .split_once("members = [")
        .and_then(|(_, rest)| rest.split_once(']'))
        .context("Cargo.toml names no members")?
        .0;
    let folders = list.split('"').skip(1).step_by(2);
    Ok(folders
        .filter_map(|member| member.split('/').next().map(str::to_owned))
        .collect())
}
