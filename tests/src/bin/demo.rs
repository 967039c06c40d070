//! `just demo`: a hub, a runner, a repository, a push, and the live log of what became of it. Then a
//! push that fails. Ends with exit status 0 if both went as they should.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use cofferdam_tests::engine::{Engine, IMAGE};
use cofferdam_tests::process::{program, run, target_dir};
use cofferdam_tests::{Joined, Repository, World};
use serde_json::Value;

fn main() -> Result<()> {
    let is_kept = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--keep" => true,
        _ => bail!("usage: ./just demo [--keep]"),
    };
    let temporary = tempfile::Builder::new()
        .prefix("cofferdam-demo-")
        .tempdir()?;
    let engine = Engine::read()?;

    title("A hub with its own CA, and a runner that trusts nobody else")?;
    let mut world = World::start_in(temporary.path())?;
    world.environment.clone_from(&engine.environment);
    let runner = world.runner("demo-runner", engine.configuration())?;
    line(&format!(
        "hub       process {}, {}",
        world.hub.id(),
        world.address
    ))?;
    line(&format!("          {}", world.fingerprint))?;
    line(&format!(
        "runner    process {}, state in {}",
        runner.process.id(),
        runner.state.display()
    ))?;
    match &engine.missing {
        None => line("engine    found: script steps run in containers")?,
        Some(why) => line(&format!(
            "engine    none, so only the wasm steps run: {why}"
        ))?,
    }

    title("A repository whose server tells the hub about each push")?;
    let repository = world.repository("demo")?;
    lay_out(&repository, &engine)?;
    repository.commit("Add a page and a pipeline")?;
    line(&format!("server    {}", repository.bare.display()))?;
    line(&format!("work      {}", repository.work.display()))?;

    title("git push")?;
    let said = repository.push("main")?;
    line(said.trim_end())?;

    title("The live log")?;
    follow(&world, &repository, 1)?;
    let build = world.wait_for_build("demo", 1)?;
    show(&world, 1, &build)?;
    ensure!(
        build["state"] == "passed",
        "the first push should have passed"
    );

    title("A push with a secret in it")?;
    // Assembled here, so that this file holds no secret for a scanner to find; nobody was ever given this key.
    let secret = format!("AKIA{}", "THISISNOREALKEY2");
    repository.write(
        "src/config.py",
        format!("aws_access_key_id = \"{secret}\"\n"),
    )?;
    repository.commit("Add the configuration")?;
    line(repository.push("main")?.trim_end())?;
    follow(&world, &repository, 2)?;
    let build = world.wait_for_build("demo", 2)?;
    show(&world, 2, &build)?;
    ensure!(
        build["state"] == "failed",
        "the second push should have failed"
    );

    title("Done")?;
    if is_kept {
        line("everything is left running; go on with any of these:\n")?;
        keep(temporary, world, runner, &repository)
    } else {
        line("everything ran in a temporary directory that is gone now; --keep leaves it running")
    }
}

fn lay_out(repository: &Repository, engine: &Engine) -> Result<()> {
    let guests = target_dir().join("guests");
    for step in ["secret-scan", "checksum-manifest"] {
        let module = std::fs::read(guests.join(format!("{step}.wasm")))
            .with_context(|| format!("{step}.wasm: run `just demo`, which builds it"))?;
        repository.write(&format!("ci/{step}.wasm"), module)?;
    }
    repository.write("src/page.html", "<h1>Dry ground</h1>\n")?;
    repository.write("src/style.css", "h1 { color: teal }\n")?;
    let script = if engine.missing.is_none() {
        format!(
            r#"    - step:
        name: Build the page
        image: {IMAGE}
        script:
          - echo "in a container as $(id -un), building commit $BITBUCKET_COMMIT"
          - sleep 2
          - wc -c src/*
"#
        )
    } else {
        String::new()
    };
    repository.write(
        "bitbucket-pipelines.yml",
        format!(
            r"pipelines:
  default:
    - step:
        name: Scan for leaked secrets
        wasm:
          module: ci/secret-scan.wasm
          args: [src]
          grants:
            read: [src]
{script}    - step:
        name: Write the manifest
        wasm:
          module: ci/checksum-manifest.wasm
          args: [src, --output, report/SHA256SUMS]
          grants:
            read: [src]
            write: [report]
"
        ),
    )
}

/// Follows a build's log as a person would, and says how much earlier than its end it was there.
fn follow(world: &World, repository: &Repository, number: u64) -> Result<()> {
    let number = number.to_string();
    let mut follow = world
        .hub_command(&["build", "logs", "-f", &repository.name, &number])?
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(follow.stdout.take().context("it was piped")?).lines();
    let mut first = None;
    for text in lines {
        first.get_or_insert_with(now);
        line(&text?)?;
    }
    ensure!(follow.wait()?.success(), "following the log failed");
    if let Some(first) = first {
        let early = first.elapsed().as_secs_f64();
        line(&format!(
            "(the first line was here {early:.1} s before the last)"
        ))?;
    }
    Ok(())
}

fn show(world: &World, number: u64, build: &Value) -> Result<()> {
    title("What the hub remembers")?;
    line(
        world
            .hub_says(&["build", "show", "demo", &number.to_string()])?
            .trim_end(),
    )?;
    for job in build["jobs"].as_array().into_iter().flatten() {
        for step in job["steps"].as_array().into_iter().flatten() {
            if let Some(process) = step["receipt"]["process"].as_str() {
                let name = step["name"].as_str().unwrap_or_default();
                let is_process =
                    process.bytes().all(|byte| byte.is_ascii_digit()) && process.len() < 12;
                let kind = if is_process { "process" } else { "container" };
                line(&format!("ran as    {kind} {process}: {name}"))?;
            }
        }
    }
    Ok(())
}

/// Leaves everything running, and prints the commands with which a person goes on, each whole on its line.
fn keep(
    temporary: tempfile::TempDir,
    world: World,
    runner: Joined,
    demo: &Repository,
) -> Result<()> {
    // Whoever commits here by hand may have told git nothing of themselves.
    for (key, value) in [("user.name", "Ada"), ("user.email", "ada@example.com")] {
        run(demo.git().args(["config", key, value]))?;
    }
    let dir = temporary.keep();
    let hub = program("cofferdam-hub")?;
    let (hub, data) = (hub.display(), dir.join("hub"));
    let (work, data) = (demo.work.display(), data.display());
    let (runner_id, hub_id) = (runner.process.id(), world.hub.id());
    for (what, command) in [
        (
            "take the secret out, and push again",
            format!(
                "cd {work} && git rm -q src/config.py && git commit -qm 'Remove the configuration' && git push -u origin main"
            ),
        ),
        (
            "follow that build",
            format!("{hub} build logs -f demo 3 --data {data}"),
        ),
        ("list all builds", format!("{hub} build list --data {data}")),
        (
            "see one, with its receipts",
            format!("{hub} build show demo 3 --json --data {data}"),
        ),
        ("stop it", format!("kill {runner_id} {hub_id}")),
        (
            "then remove what it left",
            format!("rm -rf {}", dir.display()),
        ),
    ] {
        line(&format!("# {what}\n{command}"))?;
    }
    // The two processes are to outlive this one.
    let _left = std::mem::ManuallyDrop::new((world, runner));
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the demo shows real time")]
fn now() -> Instant {
    Instant::now()
}

fn title(text: &str) -> Result<()> {
    line(&format!("\n── {text}"))
}

fn line(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}
