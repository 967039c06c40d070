//! Attacks that are in the served repository's own directory: hooks, configuration, and what leads
//! git to other objects. Each is left lying about in a repository that is otherwise well.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;

use cofferdam_git::{Blame, Depth, RefName, RemotePolicy, RemoteUrl};
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, files, programs, small_limits};

/// A name, what makes the attack, and the plain git command that falls for it, if one does.
struct Trap {
    name: &'static str,
    set: fn(&Bench),
    control: &'static [&'static str],
}

const TRAPS: &[Trap] = &[
    Trap {
        name: "hooks of every name",
        set: |b| {
            for hook in [
                "post-checkout",
                "post-index-change",
                "reference-transaction",
                "pre-auto-gc",
                "post-update",
                "update",
            ] {
                b.served.put_program(&format!("hooks/{hook}"), &b.canary());
            }
        },
        control: &["update-ref", "refs/heads/other", "refs/heads/main"],
    },
    Trap {
        name: "hooks in another directory",
        set: |b| {
            b.served
                .put_program("evil/reference-transaction", &b.canary());
            let hooks = b.served.dir.join("evil");
            b.served
                .run(&["config", "core.hooksPath", hooks.to_str().unwrap()]);
        },
        control: &["update-ref", "refs/heads/other", "refs/heads/main"],
    },
    Trap {
        name: "a monitor of the file system",
        set: |b| {
            b.served.run(&["config", "core.bare", "false"]);
            b.served.run(&["read-tree", "refs/heads/main"]);
            let hook = format!("{}; false", b.canary());
            b.served.put_program("monitor", &hook);
            let monitor = b.served.dir.join("monitor");
            b.served
                .run(&["config", "core.fsmonitor", monitor.to_str().unwrap()]);
        },
        control: &["--work-tree=.", "status"],
    },
    Trap {
        name: "an alias, a pager and an editor",
        set: |b| {
            for key in [
                "alias.fetch",
                "alias.upload-pack",
                "core.pager",
                "core.editor",
            ] {
                b.served.run(&["config", key, &format!("!{}", b.canary())]);
            }
            b.served
                .run(&["config", "alias.evil", &format!("!{}", b.canary())]);
        },
        control: &["evil"],
    },
    Trap {
        name: "a program that packs for upload-pack",
        set: |b| {
            b.served
                .run(&["config", "uploadpack.packObjectsHook", &b.canary()]);
        },
        // Git itself listens to this one only outside of a repository.
        control: &[],
    },
    Trap {
        name: "filter drivers that the attributes of its tree name",
        set: |b| {
            for key in ["smudge", "clean", "process"] {
                b.served
                    .run(&["config", &format!("filter.evil.{key}"), &b.canary()]);
            }
            b.served.run(&["config", "core.bare", "false"]);
        },
        control: &[
            "--work-tree=../../work",
            "checkout",
            "-f",
            "refs/heads/main",
            "--",
            "a",
        ],
    },
    Trap {
        name: "a remote that promises missing objects",
        set: |b| {
            b.served
                .run(&["config", "core.repositoryFormatVersion", "1"]);
            b.served.run(&["config", "extensions.partialClone", "evil"]);
            let program = b.served.dir.join("transport");
            b.served.put_program("transport", &b.canary());
            let url = format!("ext::{}", program.display());
            b.served.run(&["config", "remote.evil.url", &url]);
            b.served.run(&["config", "remote.evil.promisor", "true"]);
            b.served.run(&["config", "protocol.ext.allow", "always"]);
            let missing = "1234567890123456789012345678901234567890";
            let tree = b.served.tree(&[("100644", "gone", missing)]);
            let id = b.served.commit(&tree, &[]);
            b.served.point("refs/heads/partial", &id);
        },
        control: &["cat-file", "-p", "1234567890123456789012345678901234567890"],
    },
    Trap {
        name: "configuration that is included, and programs for ssh, proxies and credentials",
        set: |b| {
            let canary = b.canary();
            let config = format!(
                "[core]\n\tsshCommand = {canary}\n\tgitProxy = {canary}\n\taskPass = {canary}\n\
                 \talternateRefsCommand = {canary}\n[credential]\n\thelper = !{canary}\n"
            );
            b.served.put("more", &config);
            let more = b.served.dir.join("more");
            b.served
                .run(&["config", "include.path", more.to_str().unwrap()]);
        },
        control: &["ls-remote", "ssh://localhost/x"],
    },
];

/// A name, and what makes the repository lead to another.
type Detour = (&'static str, fn(&Bench));

/// A repository with one file, whose attributes ask for a filter.
fn fill(bench: &Bench) -> String {
    let served = &bench.served;
    let (attributes, file) = (served.blob("* filter=evil\n"), served.blob("good\n"));
    let tree = served.tree(&[
        ("100644", ".gitattributes", &*attributes),
        ("100644", "a", &*file),
    ]);
    let id = served.commit(&tree, &[]);
    served.point("refs/heads/main", &id);
    id
}

#[tokio::test]
async fn what_lies_in_the_served_directory_does_not_run() {
    for program in programs() {
        for trap in TRAPS {
            let bench = Bench::with(&program, small_limits()).await;
            let id = fill(&bench);
            (trap.set)(&bench);
            // Setting the trap may have sprung it.
            bench.canary_ran();
            let commit = bench.fetch("refs/heads/main", &id).await.unwrap();
            let never = CancellationToken::new();
            commit
                .check_out(&bench.at("work"), Depth::default(), &never)
                .await
                .unwrap();
            bench.assert_unharmed(trap.name);
            assert_eq!(files(&bench.at("work")), [".gitattributes (14)", "a (5)"]);

            if !trap.control.is_empty() {
                bench.served.try_run(trap.control, b"");
                assert!(bench.canary_ran(), "{}: the trap is none", trap.name);
            }
        }
    }
}

#[tokio::test]
async fn a_missing_object_is_not_asked_for_elsewhere() {
    for program in programs() {
        let bench = Bench::with(&program, small_limits()).await;
        fill(&bench);
        let promised = TRAPS
            .iter()
            .find(|trap| trap.name.contains("promises"))
            .unwrap();
        (promised.set)(&bench);
        let id = bench.served.run(&["rev-parse", "refs/heads/partial"]);
        bench.canary_ran();
        bench.fetch("refs/heads/partial", &id).await.unwrap_err();
        bench.assert_unharmed(promised.name);
    }
}

#[tokio::test]
async fn a_replaced_object_is_read_as_what_its_id_says() {
    let bench = Bench::new().await;
    let good = fill(&bench);
    let evil = bench.served.commit(&bench.served.file("evil", "evil"), &[]);
    bench.served.run(&["replace", &good, &evil]);
    assert_eq!(
        bench.served.run(&["ls-tree", "--name-only", &good]),
        "evil",
        "plain git reads the other"
    );
    let commit = bench.fetch("refs/heads/main", &good).await.unwrap();
    let never = CancellationToken::new();
    commit
        .check_out(&bench.at("work"), Depth::default(), &never)
        .await
        .unwrap();
    assert_eq!(files(&bench.at("work")), [".gitattributes (14)", "a (5)"]);
}

#[tokio::test]
async fn a_repository_that_leads_to_another_one_is_refused() {
    let mut answers = String::new();
    let attacks: [Detour; 5] = [
        ("alternates", |b| {
            b.served
                .put("objects/info/alternates", "/srv/secret.git/objects\n");
        }),
        ("alternates by http", |b| {
            b.served
                .put("objects/info/http-alternates", "https://example.com/x\n");
        }),
        ("a common directory", |b| {
            b.served.put("commondir", "/srv/secret.git\n");
        }),
        ("packs behind a link", |b| {
            fs::remove_dir_all(b.served.dir.join("objects/pack")).unwrap();
            symlink(
                "/srv/secret.git/objects/pack",
                b.served.dir.join("objects/pack"),
            )
            .unwrap();
        }),
        ("the whole repository behind a link", |b| {
            let moved = b.at("work").join("repo.git");
            fs::rename(&b.served.dir, &moved).unwrap();
            symlink(moved, &b.served.dir).unwrap();
        }),
    ];
    for (name, attack) in attacks {
        let bench = Bench::new().await;
        let id = fill(&bench);
        // The address was fine when it was parsed.
        let (url, commit) = (bench.url(), id.parse().unwrap());
        attack(&bench);
        let main: RefName = "refs/heads/main".parse().unwrap();
        let never = CancellationToken::new();
        let refused = bench
            .mirror
            .fetch(&url, &main, (&commit, Depth::default()), &never)
            .await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.blame(), Blame::Ours, "the operator's to mend");
        let unparsed = RemoteUrl::parse(url.as_str(), &bench.policy).unwrap_err();
        let (refused, unparsed) = (refused.to_string(), unparsed.to_string());
        let refused = bench.readable(&refused);
        writeln!(answers, "{name}\n  {refused}\n  {unparsed}").unwrap();
    }
    insta::assert_snapshot!(answers, @"
    alternates
      cannot fetch from file://$TMP/root/repo.git: its objects/info/alternates would make git read another repository
      file:// does not lead to a repository: its objects/info/alternates would make git read another repository
    alternates by http
      cannot fetch from file://$TMP/root/repo.git: its objects/info/http-alternates would make git read another repository
      file:// does not lead to a repository: its objects/info/http-alternates would make git read another repository
    a common directory
      cannot fetch from file://$TMP/root/repo.git: its commondir would make git read another repository
      file:// does not lead to a repository: its commondir would make git read another repository
    packs behind a link
      cannot fetch from file://$TMP/root/repo.git: its objects/pack is not a directory
      file:// does not lead to a repository: its objects/pack is not a directory
    the whole repository behind a link
      cannot fetch from file://$TMP/root/repo.git: a part of its path is a link or not a directory
      file:// does not lead to a repository: a part of its path is a link or not a directory
    ");
}

#[tokio::test]
async fn file_addresses_lead_only_below_the_operators_directories() {
    let bench = Bench::new().await;
    fill(&bench);
    let root = bench.at("root");
    fs::create_dir(bench.at("work").join("x.git")).unwrap();
    symlink(bench.at("work"), root.join("link")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    let mut answers = String::new();
    for below in [
        "repo.git",
        "repo",
        "./repo.git",
        "repo.git/",
        "",
        "empty",
        "missing",
        "link/x.git",
        "../root/repo.git",
        "../work",
        "repo.git/../../work",
        "%2e%2e/work",
    ] {
        let url = format!("file://{}/{below}", root.display());
        let answer = match RemoteUrl::parse(&url, &bench.policy) {
            Ok(url) => format!("allowed: {url}"),
            Err(error) => error.to_string(),
        };
        writeln!(answers, "{below}: {}", bench.readable(&answer)).unwrap();
    }
    let url = bench.url().to_string();
    let nowhere = RemoteUrl::parse(&url, &RemotePolicy::default()).unwrap_err();
    writeln!(answers, "without a root: {nowhere}").unwrap();
    let host = url.replace("file:///", "file://localhost/");
    let with_host = RemoteUrl::parse(&host, &bench.policy).unwrap_err();
    writeln!(answers, "with a host: {with_host}").unwrap();
    insta::assert_snapshot!(answers, @"
    repo.git: allowed: file://$TMP/root/repo.git
    repo: allowed: file://$TMP/root/repo
    ./repo.git: allowed: file://$TMP/root/./repo.git
    repo.git/: allowed: file://$TMP/root/repo.git/
    : file:// does not lead to a repository: there is no repository
    empty: file:// does not lead to a repository: there is no repository
    missing: file:// does not lead to a repository: there is no repository
    link/x.git: file:// does not lead to a repository: a part of its path is a link or not a directory
    ../root/repo.git: file:// is allowed only below the directories that the operator names: `--git-file-root` of a hub, `git.file_roots` of a runner
    ../work: file:// is allowed only below the directories that the operator names: `--git-file-root` of a hub, `git.file_roots` of a runner
    repo.git/../../work: file:// is allowed only below the directories that the operator names: `--git-file-root` of a hub, `git.file_roots` of a runner
    %2e%2e/work: the address of a repository cannot hold the character '%'
    without a root: file:// is allowed only below the directories that the operator names: `--git-file-root` of a hub, `git.file_roots` of a runner
    with a host: the host in the address of a repository is not one
    ");
}
