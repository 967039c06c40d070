//! Images that are made offline, from files of this host, and only when they would differ.
//!
//! An image carries the digest of what it was made from as a label, so that one that is there already
//! is not made again. Deliberately absent: any registry of images, and layers; each image is one archive.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::Engine;
use crate::host::{Host, Tool};

pub(super) mod busybox;
pub(super) mod rust;

/// Where an image says what it was made from.
const LABEL: &str = "cofferdam.root";

/// An image to be.
#[derive(Clone, Copy, Debug)]
struct Recipe<'a> {
    tag: &'a str,
    /// The digest of all that it is made from.
    key: &'a str,
    /// `NAME=value`
    environment: &'a [&'a str],
    /// Largest archive, in bytes: a disk is not filled by mistake.
    bytes_max: u64,
}

/// What making it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// The engine had it.
    Before,
    /// It was made, from an archive of so many bytes.
    Now(u64),
}

impl Recipe<'_> {
    /// Imports the image unless the engine has it; `fill` puts files into an archive. Two that want it
    /// at once wait for each other.
    fn ensure(
        &self,
        host: &Host,
        engine: &Engine,
        fill: impl FnOnce(&mut Archive) -> Result<()>,
    ) -> Result<Made> {
        let inspect = |format: &str| {
            let words = ["image", "inspect", "--format", format, self.tag];
            let said = engine.command(words).output();
            said.ok().map(|text| text.trim().to_owned())
        };
        let label = format!("{{{{index .Config.Labels \"{LABEL}\"}}}}");
        if inspect(&label).as_deref() == Some(self.key) {
            return Ok(Made::Before);
        }
        let mut archive = Archive::begin(&host.target.join("image"))?;
        fill(&mut archive)?;
        let bytes = fs::metadata(&archive.path)?.len();
        if bytes > self.bytes_max {
            bail!(
                "the archive of {} has {bytes} bytes, and {} are the limit",
                self.tag,
                self.bytes_max
            );
        }
        let before = inspect("{{.Id}}");
        let changes = self
            .environment
            .iter()
            .map(|variable| format!("ENV {variable}"))
            .chain([
                "CMD [\"/bin/sh\"]".to_owned(),
                format!("LABEL {LABEL}={}", self.key),
            ]);
        engine
            .command(["import"])
            .args(changes.flat_map(|change| ["--change".to_owned(), change]))
            .arg(&archive.path)
            .arg(self.tag)
            .output()?;
        if let Some(old) = before {
            // A container that still runs keeps it, and then it stays.
            drop(engine.command(["image", "rm", &old]).output());
        }
        archive.end()?;
        Ok(Made::Now(bytes))
    }
}

/// The image's root as one file. Whoever fills it and whenever, the same files make the same bytes.
#[derive(Debug)]
struct Archive {
    work: PathBuf,
    path: PathBuf,
}

impl Archive {
    fn begin(work: &Path) -> Result<Self> {
        if work.exists() {
            fs::remove_dir_all(work)?;
        }
        fs::create_dir_all(work)?;
        Ok(Self {
            work: work.to_owned(),
            path: work.join("root.tar"),
        })
    }

    /// A directory to lay files out in before they are added; it is empty, and goes with the archive.
    fn stage(&self, name: &str) -> Result<PathBuf> {
        let stage = self.work.join(name);
        fs::create_dir(&stage).with_context(|| format!("cannot make {}", stage.display()))?;
        Ok(stage)
    }

    /// Adds everything below a directory, at `place` (empty: at the root).
    fn add_tree(&mut self, from: &Path, place: &str) -> Result<()> {
        self.append(from, place, |tar| tar.arg("."))
    }

    /// Adds these names below a directory, with what is in them, at `place`.
    fn add_names(&mut self, from: &Path, names: &[String], place: &str) -> Result<()> {
        self.append(from, place, |tar| tar.args(names))
    }

    /// Adds exactly these files of the host, each at its own place: no directory brings its contents.
    fn add_files(&mut self, files: impl IntoIterator<Item = PathBuf>) -> Result<()> {
        let list = self.work.join("files");
        let lines: Vec<String> = files
            .into_iter()
            .map(|file| format!("{}\n", file.display()))
            .collect();
        fs::write(&list, lines.concat())?;
        self.append(Path::new("/"), "", |tar| {
            tar.args(["--no-recursion", "--verbatim-files-from", "-T"])
                .arg(&list)
        })
    }

    fn append(&self, from: &Path, place: &str, what: impl FnOnce(Tool) -> Tool) -> Result<()> {
        let tar = Tool::new("tar")
            .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
            .args(["--mtime=@0", "--format=gnu"])
            // Names of members only: what a link points to is not ours to change.
            .arg(format!("--transform=flags=rSH;s,^,{place},"))
            .arg("-rf")
            .arg(&self.path)
            .arg("-C")
            .arg(from);
        what(tar).output()?;
        Ok(())
    }

    fn end(self) -> Result<()> {
        Ok(fs::remove_dir_all(self.work)?)
    }
}

/// What programs expect in any root: places to write, and who is who.
fn lay_out(root: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    for (directory, mode) in [
        ("etc", 0o755),
        ("opt", 0o755),
        ("root", 0o700),
        ("tmp", 0o1777),
        ("var/tmp", 0o1777),
    ] {
        let path = root.join(directory);
        fs::create_dir_all(&path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    )?;
    fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")?;
    Ok(())
}
