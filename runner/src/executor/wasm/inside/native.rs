//! The way to native code: a sealed file in memory that the runner has sent, and no path of the host.
//!
//! Wasmtime loads components by path alone, and maps a guest's first memory from the same file, so the
//! descriptor needs a name. `/proc` has one; it is opened before the tree hides it and closed again when
//! the code is loaded, before anything of the guest runs.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::process::{chdir, fchdir};

/// Native code that is not loaded yet.
#[derive(Debug)]
pub(super) struct Native {
    code: OwnedFd,
    proc: OwnedFd,
}

impl Native {
    /// To be called while the host's `/proc` can be seen.
    pub(super) fn new(code: OwnedFd) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = rustix::fs::open("/proc", flags, Mode::empty())?;
        Ok(Self { code, proc })
    }

    /// Loads it from a path that is good for this call only.
    pub(super) fn load<T>(
        self,
        load: impl FnOnce(&Path) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        fchdir(&self.proc)?;
        let name = PathBuf::from(format!("self/fd/{}", self.code.as_raw_fd()));
        let loaded = load(&name);
        // Being in a directory is being able to walk it.
        chdir("/")?;
        loaded
    }
}
