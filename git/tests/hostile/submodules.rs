//! Attacks that wait for somebody who takes submodules. We leave them out, and still refuse what
//! would attack a step that asks git for them.

use crate::bench::{Bench, programs, small_limits};
use crate::trees::{Attack, answers};

/// A commit that no repository of these tests has.
pub(crate) const OTHER_COMMIT: &str = "1234567890123456789012345678901234567890";

/// A file of submodules with one of them, and an entry for it.
fn submodule(bench: &Bench, path: &str, settings: &str) -> String {
    let served = &bench.served;
    let content = format!("[submodule \"x\"]\n\tpath = {path}\n{settings}\n");
    let modules = served.blob(content.replace("CANARY", &bench.canary()));
    served.tree(&[
        ("100644", ".gitmodules", &*modules),
        ("160000", "x", OTHER_COMMIT),
    ])
}

const SUBMODULES: &[Attack] = &[
    ("ext:: address", |b| {
        submodule(b, "x", "\turl = ext::CANARY")
    }),
    ("option as address", |b| {
        submodule(b, "x", "\turl = --upload-pack=CANARY")
    }),
    ("option hidden behind ./", |b| {
        submodule(b, "x", "\turl = -u./CANARY")
    }),
    ("line end in an address", |b| {
        submodule(b, "x", "\turl = https://x%0ahost=y/z")
    }),
    ("a program as update", |b| {
        submodule(b, "x", "\turl = https://example.com/x\n\tupdate = !CANARY")
    }),
    ("option as path", |b| {
        submodule(b, "-x", "\turl = https://example.com/x")
    }),
    ("carriage return at the end of a path", |b| {
        submodule(b, "\"x\r\"", "\turl = https://example.com/x")
    }),
    ("name that leaves .git/modules", |b| {
        let text = "[submodule \"../../hooks\"]\n\tpath = x\n\turl = https://example.com/x\n";
        b.served.file(".gitmodules", text)
    }),
    (".gitmodules as a link", |b| {
        b.served
            .tree(&[("120000", ".gitmodules", &*b.served.blob("x"))])
    }),
    (
        "a link that differs by case from the submodule's path",
        |b| {
            let text = "[submodule \"x/y\"]\n\tpath = A/modules/x\n\turl = https://example.com/x\n";
            let (modules, link) = (b.served.blob(text), b.served.blob(".git"));
            let inner = b.served.nest("modules/x", "160000", OTHER_COMMIT);
            b.served.tree(&[
                ("100644", ".gitmodules", &*modules),
                ("40000", "A", &*inner),
                ("120000", "a", &*link),
            ])
        },
    ),
];

#[tokio::test]
async fn submodules_are_checked_and_left_out() {
    insta::assert_snapshot!(answers(SUBMODULES).await, @r#"
    ext:: address
      files [".gitmodules (71)", "x/"], submodules left out: 1 ["x"]
    option as address
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: gitmodulesUrl: disallowed submodule url: --upload-pack=touch $TMP/canary/ran
    option hidden behind ./
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: gitmodulesUrl: disallowed submodule url: -u./touch $TMP/canary/ran
    line end in an address
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: gitmodulesUrl: disallowed submodule url: https://x%0ahost=y/z
    a program as update
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: gitmodulesUpdate: disallowed submodule update setting: !touch $TMP/canary/ran
    option as path
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: gitmodulesPath: disallowed submodule path: -x
    carriage return at the end of a path
      files [".gitmodules (58)", "x/"], submodules left out: 1 ["x"]
    name that leaves .git/modules
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: gitmodulesName: disallowed submodule name: ../../hooks
    .gitmodules as a link
      User: file://$TMP/root/repo.git sent an object that git's own check refuses: ID: gitmodulesSymlink: .gitmodules is a symbolic link
    a link that differs by case from the submodule's path
      files [".gitmodules (67)", "A/", "A/modules/", "A/modules/x/", "a -> .git"], submodules left out: 1 ["A/modules/x"]
    "#);
}

#[tokio::test]
async fn plain_git_told_to_take_submodules_runs_what_their_address_says() {
    for program in programs() {
        let bench = Bench::with(&program, small_limits()).await;
        let (_, build) = SUBMODULES[0];
        let tree = build(&bench);
        let id = bench.served.commit(&tree, &[]);
        bench.served.point("refs/heads/main", &id);
        let (from, into) = (bench.served.dir.to_str().unwrap(), bench.at("plain"));
        let clone = [
            "-c",
            "protocol.ext.allow=always",
            "clone",
            "--recurse-submodules",
            "-b",
            "main",
        ];
        bench
            .served
            .try_run(&[&clone[..], &[from, into.to_str().unwrap()]].concat(), b"");
        assert!(bench.canary_ran());
    }
}
