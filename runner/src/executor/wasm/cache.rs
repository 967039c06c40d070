//! Native code on disk, so that a module is compiled once per host.
//!
//! Written by the runner alone, into a directory that nobody else may read. An entry is two files: the
//! code, named after its own digest, and an index, named after what it was made from, which says how long
//! the code is, what its digest is and which file it was. Code that is not what the index says is never
//! loaded; it is compiled again. Never shared between hosts and never accepted from anybody: whoever
//! writes an entry decides what runs.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::link::Front;
use crate::grant::real_path;

/// Longest index file: two numbers, a digest and some punctuation.
const INDEX_BYTES_MAX: u64 = 4096;

/// What the cache may take on disk. A module of 70 MB makes some 150 MB of native code, so about fifty of
/// the largest fit.
const CACHE_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;

/// What an entry was made from: the digest of the module and the fingerprint of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// Puts the two together.
    pub(super) fn new(module: &[u8; 32], engine: &[u8; 32]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(module);
        hasher.update(engine);
        Self(hasher.finalize().into())
    }
}

/// A module that is ready to run.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Which front door it takes.
    pub front: Front,
    /// Its native code, open: this very file was checked.
    pub native: Arc<File>,
    /// Which file that is.
    pub stamp: FileStamp,
}

/// What an index file says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    front: Front,
    sha256: String,
    file: FileStamp,
}

/// Which file it was. One that has the same stamp has not been written to since its digest was checked;
/// the kernel sets the time of change, nobody else can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileStamp {
    device: u64,
    inode: u64,
    /// In bytes.
    pub length: u64,
    modified_ns: (i64, i64),
    changed_ns: (i64, i64),
}

impl FileStamp {
    fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self {
            device: meta.dev(),
            inode: meta.ino(),
            length: meta.len(),
            modified_ns: (meta.mtime(), meta.mtime_nsec()),
            changed_ns: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

/// The directory.
#[derive(Clone, Debug)]
pub(super) struct ModuleCache {
    dir: PathBuf,
}

impl ModuleCache {
    /// Opens it and makes it where it is missing. Refuses a directory that others may write to, because
    /// they would decide what runs.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let meta = fs::metadata(dir)?;
        let is_ours = meta.uid() == rustix::process::geteuid().as_raw();
        if !is_ours || meta.mode() & 0o022 != 0 {
            return Err(io::Error::other(
                "the cache of compiled modules must belong to the runner and be writable by nobody else",
            ));
        }
        // With symlinks resolved once: whoever mounts an entry follows none.
        let opened = File::open(dir)?;
        let dir = real_path(&opened)?;
        Ok(Self { dir })
    }

    /// The entry for a key, if there is a sound one. One that is not sound is removed.
    pub(super) fn find(&self, key: Key) -> Option<Entry> {
        let index_path = self.index_path(key);
        match self.read(&index_path) {
            Ok(entry) => Some(entry),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(entry = %index_path.display(), %error, "an entry of the module cache is unsound");
                // The next compilation replaces what could not be removed.
                let _still_there = fs::remove_file(&index_path);
                None
            }
        }
    }

    fn read(&self, index_path: &Path) -> io::Result<Entry> {
        let mut json = String::new();
        open_file(index_path)?
            .take(INDEX_BYTES_MAX)
            .read_to_string(&mut json)?;
        let index: Index = serde_json::from_str(&json)?;
        let path = self.native_path(&index.sha256)?;
        let file = open_file(&path)?;
        let stamp = FileStamp::of(&file)?;
        if stamp != index.file {
            if stamp.length != index.file.length || digest(&file)? != index.sha256 {
                return Err(unsound("the native code is not what was written"));
            }
            // A copy or a restored backup: sound, and from now on the file that we know.
            let index = Index {
                file: stamp,
                ..index
            };
            self.write_index(index_path, &index)?;
        }
        Ok(Entry {
            front: index.front,
            native: Arc::new(file),
            stamp,
        })
    }

    /// Begins a new entry.
    pub(super) fn begin(&self) -> io::Result<NewEntry> {
        let mut suffix = [0; 8];
        getrandom::fill(&mut suffix).map_err(io::Error::other)?;
        let path = self.dir.join(format!("new-{}", HEXLOWER.encode(&suffix)));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(NewEntry {
            cache: self.clone(),
            file,
            path,
            hasher: Sha256::new(),
        })
    }

    fn write_index(&self, path: &Path, index: &Index) -> io::Result<()> {
        let mut new = self.begin()?;
        new.append(&serde_json::to_vec(index)?)?;
        fs::rename(&new.path, path)
    }

    fn index_path(&self, Key(key): Key) -> PathBuf {
        self.dir.join(format!("{}.json", HEXLOWER.encode(&key)))
    }

    fn native_path(&self, sha256: &str) -> io::Result<PathBuf> {
        let is_digest = HEXLOWER
            .decode(sha256.as_bytes())
            .is_ok_and(|bytes| bytes.len() == 32);
        if is_digest {
            Ok(self.dir.join(format!("{sha256}.native")))
        } else {
            Err(unsound("the index holds no digest"))
        }
    }

    /// Removes the oldest code until the rest is small enough. What is running stays mapped.
    fn make_room(&self, room_bytes: u64) -> io::Result<()> {
        let mut code = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|end| end == "native") {
                let meta = entry.metadata()?;
                code.push((meta.modified()?, meta.len(), entry.path()));
            }
        }
        code.sort();
        let mut total: u64 = code.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in code {
            if total <= room_bytes {
                break;
            }
            fs::remove_file(path)?;
            total -= length;
        }
        Ok(())
    }
}

/// An entry that is being written. Dropped before it is kept, it leaves nothing behind.
#[derive(Debug)]
pub(super) struct NewEntry {
    cache: ModuleCache,
    file: File,
    path: PathBuf,
    hasher: Sha256,
}

impl NewEntry {
    /// Appends a piece of native code.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)
    }

    /// Makes it the entry of a key. It is on disk when this returns: half-written code must not survive a
    /// power cut under a name that says otherwise.
    pub(super) fn keep(self, key: Key, front: Front) -> io::Result<Entry> {
        let sha256 = HEXLOWER.encode(&self.hasher.clone().finalize());
        self.file.sync_all()?;
        self.cache.make_room(CACHE_BYTES_MAX)?;
        let path = self.cache.native_path(&sha256)?;
        fs::rename(&self.path, &path)?;
        // Renaming changed the time of change; from here on nothing does.
        let stamp = FileStamp::of(&self.file)?;
        let index = Index {
            front,
            sha256,
            file: stamp,
        };
        self.cache
            .write_index(&self.cache.index_path(key), &index)?;
        Ok(Entry {
            front,
            native: Arc::new(self.file.try_clone()?),
            stamp,
        })
    }
}

impl Drop for NewEntry {
    fn drop(&mut self) {
        // Gone already if it was kept.
        let _kept = fs::remove_file(&self.path);
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).map_err(io::Error::other)?;
    OpenOptions::new()
        .read(true)
        .custom_flags(no_link)
        .open(path)
}

fn digest(mut file: &File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1024 * 1024];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(HEXLOWER.encode(&hasher.finalize())),
            length => hasher.update(&piece[..length]),
        }
    }
}

fn unsound(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key([7; 32]);

    struct Fixture {
        cache: ModuleCache,
        entry: Entry,
        native: PathBuf,
        _dir: tempfile::TempDir,
    }

    fn fixture() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let cache = ModuleCache::open(&dir.path().join("modules")).unwrap();
        let mut new = cache.begin().unwrap();
        new.append(b"native ").unwrap();
        new.append(b"code").unwrap();
        let entry = new.keep(KEY, Front::Core).unwrap();
        Fixture {
            native: real_path(&entry.native).unwrap(),
            cache,
            entry,
            _dir: dir,
        }
    }

    #[test]
    fn what_was_kept_is_found() {
        let Fixture {
            cache,
            entry,
            native,
            _dir,
        } = fixture();
        assert_eq!(fs::read(native).unwrap(), b"native code");
        assert_eq!(cache.find(KEY).unwrap().stamp, entry.stamp);
        assert!(cache.find(Key([8; 32])).is_none());
        assert_eq!(fs::metadata(&cache.dir).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn code_that_was_touched_is_never_used() {
        for damage in [
            &b"native cod"[..],
            b"native code and more",
            b"NATIVE code",
            b"",
        ] {
            let Fixture {
                cache,
                native,
                _dir,
                ..
            } = fixture();
            fs::write(native, damage).unwrap();
            assert!(cache.find(KEY).is_none(), "{damage:?}");
        }
    }

    #[test]
    fn an_index_that_was_touched_is_never_used() {
        for damage in [
            "",
            "{}",
            "{\"front\":\"core\",\"sha256\":\"../../etc/passwd\"}",
        ] {
            let Fixture { cache, _dir, .. } = fixture();
            fs::write(cache.index_path(KEY), damage).unwrap();
            assert!(cache.find(KEY).is_none(), "{damage:?}");
        }
    }

    #[test]
    fn a_copy_of_sound_code_is_used_after_its_digest_was_checked() {
        let Fixture {
            cache,
            entry,
            native,
            _dir,
        } = fixture();
        let copy = cache.dir.join("copy");
        fs::copy(&native, &copy).unwrap();
        fs::rename(&copy, &native).unwrap();
        let found = cache.find(KEY).unwrap();
        assert_ne!(found.stamp.inode, entry.stamp.inode);
    }

    #[test]
    fn an_entry_that_is_given_up_leaves_nothing_behind() {
        let Fixture { cache, _dir, .. } = fixture();
        let before = fs::read_dir(&cache.dir).unwrap().count();
        drop(cache.begin().unwrap());
        assert_eq!(fs::read_dir(&cache.dir).unwrap().count(), before);
    }

    #[test]
    fn the_oldest_code_makes_room() {
        let Fixture { cache, _dir, .. } = fixture();
        cache.make_room(11).unwrap();
        assert!(cache.find(KEY).is_some());
        cache.make_room(10).unwrap();
        assert!(cache.find(KEY).is_none());
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(ModuleCache::open(dir.path()).is_err());
    }
}
