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

/// The commands of a page: lines that start with `$ ` within blocks marked `console`, and those that a `> ` continues.
fn commands(page: &str) -> Result<Vec<String>> {
    let text = read(page)?;
    let mut commands: Vec<String> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                commands.push(command.to_owned());
            } else if let (Some(more), Some(command)) =
                (line.strip_prefix("> "), commands.last_mut())
            {
                command.extend(["\n", more]);
            }
        }
    }
    ensure!(!commands.is_empty(), "{page} has no commands");
    Ok(commands)
}

fn read(page: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// Runs a page's commands in an empty directory. What the page starts in the background ends with it.
fn follow(page: &str) -> Result<String> {
    let dir = tempfile::Builder::new()
        .prefix("cofferdam-docs-")
        .tempdir()?;
    type_in(page, &commands(page)?, dir.path())
}

/// Types commands into one shell of somebody whose name git knows, and returns all that they said.
fn type_in(page: &str, commands: &[String], dir: &Path) -> Result<String> {
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
    let output = command(Path::new("/bin/bash"), dir)
        .args(["-c", &script])
        .env("PATH", path)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.com")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.com")
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

/// `./just build` is what built the programs of this test; that, and `./just test`, are looked up and not done again.
#[test]
fn the_readme_puts_the_programs_on_path_and_the_steps_into_a_repository() -> Result<()> {
    let (recipes, commands): (Vec<String>, Vec<String>) = commands("README.md")?
        .into_iter()
        .partition(|command| command.starts_with("./just "));
    let menu = read("justfile")?;
    for recipe in &recipes {
        let name = recipe.split(' ').nth(1).context("a recipe has a name")?;
        let is_there = |line: &str| line.split([' ', ':']).next() == Some(name);
        ensure!(menu.lines().any(is_there), "there is no recipe {name}");
    }
    let temporary = tempfile::tempdir()?;
    let checkout = temporary.path().join("cofferdam");
    fs::create_dir(&checkout)?;
    std::os::unix::fs::symlink(target_dir(), checkout.join("target"))?;
    let said = type_in("README.md", &commands, &checkout)?;
    ensure!(said.contains("cofferdam 0."), "{said}");
    for file in ["secret-scan.wasm", "checksum-manifest.wasm"] {
        let there = temporary.path().join("project/ci").join(file);
        ensure!(there.is_file(), "{} is not there", there.display());
    }
    Ok(())
}

#[test]
fn the_page_for_a_machine_of_ones_own_runs_a_pipeline() -> Result<()> {
    let said = follow("docs/run-locally.md")?;
    for words in [
        "cofferdam.yml: no errors, no warnings",
        "1 files scanned, 0 findings",
        "default passed in",
        "\"event\":\"step-ended\",\"step\":0,\"outcome\":\"passed\"",
    ] {
        ensure!(said.contains(words), "{words}\n{said}");
    }
    Ok(())
}

#[test]
fn the_operators_page_goes_from_a_hub_to_a_push_and_a_build_that_is_cancelled() -> Result<()> {
    let said = follow("docs/operator.md")?;
    for words in [
        "Put this line into hooks/post-receive",
        "joined https://localhost:",
        "online",
        "remote: cofferdam: refs/heads/main: build 1, default",
        "1 files scanned, 0 findings",
        "no.such.label",
        "cancelled",
    ] {
        ensure!(said.contains(words), "{words}\n{said}");
    }
    Ok(())
}

#[test]
fn every_pipeline_of_the_authors_page_is_planned() -> Result<()> {
    plan_all(&read("docs/pipeline-author.md")?, 2)
}

#[test]
fn every_first_party_step_is_shown_by_its_name() -> Result<()> {
    for step in ["secret-scan", "checksum-manifest"] {
        let text = read(&format!("steps/{step}/README.md"))?;
        ensure!(text.contains(&format!("module: step:{step}\n")), "{text}");
        // The page shows an item of a pipeline; here it stands in one.
        let pipeline = text
            .replace('\n', "\n    ")
            .replace("```yaml\n", "```yaml\npipelines:\n  default:\n");
        plan_all(&pipeline, 1)?;
    }
    Ok(())
}

/// Plans every pipeline of a page, of which there are at least so many.
fn plan_all(text: &str, least: usize) -> Result<()> {
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
    ensure!(blocks.len() >= least, "the page has lost its examples");
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
    let said = follow("docs/step-author.md")?;
    ensure!(said.contains("src/greeting.txt"), "{said}");
    Ok(())
}

/// What `--help` says stands on the page, so that an option that is new or gone is noticed.
#[test]
fn the_page_for_a_machine_of_ones_own_has_every_option() -> Result<()> {
    let page = read("docs/run-locally.md")?;
    let temporary = tempfile::tempdir()?;
    let output = command(&program("cofferdam")?, temporary.path())
        .args(["run", "--help"])
        .output()?;
    let help = String::from_utf8(output.stdout)?;
    let options = help
        .split_whitespace()
        .map(|word| word.trim_end_matches([':', ',', '.']))
        .filter(|word| word.starts_with("--") && *word != "--help");
    for option in options {
        ensure!(page.contains(option), "{option} is not on the page");
    }
    Ok(())
}
