//! What a step may touch: each wanted path is looked at once, opened without following what an attacker
//! could have planted, and from then on known by its device and inode and not by its name.
//!
//! Comes from a job's `grants` (paths of the workspace) or from the arguments of `step run` (paths of the
//! user, who may go through symlinks: they are the user's own). Goes to `executor/wasm`, which builds the
//! step's tree of files from it. Refusals name the grant and the line that asks for it.
//!
//! The rules: of nested grants the most specific path wins; `.git` is granted by its own name only, and
//! then read-only, so a directory that is granted has its `.git` hidden. Network grants are read and judged by `egress`.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, mkdirat, openat2, statat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::receipt::GrantRecord;
use crate::workspace::Workspace;

/// Most paths of one step: each becomes a mount.
pub const GRANTS_MAX: usize = 128;

/// Longest path of a grant, in bytes: what Linux takes.
const PATH_BYTES_MAX: usize = 4096;

/// Most components of a path of a grant.
const PATH_DEPTH_MAX: usize = 64;

/// The directory that is special.
const GIT: &str = ".git";

/// Read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read-only.
    Read,
    /// Read and write.
    Write,
}

impl Access {
    /// As grants are called in the pipeline file and in receipts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// A path that somebody wants a step to touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// How.
    pub access: Access,
    /// Where it is: relative to the workspace, or as the user's own directory has it.
    pub host: PathBuf,
    /// Where the step finds it.
    pub guest: String,
    /// As it was asked for.
    pub what: String,
    /// The line of the pipeline file that asks, from 1.
    pub line: Option<u32>,
}

/// Why a path is not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} grant `{what}`: {why}", access.name())]
pub struct Refusal {
    /// Read or write.
    pub access: Access,
    /// As it was asked for.
    pub what: String,
    /// Why not.
    pub why: String,
    /// The line that asks.
    pub line: Option<u32>,
}

/// A file or directory of the host, and which one it was when we looked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFile {
    /// Its path, with no symlink in it.
    pub path: PathBuf,
    /// Its device.
    pub device: u64,
    /// Its inode on that device.
    pub inode: u64,
    /// Its user and group.
    pub owner: (u32, u32),
    /// Or a file.
    pub is_directory: bool,
}

impl HostFile {
    /// Opens it as a place, and makes sure that it is the one that was looked at.
    pub fn open(&self) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let opened = openat2(CWD, &self.path, flags, Mode::empty(), resolve)?;
        let stat = rustix::fs::fstat(&opened)?;
        if (stat.st_dev, stat.st_ino) == (self.device, self.inode) {
            Ok(opened)
        } else {
            Err(io::Error::other("it is not what it was a moment ago"))
        }
    }

    /// Notes which file or directory this is.
    pub fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self {
            path: real_path(file)?,
            device: meta.dev(),
            inode: meta.ino(),
            owner: (meta.uid(), meta.gid()),
            is_directory: meta.is_dir(),
        })
    }
}

/// The directory of a step's own file system that its tree is below.
pub const TREE: &str = "tree";

/// The directory beside it, for what cannot stand in the tree.
pub const ASIDE: &str = "aside";

/// A path that a step may touch.
#[derive(Clone, Debug)]
pub struct PathGrant {
    /// Where the step finds it, relative to the root of its tree; empty for the root itself.
    pub at: PathBuf,
    /// Where it stands: below [`TREE`] at the same path, or [`ASIDE`], where nothing else is, if a
    /// granted directory of the host covers that path and has nothing there to stand on.
    pub place: PathBuf,
    /// What it is.
    pub host: HostFile,
    /// Who asked for it, and how.
    pub wanted: Wanted,
}

/// A `.git` that lies in a granted directory and is not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenGit {
    /// Where it would be, relative to the root of the step's tree.
    pub at: PathBuf,
    /// Where that stands, like [`PathGrant::place`].
    pub place: PathBuf,
    /// Or a file.
    pub is_directory: bool,
}

/// All that a step may touch.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// The granted paths, outer ones before inner ones.
    pub paths: Vec<PathGrant>,
    /// What is hidden in them.
    pub hidden: Vec<HiddenGit>,
}

impl Grants {
    /// Looks at paths of a workspace: no component may be a symlink or `..`; a directory that is to be
    /// written to is made if it is missing.
    pub fn in_workspace(workspace: &Workspace, wanted: &[Wanted]) -> Result<Self, Refusal> {
        Self::look(wanted, |wanted| {
            let path = inside(&wanted.host.to_string_lossy())?;
            if wanted.access == Access::Write {
                make_directories(workspace.dir().as_fd(), &path)?;
            }
            open_beneath(workspace.dir().as_fd(), &path)
        })
    }

    /// Looks at paths that the user gave on the command line.
    pub fn by_hand(wanted: &[Wanted]) -> Result<Self, Refusal> {
        Self::look(wanted, |wanted| {
            openat2(
                CWD,
                &wanted.host,
                PROBE,
                Mode::empty(),
                ResolveFlags::empty(),
            )
            .map_err(|error| match (error, wanted.access) {
                // Whether a file or a directory is meant, nobody said; so nothing is made here.
                (Errno::NOENT, Access::Write) => {
                    let path = wanted.host.display();
                    format!("there is no `{path}` yet; make it first, as a directory or a file")
                }
                (error, _) => why_not(error).to_owned(),
            })
        })
    }

    fn look(
        wanted: &[Wanted],
        open: impl Fn(&Wanted) -> Result<OwnedFd, String>,
    ) -> Result<Self, Refusal> {
        let mut opened: Vec<Opened> = Vec::with_capacity(wanted.len());
        for (index, wanted) in wanted.iter().enumerate() {
            let refuse = |why| wanted.refusal(why);
            if index >= GRANTS_MAX {
                return Err(refuse(format!(
                    "a step may have {GRANTS_MAX} path grants at most"
                )));
            }
            let next = Opened::new(wanted, open(wanted).map_err(refuse)?).map_err(refuse)?;
            match opened.iter().find(|other| other.grant.at == next.grant.at) {
                None => opened.push(next),
                Some(other) if other.is_same(&next) => {}
                Some(other) => return Err(refuse(other.conflict())),
            }
        }
        // Outer paths first: a path sorts before all that lie below it.
        opened.sort_by(|one, other| one.grant.at.cmp(&other.grant.at));
        let mut hidden = Vec::new();
        for index in 0..opened.len() {
            let (before, rest) = opened.split_at_mut(index);
            if let Some(one) = rest.first_mut() {
                one.grant.place = one
                    .stand(before)
                    .map_err(|why| one.grant.wanted.refusal(why))?;
            }
        }
        for one in &opened {
            hidden.extend(
                one.hidden_git(&opened)
                    .map_err(|why| one.grant.wanted.refusal(why))?,
            );
        }
        let paths = opened.into_iter().map(|one| one.grant).collect();
        Ok(Self { paths, hidden })
    }

    /// What can be granted on a host without mount namespaces: whole directories, side by side.
    pub fn without_a_tree(&self) -> Result<(), Refusal> {
        for grant in &self.paths {
            let nested = self
                .paths
                .iter()
                .any(|other| other.at != grant.at && grant.at.starts_with(&other.at));
            let hides = self
                .hidden
                .iter()
                .any(|hidden| hidden.at.parent() == Some(&grant.at));
            let what = match (grant.host.is_directory, nested, hides) {
                (false, _, _) => "a single file",
                (true, true, _) => "a path inside another granted path",
                (true, false, true) => "a directory whose `.git` has to be hidden",
                (true, false, false) => continue,
            };
            let why = format!(
                "this host has no mount namespaces, and without them {what} cannot be granted"
            );
            return Err(grant.wanted.refusal(why));
        }
        Ok(())
    }

    /// What was granted, for the receipt.
    pub fn records(&self) -> Vec<GrantRecord> {
        let granted = self.paths.iter().map(|grant| GrantRecord {
            kind: grant.wanted.access.name(),
            what: grant.wanted.what.clone(),
            refused: None,
        });
        granted.collect()
    }
}

impl Wanted {
    fn refusal(&self, why: String) -> Refusal {
        Refusal {
            access: self.access,
            what: self.what.clone(),
            why,
            line: self.line,
        }
    }
}

/// A grant and the handle by which we looked at it.
#[derive(Debug)]
struct Opened {
    grant: PathGrant,
    handle: File,
}

impl Opened {
    fn new(wanted: &Wanted, handle: OwnedFd) -> Result<Self, String> {
        let handle = File::from(handle);
        let host = HostFile::of(&handle).map_err(|error| error.to_string())?;
        let is_file = handle.metadata().is_ok_and(|meta| meta.is_file());
        if !host.is_directory && !is_file {
            return Err("it is neither a file nor a directory".to_owned());
        }
        let names_git = |path: &Path| path.components().any(|part| part.as_os_str() == GIT);
        if wanted.access == Access::Write && (names_git(&host.path) || names_git(&wanted.host)) {
            return Err("`.git` is never writable".to_owned());
        }
        let grant = PathGrant {
            at: inside(&wanted.guest)?,
            place: PathBuf::new(),
            host,
            wanted: wanted.clone(),
        };
        Ok(Self { grant, handle })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.grant.host == other.grant.host && self.grant.wanted.access == other.grant.wanted.access
    }

    fn conflict(&self) -> String {
        let Wanted { access, what, .. } = &self.grant.wanted;
        format!(
            "it conflicts with the {} grant `{what}` at the same place",
            access.name()
        )
    }

    /// Where it stands, given the outer grants. Inside another granted directory there must be something
    /// of its kind: nothing is made in a directory of the host for the sake of a mount. Where there is
    /// nothing at all, a directory stands aside, and the guest finds it by its name alone.
    fn stand(&self, outer: &[Self]) -> Result<PathBuf, String> {
        let at = &self.grant.at;
        let Some(closest) = outer
            .iter()
            .rev()
            .find(|other| at.starts_with(&other.grant.at))
        else {
            return Ok(Path::new(TREE).join(at));
        };
        let inner = at.strip_prefix(&closest.grant.at).unwrap_or(at);
        let is_directory = self.grant.host.is_directory;
        let refuse = || {
            let what = &closest.grant.wanted.what;
            format!(
                "there is no `{}` inside `{what}` to put it at",
                inner.display()
            )
        };
        match probe_beneath(closest.handle.as_fd(), inner) {
            Ok(there) => {
                let there = File::from(there).metadata();
                if there.is_ok_and(|meta| meta.is_dir() == is_directory) {
                    Ok(closest.grant.place.join(inner))
                } else {
                    Err(refuse())
                }
            }
            Err(Errno::NOENT) if is_directory => Ok(Path::new(ASIDE).join(outer.len().to_string())),
            Err(_) => Err(refuse()),
        }
    }

    fn hidden_git(&self, all: &[Self]) -> Result<Option<HiddenGit>, String> {
        let at = self.grant.at.join(GIT);
        if !self.grant.host.is_directory || all.iter().any(|other| other.grant.at == at) {
            return Ok(None);
        }
        let is_directory = match statat(&self.handle, GIT, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => true,
                FileType::RegularFile => false,
                // A symlink holds nothing but a name, and where it leads is granted or it is not.
                _ => return Ok(None),
            },
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(format!("its `.git` cannot be looked at: {error}")),
        };
        if let Some(inner) = all.iter().find(|other| other.grant.at.starts_with(&at)) {
            let what = &inner.grant.wanted.what;
            return Err(format!(
                "it hides the `.git` that `{what}` lies in; grant that `.git` by its own name"
            ));
        }
        let place = self.grant.place.join(GIT);
        Ok(Some(HiddenGit {
            at,
            place,
            is_directory,
        }))
    }
}

/// Opens something for looking at it, whatever it is: a FIFO does not block, a device does nothing.
const PROBE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

fn open_beneath(dir: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, String> {
    probe_beneath(dir, path).map_err(|error| why_not(error).to_owned())
}

fn probe_beneath(dir: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(dir, path, PROBE, Mode::empty(), resolve)
}

/// Makes what is missing of a path, as directories, without leaving `dir`.
fn make_directories(dir: BorrowedFd<'_>, path: &Path) -> Result<(), String> {
    let mut here = open_beneath(dir, Path::new(""))?;
    for component in path.components() {
        let name = Path::new(component.as_os_str());
        match mkdirat(&here, name, Mode::from_raw_mode(0o755)) {
            // What is there and is no directory may be the file that was meant, at the end of the path.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(why_not(error).to_owned()),
        }
        here = open_beneath(here.as_fd(), name)?;
    }
    Ok(())
}

fn why_not(error: Errno) -> &'static str {
    match error {
        Errno::NOENT => "it does not exist",
        Errno::LOOP => "a part of it is a symbolic link",
        Errno::NOTDIR => "a part of it is not a directory",
        Errno::XDEV => "it leads outside",
        Errno::ACCESS | Errno::PERM => "permission denied",
        Errno::NAMETOOLONG => "it is too long",
        _ => "it cannot be opened",
    }
}

/// A path inside a tree: relative to its root, without `.` and `..`. An absolute one starts at the same
/// root.
fn inside(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("an empty path; `.` is the directory itself".to_owned());
    }
    if text.len() > PATH_BYTES_MAX {
        return Err(format!("it is longer than {PATH_BYTES_MAX} bytes"));
    }
    if text.contains('\0') {
        return Err("it contains a zero byte".to_owned());
    }
    let mut path = PathBuf::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir => {
                return Err("`..` is not possible in a path of a step".to_owned());
            }
            Component::Prefix(_) => return Err("it is no path".to_owned()),
        }
    }
    if path.components().count() > PATH_DEPTH_MAX {
        return Err(format!("it has more than {PATH_DEPTH_MAX} parts"));
    }
    Ok(path)
}

/// The path of something open, with no symlink in it, as the kernel knows it.
pub fn real_path(open: impl AsFd) -> io::Result<PathBuf> {
    let link = format!("/proc/self/fd/{}", open.as_fd().as_raw_fd());
    let path = std::fs::read_link(link)?;
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(io::Error::other("it has no path"))
    }
}

#[cfg(test)]
mod tests;
