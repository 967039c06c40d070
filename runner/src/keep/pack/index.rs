//! The lines of an index, as JSON, and what they mean. The one place that knows how an index is written.

use std::io::{BufRead, Read as _, Write};

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::KeepError;
use super::super::path::KeptPath;
use super::{Captured, Digest, Entry, FileFacts, Kind, damaged};

/// The version in the first line. Another one is damaged to us, and so a cache made by it is dropped.
const VERSION: u32 = 1;

/// A path and a link's target of 4,095 bytes each, every one written as six characters of JSON, fit.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// What an entry of a store is, for those who look through the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Label {
    /// When it was made, by the caller's clock; artifacts have no use for it.
    pub(in super::super) created: Option<Timestamp>,
    /// The step's place in the plan; 0 for a cache.
    pub(in super::super) ordinal: u32,
    /// The step's name; empty for a cache.
    pub(in super::super) step: String,
    /// The artifact's or cache's name.
    pub(in super::super) name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(in super::super) enum Line {
    Label(LabelLine),
    Entry(EntryLine),
    End(EndLine),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct LabelLine {
    version: u32,
    created: Option<Timestamp>,
    ordinal: u32,
    step: String,
    name: String,
}

/// Bytes as text, or in hexadecimal if they are none.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Bytes {
    Text(String),
    Hex(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct EntryLine {
    path: Bytes,
    kind: KindLine,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum KindLine {
    Directory,
    Link {
        target: Bytes,
    },
    File {
        bytes: u64,
        sha256: String,
        executable: bool,
        modified: (i64, u32),
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct EndLine {
    files: u64,
    directories: u64,
    links: u64,
    bytes: u64,
    sha256: String,
}

impl Line {
    pub(super) fn from_label(label: &Label) -> Self {
        let Label {
            created,
            ordinal,
            step,
            name,
        } = label.clone();
        Self::Label(LabelLine {
            version: VERSION,
            created,
            ordinal,
            step,
            name,
        })
    }

    pub(super) fn from_entry(entry: &Entry) -> Self {
        let kind = match &entry.kind {
            Kind::Directory => KindLine::Directory,
            Kind::Link(target) => KindLine::Link {
                target: Bytes::from_bytes(target),
            },
            Kind::File(FileFacts {
                bytes,
                digest,
                is_executable,
                modified,
            }) => KindLine::File {
                bytes: *bytes,
                sha256: digest.to_string(),
                executable: *is_executable,
                modified: *modified,
            },
        };
        Self::Entry(EntryLine {
            path: Bytes::from_bytes(entry.path.as_bytes()),
            kind,
        })
    }

    pub(super) fn from_end(captured: &Captured) -> Self {
        Self::End(EndLine {
            files: captured.files,
            directories: captured.directories,
            links: captured.links,
            bytes: captured.bytes,
            sha256: captured.digest.to_string(),
        })
    }
}

impl LabelLine {
    pub(super) fn into_label(self) -> Label {
        let Self {
            version: _,
            created,
            ordinal,
            step,
            name,
        } = self;
        Label {
            created,
            ordinal,
            step,
            name,
        }
    }
}

impl EndLine {
    pub(super) fn entries(&self) -> u64 {
        self.files
            .saturating_add(self.directories)
            .saturating_add(self.links)
    }
}

impl EntryLine {
    /// `None` for anything that a capture would not have written.
    pub(super) fn into_entry(self) -> Option<Entry> {
        let path = KeptPath::parse(&self.path.into_bytes()?).ok()?;
        let kind = match self.kind {
            KindLine::Directory => Kind::Directory,
            KindLine::Link { target } => {
                let target = target.into_bytes()?;
                if !path.keeps_link(&target) {
                    return None;
                }
                Kind::Link(target)
            }
            KindLine::File {
                bytes,
                sha256,
                executable,
                modified,
            } => Kind::File(FileFacts {
                bytes,
                digest: Digest(HEXLOWER.decode(sha256.as_bytes()).ok()?.try_into().ok()?),
                is_executable: executable,
                modified,
            }),
        };
        Some(Entry { path, kind })
    }
}

impl Bytes {
    fn from_bytes(bytes: &[u8]) -> Self {
        match str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Hex(HEXLOWER.encode(bytes)),
        }
    }

    fn into_bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.into_bytes()),
            Self::Hex(hex) => HEXLOWER.decode(hex.as_bytes()).ok(),
        }
    }
}

/// Adds an entry to the digest of a whole: every part with its length before it, so no two trees run together.
pub(super) fn hash_entry(hasher: &mut Sha256, entry: &Entry) {
    let mut part = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(entry.path.as_bytes());
    match &entry.kind {
        Kind::Directory => part(b"directory"),
        Kind::Link(target) => {
            part(b"link");
            part(target);
        }
        Kind::File(facts) => {
            part(if facts.is_executable {
                b"program"
            } else {
                b"file"
            });
            part(&facts.digest.0);
        }
    }
}

pub(in super::super) fn write_line(to: &mut dyn Write, line: &Line) -> Result<(), KeepError> {
    let mut text = serde_json::to_vec(line)
        .map_err(|source| KeepError::io("write", "index", source.into()))?;
    text.push(b'\n');
    to.write_all(&text)
        .map_err(|source| KeepError::io("write", "index", source))
}

/// The next line; a missing, overlong, torn or foreign one is damage.
pub(in super::super) fn read_line(
    from: &mut dyn BufRead,
    entry_name: &str,
) -> Result<Line, KeepError> {
    let mut text = Vec::new();
    from.take(LINE_BYTES_MAX)
        .read_until(b'\n', &mut text)
        .map_err(|source| KeepError::io("read", entry_name, source))?;
    if text.last() != Some(&b'\n') {
        return Err(damaged(entry_name, "its index is torn"));
    }
    let line = serde_json::from_slice(&text)
        .map_err(|_foreign| damaged(entry_name, "a line of its index is not one we write"))?;
    match line {
        Line::Label(LabelLine { version, .. }) if version != VERSION => {
            Err(damaged(entry_name, "its index is of another version"))
        }
        line => Ok(line),
    }
}
