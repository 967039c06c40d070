//! Debian's packages: installed by root, or unpacked into a directory by anyone.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::host::{Host, Tool};

/// What `apt-cache show` says about the version that would be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Names only; of alternatives the first.
    pub(crate) depends: Vec<String>,
}

/// Installs packages for the whole host. Only root may.
pub(crate) fn install(host: &Host, names: &[&str]) -> Result<()> {
    if !host.is_debian || !host.is_root {
        bail!(
            "not installed, and only root on Debian may do it here: {}",
            names.join(", ")
        );
    }
    let apt_get = |arguments: &[&str]| {
        Tool::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["-o", "DPkg::Lock::Timeout=300", "-q", "-y"])
            .args(arguments)
            .output()
    };
    let mut install = vec!["install", "--no-install-recommends"];
    install.extend(names);
    // A host whose lists are empty or old is brought up to date, but no other is made to wait for it.
    if apt_get(&install).is_err() {
        apt_get(&["update"])?;
        apt_get(&install)?;
    }
    Ok(())
}

/// Debian's lists of packages, as this user may read them.
#[derive(Debug)]
pub(crate) struct Lists {
    options: Vec<String>,
}

impl Lists {
    /// The host's own lists if they know the package, else lists of our own, fetched now.
    pub(crate) fn that_know(host: &Host, name: &str) -> Result<Self> {
        if !host.is_debian {
            bail!("this host does not have Debian's packages");
        }
        let lists = Self {
            options: Vec::new(),
        };
        if lists.show(name).is_ok() {
            return Ok(lists);
        }
        let state = host.cache.join("apt");
        fs::create_dir_all(state.join("lists/partial"))?;
        fs::create_dir_all(state.join("cache/archives/partial"))?;
        let lists = Self {
            options: vec![
                format!("-oDir::State={}", state.display()),
                "-oDir::State::status=/var/lib/dpkg/status".to_owned(),
                format!("-oDir::Cache={}", state.join("cache").display()),
            ],
        };
        if lists.show(name).is_err() {
            Tool::new("apt-get")
                .args(&lists.options)
                .args(["-q", "update"])
                .output()?;
            lists.show(name)?;
        }
        Ok(lists)
    }

    /// The package's newest version.
    pub(crate) fn show(&self, name: &str) -> Result<Package> {
        let text = Tool::new("apt-cache")
            .args(&self.options)
            .args(["show", "--no-all-versions", name])
            .output()
            .with_context(|| format!("Debian's package {name} is not known here"))?;
        parse_package(&text).with_context(|| format!("apt-cache says nothing about {name}"))
    }

    /// A package with everything it needs that is neither installed nor refused by `is_wanted`.
    pub(crate) fn closure(
        &self,
        name: &str,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<Package>> {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![name.to_owned()];
        let mut packages = Vec::new();
        while let Some(name) = waiting.pop() {
            if seen.insert(name.clone()) {
                let package = self.show(&name)?;
                let needed = package.depends.iter().filter(|name| is_wanted(name));
                waiting.extend(needed.cloned());
                packages.push(package);
            }
        }
        Ok(packages)
    }

    /// Unpacks packages into a directory, which looks like `/` afterwards. Nothing is installed.
    pub(crate) fn unpack(&self, packages: &[Package], directory: &Path) -> Result<()> {
        let downloads = directory.join("downloads");
        fs::create_dir(&downloads)?;
        let exact = |package: &Package| format!("{}={}", package.name, package.version);
        Tool::new("apt-get")
            .args(&self.options)
            .args(["-q", "download"])
            .args(packages.iter().map(exact))
            .dir(&downloads)
            .output()?;
        for download in fs::read_dir(&downloads)? {
            Tool::new("dpkg-deb")
                .arg("-x")
                .arg(download?.path())
                .arg(directory)
                .output()?;
        }
        fs::remove_dir_all(&downloads)?;
        Ok(())
    }
}

/// Whether dpkg has the package installed.
pub(crate) fn is_installed(name: &str) -> bool {
    Tool::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}\n", name])
        .output()
        .is_ok_and(|text| text.lines().any(|line| line == "installed"))
}

/// Reads the first stanza of `apt-cache show`.
fn parse_package(text: &str) -> Option<Package> {
    let stanza = text.split("\n\n").next()?;
    let field = |name: &str| {
        let is_it = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(": "))
        };
        stanza
            .lines()
            .find(is_it)
            .map(|line| line[name.len() + 2..].trim())
    };
    let depends = field("Depends")
        .unwrap_or_default()
        .split(',')
        .filter_map(dependency);
    Some(Package {
        name: field("Package")?.to_owned(),
        version: field("Version")?.to_owned(),
        depends: depends.map(str::to_owned).collect(),
    })
}

/// `name:arch (>= 1) | other` is `name`.
pub(super) fn dependency(text: &str) -> Option<&str> {
    text.split(['|', '(', ':', ' '])
        .map(str::trim)
        .find(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_cache_shows_is_read_with_the_names_it_depends_on() {
        let text = "Package: rustc-web\nArchitecture: amd64\nVersion: 1.96.0+dfsg1-1~deb12u2\n\
            Depends: libc6 (>= 2.34), libstd-rust-web-dev (= 1.96.0+dfsg1-1~deb12u2), gcc:any | clang, x\n\
            Description-en: Rust\n Version: of the description\n\nPackage: rustc-web\nVersion: 1.63\n";
        let package = parse_package(text).unwrap();
        assert_eq!(package.name, "rustc-web");
        assert_eq!(package.version, "1.96.0+dfsg1-1~deb12u2");
        assert_eq!(
            package.depends,
            ["libc6", "libstd-rust-web-dev", "gcc", "x"]
        );
    }

    #[test]
    fn a_package_without_dependencies_has_none() {
        let package = parse_package("Package: wasi-libc\nVersion: 0.0~git20220510\n").unwrap();
        assert_eq!(package.depends, Vec::<String>::new());
    }

    #[test]
    fn anything_else_is_no_package() {
        for text in [
            "",
            "\n\n",
            "N: Unable to locate package",
            "Package: x",
            "Version: 1",
        ] {
            assert_eq!(parse_package(text), None, "{text:?}");
        }
    }
}
