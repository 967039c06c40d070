//! Every command of a tutorial, executed: the `console` blocks of a page, in order, in one shell.

#![expect(
    clippy::tests_outside_test_module,
    reason = "this file is nothing but tests"
)]

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use cofferdam_pipeline::{ChangedFiles, Outcome, Push, Reference, Resolution, resolve};
use cofferdam_tests::process::{command, program, target_dir};

/// The commands of a page: lines that start with `$ `, within blocks marked `console`.
fn commands(page: &str) -> Result<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut commands = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        commands.extend(
            block
                .lines()
                .filter_map(|line| line.strip_prefix("$ "))
                .map(str::to_owned),
        );
    }
    Ok(commands)
}

/// Runs a page's commands in an empty directory. What the page starts in the background ends with it.
fn follow(page: &str, modules: &[&str]) -> Result<String> {
    let commands = commands(page)?;
    ensure!(!commands.is_empty(), "{page} has no commands");
    let dir = tempfile::Builder::new()
        .prefix("cofferdam-docs-")
        .tempdir()?;
    for module in modules {
        let built = target_dir().join("guests").join(module);
        fs::copy(&built, dir.path().join(module)).with_context(|| built.display().to_string())?;
    }
    // The page names a port that people can remember; the test takes one that is free.
    let port = TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port()
        .to_string();
    let script = commands.join("\n").replace("7878", &port);
    let script =
        format!("set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n{script}\n");
    let hub = program("cofferdam-hub")?;
    let bin = hub.parent().context("a program is in a directory")?;
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display());
    let output = command(Path::new("/bin/bash"), dir.path())
        .args(["-c", &script])
        .env("PATH", path)
        .output()?;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    ensure!(
        output.status.success(),
        "{page} ended with {}:\n{script}\n{said}",
        output.status
    );
    Ok(said)
}

#[test]
fn the_operators_page_sets_up_a_hub_and_a_runner() -> Result<()> {
    let said = follow("docs/operator.md", &[])?;
    ensure!(said.contains("joined https://localhost:"), "{said}");
    ensure!(said.contains("online"), "{said}");
    Ok(())
}

#[test]
fn every_pipeline_of_the_authors_page_is_planned() -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pipeline-author.md");
    let text = fs::read_to_string(page)?;
    let push = Push {
        reference: Reference::Branch("main".to_owned()),
        commit_message: String::new(),
        custom: None,
    };
    let blocks: Vec<&str> = text
        .split("```yaml\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .collect();
    ensure!(blocks.len() >= 2, "the page has lost its examples");
    for block in blocks {
        let Resolution {
            outcome,
            diagnostics,
        } = resolve(block.as_bytes(), &push, ChangedFiles::Unknown);
        ensure!(
            matches!(outcome, Outcome::Planned(_)) && diagnostics.is_empty(),
            "{block}\n{diagnostics:?}"
        );
    }
    Ok(())
}

#[test]
fn the_step_authors_page_runs_a_module() -> Result<()> {
    let said = follow(
        "docs/step-author.md",
        &["checksum-manifest.wasm", "secret-scan.wasm"],
    )?;
    ensure!(said.contains("src/greeting.txt"), "{said}");
    Ok(())
}
