//! The image that tests and demo run their scripts in: one static program under all its names.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use checksum_manifest::digest;

use super::{Engine, Made, Recipe, lay_out};
use crate::host::{Host, Tool};
use crate::packages::apt;

/// What pipeline files in tests and demo name.
pub(in crate::engine) const TAG: &str = "localhost/cofferdam/busybox:1";

/// Raised when what [`fill`] makes changes.
const RECIPE: u32 = 1;

/// A static busybox has 2 MiB.
const BYTES_MAX: u64 = 16 << 20;

/// Imports the image unless the engine has it.
pub(in crate::engine) fn ensure(host: &Host, engine: &Engine) -> Result<Made> {
    let busybox = static_busybox(host)?;
    let key = digest::of_bytes(format!("{RECIPE} {}", digest::of_file(&busybox)?).as_bytes());
    let recipe = Recipe {
        tag: TAG,
        key: &key,
        environment: &["PATH=/usr/bin:/bin"],
        bytes_max: BYTES_MAX,
    };
    recipe.ensure(host, engine, |archive| {
        let root = archive.stage("root")?;
        fill(&busybox, &root).context("cannot lay out the image's root")?;
        archive.add_tree(&root, "")
    })
}

fn static_busybox(host: &Host) -> Result<PathBuf> {
    let find = || host.find_program("busybox");
    if find().is_none() && host.is_debian && host.is_root {
        apt::install(host, &["busybox-static"])?;
    }
    find().context("busybox (Debian's busybox-static) is not installed")
}

fn fill(busybox: &Path, root: &Path) -> Result<()> {
    lay_out(root)?;
    for directory in ["bin", "usr"] {
        fs::create_dir_all(root.join(directory))?;
    }
    for directory in ["usr/bin", "usr/sbin", "sbin"] {
        symlink("/bin", root.join(directory))?;
    }
    let program = root.join("bin/busybox");
    fs::copy(busybox, &program)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let names = Tool::new(busybox).arg("--list").output()?;
    for name in names.lines().filter(|name| *name != "busybox") {
        if name.contains('/') {
            bail!("busybox names a program {name:?}");
        }
        symlink("busybox", root.join("bin").join(name))?;
    }
    Ok(())
}
