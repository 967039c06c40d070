//! Claims that are false, and claims that are hard to prove.

use std::fmt::Write as _;

use cofferdam_git::{Blame, Commit, Depth, Limits};

use crate::bench::{Bench, Served, programs, small_limits};

/// A chain of commits, oldest first.
fn chain(served: &Served, length: usize) -> Vec<String> {
    let tree = served.file("a", "a");
    let mut commits: Vec<String> = Vec::new();
    // `fast-import` writes a thousand commits in the time in which `hash-object` writes one.
    let mut stream = String::new();
    for at in 0..length {
        stream += "commit refs/heads/main\n";
        writeln!(
            stream,
            "committer A <a@example.com> {} +0000",
            1_700_000_000 + at
        )
        .unwrap();
        writeln!(stream, "data 1\nx\nM 040000 {tree} \"\"\n").unwrap();
    }
    let output = served.try_run(&["fast-import", "--quiet"], stream.as_bytes());
    assert!(output.status.success(), "{output:?}");
    let listed = served.run(&["rev-list", "--reverse", "refs/heads/main"]);
    commits.extend(listed.lines().map(str::to_owned));
    assert_eq!(commits.len(), length);
    commits
}

#[tokio::test]
async fn a_claim_is_true_only_if_the_ref_reaches_the_commit() {
    let mut answers = String::new();
    for program in programs() {
        answers.clear();
        let bench = Bench::with(&program, small_limits()).await;
        let served = &bench.served;
        let tree = served.file("a", "a");
        let old = served.commit(&tree, &[]);
        let new = served.commit(&tree, &[&old]);
        let aside = served.commit(&served.file("b", "b"), &[&old]);
        served.point("refs/heads/main", &new);
        served.point("refs/heads/aside", &aside);
        let tag = |name: &str, of: &str| {
            served.run(&["tag", "-a", "-m", "x", name, of]);
            served.run(&["rev-parse", &format!("refs/tags/{name}")])
        };
        let of_commit = tag("v1", &new);
        tag("tree", &tree);
        let missing = "1234567890123456789012345678901234567890";
        for (name, reference, commit) in [
            ("the tip", "refs/heads/main", &*new),
            ("its parent", "refs/heads/main", &*old),
            ("behind a tag", "refs/tags/v1", &*old),
            ("of another branch", "refs/heads/main", &*aside),
            ("newer than the ref", "refs/heads/main", &*aside),
            ("that nobody has", "refs/heads/main", missing),
            ("by a ref that is missing", "refs/heads/none", &*new),
            ("that is a tag", "refs/tags/v1", &*of_commit),
            ("that is a tree", "refs/heads/main", &*tree),
            ("by a tag of a tree", "refs/tags/tree", &*new),
            (
                "with an id of the other kind",
                "refs/heads/main",
                &*"ab".repeat(32),
            ),
        ] {
            let answer = match bench.fetch(reference, commit).await {
                Ok(proven) => format!("true, by {}", proven.reference()),
                Err(error) => {
                    format!(
                        "{:?}: {}",
                        error.blame(),
                        bench.readable(&error.to_string())
                    )
                }
            };
            writeln!(answers, "{name}: {answer}").unwrap();
        }
        bench.assert_unharmed("claims");
    }
    insta::assert_snapshot!(answers, @"
    the tip: true, by refs/heads/main
    its parent: true, by refs/heads/main
    behind a tag: true, by refs/tags/v1
    of another branch: User: refs/heads/main of file://$TMP/root/repo.git does not reach ID
    newer than the ref: User: refs/heads/main of file://$TMP/root/repo.git does not reach ID
    that nobody has: User: refs/heads/main of file://$TMP/root/repo.git does not reach ID
    by a ref that is missing: User: file://$TMP/root/repo.git has no refs/heads/none
    that is a tag: User: ID is a tag, not a commit
    that is a tree: User: ID is a tree, not a commit
    by a tag of a tree: User: refs/tags/tree of file://$TMP/root/repo.git does not reach ID
    with an id of the other kind: User: file://$TMP/root/repo.git has ids of another kind than abababababababababababababababababababababababababababababababab
    ");
}

#[tokio::test]
async fn an_older_commit_is_looked_for_deeper_but_not_without_end() {
    let bench = Bench::new().await;
    let commits = chain(&bench.served, 1_100);
    let from_tip = |generations: usize| &commits[commits.len() - 1 - generations];
    for generations in [0, 49, 50, 51, 999] {
        let commit = bench.fetch("refs/heads/main", from_tip(generations)).await;
        assert!(commit.is_ok(), "{generations}: {commit:?}");
    }
    let refused = bench.fetch("refs/heads/main", from_tip(1_000)).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.blame(), Blame::User);
    insta::assert_snapshot!(bench.readable(&refused.to_string()), @"
    refs/heads/main of file://$TMP/root/repo.git does not reach ID within its newest 1000 generations
    ");
    // An old commit gets its own newest generations.
    let old = bench.fetch("refs/heads/main", from_tip(900)).await.unwrap();
    let work = bench.at("work");
    old.check_out(
        &work,
        Depth::default(),
        &tokio_util::sync::CancellationToken::new(),
    )
    .await
    .unwrap();
    let listed = ["-C", work.to_str().unwrap(), "rev-list", "--count", "HEAD"];
    assert_eq!(bench.served.run(&listed), "50");
}

/// What a step's own git counts in a fresh work tree of this depth.
async fn history(bench: &Bench, commit: &Commit, depth: Depth) -> String {
    let work = tempfile::tempdir().unwrap();
    let never = tokio_util::sync::CancellationToken::new();
    commit.check_out(work.path(), depth, &never).await.unwrap();
    let at = work.path().to_str().unwrap();
    bench.served.run(&["-C", at, "fsck", "--strict"]);
    bench.served.run(&["-C", at, "rev-list", "--count", "HEAD"])
}

#[tokio::test]
async fn a_work_tree_has_as_much_history_as_is_asked_for() {
    for program in programs() {
        let bench = Bench::with(&program, small_limits()).await;
        let commits = chain(&bench.served, 120);
        let tip = commits.last().unwrap();
        let usual = bench.fetch("refs/heads/main", tip).await.unwrap();
        for (depth, count) in [
            (Depth::newest(0), "1"),
            (Depth::newest(1), "1"),
            (Depth::newest(7), "7"),
            (Depth::default(), "50"),
            // The mirror has no more.
            (Depth::FULL, "50"),
        ] {
            assert_eq!(history(&bench, &usual, depth).await, count, "{depth:?}");
        }
        let fetched = bench.fetch_to("refs/heads/main", tip, Depth::newest(80));
        let more = fetched.await.unwrap();
        assert_eq!(history(&bench, &more, Depth::newest(80)).await, "80");
        assert_eq!(history(&bench, &more, Depth::newest(2)).await, "2");
        for _ in 0..2 {
            let fetched = bench.fetch_to("refs/heads/main", tip, Depth::FULL);
            let whole = fetched.await.unwrap();
            assert_eq!(history(&bench, &whole, Depth::FULL).await, "120");
            // A job that asks for less cuts nothing off that another one wants.
            bench.fetch("refs/heads/main", tip).await.unwrap();
            assert_eq!(history(&bench, &whole, Depth::FULL).await, "120");
            assert_eq!(history(&bench, &whole, Depth::default()).await, "50");
        }
        bench.assert_unharmed("history");
    }
}

#[tokio::test]
async fn a_mirror_of_all_history_takes_what_is_pushed_later() {
    let bench = Bench::new().await;
    let tip = chain(&bench.served, 60).pop().unwrap();
    (bench.fetch_to("refs/heads/main", &tip, Depth::FULL))
        .await
        .unwrap();
    let tree = bench.served.file("a", "new");
    let next = bench.served.commit(&tree, &[&tip]);
    bench.served.point("refs/heads/main", &next);
    let commit = bench.fetch("refs/heads/main", &next).await.unwrap();
    assert_eq!(history(&bench, &commit, Depth::FULL).await, "61");
    let never_there = "1".repeat(40);
    let refused = bench.fetch("refs/heads/main", &never_there).await;
    assert_eq!(refused.unwrap_err().blame(), Blame::User);
}

#[tokio::test]
async fn a_branch_that_becomes_a_directory_of_branches_is_still_fetched() {
    let bench = Bench::new().await;
    let id = bench.served.commit(&bench.served.file("a", "a"), &[]);
    bench.served.point("refs/heads/x", &id);
    bench.fetch("refs/heads/x", &id).await.unwrap();
    bench.served.run(&["update-ref", "-d", "refs/heads/x"]);
    bench.served.point("refs/heads/x/y", &id);
    bench.fetch("refs/heads/x/y", &id).await.unwrap();
    // Pushed over with another history.
    let other = bench.served.commit(&bench.served.file("b", "b"), &[]);
    bench.served.point("refs/heads/x/y", &other);
    bench.fetch("refs/heads/x/y", &other).await.unwrap();
    bench.fetch("refs/heads/x/y", &id).await.unwrap_err();
}

#[tokio::test]
async fn a_pack_of_more_than_the_mirrors_bound_is_cut_off() {
    let limits = Limits {
        mirror_bytes_max: 300_000,
        ..small_limits()
    };
    for program in programs() {
        let bench = Bench::with(&program, limits.clone()).await;
        // Bytes that do not compress.
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.to_be_bytes()[0]
        })
        .take(600_000)
        .collect();
        let id = bench.served.commit(&bench.served.file("a", noise), &[]);
        bench.served.point("refs/heads/main", &id);
        let refused = bench.fetch("refs/heads/main", &id).await.unwrap_err();
        assert_eq!(refused.blame(), Blame::User, "{refused}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(bench.readable(&refused.to_string()), @"
    file://$TMP/root/repo.git sent more than 300000 bytes for refs/heads/main
    ");
        }
        // The mirror is as good as before.
        let id = bench.served.commit(&bench.served.file("a", "a"), &[]);
        bench.served.point("refs/heads/main", &id);
        bench.fetch("refs/heads/main", &id).await.unwrap();
    }
}
