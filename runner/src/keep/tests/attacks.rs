//! What a hostile step leaves behind, and what comes of it: shown by the store, and by nothing outside being read or changed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, OFlags, mkdirat, mknodat, openat};

use super::super::{KeepError, Limit, SkippedWhy};
use super::{Bench, SECRET, Seen, leaves, tree};

fn fifo(path: &std::path::Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
}

#[test]
fn a_link_that_leaves_is_passed_over_and_one_that_stays_is_kept() {
    for (target, is_kept) in [
        ("/etc/passwd", false),
        ("../../outside/secret", false),
        ("../../../../../../etc/passwd", false),
        ("x/../../../outside/secret", false),
        ("../other", true),
        ("a", true),
        ("missing", true),
    ] {
        let bench = Bench::new().with(&["d/a", "other"]);
        symlink(target, bench.path("from/d/link")).unwrap();
        let capture = bench.capture(&["**"]).unwrap();
        assert_eq!(capture.captured.links, u64::from(is_kept), "{target}");
        let skipped = &capture.captured.skipped;
        assert_eq!(skipped.count, u64::from(!is_kept), "{target}");
        if !is_kept {
            assert_eq!(skipped.named[0].path.to_string(), "d/link");
            assert_eq!(skipped.named[0].why, SkippedWhy::LinkOutside);
        }
        bench.restore().unwrap();
        assert_eq!(
            tree(&bench.path("to")).contains_key(&PathBuf::from("d/link")),
            is_kept
        );
        bench.assert_outside_is_untouched();
    }
}

#[test]
fn a_link_to_a_directory_is_never_entered() {
    let bench = Bench::new().with(&["real/a"]);
    symlink(bench.path("outside"), bench.path("from/out")).unwrap();
    symlink("../outside", bench.path("from/up")).unwrap();
    symlink("real", bench.path("from/in")).unwrap();
    let after = bench.round(&["**", "out/**", "out/secret", "up/*", "in/*"]);
    assert_eq!(leaves(&after), ["in", "real/a"]);
    bench.assert_outside_is_untouched();
}

#[test]
fn fifos_sockets_and_devices_are_passed_over_and_told() {
    let bench = Bench::new().with(&["a"]);
    fifo(&bench.path("from/fifo"));
    let _socket = UnixListener::bind(bench.path("from/socket")).unwrap();
    let mut expected = vec![("fifo", SkippedWhy::Fifo), ("socket", SkippedWhy::Socket)];
    // Only root may make a device; the rest of the test is the same for everybody.
    let made = mknodat(
        CWD,
        bench.path("from/device"),
        FileType::CharacterDevice,
        Mode::from_raw_mode(0o666),
        rustix::fs::makedev(1, 5),
    );
    if made.is_ok() {
        expected.insert(0, ("device", SkippedWhy::Device));
    }
    let skipped = bench.capture(&["**"]).unwrap().captured.skipped;
    let told = skipped
        .named
        .iter()
        .map(|entry| (entry.path.to_string(), entry.why))
        .collect::<Vec<_>>();
    let expected = expected
        .into_iter()
        .map(|(path, why)| (path.to_owned(), why))
        .collect::<Vec<_>>();
    assert_eq!(told, expected);
    bench.restore().unwrap();
    assert_eq!(leaves(&tree(&bench.path("to"))), ["a"]);
}

#[test]
fn a_hard_link_becomes_a_copy() {
    let bench = Bench::new();
    fs::write(bench.path("outside/secret"), SECRET).unwrap();
    fs::create_dir(bench.path("elsewhere")).unwrap();
    fs::write(bench.path("elsewhere/file"), "shared").unwrap();
    fs::hard_link(bench.path("elsewhere/file"), bench.path("from/link")).unwrap();
    bench.capture(&["**"]).unwrap();
    bench.restore().unwrap();
    assert_eq!(fs::metadata(bench.path("to/link")).unwrap().nlink(), 1);
    fs::write(bench.path("to/link"), "changed").unwrap();
    assert_eq!(
        fs::read_to_string(bench.path("elsewhere/file")).unwrap(),
        "shared"
    );
}

#[test]
fn what_is_planted_in_the_target_is_replaced_and_never_written_through() {
    let bench = Bench::new().with(&["dist/a", "b", "c", "deep/er/d"]);
    symlink("a", bench.path("from/dist/link")).unwrap();
    bench.capture(&["**"]).unwrap();
    symlink(bench.path("outside"), bench.path("to/dist")).unwrap();
    symlink("../outside/secret", bench.path("to/b")).unwrap();
    fs::hard_link(bench.path("outside/secret"), bench.path("to/c")).unwrap();
    fs::create_dir(bench.path("to/deep")).unwrap();
    fifo(&bench.path("to/deep/er"));
    bench.restore().unwrap();
    assert_eq!(
        leaves(&tree(&bench.path("to"))),
        ["b", "c", "deep/er/d", "dist/a", "dist/link"]
    );
    assert!(
        !fs::symlink_metadata(bench.path("to/dist"))
            .unwrap()
            .is_symlink()
    );
    bench.assert_outside_is_untouched();
}

/// Another process swaps a name between what it is and what it is not, as fast as it can, while captures run.
fn while_swapping(bench: &Bench, swap: impl Fn() + Sync, mut attempt: impl FnMut(&Bench)) {
    /// Ends the other thread also when an attempt panics.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = Over(&is_over);
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                swap();
            }
        });
        for _ in 0..400 {
            attempt(bench);
        }
    });
}

#[test]
fn a_directory_swapped_for_a_link_while_it_is_read_leads_nowhere() {
    let bench = Bench::new().with(&["a", "dir/secret", "z"]);
    symlink("../outside", bench.path("from/swap")).unwrap();
    let (dir, swap) = (bench.path("from/dir"), bench.path("from/swap"));
    let mut errors = 0;
    while_swapping(
        &bench,
        || exchange(&dir, &swap),
        |bench| match bench.capture(&["**"]) {
            Ok(_) => bench.assert_kept(1),
            Err(KeepError::Changed { .. }) => errors += 1,
            Err(error) => panic!("{error}"),
        },
    );
    bench.assert_outside_is_untouched();
    assert!(errors < 400, "no capture ever came through");
}

#[test]
fn a_file_swapped_for_a_fifo_or_a_link_while_it_is_read_neither_blocks_nor_leads_out() {
    let bench = Bench::new().with(&["file"]);
    fifo(&bench.path("from/swap"));
    symlink("../outside/secret", bench.path("from/swap2")).unwrap();
    let (file, swap, swap2) = (
        bench.path("from/file"),
        bench.path("from/swap"),
        bench.path("from/swap2"),
    );
    while_swapping(
        &bench,
        || {
            exchange(&file, &swap);
            exchange(&file, &swap2);
        },
        |bench| match bench.capture(&["**"]) {
            Ok(_) | Err(KeepError::Changed { .. }) => {}
            Err(error) => panic!("{error}"),
        },
    );
    bench.assert_outside_is_untouched();
}

#[test]
fn a_target_swapped_for_a_link_while_it_is_laid_out_is_not_written_through() {
    let bench = Bench::new().with(&["dir/secret", "dir/z"]);
    bench.capture(&["**"]).unwrap();
    fs::create_dir(bench.path("to/dir")).unwrap();
    symlink("../outside", bench.path("to/swap")).unwrap();
    let (dir, swap) = (bench.path("to/dir"), bench.path("to/swap"));
    while_swapping(
        &bench,
        || {
            // The restore removes a link that it finds; the attacker puts it back.
            drop(symlink("../outside", &swap));
            let _was_there =
                rustix::fs::renameat_with(CWD, &dir, CWD, &swap, rustix::fs::RenameFlags::EXCHANGE);
        },
        |bench| match bench.restore() {
            Ok(_)
            | Err(KeepError::Changed { .. } | KeepError::InTheWay { .. } | KeepError::Io { .. }) => {
            }
            Err(error) => panic!("{error}"),
        },
    );
    assert_eq!(
        fs::read_to_string(bench.path("outside/secret")).unwrap(),
        SECRET
    );
    assert_eq!(tree(&bench.path("outside")).len(), 1);
}

fn exchange(one: &std::path::Path, other: &std::path::Path) {
    rustix::fs::renameat_with(CWD, one, CWD, other, rustix::fs::RenameFlags::EXCHANGE).unwrap();
}

#[test]
fn a_file_that_grows_while_it_is_copied_is_an_error_or_a_whole_copy() {
    let bench = Bench::new().with(&["log"]);
    let log = bench.path("from/log");
    while_swapping(
        &bench,
        || {
            use std::io::Write as _;
            fs::write(&log, "").unwrap();
            let mut log = fs::File::options().append(true).open(&log).unwrap();
            for _ in 0..50 {
                log.write_all(b"line\n").unwrap();
            }
        },
        |bench| match bench.capture(&["log"]) {
            Ok(capture) => assert!(capture.captured.bytes <= 250),
            Err(KeepError::Changed { path }) => assert_eq!(path, "log"),
            Err(error) => panic!("{error}"),
        },
    );
}

#[test]
fn a_hundred_thousand_files_are_kept_or_refused_by_the_limit() {
    let mut bench = Bench::new();
    for dir in 0..100 {
        fs::create_dir(bench.path(&format!("from/{dir}"))).unwrap();
        // Links to one file each: as many names, and made in a hundredth of the time.
        let first = bench.path(&format!("from/{dir}/0"));
        fs::write(&first, b"").unwrap();
        for file in 1..1000 {
            fs::hard_link(&first, bench.path(&format!("from/{dir}/{file}"))).unwrap();
        }
    }
    assert_eq!(bench.capture(&["*/*"]).unwrap().captured.files, 100_000);
    bench.bounds.limits.kept_entries_max = 99_999;
    let error = bench.capture(&["*/*"]).unwrap_err();
    assert!(
        matches!(&error, KeepError::Limit { limit: Limit::Entries(99_999), path } if path == "99/999"),
        "{error}"
    );
    // What was kept before the refused capture is still there.
    bench.assert_kept(1);
}

#[test]
fn five_thousand_directories_deep_is_refused_by_the_limit_with_few_open_files() {
    let bench = Bench::new().with(&["a"]);
    let mut dir = openat(CWD, bench.path("from"), OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..5000 {
        mkdirat(&dir, "d", Mode::RWXU).unwrap();
        dir = openat(
            &dir,
            "d",
            OFlags::DIRECTORY | OFlags::NOFOLLOW,
            Mode::empty(),
        )
        .unwrap();
    }
    let error = bench.capture(&["**"]).unwrap_err();
    assert!(
        matches!(
            error,
            KeepError::Limit {
                limit: Limit::Depth(128),
                ..
            }
        ),
        "{error}"
    );
    bench.assert_kept(0);
    // Where no pattern leads, it does not matter.
    assert_eq!(bench.capture(&["*"]).unwrap().captured.files, 1);
    bench.assert_kept(1);
}

#[test]
fn a_path_longer_than_the_system_opens_is_refused_by_the_limit() {
    let bench = Bench::new();
    let name = "n".repeat(250);
    let mut dir = openat(CWD, bench.path("from"), OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..20 {
        mkdirat(&dir, &name, Mode::RWXU).unwrap();
        dir = openat(&dir, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    let error = bench.capture(&["**"]).unwrap_err();
    assert!(
        matches!(
            error,
            KeepError::Limit {
                limit: Limit::PathBytes(4095),
                ..
            }
        ),
        "{error}"
    );
    bench.assert_kept(0);
}

#[test]
fn names_with_line_breaks_or_without_text_come_back_as_they_were() {
    let names: [&[u8]; 4] = [b"line\nbreak", b"\xff\xfe", b"{\"end\":{}}\n", b"\x1b[2J "];
    let bench = Bench::new();
    for name in names {
        fs::write(bench.path("from").join(OsStr::from_bytes(name)), name).unwrap();
    }
    let after = bench.round(&["*"]);
    assert_eq!(after.len(), names.len());
    for name in names {
        assert_eq!(
            after.get(&PathBuf::from(OsStr::from_bytes(name))),
            Some(&Seen::File {
                content: name.to_owned(),
                mode: 0o644
            })
        );
    }
}

#[test]
fn a_sparse_file_of_a_tebibyte_is_refused_before_it_is_read() {
    let bench = Bench::new();
    let file = fs::File::create(bench.path("from/huge")).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = bench.capture(&["**"]).unwrap_err();
    assert!(
        matches!(&error, KeepError::Limit { limit: Limit::Bytes(_), path } if path == "huge"),
        "{error}"
    );
    bench.assert_kept(0);
}

#[test]
fn a_file_that_nobody_may_read_is_an_error_with_its_path_unless_the_runner_is_root() {
    let bench = Bench::new().with(&["closed"]);
    fs::set_permissions(bench.path("from/closed"), fs::Permissions::from_mode(0o0)).unwrap();
    match bench.capture(&["closed"]) {
        Ok(_) => assert!(rustix::process::geteuid().is_root()),
        Err(error) => assert_eq!(error.to_string(), "could not open `closed`"),
    }
}
