//! Snapshots of somebody's work tree: what is in them, and that his directory stays as it was.

mod index;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use cofferdam_git::{Depth, Git, Limits, Snapshot, WorkTree};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

struct Place {
    dir: TempDir,
    git: Git,
}

impl Place {
    async fn new() -> Self {
        let program = Git::find("/usr/local/bin:/usr/bin:/bin".as_ref()).expect("git is there");
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
            git: Git::open(&program, Limits::default()).await.unwrap(),
        };
        fs::create_dir(place.root()).unwrap();
        place.user(&["init", "--quiet", "-b", "main", "."]);
        place
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// What the user does in his own work tree, with his own git.
    #[expect(clippy::disallowed_methods, reason = "the user's git, not ours")]
    fn user(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"])
            .args(args)
            .current_dir(self.root())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn commit(&self) {
        self.user(&["add", "-A"]);
        self.user(&[
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            "One\n\nand more",
        ]);
    }

    fn tree(&self) -> WorkTree {
        self.git.work_tree(&self.root()).unwrap().unwrap()
    }

    async fn snapshot(&self) -> Snapshot {
        let dir = self.dir.path().join("snapshots");
        self.tree().snapshot(&dir, &never()).await.unwrap()
    }

    /// Checks a snapshot out as a job does, and returns its files with their contents.
    async fn files(&self, snapshot: &Snapshot) -> Vec<String> {
        let commit = &snapshot.commit;
        let out = self.dir.path().join(format!("out-{}", commit.id()));
        fs::create_dir(&out).unwrap();
        commit
            .check_out(&out, Depth::default(), &never())
            .await
            .unwrap();
        let mut files = Vec::new();
        list(&out, &out, &mut files);
        files.sort();
        files
    }
}

fn list(root: &Path, dir: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        if name == ".git" {
            continue;
        }
        let kind = fs::symlink_metadata(&path).unwrap();
        if kind.is_symlink() {
            files.push(format!(
                "{name} -> {}",
                fs::read_link(&path).unwrap().display()
            ));
        } else if kind.is_dir() {
            list(root, &path, files);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            let mark = if kind.permissions().mode() & 0o100 == 0 {
                ""
            } else {
                "*"
            };
            files.push(format!("{name}{mark}: {text}"));
        }
    }
}

fn never() -> CancellationToken {
    CancellationToken::new()
}

#[tokio::test]
async fn a_snapshot_has_what_is_tracked_and_what_is_not_ignored_as_it_is_now() {
    let place = Place::new().await;
    place.write("kept", "as committed");
    place.write("changed", "before");
    place.write("removed", "gone");
    place.write(".gitignore", "*.o\n");
    place.commit();
    place.write("changed", "after");
    place.write("new/untracked", "new");
    place.write("run.sh", "x");
    fs::set_permissions(
        place.root().join("run.sh"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    place.write("main.o", "ignored");
    place.write(".git/info/exclude", "secret\n");
    place.write("secret", "ignored by the user alone");
    place.write(".cofferdam/artifacts/x", "of an earlier run");
    symlink("kept", place.root().join("link")).unwrap();
    fs::remove_file(place.root().join("removed")).unwrap();
    let status = place.user(&["status", "--porcelain"]);
    let snapshot = place.snapshot().await;
    assert!(snapshot.is_changed);
    insta::assert_debug_snapshot!(place.files(&snapshot).await, @r#"
    [
        ".gitignore: *.o\n",
        "changed: after",
        "kept: as committed",
        "link -> kept",
        "new/untracked: new",
        "run.sh*: x",
    ]
    "#);
    assert_eq!(
        place.user(&["status", "--porcelain"]),
        status,
        "the user's index is as it was"
    );
    assert_eq!(place.user(&["count-objects"]).split(' ').next(), Some("6"));
    let head = place.tree().head(&never()).await.unwrap().unwrap();
    let mut changed = place
        .tree()
        .changed(&head.commit, &snapshot, &never())
        .await
        .unwrap()
        .unwrap();
    changed.sort();
    assert_eq!(
        changed,
        ["changed", "link", "new/untracked", "removed", "run.sh"]
    );
}

#[tokio::test]
async fn a_clean_work_tree_is_its_commit() {
    let place = Place::new().await;
    place.write("a", "a");
    place.commit();
    let id = place.user(&["rev-parse", "HEAD"]);
    let snapshot = place.snapshot().await;
    assert!(!snapshot.is_changed);
    assert_eq!(snapshot.commit.id().as_str(), id.trim());
    let head = place.tree().head(&never()).await.unwrap().unwrap();
    assert_eq!(head.branch.as_deref(), Some("main"));
    assert_eq!(head.message, "One\n\nand more");
    assert_eq!(place.files(&snapshot).await, ["a: a"]);
}

#[tokio::test]
async fn the_next_snapshot_follows_the_work_tree() {
    let place = Place::new().await;
    place.write("a", "a");
    place.commit();
    place.write("b", "b");
    drop(place.snapshot().await);
    fs::remove_file(place.root().join("b")).unwrap();
    place.write("a", "c");
    let snapshot = place.snapshot().await;
    assert_eq!(place.files(&snapshot).await, ["a: c"]);
}

#[tokio::test]
async fn before_the_first_commit_there_is_a_snapshot_and_no_head() {
    let place = Place::new().await;
    place.write("a", "a");
    assert_eq!(place.tree().head(&never()).await.unwrap(), None);
    let snapshot = place.snapshot().await;
    assert_eq!(place.files(&snapshot).await, ["a: a"]);
}

#[tokio::test]
async fn a_further_work_tree_and_a_directory_in_it_are_found() {
    let place = Place::new().await;
    place.write("sub/a", "a");
    place.commit();
    place.user(&["worktree", "add", "--quiet", "-b", "side", "../side"]);
    let side = place.dir.path().join("side");
    fs::write(side.join("sub/a"), "other").unwrap();
    let tree = place.git.work_tree(&side.join("sub")).unwrap().unwrap();
    assert_eq!(
        tree.root(),
        place.git.work_tree(&side).unwrap().unwrap().root()
    );
    let head = tree.head(&never()).await.unwrap().unwrap();
    assert_eq!(head.branch.as_deref(), Some("side"));
    let snapshot = tree
        .snapshot(&place.dir.path().join("of-side"), &never())
        .await
        .unwrap();
    assert_eq!(place.files(&snapshot).await, ["sub/a: other"]);
    assert!(place.git.work_tree(Path::new("/")).unwrap().is_none());
}

#[tokio::test]
async fn nothing_that_the_repository_configures_runs() {
    let place = Place::new().await;
    place.write(".gitattributes", "* filter=evil\n");
    place.write("a", "a");
    place.commit();
    let mark = place.dir.path().join("mark");
    let evil = format!("touch '{}'; cat", mark.display());
    for (key, value) in [
        ("filter.evil.clean", evil.as_str()),
        ("filter.evil.smudge", &evil),
        ("core.fsmonitor", &evil),
        ("diff.external", &evil),
    ] {
        place.user(&["config", key, value]);
    }
    place.write("a", "b");
    place.user(&["status"]);
    assert!(mark.exists(), "plain git takes the bait");
    fs::remove_file(&mark).unwrap();
    let snapshot = place.snapshot().await;
    let head = place.tree().head(&never()).await.unwrap().unwrap();
    place
        .tree()
        .changed(&head.commit, &snapshot, &never())
        .await
        .unwrap();
    assert_eq!(place.files(&snapshot).await.len(), 2);
    assert!(!mark.exists(), "something of the repository was executed");
}

#[tokio::test]
async fn two_runs_at_once_do_not_share_a_snapshot() {
    let place = Place::new().await;
    place.write("a", "a");
    let dir = place.dir.path().join("snapshots");
    let first = place.tree().snapshot(&dir, &never()).await.unwrap();
    let second = place.tree().snapshot(&dir, &never()).await.unwrap_err();
    assert!(
        second.to_string().contains("in use by another process"),
        "{second}"
    );
    drop(first);
    place.tree().snapshot(&dir, &never()).await.unwrap();
}

#[tokio::test]
async fn a_revision_is_never_an_option() {
    let place = Place::new().await;
    place.write("a", "a");
    place.commit();
    let tree = place.tree();
    for revision in [
        "--help",
        "-h",
        "--git-dir",
        "nothing",
        "HEAD:a",
        "",
        "HEAD^{tree}",
    ] {
        let found = tree.commit_of(revision, &never()).await.unwrap();
        assert_eq!(found, None, "{revision}");
    }
    for revision in ["HEAD", "main", "@"] {
        assert!(
            tree.commit_of(revision, &never()).await.unwrap().is_some(),
            "{revision}"
        );
    }
}

#[tokio::test]
async fn a_nested_repository_runs_nothing_however_often_it_is_seen() {
    let place = Place::new().await;
    place.write("a", "a");
    place.commit();
    let mark = place.dir.path().join("ran");
    let evil = format!("sh -c 'touch {}; cat'", mark.display());
    place.user(&["init", "--quiet", "-b", "main", "sub"]);
    place.write("sub/.gitattributes", "* filter=evil");
    place.write("sub/b", "b");
    place.user(&["-C", "sub", "add", "-A"]);
    place.user(&["-C", "sub", "commit", "--quiet", "-m", "nested"]);
    for key in ["filter.evil.clean", "filter.evil.process", "core.fsmonitor"] {
        place.user(&["-C", "sub", "config", key, &evil]);
    }
    // A repository may say that git is to look into it.
    place.write(
        ".gitmodules",
        "[submodule \"sub\"]\npath = sub\nurl = ./sub\nignore = none\n",
    );
    let first = place.snapshot().await.commit.id().clone();
    for text in ["c", "cc"] {
        // Of another length, so that only its content tells whether it has changed.
        place.write("sub/b", text);
        let again = place.snapshot().await.commit.id().clone();
        assert_eq!(
            tree_of(&place, &first),
            tree_of(&place, &again),
            "its commit is the same"
        );
    }
    assert!(!mark.exists(), "something of the repository was executed");
    place.user(&["-C", "sub", "commit", "--quiet", "--allow-empty", "-m", "b"]);
    let moved = place.snapshot().await.commit.id().clone();
    assert_ne!(tree_of(&place, &first), tree_of(&place, &moved));
}

fn tree_of(place: &Place, commit: &cofferdam_git::CommitId) -> String {
    let store = place.dir.path().join("snapshots/sha1");
    let store = store.to_str().unwrap();
    place.user(&[
        "--git-dir",
        store,
        "rev-parse",
        &format!("{commit}^{{tree}}"),
    ])
}

#[tokio::test]
async fn a_signed_commit_is_read_whatever_the_repository_says_of_signatures() {
    let place = Place::new().await;
    place.write("a", "a");
    place.commit();
    let object = place.user(&["cat-file", "commit", "HEAD"]);
    let signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ==\n -----END PGP SIGNATURE-----";
    let (headers, message) = object.split_once("\n\n").unwrap();
    let file = place.dir.path().join("object");
    fs::write(&file, format!("{headers}\n{signature}\n\n{message}")).unwrap();
    let file = file.to_str().unwrap();
    let id = place.user(&["hash-object", "-t", "commit", "-w", file]);
    place.user(&["update-ref", "HEAD", id.trim()]);
    let mark = place.dir.path().join("ran");
    let program = place.dir.path().join("gpg");
    fs::write(&program, format!("#!/bin/sh\ntouch {}\n", mark.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    place.user(&["config", "gpg.program", program.to_str().unwrap()]);
    place.user(&["config", "log.showSignature", "true"]);
    place.user(&["log", "-1"]);
    assert!(mark.exists(), "plain git takes the bait");
    fs::remove_file(&mark).unwrap();
    let head = place.tree().head(&never()).await.unwrap().unwrap();
    assert_eq!(head.message, "One\n\nand more");
    assert!(!mark.exists(), "something of the repository was executed");
}

#[tokio::test]
async fn a_file_that_no_checkout_would_take_is_refused_before_it_is_read() {
    let place = Place::new().await;
    place.write("a", "a");
    place.commit();
    // A terabyte of nothing.
    let image = fs::File::create(place.root().join("disk.img")).unwrap();
    image.set_len(1 << 40).unwrap();
    let dir = place.dir.path().join("snapshots");
    let refused = place.tree().snapshot(&dir, &never()).await.unwrap_err();
    insta::assert_snapshot!(refused, @"what is new in the work tree has more than 4294967296 bytes in its files; seen at disk.img; a .gitignore keeps it out");
    place.write(".gitignore", "*.img");
    place.snapshot().await;
}

#[tokio::test]
async fn a_repository_that_git_cannot_read_is_not_taken_for_an_empty_one() {
    let place = Place::new().await;
    place.write("a", "a");
    place.commit();
    place.user(&["config", "core.repositoryFormatVersion", "99"]);
    let refused = place.tree().head(&never()).await.unwrap_err();
    assert!(refused.to_string().contains("99"), "{refused}");
}

#[tokio::test]
async fn a_snapshot_has_as_much_history_as_a_step_asks_for() {
    let place = Place::new().await;
    for number in 0..60 {
        place.write("a", &number.to_string());
        place.commit();
    }
    place.write("a", "changed");
    let snapshot = place.snapshot().await;
    let never = never();
    for (depth, count) in [
        (Depth::newest(1), "1"),
        (Depth::newest(3), "3"),
        (Depth::default(), "50"),
        (Depth::FULL, "61"),
    ] {
        let out = tempfile::tempdir().unwrap();
        let taken = snapshot.commit.check_out(out.path(), depth, &never);
        taken.await.unwrap();
        let at = out.path().to_str().unwrap();
        let counted = place.user(&["-C", at, "rev-list", "--count", "HEAD"]);
        assert_eq!(counted.trim(), count, "{depth:?}");
    }
}

#[tokio::test]
async fn a_snapshot_is_kept_only_where_nobody_else_can_change_it() {
    let place = Place::new().await;
    place.write("a", "a");
    let open = place.dir.path().join("open");
    fs::create_dir(&open).unwrap();
    let dir = open.join("ours/snapshots");
    for (mode, is_refused) in [(0o777, true), (0o1777, false), (0o700, false)] {
        fs::set_permissions(&open, fs::Permissions::from_mode(mode)).unwrap();
        let taken = place.tree().snapshot(&dir, &never()).await;
        assert_eq!(taken.is_err(), is_refused, "{mode:o}: {taken:?}");
    }
}
