//! How git processes run and end: seen by programs that stand in for git, or stand before it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cofferdam_git::{Depth, Git, GitError, Limits};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, files, make_executable, programs, small_limits};

/// How long a test waits for what must happen.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// A program that does something of its own for one command of git, and is git for all others.
struct Wrapped {
    _dir: TempDir,
    program: PathBuf,
    /// Where its own script may leave files.
    notes: PathBuf,
}

fn wrap(command: &str, script: &str) -> Wrapped {
    let dir = tempfile::tempdir().unwrap();
    let (program, notes) = (dir.path().join("git"), dir.path().join("notes"));
    fs::create_dir(&notes).unwrap();
    let real = programs().pop_first().unwrap();
    let script = script.replace("NOTES", notes.to_str().unwrap());
    let text = format!(
        "#!/bin/sh\ncase \"$1\" in {command}) {script};; *) exec {} \"$@\";; esac\n",
        real.display()
    );
    fs::write(&program, text).unwrap();
    make_executable(&program);
    Wrapped {
        _dir: dir,
        program,
        notes,
    }
}

/// Hangs, with a process of its own that would go on for ever. The notes are links, because most
/// git processes may write no file.
const HANG: &str = "sleep 1000 & ln -s $! NOTES/child; ln -s $$ NOTES/self; wait";

async fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(WAIT_MAX, waiting).await.is_ok(),
        "{what}"
    );
}

fn is_running(stat: &Path) -> bool {
    // A zombie runs no more; whoever inherited it has yet to notice.
    fs::read_to_string(stat).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn assert_nothing_runs(notes: &Path) {
    for name in ["child", "self"] {
        let pid = fs::read_link(notes.join(name)).unwrap();
        let stat = Path::new("/proc").join(pid).join("stat");
        wait_for("all that git started is gone", || !is_running(&stat)).await;
    }
}

async fn with_commit(program: &Path, limits: Limits) -> (Bench, String) {
    let bench = Bench::with(program, limits).await;
    let id = bench.served.commit(&bench.served.file("a", "a"), &[]);
    bench.served.point("refs/heads/main", &id);
    (bench, id)
}

#[tokio::test]
async fn a_cancelled_checkout_leaves_no_process_and_no_file() {
    // `ls-tree` is before the first file, `update-ref` after the last.
    for command in ["ls-tree", "read-tree", "update-ref"] {
        let wrapped = wrap(command, HANG);
        let (bench, id) = with_commit(&wrapped.program, small_limits()).await;
        let commit = bench.fetch("refs/heads/main", &id).await.unwrap();
        let (cancel, work) = (CancellationToken::new(), bench.at("work"));
        let ready = wrapped.notes.join("self");
        let (outcome, ()) =
            tokio::join!(commit.check_out(&work, Depth::default(), &cancel), async {
                wait_for("git hangs", || ready.is_symlink()).await;
                cancel.cancel();
            });
        let outcome = outcome.unwrap_err();
        assert!(
            matches!(outcome, GitError::Cancelled { .. }),
            "{command}: {outcome}"
        );
        assert_nothing_runs(&wrapped.notes).await;
        assert_eq!(crate::bench::names(&work), [""; 0], "{command}");
    }
}

#[tokio::test]
async fn a_dropped_checkout_leaves_no_process_and_no_head() {
    let wrapped = wrap("read-tree", HANG);
    let (bench, id) = with_commit(&wrapped.program, small_limits()).await;
    let commit = bench.fetch("refs/heads/main", &id).await.unwrap();
    let (cancel, work) = (CancellationToken::new(), bench.at("work"));
    let ready = wrapped.notes.join("self");
    tokio::select! {
        outcome = commit.check_out(&work, Depth::default(), &cancel) => panic!("{outcome:?}"),
        () = wait_for("git hangs", || ready.is_symlink()) => {}
    }
    assert_nothing_runs(&wrapped.notes).await;
    assert!(!work.join(".git/refs/heads/main").exists());
    // And nobody takes what is left for an empty directory.
    let again = commit
        .check_out(&work, Depth::default(), &cancel)
        .await
        .unwrap_err();
    assert!(matches!(again, GitError::NotEmpty { .. }), "{again}");
}

#[tokio::test]
async fn a_fetch_that_hangs_is_ended_and_the_mirror_stays_usable() {
    // The other side's program is the wrapped one too, so it is the remote that hangs.
    let script =
        format!("if [ -e NOTES/once ]; then exec REAL \"$@\"; fi; touch NOTES/once; {HANG}");
    let real = programs().pop_first().unwrap();
    let script = script.replace("REAL", real.to_str().unwrap());
    let wrapped = wrap("-c", &script);
    let limits = Limits {
        fetch_time_max: Duration::from_secs(1),
        ..small_limits()
    };
    let (bench, id) = with_commit(&wrapped.program, limits).await;
    let refused = bench.fetch("refs/heads/main", &id).await.unwrap_err();
    assert_eq!(refused.to_string(), "git took longer than 1 s to fetch");
    assert_nothing_runs(&wrapped.notes).await;
    // As a process leaves them that was killed while it wrote.
    let mirror = bench.at("mirror").join("sha1");
    for left in ["shallow.lock", "objects/pack/tmp_pack_x", "refs/x.lock"] {
        fs::write(mirror.join(left), "").unwrap();
    }
    bench.fetch("refs/heads/main", &id).await.unwrap();
    assert!(
        files(&mirror)
            .iter()
            .all(|file| !file.contains("lock") && !file.contains("tmp_"))
    );
}

#[tokio::test]
async fn a_git_that_never_stops_talking_is_ended() {
    let talk = "yes 'remote: \x1b[2J' >&2 & yes";
    let wrapped = wrap("cat-file", talk);
    let (bench, id) = with_commit(&wrapped.program, small_limits()).await;
    let refused = bench.fetch("refs/heads/main", &id).await.unwrap_err();
    assert!(refused.to_string().len() < 8_000, "{refused}");
    assert!(!refused.to_string().contains('\x1b'), "{refused}");
}

#[tokio::test]
async fn a_remote_that_never_stops_talking_is_ended() {
    for talk in ["yes '\x1b[2J' >&2", "yes", "yes 001fERR x"] {
        let wrapped = wrap("-c", talk);
        let limits = Limits {
            fetch_time_max: Duration::from_secs(1),
            ..small_limits()
        };
        let (bench, id) = with_commit(&wrapped.program, limits).await;
        let refused = bench.fetch("refs/heads/main", &id).await.unwrap_err();
        assert!(refused.to_string().len() < 8_000, "{refused}");
        assert!(!refused.to_string().contains('\x1b'), "{refused}");
        bench.assert_unharmed(talk);
    }
}

#[tokio::test]
async fn a_program_that_is_no_git_is_named() {
    let mut answers = String::new();
    for (name, script) in [
        ("silent", "true"),
        ("another", "echo hub version 1.2"),
        ("old", "echo git version 2.20.1"),
        ("failing", "echo >&2 'no such thing'; exit 3"),
        ("endless", "yes"),
    ] {
        let wrapped = wrap("version", script);
        let refused = Git::open(&wrapped.program, small_limits())
            .await
            .unwrap_err();
        let dir = wrapped.program.parent().unwrap().to_str().unwrap();
        writeln!(
            answers,
            "{name}: {}",
            refused.to_string().replace(dir, "$DIR")
        )
        .unwrap();
    }
    for path in ["git", "/nowhere/git"] {
        let refused = Git::open(Path::new(path), small_limits())
            .await
            .unwrap_err();
        writeln!(answers, "{path}: {refused}").unwrap();
    }
    insta::assert_snapshot!(answers, @"
    silent: cannot use $DIR/git as git: it tells no version
    another: cannot use $DIR/git as git: it tells no version
    old: cannot use $DIR/git as git: it is older than 2.39.4
    failing: git could not tell its version (exit status 3): no such thing
    endless: git could not tell its version (more than 256 bytes of output)
    git: cannot use git as git: its path is not absolute
    /nowhere/git: could not start git for: tell its version
    ");
}

/// What a git process that fetches has seen: a note's name is what was asked.
struct Seen {
    bench: Bench,
    wrapped: Wrapped,
}

impl Seen {
    async fn by_a_fetch() -> Self {
        let real = programs().pop_first().unwrap();
        let script = "env | sort > NOTES/env; ulimit -c > NOTES/core; ulimit -f > NOTES/file; \
            ulimit -d > NOTES/data; pwd > NOTES/pwd; readlink /proc/self/fd/0 > NOTES/stdin; \
            for arg; do echo \"$arg\"; done > NOTES/args; exec REAL \"$@\"";
        let wrapped = wrap("fetch", &script.replace("REAL", real.to_str().unwrap()));
        let (bench, id) = with_commit(&wrapped.program, small_limits()).await;
        bench.fetch("refs/heads/main", &id).await.unwrap();
        Self { bench, wrapped }
    }

    fn note(&self, name: &str) -> String {
        let text = fs::read_to_string(self.wrapped.notes.join(name)).unwrap();
        let dir = self.wrapped.program.parent().unwrap().to_str().unwrap();
        self.bench.readable(&text.replace(dir, "$DIR"))
    }

    /// The value of a setting that travels in the environment.
    fn setting(&self, key: &str) -> String {
        let variables = self.note("env");
        let at = (variables.lines())
            .find_map(|line| line.strip_suffix(&format!("={key}")))
            .unwrap_or_else(|| panic!("{key} is not set"));
        let start = at.replace("KEY", "VALUE") + "=";
        let value = variables
            .lines()
            .find_map(|line| line.strip_prefix(&*start));
        value.unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_fetch_is_given_these_arguments() {
    let seen = Seen::by_a_fetch().await;
    // The ref's number depends on the address, and so on the scratch directory.
    let args = seen.note("args");
    let (args, number) = args.trim_end().rsplit_once('/').unwrap();
    assert!(
        number.parse::<u16>().is_ok_and(|number| number < 256),
        "{number}"
    );
    insta::assert_snapshot!(args, @"
    fetch
    --quiet
    --no-progress
    --force
    --no-tags
    --no-write-fetch-head
    --no-auto-maintenance
    --refmap=
    --no-recurse-submodules
    --depth=50
    --upload-pack='$DIR/git' -c safe.directory='*' -c core.hooksPath=/dev/null -c core.commitGraph=false -c core.multiPackIndex=false -c pack.useBitmaps=false -c pack.window=0 -c pack.compression=1 upload-pack --strict
    --
    file://$TMP/root/repo.git
    +refs/heads/main:refs/cofferdam
    ");
}

#[tokio::test]
async fn a_git_process_has_this_environment_and_no_other() {
    let seen = Seen::by_a_fetch().await;
    let variables = seen.note("env");
    // The shell adds some by itself; the settings have a test of their own.
    let not_ours = [
        "PWD=",
        "OLDPWD=",
        "SHLVL=",
        "_=",
        "GIT_CONFIG_KEY_",
        "GIT_CONFIG_VALUE_",
    ];
    let variables: Vec<&str> = (variables.lines())
        .filter(|line| !not_ours.iter().any(|start| line.starts_with(start)))
        .collect();
    insta::assert_snapshot!(variables.join("\n"), @"
    GIT_ALLOW_PROTOCOL=file
    GIT_ASKPASS=false
    GIT_ATTR_NOSYSTEM=1
    GIT_CEILING_DIRECTORIES=/
    GIT_CONFIG_COUNT=69
    GIT_CONFIG_GLOBAL=/dev/null
    GIT_CONFIG_NOSYSTEM=1
    GIT_CONFIG_SYSTEM=/dev/null
    GIT_DIR=$TMP/mirror/sha1
    GIT_DISCOVERY_ACROSS_FILESYSTEM=0
    GIT_LITERAL_PATHSPECS=1
    GIT_NO_LAZY_FETCH=1
    GIT_NO_REPLACE_OBJECTS=1
    GIT_OPTIONAL_LOCKS=0
    GIT_PROTOCOL_FROM_USER=0
    GIT_SSH_COMMAND=ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/dev/null -o IdentityAgent=none -o IdentityFile=none -o ForwardAgent=no -o ForwardX11=no -o ClearAllForwardings=yes -o PermitLocalCommand=no -o ProxyCommand=none -o ConnectTimeout=20
    GIT_SSH_VARIANT=ssh
    GIT_TERMINAL_PROMPT=0
    HOME=/dev/null
    LC_ALL=C
    PATH=/usr/local/bin:/usr/bin:/bin
    SSH_ASKPASS=false
    SSH_ASKPASS_REQUIRE=never
    XDG_CONFIG_HOME=/dev/null
    ");
}

#[tokio::test]
async fn a_git_process_has_these_settings_and_bounds() {
    let seen = Seen::by_a_fetch().await;
    for (key, expected) in [
        ("core.hooksPath", "/dev/null"),
        ("core.fsmonitor", "false"),
        ("credential.helper", ""),
        ("log.showSignature", "false"),
        ("transfer.fsckObjects", "true"),
        ("http.followRedirects", "false"),
        ("protocol.allow", "never"),
        ("protocol.file.allow", "always"),
    ] {
        assert_eq!(seen.setting(key), expected, "{key}");
    }
    assert_eq!(seen.note("stdin"), "/dev/null\n");
    assert_eq!(seen.note("core"), "0\n");
    // dash counts files in blocks of 512 bytes and memory in KiB.
    assert_eq!(seen.note("file"), "16384\n");
    assert_eq!(seen.note("data"), "2097152\n");
    assert_eq!(seen.note("pwd"), "$TMP/mirror/sha1\n");
}
