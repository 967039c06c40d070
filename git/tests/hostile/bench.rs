//! A scratch directory with a repository to serve, a mirror, a place for a work tree, and a place
//! where nothing may ever appear. Objects are made by plain git plumbing, so that they can be wrong.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cofferdam_git::{
    CheckoutStats, Commit, Depth, Git, GitError, Limits, Mirror, RemotePolicy, RemoteUrl,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Where git programs are looked for. All of them that exist are tried by the tables.
const SEARCH_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

pub(crate) struct Bench {
    pub(crate) scratch: TempDir,
    pub(crate) served: Served,
    pub(crate) git: Git,
    pub(crate) mirror: Mirror,
    pub(crate) policy: RemotePolicy,
}

/// A bare repository of the attacker, and plain git to work on it.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) program: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) home: PathBuf,
}

/// Bounds small enough that a test reaches them quickly.
pub(crate) fn small_limits() -> Limits {
    Limits {
        mirror_bytes_max: 8 * 1024 * 1024,
        tree_entries_max: 2_000,
        tree_bytes_max: 1024 * 1024,
        ..Limits::default()
    }
}

/// Every git program on this host, by its real place.
pub(crate) fn programs() -> BTreeSet<PathBuf> {
    let found: BTreeSet<PathBuf> = SEARCH_PATH
        .split(':')
        .filter_map(|directory| Git::find(OsStr::new(directory)))
        // `/bin` is often a link to `/usr/bin`.
        .filter(|program| {
            !fs::symlink_metadata(program.parent().unwrap()).is_ok_and(|found| found.is_symlink())
        })
        .collect();
    assert!(!found.is_empty(), "the tests need git");
    found
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(&Git::find(OsStr::new(SEARCH_PATH)).unwrap(), small_limits()).await
    }

    pub(crate) async fn with(program: &Path, limits: Limits) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        for directory in ["root", "home", "canary", "work"] {
            fs::create_dir(at(directory)).unwrap();
        }
        let served = Served {
            // What stands in for git does so for us alone.
            program: (programs().into_iter())
                .find(|real| real == program)
                .unwrap_or_else(|| programs().pop_first().unwrap()),
            dir: at("root").join("repo.git"),
            home: at("home"),
        };
        served.run(&["init", "-q", "--bare", served.dir.to_str().unwrap()]);
        let git = Git::open(program, limits).await.unwrap();
        let mirror = git.mirror(&at("mirror")).await.unwrap();
        let policy = RemotePolicy {
            file_roots: vec![at("root")],
        };
        Self {
            scratch,
            served,
            git,
            mirror,
            policy,
        }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    pub(crate) fn url(&self) -> RemoteUrl {
        let text = format!("file://{}", self.served.dir.display());
        RemoteUrl::parse(&text, &self.policy).unwrap()
    }

    pub(crate) async fn fetch(&self, reference: &str, commit: &str) -> Result<Commit, GitError> {
        self.fetch_to(reference, commit, Depth::default()).await
    }

    pub(crate) async fn fetch_to(
        &self,
        reference: &str,
        commit: &str,
        depth: Depth,
    ) -> Result<Commit, GitError> {
        let (reference, commit) = (reference.parse().unwrap(), commit.parse().unwrap());
        self.mirror
            .fetch(
                &self.url(),
                &reference,
                (&commit, depth),
                &CancellationToken::new(),
            )
            .await
    }

    /// Points `refs/heads/main` at a commit of this tree, and takes it all the way to a work tree.
    pub(crate) async fn check_out_tree(&self, tree: &str) -> Result<CheckoutStats, GitError> {
        let id = self.served.commit(tree, &[]);
        self.served.point("refs/heads/main", &id);
        let commit = self.fetch("refs/heads/main", &id).await?;
        commit
            .check_out(
                &self.at("work"),
                Depth::default(),
                &CancellationToken::new(),
            )
            .await
    }

    /// A shell command that leaves a trace if anybody runs it.
    pub(crate) fn canary(&self) -> String {
        format!("touch {}/ran", self.at("canary").display())
    }

    /// Whether the canary ran; it is set up again for the next.
    pub(crate) fn canary_ran(&self) -> bool {
        fs::remove_file(self.at("canary").join("ran")).is_ok()
    }

    /// Nothing ran, and nothing exists outside of the work tree that was not there before.
    pub(crate) fn assert_unharmed(&self, attack: &str) {
        let left: Vec<String> = names(&self.at("canary"));
        assert!(left.is_empty(), "{attack}: something ran: {left:?}");
        let known = ["canary", "home", "mirror", "root", "work"];
        let all = names(self.scratch.path());
        assert_eq!(all, known, "{attack}: something escaped");
        assert_eq!(names(&self.at("home")), [""; 0], "{attack}: wrote to HOME");
    }

    /// A message as it reads on every host and for every id.
    pub(crate) fn readable(&self, message: &str) -> String {
        let message = message.replace(self.scratch.path().to_str().unwrap(), "$TMP");
        let mut readable = String::new();
        let mut rest = message.as_str();
        while let Some(start) = rest.find(|character: char| character.is_ascii_hexdigit()) {
            let (before, from) = rest.split_at(start);
            let end = from
                .find(|character: char| !character.is_ascii_hexdigit())
                .unwrap_or(from.len());
            let (digits, after) = from.split_at(end);
            readable.push_str(before);
            readable.push_str(if end == 40 { "ID" } else { digits });
            rest = after;
        }
        readable + rest
    }
}

impl Served {
    /// Runs plain git on the repository, as somebody with an empty home would. It must succeed.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        let output = self.try_run(args, b"");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn try_run(&self, args: &[&str], input: &[u8]) -> Output {
        #[expect(clippy::disallowed_methods, reason = "the attacker's own git")]
        let mut child = Command::new(&self.program)
            .args(args)
            .current_dir(if self.dir.exists() {
                &self.dir
            } else {
                &self.home
            })
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .env("HOME", &self.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_AUTHOR_NAME", "A")
            .env("GIT_AUTHOR_EMAIL", "a@example.com")
            .env("GIT_AUTHOR_DATE", "1700000000 +0000")
            .env("GIT_COMMITTER_NAME", "A")
            .env("GIT_COMMITTER_EMAIL", "a@example.com")
            .env("GIT_COMMITTER_DATE", "1700000000 +0000")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let feeding = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        // A program that does not read its input is no failure of the test.
        drop(feeding.join().unwrap());
        output
    }

    /// Writes an object without any check.
    pub(crate) fn object(&self, kind: &str, bytes: &[u8]) -> String {
        let args = ["hash-object", "-w", "--stdin", "--literally", "-t", kind];
        let output = self.try_run(&args, bytes);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn blob(&self, bytes: impl AsRef<[u8]>) -> String {
        self.object("blob", bytes.as_ref())
    }

    /// Writes a tree of exactly these entries, in this order, whatever they are.
    pub(crate) fn tree(&self, entries: &[(&str, impl AsRef<[u8]>, &str)]) -> String {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend_from_slice(mode.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(name.as_ref());
            bytes.push(0);
            bytes.extend(
                (0..id.len())
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()),
            );
        }
        self.object("tree", &bytes)
    }

    /// A tree with one file under a path.
    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) -> String {
        let blob = self.blob(content);
        self.nest(path, "100644", &blob)
    }

    /// A tree that leads to one entry under a path.
    pub(crate) fn nest(&self, path: &str, mode: &str, id: &str) -> String {
        let mut names = path.rsplit('/');
        let mut tree = self.tree(&[(mode, names.next().unwrap(), id)]);
        for name in names {
            tree = self.tree(&[("40000", name, &tree)]);
        }
        tree
    }

    pub(crate) fn commit(&self, tree: &str, parents: &[&str]) -> String {
        let mut object = format!("tree {tree}\n");
        for parent in parents {
            object.extend(["parent ", parent, "\n"]);
        }
        object += "author A <a@example.com> 1700000000 +0000\n";
        object += "committer A <a@example.com> 1700000000 +0000\n\nSay hello\n";
        self.object("commit", object.as_bytes())
    }

    pub(crate) fn point(&self, reference: &str, id: &str) {
        self.run(&["update-ref", reference, id]);
    }

    /// Puts a file into the repository's own directory.
    pub(crate) fn put(&self, path: &str, content: &str) {
        let path = self.dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Puts a program there.
    pub(crate) fn put_program(&self, path: &str, command: &str) {
        self.put(path, &format!("#!/bin/sh\n{command}\n"));
        make_executable(&self.dir.join(path));
    }
}

pub(crate) fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What is in a directory, sorted, as text.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Every path below a directory without `.git`, sorted: files with their length, links with their
/// target.
pub(crate) fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(at) = waiting.pop() {
        for entry in fs::read_dir(at).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let shown = path.strip_prefix(directory).unwrap().as_os_str();
            let shown = shown.as_bytes().escape_ascii().to_string();
            let kind = entry.file_type().unwrap();
            if shown == ".git" {
                continue;
            }
            if kind.is_symlink() {
                found.push(format!(
                    "{shown} -> {}",
                    fs::read_link(path).unwrap().display()
                ));
            } else if kind.is_dir() {
                found.push(format!("{shown}/"));
                waiting.push(path);
            } else {
                found.push(format!("{shown} ({})", entry.metadata().unwrap().len()));
            }
        }
    }
    found.sort();
    found
}
