//! The image that this project's own pipeline runs in: its Rust toolchain, a C compiler, git, and every
//! crate of the lock file.
//!
//! All of it is taken from this host: the toolchain as rustup installed it, the rest from the files of
//! installed Debian packages, the crates from cargo's own cache (cargo fetches those that it lacks). In
//! the image nothing needs a network: cargo is told to be offline and where the crates are.
//! About 1.2 GB and half a minute; nothing at all when the image is the same.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use checksum_manifest::digest;

use super::{Archive, Engine, Made, Recipe, lay_out};
use crate::guests::{TARGET, Toolchain};
use crate::host::Host;
use crate::packages::apt;
use crate::packages::installed::{Installed, Package};
use crate::packages::vendor;

/// What `cofferdam.yml` names, without the version.
const NAME: &str = "localhost/cofferdam/rust";

/// Raised when what [`fill`] makes changes.
const RECIPE: u32 = 1;

/// Twice what it has today, so that growth is noticed before a disk is full.
const BYTES_MAX: u64 = 2_500_000_000;

/// A C compiler with its library, git, and what ordinary scripts call.
const PACKAGES: [&str; 12] = [
    "bash",
    "coreutils",
    "dash",
    "findutils",
    "gcc",
    "git",
    "grep",
    "gzip",
    "libc6-dev",
    "mawk",
    "sed",
    "tar",
];

/// git depends on them for commands that nobody calls in a build; 60 MB.
const PACKAGES_LEFT_OUT: [&str; 4] = ["git-man", "liberror-perl", "perl", "perl-base"];

/// For people at a terminal; 90 MB.
const DIRECTORIES_LEFT_OUT: [&str; 6] = [
    "/usr/share/doc",
    "/usr/share/info",
    "/usr/share/lintian",
    "/usr/share/locale",
    "/usr/share/man",
    "/usr/share/bug",
];

/// Names that packages make when they are installed, so that no list of files has them.
const LINKS: [(&str, &str); 3] = [
    ("usr/bin/awk", "mawk"),
    ("usr/bin/cc", "gcc"),
    ("usr/bin/sh", "dash"),
];

/// Links in the root that today's hosts have, and that a program's interpreter is looked for under.
const MERGED: [&str; 4] = ["/bin", "/lib", "/lib64", "/sbin"];

/// The directory of crates in the image.
const CRATES: &str = "usr/local/share/crates";

/// cargo's settings in the image. A checkout needs none of its own.
const CARGO_CONFIG: &str = "[net]\noffline = true\n\n\
    [source.crates-io]\nreplace-with = \"image\"\n\n\
    [source.image]\ndirectory = \"/usr/local/share/crates\"\n";

/// Makes the image unless the engine has it; answers its name.
pub(in crate::engine) fn ensure(host: &Host, engine: &Engine) -> Result<(String, Made)> {
    let toolchain = Toolchain::with_target(host)?;
    let tag = format!("{NAME}:{}", toolchain.release()?);
    let installed = installed(host)?;
    let packages = installed.closure(&PACKAGES, &PACKAGES_LEFT_OUT);
    let key = key(host, &toolchain, &packages)?;
    let recipe = Recipe {
        tag: &tag,
        key: &key,
        environment: &[
            "PATH=/usr/local/bin:/usr/bin:/bin",
            "CARGO_HOME=/usr/local/cargo",
        ],
        bytes_max: BYTES_MAX,
    };
    let made = recipe.ensure(host, engine, |archive| {
        fill(host, archive, &toolchain, &packages)
    })?;
    Ok((tag, made))
}

fn installed(host: &Host) -> Result<Installed> {
    let installed = Installed::read(host)?;
    let missing: Vec<&str> = PACKAGES
        .into_iter()
        .filter(|name| !installed.has(name))
        .collect();
    if missing.is_empty() {
        return Ok(installed);
    }
    apt::install(host, &missing)?;
    Installed::read(host)
}

fn key(host: &Host, toolchain: &Toolchain, packages: &[&Package]) -> Result<String> {
    let versions: Vec<String> = packages
        .iter()
        .map(|package| format!("{} {}\n", package.name, package.version))
        .collect();
    let crates = digest::of_file(&host.root.join("Cargo.lock"))?;
    let text = format!(
        "{RECIPE}\n{}\n{}\n{crates}\n",
        toolchain.version,
        versions.concat()
    );
    Ok(digest::of_bytes(text.as_bytes()))
}

fn fill(
    host: &Host,
    archive: &mut Archive,
    toolchain: &Toolchain,
    packages: &[&Package],
) -> Result<()> {
    let files = system_files(packages)?;
    let root = archive.stage("root")?;
    lay_out(&root)?;
    for (name, target) in LINKS {
        if !files.contains(&Path::new("/").join(name)) {
            let link = root.join(name);
            fs::create_dir_all(link.parent().context("a link lies in a directory")?)?;
            symlink(target, link)?;
        }
    }
    let settings = root.join("usr/local/cargo");
    fs::create_dir_all(&settings)?;
    fs::write(settings.join("config.toml"), CARGO_CONFIG)?;
    archive.add_tree(&root, "")?;
    archive.add_files(files)?;
    archive.add_names(
        &toolchain.sysroot,
        &toolchain_names(toolchain)?,
        "usr/local/",
    )?;
    let crates = archive.stage("crates")?;
    vendor::collect(host, &crates)?;
    archive.add_tree(&crates, &format!("{CRATES}/"))
}

/// The files of packages, each under the one path that it really has.
fn system_files(packages: &[&Package]) -> Result<BTreeSet<PathBuf>> {
    let is_wanted = |path: &Path| {
        !DIRECTORIES_LEFT_OUT
            .iter()
            .any(|directory| path.starts_with(directory))
    };
    let mut files: BTreeSet<PathBuf> = MERGED
        .into_iter()
        .map(PathBuf::from)
        .filter(|path| path.is_symlink())
        .collect();
    for path in Installed::files(packages)? {
        // What a diversion or an operator removed is not there; directories come with their files.
        let Ok(found) = fs::symlink_metadata(&path) else {
            continue;
        };
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            continue;
        };
        if found.is_dir() {
            continue;
        }
        // `/bin/sh` is `/usr/bin/sh` where `/bin` is a link.
        #[expect(
            clippy::disallowed_methods,
            reason = "paths of the host's own packages, not of a job"
        )]
        let parent = fs::canonicalize(parent)
            .with_context(|| format!("cannot find {}", parent.display()))?;
        files.extend(Some(parent.join(name)).filter(|path| is_wanted(path)));
    }
    Ok(files)
}

/// Programs, libraries, and the standard library of two targets: neither documentation nor others'.
fn toolchain_names(toolchain: &Toolchain) -> Result<Vec<String>> {
    let mut names = vec![
        "bin".to_owned(),
        "libexec".to_owned(),
        format!("lib/rustlib/{}", toolchain.triple),
        format!("lib/rustlib/{TARGET}"),
    ];
    let libraries = toolchain.sysroot.join("lib");
    for entry in fs::read_dir(&libraries)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.push(format!("lib/{}", entry.file_name().display()));
        }
    }
    names.sort();
    Ok(names)
}
