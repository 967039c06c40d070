//! Reads the environment, once: where the checkout, the build output and the cache are, and who we are.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// What the workbench knows about the machine and the checkout.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// The checkout's root.
    pub(crate) root: PathBuf,
    /// Build output: `CARGO_TARGET_DIR`, else `target` in the root.
    pub(crate) target: PathBuf,
    /// What outlives the checkout: toolchains and packages, keyed by their versions.
    pub(crate) cache: PathBuf,
    /// `PATH`, split.
    pub(crate) search_path: Vec<PathBuf>,
    /// Whether this process is user 0, who may install packages.
    pub(crate) is_root: bool,
    /// Whether packages are Debian's.
    pub(crate) is_debian: bool,
}

impl Host {
    /// Looks at the environment of this process and upwards from the working directory.
    pub(crate) fn from_env() -> Result<Self> {
        let working_directory = std::env::current_dir().context("there is no working directory")?;
        let root = find_root(&working_directory)?;
        let target = match variable("CARGO_TARGET_DIR") {
            Some(target) => working_directory.join(target),
            None => root.join("target"),
        };
        let cache = cache_directory(variable("XDG_CACHE_HOME"), variable("HOME"))?;
        let search_path =
            variable("PATH").map_or_else(Vec::new, |path| std::env::split_paths(&path).collect());
        let mut host = Self {
            root,
            target,
            cache,
            search_path,
            is_root: fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0),
            is_debian: false,
        };
        host.is_debian = Path::new("/etc/debian_version").exists()
            && host.find_program("apt-get").is_some()
            && host.find_program("dpkg-deb").is_some();
        Ok(host)
    }

    /// The first executable of that name on `PATH`.
    pub(crate) fn find_program(&self, name: &str) -> Option<PathBuf> {
        let is_executable = |path: &PathBuf| {
            fs::metadata(path).is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0)
        };
        self.search_path
            .iter()
            .map(|directory| directory.join(name))
            .find(is_executable)
    }

    /// Where built guests and the list of missing ones are.
    pub(crate) fn guests(&self) -> PathBuf {
        self.target.join("guests")
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the place where the environment is read"
)]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn cache_directory(xdg: Option<OsString>, home: Option<OsString>) -> Result<PathBuf> {
    let base = match (xdg.map(PathBuf::from), home.map(PathBuf::from)) {
        (Some(xdg), _) if xdg.is_absolute() => xdg,
        (_, Some(home)) if home.is_absolute() => home.join(".cache"),
        _ => bail!(
            "neither HOME nor XDG_CACHE_HOME is set to an absolute path: toolchains are kept there between runs"
        ),
    };
    Ok(base.join("cofferdam"))
}

fn find_root(from: &Path) -> Result<PathBuf> {
    let is_root = |directory: &&Path| directory.join("tests/workbench/Cargo.toml").is_file();
    let root = from.ancestors().find(is_root);
    Ok(root
        .with_context(|| format!("{} is not inside a checkout of Cofferdam", from.display()))?
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_xdg_then_home_and_never_a_relative_path() {
        let of = |xdg: Option<&str>, home: Option<&str>| {
            cache_directory(xdg.map(Into::into), home.map(Into::into)).ok()
        };
        assert_eq!(of(Some("/x"), Some("/h")), Some("/x/cofferdam".into()));
        assert_eq!(of(None, Some("/h")), Some("/h/.cache/cofferdam".into()));
        assert_eq!(
            of(Some("x"), Some("/h")),
            Some("/h/.cache/cofferdam".into())
        );
        assert_eq!(of(None, None), None);
        assert_eq!(of(None, Some("h")), None);
    }

    #[test]
    fn the_root_is_found_from_any_directory_below_it() {
        let checkout = tempfile::tempdir().unwrap();
        let deep = checkout.path().join("hub/src");
        fs::create_dir_all(&deep).unwrap();
        assert!(find_root(&deep).is_err());
        fs::create_dir_all(checkout.path().join("tests/workbench")).unwrap();
        fs::write(checkout.path().join("tests/workbench/Cargo.toml"), "").unwrap();
        assert_eq!(find_root(&deep).unwrap(), checkout.path());
    }
}
