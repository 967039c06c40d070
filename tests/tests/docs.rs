//! Every command of a tutorial, executed: the `console` blocks of a page, in order, in one shell.

#![expect(
    clippy::tests_outside_test_module,
    reason = "this file is nothing but tests"
)]

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use cofferdam_pipeline::{ChangedFiles, Outcome, Push, Reference, Resolution, resolve};
use cofferdam_tests::process::{command, program, target_dir};
use cofferdam_tests::said;
use serde_json::Value;

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

/// The commands of a page with what it shows below each of them.
fn shown(text: &str) -> Vec<(String, String)> {
    let mut shown: Vec<(String, String)> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap_or_default().lines() {
            match (line.strip_prefix("$ "), shown.last_mut()) {
                (Some(command), _) => shown.push((command.to_owned(), String::new())),
                (None, Some((_, output))) => output.extend([line, "\n"]),
                (None, None) => {}
            }
        }
    }
    shown
}

#[test]
fn the_page_about_checking_shows_what_is_really_said() -> Result<()> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/check.md"))?;
    let example = text
        .split("```yaml\n")
        .nth(1)
        .context("the page has a file")?;
    let example = example.split("```").next().unwrap_or_default();
    let temporary = tempfile::tempdir()?;
    fs::write(temporary.path().join("bitbucket-pipelines.yml"), example)?;
    let cofferdam = program("cofferdam")?;
    let bin = cofferdam.parent().context("a program is in a directory")?;
    let shown = shown(&text);
    ensure!(shown.len() >= 4, "the page has lost its commands");
    for (line, expected) in shown {
        let output = command(Path::new("/bin/bash"), temporary.path())
            .args(["-c", &line])
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .output()?;
        let said = String::from_utf8([output.stdout, output.stderr].concat())?;
        ensure!(
            said == expected,
            "{line}\nshown:\n{expected}\nsaid:\n{said}"
        );
    }
    Ok(())
}

#[test]
fn the_page_about_checking_names_every_option_and_every_field() -> Result<()> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/check.md"))?;
    let example = text
        .split("```yaml\n")
        .nth(1)
        .context("the page has a file")?;
    let temporary = tempfile::tempdir()?;
    let dir = temporary.path();
    fs::write(
        dir.join("bitbucket-pipelines.yml"),
        example.split("```").next().unwrap_or_default(),
    )?;
    let mut unnamed = Vec::new();
    for verb in ["check", "migrate"] {
        let help = said(dir, &[verb, "--help"], "")?;
        let is_of_name = |c: char| c.is_ascii_lowercase() || c == '-';
        for (at, _) in help.match_indices("--") {
            let option: String = help[at..].chars().take_while(|c| is_of_name(*c)).collect();
            if !text.contains(&format!("`{option}")) && option != "--help" {
                unnamed.push(option);
            }
        }
    }
    for arguments in [
        &["check"][..],
        &["check", "--explain", "--branch", "feature/x"],
        &["check", "--explain", "--pull-request", "a:b"],
        &["migrate"],
    ] {
        let said = said(dir, &[arguments, &["--format", "json"]].concat(), "")?;
        let json = serde_json::from_str(said.trim_start_matches("exit 0\n"))?;
        let mut names = BTreeSet::new();
        fields(&json, &mut names);
        ensure!(names.len() > 5, "{said}");
        unnamed.extend(
            names
                .into_iter()
                .filter(|name| !text.contains(&format!("`{name}`"))),
        );
    }
    ensure!(unnamed.is_empty(), "not in the page: {unnamed:?}");
    Ok(())
}

fn fields(json: &Value, names: &mut BTreeSet<String>) {
    match json {
        Value::Array(items) => items.iter().for_each(|item| fields(item, names)),
        Value::Object(map) => {
            for (name, value) in map {
                names.insert(name.clone());
                fields(value, names);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
