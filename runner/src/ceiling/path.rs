//! Paths: of a workspace, which a grant names, and of the host, which only whoever runs a step by hand can name.
//!
//! A path covers itself and all below it, component by component: `src` covers `src/a` and never `src2`. Deliberately
//! absent: the disk. Whether a component is a link is found out where a path is opened, in `grant`.

use std::fmt;
use std::str::FromStr;

use super::Covers;

/// Longest path, in bytes: what Linux takes.
const PATH_BYTES_MAX: usize = 4096;

/// A path in a step's workspace; nothing in it is the workspace itself, `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkspacePath(Vec<String>);

/// An absolute path of this host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPath(Vec<String>);

/// Why a text is no such path, as the end of a sentence about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    #[error("is empty; `.` is the whole workspace")]
    Empty,
    #[error("is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    #[error("holds a character that no path should have")]
    Character,
    #[error("leads upwards by `..`")]
    Upwards,
    #[error("is a pattern; name the directory, which includes all below it")]
    Pattern,
    #[error("is absolute; paths start at the workspace's root")]
    Absolute,
    #[error("is not absolute; a path of this host starts with `/`")]
    Relative,
}

impl FromStr for WorkspacePath {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        if text.starts_with('/') {
            return Err(BadPath::Absolute);
        }
        if text.contains('*') {
            return Err(BadPath::Pattern);
        }
        components(text).map(Self)
    }
}

impl FromStr for HostPath {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        if !text.starts_with('/') {
            return Err(BadPath::Relative);
        }
        components(text).map(Self)
    }
}

fn components(text: &str) -> Result<Vec<String>, BadPath> {
    if text.is_empty() {
        return Err(BadPath::Empty);
    }
    if text.len() > PATH_BYTES_MAX {
        return Err(BadPath::TooLong);
    }
    if text.contains(char::is_control) {
        return Err(BadPath::Character);
    }
    let mut components = Vec::new();
    for component in text.split('/') {
        match component {
            "" | "." => {}
            ".." => return Err(BadPath::Upwards),
            name => components.push(name.to_owned()),
        }
    }
    Ok(components)
}

impl WorkspacePath {
    /// All of it.
    pub fn whole() -> Self {
        Self(Vec::new())
    }
}

impl HostPath {
    /// The rest of `other`, if it is this path or lies below it.
    pub fn inside(&self, other: &Self) -> Option<WorkspacePath> {
        let rest = other.0.strip_prefix(self.0.as_slice())?;
        Some(WorkspacePath(rest.to_vec()))
    }
}

impl Covers for WorkspacePath {
    fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl Covers for HostPath {
    fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl fmt::Display for WorkspacePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => out.write_str("."),
            parts => out.write_str(&parts.join("/")),
        }
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "/{}", self.0.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_covers_what_lies_below_it_and_no_neighbour() {
        for (wide, narrow, covers) in [
            ("src", "src", true),
            ("src", "src/a/b", true),
            ("./src/", "src//a/.", true),
            (".", "anything/at/all", true),
            (".", ".", true),
            ("src", "src2", false),
            ("src", "SRC", false),
            ("src/a", "src", false),
            ("src", ".", false),
            ("a/b", "a/bc", false),
        ] {
            let path = |text: &str| text.parse::<WorkspacePath>().unwrap();
            assert_eq!(path(wide).covers(&path(narrow)), covers, "{wide} {narrow}");
        }
    }

    #[test]
    fn a_path_that_could_lead_elsewhere_is_none() {
        for (text, why) in [
            ("", BadPath::Empty),
            ("..", BadPath::Upwards),
            ("src/../..", BadPath::Upwards),
            ("src/..", BadPath::Upwards),
            ("/etc", BadPath::Absolute),
            ("src\n", BadPath::Character),
            ("src/*", BadPath::Pattern),
        ] {
            assert_eq!(text.parse::<WorkspacePath>(), Err(why), "{text:?}");
        }
        assert_eq!("etc".parse::<HostPath>(), Err(BadPath::Relative));
        assert_eq!("/srv/../etc".parse::<HostPath>(), Err(BadPath::Upwards));
    }

    #[test]
    fn what_lies_below_a_directory_of_the_host_is_named_from_there() {
        let host = |text: &str| text.parse::<HostPath>().unwrap();
        let here = host("/home/ada/project");
        let inside = |text| here.inside(&host(text)).map(|path| path.to_string());
        assert_eq!(inside("/home/ada/project"), Some(".".to_owned()));
        assert_eq!(inside("/home/ada/project/src/"), Some("src".to_owned()));
        assert_eq!(inside("/home/ada/project2"), None);
        assert_eq!(inside("/home/ada"), None);
    }
}
