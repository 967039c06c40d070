//! What was kept is given back as it was.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::super::artifact;
use super::super::{KeepError, Limit};
use super::{Bench, Seen, id, leaves, select, tree};

/// A name with everything in it that a name can have: line breaks, spaces, bytes that are no text.
fn any_name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-c]{1,2}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 1..12),
    ]
    .prop_map(|bytes| {
        let mut bytes = bytes
            .into_iter()
            .filter(|&byte| byte != 0 && byte != b'/')
            .collect::<Vec<_>>();
        if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes == b".git" {
            bytes.push(b'x');
        }
        bytes
    })
}

#[derive(Debug, Clone)]
enum Planted {
    Directory,
    File(Vec<u8>, bool),
    /// How often up, of what is possible there, and then where to.
    Link(usize, Vec<u8>),
}

fn any_planted() -> impl Strategy<Value = Planted> {
    prop_oneof![
        Just(Planted::Directory),
        (
            proptest::collection::vec(any::<u8>(), 0..400),
            any::<bool>()
        )
            .prop_map(|(content, is_executable)| Planted::File(content, is_executable)),
        (0_usize..4, any_name()).prop_map(|(up, name)| Planted::Link(up, name)),
    ]
}

fn plant(bench: &Bench, names: &[Vec<u8>], planted: &Planted) {
    use std::ffi::OsStr;
    let path = names.iter().fold(bench.path("from"), |path, name| {
        path.join(OsStr::from_bytes(name))
    });
    // Another entry may stand in the way; then this one is not there.
    if fs::create_dir_all(path.parent().unwrap()).is_err() || fs::symlink_metadata(&path).is_ok() {
        return;
    }
    match planted {
        Planted::Directory => fs::create_dir(&path).unwrap(),
        Planted::File(content, is_executable) => {
            fs::write(&path, content).unwrap();
            let mode = if *is_executable { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        Planted::Link(up, name) => {
            let mut target = PathBuf::new();
            for _ in 0..(*up).min(names.len() - 1) {
                target.push("..");
            }
            symlink(target.join(OsStr::from_bytes(name)), &path).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn capture_then_restore_gives_the_same_tree(
        entries in proptest::collection::vec((proptest::collection::vec(any_name(), 1..5), any_planted()), 0..30)
    ) {
        let bench = Bench::new();
        for (names, planted) in &entries {
            plant(&bench, names, planted);
        }
        let before = tree(&bench.path("from"));
        let capture = bench.capture(&["**"]).unwrap();
        prop_assert_eq!(capture.captured.skipped.count, 0);
        prop_assert_eq!(capture.captured.entries(), before.len() as u64);
        if !before.is_empty() {
            bench.restore().unwrap();
            // And once more over itself.
            bench.restore().unwrap();
        }
        prop_assert_eq!(tree(&bench.path("to")), before);
    }

    /// Never a panic, and never a path that leaves, whatever an index says.
    #[test]
    fn a_store_with_any_bytes_gives_an_error_and_writes_nothing_outside(
        garbage in proptest::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
    ) {
        let bench = Bench::new().with(&["a/b", "c"]);
        bench.capture(&["**"]).unwrap();
        let entry = fs::read_dir(bench.path("store")).unwrap().next().unwrap().unwrap().path();
        let mut index = fs::read(entry.join("index")).unwrap();
        let at = at.index(index.len());
        let end = index.len().min(at + garbage.len());
        index[at..end].copy_from_slice(&garbage[..end - at]);
        fs::write(entry.join("index"), index).unwrap();
        let _any = bench.restore();
        bench.assert_outside_is_untouched();
    }
}

#[test]
fn of_the_mode_only_the_execute_bit_is_kept() {
    for (mode, kept) in [
        (0o644, 0o644),
        (0o600, 0o644),
        (0o777, 0o755),
        (0o4755, 0o755),
        (0o2711, 0o755),
        (0o1666, 0o644),
    ] {
        let bench = Bench::new().with(&["a"]);
        fs::set_permissions(bench.path("from/a"), fs::Permissions::from_mode(mode)).unwrap();
        let Some(Seen::File { mode: given, .. }) = bench.round(&["a"]).remove(&PathBuf::from("a"))
        else {
            panic!("no file");
        };
        assert_eq!(given, kept, "{mode:o}");
    }
}

#[test]
fn a_file_keeps_its_time() {
    let bench = Bench::new().with(&["a"]);
    let then = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
    fs::File::options()
        .write(true)
        .open(bench.path("from/a"))
        .unwrap()
        .set_modified(then)
        .unwrap();
    bench.round(&["a"]);
    assert_eq!(
        fs::metadata(bench.path("to/a"))
            .unwrap()
            .modified()
            .unwrap(),
        then
    );
}

#[test]
fn equal_trees_have_equal_digests() {
    let digest = |names: &[&str]| {
        Bench::new()
            .with(names)
            .capture(&["**"])
            .unwrap()
            .captured
            .digest
    };
    assert_eq!(digest(&["a", "b/c"]), digest(&["b/c", "a"]));
    assert_ne!(digest(&["a", "b/c"]), digest(&["a", "b/d"]));
    assert_ne!(digest(&["a", "b/"]), digest(&["a"]));
}

#[test]
fn a_tracked_file_is_replaced_and_its_neighbours_stay() {
    let bench = Bench::new().with(&["a/x", "b"]);
    for (path, content) in [("to/b", "tracked"), ("to/neighbour", "tracked")] {
        fs::write(bench.path(path), content).unwrap();
    }
    let after = bench.round(&["**"]);
    assert_eq!(leaves(&after), ["a/x", "b", "neighbour"]);
    assert_eq!(
        fs::read_to_string(bench.path("to/b")).unwrap(),
        "content of b"
    );
}

#[test]
fn a_directory_with_something_in_it_is_not_removed_for_a_file() {
    let bench = Bench::new().with(&["b"]);
    fs::create_dir_all(bench.path("to/b/tracked")).unwrap();
    bench.capture(&["b"]).unwrap();
    let error = bench.restore().unwrap_err();
    assert!(
        matches!(&error, KeepError::InTheWay { path } if path == "b"),
        "{error}"
    );
    fs::remove_dir(bench.path("to/b/tracked")).unwrap();
    bench.restore().unwrap();
    assert_eq!(
        fs::read_to_string(bench.path("to/b")).unwrap(),
        "content of b"
    );
}

#[test]
fn a_second_capture_replaces_the_first_and_an_empty_one_removes_it() {
    let bench = Bench::new().with(&["a"]);
    bench.capture(&["*"]).unwrap();
    fs::rename(bench.path("from/a"), bench.path("from/b")).unwrap();
    assert_eq!(leaves(&bench.round(&["*"])), ["b"]);
    bench.assert_kept(1);
    bench.capture(&["nothing"]).unwrap();
    bench.assert_kept(0);
    let (store, to) = (bench.dir("store"), bench.dir("to"));
    assert_eq!(
        artifact::restore(&store, &id("build"), &to, &bench.bounds).unwrap(),
        None
    );
}

#[test]
fn a_content_that_is_not_what_was_kept_is_an_error() {
    let bench = Bench::new().with(&["a"]);
    bench.capture(&["a"]).unwrap();
    let entry = fs::read_dir(bench.path("store"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    fs::write(entry.join("data"), "content of X").unwrap();
    assert!(matches!(bench.restore(), Err(KeepError::Damaged { .. })));
    fs::write(entry.join("data"), "short").unwrap();
    assert!(matches!(bench.restore(), Err(KeepError::Damaged { .. })));
}

#[test]
fn a_limit_is_named_with_the_path_and_leaves_nothing_half_kept() {
    let files = &["a/1", "a/2", "b/c/d/e"];
    for (change, told) in [
        (
            (|limits| limits.kept_entries_max = 2) as fn(&mut super::super::Limits),
            "more than 2 files, directories and links, reached at `a/2`",
        ),
        (
            |limits| limits.seen_entries_max = 3,
            "more than 3 names to look at, reached at `a`",
        ),
        (
            |limits| limits.bytes_max = 20,
            "more than 20 bytes, reached at `a/2`",
        ),
        (
            |limits| limits.depth_max = 2,
            "more than 2 directories deep, reached at `b/c/d`",
        ),
    ] {
        let mut bench = Bench::new().with(files);
        change(&mut bench.bounds.limits);
        let error = bench.capture(&["**"]).unwrap_err();
        assert_eq!(error.to_string(), told);
        bench.assert_kept(0);
    }
}

#[test]
fn limits_hold_for_what_is_given_back_too() {
    let mut bench = Bench::new().with(&["a", "b"]);
    bench.capture(&["**"]).unwrap();
    bench.bounds.limits.bytes_max = 20;
    let error = bench.restore().unwrap_err();
    assert!(
        matches!(
            error,
            KeepError::Limit {
                limit: Limit::Bytes(20),
                ..
            }
        ),
        "{error}"
    );
    bench.bounds.limits.bytes_max = 1000;
    bench.bounds.limits.kept_entries_max = 1;
    let error = bench.restore().unwrap_err();
    assert!(
        matches!(
            error,
            KeepError::Limit {
                limit: Limit::Entries(1),
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_cancelled_capture_keeps_nothing_and_a_cancelled_restore_ends() {
    let bench = Bench::new().with(&["a"]);
    bench.capture(&["**"]).unwrap();
    bench.bounds.cancel.cancel();
    assert!(matches!(bench.restore(), Err(KeepError::Cancelled)));
    let (from, store) = (bench.dir("from"), bench.dir("store"));
    let second = artifact::capture(
        &from,
        &select(&["**"], &[], None),
        &store,
        &id("second"),
        &bench.bounds,
    );
    assert!(matches!(second, Err(KeepError::Cancelled)));
    bench.assert_kept(1);
}

#[test]
fn the_deepest_tree_that_is_allowed_comes_back() {
    let deep = "d/".repeat(128) + "file";
    let bench = Bench::new().with(&[&deep]);
    assert_eq!(leaves(&bench.round(&["**"])), [deep]);
}
