//! A job from the queue to its end, as a runner and an operator see it.

use std::process::Stdio;

use cofferdam_protocol::job_spec::WorkSpec;
use cofferdam_protocol::report::{JobEvent, JobResult, StepResult};
use cofferdam_protocol::{Fence, HubFrame, Origin, StepIndex};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::time::timeout;

use crate::runner::{Connection, Held, Identity, join, session};
use crate::world::{PATIENCE, TWO_STEPS, World};

const STEP: StepIndex = StepIndex(0);

async fn world_with_a_runner() -> (World, Identity, Connection) {
    let world = World::start().await;
    world.repository().await;
    let who = join(&world, &[]).await;
    let open = session(&world, &who, 1).await;
    (world, who, open)
}

/// Takes the next offer and starts it.
async fn take(open: &mut Connection) -> Held {
    let held = Held::of(&open.hear_offer().await);
    open.say(&held.accept()).await;
    open.say(&held.event(1, JobEvent::Started)).await;
    assert_eq!(open.hear_news().await, held.ack(1));
    held
}

/// Passes both steps and the job, as its runner's reports from `seq` on.
async fn pass(open: &mut Connection, held: &Held, seq: u64) {
    let steps = [0, 1].map(StepIndex).into_iter().flat_map(|step| {
        let ended = finished(step.0, StepResult::Passed);
        [JobEvent::StepStarted { step }, ended]
    });
    let result = JobResult::Passed;
    let events = steps.chain([JobEvent::Finished { result }]);
    for (seq, event) in (seq..).zip(events) {
        open.say(&held.event(seq, event)).await;
        assert_eq!(open.hear_news().await, held.ack(seq));
    }
}

fn finished(step: u16, result: StepResult) -> JobEvent {
    JobEvent::StepFinished {
        step: StepIndex(step),
        result,
        receipt: json!({"ended_by": "exit"}),
    }
}

#[tokio::test]
async fn a_push_becomes_a_job_and_its_reports_a_build() {
    let (world, _, mut open) = world_with_a_runner().await;
    world.push(TWO_STEPS).await;
    let spec = open.hear_offer().await;
    assert_eq!((spec.fence, spec.build.number), (Fence(1), 1));
    assert_eq!(spec.env["BITBUCKET_BRANCH"], "main");
    assert_eq!(spec.env["CI"], "true");
    assert_eq!(spec.env["BITBUCKET_COMMIT"], spec.checkout.commit.as_str());
    assert_eq!(spec.steps.len(), 2);
    assert!(matches!(&spec.steps[0].work, WorkSpec::Script { image, .. } if image == "busybox"));
    let held = Held::of(&spec);
    let failed = StepResult::Failed {
        exit: Some(3),
        why: "it said no".to_owned(),
    };
    open.say(&held.accept()).await;
    open.say(&held.event(1, JobEvent::Started)).await;
    open.say(&held.event(2, JobEvent::StepStarted { step: STEP }))
        .await;
    open.put(held.log(3, Origin::System, b"begins\n")).await;
    open.put(held.log(4, Origin::Stdout, b"found \x1b[2K\r\xe2\x96\x8c nothing\n"))
        .await;
    open.say(&held.event(5, finished(0, failed))).await;
    open.say(&held.event(6, finished(1, StepResult::NotRun)))
        .await;
    open.say(&held.event(
        7,
        JobEvent::Finished {
            result: JobResult::Failed,
        },
    ))
    .await;
    for seq in 1..=7 {
        assert_eq!(open.hear_news().await, held.ack(seq));
    }
    let build = world.build(1).await;
    assert_eq!(build["state"], "failed");
    assert_eq!(build["jobs"][0]["steps"][0]["exit"], 3);
    assert_eq!(build["jobs"][0]["steps"][0]["receipt"]["ended_by"], "exit");
    let shown = world.says(&["build", "show", "demo", "1"]).await;
    assert!(shown.contains("step 1  Scan  failed (exit 3)"), "{shown}");
    assert!(
        shown.contains("step 2  Test  not-run: step 1 `Scan` failed"),
        "{shown}"
    );
    let log = world.says(&["build", "logs", "demo", "1"]).await;
    assert_eq!(
        log,
        "▌ step 1: Scan\n▌ begins\n│ found \\u{1b}[2K\n│ \\u{258c} nothing\n"
    );
    let raw = world
        .run(&["build", "logs", "--raw", "1", "demo", "1"])
        .await;
    assert_eq!(raw.stdout, b"found \x1b[2K\r\xe2\x96\x8c nothing\n");
    assert!(
        !world
            .run(&["build", "logs", "--raw", "3", "demo", "1"])
            .await
            .status
            .success()
    );
    assert!(
        !world
            .run(&["build", "cancel", "demo", "1"])
            .await
            .status
            .success()
    );
}

#[tokio::test]
async fn who_follows_reads_along_and_ends_with_the_build() {
    let (world, _, mut open) = world_with_a_runner().await;
    world.push(TWO_STEPS).await;
    let held = take(&mut open).await;
    let mut follow = world.command(std::path::Path::new(env!("CARGO_BIN_EXE_cofferdam-hub")));
    follow
        .args(["build", "logs", "-f", "demo", "1", "--data"])
        .arg(world.data());
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    let out = tokio::io::BufReader::new(follow.stdout.take().unwrap());
    let mut lines = tokio::io::AsyncBufReadExt::lines(out);
    let mut next = async || timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
    open.put(held.log(2, Origin::Stdout, b"one\n")).await;
    assert_eq!(next().await.as_deref(), Some("▌ step 1: Scan"));
    assert_eq!(next().await.as_deref(), Some("│ one"));
    // The step still runs, and what it wrote was read.
    assert_eq!(world.build(1).await["state"], "running");
    open.put(held.log(3, Origin::Stdout, b"two\n")).await;
    assert_eq!(next().await.as_deref(), Some("│ two"));
    open.say(&held.event(
        4,
        JobEvent::Finished {
            result: JobResult::Passed,
        },
    ))
    .await;
    assert_eq!(next().await, None);
    assert!(
        timeout(PATIENCE, follow.wait())
            .await
            .unwrap()
            .unwrap()
            .success()
    );
}

#[tokio::test]
async fn who_follows_is_told_that_the_hub_went_away_and_does_not_hold_it_up() {
    let (mut world, _, mut open) = world_with_a_runner().await;
    world.push(TWO_STEPS).await;
    let held = take(&mut open).await;
    open.put(held.log(2, Origin::Stdout, b"one\n")).await;
    assert_eq!(open.hear_news().await, held.ack(2));
    let mut follow = world.command(std::path::Path::new(env!("CARGO_BIN_EXE_cofferdam-hub")));
    follow
        .args(["build", "logs", "-f", "demo", "1", "--data"])
        .arg(world.data())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut follow = follow.spawn().unwrap();
    let out = tokio::io::BufReader::new(follow.stdout.take().unwrap());
    let mut lines = tokio::io::AsyncBufReadExt::lines(out);
    for expected in ["▌ step 1: Scan", "│ one"] {
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap();
        assert_eq!(line.unwrap().as_deref(), Some(expected));
    }
    // By now it has asked again and waits; on a host that is slower the test only shows less.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let begin = tokio::time::Instant::now();
    world.stop().await;
    let took = begin.elapsed();
    assert!(took < std::time::Duration::from_secs(4), "{took:?}");
    let ended = timeout(PATIENCE, follow.wait_with_output()).await.unwrap();
    let ended = ended.unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(75), "{said}");
    assert!(said.contains("the hub stopped or went away"), "{said}");
}

#[tokio::test]
async fn what_comes_twice_is_stored_once_and_a_gap_is_asked_for() {
    let (world, _, mut open) = world_with_a_runner().await;
    world.push(TWO_STEPS).await;
    let held = take(&mut open).await;
    open.put(held.log(2, Origin::Stdout, b"once\n")).await;
    open.put(held.log(2, Origin::Stdout, b"once\n")).await;
    assert_eq!(open.hear_news().await, held.ack(2));
    assert_eq!(open.hear_news().await, held.ack(2));
    open.put(held.log(4, Origin::Stdout, b"too early\n")).await;
    open.put(held.log(5, Origin::Stdout, b"too early\n")).await;
    open.put(held.log(3, Origin::Stdout, b"in turn\n")).await;
    assert_eq!(open.hear_news().await, held.position(Some(2)));
    assert_eq!(open.hear_news().await, held.ack(3));
    let log = world.says(&["build", "logs", "demo", "1"]).await;
    assert_eq!(log, "▌ step 1: Scan\n│ once\n│ in turn\n");
}

#[tokio::test]
async fn a_report_that_makes_no_sense_makes_the_attempt_stale() {
    let (world, _, mut open) = world_with_a_runner().await;
    world.push(TWO_STEPS).await;
    let held = take(&mut open).await;
    open.say(&held.event(
        2,
        JobEvent::StepStarted {
            step: StepIndex(99),
        },
    ))
    .await;
    assert_eq!(open.hear_news().await, held.stale());
}

#[tokio::test]
async fn a_declined_job_waits_for_another_runner_and_says_why() {
    let (world, _, mut open) = world_with_a_runner().await;
    world.push(TWO_STEPS).await;
    let first = Held::of(&open.hear_offer().await);
    open.say(&first.decline("no \u{1b}disk")).await;
    let build = world
        .wait_for_build(1, |build| {
            build["jobs"][0]["why"] == "the runner one declined it: no \\u{1b}disk"
        })
        .await;
    assert_eq!(build["state"], "queued");
    let second = join(&world, &[]).await;
    let mut other = session(&world, &second, 1).await;
    let spec = other.hear_offer().await;
    assert_eq!(spec.fence, Fence(2));
}

#[tokio::test]
async fn a_job_waits_for_its_labels() {
    let (world, _, _open) = world_with_a_runner().await;
    let labelled = TWO_STEPS.replace(
        "name: Scan",
        "runs-on: [self.hosted, gpu]\n        name: Scan",
    );
    world.push(&labelled).await;
    world
        .wait_for_build(1, |build| {
            build["jobs"][0]["why"] == "no online runner has the labels gpu, self.hosted"
        })
        .await;
    let special = join(&world, &["gpu"]).await;
    let mut open = session(&world, &special, 1).await;
    let spec = open.hear_offer().await;
    assert_eq!(spec.steps.len(), 1);
}

#[tokio::test]
async fn an_offer_that_was_never_answered_goes_to_the_next_at_once() {
    let (world, who, mut open) = world_with_a_runner().await;
    world.push(TWO_STEPS).await;
    let first = open.hear_offer().await;
    drop(open);
    let mut back = session(&world, &who, 1).await;
    let again = back.hear_offer().await;
    assert_eq!(again.fence, Fence(first.fence.0 + 1));
    back.say(&Held::of(&first).accept()).await;
    assert_eq!(back.hear_news().await, Held::of(&first).stale());
}

#[tokio::test]
async fn a_lost_runners_job_is_tried_again_and_the_lost_one_can_change_nothing() {
    let (world, who, mut open) = world_with_a_runner().await;
    world.push(TWO_STEPS).await;
    let lost = take(&mut open).await;
    drop(open);
    let second = join(&world, &[]).await;
    let mut other = session(&world, &second, 1).await;
    let again = loop {
        // Whoever reads answers pings; the lease is over after six seconds.
        let spec = other.hear_offer().await;
        if spec.fence == Fence(2) {
            break spec;
        }
    };
    other.say(&Held::of(&again).accept()).await;
    let mut back = session(&world, &who, 1).await;
    back.say(&lost.alive()).await;
    assert_eq!(back.hear_news().await, lost.stale());
    back.say(&lost.event(
        2,
        JobEvent::Finished {
            result: JobResult::Passed,
        },
    ))
    .await;
    back.put(lost.log(3, Origin::Stdout, b"late\n")).await;
    // Frames are handled in their order: the answer to this one says that those before it were.
    let unknown = Held::unknown();
    back.say(&unknown.alive()).await;
    assert_eq!(back.hear_news().await, unknown.stale());
    assert_eq!(world.says(&["build", "logs", "demo", "1"]).await, "");
    assert_ne!(world.build(1).await["state"], "passed");
}

#[tokio::test]
async fn a_revoked_runners_job_goes_to_the_next_at_once() {
    let (world, who, mut open) = world_with_a_runner().await;
    let second = join(&world, &[]).await;
    world.push(TWO_STEPS).await;
    take(&mut open).await;
    let mut other = session(&world, &second, 1).await;
    let by_name = world.run(&["runner", "revoke", "one"]).await;
    let said = String::from_utf8_lossy(&by_name.stderr);
    assert!(!by_name.status.success());
    assert!(
        said.contains("one is a name, and a runner is revoked by its id: "),
        "{said}"
    );
    assert!(said.contains(&format!("{} (online)", who.id)), "{said}");
    let begin = tokio::time::Instant::now();
    let said = world.says(&["runner", "revoke", &who.id.to_string()]).await;
    assert!(said.ends_with("took the job back that it held\n"), "{said}");
    let again = other.hear_offer().await;
    assert_eq!(again.fence, Fence(2));
    // A lease and its grace are six seconds.
    assert!(begin.elapsed() < std::time::Duration::from_secs(3));
}

#[tokio::test]
async fn renewals_keep_an_attempt_for_as_long_as_they_come() {
    let (world, _, mut open) = world_with_a_runner().await;
    world.push(TWO_STEPS).await;
    let held = take(&mut open).await;
    // Eight seconds: two more than a lease without renewals survives.
    for _ in 0..8 {
        open.say(&held.alive()).await;
        assert!(matches!(open.hear().await, HubFrame::Renewed { .. }));
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    pass(&mut open, &held, 2).await;
    assert_eq!(world.build(1).await["state"], "passed");
}

#[tokio::test]
async fn a_hub_that_was_stopped_for_a_while_gives_up_no_runner_that_is_alive() {
    let (world, hub) = World::start_process().await;
    world.repository().await;
    let who = join(&world, &[]).await;
    let mut open = session(&world, &who, 1).await;
    world.push(TWO_STEPS).await;
    let held = take(&mut open).await;
    let hub = Pid::from_raw(hub.id().unwrap().try_into().unwrap()).unwrap();
    kill_process(hub, Signal::STOP).unwrap();
    // Longer than a lease with its grace, and than the silence after which a runner is gone.
    for _ in 0..17 {
        open.say(&held.alive()).await;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    kill_process(hub, Signal::CONT).unwrap();
    pass(&mut open, &held, 2).await;
    assert_eq!(world.build(1).await["state"], "passed");
}

#[tokio::test]
async fn a_cancelled_build_is_cancelled_at_its_runner_also_when_that_was_away() {
    let (world, who, mut open) = world_with_a_runner().await;
    world.push(TWO_STEPS).await;
    let held = take(&mut open).await;
    let said = world.says(&["build", "cancel", "demo", "1"]).await;
    assert_eq!(
        said,
        "Cancelled build 1 of demo: 1 job at a runner told to stop; it is running now\n"
    );
    assert_eq!(open.hear_news().await, held.cancel());
    drop(open);
    let mut back = session(&world, &who, 1).await;
    assert_eq!(back.hear_news().await, held.cancel());
    back.say(&held.event(
        2,
        JobEvent::Finished {
            result: JobResult::Cancelled,
        },
    ))
    .await;
    assert_eq!(back.hear_news().await, held.ack(2));
    assert_eq!(world.build(1).await["state"], "cancelled");
}

#[tokio::test]
async fn a_restarted_hub_goes_on_where_it_was() {
    let (mut world, who, mut open) = world_with_a_runner().await;
    world.push(TWO_STEPS).await;
    let held = take(&mut open).await;
    open.put(held.log(2, Origin::Stdout, b"before\n")).await;
    assert_eq!(open.hear_news().await, held.ack(2));
    world.restart().await;
    assert_eq!(open.next().await, None);
    let mut back = session(&world, &who, 1).await;
    back.say(&held.alive()).await;
    assert_eq!(back.hear_news().await, held.position(Some(2)));
    back.put(held.log(3, Origin::Stdout, b"after\n")).await;
    back.say(&held.event(
        4,
        JobEvent::Finished {
            result: JobResult::Passed,
        },
    ))
    .await;
    assert_eq!(back.hear_news().await, held.ack(3));
    assert_eq!(back.hear_news().await, held.ack(4));
    let log = world.says(&["build", "logs", "demo", "1"]).await;
    assert_eq!(log, "▌ step 1: Scan\n│ before\n│ after\n");
}
