//! Secrets of a local run: who gets them, and that no log shows them.

use std::fs;

use anyhow::{Result, ensure};
use cofferdam_tests::engine::IMAGE;
use cofferdam_tests::process::run;
use cofferdam_tests::{Laptop, not_run};

const VALUE: &str = "correct-horse-battery";

fn module(grants: &str) -> String {
    format!(
        "pipelines:\n  default:\n    - step:\n        name: use\n        wasm: {{module: ci/hello.wasm, grants: {{{grants}}}}}\n"
    )
}

/// Neither the terminal nor a file of the work tree may show it.
fn is_nowhere(laptop: &Laptop, shown: &str) -> Result<()> {
    ensure!(!shown.contains(VALUE), "{shown}");
    for entry in fs::read_dir(laptop.path(".cofferdam/logs"))? {
        let log = fs::read_to_string(entry?.path())?;
        ensure!(!log.contains(VALUE), "{log}");
    }
    Ok(())
}

#[test]
fn a_module_gets_the_secrets_that_it_is_granted_and_its_log_shows_their_names() -> Result<()> {
    let laptop = Laptop::new()?;
    laptop.add_guest("hello")?;
    let file = "bitbucket-pipelines.yml";
    laptop.repository.write(file, module("secrets: [TOKEN]"))?;
    laptop.repository.commit("Begin")?;
    laptop.repository.write(
        "../secrets",
        format!("# mine\nTOKEN={VALUE}\nOTHER={VALUE}2\n"),
    )?;

    let ran = laptop.run(&["run", "--plain", "--secrets", "../secrets"])?;
    let log = laptop.log("use")?;
    ensure!(
        ran.status == 0 && log.contains("TOKEN=$TOKEN\n"),
        "{ran:?} {log}"
    );
    ensure!(!log.contains("OTHER"), "{log}");
    is_nowhere(&laptop, &ran.shown)?;

    laptop.repository.write(file, module("read: [.]"))?;
    let ran = laptop.run(&["run", "--plain", "--secrets", "../secrets"])?;
    let log = laptop.log("use")?;
    ensure!(ran.status == 0 && !log.contains("TOKEN"), "{ran:?} {log}");
    Ok(())
}

#[test]
fn a_secret_that_was_not_given_ends_the_step_and_says_how_to_give_it() -> Result<()> {
    let laptop = Laptop::new()?;
    laptop.add_guest("hello")?;
    laptop
        .repository
        .write("bitbucket-pipelines.yml", module("secrets: [TOKEN]"))?;
    laptop.repository.commit("Begin")?;
    let ran = laptop.run(&["run", "--plain"])?;
    let log = laptop.log("use")?;
    let why = "line 5: this step lacks the secret `TOKEN`; give it with --secret or --secrets";
    ensure!(ran.status == 1 && log.contains(why), "{ran:?} {log}");

    let ran = laptop.run(&["run", "--secret", "TOKEN"])?;
    let why = "--secret TOKEN: the environment has no such variable";
    ensure!(ran.status != 0 && ran.complained.contains(why), "{ran:?}");

    let ran = laptop.run(&["run", "--secret", &format!("TOKEN={VALUE}")])?;
    let why = "--secret takes a name alone, `--secret TOKEN`";
    ensure!(ran.status != 0 && ran.complained.contains(why), "{ran:?}");
    ensure!(!ran.complained.contains(VALUE), "{ran:?}");

    laptop.repository.write("../secrets", VALUE)?;
    let ran = laptop.run(&["run", "--secrets", "../secrets"])?;
    let why = "line 1 is not NAME=VALUE";
    ensure!(ran.status != 0 && ran.complained.contains(why), "{ran:?}");
    ensure!(!ran.complained.contains(VALUE), "{ran:?}");
    Ok(())
}

#[test]
fn the_reason_why_a_step_did_not_run_quotes_no_secret() -> Result<()> {
    let laptop = Laptop::new()?;
    let file = module("read: [.]").replace("hello", VALUE);
    laptop.repository.write("bitbucket-pipelines.yml", file)?;
    laptop.repository.commit("Begin")?;
    laptop
        .repository
        .write("../secrets", format!("TOKEN={VALUE}\n"))?;
    for arguments in [["--plain", "--secrets"], ["--events=json", "--secrets"]] {
        let ran = laptop.run(&["run", arguments[0], arguments[1], "../secrets"])?;
        ensure!(ran.shown.contains("ci/$TOKEN.wasm"), "{ran:?}");
        is_nowhere(&laptop, &ran.shown)?;
    }
    Ok(())
}

#[test]
fn a_container_finds_every_secret_and_its_log_shows_their_names() -> Result<()> {
    let laptop = Laptop::new()?;
    if let Some(why) = laptop.lacks_engine() {
        not_run::note("secrets-of-a-container", why);
        return Ok(());
    }
    // The value comes in two pieces, and its length shows that it was the value.
    let file = format!(
        "pipelines:\n  default:\n    - step:\n        name: use\n        image: {IMAGE}\n        script:\n          \
         - echo \"<$TOKEN>\" $(printf %s \"$TOKEN\" | wc -c)\n          \
         - printf correct-; sleep 1; printf 'horse-battery\\n'\n"
    );
    laptop.repository.write("bitbucket-pipelines.yml", file)?;
    laptop.repository.commit("Begin")?;
    let mut command = laptop.cofferdam(&["run", "--plain", "--secret", "TOKEN"])?;
    let output = run(command.env("TOKEN", VALUE))?;
    let log = laptop.log("use")?;
    let length = VALUE.len();
    ensure!(log.contains(&format!("<$TOKEN> {length}\n")), "{log}");
    ensure!(log.contains("\n$TOKEN\n"), "{log}");
    is_nowhere(&laptop, &String::from_utf8_lossy(&output.stdout))
}
