//! One bench for all tests: a store, a workspace to keep from, one to give back to, and a place outside both that holds a
//! secret, which nothing may read into the store and nothing may change.

mod attacks;
mod caches;
mod collected;
mod patterns;
mod trees;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use tempfile::TempDir;

use super::artifact::{self, ArtifactId, Capture, Selection};
use super::{Bounds, KeepError};

/// What stands outside, and must not be found in a store.
const SECRET: &str = "the host's own secret";

struct Bench {
    root: TempDir,
    bounds: Bounds,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            root: tempfile::tempdir().unwrap(),
            bounds: Bounds::default(),
        };
        for name in ["store", "from", "to", "outside"] {
            fs::create_dir(bench.path(name)).unwrap();
        }
        fs::write(bench.path("outside/secret"), SECRET).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn dir(&self, name: &str) -> Dir {
        Dir::open_ambient_dir(self.path(name), ambient_authority()).unwrap()
    }

    /// Writes files below `from`; a name that ends in `/` is an empty directory.
    fn with(self, names: &[&str]) -> Self {
        for name in names {
            let path = self.path("from").join(name);
            if name.ends_with('/') {
                fs::create_dir_all(path).unwrap();
            } else {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, format!("content of {name}")).unwrap();
            }
        }
        self
    }

    fn capture(&self, patterns: &[&str]) -> Result<Capture, KeepError> {
        self.capture_selected(&select(patterns, &[], None))
    }

    fn capture_selected(&self, selection: &Selection) -> Result<Capture, KeepError> {
        let (from, store) = (self.dir("from"), self.dir("store"));
        artifact::capture(&from, selection, &store, &id("build"), &self.bounds)
    }

    fn restore(&self) -> Result<artifact::Laid, KeepError> {
        let (store, to) = (self.dir("store"), self.dir("to"));
        artifact::restore(&store, &id("build"), &to, &self.bounds).map(Option::unwrap)
    }

    /// Captures and gives back; what is below `to` then.
    fn round(&self, patterns: &[&str]) -> BTreeMap<PathBuf, Seen> {
        self.capture(patterns).unwrap();
        self.restore().unwrap();
        tree(&self.path("to"))
    }

    /// The store has exactly these many entries and no half-made one.
    fn assert_kept(&self, count: usize) {
        let names = fs::read_dir(self.path("store"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>();
        assert_eq!(names.len(), count, "{names:?}");
        assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
    }

    /// Nothing outside was read into the store, given to a workspace, or changed.
    fn assert_outside_is_untouched(&self) {
        let outside = tree(&self.path("outside"));
        assert_eq!(outside.len(), 1, "{outside:?}");
        assert_eq!(
            fs::read_to_string(self.path("outside/secret")).unwrap(),
            SECRET
        );
        for name in ["store", "to"] {
            for (path, seen) in tree(&self.path(name)) {
                if let Seen::File { content, .. } = seen {
                    let has_secret = content
                        .windows(SECRET.len())
                        .any(|window| window == SECRET.as_bytes());
                    assert!(!has_secret, "{name}/{}", path.display());
                }
            }
        }
    }
}

fn id(step: &str) -> ArtifactId {
    ArtifactId {
        ordinal: 0,
        step: step.to_owned(),
        name: String::new(),
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn select(patterns: &[&str], ignore: &[&str], depth: Option<u32>) -> Selection {
    Selection::parse(&texts(patterns), &texts(ignore), depth).unwrap()
}

/// What stands at a path, seen without following links.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Directory,
    File { content: Vec<u8>, mode: u32 },
    Link(Vec<u8>),
    Special,
}

/// All that is below a directory, by its path there. Written with the standard library alone, so that it shares no mistake
/// with what it checks.
fn tree(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut seen = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let what = if metadata.is_dir() {
                todo.push(path.clone());
                Seen::Directory
            } else if metadata.is_symlink() {
                Seen::Link(fs::read_link(&path).unwrap().as_os_str().as_bytes().into())
            } else if metadata.is_file() {
                Seen::File {
                    content: fs::read(&path).unwrap(),
                    mode: metadata.permissions().mode() & 0o7777,
                }
            } else {
                Seen::Special
            };
            seen.insert(path.strip_prefix(root).unwrap().to_owned(), what);
        }
    }
    seen
}

/// The paths of a tree that are no directories, sorted as texts.
fn leaves(tree: &BTreeMap<PathBuf, Seen>) -> Vec<&str> {
    let mut leaves = tree
        .iter()
        .filter(|(_, seen)| **seen != Seen::Directory)
        .map(|(path, _)| path.to_str().unwrap())
        .collect::<Vec<_>>();
    leaves.sort_unstable();
    leaves
}
