//! What a step's process is told: its grants as mounts and preopened directories, and everything else that it cannot
//! see for itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::executor::wasm::link::{Front, GuestLimits, Mount, MountWhat, Preopen, StepSpec, Walls};
use crate::executor::wasm::{CLONE_DIR, GuestRun, Home, secret_files};
use crate::grant::{ASIDE, Access, PathGrant, TREE};

pub(super) fn spec(guest: &GuestRun<'_>, front: Front, walls: Walls) -> StepSpec {
    StepSpec {
        front,
        has_way_out: !guest.net.is_empty(),
        arguments: guest.arguments.clone(),
        env: guest
            .env
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            // Of two variables of one name the later one counts.
            .chain(secret_files::variables(guest))
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .collect(),
        mounts: mounts(guest),
        preopens: match walls {
            Walls::Tree => preopened_tree(guest),
            Walls::Process => preopened_grants(guest),
        }
        .into_iter()
        .chain(secret_files::preopen(guest))
        .collect(),
        working_directory: match guest.home {
            Home::Root => "/".to_owned(),
            Home::CloneDir => CLONE_DIR.to_owned(),
        },
        clock: guest.clock,
        random: guest.random,
        limits: GuestLimits {
            memory_bytes: guest.limits.memory_bytes,
            disk_bytes: guest.limits.disk_bytes,
        },
        walls,
        isolation: guest.isolation,
    }
}

fn mounts(guest: &GuestRun<'_>) -> Vec<Mount> {
    let granted = guest.grants.paths.iter().map(|grant| Mount {
        at: grant.place.clone(),
        what: MountWhat::Granted {
            host: grant.host.clone(),
            is_writable: grant.wanted.access == Access::Write,
        },
    });
    let hidden = guest.grants.hidden.iter().map(|hidden| Mount {
        at: hidden.place.clone(),
        what: MountWhat::Hidden {
            is_directory: hidden.is_directory,
        },
    });
    let secrets = secret_files::mount(guest);
    let mut mounts: Vec<Mount> = granted.chain(hidden).chain(secrets).collect();
    mounts.sort_by(|one, other| one.at.cmp(&other.at));
    mounts
}

/// One tree, whose root is where the guest starts, and what stands aside of it. The kernel knows what in
/// it is read-only. A step without grants has no directory at all.
fn preopened_tree(guest: &GuestRun<'_>) -> Vec<Preopen> {
    let grants = &guest.grants.paths;
    if grants.is_empty() {
        return Vec::new();
    }
    let is_writable = |grant: &PathGrant| grant.wanted.access == Access::Write;
    let names: &[&str] = match guest.home {
        Home::Root => &["/"],
        // Languages differ in which of the two they look for.
        Home::CloneDir => &[CLONE_DIR, "."],
    };
    let preopen = |name: &&str| Preopen {
        name: (*name).to_owned(),
        at: PathBuf::from(TREE),
        is_writable: grants.iter().any(is_writable),
    };
    let aside = grants
        .iter()
        .filter(|grant| grant.place.parent() == Some(Path::new(ASIDE)))
        .map(|grant| Preopen {
            name: absolute(Path::new("/"), &grant.at),
            at: grant.place.clone(),
            is_writable: is_writable(grant),
        });
    names.iter().map(preopen).chain(aside).collect()
}

/// Each granted directory by its own name, absolute and, away from the root, relative too.
fn preopened_grants(guest: &GuestRun<'_>) -> Vec<Preopen> {
    let mut preopens = Vec::new();
    for grant in &guest.grants.paths {
        let relative = match grant.at.to_string_lossy() {
            at if at.is_empty() => ".".to_owned(),
            at => at.into_owned(),
        };
        let names = match guest.home {
            Home::Root => vec![absolute(Path::new("/"), &grant.at)],
            Home::CloneDir => vec![absolute(Path::new(CLONE_DIR), &grant.at), relative],
        };
        preopens.extend(names.into_iter().map(|name| Preopen {
            name,
            at: grant.place.clone(),
            is_writable: grant.wanted.access == Access::Write,
        }));
    }
    preopens
}

fn absolute(base: &Path, at: &Path) -> String {
    let path = if at.as_os_str().is_empty() {
        base.to_owned()
    } else {
        base.join(at)
    };
    path.to_string_lossy().into_owned()
}
