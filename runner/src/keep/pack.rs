//! One artifact or cache as it lies in a store: a directory with two files, `index` and `data`.
//!
//! `data` is the contents of all files, one after the other; `index` says which bytes belong to which path, with the SHA-256
//! of each file, one line of JSON per entry, and ends with a line that counts them, so a torn write is noticed. Whoever
//! sends an artifact over a wire has with that its list of contents by digest, and where each lies.
//!
//! What is read back is checked like anything from outside: paths, links, order, counts, and every byte by its digest.

mod index;

use std::fmt;
use std::io::{BufReader, BufWriter, Read, Write};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt as _};
use cap_std::fs::{Dir, File, Metadata, MetadataExt as _, OpenOptions, OpenOptionsExt as _};
use sha2::{Digest as _, Sha256};

use super::path::KeptPath;
use super::walk::{Skipped, changed};
use super::{Bounds, KeepError, Limit};

pub(super) use index::{Label, read_line, write_line};

const DATA: &str = "data";
const INDEX: &str = "index";

/// A copy asks whether it was cancelled after each of these. On the stack, because most files of a build are smaller and
/// there are a hundred thousand of them.
const CHUNK_BYTES: usize = 16 << 10;

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub(super) fn of(hasher: Sha256) -> Self {
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

/// What an artifact or cache holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// Regular files.
    pub files: u64,
    /// Directories that stand in it by themselves, because a pattern names them.
    pub directories: u64,
    /// Symbolic links.
    pub links: u64,
    /// Bytes of all files, not compressed.
    pub bytes: u64,
    /// Over path, kind, execute bit and content of all entries; times do not count, so equal trees have equal digests.
    pub digest: Digest,
    /// What was wanted and is of a kind that is not kept.
    pub skipped: Skipped,
}

impl Captured {
    /// All entries.
    pub fn entries(&self) -> u64 {
        self.files + self.directories + self.links
    }
}

/// An entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: KeptPath,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    Link(Vec<u8>),
    File(FileFacts),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileFacts {
    pub(super) bytes: u64,
    pub(super) digest: Digest,
    pub(super) is_executable: bool,
    /// Seconds and nanoseconds since 1970; before that, the seconds are negative.
    pub(super) modified: (i64, u32),
}

/// Writes the two files.
pub(super) struct Writer<'a> {
    index: BufWriter<File>,
    data: File,
    hasher: Sha256,
    captured: Captured,
    bounds: &'a Bounds,
}

impl<'a> Writer<'a> {
    pub(super) fn create(part: &Dir, label: &Label, bounds: &'a Bounds) -> Result<Self, KeepError> {
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .follow(FollowSymlinks::No);
        let open = |name| {
            part.open_with(name, &options)
                .map_err(|source| KeepError::io("create", name, source))
        };
        let mut index = BufWriter::new(open(INDEX)?);
        write_line(&mut index, &index::Line::from_label(label))?;
        Ok(Self {
            index,
            data: open(DATA)?,
            hasher: Sha256::new(),
            captured: Captured {
                files: 0,
                directories: 0,
                links: 0,
                bytes: 0,
                digest: Digest([0; 32]),
                skipped: Skipped::default(),
            },
            bounds,
        })
    }

    pub(super) fn directory(&mut self, path: &KeptPath) -> Result<(), KeepError> {
        self.captured.directories += 1;
        self.entry(path.clone(), Kind::Directory)
    }

    pub(super) fn link(&mut self, path: &KeptPath, target: Vec<u8>) -> Result<(), KeepError> {
        self.captured.links += 1;
        self.entry(path.clone(), Kind::Link(target))
    }

    /// Copies the file. One that does not end where it said it would is an error: it is being written.
    pub(super) fn file(
        &mut self,
        path: &KeptPath,
        file: File,
        metadata: &Metadata,
    ) -> Result<(), KeepError> {
        let bytes_max = self.bounds.limits.bytes_max;
        if metadata.len() > bytes_max - self.captured.bytes {
            return Err(KeepError::limit(Limit::Bytes(bytes_max), path));
        }
        let mut source = file.take(metadata.len() + 1);
        let (bytes, digest) = copy(&mut source, &mut self.data, path, self.bounds)?;
        if bytes != metadata.len() {
            return Err(changed(path));
        }
        self.captured.files += 1;
        self.captured.bytes += bytes;
        let facts = FileFacts {
            bytes,
            digest,
            is_executable: metadata.mode() & 0o100 != 0,
            modified: (
                metadata.mtime(),
                u32::try_from(metadata.mtime_nsec()).unwrap_or(0),
            ),
        };
        self.entry(path.clone(), Kind::File(facts))
    }

    fn entry(&mut self, path: KeptPath, kind: Kind) -> Result<(), KeepError> {
        self.bounds.check_entries(self.captured.entries(), &path)?;
        let entry = Entry { path, kind };
        index::hash_entry(&mut self.hasher, &entry);
        write_line(&mut self.index, &index::Line::from_entry(&entry))
    }

    /// Writes the last line; without it an index is a torn one.
    pub(super) fn finish(mut self, skipped: Skipped) -> Result<Captured, KeepError> {
        self.captured.skipped = skipped;
        self.captured.digest = Digest::of(self.hasher);
        write_line(&mut self.index, &index::Line::from_end(&self.captured))?;
        self.index
            .flush()
            .map_err(|source| KeepError::io("write", INDEX, source))?;
        Ok(self.captured)
    }
}

/// Reads the two files.
pub(super) struct Reader {
    pub(super) label: Label,
    entry_name: String,
    index: BufReader<File>,
    data: BufReader<File>,
    is_at_end: bool,
    count: u64,
    previous: KeptPath,
}

impl Reader {
    /// Opens what is kept under that name; `None` if there is nothing.
    pub(super) fn open(store: &Dir, entry_name: &str) -> Result<Option<Self>, KeepError> {
        use cap_fs_ext::DirExt as _;
        let opened = store.open_dir_nofollow(entry_name).and_then(|dir| {
            let mut options = OpenOptions::new();
            options.read(true).follow(FollowSymlinks::No);
            Ok((
                dir.open_with(INDEX, &options)?,
                dir.open_with(DATA, &options)?,
            ))
        });
        let (index, data) = match opened {
            Ok(files) => files,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(KeepError::io("open", entry_name, source)),
        };
        let mut index = BufReader::new(index);
        let label = match read_line(&mut index, entry_name)? {
            index::Line::Label(label) => label.into_label(),
            _ => return Err(damaged(entry_name, "its index has no first line")),
        };
        Ok(Some(Self {
            label,
            entry_name: entry_name.to_owned(),
            index,
            data: BufReader::new(data),
            is_at_end: false,
            count: 0,
            previous: KeptPath::root(),
        }))
    }

    /// The bytes that both files take on the disk's books.
    pub(super) fn stored_bytes(&self) -> Result<u64, KeepError> {
        let length = |file: &File| {
            file.metadata()
                .map(|metadata| metadata.len())
                .map_err(|source| KeepError::io("look at", &self.entry_name, source))
        };
        Ok(length(self.index.get_ref())? + length(self.data.get_ref())?)
    }

    /// The next entry, checked. After the last one, and only if the index is whole, `None`.
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, KeepError> {
        if self.is_at_end {
            return Ok(None);
        }
        match read_line(&mut self.index, &self.entry_name)? {
            index::Line::Label(_) => Err(self.damaged("its index has two first lines")),
            index::Line::End(end) if end.entries() != self.count => {
                Err(self.damaged("its index lacks entries"))
            }
            index::Line::End(_) => {
                self.is_at_end = true;
                Ok(None)
            }
            index::Line::Entry(line) => {
                let entry = line
                    .into_entry()
                    .ok_or_else(|| self.damaged("a line of its index is not one we write"))?;
                if self.count > 0 && is_before(&entry.path, &self.previous) {
                    return Err(self.damaged("its index is not sorted"));
                }
                self.count += 1;
                self.previous = entry.path.clone();
                Ok(Some(entry))
            }
        }
    }

    /// Copies the content of the file that `next_entry` just gave.
    pub(super) fn copy_to(
        &mut self,
        path: &KeptPath,
        facts: &FileFacts,
        to: &mut dyn Write,
        bounds: &Bounds,
    ) -> Result<(), KeepError> {
        let mut source = (&mut self.data).take(facts.bytes);
        let (bytes, digest) = copy(&mut source, to, path, bounds)?;
        if (bytes, digest) != (facts.bytes, facts.digest) {
            return Err(self.damaged("a file's content is not what was kept"));
        }
        Ok(())
    }

    pub(super) fn damaged(&self, what: &'static str) -> KeepError {
        damaged(&self.entry_name, what)
    }
}

/// In the order of the walk: name by name, so that what is in a directory stands together.
fn is_before(one: &KeptPath, other: &KeptPath) -> bool {
    one.names().cmp(other.names()).is_le()
}

fn damaged(entry: &str, what: &'static str) -> KeepError {
    KeepError::Damaged {
        entry: entry.to_owned(),
        what,
    }
}

/// Copies to the end, in chunks, and asks between them whether to stop.
pub(super) fn copy(
    from: &mut dyn Read,
    to: &mut dyn Write,
    path: &KeptPath,
    bounds: &Bounds,
) -> Result<(u64, Digest), KeepError> {
    let mut chunk = [0; CHUNK_BYTES];
    let mut hasher = Sha256::new();
    let mut bytes = 0_u64;
    loop {
        bounds.check_cancel()?;
        let length = match from.read(&mut chunk) {
            Ok(0) => return Ok((bytes, Digest::of(hasher))),
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(KeepError::io("read", path, source)),
        };
        hasher.update(&chunk[..length]);
        to.write_all(&chunk[..length])
            .map_err(|source| KeepError::io("write", path, source))?;
        bytes += length as u64;
    }
}
