//! The isolation level: which walls stood around a step, and what is missing from the full set.
//!
//! A step's own process looks at what stands before the guest's first instruction; the receipt shows it in
//! words and as an object. What is missing is no failure of its own: who wants it to be one demands it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What every step shall have for itself, where the host allows it.
const NAMESPACES: [&str; 5] = ["mount", "ipc", "uts", "net", "pid"];

/// From this version of landlock on, nothing about the content of files escapes it: the one before cannot
/// hold back truncation.
const LANDLOCK_ABI_MIN: u32 = 3;

/// What must stand around a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// Whatever this host allows.
    #[default]
    Best,
    /// Everything; a step that would miss a piece does not run.
    Strict,
}

impl Demand {
    /// As `runner.toml` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Strict => "strict",
        }
    }
}

/// The walls around one step. Its process, the absence of capabilities and of new privileges, and limits
/// on memory, files and descriptors are always there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Isolation {
    /// The namespaces that it has for itself.
    pub namespaces: Vec<String>,
    /// Whether it has a file tree of its own, of exactly the granted paths.
    pub has_tree: bool,
    /// The user it runs as, as the host knows it.
    pub uid: u32,
    /// The version of landlock that restricts it; `None` where the kernel has none.
    pub landlock_abi: Option<u32>,
    /// Whether the system call filter stands.
    pub has_call_filter: bool,
}

impl Isolation {
    /// The pieces that are missing, in one sentence; `None` when nothing is.
    pub fn missing(&self) -> Option<String> {
        let Self {
            namespaces,
            has_tree,
            uid,
            landlock_abi,
            has_call_filter,
        } = self;
        let mut missing: Vec<String> = NAMESPACES
            .iter()
            .filter(|name| !namespaces.iter().any(|has| has == *name))
            .map(|name| format!("{name} namespace"))
            .collect();
        if !has_tree {
            missing.push("own file tree".to_owned());
        }
        if *uid == 0 {
            missing.push("user other than root".to_owned());
        }
        match landlock_abi {
            None => missing.push("landlock".to_owned()),
            Some(abi) if *abi < LANDLOCK_ABI_MIN => missing.push(format!(
                "landlock of version {LANDLOCK_ABI_MIN} (there is {abi})"
            )),
            Some(_) => {}
        }
        if !has_call_filter {
            missing.push("system call filter".to_owned());
        }
        (!missing.is_empty())
            .then(|| format!("this host gives a step no {}", missing.join(", no ")))
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("own process; ")?;
        let namespaces = self.namespaces.join(", ");
        match (self.has_tree, self.namespaces.is_empty()) {
            (true, _) => write!(f, "namespaces: {namespaces}; own file tree")?,
            (false, true) => f.write_str("no namespaces on this host")?,
            (false, false) => write!(f, "no namespaces on this host but {namespaces}")?,
        }
        match self.landlock_abi {
            Some(abi) => write!(f, "; landlock {abi}")?,
            None => f.write_str("; no landlock in this kernel")?,
        }
        if self.has_call_filter {
            f.write_str("; system call filter")?;
        }
        write!(
            f,
            "; uid {}; no capabilities, no new privileges, not dumpable; memory, file size and open files \
             limited",
            self.uid
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Isolation {
        Isolation {
            namespaces: NAMESPACES.map(str::to_owned).to_vec(),
            has_tree: true,
            uid: 65534,
            landlock_abi: Some(7),
            has_call_filter: true,
        }
    }

    #[test]
    fn each_piece_that_is_missing_is_named() {
        assert_eq!(full().missing(), None);
        let without_pid = full().namespaces[..4].to_vec();
        for (isolation, expected) in [
            (
                Isolation {
                    namespaces: without_pid,
                    ..full()
                },
                "this host gives a step no pid namespace",
            ),
            (
                Isolation {
                    uid: 0,
                    landlock_abi: None,
                    ..full()
                },
                "this host gives a step no user other than root, no landlock",
            ),
            (
                Isolation {
                    landlock_abi: Some(2),
                    has_tree: false,
                    has_call_filter: false,
                    ..full()
                },
                "this host gives a step no own file tree, no landlock of version 3 (there is 2), no system \
                 call filter",
            ),
        ] {
            assert_eq!(isolation.missing().as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_level_in_words_names_each_wall() {
        assert_eq!(
            full().to_string(),
            "own process; namespaces: mount, ipc, uts, net, pid; own file tree; landlock 7; system call \
             filter; uid 65534; no capabilities, no new privileges, not dumpable; memory, file size and open \
             files limited"
        );
    }
}
