//! What a step is given beside files of its own: secrets as files, a clock that stands, seeded random numbers.

use std::time::Duration;

use super::guests::{self, Open, errno};
use super::stand::Stand;

const VALUE: &str = "correct-horse-battery";

/// The clocks that a guest read, in nanoseconds: wall, monotonic, and both again after 30 ms of sleep.
fn clocks(stand: &Stand, options: &[&str]) -> [u64; 4] {
    let did = stand.run(&guests::clocks(), options, &[]);
    assert_eq!(did.end(), "0 exit", "{}", did.stderr);
    let mut read = [0; 4];
    for (time, bytes) in read.iter_mut().zip(did.stdout.chunks_exact(8)) {
        *time = u64::from_le_bytes(bytes.try_into().unwrap());
    }
    read
}

#[test]
fn a_fixed_clock_stands_and_waiting_goes_on() {
    let stand = Stand::new();
    for time in ["2026-01-02T03:04:05Z", "1767323045"] {
        let [before, start, after, end] = clocks(&stand, &["--clock", &format!("fixed={time}")]);
        assert_eq!((before, after), (1_767_323_045_000_000_000, before));
        let most = Duration::from_secs(10).as_nanos();
        assert!(u128::from(start) < most, "it begins at 0, not at {start}");
        let slept = Duration::from_nanos(end - start);
        assert!(slept >= Duration::from_millis(30), "{slept:?}");
    }
    let [before, _, after, _] = clocks(&stand, &["--clock", "real"]);
    assert!(after > before && before > 1_767_323_045_000_000_000);
}

#[test]
fn seeded_numbers_are_the_same_in_every_run_and_others_for_another_seed() {
    let stand = Stand::new();
    let bytes = |random: &str| {
        stand
            .run(&guests::random(), &["--random", random], &[])
            .stdout
    };
    let one = bytes("seeded=0a:Test");
    assert_eq!(one.len(), 32);
    assert_eq!(one, bytes("seeded=0a:Test"));
    // A promise to whoever keeps outputs: a later release gives the same numbers.
    assert_eq!(
        data_encoding::HEXLOWER.encode(&one[..8]),
        "2d86c1cb61ecd2d1"
    );
    let others = [
        bytes("seeded=0a:Test 2"),
        bytes("real"),
        bytes("real"),
        bytes("seeded="),
    ];
    for (place, other) in others.iter().enumerate() {
        assert!(*other != one && !others[..place].contains(other));
    }
    for interface in ["random", "insecure"] {
        let wasm = guests::component_random(interface);
        let byte = |seed: &str| stand.run(&wasm, &["--random", seed], &[]).status;
        assert_eq!(
            byte("seeded=0a:Test"),
            byte("seeded=0a:Test"),
            "{interface}"
        );
        let seeds = ["seeded=1", "seeded=2", "seeded=3", "seeded=4", "seeded=5"];
        let bytes = seeds.map(byte);
        assert!(bytes.iter().any(|byte| *byte != bytes[0]), "{bytes:?}");
    }
    // Both front doors take the secure numbers from one stream.
    let first = stand.run(
        &guests::component_random("random"),
        &["--random", "seeded=0a:Test"],
        &[],
    );
    assert_eq!(first.status, i32::from(one[0]));
}

#[test]
fn a_secret_is_a_file_that_the_step_can_only_read() {
    for stand in Stand::everybody("secrets as files") {
        stand.make("key", VALUE);
        let secret = ["--secret-file", "KEY=key"];
        let did = stand.run(&guests::open("KEY", Open::Read), &secret, &[]);
        assert_eq!(
            (did.end(), did.stdout.as_slice()),
            ("0 exit".to_owned(), &b"$KEY"[..])
        );
        assert_eq!(did.receipt["grants"][0]["kind"], "secret");
        assert_eq!(did.receipt["grants"][0]["what"], "file: KEY");
        assert!(!did.receipt.to_string().contains(VALUE));
        for (path, how, expected) in [
            ("KEY", Open::Write, errno::PERM),
            ("NEW", Open::Create, errno::PERM),
            ("OTHER", Open::Read, errno::NOENT),
            ("../KEY", Open::Read, errno::PERM),
            ("../native", Open::Read, errno::PERM),
            (".", Open::Directory, errno::SUCCESS),
        ] {
            let did = stand.run(&guests::open(path, how), &secret, &[]);
            assert_eq!(did.status, expected, "{how:?} {path}: {}", did.stderr);
        }
        let did = stand.run(&guests::show("environ"), &secret, &[]);
        assert_eq!(did.stdout, b"KEY_FILE=/run/secrets/KEY\0");
        // Beside a granted directory it is one more, and comes last.
        let did = stand.run(
            &guests::count_preopens(),
            &["--read", "files", "--secret-file", "KEY=key"],
            &[],
        );
        assert_eq!(did.status, 2, "{}", did.stderr);
        let did = stand.run(&guests::count_preopens(), &[], &[]);
        assert_eq!(did.status, 0, "{}", did.stderr);
    }
}

#[test]
fn a_secret_of_any_text_arrives_unharmed() {
    let stand = Stand::new();
    for value in [
        String::new(),
        "x".to_owned(),
        "two\nlines\n".to_owned(),
        "naïve ✓\r\n\u{1b}[2J".to_owned(),
        "y".repeat(64 * 1024),
    ] {
        stand.make("key", &value);
        let options = ["--secret-file", "KEY=key"];
        let did = stand.run(&guests::size("KEY"), &options, &[]);
        assert_eq!(did.end(), "0 exit", "{}", did.stderr);
        let size = u64::from_le_bytes(did.stdout.as_slice().try_into().unwrap());
        assert_eq!(size, value.len() as u64);
    }
}

#[test]
fn what_cannot_be_a_secret_file_is_refused_before_anything_runs() {
    let stand = Stand::new();
    stand.make("key", VALUE);
    stand.make("huge", &"z".repeat(64 * 1024 + 1));
    stand.make("nul", "a\0b");
    std::fs::write(stand.path("binary"), [0xff, 0xfe]).unwrap();
    for (secret, expected) in [
        ("a/b=key", "\"a/b\" is not a name of a variable"),
        ("..=key", "\"..\" is not a name of a variable"),
        ("1A=key", "\"1A\" is not a name of a variable"),
        ("A\nB=key", "is not a name of a variable"),
        ("KEY=missing", "missing: No such file or directory"),
        ("KEY=files", "Is a directory"),
        ("KEY=huge", "the value of KEY has more than 65536 bytes"),
        ("KEY=nul", "the value of KEY is not text"),
        ("KEY=binary", "the value of KEY is not text"),
        ("KEY", "a secret is NAME=FILE"),
        ("=key", "a secret is NAME=FILE"),
    ] {
        let did = stand.run(&guests::nothing(), &["--secret-file", secret], &[]);
        assert_eq!(did.status, 125, "{secret}: {}", did.stderr);
        assert!(did.stderr.contains(expected), "{secret}: {}", did.stderr);
        assert!(!did.stderr.contains(VALUE), "{}", did.stderr);
    }
    let twice = ["--secret-file", "KEY=key", "--secret-file", "KEY=nul"];
    let did = stand.run(&guests::nothing(), &twice, &[]);
    assert!(did.stderr.contains("KEY is given twice"), "{}", did.stderr);
}

#[test]
fn nothing_of_the_steps_own_stands_where_its_secrets_are() {
    let stand = Stand::new();
    stand.make("key", VALUE);
    for (options, expected) in [
        (
            "--read files::/run/secrets",
            "read grant `files::/run/secrets`: /run/secrets is where the secrets of this step are",
        ),
        (
            "--write files::run/secrets/deep",
            "/run/secrets is where the secrets of this step are",
        ),
        (
            "--env KEY_FILE=/etc/passwd",
            "secret grant `file: KEY`: `KEY_FILE` is to hold its path, and is set to something else",
        ),
    ] {
        let mut options: Vec<&str> = options.split_whitespace().collect();
        let did = stand.run(&guests::nothing(), &options, &[]);
        assert_eq!(did.end(), "0 exit", "without a secret: {}", did.stderr);
        options.extend(["--secret-file", "KEY=key"]);
        let did = stand.run(&guests::nothing(), &options, &[]);
        assert_eq!(did.end(), "126 refused", "{}", did.stderr);
        assert!(did.stderr.contains(expected), "{}", did.stderr);
    }
}

#[test]
fn without_namespaces_no_secret_is_given_as_a_file() {
    let Some(stand) = Stand::hardened("secrets without namespaces") else {
        return;
    };
    stand.make("key", VALUE);
    let did = stand.run(&guests::nothing(), &["--secret-file", "KEY=key"], &[]);
    assert_eq!(did.end(), "126 refused", "{}", did.stderr);
    let expected = "secret grant `file: KEY`: this host has no mount namespaces";
    assert!(did.stderr.contains(expected), "{}", did.stderr);
    let [before, _, after, _] = clocks(&stand, &["--clock", "fixed=7"]);
    assert_eq!((before, after), (7_000_000_000, before));
}

/// No file of the host ever holds it: neither while the step runs nor afterwards.
#[test]
fn a_secret_file_is_on_no_mount_that_others_see() {
    let stand = Stand::new();
    stand.make("key", VALUE);
    let module = stand.module(&guests::sleep());
    let mut command = stand.command();
    let mut child = command
        .args(["--secret-file", "KEY=key"])
        .arg(module)
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(" - ramfs "), "{mounts}");
    assert!(!std::path::Path::new("/run/secrets/KEY").exists());
    // A process that is not dumpable shows its mounts to root alone.
    if rustix::process::geteuid().is_root() {
        // The zygote, which has none of it, and the step.
        let mounts = super::command::children(child.id())
            .into_iter()
            .map(|process| std::fs::read_to_string(format!("/proc/{process}/mountinfo")).unwrap())
            .collect::<String>();
        let mut lines = mounts.lines();
        let secrets = lines.find(|line| line.contains(" /secrets ")).unwrap();
        assert!(secrets.contains(" ro,nosuid,nodev,noexec,"), "{secrets}");
        assert!(secrets.contains(" - ramfs "), "{secrets}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_first_party_step_runs_by_its_name() {
    let stand = Stand::new();
    stand.make("files/a.txt", "hello");
    let list = stand.list_steps();
    let Some(line) = list
        .lines()
        .find(|line| line.starts_with("step:secret-scan\tsha256:"))
    else {
        assert!(
            list.contains("step:secret-scan\t-\tnot part of this build"),
            "{list}"
        );
        super::stand::not_run("a first-party step by its name", "this build has none");
        return;
    };
    let digest = line.split('\t').nth(1).unwrap();
    let did = stand.bare(&[
        "--receipt",
        "receipt.json",
        "--read",
        "files",
        "step:secret-scan",
        "--",
        "files",
    ]);
    assert_eq!(did.end(), "0 exit", "{}", did.stderr);
    assert_eq!(did.receipt["digest"], digest);
    assert_eq!(did.receipt["origin"], "step:secret-scan");
    let did = stand.bare(&["step:secret-scam"]);
    assert_eq!(did.status, 125);
    let expected =
        "no step `secret-scam` ships with this runner; there are: checksum-manifest, secret-scan";
    assert!(did.stderr.contains(expected), "{}", did.stderr);
}
