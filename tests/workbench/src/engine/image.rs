//! The image that tests and demo run their scripts in, made offline from busybox.
//!
//! The same busybox gives the same bytes, so the image carries its root's digest as a label, and one
//! that is there already is not made again.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use checksum_manifest::digest;

use super::Engine;
use crate::host::{Host, Tool};
use crate::packages::apt;

/// What pipeline files in tests and demo name.
pub(super) const TAG: &str = "localhost/cofferdam/busybox:1";

const LABEL: &str = "cofferdam.root";

/// Raised when what [`fill`] makes changes.
const RECIPE: u32 = 1;

/// Where a static busybox is, if there is one.
pub(super) fn busybox(host: &Host) -> Option<PathBuf> {
    host.find_program("busybox")
}

/// Imports the image unless the engine has it.
pub(super) fn ensure(host: &Host, engine: &Engine) -> Result<()> {
    let busybox = static_busybox(host)?;
    let key = digest::of_bytes(format!("{RECIPE} {}", digest::of_file(&busybox)?).as_bytes());
    let inspect = [
        "image",
        "inspect",
        "--format",
        "{{index .Config.Labels \"cofferdam.root\"}}",
        TAG,
    ];
    if engine
        .command(inspect)
        .output()
        .is_ok_and(|label| label.trim() == key)
    {
        return Ok(());
    }
    let work = host.target.join("image");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    let root = work.join("root");
    fill(&busybox, &root).context("cannot lay out the image's root")?;
    let archive = work.join("root.tar");
    // Whoever makes it and whenever, the archive is the same.
    Tool::new("tar")
        .args([
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--mtime=@0",
            "-cf",
        ])
        .arg(&archive)
        .arg("-C")
        .arg(&root)
        .arg(".")
        .output()?;
    engine
        .command([
            "import",
            "--change",
            "CMD [\"/bin/sh\"]",
            "--change",
            "ENV PATH=/usr/bin:/bin",
        ])
        .args(["--change", &format!("LABEL {LABEL}={key}")])
        .arg(&archive)
        .arg(TAG)
        .output()?;
    fs::remove_dir_all(&work)?;
    Ok(())
}

fn static_busybox(host: &Host) -> Result<PathBuf> {
    if busybox(host).is_none() && host.is_debian && host.is_root {
        apt::install(host, &["busybox-static"])?;
    }
    busybox(host).context("busybox (Debian's busybox-static) is not installed")
}

/// One program under all its names, and the few files that programs expect anywhere.
fn fill(busybox: &Path, root: &Path) -> Result<()> {
    for directory in ["bin", "usr", "etc", "root", "tmp", "opt", "var/tmp"] {
        fs::create_dir_all(root.join(directory))?;
    }
    for (directory, mode) in [("tmp", 0o1777), ("var/tmp", 0o1777), ("root", 0o700)] {
        fs::set_permissions(root.join(directory), fs::Permissions::from_mode(mode))?;
    }
    for directory in ["usr/bin", "usr/sbin", "sbin"] {
        symlink("/bin", root.join(directory))?;
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    )?;
    fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")?;
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
