//! Malformed arguments and files: a sentence, an exit status, and nothing half done.

#![expect(
    clippy::tests_outside_test_module,
    reason = "this file is nothing but tests"
)]

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use cofferdam_tests::process::{command, program, shell_status};

/// Runs `cofferdam` with arguments in `dir`: the exit status and what it said on standard error.
fn cofferdam(dir: &Path, arguments: &[&str]) -> Result<(i32, String)> {
    let output = command(&program("cofferdam")?, dir)
        .args(arguments)
        .output()?;
    Ok((
        shell_status(output.status),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}

#[test]
fn a_bad_argument_is_explained_and_leaves_nothing_behind() -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let dir = temporary.path();
    let join = "join https://localhost:1 --state s";
    let pinned = format!("{join} --hub-fingerprint sha256:{}", "0".repeat(64));
    for (line, status, words) in [
        ("join http://hub.example".to_owned(), 2, "https://"),
        (
            "join https://hub.example/path".to_owned(),
            2,
            "without a path",
        ),
        (
            "join https://hub.example --hub-fingerprint md5:00".to_owned(),
            2,
            "sha256:",
        ),
        (join.to_owned(), 1, "no token"),
        (format!("{join} --token-file missing"), 1, "missing"),
        (format!("{pinned} --token \u{e9}"), 1, "not a token"),
        (
            format!("{pinned} --token t"),
            1,
            "no connection to https://localhost:1",
        ),
        ("start --state empty".to_owned(), 1, "cofferdam join"),
        ("check".to_owned(), 2, "neither cofferdam.yml nor"),
        ("check missing.yml".to_owned(), 2, "missing.yml"),
        ("frobnicate".to_owned(), 2, "frobnicate"),
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        let (got, said) = cofferdam(dir, &arguments)?;
        ensure!(
            got == status && said.contains(words),
            "{line}: {got}\n{said}"
        );
    }
    ensure!(
        !dir.join("empty").exists(),
        "a runner that never joined has a state directory"
    );
    ensure!(
        !dir.join("s/identity.json").exists(),
        "a runner that did not join has an identity"
    );
    ensure!(
        !dir.join("s/runner.key").exists(),
        "a runner that did not join has a key"
    );
    Ok(())
}

#[test]
fn a_damaged_state_directory_is_explained() -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let dir = temporary.path();
    for (name, identity, key, words) in [
        ("no-json", "}", &[0; 32][..], "identity.json is damaged"),
        (
            "other-fields",
            "{\"runner\": 1}",
            &[0; 32],
            "identity.json is damaged",
        ),
        (
            "short-key",
            "{\"runner\": \"01ARZ3NDEKTSV4RRFFQ69G5FAV\", \"hub\": \"https://localhost:1\", \
             \"hub_identity\": \"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM\", \"ca\": null, \"labels\": []}",
            &[0; 31],
            "runner.key is damaged",
        ),
    ] {
        let state = dir.join(name);
        fs::create_dir_all(&state)?;
        fs::write(state.join("identity.json"), identity)?;
        fs::write(state.join("runner.key"), key)?;
        let state = state.to_str().context("plain")?;
        let (status, said) = cofferdam(dir, &["start", "--state", state])?;
        ensure!(
            status == 1 && said.contains(words),
            "{name}: {status}\n{said}"
        );
    }
    Ok(())
}

#[test]
fn a_slip_in_the_configuration_is_shown_where_it_is() -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let dir = temporary.path();
    fs::create_dir(dir.join("state"))?;
    fs::write(
        dir.join("state/runner.toml"),
        "slots = 1\n[git]\nfile_root = []\n",
    )?;
    let (status, said) = cofferdam(dir, &["start", "--state", "state"])?;
    let lines = [
        "error[unknown-key]: there is no key `git.file_root`",
        "runner.toml:3:1",
        "3 | file_root = []",
        "= help: did you mean `git.file_roots`?",
        "cofferdam: the configuration cannot be used",
    ];
    ensure!(
        status == 1 && lines.iter().all(|line| said.contains(line)),
        "{status}\n{said}"
    );
    Ok(())
}
