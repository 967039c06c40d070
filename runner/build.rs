//! Puts the first-party steps into the program: from `steps/*` and the modules that `./just guests` made of them to a
//! table that `src/first_party.rs` includes.
//!
//! Cargo cannot build for a second target on the way, so the modules must be there before; without them the program is
//! whole but for these steps. `COFFERDAM_STEPS_DIR` names another directory with `NAME.wasm` files.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// How every WebAssembly module begins.
const MAGIC: &[u8] = b"\0asm";

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR").ok_or("cargo names no package")?)
        .join("..")
        .canonicalize()?;
    let modules = modules(&root)?;
    let mut steps = String::new();
    let mut missing = String::new();
    for (name, about) in sources(&root.join("steps"))? {
        let module = modules.join(format!("{name}.wasm"));
        if !fs::read(&module).is_ok_and(|bytes| bytes.starts_with(MAGIC)) {
            write!(missing, "{name:?}, ")?;
            continue;
        }
        watch(&module);
        let module = module.to_str().ok_or("the path of a module is no text")?;
        write!(
            steps,
            "FirstPartyStep {{ name: {name:?}, about: {about:?}, module: include_bytes!({module:?}) }}, "
        )?;
    }
    let table = format!(
        "/// Those that are in this program.\npub const STEPS: &[FirstPartyStep] = &[{steps}];\n\
         /// Those that nobody had built before.\npub const MISSING: &[&str] = &[{missing}];\n"
    );
    let out = PathBuf::from(variable("OUT_DIR").ok_or("cargo names no place")?);
    Ok(fs::write(out.join("first_party.rs"), table)?)
}

/// Where the modules are.
fn modules(root: &Path) -> Result<PathBuf, Box<dyn Error>> {
    for name in ["COFFERDAM_STEPS_DIR", "CARGO_TARGET_DIR"] {
        say(&format!("rerun-if-env-changed={name}"));
    }
    if let Some(dir) = variable("COFFERDAM_STEPS_DIR") {
        return Ok(root.join(dir));
    }
    let target = root.join(variable("CARGO_TARGET_DIR").unwrap_or_else(|| "target".to_owned()));
    let guests = target.join("guests");
    // Whenever guests were built, a file in here is new; a path that is not there would mean a new build each time.
    let stamps = guests.join("stamps");
    fs::create_dir_all(&stamps)?;
    watch(&stamps);
    Ok(guests)
}

/// The names of the steps, sorted, and what each does.
fn sources(dir: &Path) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(dir)? {
        let manifest = entry?.path().join("Cargo.toml");
        let Ok(text) = fs::read_to_string(&manifest) else {
            continue;
        };
        watch(&manifest);
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.strip_prefix(" = \"")?.strip_suffix('"')?.to_owned())
        };
        let name = field("name").ok_or("a step has no name")?;
        let about = field("description").ok_or("a step has no description")?;
        let about = about.trim_start_matches("A first-party step: ").to_owned();
        sources.push((name, about));
    }
    sources.sort();
    Ok(sources)
}

fn watch(path: &Path) {
    say(&format!("rerun-if-changed={}", path.display()));
}

fn say(line: &str) {
    println!("cargo::{line}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is how cargo speaks to a build script"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
