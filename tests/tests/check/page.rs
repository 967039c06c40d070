//! The page about these commands: what it shows is what is said, and it leaves no option and no field out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use cofferdam_tests::process::{command, program};
use cofferdam_tests::said;
use serde_json::Value;

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
