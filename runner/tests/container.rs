//! The container executor against this host's real engine.
//!
//! One test, one container, one state directory. See `stand` for what happens where there is no engine.

#[path = "container/stand.rs"]
mod stand;

use std::time::Duration;

use cofferdam_protocol::Origin;
use cofferdam_runner::executor::ExecutorError;
use cofferdam_runner::executor::container::{ContainerExecutor, Network};
use cofferdam_runner::receipt::EndedBy;
use stand::{IMAGE, IMAGE_WITH_BASH, PATIENCE, Stand, processes};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// A stand, or the end of the test where there can be none.
macro_rules! stand {
    ($test:ident) => {
        stand!($test, |_| {})
    };
    ($test:ident, $change:expr) => {
        match Stand::set_up(stringify!($test), $change).await {
            Some(stand) => stand,
            None => return,
        }
    };
}

#[tokio::test]
async fn a_script_runs_and_its_lines_are_echoed() {
    let stand = stand!(a_script_runs_and_its_lines_are_echoed);
    let receipt = stand
        .run(&["echo hello", "echo $CI >&2"], &[])
        .await
        .unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(0));
    assert_eq!(receipt.executor, "container");
    assert_eq!(receipt.origin, IMAGE);
    assert_eq!(receipt.output_bytes, 11);
    assert!(receipt.digest.is_some());
    assert!(receipt.process.is_some());
    insta::assert_snapshot!(stand.log.text(Origin::Stdout), @"hello");
    insta::assert_snapshot!(stand.log.text(Origin::Stderr), @"true");
    insta::assert_snapshot!(stand.log.text(Origin::System), @"
    This step has no network: this runner gives none to containers
    + echo hello
    + echo $CI >&2
    ");
    stand.assert_nothing_left("no such process").await;
}

#[tokio::test]
async fn output_arrives_before_the_step_ends() {
    let stand = stand!(output_arrives_before_the_step_ends);
    let go = stand.workspace.path().join("go");
    let script = [
        "echo first",
        "while [ ! -e go ]; do sleep 0.05; done",
        "echo last",
    ];
    let run = stand.run(&script, &[]);
    let watch = async {
        stand.log.wait_for("first").await;
        // The step ends only because this was seen.
        std::fs::write(&go, "").unwrap();
    };
    let (receipt, ()) = tokio::join!(run, watch);
    assert_eq!(receipt.unwrap().ended_by, EndedBy::Exit(0));
    assert_eq!(stand.log.text(Origin::Stdout), "first\nlast\n");
}

#[tokio::test]
async fn the_first_failing_line_ends_the_script() {
    let stand = stand!(the_first_failing_line_ends_the_script);
    let script = ["echo one", "sh -c 'exit 7'", "echo never"];
    let receipt = stand.run(&script, &[]).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(7));
    insta::assert_snapshot!(stand.log.story(), @"
    System: This step has no network: this runner gives none to containers
    System: + echo one
    Stdout: one
    System: + sh -c 'exit 7'
    ");
}

#[tokio::test]
async fn variables_directories_and_descriptors_last_from_line_to_line() {
    let stand = stand!(variables_directories_and_descriptors_last_from_line_to_line);
    let script = [
        "pwd",
        "x=1; f() { echo f $x; }",
        "mkdir -p /tmp/d; cd /tmp/d",
        "pwd; f",
        "exec 3>three",
        "echo to three >&3",
        "cat three",
        "read line || echo no input",
        "set +e",
        "false; echo status $?",
        "false",
        "ls /proc/self/fd | wc -l | tr -d ' '",
    ];
    let receipt = stand.run(&script, &[]).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(0));
    insta::assert_snapshot!(stand.log.text(Origin::Stdout), @"
    /opt/atlassian/pipelines/agent/build
    /tmp/d
    f 1
    to three
    no input
    status 1
    5
    ");
}

#[tokio::test]
async fn bash_runs_the_script_where_the_image_has_it() {
    let stand = stand!(bash_runs_the_script_where_the_image_has_it);
    let script = ["echo this is ${THIS_IS:-sh}"];
    stand.run_in(IMAGE_WITH_BASH, &script, &[]).await.unwrap();
    stand.run_in(IMAGE, &script, &[]).await.unwrap();
    assert_eq!(stand.log.text(Origin::Stdout), "this is bash\nthis is sh\n");
}

#[tokio::test]
async fn a_script_passes_exactly_whatever_is_in_it() {
    let stand = stand!(a_script_passes_exactly_whatever_is_in_it);
    let script = [
        "echo \"it's\" 'a \"quote\"' \\$HOME `echo tick` $((1+1)) # and a comment",
        "cat <<EOF\nhere $CI\nEOF",
        "cat <<'EOF'\n$CI \\ ' \" `x`\n\tEOF\n  EOF \nEOF",
        "echo EOF; echo \"multi\n  line\"",
        "echo 'ünïcödé \u{1f980}' '%s %d \\n' '!!' '\u{1e}0000001\u{1e}' '\u{7}'",
        "if true; then\n  echo yes\nfi",
        "",
        "   ",
        "# only a comment",
        "echo end\\\n-of-line",
    ];
    let receipt = stand.run(&script, &[]).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(0));
    insta::assert_snapshot!(stand.log.text(Origin::Stdout).escape_debug().to_string().replace("\\n", "\n"), @r##"
    it\'s a \"quote\" $HOME tick 2
    here true
    $CI \\ \' \" `x`
    \tEOF
      EOF 
    EOF
    multi
      line
    ünïcödé 🦀 %s %d \
     !! \u{1e}0000001\u{1e} \u{7}
    yes
    end-of-line
    "##);
}

#[tokio::test]
async fn a_line_with_an_open_quote_fails_alone() {
    let stand = stand!(a_line_with_an_open_quote_fails_alone);
    let receipt = stand
        .run(&["echo one", "echo 'open", "echo two'"], &[])
        .await
        .unwrap();
    assert!(
        matches!(receipt.ended_by, EndedBy::Exit(1..)),
        "{receipt:?}"
    );
    assert_eq!(stand.log.text(Origin::Stdout), "one\n");
}

#[tokio::test]
async fn the_script_stands_in_no_configuration_and_no_command_line() {
    let stand = stand!(the_script_stands_in_no_configuration_and_no_command_line);
    let token = format!("token-{}", std::process::id());
    let go = stand.workspace.path().join("go");
    let line = format!("echo {token}; while [ ! -e go ]; do sleep 0.05; done");
    let script = [line.as_str()];
    let run = stand.run(&script, &[]);
    let watch = async {
        stand.log.wait_for(&token).await;
        assert_eq!(processes(&token), Vec::<String>::new());
        std::fs::write(&go, "").unwrap();
    };
    let (receipt, ()) = tokio::join!(run, watch);
    assert_eq!(receipt.unwrap().ended_by, EndedBy::Exit(0));
}

#[tokio::test]
async fn a_signal_gives_128_and_its_number() {
    let stand = stand!(a_signal_gives_128_and_its_number);
    let receipt = stand.run(&["kill -KILL $$"], &[]).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(137));
}

#[tokio::test]
async fn the_after_script_knows_the_status_and_cannot_change_it() {
    let stand = stand!(the_after_script_knows_the_status_and_cannot_change_it);
    let after = ["echo after $BITBUCKET_EXIT_CODE", "exit 9", "echo never"];
    let receipt = stand.run(&["exit 3"], &after).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(3));
    insta::assert_snapshot!(stand.log.story(), @"
    System: This step has no network: this runner gives none to containers
    System: + exit 3
    System: + echo after $BITBUCKET_EXIT_CODE
    Stdout: after 3
    System: + exit 9
    System: The after-script failed with status 9
    ");
    let receipt = stand.run(&["true"], &["false"]).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(0));
}

#[tokio::test]
async fn cancel_asks_first_and_then_runs_the_after_script() {
    let stand = stand!(cancel_asks_first_and_then_runs_the_after_script);
    let script = [
        "trap 'echo asked; exit 4' TERM",
        "echo up",
        "while :; do sleep 0.1; done",
    ];
    let after = ["echo after $BITBUCKET_EXIT_CODE"];
    let run = stand.run(&script, &after);
    let cancel = async {
        stand.log.wait_for("up").await;
        stand.cancel.cancel();
        Instant::now()
    };
    let (receipt, cancelled) = tokio::join!(run, cancel);
    assert_eq!(receipt.unwrap().ended_by, EndedBy::Cancel);
    assert!(
        cancelled.elapsed() < Duration::from_secs(9),
        "{:?}",
        cancelled.elapsed()
    );
    assert_eq!(stand.log.text(Origin::Stdout), "up\nasked\nafter 4\n");
}

#[tokio::test]
async fn cancel_kills_a_script_that_ignores_it_and_its_background_children() {
    let stand = stand!(cancel_kills_a_script_that_ignores_it_and_its_background_children);
    let token = format!("86{}", std::process::id());
    let stubborn = format!("setsid sh -c 'trap \"\" TERM; sleep {token}' >/dev/null 2>&1 &");
    let script = [
        "trap '' TERM",
        stubborn.as_str(),
        "echo up",
        "while :; do sleep 1; done",
    ];
    let survivors = format!("ps | grep -c '[s]leep {token}'");
    let after = ["echo after $BITBUCKET_EXIT_CODE", survivors.as_str()];
    let run = stand.run(&script, &after);
    let cancel = async {
        stand.log.wait_for("up").await;
        assert_ne!(processes(&token), Vec::<String>::new());
        stand.cancel.cancel();
        Instant::now()
    };
    let (receipt, cancelled) = tokio::join!(run, cancel);
    assert_eq!(receipt.unwrap().ended_by, EndedBy::Cancel);
    let took = cancelled.elapsed();
    assert!(took >= Duration::from_secs(10), "grace was {took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    // All of it is dead when the after-script runs.
    assert_eq!(stand.log.text(Origin::Stdout), "up\nafter 137\n0\n");
    stand.assert_nothing_left(&token).await;
}

#[tokio::test]
async fn a_cancel_before_the_start_runs_nothing() {
    let stand = stand!(a_cancel_before_the_start_runs_nothing);
    stand.cancel.cancel();
    let receipt = stand.run(&["echo never"], &["echo never"]).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Cancel);
    assert_eq!(stand.log.text(Origin::Stdout), "");
    stand.assert_nothing_left("no such process").await;
}

#[tokio::test]
async fn time_that_is_over_ends_the_script() {
    let mut stand = stand!(time_that_is_over_ends_the_script);
    stand.timeout = Duration::from_secs(3);
    let receipt = stand
        .run(&["echo up", "sleep 1000"], &["echo after"])
        .await
        .unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Timeout(stand.timeout));
    assert_eq!(stand.log.text(Origin::Stdout), "up\nafter\n");
    stand.assert_nothing_left("sleep 1000").await;
}

#[tokio::test]
async fn memory_that_runs_out_is_the_memory_limit() {
    let stand = stand!(memory_that_runs_out_is_the_memory_limit, |settings| {
        settings.limits.memory_bytes = 64 << 20;
    });
    let receipt = stand
        .run(&["dd if=/dev/zero of=/dev/null bs=200M count=1"], &[])
        .await
        .unwrap();
    let EndedBy::Limit(limit) = &receipt.ended_by else {
        panic!("{receipt:?}\n{}", stand.log.story());
    };
    assert_eq!((limit.name, limit.allowed), ("memory", 64 << 20));
    // A script that copes with a killed child has not failed.
    let receipt = stand
        .run(
            &["dd if=/dev/zero of=/dev/null bs=200M count=1 || true"],
            &[],
        )
        .await
        .unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(0));
}

#[tokio::test]
async fn processes_are_limited() {
    let stand = stand!(processes_are_limited, |settings| settings.limits.pids = 20);
    let script = ["for i in $(seq 50); do sleep 100 & done", "echo never"];
    let receipt = stand.run(&script, &[]).await.unwrap();
    assert!(
        matches!(receipt.ended_by, EndedBy::Exit(1..)),
        "{receipt:?}"
    );
    assert!(
        stand.log.text(Origin::Stderr).contains("fork"),
        "{}",
        stand.log.story()
    );
    assert_eq!(stand.log.text(Origin::Stdout), "");
}

#[tokio::test]
async fn a_fork_bomb_can_be_cancelled() {
    let stand = stand!(a_fork_bomb_can_be_cancelled, |settings| settings
        .limits
        .pids = 100);
    let bomb = "f() { f | f & }; while :; do f 2>/dev/null; done";
    let script = ["echo up", bomb];
    let run = stand.run(&script, &[]);
    let cancel = async {
        stand.log.wait_for("up").await;
        stand.cancel.cancel();
        Instant::now()
    };
    let (receipt, cancelled) = tokio::join!(run, cancel);
    assert_eq!(receipt.unwrap().ended_by, EndedBy::Cancel);
    assert!(
        cancelled.elapsed() < Duration::from_secs(40),
        "{:?}",
        cancelled.elapsed()
    );
    stand.assert_nothing_left("no such process").await;
}

#[tokio::test]
async fn too_much_output_is_the_output_limit() {
    let stand = stand!(too_much_output_is_the_output_limit, |settings| {
        settings.limits.output_bytes = 100_000;
    });
    let receipt = stand.run(&["yes"], &[]).await.unwrap();
    let EndedBy::Limit(limit) = &receipt.ended_by else {
        panic!("{receipt:?}");
    };
    assert_eq!(limit.name, "output");
    assert_eq!(stand.log.bytes(Origin::Stdout).len(), 100_000);
    assert_eq!(receipt.output_bytes, 100_000);
}

#[tokio::test]
async fn the_workspace_is_read_and_written_in_place() {
    let stand = stand!(the_workspace_is_read_and_written_in_place);
    std::fs::write(stand.workspace.path().join("in"), "from outside").unwrap();
    let script = ["cat in", "mkdir -p a/b", "echo made >a/b/out", "pwd"];
    let receipt = stand.run(&script, &[]).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(0));
    let made = std::fs::read_to_string(stand.workspace.path().join("a/b/out")).unwrap();
    assert_eq!(made, "made\n");
    assert_eq!(
        stand.log.text(Origin::Stdout),
        "from outside/opt/atlassian/pipelines/agent/build\n"
    );
}

#[tokio::test]
async fn what_a_step_leaves_belongs_to_the_runner() {
    let stand = stand!(what_a_step_leaves_belongs_to_the_runner, |settings| {
        settings.owner = Some((12345, 12346));
    });
    use std::os::unix::fs::MetadataExt as _;
    let script = [
        "mkdir a; touch a/b",
        "ln -s /etc a/link || busybox ln -s /etc a/link",
        "chown 77:77 a/b; chmod 0 a",
    ];
    stand.run(&script, &[]).await.unwrap();
    let owner = |path: &str| {
        let found = stand
            .workspace
            .path()
            .join(path)
            .symlink_metadata()
            .unwrap();
        (found.uid(), found.gid(), found.mode() & 0o700)
    };
    if stand.executor.engine().is_rootless {
        assert_eq!(owner("a/b").0, owner("").0);
    } else {
        assert_eq!(owner("a"), (12345, 12346, 0o700));
        assert_eq!(owner("a/b"), (12345, 12346, 0o600));
        assert_eq!(owner("a/link").0, 12345);
    }
}

#[tokio::test]
async fn only_the_workspace_of_this_host_is_there() {
    let stand = stand!(only_the_workspace_of_this_host_is_there);
    let socket = stand.executor.engine().socket.display().to_string();
    std::fs::write(stand.path().join("neighbour"), "").unwrap();
    let script = [
        "ls /etc/shadow /run/podman /var/run/docker.sock 2>/dev/null || echo no host files",
        &format!(
            "ls {socket} {} 2>/dev/null || echo no socket",
            stand.path().display()
        ),
        "grep -c ' /opt/atlassian/pipelines/agent/build ' /proc/mounts",
        "ls /opt/atlassian/pipelines/agent",
        "grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status",
        "mknod /tmp/disk b 8 0 2>/dev/null || echo no devices",
        "umount /proc 2>/dev/null || echo no umount",
        "echo $(ls /sys/class/net)",
        "ls /dev | grep -E 'sd|vd|mem|kvm' || echo no disks",
    ];
    let receipt = stand.run(&script, &[]).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(0));
    let seen = stand.log.text(Origin::Stdout).replace('\t', " ");
    insta::assert_snapshot!(seen, @"
    no host files
    no socket
    1
    build
    CapEff: 00000000000004fb
    CapBnd: 00000000000004fb
    NoNewPrivs: 1
    Seccomp: 2
    no devices
    no umount
    lo
    no disks
    ");
}

#[tokio::test]
async fn the_engine_s_network_is_there_when_it_is_asked_for() {
    let name = "the_engine_s_network_is_there_when_it_is_asked_for";
    let stand = stand!(
        the_engine_s_network_is_there_when_it_is_asked_for,
        |settings| {
            settings.network = Network::Engine;
        }
    );
    match stand.run(&["ls /sys/class/net | grep -v lo"], &[]).await {
        Ok(receipt) => assert_eq!(receipt.ended_by, EndedBy::Exit(0)),
        Err(error @ ExecutorError::Infrastructure(..)) => {
            assert!(error.to_string().contains("`none`"), "{error}");
            stand::not_run(name, &error.to_string());
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn binary_output_is_unharmed() {
    let stand = stand!(binary_output_is_unharmed);
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    std::fs::write(stand.workspace.path().join("bytes"), &bytes).unwrap();
    stand
        .run(&["cat bytes", "cat bytes >&2"], &[])
        .await
        .unwrap();
    assert!(stand.log.bytes(Origin::Stdout) == bytes);
    assert!(stand.log.bytes(Origin::Stderr) == bytes);
}

#[tokio::test]
async fn twenty_megabytes_of_output_arrive_in_order() {
    let stand = stand!(twenty_megabytes_of_output_arrive_in_order);
    let receipt = stand.run(&["seq 2700000"], &[]).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(0));
    let output = stand.log.text(Origin::Stdout);
    assert!(output.len() > 20_000_000, "{}", output.len());
    let wrong = output
        .lines()
        .zip(1u32..)
        .find(|(line, number)| line.parse() != Ok(*number));
    assert_eq!(wrong, None);
    assert_eq!(output.lines().count(), 2_700_000);
}

#[tokio::test]
async fn a_background_process_does_not_hold_the_step_up() {
    let stand = stand!(a_background_process_does_not_hold_the_step_up);
    let token = format!("87{}", std::process::id());
    let server = format!("sleep {token} &");
    let began = Instant::now();
    let receipt = stand
        .run(&[&server, "echo up"], &["ps | grep -c '[s]leep 87'"])
        .await
        .unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(0));
    // It lives on until the after-script is done.
    assert_eq!(stand.log.text(Origin::Stdout), "up\n1\n");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    stand.assert_nothing_left(&token).await;
}

#[tokio::test]
async fn an_image_that_is_not_there_is_the_user_s_fault() {
    let stand = stand!(an_image_that_is_not_there_is_the_user_s_fault);
    let missing = "localhost/cofferdam-test/no-such-image:1";
    let error = stand.run_in(missing, &["true"], &[]).await.unwrap_err();
    assert!(matches!(error, ExecutorError::User(..)));
    insta::assert_snapshot!(error, @"there is no image localhost/cofferdam-test/no-such-image:1 on this host, and names under localhost/ are not pulled");
    let error = stand
        .run_in("../../containers", &["true"], &[])
        .await
        .unwrap_err();
    insta::assert_snapshot!(error, @r#""../../containers" is not the name of an image"#);
    // Nothing listens on port 1: the registry is unreachable.
    let error = stand
        .run_in("127.0.0.1:1/x:1", &["true"], &[])
        .await
        .unwrap_err();
    assert!(matches!(error, ExecutorError::Infrastructure(..)));
    insta::assert_snapshot!(error, @"could not pull the image 127.0.0.1:1/x:1");
    stand.assert_nothing_left("no such process").await;
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = stand::settings(dir.path());
    for socket in ["unix:///nowhere/engine.sock", "tcp://127.0.0.1:2375"] {
        settings.engine.socket = Some(socket.to_owned());
        let error = ContainerExecutor::connect(settings.clone(), TaskTracker::new())
            .await
            .unwrap_err();
        insta::allow_duplicates! {
            assert!(error.to_string().starts_with("no container engine: the configured socket "), "{error}");
        }
    }
}

#[tokio::test]
async fn a_dropped_step_is_killed() {
    let stand = stand!(a_dropped_step_is_killed);
    let token = format!("88{}", std::process::id());
    let line = format!("echo up; sleep {token}");
    let script = [line.as_str()];
    tokio::select! {
        ended = stand.run(&script, &[]) => panic!("{ended:?}"),
        () = stand.log.wait_for("up") => {}
    }
    stand.tracker.close();
    tokio::time::timeout(PATIENCE, stand.tracker.wait())
        .await
        .unwrap();
    stand.assert_nothing_left(&token).await;
}

#[tokio::test]
async fn the_next_life_clears_what_this_one_left_over() {
    let stand = stand!(the_next_life_clears_what_this_one_left_over);
    let token = format!("89{}", std::process::id());
    let executor = stand.reborn().await;
    let (log, workspace) = (stand.log.clone(), stand.path().join("work-of-last-life"));
    let line = format!("echo up; sleep {token}");
    // A life of its own that ends without a word, as by `kill -9`.
    let life = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    drop(life.spawn(async move {
        stand::run_for_ever(&executor, &workspace, &line, &log).await;
    }));
    stand.log.wait_for("up").await;
    life.shutdown_background();
    assert_eq!(stand.journal().len(), 1);
    let next = stand.reborn().await;
    assert_eq!(next.clear_leftovers().await.unwrap(), 1);
    assert_eq!(next.clear_leftovers().await.unwrap(), 0);
    stand.assert_nothing_left(&token).await;
}
