//! Native code as step processes get it: a copy in memory, sealed, so that nobody can write to it while it
//! runs, not even whoever takes a step over. And a step has no path to the cache at all.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::cache::{Entry, FileStamp};

/// Copies that are kept for the next step, in bytes. Modules that jobs start again and again are small;
/// the largest are copied each time, in less time than they take to load.
const KEPT_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// The copies that were used last.
#[derive(Debug, Default)]
pub(super) struct SealedCopies {
    kept: Mutex<VecDeque<(FileStamp, Arc<OwnedFd>)>>,
}

impl SealedCopies {
    /// The copy of an entry. Waits for the disk when it is not kept.
    pub(super) fn of(&self, entry: &Entry) -> io::Result<Arc<OwnedFd>> {
        if let Some(copy) = self.find(entry.stamp) {
            return Ok(copy);
        }
        let copy = Arc::new(seal(&entry.native, entry.stamp.length)?);
        self.keep(entry.stamp, Arc::clone(&copy));
        Ok(copy)
    }

    fn find(&self, stamp: FileStamp) -> Option<Arc<OwnedFd>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| *known == stamp)?;
        let found = kept.remove(at)?;
        let copy = Arc::clone(&found.1);
        kept.push_front(found);
        Some(copy)
    }

    fn keep(&self, stamp: FileStamp, copy: Arc<OwnedFd>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front((stamp, copy));
        let mut total = 0;
        kept.retain(|(stamp, _)| {
            total += stamp.length;
            total <= KEPT_BYTES_MAX
        });
    }
}

fn seal(mut native: &File, length: u64) -> io::Result<OwnedFd> {
    use std::io::Seek as _;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut copy = File::from(memfd_create("native", flags)?);
    native.rewind()?;
    if io::copy(&mut native, &mut copy)? != length {
        return Err(io::Error::other("the native code has changed its length"));
    }
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&copy, seals)?;
    Ok(copy.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::cache::{Key, ModuleCache};
    use super::super::link::Front;
    use super::*;

    #[test]
    fn a_copy_holds_what_the_cache_holds_and_cannot_be_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let cache = ModuleCache::open(dir.path()).unwrap();
        let mut new = cache.begin().unwrap();
        new.append(b"native code").unwrap();
        let entry = new.keep(Key::new(&[1; 32], &[2; 32]), Front::Core).unwrap();

        let copies = SealedCopies::default();
        let copy = copies.of(&entry).unwrap();
        assert!(Arc::ptr_eq(&copy, &copies.of(&entry).unwrap()));
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&*copy));
        assert_eq!(std::fs::read(&path).unwrap(), b"native code");
        let mut file = File::options().write(true).open(&path).unwrap();
        assert_eq!(
            file.write_all(b"NATIVE").unwrap_err().kind(),
            io::ErrorKind::PermissionDenied
        );
    }
}
