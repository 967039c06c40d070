//! Prepares what demo, tests and benches need on this host, and runs them.
//!
//! The recipes of the justfile are one line each; whatever needs an `if` is here. Everything that is
//! fetched is pinned and kept in a cache outside the checkout; everything that is built lands below
//! the target directory. What this host cannot have is written down by name and reason, in
//! `target/guests/missing.json` and `target/engine.json`, never skipped in silence.

// Foundations.
mod host;
mod packages;
// The walk: what calls stands before what is called.
mod suite;

mod engine;
mod guests;
mod schema;
mod yosys;

use std::process::ExitCode;

use anyhow::{Result, bail};

use host::{Host, progress};

const USAGE: &str = "usage: cofferdam-workbench COMMAND

  setup                everything below, once
  guests [--debian]    build the guests (--debian: with Debian's compiler, even if rustup has one)
  engine               make a container engine and an image usable
  build                the programs and the first-party steps, and where they are
  image                make the image that this project's own pipeline runs in
  self [ARG]...        set that up, then cofferdam run with these arguments on this work tree
  demo [--keep]        build, then a push and what becomes of it
  schema               make Bitbucket's own schema checkable
  test [ARG]...        set up, then cargo nextest with these arguments
  deny                 licences, sources, who may depend on what, advisories
  tool NAME [ARG]...   run cargo-nextest or cargo-deny, installed if need be
  yosys [WIDTH]        synthesise a counter with a real wasm program";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run(&words).unwrap_or_else(|error| {
        progress::say(&format!("workbench: {error:#}"));
        ExitCode::FAILURE
    })
}

fn run(words: &[&str]) -> Result<ExitCode> {
    let (command, rest) = match words {
        [] | ["--help" | "-h", ..] => {
            progress::say(USAGE);
            return Ok(ExitCode::SUCCESS);
        }
        [command, rest @ ..] => (*command, rest),
    };
    let host = Host::from_env()?;
    match (command, rest) {
        ("setup", []) => suite::set_up(&host)?,
        ("guests", []) => drop(guests::build(&host, guests::Route::Any)?),
        ("guests", ["--debian"]) => drop(guests::build(&host, guests::Route::DebianOnly)?),
        ("engine", []) => drop(engine::prepare(&host)?),
        ("build", []) => return suite::build(&host),
        ("image", []) => drop(engine::prepare_rust_image(&host)?),
        ("self", arguments) => return suite::check_itself(&host, arguments),
        ("schema", []) => schema::prepare(&host)?,
        ("demo", arguments) => return suite::demo(&host, arguments),
        ("test", arguments) => return suite::test(&host, arguments),
        ("deny", []) => return suite::deny(&host),
        ("tool", [name, arguments @ ..]) => return suite::tool(&host, name, arguments),
        ("yosys", []) => yosys::run(&host, None)?,
        ("yosys", [width]) => yosys::run(&host, Some(width))?,
        _ => bail!("unknown command: {}\n{USAGE}", words.join(" ")),
    }
    Ok(ExitCode::SUCCESS)
}
