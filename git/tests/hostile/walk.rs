//! The straight way: what a well-meant repository becomes.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use cofferdam_git::{Blame, CheckoutStats, Depth, GitError, Limits};
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, files, programs, small_limits};

#[tokio::test]
async fn a_push_becomes_a_file_a_message_and_a_work_tree() {
    for program in programs() {
        let bench = Bench::with(&program, small_limits()).await;
        let served = &bench.served;
        let (hello, script) = (served.blob("hello\n"), served.blob("#!/bin/sh\n"));
        let sub = served.tree(&[
            ("100755", "run.sh", &*script),
            ("120000", "up", &served.blob("../a")),
        ]);
        let tree = served.tree(&[("100644", "a", &*hello), ("40000", "sub", &sub)]);
        let parent = served.commit(&tree, &[]);
        let id = served.commit(&tree, &[&parent]);
        served.point("refs/heads/feature/x", &id);

        let commit = bench.fetch("refs/heads/feature/x", &id).await.unwrap();
        let read = |path: &str| {
            let path = path.parse().unwrap();
            let commit = commit.clone();
            async move { commit.read_file(&path, 100).await }
        };
        assert_eq!(read("./sub/run.sh").await.unwrap().unwrap(), b"#!/bin/sh\n");
        assert_eq!(read("missing").await.unwrap(), None);
        assert_eq!(
            read("sub/up/a").await.unwrap(),
            None,
            "a link is never followed"
        );
        assert_eq!(read("a/b").await.unwrap(), None);
        assert_eq!(commit.message().await.unwrap(), "Say hello\n");

        let work = bench.at("work");
        let stats = commit
            .check_out(&work, Depth::default(), &CancellationToken::new())
            .await;
        assert_eq!(
            stats.unwrap(),
            CheckoutStats {
                entries: 4,
                bytes: 20,
                links: 1,
                submodule_count: 0,
                submodules: vec![],
            }
        );
        assert_eq!(
            files(&work),
            ["a (6)", "sub/", "sub/run.sh (10)", "sub/up -> ../a"]
        );
        // What a step's own git sees.
        let in_work = |args: &[&str]| served.run(&[&["-C", work.to_str().unwrap()], args].concat());
        assert_eq!(
            in_work(&["status", "--porcelain", "--branch"]),
            "## feature/x"
        );
        assert_eq!(in_work(&["rev-list", "HEAD"]), format!("{id}\n{parent}"));
        bench.assert_unharmed("none");
    }
}

#[tokio::test]
async fn the_git_directory_that_a_step_gets_says_nothing_about_the_host() {
    let bench = Bench::new().await;
    let tree = bench.served.file("a", "a");
    bench.check_out_tree(&tree).await.unwrap();

    let git_dir = bench.at("work").join(".git");
    let host = bench.scratch.path().to_str().unwrap().as_bytes();
    let mut seen = Vec::new();
    for file in files(&git_dir) {
        let path = file.rsplit_once(" (").map_or(&*file, |(path, _)| path);
        let Ok(content) = fs::read(git_dir.join(path)) else {
            continue;
        };
        let says_where = content.windows(host.len()).any(|window| window == host);
        assert!(!says_where, "{path} names a directory of the host");
        seen.push(path.split("pack-").next().unwrap().to_owned());
    }
    seen.dedup();
    assert_eq!(
        seen,
        [
            "HEAD",
            "config",
            "index",
            "objects/pack/",
            "refs/heads/main"
        ]
    );
    insta::assert_snapshot!(
        fs::read_to_string(git_dir.join("config")).unwrap().replace('\t', "  "),
        @"
    [core]
      repositoryformatversion = 0
      filemode = true
      bare = false
    "
    );
}

#[tokio::test]
async fn a_tag_and_a_forges_own_ref_are_checked_out_without_a_branch() {
    for reference in ["refs/tags/v1", "refs/pull/7/head"] {
        let bench = Bench::new().await;
        let id = bench.served.commit(&bench.served.file("a", "a"), &[]);
        bench.served.point(reference, &id);
        let commit = bench.fetch(reference, &id).await.unwrap();
        let work = bench.at("work");
        commit
            .check_out(&work, Depth::default(), &CancellationToken::new())
            .await
            .unwrap();
        let head = fs::read_to_string(work.join(".git/HEAD")).unwrap();
        assert_eq!(head, format!("{id}\n"), "{reference}");
        assert_eq!(files(&work), ["a (1)"], "{reference}");
    }
}

#[tokio::test]
async fn a_repository_with_sha256_ids_is_fetched_into_the_same_mirror() {
    let bench = Bench::new().await;
    let other = crate::bench::Served {
        dir: bench.at("root").join("new.git"),
        ..bench.served.clone()
    };
    let dir = other.dir.to_str().unwrap();
    other.run(&["init", "-q", "--bare", "--object-format=sha256", dir]);
    let id = other.commit(&other.file("a", "a"), &[]);
    other.point("refs/heads/main", &id);
    let bench = Bench {
        served: other,
        ..bench
    };

    let commit = bench.fetch("refs/heads/main", &id).await.unwrap();
    let work = bench.at("work");
    commit
        .check_out(&work, Depth::default(), &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(files(&work), ["a (1)"]);
}

#[tokio::test]
async fn only_a_file_is_read_as_a_file_and_only_up_to_the_callers_bound() {
    let bench = Bench::new().await;
    let served = &bench.served;
    let link = served.blob("/etc/passwd");
    let other = "1234567890123456789012345678901234567890";
    let tree = served.tree(&[
        ("100644", "big", &*served.blob([b'x'; 11])),
        ("40000", "dir", &served.file("a", "a")),
        ("120000", "link", &link),
        ("160000", "sub", other),
    ]);
    let id = served.commit(&tree, &[]);
    served.point("refs/heads/main", &id);
    let commit = bench.fetch("refs/heads/main", &id).await.unwrap();
    let mut answers = String::new();
    for path in [
        "big",
        "dir",
        "link",
        "sub",
        "sub/x",
        "--help",
        ":(top)big",
        "b*",
    ] {
        let answer = match commit.read_file(&path.parse().unwrap(), 10).await {
            Ok(found) => format!("{found:?}"),
            Err(error) => {
                assert_eq!(error.blame(), Blame::User);
                bench.readable(&error.to_string())
            }
        };
        writeln!(answers, "{path}: {answer}").unwrap();
    }
    insta::assert_snapshot!(answers, @"
    big: big at ID has 11 bytes, more than the 10 allowed
    dir: dir at ID is a directory, not a file
    link: link at ID is a symbolic link, not a file
    sub: sub at ID is a submodule, not a file
    sub/x: None
    --help: None
    :(top)big: None
    b*: None
    ");
}

#[tokio::test]
async fn a_mirror_is_shared_within_a_process_and_refused_to_another() {
    let bench = Bench::new().await;
    bench.git.mirror(&bench.at("mirror")).await.unwrap();
    // Another `Git` stands for another process: the kernel's lock does not tell them apart.
    let program = bench.served.program.clone();
    let other = cofferdam_git::Git::open(&program, small_limits())
        .await
        .unwrap();
    let refused = other.mirror(&bench.at("mirror")).await;
    assert!(
        matches!(refused, Err(GitError::MirrorBusy { .. })),
        "{refused:?}"
    );
    let dir = bench.at("mirror");
    let Bench {
        git,
        mirror,
        scratch: _scratch,
        ..
    } = bench;
    drop((git, mirror));
    other.mirror(&dir).await.unwrap();
}

#[tokio::test]
async fn a_mirror_that_grew_too_large_is_begun_anew_when_nobody_uses_it() {
    let limits = Limits {
        mirror_bytes_max: 20_000,
        ..small_limits()
    };
    let program = programs().pop_first().unwrap();
    let mut bench = Bench::with(&program, limits).await;
    // Each fetch brings a pack with an index, which has a table of a thousand bytes alone.
    let mut ids = Vec::new();
    let full = loop {
        let content = format!("{}", ids.len());
        let parents: Vec<&str> = ids.last().map(String::as_str).into_iter().collect();
        let id = bench
            .served
            .commit(&bench.served.file("a", content), &parents);
        bench.served.point("refs/heads/main", &id);
        ids.push(id.clone());
        match bench.fetch("refs/heads/main", &id).await {
            Ok(_) => assert!(ids.len() < 100, "the bound does not hold"),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, GitError::MirrorFull { .. }), "{full}");
    assert_eq!(full.blame(), Blame::Infra);

    let dir = bench.at("mirror");
    let unused = bench.git.mirror(&bench.at("other")).await.unwrap();
    drop(std::mem::replace(&mut bench.mirror, unused));
    bench.mirror = bench.git.mirror(&dir).await.unwrap();
    let last = ids.last().unwrap();
    bench.fetch("refs/heads/main", last).await.unwrap();
}

#[tokio::test]
async fn a_work_tree_is_made_only_in_an_empty_directory_of_ours() {
    let bench = Bench::new().await;
    let id = bench.served.commit(&bench.served.file("a", "a"), &[]);
    bench.served.point("refs/heads/main", &id);
    let commit = bench.fetch("refs/heads/main", &id).await.unwrap();
    let (full, link) = (bench.at("work/full"), bench.at("work/link"));
    fs::create_dir(&full).unwrap();
    fs::write(full.join(".git"), "gitdir: /srv/x").unwrap();
    fs::create_dir(bench.at("work/empty")).unwrap();
    symlink(bench.at("work/empty"), &link).unwrap();
    let mut answers = String::new();
    let missing = bench.at("work/missing");
    for into in [
        &full,
        &link,
        &full.join(".git"),
        &missing,
        Path::new("work"),
    ] {
        let refused = commit
            .check_out(into, Depth::default(), &CancellationToken::new())
            .await;
        let refused = bench.readable(&refused.unwrap_err().to_string());
        writeln!(answers, "{refused}").unwrap();
    }
    insta::assert_snapshot!(answers, @"
    the work tree's directory $TMP/work/full is not an empty directory: something is in it
    the work tree's directory $TMP/work/link is not an empty directory: it is something else, or a link
    the work tree's directory $TMP/work/full/.git is not an empty directory: it is something else, or a link
    could not look at the work tree's directory at $TMP/work/missing
    the work tree's directory work is not an empty directory: its path is not absolute
    ");
    assert_eq!(
        fs::read_to_string(full.join(".git")).unwrap(),
        "gitdir: /srv/x"
    );
}
