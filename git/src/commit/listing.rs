//! What `git ls-tree -l -z` says, and whether a tree may become files at all.
//!
//! The listing is read while git writes it, and git is ended at the first bound that is exceeded, so
//! that three small tree objects which stand for a billion entries cost no more than a large tree.

use std::ops::ControlFlow;

use crate::error::{TreeLimit, harmless};
use crate::limits::{
    Limits, SUBMODULES_LISTED_MAX, TREE_DEPTH_MAX, TREE_NAME_BYTES_MAX, TREE_PATH_BYTES_MAX,
};

/// One entry of a tree.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) kind: Kind,
    pub(super) id: &'a str,
    pub(super) path: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File { bytes: u64 },
    Link { bytes: u64 },
    Directory,
    Submodule,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Link { .. } => "symbolic link",
            Self::Directory => "directory",
            Self::Submodule => "submodule",
        }
    }
}

impl<'a> Entry<'a> {
    /// Reads `<mode> <type> <id> <size, right-aligned>\t<path>`.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let tab = line.iter().position(|byte| *byte == b'\t')?;
        let head = str::from_utf8(&line[..tab]).ok()?;
        let mut words = head.split_ascii_whitespace();
        let (mode, _type, id, size) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let kind = match mode.get(..3)? {
            "100" => Kind::File {
                bytes: size.parse().ok()?,
            },
            "120" => Kind::Link {
                bytes: size.parse().ok()?,
            },
            "040" => Kind::Directory,
            "160" => Kind::Submodule,
            _ => return None,
        };
        let path = &line[tab + 1..];
        Some(Self { kind, id, path })
    }
}

/// Why a tree becomes no files.
#[derive(Debug)]
pub(super) enum Refusal {
    TooLarge { limit: TreeLimit, path: String },
    Unsafe { why: &'static str, path: String },
}

/// Adds up a listing as it arrives.
#[derive(Debug)]
pub(super) struct Survey {
    entries_max: u64,
    bytes_max: u64,
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) links: u64,
    pub(super) submodule_count: u64,
    pub(super) submodules: Vec<String>,
    /// Whether a file tells git to convert others.
    pub(super) has_attributes: bool,
    pub(super) refusal: Option<Refusal>,
    /// The part of a line whose end has not arrived.
    partial: Vec<u8>,
}

/// Bytes of what stands before a path in a line: two words, an id and a number.
const HEAD_BYTES_MAX: usize = 128;

impl Survey {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            entries_max: limits.tree_entries_max,
            bytes_max: limits.tree_bytes_max,
            entries: 0,
            bytes: 0,
            links: 0,
            submodule_count: 0,
            submodules: Vec::new(),
            has_attributes: false,
            refusal: None,
            partial: Vec::new(),
        }
    }

    /// Takes the next bytes of the listing. After `Break`, `refusal` says why.
    pub(super) fn take(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        for piece in bytes.split_inclusive(|byte| *byte == 0) {
            self.partial.extend_from_slice(piece);
            let outcome = if self.partial.last() == Some(&0) {
                let line = std::mem::take(&mut self.partial);
                self.count(&line[..line.len() - 1])
            } else if self.partial.len() > HEAD_BYTES_MAX + TREE_PATH_BYTES_MAX {
                let partial = std::mem::take(&mut self.partial);
                Err(too_large(
                    TreeLimit::PathBytes(TREE_PATH_BYTES_MAX),
                    &partial,
                ))
            } else {
                Ok(())
            };
            if let Err(refusal) = outcome {
                self.refusal = Some(refusal);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn count(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let unreadable = || Refusal::Unsafe {
            why: "an entry of an unknown kind",
            path: shown(line),
        };
        let entry = Entry::parse(line).ok_or_else(unreadable)?;
        check_path(entry.path)?;
        self.entries += 1;
        match entry.kind {
            Kind::File { bytes } => {
                self.bytes = self.bytes.saturating_add(bytes);
                self.has_attributes |= entry.path.ends_with(b".gitattributes");
            }
            Kind::Link { bytes } => {
                self.bytes = self.bytes.saturating_add(bytes);
                self.links += 1;
            }
            Kind::Directory => {}
            Kind::Submodule => {
                self.submodule_count += 1;
                if self.submodules.len() < SUBMODULES_LISTED_MAX {
                    self.submodules.push(harmless(entry.path));
                }
            }
        }
        if self.entries > self.entries_max {
            return Err(too_large(TreeLimit::Entries(self.entries_max), entry.path));
        }
        if self.bytes > self.bytes_max {
            return Err(too_large(TreeLimit::Bytes(self.bytes_max), entry.path));
        }
        Ok(())
    }
}

/// Checks a path that git itself has checked when the objects came in and will check when it writes
/// the file. It is done here once more because the three are different code.
fn check_path(path: &[u8]) -> Result<(), Refusal> {
    if path.len() > TREE_PATH_BYTES_MAX {
        return Err(too_large(TreeLimit::PathBytes(TREE_PATH_BYTES_MAX), path));
    }
    let mut depth = 0;
    for name in path.split(|byte| *byte == b'/') {
        depth += 1;
        let why = match name {
            b"" => "an empty name",
            b"." | b".." => "a name that means another directory",
            _ if name.eq_ignore_ascii_case(b".git") => "git's own directory",
            _ if name.len() > TREE_NAME_BYTES_MAX => {
                return Err(too_large(TreeLimit::NameBytes(TREE_NAME_BYTES_MAX), path));
            }
            _ => continue,
        };
        let path = shown(path);
        return Err(Refusal::Unsafe { why, path });
    }
    if depth > TREE_DEPTH_MAX {
        return Err(too_large(TreeLimit::Depth(TREE_DEPTH_MAX), path));
    }
    Ok(())
}

fn too_large(limit: TreeLimit, path: &[u8]) -> Refusal {
    let path = shown(path);
    Refusal::TooLarge { limit, path }
}

/// The beginning of a path, for a message.
fn shown(path: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 60;
    match path.get(..SHOWN_BYTES_MAX) {
        Some(start) => format!("{}…", harmless(start)),
        None => harmless(path),
    }
}
