//! A directory of entries, each made under a name that nobody reads and then renamed, so that half of one is never seen.
//!
//! A part belongs to whoever holds its lock; one without a holder is left over from a runner that was killed, and is swept.
//! Several processes may use one store. The store belongs to the runner: no step ever sees it.

use std::io;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt as _};
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, MetadataExt as _, OpenOptions};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::KeepError;
use super::pack::Digest;

const PART_PREFIX: &str = ".part-";

/// Parts in one store at the same time. Far more than steps run at once on one host; leftovers are swept.
const PARTS_MAX: u32 = 10_000;

/// Characters of a name that are shown in a store's or folder's name.
const SLUG_CHARS_MAX: usize = 40;

/// A directory that becomes an entry when it is published, and is removed otherwise.
pub(super) struct Part<'s> {
    store: &'s Dir,
    name: String,
    dir: Dir,
    is_published: bool,
}

impl<'s> Part<'s> {
    /// Makes an empty directory that only its holder uses.
    pub(super) fn begin(store: &'s Dir) -> Result<Self, KeepError> {
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        for number in 0..PARTS_MAX {
            let name = format!("{PART_PREFIX}{number}");
            match store.create_dir_with(&name, &builder) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(source) => return Err(KeepError::io("create", name, source)),
            }
            // Between making and locking, a sweeper may have taken it for a leftover.
            if let Some(dir) = lock(store, &name)? {
                return Ok(Self {
                    store,
                    name,
                    dir,
                    is_published: false,
                });
            }
        }
        Err(KeepError::io(
            "create",
            PART_PREFIX,
            io::ErrorKind::QuotaExceeded.into(),
        ))
    }

    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Gives it its name, in one move. If another was first, it is handed back.
    pub(super) fn publish(mut self, name: &str) -> Result<Option<Self>, KeepError> {
        // POSIX: a directory replaces no directory that has something in it, and every entry has.
        match self.store.rename(&self.name, self.store, name) {
            Ok(()) => {
                self.is_published = true;
                Ok(None)
            }
            Err(error)
                if matches!(
                    Errno::from_io_error(&error),
                    Some(Errno::NOTEMPTY | Errno::EXIST)
                ) =>
            {
                Ok(Some(self))
            }
            Err(source) => Err(KeepError::io("rename to", name, source)),
        }
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if !self.is_published {
            // What cannot be removed now is a leftover, and swept later.
            drop(self.store.remove_dir_all(&self.name));
        }
    }
}

/// Opens and locks a part; `None` if it is gone or somebody holds it.
fn lock(store: &Dir, name: &str) -> Result<Option<Dir>, KeepError> {
    // Opened for reading: what `open_dir` gives is only a place in the tree, which cannot be locked.
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No);
    let locked = store.open_with(name, &options).and_then(|file| {
        let dir = Dir::from_std_file(file.into_std());
        flock(&dir, FlockOperation::NonBlockingLockExclusive)?;
        let is_same = store.symlink_metadata(name)?.ino() == dir.dir_metadata()?.ino();
        Ok(is_same.then_some(dir))
    });
    match locked {
        Ok(dir) => Ok(dir),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::WouldBlock
            ) =>
        {
            Ok(None)
        }
        Err(source) => Err(KeepError::io("lock", name, source)),
    }
}

/// Takes an entry out of sight in one move and then removes it. Whoever reads it reads on.
pub(super) fn discard(store: &Dir, name: &str) -> Result<(), KeepError> {
    let part = Part::begin(store)?;
    match store.rename(name, part.dir(), "discarded") {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(KeepError::io("remove", name, source)),
    }
}

/// Whether something is kept under that name.
pub(super) fn holds(store: &Dir, name: &str) -> Result<bool, KeepError> {
    match store.symlink_metadata(name) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(KeepError::io("look at", name, source)),
    }
}

/// The names of all entries, sorted; parts are none.
pub(super) fn entries(store: &Dir) -> Result<Vec<String>, KeepError> {
    let mut names = all(store)?;
    names.retain(|name| !name.starts_with('.'));
    Ok(names)
}

/// Removes the parts that nobody holds.
pub(super) fn sweep(store: &Dir) -> Result<(), KeepError> {
    for name in all(store)? {
        if name.starts_with(PART_PREFIX)
            && let Some(_held) = lock(store, &name)?
        {
            store
                .remove_dir_all(&name)
                .map_err(|source| KeepError::io("remove", &name, source))?;
        }
    }
    Ok(())
}

fn all(store: &Dir) -> Result<Vec<String>, KeepError> {
    let list = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in store.entries()? {
            // Every name we make is text.
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    };
    list().map_err(|source| KeepError::io("list", "the store", source))
}

/// The first readable characters of a name: lower-case letters and digits, everything else one `-`. Empty if there are none.
pub(super) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for character in name.chars() {
        if slug.len() == SLUG_CHARS_MAX {
            break;
        }
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

/// A name for an entry: readable, and different for every list of parts.
pub(super) fn entry_name(readable: &str, parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let digest = Digest::of(hasher).to_string();
    // 128 bits: nobody finds two lists with one name.
    match slug(readable).as_str() {
        "" => digest[..32].to_owned(),
        slug => format!("{slug}-{}", &digest[..32]),
    }
}
