//! What a guest may touch: exactly what it was granted, whichever way it takes to it.

use super::guests::{self, Open, errno};
use super::stand::Stand;

/// A directory of files, granted as options say; each guest's exit status is the errno it got.
fn check(options: &str, cases: &[(&str, Open, i32)]) {
    for stand in Stand::everybody("files of a step") {
        for name in ["files/src/", "files/src/deep/", "files/.git/", "files/out/"] {
            stand.make(name, "");
        }
        for name in [
            "files/lock",
            "files/src/main.c",
            "files/src/deep/x",
            "files/.git/config",
            "secret",
        ] {
            stand.make(name, name);
        }
        std::os::unix::fs::symlink("../../secret", stand.path("files/src/up")).unwrap();
        let options: Vec<&str> = options.split_whitespace().collect();
        for (path, how, expected) in cases {
            let did = stand.run(&guests::open(path, *how), &options, &[]);
            assert_eq!(did.status, *expected, "{how:?} {path}: {}", did.stderr);
            if *how == Open::Read && *expected == errno::SUCCESS {
                let shown = String::from_utf8(did.stdout).unwrap();
                assert!(shown.ends_with(path.rsplit('/').next().unwrap()), "{shown}");
            }
        }
    }
}

#[test]
fn a_guest_reads_what_it_may_read_and_writes_none_of_it() {
    check(
        "--read files/src::src",
        &[
            ("src/main.c", Open::Read, errno::SUCCESS),
            ("src/deep/../main.c", Open::Read, errno::SUCCESS),
            ("src", Open::Directory, errno::SUCCESS),
            ("src/main.c", Open::Write, errno::PERM),
            ("src/new", Open::Create, errno::PERM),
            ("lock", Open::Read, errno::NOENT),
            ("files/lock", Open::Read, errno::NOENT),
            ("../secret", Open::Read, errno::PERM),
            ("src/../../secret", Open::Read, errno::PERM),
            ("/etc/passwd", Open::Read, errno::PERM),
            ("src/up", Open::Read, errno::LOOP),
            ("proc/self/status", Open::Read, errno::NOENT),
        ],
    );
}

#[test]
fn the_most_specific_path_wins_whichever_way_it_is_taken() {
    check(
        "--write files/src::src --read files/src/deep::src/deep",
        &[
            ("src/main.c", Open::Write, errno::SUCCESS),
            ("src/new", Open::Create, errno::SUCCESS),
            ("src/deep/x", Open::Read, errno::SUCCESS),
            ("src/deep/x", Open::Write, errno::IO),
            ("src/deep/../deep/x", Open::Write, errno::IO),
            ("src/deep/new", Open::Create, errno::IO),
        ],
    );
    check(
        "--read files::/ --write files/out::out",
        &[
            ("src/main.c", Open::Read, errno::SUCCESS),
            ("src/main.c", Open::Write, errno::IO),
            ("new", Open::Create, errno::IO),
            ("out/new", Open::Create, errno::SUCCESS),
            ("src/../out/newer", Open::Create, errno::SUCCESS),
        ],
    );
}

#[test]
fn a_single_file_is_granted_without_its_neighbours() {
    check(
        "--read files/lock::deep/down/lock --write files/src/main.c::main.c",
        &[
            ("deep/down/lock", Open::Read, errno::SUCCESS),
            ("deep/down/lock", Open::Write, errno::IO),
            ("main.c", Open::Write, errno::SUCCESS),
            ("deep/down", Open::Directory, errno::SUCCESS),
            ("deep/new", Open::Create, errno::IO),
            ("src/main.c", Open::Read, errno::NOENT),
        ],
    );
}

#[test]
fn git_is_hidden_unless_it_is_granted_by_its_name() {
    check(
        "--write files::/",
        &[
            (".git", Open::Directory, errno::SUCCESS),
            (".git/config", Open::Read, errno::NOENT),
            ("src/../.git/config", Open::Read, errno::NOENT),
            (".git/config", Open::Create, errno::IO),
            ("src/../.git/hooks", Open::Create, errno::IO),
            ("src/main.c", Open::Write, errno::SUCCESS),
        ],
    );
    check(
        "--write files::/ --read files/.git::.git",
        &[
            (".git/config", Open::Read, errno::SUCCESS),
            (".git/config", Open::Write, errno::IO),
            ("src/../.git/new", Open::Create, errno::IO),
        ],
    );
}

#[test]
fn what_a_guest_makes_belongs_to_the_owner_of_the_directory() {
    use std::os::unix::fs::MetadataExt as _;
    for stand in Stand::everybody("owner of new files") {
        let did = stand.run(
            &guests::open("new", Open::Create),
            &["--write", "files::/"],
            &[],
        );
        assert_eq!(did.end(), "0 exit", "{}", did.stderr);
        let owner = |name: &str| {
            let meta = std::fs::metadata(stand.path(name)).unwrap();
            (meta.uid(), meta.gid())
        };
        assert_eq!(owner("files/new"), owner("files"));
        assert_eq!(std::fs::read(stand.path("files/new")).unwrap(), b"written");
        let isolation = did.receipt["isolation"].as_str().unwrap();
        assert!(!isolation.contains("uid 0;"), "{isolation}");
    }
}

#[test]
fn a_guest_path_may_be_absolute_relative_or_the_root() {
    check(
        "--read files/src::/src",
        &[("src/main.c", Open::Read, errno::SUCCESS)],
    );
    check(
        "--read files/src::./a/./b",
        &[("a/b/main.c", Open::Read, errno::SUCCESS)],
    );
    check(
        "--read files/src",
        &[("files/src/main.c", Open::Read, errno::SUCCESS)],
    );
    check(
        "--read files/src::.",
        &[("main.c", Open::Read, errno::SUCCESS)],
    );
}

#[test]
fn a_grant_that_cannot_be_is_126_and_named() {
    let stand = Stand::new();
    stand.make("files/.git/", "");
    stand.make("files/src/", "");
    for (options, expected) in [
        ("--read missing", "read grant `missing`: it does not exist"),
        (
            "--write missing",
            "write grant `missing`: there is no `missing` yet; make it first, as a directory or a file",
        ),
        (
            "--read files::../x",
            "`..` is not possible in a path of a step",
        ),
        ("--read files/../missing", "it does not exist"),
        ("--read ../", "`..` is not possible in a path of a step"),
        ("--read files::", "an empty path"),
        ("--write files/.git", "`.git` is never writable"),
        (
            "--read files --write files",
            "it conflicts with the read grant `files`",
        ),
        (
            "--read files::x --read files/src::x",
            "it conflicts with the read grant `files::x`",
        ),
        (
            "--read files::/ --read guest.wasm::nowhere",
            "there is no `nowhere` inside `files::/`",
        ),
        ("--read /dev/null", "it is neither a file nor a directory"),
        (
            "--net https://user@example.com",
            "net grant `https://user@example.com`: it has a user before `@`; write the host alone",
        ),
    ] {
        let options: Vec<&str> = options.split_whitespace().collect();
        let did = stand.run(&guests::nothing(), &options, &[]);
        assert_eq!(did.end(), "126 refused", "{options:?} {}", did.stderr);
        assert!(did.stderr.contains(expected), "{options:?} {}", did.stderr);
        assert!(
            did.stderr.starts_with("cofferdam: refused: "),
            "{}",
            did.stderr
        );
        let refused = &did.receipt["grants"][0]["refused"];
        assert!(
            refused.as_str().is_some_and(|why| did.stderr.contains(why)),
            "{}",
            did.receipt
        );
    }
}

#[test]
fn the_users_own_path_may_go_through_a_link() {
    let stand = Stand::new();
    stand.make("files/src/", "");
    stand.make("files/src/main.c", "content");
    std::os::unix::fs::symlink("files/src", stand.path("link")).unwrap();
    let did = stand.run(
        &guests::open("link/main.c", Open::Read),
        &["--read", "link"],
        &[],
    );
    assert_eq!((did.status, did.stdout.as_slice()), (0, &b"content"[..]));
}

#[test]
fn without_namespaces_whole_directories_are_granted_and_the_rest_is_refused() {
    let Some(stand) = Stand::hardened("a host without namespaces") else {
        return;
    };
    stand.make("files/src/", "");
    stand.make("files/src/main.c", "content");
    stand.make("files/out/", "");
    let both = ["--read", "files/src::/src", "--write", "files/out::/out"];
    for (path, how, expected) in [
        ("main.c", Open::Read, errno::SUCCESS),
        ("main.c", Open::Write, errno::PERM),
        ("../out", Open::Directory, errno::PERM),
    ] {
        // The first directory is `/src`.
        let did = stand.run(&guests::open(path, how), &both[..2], &[]);
        assert_eq!(did.status, expected, "{how:?} {path}: {}", did.stderr);
        let isolation = did.receipt["isolation"].as_str().unwrap();
        assert!(
            isolation.starts_with("own process; no namespaces on this host"),
            "{isolation}"
        );
    }
    assert_eq!(stand.run(&guests::count_preopens(), &both, &[]).status, 2);
    for (options, expected) in [
        (
            ["--read", "files/src/main.c"],
            "a single file cannot be granted",
        ),
        (
            ["--read", "files/src::/out/src"],
            "a path inside another granted path cannot be granted",
        ),
    ] {
        let options: Vec<&str> = options
            .into_iter()
            .chain(both[2..].iter().copied())
            .collect();
        stand.make("files/out/src/", "");
        let did = stand.run(&guests::nothing(), &options, &[]);
        assert_eq!(did.end(), "126 refused");
        assert!(did.stderr.contains(expected), "{}", did.stderr);
    }
}
