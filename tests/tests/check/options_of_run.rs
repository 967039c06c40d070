//! `cofferdam run` names a push by the same options.

use anyhow::{Result, ensure};
use cofferdam_tests::Repository;

use super::cofferdam;

#[test]
fn an_option_that_can_be_no_push_is_a_mistake_of_the_command_line() -> Result<()> {
    let temporary = tempfile::tempdir()?;
    for (line, words) in [
        ("run --branch a --tag b", "cannot be used with"),
        ("run --branch refs/heads/a", "without `refs/heads/`"),
        ("run --pull-request a", "`feature/x:main`"),
        ("run --pull-request a:b --custom c", "cannot be used with"),
        ("run --custom c --var LEVEL", "`NAME=VALUE`"),
        ("run --var LEVEL=low", "--custom"),
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        let said = cofferdam(temporary.path(), &arguments, "")?;
        ensure!(
            said.starts_with("exit 2\n") && said.contains(words),
            "{line}\n{said}"
        );
    }
    Ok(())
}

#[test]
fn a_run_that_nobody_can_mean_is_explained_before_anything_starts() -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let repository = Repository::create(temporary.path(), "app")?;
    repository.write(
        "bitbucket-pipelines.yml",
        "pipelines:\n  custom:\n    nightly:\n      - variables: [{name: LEVEL, allowed-values: [low, high]}]\n      \
         - step: {script: [make]}\n    weekly:\n      - step: {script: [make]}\n",
    )?;
    repository.commit("Begin")?;
    for (line, words) in [
        (
            "run --custom yearly",
            "There is no custom pipeline `yearly`; there are `nightly`, `weekly`.",
        ),
        (
            "run --custom weekly --var LEVEL=low",
            "has no variable `LEVEL`; it has none.",
        ),
        (
            "run --custom nightly",
            "`LEVEL` has no default, and no value was given",
        ),
        (
            "run --custom nightly --var LEVEL=mid",
            "allowed are `low`, `high`.",
        ),
        (
            "run --custom nightly --var LEVEL=low --var LEVEL=high",
            "--var LEVEL: this variable is given twice",
        ),
        (
            "run --pull-request feature/x:main",
            "The file has no `pull-requests`",
        ),
        ("run --tag v1", "The file has no `tags`"),
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        let said = cofferdam(&repository.work, &arguments, "")?;
        ensure!(
            said.starts_with("exit 1\n") && said.contains(words),
            "{line}\n{said}"
        );
    }
    ensure!(
        !repository.work.join(".cofferdam").exists(),
        "something was begun"
    );
    Ok(())
}
