//! The step through its one door: arguments in, text and verdict out.

use std::os::unix::fs::symlink;

use super::*;

struct Ran {
    verdict: Verdict,
    out: String,
    complaints: String,
}

fn step(arguments: &[&str]) -> Ran {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let (mut out, mut complaints) = (Vec::new(), Vec::new());
    let verdict = run(&arguments, &mut out, &mut complaints);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        verdict,
        out: text(out),
        complaints: text(complaints),
    }
}

/// A directory with two files, one of them below another, and a link that leads outside.
fn sample() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("sub")).unwrap();
    fs::write(directory.path().join("sub/b"), "two").unwrap();
    fs::write(directory.path().join("a"), "one").unwrap();
    symlink("/etc/passwd", directory.path().join("link")).unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    (directory, path)
}

#[test]
fn a_manifest_lists_every_file_sorted_and_no_link() {
    let (_keep, root) = sample();
    let list = format!("{root}/list");
    let ran = step(&[&root, "--output", &list]);
    assert_eq!(ran.verdict, Verdict::Passed, "{}", ran.complaints);
    let expected = format!(
        "{}  {root}/a\n{}  {root}/sub/b\n",
        digest::of_bytes(b"one"),
        digest::of_bytes(b"two")
    );
    assert_eq!(fs::read_to_string(&list).unwrap(), expected);
    assert!(
        ran.out.ends_with("1 links and special files left out\n"),
        "{}",
        ran.out
    );
}

#[test]
fn the_manifest_never_lists_itself() {
    let (_keep, root) = sample();
    let list = format!("{root}/list");
    step(&[&root, "--output", &list]);
    let first = fs::read_to_string(&list).unwrap();
    step(&[&root, "--output", &list]);
    assert_eq!(fs::read_to_string(&list).unwrap(), first);
}

#[test]
fn a_check_tells_what_changed() {
    let (_keep, root) = sample();
    let list = format!("{root}/list");
    step(&[&root, "--output", &list]);
    assert_eq!(step(&["--check", &list, &root]).verdict, Verdict::Passed);

    fs::write(format!("{root}/a"), "changed").unwrap();
    fs::remove_file(format!("{root}/sub/b")).unwrap();
    fs::write(format!("{root}/new"), "").unwrap();
    let ran = step(&["--check", &list, &root]);
    assert_eq!(ran.verdict, Verdict::Failed);
    assert_eq!(
        ran.out,
        format!(
            "{root}/a: different\n{root}/sub/b: missing\n{root}/new: not listed\n2 files checked, 3 differ\n"
        )
    );
}

#[test]
fn a_listed_file_that_became_a_link_is_not_followed() {
    let (_keep, root) = sample();
    let list = format!("{root}/list");
    step(&[&root, "--output", &list]);
    fs::rename(format!("{root}/a"), format!("{root}/elsewhere")).unwrap();
    symlink("elsewhere", format!("{root}/a")).unwrap();
    let ran = step(&["--check", &list]);
    assert_eq!(
        ran.out,
        format!("{root}/a: not a regular file\n2 files checked, 1 differ\n")
    );
}

#[test]
fn wrong_arguments_are_explained_and_end_with_2() {
    for arguments in [
        &[][..],
        &["--output"],
        &["--output", "x"],
        &["d", "--output", "x", "--check", "y"],
        &["d", "--output", "x", "--output", "y"],
        &["--frobnicate"],
    ] {
        let ran = step(arguments);
        assert_eq!(ran.verdict, Verdict::CouldNotRun, "{arguments:?}");
        assert!(
            ran.complaints.contains("usage: checksum-manifest"),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let ran = step(&["/no/such/place", "--output", "/no/such/list"]);
    assert_eq!(ran.verdict, Verdict::CouldNotRun);
    assert!(
        ran.complaints
            .starts_with("checksum-manifest: cannot read /no/such/place: "),
        "{}",
        ran.complaints
    );
}
