//! Artifacts: what a step's patterns name goes into the build's store, from there into the workspaces of later steps, and
//! at the end of a local run to the user.
//!
//! A pattern names files and links, as in an independent runner of the same language, which lists only those before it
//! matches. So `dist` and `dist/` name nothing if `dist` is a directory: the vendor's page writes `dist/**` for "all files
//! under the dist folder". Such a pattern is handed back with that hint. `dist/**` also names the directories below, so that
//! an empty one survives. What is called `.git`, at whatever depth, is never captured.
//!
//! <https://support.atlassian.com/bitbucket-cloud/docs/use-artifacts-in-steps/>

use std::collections::BTreeMap;
use std::io;

use cap_fs_ext::DirExt as _;
use cap_std::fs::Dir;

use super::glob::{Pattern, PatternFault};
use super::pack::{Captured, Kind, Label, Reader, Writer};
use super::path::KeptPath;
use super::store::{self, Part};
use super::walk::{Found, Scope, walk};
use super::{Bounds, KeepError, Limit, lay};

pub use super::lay::Laid;

/// Where a local run's artifacts lie in the user's tree.
const COLLECTED: [&str; 2] = [".cofferdam", "artifacts"];

/// The folder of a step whose name has no letter or digit.
const NAMELESS: &str = "step";

/// How often a capture gives way to a second one of the same artifact. They come from two attempts, one of which is over.
const TRIES_MAX: u32 = 4;

/// Which of a build's artifacts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArtifactId {
    /// The step's place in the plan: two steps may have one name.
    pub ordinal: u32,
    /// The step's name.
    pub step: String,
    /// The artifact's own name, of the `upload` form; else empty.
    pub name: String,
}

impl ArtifactId {
    fn entry_name(&self) -> String {
        let parts = [
            &self.ordinal.to_le_bytes(),
            self.step.as_bytes(),
            self.name.as_bytes(),
        ];
        store::entry_name(&format!("{} {}", self.step, self.name), &parts)
    }

    fn label(&self) -> Label {
        Label {
            created: None,
            ordinal: self.ordinal,
            step: self.step.clone(),
            name: self.name.clone(),
        }
    }
}

/// What of a workspace an artifact is.
#[derive(Debug, Clone)]
pub struct Selection {
    patterns: Vec<Pattern>,
    ignore: Vec<Pattern>,
    depth: Option<usize>,
}

impl Selection {
    /// Compiles `paths` and `ignore-paths`. `depth` is how many names a path may have, as in `find -maxdepth`: with 2,
    /// `target/app.jar` is found and `target/lib/a.jar` is not.
    pub fn parse(
        paths: &[String],
        ignore: &[String],
        depth: Option<u32>,
    ) -> Result<Self, (String, PatternFault)> {
        Ok(Self {
            patterns: Pattern::parse_all(paths)?,
            ignore: Pattern::parse_all(ignore)?,
            depth: depth.and_then(|depth| usize::try_from(depth).ok()),
        })
    }

    fn is_left_out(&self, path: &KeptPath) -> bool {
        self.depth.is_some_and(|depth| path.depth() > depth)
            || path.names().any(|name| name == ".git")
            || self.ignore.iter().any(|pattern| pattern.matches(path))
    }
}

impl Scope for Selection {
    fn enters(&self, directory: &KeptPath) -> bool {
        self.depth.is_none_or(|depth| directory.depth() < depth)
            && directory.names().all(|name| name != ".git")
            && self
                .patterns
                .iter()
                .any(|pattern| pattern.may_match_below(directory))
            && !self
                .ignore
                .iter()
                .any(|pattern| pattern.matches_all_below(directory))
    }

    fn takes(&self, path: &KeptPath) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(path)) && !self.is_left_out(path)
    }

    fn takes_directory(&self, path: &KeptPath) -> bool {
        self.patterns
            .iter()
            .any(|pattern| pattern.takes_directories() && pattern.matches(path))
            && !self.is_left_out(path)
    }
}

/// What became of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// What is kept now.
    pub captured: Captured,
    /// The patterns that named nothing, in their order.
    pub unmatched: Vec<Unmatched>,
}

/// A pattern that named nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmatched {
    /// As it was written.
    pub pattern: String,
    /// A directory is there: the user meant the pattern with `/**` behind it.
    pub is_directory: bool,
}

/// Keeps what the selection names. An older capture under the same id is replaced; if nothing is named, nothing is kept and
/// nothing is left of an older one. All at once: until it is whole, nobody sees it, and after an error there is none of it,
/// and the older one stays.
pub fn capture(
    workspace: &Dir,
    selection: &Selection,
    store: &Dir,
    id: &ArtifactId,
    bounds: &Bounds,
) -> Result<Capture, KeepError> {
    let part = Part::begin(store)?;
    let mut writer = Writer::create(part.dir(), &id.label(), bounds)?;
    let mut has_matched = vec![false; selection.patterns.len()];
    let skipped = walk(workspace, selection, bounds, &mut |path, found| {
        for (has_matched, pattern) in has_matched.iter_mut().zip(&selection.patterns) {
            *has_matched = *has_matched || pattern.matches(path);
        }
        write(&mut writer, path, found)
    })?;
    let captured = writer.finish(skipped)?;
    let unmatched = selection
        .patterns
        .iter()
        .zip(has_matched)
        .filter(|(_, has_matched)| !has_matched)
        .map(|(pattern, _)| Unmatched {
            pattern: pattern.as_str().to_owned(),
            is_directory: names_directory(workspace, pattern),
        })
        .collect();
    publish(store, part, id, &captured)?;
    Ok(Capture {
        captured,
        unmatched,
    })
}

/// What the walk found, into a pack.
pub(super) fn write(
    writer: &mut Writer<'_>,
    path: &KeptPath,
    found: Found,
) -> Result<(), KeepError> {
    match found {
        Found::Directory => writer.directory(path),
        Found::Link(target) => writer.link(path, target),
        Found::File(file, metadata) => writer.file(path, file, &metadata),
    }
}

fn publish(
    store: &Dir,
    part: Part<'_>,
    id: &ArtifactId,
    captured: &Captured,
) -> Result<(), KeepError> {
    let name = id.entry_name();
    store::discard(store, &name)?;
    if captured.entries() == 0 {
        return Ok(());
    }
    let mut part = part;
    for _ in 0..TRIES_MAX {
        match part.publish(&name)? {
            None => return Ok(()),
            Some(refused) => part = refused,
        }
        store::discard(store, &name)?;
    }
    Err(KeepError::io(
        "rename to",
        name,
        io::ErrorKind::AlreadyExists.into(),
    ))
}

/// Only for the hint: nothing is opened, and at a link the answer is no.
fn names_directory(workspace: &Dir, pattern: &Pattern) -> bool {
    pattern
        .as_plain_path()
        .and_then(|path| {
            let mut dir = workspace.try_clone().ok()?;
            for name in path.names() {
                dir = dir.open_dir_nofollow(name).ok()?;
            }
            Some(())
        })
        .is_some()
}

/// Lays an artifact out in a later step's workspace; `None` if there is none of that id. Files that are there are replaced,
/// links and files that stand where a directory belongs too. At an error the workspace is half laid out and no use.
pub fn restore(
    store: &Dir,
    id: &ArtifactId,
    workspace: &Dir,
    bounds: &Bounds,
) -> Result<Option<Laid>, KeepError> {
    match Reader::open(store, &id.entry_name())? {
        Some(mut pack) => lay::lay(&mut pack, workspace, &KeptPath::root(), bounds).map(Some),
        None => Ok(None),
    }
}

/// Reads one file of an artifact; `None` if there is no artifact of that id, or no such file in it. More than `bytes_max`
/// is an error. What stands before the file in the artifact is read as well.
pub fn read(
    store: &Dir,
    id: &ArtifactId,
    path: &KeptPath,
    bytes_max: u64,
    bounds: &Bounds,
) -> Result<Option<Vec<u8>>, KeepError> {
    let Some(mut pack) = Reader::open(store, &id.entry_name())? else {
        return Ok(None);
    };
    while let Some(entry) = pack.next_entry()? {
        let Kind::File(facts) = entry.kind else {
            continue;
        };
        if entry.path != *path {
            pack.copy_to(&entry.path, &facts, &mut io::sink(), bounds)?;
            continue;
        }
        if facts.bytes > bytes_max {
            return Err(KeepError::limit(Limit::Bytes(bytes_max), path));
        }
        let mut content = Vec::new();
        pack.copy_to(path, &facts, &mut content, bounds)?;
        return Ok(Some(content));
    }
    Ok(None)
}

/// The artifacts in a store, by the place of their steps in the plan.
pub fn list(store: &Dir) -> Result<Vec<ArtifactId>, KeepError> {
    let mut ids = Vec::new();
    for name in store::entries(store)? {
        let Some(pack) = Reader::open(store, &name)? else {
            continue;
        };
        let Label {
            created: _,
            ordinal,
            step,
            name,
        } = pack.label;
        ids.push(ArtifactId {
            ordinal,
            step,
            name,
        });
    }
    ids.sort_unstable();
    Ok(ids)
}

/// What of one step was laid out for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// The step's place in the plan.
    pub ordinal: u32,
    /// Its name.
    pub step: String,
    /// Its folder below `.cofferdam/artifacts`.
    pub folder: String,
    /// What is in it.
    pub laid: Laid,
}

/// Lays every artifact of a finished local run out below `.cofferdam/artifacts/<step>/` of the user's project, one folder
/// per step; a folder of an earlier run is removed first. A second step whose name gives the same folder gets a number behind it.
///
/// The project's tree came from the repository, so neither `.cofferdam` nor `artifacts` may be a link; and they are the
/// user's, so such a link is an error and not removed.
pub fn collect(store: &Dir, project: &Dir, bounds: &Bounds) -> Result<Vec<Collected>, KeepError> {
    let ids = list(store)?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut out = project
        .try_clone()
        .map_err(|source| KeepError::io("open", "the project", source))?;
    for name in COLLECTED {
        out = own_directory(&out, name)?;
    }
    let mut folders: BTreeMap<String, Collected> = BTreeMap::new();
    for id in ids {
        let folder = folder_of(&id, &folders);
        if !folders.contains_key(&folder) {
            remove_all(&out, &folder)?;
        }
        let path = KeptPath::root().join(folder.as_ref());
        let dir = lay::enter(&out, folder.as_ref(), &path)?;
        let laid = restore(store, &id, &dir, bounds)?.unwrap_or_default();
        let collected = folders.entry(folder.clone()).or_insert(Collected {
            ordinal: id.ordinal,
            step: id.step,
            folder,
            laid: Laid::default(),
        });
        collected.laid.files += laid.files;
        collected.laid.entries += laid.entries;
        collected.laid.bytes += laid.bytes;
    }
    let mut all = folders.into_values().collect::<Vec<_>>();
    all.sort_unstable_by_key(|collected| collected.ordinal);
    Ok(all)
}

/// The step's own folder, or the first name that is free.
fn folder_of(id: &ArtifactId, taken: &BTreeMap<String, Collected>) -> String {
    let slug = match store::slug(&id.step) {
        slug if slug.is_empty() => NAMELESS.to_owned(),
        slug => slug,
    };
    let mut folder = slug.clone();
    let mut number = 2_u32;
    while taken
        .get(&folder)
        .is_some_and(|other| other.ordinal != id.ordinal)
    {
        folder = format!("{slug}-{number}");
        number += 1;
    }
    folder
}

fn own_directory(parent: &Dir, name: &str) -> Result<Dir, KeepError> {
    match parent.create_dir(name) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(KeepError::io("create", name, source)),
    }
    parent
        .open_dir_nofollow(name)
        .map_err(|_not_a_directory| KeepError::NotADirectory {
            path: name.to_owned(),
        })
}

fn remove_all(parent: &Dir, name: &str) -> Result<(), KeepError> {
    match parent.remove_dir_all(name) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A plain file of that name.
        Err(_not_a_directory) => parent
            .remove_file(name)
            .map_err(|source| KeepError::io("remove", name, source)),
    }
}
