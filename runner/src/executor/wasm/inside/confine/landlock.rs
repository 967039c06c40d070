//! Landlock: a second opinion of the kernel about paths, which needs no namespace and no privilege.
//!
//! The tree already holds nothing but granted paths. If a hole in mounts or in path walking let a step
//! out of it, this wall would still stand; and on a host without namespaces it is the one that does. It
//! also takes away TCP, signals to others and abstract unix sockets, as far as the kernel can.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    PathBeneath, RestrictionStatus, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    RulesetError, RulesetStatus, Scope, make_bitflags,
};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::executor::wasm::link::{Mount, MountWhat, StepSpec, Walls};
use crate::grant::TREE;

/// The newest version whose rights we ask for. What a kernel does not know it leaves out.
const NEWEST: ABI = ABI::V10;

/// Restricts this thread, and the threads that it will make, to the paths of a step. Says which version
/// of landlock does that; `None` where the kernel has none.
pub(in super::super) fn restrict_step(spec: &StepSpec) -> io::Result<Option<u32>> {
    let mut rules = Vec::with_capacity(spec.mounts.len() + 1);
    if spec.walls == Walls::Tree {
        // The directories that lead to what was granted.
        rules.push(PathBeneath::new(open(Path::new(TREE))?, AccessFs::ReadDir));
    }
    for mount in &spec.mounts {
        rules.extend(rule(mount, spec.walls)?);
    }
    restrict(rules)
}

/// What a mount adds to what may be touched; nothing for what hides something.
fn rule(mount: &Mount, walls: Walls) -> io::Result<Option<PathBeneath<OwnedFd>>> {
    let (opened, rights) = match &mount.what {
        MountWhat::Granted { host, is_writable } => {
            let opened = match walls {
                Walls::Tree => open(&mount.at)?,
                Walls::Process => host.open()?,
            };
            (opened, rights(*is_writable, host.is_directory))
        }
        MountWhat::Secrets(_) => (open(&mount.at)?, rights(false, true)),
        MountWhat::Hidden { .. } => return Ok(None),
    };
    Ok(Some(PathBeneath::new(opened, rights)))
}

/// Takes away every path.
pub(in super::super) fn restrict_to_nothing() -> io::Result<Option<u32>> {
    restrict(Vec::new())
}

fn open(place: &Path) -> io::Result<OwnedFd> {
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    Ok(openat2(root.as_fd(), place, flags, Mode::empty(), resolve)?)
}

/// What a guest may do below a granted path. Nowhere may it execute, or make devices, pipes and sockets.
fn rights(is_writable: bool, is_directory: bool) -> BitFlags<AccessFs> {
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let write = make_bitflags!(AccessFs::{
        WriteFile | Truncate | RemoveDir | RemoveFile | MakeDir | MakeReg | MakeSym | Refer
    });
    let all = if is_writable { read | write } else { read };
    if is_directory {
        all
    } else {
        all & AccessFs::from_file(NEWEST)
    }
}

fn restrict(rules: Vec<PathBeneath<OwnedFd>>) -> io::Result<Option<u32>> {
    let restrict = || -> Result<RestrictionStatus, RulesetError> {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?
            .add_rules(rules.into_iter().map(Ok::<_, RulesetError>))?
            .restrict_self()
    };
    let status = restrict().map_err(io::Error::other)?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => None,
        (_, LandlockStatus::Available { effective_abi, .. }) => {
            // The version is the number that the kernel gave.
            Some(effective_abi as u32)
        }
        _ => None,
    })
}
