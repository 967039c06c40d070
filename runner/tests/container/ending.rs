//! How a step ends, and that nothing of it is left.

use std::time::Duration;

use cofferdam_protocol::Origin;
use cofferdam_runner::receipt::EndedBy;
use tokio::time::Instant;

use crate::stand::{PATIENCE, process_appears};

#[tokio::test]
async fn a_signal_gives_128_and_its_number() {
    let stand = stand!(a_signal_gives_128_and_its_number);
    let receipt = stand.run(&["kill -KILL $$"], &[]).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(137));
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
        // The one in the background may come up after the script's own word.
        process_appears(&token).await;
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
    if !stand.engine_limits("memory_that_runs_out_is_the_memory_limit") {
        return;
    }
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
    if !stand.engine_limits("processes_are_limited") {
        return;
    }
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
    let last_life = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    drop(last_life.spawn(async move {
        crate::stand::run_for_ever(&executor, &workspace, &line, &log).await;
    }));
    stand.log.wait_for("up").await;
    last_life.shutdown_background();
    assert_eq!(stand.journal().len(), 1);
    let next = stand.reborn().await;
    assert_eq!(next.clear_leftovers().await.unwrap(), 1);
    assert_eq!(next.clear_leftovers().await.unwrap(), 0);
    stand.assert_nothing_left(&token).await;
}
