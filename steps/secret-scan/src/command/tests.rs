//! The step through its one door: arguments in, text and verdict out.

use std::fs;
use std::os::unix::fs::symlink;

use insta::assert_snapshot;

use super::*;

const SECRET_TAIL: &str = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8";

/// The verdict, what was printed, and what was said beside it; the directory's own path is cut out.
fn step(directory: &Path, options: &[&str]) -> (Verdict, String, String) {
    let mut arguments: Vec<OsString> = options.iter().map(OsString::from).collect();
    arguments.push(directory.into());
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let verdict = run(&arguments, &mut out, &mut notes);
    let prefix = format!("{}/", directory.display());
    let text = |bytes| String::from_utf8(bytes).unwrap().replace(&prefix, "");
    (verdict, text(out), text(notes))
}

#[test]
fn a_finding_says_where_and_what_and_never_the_secret() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("src")).unwrap();
    let token = format!("{}{SECRET_TAIL}", "ghp_");
    fs::write(
        directory.path().join("src/deploy.sh"),
        format!("#!/bin/sh\ncurl -H {token}\n"),
    )
    .unwrap();
    fs::write(directory.path().join("a"), format!("{token}\n")).unwrap();

    let (verdict, out, notes) = step(directory.path(), &[]);
    assert_eq!(verdict, Verdict::Failed);
    assert_snapshot!(out, @r"
    a:1:1 github-token e2cacc1d
    src/deploy.sh:2:9 github-token e2cacc1d
    ");
    assert_snapshot!(notes, @"2 files scanned, 2 findings, 0 allowed by a mark");
    assert!(!format!("{out}{notes}").contains(&SECRET_TAIL[..8]));
}

#[test]
fn what_is_no_text_is_left_out_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let token = format!("{}{SECRET_TAIL}", "ghp_");
    fs::write(root.join("binary"), format!("\0{token}")).unwrap();
    fs::create_dir(root.join(".git")).unwrap();
    fs::write(root.join(".git/config"), &token).unwrap();
    symlink("/etc/passwd", root.join("link")).unwrap();
    let large = fs::File::create(root.join("large")).unwrap();
    large.set_len(walk::FILE_BYTES_MAX + 1).unwrap();

    let (verdict, out, notes) = step(root, &["--strict"]);
    assert_eq!((verdict, out.as_str()), (Verdict::Passed, ""));
    assert_snapshot!(notes, @r"
    0 files scanned, 0 findings, 0 allowed by a mark
    left out: 1 binary, 1 larger than 8 MiB, 1 links and special files
    ");
}

#[test]
fn a_scan_that_missed_something_did_not_pass() {
    let (verdict, _, notes) = step(Path::new("/no/such/place"), &[]);
    assert_eq!(verdict, Verdict::CouldNotRun);
    assert!(
        notes.contains("secret-scan: cannot read /no/such/place: "),
        "{notes}"
    );
}

#[test]
fn a_file_name_cannot_imitate_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let token = format!("{}{SECRET_TAIL}", "ghp_");
    fs::write(directory.path().join("a\n\u{1b}[2Jb"), token).unwrap();
    let (_, out, _) = step(directory.path(), &[]);
    assert_snapshot!(out, @r"a\n\u{1b}[2Jb:1:1 github-token e2cacc1d");
}

#[test]
fn an_unknown_option_is_explained() {
    let (verdict, _, notes) = step(Path::new("."), &["--frobnicate"]);
    assert_eq!(verdict, Verdict::CouldNotRun);
    assert!(
        notes.starts_with("secret-scan: unknown option --frobnicate\nusage: "),
        "{notes}"
    );
}
