//! How much a repository may cost us. Handed to [`Git`](crate::Git) once, by whoever wires it.

use std::time::Duration;

/// Generations of history that a first fetch asks for, counted from the tip of the ref.
/// Bitbucket's own default for `clone: depth`.
pub(crate) const DEPTH_FIRST: u32 = 50;

/// Generations asked for when the commit is not among the first ones: a job that waited while its
/// branch moved on, or a build by hand of an old commit. Beyond it the claim counts as false.
pub(crate) const DEPTH_LAST: u32 = 1_000;

/// Directories inside each other. Deep Java trees reach 30, nested `node_modules` 60.
pub(crate) const TREE_DEPTH_MAX: usize = 128;

/// Bytes of one path inside a tree. Linux takes 4,096 for a whole path; half is left to the
/// directory that the work tree is in.
pub(crate) const TREE_PATH_BYTES_MAX: usize = 2_048;

/// Bytes of one name inside a tree: what every Linux file system takes.
pub(crate) const TREE_NAME_BYTES_MAX: usize = 255;

/// Submodules whose paths are listed; more are only counted.
pub(crate) const SUBMODULES_LISTED_MAX: usize = 32;

/// Bytes of a commit object that are read for its message: headers, a signature and a long message
/// fit, and a hub that reads a thousand of them at once stays under 64 MiB.
pub(crate) const COMMIT_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a git process's standard error that are kept. The last ones say why it failed.
pub(crate) const STDERR_BYTES_KEPT: usize = 4 * 1024;

/// Private memory of one git process. Git must hold a compressed object, its delta base and the
/// result at once; without a bound one small delta makes it ask for terabytes.
pub(crate) const MEMORY_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Time for a git process that only reads our own mirror. A listing of half a million entries takes
/// a second.
pub(crate) const LOCAL_TIME_MAX: Duration = Duration::from_mins(1);

/// Packs in a mirror before it is begun anew: each fetch adds one, git looks into all of them, and
/// we never repack, because that would run git for long over hostile objects to save little.
pub(crate) const MIRROR_PACKS_MAX: usize = 200;

/// Tips of refs that a mirror remembers so that the next fetch transfers only what is new.
pub(crate) const MIRROR_TIPS_MAX: u64 = 256;

/// What a repository may cost; every bound has its own error or names itself in one.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes on disk of one mirror, and of one pack that a remote sends.
    pub mirror_bytes_max: u64,
    /// Time for one conversation with a remote.
    pub fetch_time_max: Duration,
    /// Files, directories, links and submodules in the tree of a commit that is checked out.
    pub tree_entries_max: u64,
    /// Bytes of all files in the tree of a commit that is checked out, and of the files made of it.
    pub tree_bytes_max: u64,
    /// Time for writing a work tree.
    pub checkout_time_max: Duration,
}

impl Default for Limits {
    /// Bounds under which the Linux kernel (90,000 entries, 1.5 GB, a pack of 250 MB at depth 50)
    /// builds, and a host with 20 GB to spare survives one hostile repository for each slot.
    fn default() -> Self {
        Self {
            mirror_bytes_max: 2 * 1024 * 1024 * 1024,
            fetch_time_max: Duration::from_mins(10),
            tree_entries_max: 500_000,
            tree_bytes_max: 4 * 1024 * 1024 * 1024,
            checkout_time_max: Duration::from_mins(5),
        }
    }
}
