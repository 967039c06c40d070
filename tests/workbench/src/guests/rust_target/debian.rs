//! A Rust compiler with `wasm32-wasip1`, made from Debian's packages without being root.
//!
//! Debian ships a newer compiler for its web browsers (`rustc-web`), the library's source with all it
//! depends on (`rust-web-src`), and the C library for WASI. The packages are unpacked, not installed;
//! the standard library is then compiled once from that source and put where the compiler looks for it,
//! so that afterwards every build is an ordinary one. The source must be the compiler's own: another
//! version's does not compile.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::TARGET;
use crate::host::{Host, Tool, cache};
use crate::packages::apt::{self, Lists, Package};

/// The workspace's `rust-version`: an older compiler refuses to build the steps.
const OLDEST: (u32, u32) = (1, 95);

/// Part of the cache's key: raised when what is made here changes.
const RECIPE: u32 = 1;

/// The start-up objects and the C library of a WASI program, as the compiler asks for them.
const SELF_CONTAINED: [&str; 3] = ["crt1-command.o", "crt1-reactor.o", "libc.a"];

/// The compiler in a directory that [`make`] answered.
pub(super) fn rustc(sysroot: &Path) -> PathBuf {
    sysroot.join("rustc")
}

fn key() -> String {
    format!("rust-{TARGET}-{}.{}-{RECIPE}", OLDEST.0, OLDEST.1)
}

/// The one that was made before.
pub(super) fn find(host: &Host) -> Option<PathBuf> {
    cache::find(host, &key())
}

/// Fetches, unpacks and compiles: about 140 MB and one to two minutes.
pub(super) fn make(host: &Host) -> Result<PathBuf> {
    cache::entry(host, &key(), |directory| {
        let lists = Lists::that_know(host, "rustc-web")?;
        let packages = choose(&lists)?;
        lists.unpack(&packages, directory)?;
        let names: Vec<_> = packages
            .iter()
            .map(|package| format!("{} {}\n", package.name, package.version))
            .collect();
        fs::write(directory.join("packages"), names.concat())?;
        write_wrapper(directory)?;
        install_libc(directory)?;
        compile_std(host, directory)?;
        // 500 MB of source have done their work.
        fs::remove_dir_all(directory.join("usr/src")).context("cannot remove the source again")
    })
}

fn choose(lists: &Lists) -> Result<Vec<Package>> {
    // The compiler's own libraries always, others only where the host lacks them.
    let is_wanted = |name: &str| {
        let is_compilers = name.starts_with("libstd-rust-web");
        is_compilers || (name.starts_with("lib") && name != "libc-dev" && !apt::is_installed(name))
    };
    let mut packages = lists.closure("rustc-web", is_wanted)?;
    let compiler = &packages[0];
    let version = version_of(&compiler.version);
    if version.is_none_or(|version| version < OLDEST) {
        bail!(
            "Debian's rustc-web is {}, and {}.{} is needed",
            compiler.version,
            OLDEST.0,
            OLDEST.1
        );
    }
    let source = lists.show("rust-web-src")?;
    if source.version != compiler.version {
        bail!(
            "rust-web-src is {}, but rustc-web is {}",
            source.version,
            compiler.version
        );
    }
    packages.push(source);
    packages.push(lists.show("wasi-libc")?);
    Ok(packages)
}

/// The first two numbers of `1.96.0+dfsg1-1~deb12u2`.
fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The unpacked compiler does not find its own libraries, because it is not where it was built for.
fn write_wrapper(directory: &Path) -> Result<()> {
    let libraries = libraries(directory)?.context("the packages hold no librustc_driver")?;
    let name = libraries.strip_prefix(directory)?.display().to_string();
    let script = format!(
        "#!/bin/sh\nhere=$(dirname \"$0\")\nLD_LIBRARY_PATH=\"$here/{name}\" exec \"$here/usr/bin/rustc\" \"$@\"\n"
    );
    fs::write(rustc(directory), script)?;
    fs::set_permissions(rustc(directory), fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// The directory that holds the compiler's own libraries. Debian names it after the architecture.
fn libraries(directory: &Path) -> Result<Option<PathBuf>> {
    for candidate in fs::read_dir(directory.join("usr/lib"))? {
        let candidate = candidate?.path();
        if !candidate.is_dir() {
            continue;
        }
        for file in fs::read_dir(&candidate)? {
            if file?
                .file_name()
                .display()
                .to_string()
                .starts_with("librustc_driver")
            {
                return Ok(Some(candidate));
            }
        }
    }
    Ok(None)
}

fn target_libraries(directory: &Path) -> PathBuf {
    directory.join("usr/lib/rustlib").join(TARGET).join("lib")
}

fn install_libc(directory: &Path) -> Result<()> {
    let place = target_libraries(directory).join("self-contained");
    fs::create_dir_all(&place)?;
    for name in SELF_CONTAINED {
        let from = directory.join("usr/lib/wasm32-wasi").join(name);
        fs::copy(&from, place.join(name)).with_context(|| format!("wasi-libc holds no {name}"))?;
    }
    Ok(())
}

/// Builds an empty program with its standard library, and keeps the library.
fn compile_std(host: &Host, directory: &Path) -> Result<()> {
    let seed = directory.join("seed");
    fs::create_dir_all(seed.join("src"))?;
    fs::write(seed.join("src/lib.rs"), "")?;
    let manifest = "[package]\nname = \"seed\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(seed.join("Cargo.toml"), manifest)?;
    // From the root, where rust-toolchain.toml says which cargo.
    Tool::new("cargo")
        .without_cargo_settings()
        .args([
            "build",
            "--quiet",
            "--release",
            "-Zbuild-std=std,panic_abort",
            "--target",
            TARGET,
        ])
        .arg("--manifest-path")
        .arg(seed.join("Cargo.toml"))
        .env("RUSTC", rustc(directory))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", seed.join("target"))
        .dir(&host.root)
        .output()?;
    let mut count = 0;
    for entry in fs::read_dir(seed.join("target").join(TARGET).join("release/deps"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if path.extension() == Some("rlib".as_ref()) && !name.starts_with("libseed-") {
            fs::copy(&path, target_libraries(directory).join(name))?;
            count += 1;
        }
    }
    if count == 0 {
        bail!("cargo built no library in {}", seed.display());
    }
    fs::remove_dir_all(&seed).context("cannot remove the seed again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debian_version_is_compared_by_its_first_two_numbers() {
        assert_eq!(version_of("1.96.0+dfsg1-1~deb12u2"), Some((1, 96)));
        assert_eq!(version_of("1.63.0+dfsg1-2"), Some((1, 63)));
        assert!(version_of("1.100.0") > Some(OLDEST));
        assert_eq!(version_of("2026"), None);
    }
}
