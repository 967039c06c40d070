//! Secrets as files, seen from the runner: where a step finds them, and what it may not ask for beside them.
//!
//! The names are those that people know from containers: `/run/secrets/NAME`, and the path in `NAME_FILE`. The values
//! travel in the step's spec, over a socket, and become files in the step's own process (`inside/secret_files.rs`).

use std::path::{Path, PathBuf};

use super::GuestRun;
use super::link::{Mount, MountWhat, Preopen, SecretFiles};
use crate::executor::ExecutorError;

/// The directory in which a step finds the secrets that it was granted as files.
pub const SECRETS_DIR: &str = "/run/secrets";

/// Where that directory is in the step's own file system: beside its tree.
const PLACE: &str = "secrets";

/// The variable that holds the path of a secret's file.
fn variable(name: &str) -> String {
    format!("{name}_FILE")
}

/// Refuses what could not be told apart: a variable or a path of the step's own at the place of a secret.
pub(super) fn check(guest: &GuestRun<'_>) -> Result<(), ExecutorError> {
    let files = &guest.secrets.files;
    if files.is_empty() {
        return Ok(());
    }
    let refuse = |what: String, why: String, line| ExecutorError::GrantRefused {
        why: format!("{what}: {why}"),
        line,
    };
    for (name, _) in files.iter() {
        let variable = variable(name);
        if guest.env.contains_key(&variable) || guest.secrets.variables.get(&variable).is_some() {
            let why = format!("`{variable}` is to hold its path, and is set to something else");
            return Err(refuse(format!("secret grant `file: {name}`"), why, None));
        }
    }
    let dir = Path::new(SECRETS_DIR.trim_start_matches('/'));
    let in_the_way = |path: &&crate::grant::PathGrant| path.at.starts_with(dir);
    match guest.grants.paths.iter().find(in_the_way) {
        None => Ok(()),
        Some(grant) => {
            let wanted = &grant.wanted;
            let what = format!("{} grant `{}`", wanted.access.name(), wanted.what);
            let why = format!("{SECRETS_DIR} is where the secrets of this step are");
            Err(refuse(what, why, wanted.line))
        }
    }
}

/// What a host without mount namespaces says: there the directory could be seen by others.
pub(super) fn without_a_tree(guest: &GuestRun<'_>) -> Result<(), ExecutorError> {
    match guest.secrets.files.iter().next() {
        None => Ok(()),
        Some((name, _)) => Err(ExecutorError::GrantRefused {
            why: format!(
                "secret grant `file: {name}`: this host has no mount namespaces, and without them no secret can be \
                 given as a file"
            ),
            line: None,
        }),
    }
}

/// The variables that secrets add to the environment: values, and paths of files.
pub(super) fn variables(guest: &GuestRun<'_>) -> impl Iterator<Item = (String, String)> {
    let values = guest.secrets.variables.iter();
    let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let files = guest.secrets.files.iter();
    let paths = files.map(|(name, _)| (variable(name), format!("{SECRETS_DIR}/{name}")));
    values.chain(paths)
}

/// The directory, if there is a secret to be in it.
pub(super) fn mount(guest: &GuestRun<'_>) -> Option<Mount> {
    let files = guest.secrets.files.iter();
    let files = files.map(|(name, value)| (name.to_owned(), value.to_owned()));
    (!guest.secrets.files.is_empty()).then(|| Mount {
        at: PathBuf::from(PLACE),
        what: MountWhat::Secrets(SecretFiles(files.collect())),
    })
}

/// How the guest finds it. It comes last, so that a step's first directory is its workspace.
pub(super) fn preopen(guest: &GuestRun<'_>) -> Option<Preopen> {
    (!guest.secrets.files.is_empty()).then(|| Preopen {
        name: SECRETS_DIR.to_owned(),
        at: PathBuf::from(PLACE),
        is_writable: false,
    })
}
