//! A path below a workspace: relative, without `.` and `..`, as bytes, because a step may name a file with any.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;

use super::{DEPTH_MAX, PATH_BYTES_MAX};

/// Names joined by `/`, none of them empty, `.` or `..`, none with a NUL. Empty is the workspace itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct KeptPath(Vec<u8>);

/// Why bytes are not such a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// Starts with `/`.
    #[error("is absolute")]
    Absolute,
    /// `.` or `..` among the names.
    #[error("has a `.` or `..` in it")]
    Dots,
    /// `//`, a `/` at the end, or nothing at all.
    #[error("has an empty name in it")]
    EmptyName,
    /// No file name has one.
    #[error("has a NUL in it")]
    Nul,
    /// A git directory, of which no cache is made.
    #[error("is a `.git`, which is never kept")]
    Git,
    /// Longer than `PATH_BYTES_MAX`.
    #[error("is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    /// More names than `DEPTH_MAX` and one.
    #[error("is more than {DEPTH_MAX} directories deep")]
    TooDeep,
}

impl KeptPath {
    /// The workspace itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// Checks every name. The root is not accepted: nothing can be kept under no name.
    pub fn parse(bytes: &[u8]) -> Result<Self, PathFault> {
        if bytes.first() == Some(&b'/') {
            return Err(PathFault::Absolute);
        }
        if bytes.len() > PATH_BYTES_MAX {
            return Err(PathFault::TooLong);
        }
        for (index, name) in bytes.split(|&byte| byte == b'/').enumerate() {
            match name {
                b"" => return Err(PathFault::EmptyName),
                b"." | b".." => return Err(PathFault::Dots),
                name if name.contains(&0) => return Err(PathFault::Nul),
                _ if index > DEPTH_MAX => return Err(PathFault::TooDeep),
                _ => {}
            }
        }
        Ok(Self(bytes.to_owned()))
    }

    /// The path of a name that a directory listing gave.
    pub(super) fn join(&self, name: &OsStr) -> Self {
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.len());
        bytes.extend_from_slice(&self.0);
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name.as_bytes());
        Self(bytes)
    }

    /// The names, outermost first.
    pub fn names(&self) -> impl Iterator<Item = &OsStr> {
        self.0
            .split(|&byte| byte == b'/')
            .filter(|name| !name.is_empty())
            .map(OsStr::from_bytes)
    }

    /// How many names; 0 for the workspace itself.
    pub fn depth(&self) -> usize {
        self.names().count()
    }

    /// Whether it is that directory or something below it.
    pub fn is_within(&self, directory: &Self) -> bool {
        directory.0.is_empty()
            || self
                .0
                .strip_prefix(directory.0.as_slice())
                .is_some_and(|rest| rest.first().is_none_or(|&byte| byte == b'/'))
    }

    /// Whether it is the workspace itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes, without a `/` at either end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether a link at this path with that target stays in the tree, whichever way the tree is laid out again.
    ///
    /// Only a target that first climbs and then descends can be judged without following anything: the climb starts at a
    /// real directory, and what it descends into is a real name or another link that was judged the same way. A `..` after a
    /// name could climb out of wherever that name's link leads.
    pub(super) fn keeps_link(&self, target: &[u8]) -> bool {
        if target.is_empty()
            || target.len() > PATH_BYTES_MAX
            || target[0] == b'/'
            || target.contains(&0)
        {
            return false;
        }
        let mut room = self.depth().saturating_sub(1);
        let mut has_descended = false;
        for name in target.split(|&byte| byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." if has_descended || room == 0 => return false,
                b".." => room -= 1,
                _ => has_descended = true,
            }
        }
        true
    }
}

/// As text for a person: control characters and bytes that are no text are escaped, so a name cannot draw on a terminal.
impl fmt::Display for KeptPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() || is_invisible(character) {
                    write!(f, "{}", character.escape_default())?;
                } else {
                    write!(f, "{character}")?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// The marks that turn the direction of what follows: they would let a name read as another.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_relative_and_has_no_dots() {
        for (bytes, fault) in [
            (&b"/etc/passwd"[..], PathFault::Absolute),
            (b"a/../b", PathFault::Dots),
            (b"./a", PathFault::Dots),
            (b"", PathFault::EmptyName),
            (b"a//b", PathFault::EmptyName),
            (b"a/", PathFault::EmptyName),
            (b"a\0b", PathFault::Nul),
        ] {
            assert_eq!(KeptPath::parse(bytes), Err(fault));
        }
        assert_eq!(
            KeptPath::parse("a/".repeat(200).trim_end_matches('/').as_bytes()),
            Err(PathFault::TooDeep)
        );
        assert_eq!(
            KeptPath::parse(&vec![b'a'; PATH_BYTES_MAX + 1]),
            Err(PathFault::TooLong)
        );
        assert!(KeptPath::parse(b"a/b.c/...").is_ok());
    }

    #[test]
    fn a_link_is_kept_only_if_it_cannot_leave() {
        let link = KeptPath::parse(b"a/b/link").unwrap();
        for inside in [
            "x", "./x", "../x", "../../x", "../..", "x/y", "..//x", "missing",
        ] {
            assert!(link.keeps_link(inside.as_bytes()), "{inside}");
        }
        for outside in [
            "",
            "/etc/passwd",
            "../../../x",
            "x/../y",
            "../x/../../../y",
            "//etc",
        ] {
            assert!(!link.keeps_link(outside.as_bytes()), "{outside}");
        }
    }

    #[test]
    fn a_name_cannot_draw_on_a_terminal() {
        let path = KeptPath::parse(b"a\n\x1b[2J\xff/\xc3\xa9\xe2\x80\xae").unwrap();
        assert_eq!(path.to_string(), r"a\n\u{1b}[2J\xff/é\u{202e}");
    }
}
