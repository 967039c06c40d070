//! Attacks that are in the tree of a commit.
//!
//! One table: what is tried, and what whoever pushed it reads, or which files there are. After each
//! attack nothing has run and nothing exists outside of the work tree. Where plain git falls for the
//! same repository, a control arm shows it, or the assertion that nothing ran would prove nothing.

use std::fmt::Write as _;

use crate::bench::{Bench, Served, files, programs, small_limits};
use crate::submodules::OTHER_COMMIT;

/// A name, and what makes the tree.
pub(crate) type Attack = (&'static str, fn(&Bench) -> String);

/// A tree with a hook in a directory that is to be taken for `.git`.
fn hook_in(served: &Served, name: &str, canary: &str) -> String {
    let hook = served.blob(format!("#!/bin/sh\n{canary}\n"));
    let hooks = served.nest("hooks/post-checkout", "100755", &hook);
    served.tree(&[("40000", name, &*hooks)])
}

fn attributes(bench: &Bench, content: &str) -> String {
    let served = &bench.served;
    let (attributes, file) = (served.blob(content), served.blob("$Id$ a\nb\n"));
    served.tree(&[
        ("100644", ".gitattributes", &*attributes),
        ("100644", "a.txt", &*file),
    ])
}

const GIT_DIRECTORIES: &[Attack] = &[
    (".git with a hook", |b| {
        hook_in(&b.served, ".git", &b.canary())
    }),
    (".GIT with a hook", |b| {
        hook_in(&b.served, ".GIT", &b.canary())
    }),
    ("git~1 with a hook", |b| {
        hook_in(&b.served, "git~1", &b.canary())
    }),
    (".g, U+200C, it with a hook", |b| {
        hook_in(&b.served, ".g\u{200c}it", &b.canary())
    }),
    ("'.git ' with a hook", |b| {
        hook_in(&b.served, ".git ", &b.canary())
    }),
    (".git. with a hook", |b| {
        hook_in(&b.served, ".git.", &b.canary())
    }),
    (".git::$INDEX_ALLOCATION", |b| {
        hook_in(&b.served, ".git::$INDEX_ALLOCATION", &b.canary())
    }),
    ("sub/.Git with a hook", |b| {
        let inner = hook_in(&b.served, ".Git", &b.canary());
        b.served.tree(&[("40000", "sub", &*inner)])
    }),
    (".git as a link", |b| {
        let link = b.served.blob("../root/repo.git");
        b.served.tree(&[("120000", ".git", &*link)])
    }),
    (".git as a file", |b| {
        b.served.file(".git", "gitdir: ../root/repo.git\n")
    }),
    (".git as a submodule", |b| {
        b.served.tree(&[("160000", ".git", OTHER_COMMIT)])
    }),
    ("a bare repository in a directory", |b| {
        let (head, config) = (
            b.served.blob("ref: refs/heads/x\n"),
            b.served.blob("[core]\n"),
        );
        let objects = b.served.file("keep", "");
        let bare = b.served.tree(&[
            ("100644", "HEAD", &*head),
            ("100644", "config", &*config),
            ("40000", "objects", &*objects),
            ("40000", "refs", &*objects),
        ]);
        b.served.tree(&[("40000", "bare", &*bare)])
    }),
];

const PATHS: &[Attack] = &[
    ("..", |b| {
        b.served
            .tree(&[("40000", "..", &*b.served.file("escaped", "x"))])
    }),
    (".", |b| {
        b.served.tree(&[("40000", ".", &*b.served.file("a", "x"))])
    }),
    ("a name with slashes", |b| b.served.file_named("../escaped")),
    ("an absolute name", |b| b.served.file_named("/escaped")),
    ("a link, then a directory of its name", |b| {
        let link = b.served.blob("..");
        let inner = b.served.file("escaped", "x");
        b.served
            .tree(&[("120000", "a", &*link), ("40000", "a", &*inner)])
    }),
    ("a directory, then a link of its name", |b| {
        let link = b.served.blob("..");
        let inner = b.served.file("escaped", "x");
        b.served
            .tree(&[("40000", "a", &*inner), ("120000", "a", &*link)])
    }),
    ("one name twice, not in order", |b| {
        let (link, blob) = (b.served.blob(".."), b.served.blob("x"));
        let inner = b.served.file("escaped", "x");
        b.served.tree(&[
            ("120000", "a", &*link),
            ("100644", "a.b", &*blob),
            ("40000", "a", &*inner),
        ])
    }),
    ("a link that differs by case", |b| {
        let link = b.served.blob("..");
        let inner = b.served.file("escaped", "x");
        b.served
            .tree(&[("40000", "A", &*inner), ("120000", "a", &*link)])
    }),
    ("links out of the tree", |b| {
        let (up, root) = (b.served.blob("../.."), b.served.blob("/etc/passwd"));
        b.served
            .tree(&[("120000", "root", &*root), ("120000", "up", &*up)])
    }),
    ("an entry of an unknown mode", |b| {
        b.served.tree(&[
            ("100600", "a", &*b.served.blob("x")),
            ("130000", "b", &*b.served.blob("x")),
        ])
    }),
    ("zero-padded modes, as old tools wrote them", |b| {
        b.served
            .tree(&[("040000", "dir", &*b.served.file("a", "x"))])
    }),
    ("control characters in a name", |b| {
        b.served.file_named("a\nb\x1b[2Jc")
    }),
    ("an option as a name", |b| {
        b.served.file_named("--upload-pack=x")
    }),
    ("a name that is not UTF-8", |b| {
        b.served
            .tree(&[("100644", &b"\xff\xfe"[..], &*b.served.blob("x"))])
    }),
    ("a name of 256 bytes", |b| {
        b.served.file_named(&"n".repeat(256))
    }),
    ("a path of 4,000 bytes", |b| {
        b.served.file(&vec!["n".repeat(199); 20].join("/"), "x")
    }),
    ("300 directories deep", |b| {
        b.served.file(&["d"; 300].join("/"), "x")
    }),
];

const ATTRIBUTES: &[Attack] = &[
    ("filter, diff and merge drivers", |b| {
        attributes(b, "* filter=evil diff=evil merge=evil textconv=evil\n")
    }),
    ("a driver in a macro", |b| {
        attributes(b, "[attr]all filter=evil diff=evil\n* all\n")
    }),
    ("filter=lfs", |b| {
        attributes(b, "* filter=lfs diff=lfs merge=lfs -text\n")
    }),
    ("ident", |b| attributes(b, "* ident\n")),
    ("eol=crlf", |b| attributes(b, "* text eol=crlf\n")),
    ("working-tree-encoding", |b| {
        attributes(b, "*.txt working-tree-encoding=UTF-16\n")
    }),
    ("an encoding that nobody knows", |b| {
        attributes(b, "*.txt working-tree-encoding=../../x\n")
    }),
    ("a line of 3,000 bytes", |b| {
        attributes(b, &format!("{} text\n", "x".repeat(3_000)))
    }),
    (".gitattributes as a link", |b| {
        b.served
            .tree(&[("120000", ".gitattributes", &*b.served.blob("/etc/passwd"))])
    }),
    ("ident on many", |b| {
        let (attributes, file) = (
            b.served.blob("* ident\n"),
            b.served.blob("$Id$".repeat(200_000)),
        );
        b.served.tree(&[
            ("100644", ".gitattributes", &*attributes),
            ("100644", "a", &*file),
        ])
    }),
];

const GIANTS: &[Attack] = &[
    ("a billion files", |b| {
        bomb(&b.served, &b.served.blob("x"), "100644")
    }),
    ("a billion empty directories", |b| {
        bomb(&b.served, &b.served.object("tree", b""), "40000")
    }),
    ("one blob under many names", |b| {
        let blob = b.served.blob(vec![0; 100_000]);
        let names: Vec<String> = (0..20).map(|at| format!("{at:03}")).collect();
        let entries: Vec<_> = names.iter().map(|name| ("100644", name, &*blob)).collect();
        b.served.tree(&entries)
    }),
    ("a blob of 2 MiB", |b| {
        b.served.file("a", vec![0; 2 * 1024 * 1024])
    }),
];

/// Nine trees, each ten times the one before.
fn bomb(served: &Served, leaf: &str, mode: &str) -> String {
    let names: Vec<String> = (0..10).map(|at| at.to_string()).collect();
    let (mut mode, mut id) = (mode, leaf.to_owned());
    for _ in 0..9 {
        let entries: Vec<_> = names.iter().map(|name| (mode, name, &*id)).collect();
        id = served.tree(&entries);
        mode = "40000";
    }
    id
}

impl Served {
    fn file_named(&self, name: &str) -> String {
        self.tree(&[("100644", name, &*self.blob("x"))])
    }
}

/// Runs a table with every git on this host, and writes down what the first says. The others must answer
/// in the same way.
pub(crate) async fn answers(attacks: &[Attack]) -> String {
    let mut answers = String::new();
    for (name, build) in attacks {
        let mut kinds = Vec::new();
        for program in programs() {
            let bench = Bench::with(&program, small_limits()).await;
            let tree = build(&bench);
            let outcome = bench.check_out_tree(&tree).await;
            bench.assert_unharmed(name);
            let answer = match &outcome {
                Ok(stats) => {
                    let submodules = match stats.submodule_count {
                        0 => String::new(),
                        count => format!(", submodules left out: {count} {:?}", stats.submodules),
                    };
                    format!("files {:?}{submodules}", files(&bench.at("work")))
                }
                Err(error) => {
                    assert_eq!(
                        files(&bench.at("work")),
                        [""; 0],
                        "{name}: half a work tree"
                    );
                    format!(
                        "{:?}: {}",
                        error.blame(),
                        bench.readable(&error.to_string())
                    )
                }
            };
            if kinds.is_empty() {
                writeln!(answers, "{name}\n  {answer}").unwrap();
            }
            kinds.push(
                outcome
                    .map_err(|error| std::mem::discriminant(&error))
                    .map(drop),
            );
        }
        kinds.dedup();
        assert_eq!(
            kinds.len(),
            1,
            "{name}: one git answers in another way than the other"
        );
    }
    answers
}

#[tokio::test]
async fn nothing_in_a_tree_is_taken_for_gits_own_directory() {
    insta::assert_snapshot!(answers(GIT_DIRECTORIES).await, @r#"
    .git with a hook
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: hasDotgit: contains '.git'
    .GIT with a hook
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: hasDotgit: contains '.git'
    git~1 with a hook
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: hasDotgit: contains '.git'
    .g, U+200C, it with a hook
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: hasDotgit: contains '.git'
    '.git ' with a hook
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: hasDotgit: contains '.git'
    .git. with a hook
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: hasDotgit: contains '.git'
    .git::$INDEX_ALLOCATION
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: hasDotgit: contains '.git'
    sub/.Git with a hook
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: hasDotgit: contains '.git'
    .git as a link
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: hasDotgit: contains '.git'
    .git as a file
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: hasDotgit: contains '.git'
    .git as a submodule
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: hasDotgit: contains '.git'
    a bare repository in a directory
      files ["bare/", "bare/HEAD (18)", "bare/config (7)", "bare/objects/", "bare/objects/keep (0)", "bare/refs/", "bare/refs/keep (0)"]
    "#);
}

#[tokio::test]
async fn no_path_in_a_tree_leads_out_of_the_work_tree() {
    insta::assert_snapshot!(answers(PATHS).await, @r#"
    ..
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: hasDotdot: contains '..'
    .
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: hasDot: contains '.'
    a name with slashes
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: fullPathname: contains full pathnames
    an absolute name
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: fullPathname: contains full pathnames
    a link, then a directory of its name
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: duplicateEntries: contains duplicate file entries
    a directory, then a link of its name
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: duplicateEntries: contains duplicate file entries
    one name twice, not in order
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: duplicateEntries: contains duplicate file entries
    a link that differs by case
      files ["A/", "A/escaped (1)", "a -> .."]
    links out of the tree
      files ["root -> /etc/passwd", "up -> ../.."]
    an entry of an unknown mode
      files ["a (1)", "b/"], submodules left out: 1 ["b"]
    zero-padded modes, as old tools wrote them
      files ["dir/", "dir/a (1)"]
    control characters in a name
      files ["a\\nb\\x1b[2Jc (1)"]
    an option as a name
      files ["--upload-pack=x (1)"]
    a name that is not UTF-8
      files ["\\xff\\xfe (1)"]
    a name of 256 bytes
      User: the tree of ID has a name of more than 255 bytes; seen at nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn…
    a path of 4,000 bytes
      User: the tree of ID has a path of more than 2048 bytes; seen at nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn…
    300 directories deep
      User: the tree of ID has directories more than 128 deep; seen at d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/…
    "#);
}

#[tokio::test]
async fn attributes_run_nothing() {
    insta::assert_snapshot!(answers(ATTRIBUTES).await, @r#"
    filter, diff and merge drivers
      files [".gitattributes (49)", "a.txt (9)"]
    a driver in a macro
      files [".gitattributes (38)", "a.txt (9)"]
    filter=lfs
      files [".gitattributes (38)", "a.txt (9)"]
    ident
      files [".gitattributes (8)", "a.txt (52)"]
    eol=crlf
      files [".gitattributes (17)", "a.txt (11)"]
    working-tree-encoding
      files [".gitattributes (35)", "a.txt (20)"]
    an encoding that nobody knows
      files [".gitattributes (36)", "a.txt (9)"]
    a line of 3,000 bytes
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: gitattributesLineLength: .gitattributes has too long lines to parse
    .gitattributes as a link
      files [".gitattributes -> /etc/passwd"]
    ident on many
      User: the tree of ID has more than 1048576 bytes on disk, after the conversions in its .gitattributes; seen at .gitattributes
    "#);
}

#[tokio::test]
async fn giant_trees_are_refused_before_a_file_is_written() {
    insta::assert_snapshot!(answers(GIANTS).await, @"
    a billion files
      User: the tree of ID has more than 2000 entries; seen at 0/0/0/0/0/1/7/9/5
    a billion empty directories
      User: the tree of ID has more than 2000 entries; seen at 0/0/0/0/0/1/7/9/5
    one blob under many names
      User: the tree of ID has more than 1048576 bytes in its files; seen at 010
    a blob of 2 MiB
      User: the tree of ID has more than 1048576 bytes in its files; seen at a
    ");
}

/// Git's own server dies of this one, and its last words are not the same each time.
#[tokio::test]
async fn an_empty_name_is_refused() {
    for program in programs() {
        let bench = Bench::with(&program, small_limits()).await;
        let tree = bench.served.file_named("");
        bench.check_out_tree(&tree).await.unwrap_err();
        bench.assert_unharmed("an empty name");
    }
}
