//! Sets up, runs the tests, and ends with what could not run on this host.

use std::fs;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};

use anyhow::{Context, Result, bail};

use crate::host::{Host, Tool, progress};
use crate::packages::{crates, pins};
use crate::{engine, guests, schema};

/// What `just demo` takes.
const DEMO_USAGE: &str = "usage: ./just demo [--keep]

Starts a hub and a runner in a temporary directory, makes a repository, pushes to it, and shows the live
log; then pushes a secret and shows how that fails. Ends with exit status 0 if both went as they should.

  --keep    leave everything running, and print the commands to go on with";

/// Everything that tests need. Quick when nothing is to be done.
pub(crate) fn set_up(host: &Host) -> Result<()> {
    guests::build(host, guests::Route::Any)?;
    engine::prepare(host)?;
    schema::prepare(host)?;
    progress::stage("nextest", || {
        let program = crates::program(host, pins::NEXTEST)?;
        Ok(((), program.display().to_string()))
    })
}

/// Sets up and runs nextest over the workspace with the given arguments, then reports.
///
/// A test that cannot run on this host writes a file into `target/not-run` that is named after it and
/// holds the reason. That, and what the set-up could not make, is listed last.
pub(crate) fn test(host: &Host, arguments: &[&str]) -> Result<ExitCode> {
    set_up(host)?;
    let notes = host.target.join("not-run");
    if notes.exists() {
        fs::remove_dir_all(&notes)?;
    }
    fs::create_dir_all(&notes)?;
    // nextest runs no examples of documentation. They come first, so that its summary stands last.
    let is_everything = arguments.is_empty();
    let examples = ["test", "--doc", "--quiet"];
    if is_everything
        && !Tool::new("cargo")
            .args(examples)
            .dir(&host.root)
            .hand_over()?
            .success()
    {
        return Ok(ExitCode::FAILURE);
    }
    let status = Tool::new(crates::program(host, pins::NEXTEST)?)
        .args(["nextest", "run"])
        .args(arguments)
        .dir(&host.root)
        .hand_over()?;
    let absent = absences(host, &notes)?;
    for Absence { what, why } in &absent {
        progress::say(&format!("not run here: {what}: {why}"));
    }
    if absent.is_empty() {
        progress::say("nothing was left out on this host");
    }
    Ok(exit_code(status))
}

/// Builds the programs and the first-party steps, and says where they are and what to do with them.
pub(crate) fn build(host: &Host) -> Result<ExitCode> {
    guests::build(host, guests::Route::Any)?;
    if !build_programs(host)? {
        return Ok(ExitCode::FAILURE);
    }
    progress::say(&next_commands(host));
    Ok(ExitCode::SUCCESS)
}

/// What somebody does who has just built everything.
fn next_commands(host: &Host) -> String {
    let programs = host.target.join("debug");
    let (programs, guests) = (programs.display(), host.guests());
    format!(
        "\nthe programs: {programs}/cofferdam and {programs}/cofferdam-hub\n\
         the steps:    {guests}/secret-scan.wasm and {guests}/checksum-manifest.wasm\n\n\
         to have the programs on PATH:  install -D -t ~/.local/bin {programs}/cofferdam {programs}/cofferdam-hub\n\
         to have a step in a repository: install -D -m 644 -t ci {guests}/secret-scan.wasm",
        guests = guests.display()
    )
}

/// Builds the whole workspace, as the tests do, so that nothing is compiled twice.
fn build_programs(host: &Host) -> Result<bool> {
    progress::say("building the hub and the runner (minutes the first time)");
    let status = Tool::new("cargo")
        .args(["build", "--workspace", "--bins"])
        .dir(&host.root)
        .hand_over()?;
    Ok(status.success())
}

/// Builds what it needs, and runs the demo with these arguments.
pub(crate) fn demo(host: &Host, arguments: &[&str]) -> Result<ExitCode> {
    match arguments {
        [] | ["--keep"] => {}
        ["--help" | "-h"] => {
            progress::say(DEMO_USAGE);
            return Ok(ExitCode::SUCCESS);
        }
        _ => bail!("unknown arguments: {}\n{DEMO_USAGE}", arguments.join(" ")),
    }
    guests::build(host, guests::Route::Any)?;
    engine::prepare(host)?;
    if !build_programs(host)? {
        return Ok(ExitCode::FAILURE);
    }
    let status = Tool::new(host.target.join("debug/demo"))
        .args(arguments)
        .dir(&host.root)
        .hand_over()?;
    Ok(exit_code(status))
}

/// Builds the runner and has it run this project's own pipeline on this work tree.
pub(crate) fn check_itself(host: &Host, arguments: &[&str]) -> Result<ExitCode> {
    let engine = engine::prepare_rust_image(host)?;
    // The whole workspace, as everywhere: for one package alone cargo would compile wasmtime once more.
    let build = ["build", "--workspace", "--bins"];
    let status = Tool::new("cargo").args(build).dir(&host.root).hand_over()?;
    if !status.success() {
        return Ok(ExitCode::FAILURE);
    }
    let status = Tool::new(host.target.join("debug/cofferdam"))
        .arg("run")
        .args(arguments)
        .envs(engine.environment())
        .dir(&host.root)
        .hand_over()?;
    Ok(exit_code(status))
}

/// Hands over to one of cargo's extensions, installed if need be.
pub(crate) fn tool(host: &Host, name: &str, arguments: &[&str]) -> Result<ExitCode> {
    let Some(pin) = [pins::NEXTEST, pins::DENY]
        .into_iter()
        .find(|pin| pin.name == name)
    else {
        bail!("{name} is not one of the tools that the workbench installs");
    };
    let program = crates::program(host, pin)?;
    let verb = name.strip_prefix("cargo-").unwrap_or(name);
    Ok(exit_code(
        Tool::new(program)
            .arg(verb)
            .args(arguments)
            .dir(&host.root)
            .hand_over()?,
    ))
}

/// Checks who may depend on what, licences, sources, and, where their database can be had, advisories.
pub(crate) fn deny(host: &Host) -> Result<ExitCode> {
    let program = crates::program(host, pins::DENY)?;
    let deny = |arguments: &[&str]| {
        Tool::new(&program)
            .arg("deny")
            .args(arguments)
            .dir(&host.root)
            .hand_over()
    };
    let check = ["check", "--hide-inclusion-graph"];
    let status = deny(&[&check[..], &["bans", "licenses", "sources"]].concat())?;
    if !status.success() {
        return Ok(exit_code(status));
    }
    if !deny(&["fetch", "db"])?.success() {
        progress::say("not run here: advisories: their database cannot be fetched from this host");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(exit_code(deny(&[&check[..], &["advisories"]].concat())?))
}

/// Something that this host could not do.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Absence {
    what: String,
    why: String,
}

fn absences(host: &Host, notes: &PathBuf) -> Result<Vec<Absence>> {
    let mut absent: Vec<Absence> = Vec::new();
    for guests::Missing { guest, reason } in guests::read_missing(host)? {
        absent.push(Absence {
            what: format!("the guest {guest}"),
            why: one_line(&reason),
        });
    }
    if let Some(reason) = engine::read_reason(host)? {
        absent.push(Absence {
            what: "containers".to_owned(),
            why: one_line(&reason),
        });
    }
    for entry in fs::read_dir(notes)? {
        let path = entry?.path();
        let why =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.file_name().unwrap_or_default().display().to_string();
        absent.push(Absence {
            what: format!("the test {name}"),
            why: one_line(&why),
        });
    }
    absent.sort();
    Ok(absent)
}

fn one_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

/// A program that a signal ended has no code; it did not succeed.
fn exit_code(status: ExitStatus) -> ExitCode {
    status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from)
}
