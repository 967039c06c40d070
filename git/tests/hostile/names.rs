//! Names that others give us: what is accepted, and what whoever gave them reads.

use std::fmt::Write as _;

use cofferdam_git::{CommitId, RefName, RemotePolicy, RemoteUrl, TreePath};
use proptest::prelude::*;

use crate::bench::{Bench, programs, small_limits};

/// What whoever gave these addresses reads.
fn answers(urls: &[&str]) -> String {
    let mut answers = String::new();
    for url in urls {
        let answer = match RemoteUrl::parse(url, &RemotePolicy::default()) {
            Ok(url) => format!("allowed: {url}"),
            Err(error) => error.to_string(),
        };
        writeln!(answers, "{}: {answer}", url.escape_debug()).unwrap();
    }
    answers
}

#[test]
fn an_address_is_https_or_ssh() {
    for url in [
        "https://example.com/team/app.git",
        "https://me@example.com:8443/team/app.git",
        "ssh://git@example.com:22/app.git",
        "ssh://git@example.com/~team/app.git",
        "git@example.com:team/app.git",
        "ssh://[::1]:22/app.git",
    ] {
        let parsed = RemoteUrl::parse(url, &RemotePolicy::default()).unwrap();
        assert_eq!(parsed.as_str(), url);
    }
}

const OTHER_PROTOCOLS: &[&str] = &[
    "http://example.com/a",
    "HTTP://example.com/a",
    "git://example.com/a",
    "ext::sh -c touch% /tmp/x",
    "EXT::sh",
    "fd::17",
    "evil::https://example.com/a",
    "https::ext::x",
    "evil://example.com/a",
    "file:///srv/app.git",
    "/srv/app.git",
    "../app.git",
    "app.git",
    "example.com:app.git",
];

#[test]
fn other_protocols_are_refused_by_name() {
    insta::assert_snapshot!(answers(OTHER_PROTOCOLS), @"
    http://example.com/a: http:// (anyone on the way could change the code) is not allowed for a repository: use https:// or ssh://
    HTTP://example.com/a: http:// (anyone on the way could change the code) is not allowed for a repository: use https:// or ssh://
    git://example.com/a: git:// (anyone on the way could change the code) is not allowed for a repository: use https:// or ssh://
    ext::sh -c touch% /tmp/x: ext:: (it runs a program) is not allowed for a repository: use https:// or ssh://
    EXT::sh: ext:: (it runs a program) is not allowed for a repository: use https:// or ssh://
    fd::17: fd:: is not allowed for a repository: use https:// or ssh://
    evil::https://example.com/a: an unknown protocol is not allowed for a repository: use https:// or ssh://
    https::ext::x: an unknown protocol is not allowed for a repository: use https:// or ssh://
    evil://example.com/a: an unknown protocol is not allowed for a repository: use https:// or ssh://
    file:///srv/app.git: file:// is allowed only below the directories that the operator names: `--git-file-root` of a hub, `git.file_roots` of a runner
    /srv/app.git: a path without file:// is not allowed for a repository: use https:// or ssh://
    ../app.git: the address of a repository is needed: https://host/path, ssh://user@host/path
    app.git: the address of a repository is needed: https://host/path, ssh://user@host/path
    example.com:app.git: the address of a repository is needed: https://host/path, ssh://user@host/path
    ");
}

const OPTIONS: &[&str] = &[
    "",
    "--upload-pack=touch /tmp/x",
    "-oProxyCommand=touch",
    "https://-oProxyCommand=x/a",
    "ssh://-oProxyCommand=touch/a",
    "ssh://git@-oProxyCommand=touch/a",
    "ssh://-x@example.com/a",
    "-u@example.com:a",
    "git@-oProxyCommand=x:a",
    "git@example.com:-x",
    "git@example.com:",
];

#[test]
fn what_git_or_ssh_would_take_for_an_option_is_no_address() {
    insta::assert_snapshot!(answers(OPTIONS), @"
    : the address of a repository is needed: https://host/path, ssh://user@host/path
    --upload-pack=touch /tmp/x: the address of a repository does not start with a dash
    -oProxyCommand=touch: the address of a repository does not start with a dash
    https://-oProxyCommand=x/a: the host in the address of a repository is not one
    ssh://-oProxyCommand=touch/a: the host in the address of a repository is not one
    ssh://git@-oProxyCommand=touch/a: the host in the address of a repository is not one
    ssh://-x@example.com/a: the user name in the address of a repository is not one
    -u@example.com:a: the address of a repository does not start with a dash
    git@-oProxyCommand=x:a: the host in the address of a repository is not one
    git@example.com:-x: the path in the address of a repository is not one
    git@example.com:: the path in the address of a repository is not one
    ");
}

const ODD_PARTS: &[&str] = &[
    "https://me:secret@example.com/a",
    "https://@example.com/a",
    "https://example.com",
    "https:///a",
    "https://example.com:0/a",
    "https://example.com:99999/a",
    "https://example.com:+1/a",
    "https://[::1/a",
    "https://[::1]x/a",
    "https://example.com/a?b",
    "https://example.com/a#b",
    "https://example.com/a b",
    "https://example.com/../a",
    "https://example.com/%0ahost=x",
    "https://example.com/%zz",
    "https://example.com/%+1",
    "https://example.com/a\nb",
    "https://ex\u{e4}mple.com/a",
    "https://exam_ple..com/a",
];

#[test]
fn an_address_with_an_odd_part_is_refused_for_that_part() {
    insta::assert_snapshot!(answers(ODD_PARTS), @r#"
    https://me:secret@example.com/a: the address of a repository holds no password: it would be seen in logs
    https://@example.com/a: the user name in the address of a repository is not one
    https://example.com: the path in the address of a repository is not one
    https:///a: the host in the address of a repository is not one
    https://example.com:0/a: the port in the address of a repository is not one
    https://example.com:99999/a: the port in the address of a repository is not one
    https://example.com:+1/a: the port in the address of a repository is not one
    https://[::1/a: the host in the address of a repository is not one
    https://[::1]x/a: the port in the address of a repository is not one
    https://example.com/a?b: the address of a repository cannot hold the character '?'
    https://example.com/a#b: the address of a repository cannot hold the character '#'
    https://example.com/a b: the address of a repository cannot hold the character ' '
    https://example.com/../a: the path in the address of a repository is not one
    https://example.com/%0ahost=x: the path in the address of a repository is not one
    https://example.com/%zz: the path in the address of a repository is not one
    https://example.com/%+1: the path in the address of a repository is not one
    https://example.com/a\nb: the address of a repository cannot hold the character '\n'
    https://exämple.com/a: the host in the address of a repository is not one
    https://exam_ple..com/a: the host in the address of a repository is not one
    "#);
}

#[test]
fn a_ref_is_a_full_name_that_git_itself_accepts() {
    for reference in [
        "refs/heads/main",
        "refs/heads/a-/-b",
        "refs/pull/1/head",
        "refs/tags/v1.0",
    ] {
        reference.parse::<RefName>().unwrap();
    }
    for reference in [
        "",
        "main",
        "HEAD",
        "refs/heads",
        "refs/heads/",
        "/refs/heads/a",
        "-refs/heads/a",
        "refs/heads/-x",
        "refs/heads/--upload-pack=x",
        "refs/heads/a..b",
        "refs/heads/.a",
        "refs/heads/a.lock",
        "refs/heads/a.lock/b",
        "refs/heads/a.",
        "refs/heads//a",
        "refs/heads/@{u}",
        "refs/heads/a:b",
        "refs/heads/a b",
        "refs/heads/a\n",
        "refs/heads/a*",
        "+refs/heads/a",
        "^refs/heads/a",
        "refs/../heads/a",
        "refs/heads/a\\b",
        "refs/heads/a\0",
        "refs/heads/a~1",
        "refs/heads/a^",
        "refs/heads/[a]",
        "refs/heads/a?",
    ] {
        reference.parse::<RefName>().expect_err(reference);
    }
}

#[test]
fn a_commit_is_named_by_its_full_id_alone() {
    for id in [
        "",
        "HEAD",
        "abc1234",
        "--all",
        "@{-1}",
        "main",
        "1234567890123456789012345678901234567890\n",
        "ABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCD",
        "123456789012345678901234567890123456789",
        "12345678901234567890123456789012345678g0",
        "1234567890123456789012345678901234567890^{commit}",
    ] {
        id.parse::<CommitId>().expect_err(id);
    }
}

#[test]
fn a_path_in_a_tree_is_relative_and_stays_inside() {
    for (text, path) in [("./ci/a.wasm", "ci/a.wasm"), ("a/./b", "a/b"), ("-a", "-a")] {
        assert_eq!(text.parse::<TreePath>().unwrap().as_str(), path);
    }
    for text in [
        "", ".", "/a", "..", "a/../b", "../a", "a//b", "a/", "a\nb", "a\0",
    ] {
        text.parse::<TreePath>().expect_err(text);
    }
}

/// Text that is close to what the parsers look for.
fn hostile_text() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "https://",
        "ssh://",
        "file://",
        "ext::",
        "git@",
        "-",
        "--",
        "@",
        ":",
        "/",
        ".",
        "..",
        "%",
        "%0a",
        "[",
        "]",
        "::1",
        "22",
        "example.com",
        "refs/",
        "heads/",
        "tags/",
        "main",
        ".lock",
        "@{",
        "\n",
        "\0",
        " ",
        "\\",
        "\u{200c}",
        "\u{e9}",
        "1234567890",
        "abcdefabcd",
        "~",
        "?",
    ]);
    prop_oneof![
        any::<String>(),
        prop::collection::vec(pieces, 0..10).prop_map(|pieces| pieces.concat()),
        prop::collection::vec(prop::sample::select(b"0123456789abcdefg".to_vec()), 38..66)
            .prop_map(|digits| String::from_utf8(digits).unwrap()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn an_accepted_name_is_harmless_as_an_argument_and_reads_back_the_same(text in hostile_text()) {
        let policy = RemotePolicy::default();
        let mut accepted = Vec::new();
        if let Ok(url) = RemoteUrl::parse(&text, &policy) {
            // What git takes for a helper's name: letters, and then two colons.
            let helper = text.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
            prop_assert!(!helper.starts_with("::"));
            prop_assert_eq!(&RemoteUrl::parse(url.as_str(), &policy).unwrap(), &url);
            accepted.push(url.to_string());
        }
        if let Ok(reference) = text.parse::<RefName>() {
            prop_assert_eq!(&reference.as_str().parse::<RefName>().unwrap(), &reference);
            prop_assert!(!reference.branch().or(reference.tag()).is_some_and(|x| x.starts_with('-')));
            accepted.push(reference.to_string());
        }
        if let Ok(id) = text.parse::<CommitId>() {
            prop_assert_eq!(&id.as_str().parse::<CommitId>().unwrap(), &id);
            accepted.push(id.to_string());
        }
        for name in accepted {
            prop_assert!(!name.starts_with('-'));
            prop_assert!(!name.chars().any(char::is_control));
            prop_assert_eq!(name, text.clone());
        }
        if let Ok(path) = text.parse::<TreePath>() {
            prop_assert_eq!(&path.as_str().parse::<TreePath>().unwrap(), &path);
            let leads_out = |part: &str| matches!(part, "" | "." | "..");
            prop_assert!(!path.as_str().split('/').any(leads_out));
        }
    }
}

/// Plain git says yes to every ref that we accept.
#[tokio::test]
async fn git_has_no_stricter_rules_for_refs() {
    let bench = Bench::with(programs().first().unwrap(), small_limits()).await;
    for reference in [
        "refs/heads/a-/-b",
        "refs/heads/\u{e9}",
        "refs/x/@",
        "refs/heads/a@b",
        "refs/a/b.c",
    ] {
        reference.parse::<RefName>().unwrap();
        bench.served.run(&["check-ref-format", reference]);
    }
}

/// The same texts make plain git run a program.
#[tokio::test]
async fn plain_git_takes_these_for_a_program_or_an_option() {
    let bench = Bench::new().await;
    let repository = bench.served.dir.to_str().unwrap();
    let transport = format!("ext::{}", bench.canary());
    let plain = ["-c", "protocol.ext.allow=always", "ls-remote", &transport];
    bench.served.try_run(&plain, b"");
    assert!(bench.canary_ran(), "ext::");
    let option = format!("--upload-pack={};", bench.canary());
    bench
        .served
        .try_run(&["ls-remote", &option, repository], b"");
    assert!(bench.canary_ran(), "--upload-pack");
}
