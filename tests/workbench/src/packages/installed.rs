//! Debian's packages that are installed here, as dpkg knows them: what they need, and their files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Result, bail};

use super::apt::dependency;
use crate::host::{Host, Tool};

/// Fields of a line, separated by tabs; a package's name never holds one.
const FORMAT: &str = "-f=${Package}\\t${Version}\\t${Architecture}\\t${db:Status-Status}\\t\
    ${Provides}\\t${Pre-Depends}, ${Depends}\\n";

/// One package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    architecture: String,
    /// Each is a list of names of which one will do.
    needs: Vec<Vec<String>>,
}

/// All packages of this host's own architecture.
#[derive(Debug)]
pub(crate) struct Installed {
    packages: BTreeMap<String, Package>,
    /// Names that stand for a package of another name.
    stand_ins: BTreeMap<String, String>,
}

impl Installed {
    /// Asks dpkg.
    pub(crate) fn read(host: &Host) -> Result<Self> {
        if !host.is_debian {
            bail!("this host does not have Debian's packages");
        }
        let own = Tool::new("dpkg").arg("--print-architecture").output()?;
        let text = Tool::new("dpkg-query").args(["-W", FORMAT]).output()?;
        Ok(Self::parse(&text, own.trim()))
    }

    fn parse(text: &str, own_architecture: &str) -> Self {
        let mut installed = Self {
            packages: BTreeMap::new(),
            stand_ins: BTreeMap::new(),
        };
        for line in text.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let &[name, version, architecture, "installed", provides, needs] = &fields[..] else {
                continue;
            };
            if architecture != own_architecture && architecture != "all" {
                continue;
            }
            for stand_in in provides.split(',').filter_map(dependency) {
                installed
                    .stand_ins
                    .entry(stand_in.to_owned())
                    .or_insert_with(|| name.to_owned());
            }
            let alternatives = |need: &str| {
                let names = need.split('|').filter_map(dependency);
                names.map(str::to_owned).collect::<Vec<_>>()
            };
            let package = Package {
                name: name.to_owned(),
                version: version.to_owned(),
                architecture: architecture.to_owned(),
                needs: needs.split(',').map(alternatives).collect(),
            };
            installed.packages.insert(name.to_owned(), package);
        }
        installed
    }

    /// Whether a package of that name is installed.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.packages.contains_key(name)
    }

    /// These packages with everything that they need, sorted; `left_out` and what only those need is not
    /// among them.
    pub(crate) fn closure(&self, names: &[&str], left_out: &[&str]) -> Vec<&Package> {
        let mut seen = BTreeMap::new();
        let mut waiting: Vec<&str> = names.to_vec();
        while let Some(name) = waiting.pop() {
            let Some(package) = self.packages.get(name) else {
                continue;
            };
            if left_out.contains(&name) || seen.insert(name, package).is_some() {
                continue;
            }
            waiting.extend(package.needs.iter().filter_map(|need| self.first(need)));
        }
        seen.into_values().collect()
    }

    /// The first of these that is installed, by its own name or as a stand-in.
    fn first<'a>(&'a self, alternatives: &'a [String]) -> Option<&'a str> {
        let by_name = alternatives.iter().find(|name| self.has(name));
        by_name
            .or_else(|| {
                alternatives
                    .iter()
                    .find_map(|name| self.stand_ins.get(name))
            })
            .map(String::as_str)
    }

    /// Every path that these packages brought, directories included.
    pub(crate) fn files(packages: &[&Package]) -> Result<BTreeSet<PathBuf>> {
        let names = packages
            .iter()
            .map(|package| match package.architecture.as_str() {
                "all" => package.name.clone(),
                own => format!("{}:{own}", package.name),
            });
        let text = Tool::new("dpkg-query").arg("-L").args(names).output()?;
        // Between the paths stand remarks about diversions.
        let paths = text.lines().filter(|line| line.starts_with('/'));
        Ok(paths.map(PathBuf::from).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "git\t1:2.39\tamd64\tinstalled\tgit-core, git-svn (= 1)\t, libc6 (>= 2.34), perl:any, mta | dash\n\
        libc6\t2.36\tamd64\tinstalled\t\tgcc-base, \n\
        libc6\t2.36\ti386\tinstalled\t\t, \n\
        perl\t5.36\tamd64\tinstalled\t\t, perl-base\n\
        dash\t0.5\tamd64\tinstalled\tposix-shell\t, posix-shell\n\
        gcc-base\t12\tall\tinstalled\t\t, git-core\n\
        gone\t1\tamd64\tconfig-files\t\t, \n";

    fn names(roots: &[&str], left_out: &[&str]) -> Vec<String> {
        let installed = Installed::parse(LIST, "amd64");
        let closure = installed.closure(roots, left_out).into_iter();
        closure
            .map(|package| format!("{}:{}", package.name, package.architecture))
            .collect()
    }

    #[test]
    fn a_package_brings_what_it_needs_and_stand_ins_count() {
        assert_eq!(
            names(&["git"], &["perl"]),
            ["dash:amd64", "gcc-base:all", "git:amd64", "libc6:amd64"]
        );
        assert_eq!(names(&["perl"], &[]), ["perl:amd64"]);
    }

    #[test]
    fn what_was_removed_is_not_installed() {
        let installed = Installed::parse(LIST, "amd64");
        assert!(installed.has("git") && !installed.has("gone") && !installed.has("git-core"));
    }
}
