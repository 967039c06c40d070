//! Every frame of version 1, as it stands on the wire. A file in `golden/v1` is written once and never
//! edited: a hub speaks to runners of earlier releases. A frame without a file does not pass.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cofferdam_protocol::frame::HeldAttempt;
use cofferdam_protocol::hello::{Challenge, Hello, Prove, Refuse, RefuseCode, Welcome};
use cofferdam_protocol::job_spec::{
    BuildRef, CheckoutSpec, ClockSpec, DEPTH_UNSAID, GrantSpec, JobSpec, LimitsSpec, ModuleFrom,
    RandomSpec, StepSpec, Trust, WasmSpec, WorkSpec,
};
use cofferdam_protocol::proof::{Nonce, PublicKey, Signature};
use cofferdam_protocol::report::{Blame, JobEvent, JobResult, StepResult};
use cofferdam_protocol::{
    AttemptId, BuildId, Fence, HubFrame, LogFrame, LogRecord, Origin, RunnerFrame, RunnerId, Seq,
    StepIndex, codec,
};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

const ATTEMPT: AttemptId = AttemptId::from_bytes([1; 16]);
const FENCE: Fence = Fence(7);

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/v1")
        .join(name)
}

fn check<F: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, frame: &F) {
    let path = golden(&format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}\nit would hold:\n{}",
            path.display(),
            codec::encode(frame)
        )
    });
    assert_eq!(
        &codec::decode::<F>(text.trim_end(), 1 << 20).expect("a golden frame reads"),
        frame,
        "{name} reads as something else"
    );
    assert_eq!(
        codec::encode(frame),
        text.trim_end(),
        "{name} is written otherwise"
    );
}

fn at() -> Timestamp {
    "2026-01-02T03:04:05.678Z".parse().expect("a time")
}

fn step(index: u16, work: WorkSpec) -> StepSpec {
    StepSpec {
        index: StepIndex(index),
        name: format!("Step {index}"),
        line: 4,
        max_time_secs: 60,
        depth: DEPTH_UNSAID,
        work,
    }
}

/// A job whose steps say how much history they want.
fn job_with_depths() -> JobSpec {
    let mut job = job();
    let depths = [Some(1), None, DEPTH_UNSAID];
    for (step, depth) in job.steps.iter_mut().zip(depths) {
        step.depth = depth;
    }
    job
}

fn job() -> JobSpec {
    let grant = |what: &str| GrantSpec {
        what: what.to_owned(),
        line: 9,
    };
    let wasm = WasmSpec {
        module: "ci/scan.wasm".to_owned(),
        module_from: ModuleFrom::Commit,
        module_line: 8,
        args: vec!["--strict".to_owned()],
        env: BTreeMap::from([("LEVEL".to_owned(), "2".to_owned())]),
        read: vec![grant("src")],
        write: vec![grant("report")],
        net: vec![grant("https://api.example.com")],
        clock: ClockSpec::Real,
        random: RandomSpec::Real,
        limits: LimitsSpec {
            memory_bytes: Some(1 << 28),
            ..LimitsSpec::default()
        },
    };
    JobSpec {
        attempt: ATTEMPT,
        fence: FENCE,
        build: BuildRef {
            id: BuildId::from_bytes([2; 16]),
            number: 42,
            repository: "demo".to_owned(),
        },
        checkout: CheckoutSpec {
            url: "https://git.example/demo.git".to_owned(),
            reference: "refs/heads/main".to_owned(),
            commit: "0123456789abcdef0123456789abcdef01234567"
                .parse()
                .expect("a commit"),
        },
        trust: Trust::Trusted,
        env: BTreeMap::from([("CI".to_owned(), "true".to_owned())]),
        steps: vec![
            step(0, WorkSpec::Wasm(wasm)),
            step(
                1,
                WorkSpec::Script {
                    image: "localhost/image:1".to_owned(),
                    script: vec!["make test".to_owned()],
                    after_script: vec!["make clean".to_owned()],
                },
            ),
            step(
                2,
                WorkSpec::Unsupported {
                    what: "services".to_owned(),
                    line: 30,
                },
            ),
        ],
    }
}

/// A step that ships with the runner, made repeatable.
fn first_party_job() -> JobSpec {
    let mut job = job();
    job.steps.truncate(1);
    if let WorkSpec::Wasm(wasm) = &mut job.steps[0].work {
        "secret-scan".clone_into(&mut wasm.module);
        wasm.module_from = ModuleFrom::FirstParty;
        wasm.clock = ClockSpec::Fixed;
        wasm.random = RandomSpec::Seeded;
    }
    job
}

#[test]
fn what_a_hub_says_in_version_1() {
    let challenge = Challenge {
        nonce: Nonce([3; 32]),
        identity: PublicKey([4; 32]),
        is_bound: true,
        signature: Signature([5; 64]),
    };
    check("hub-challenge", &HubFrame::Challenge(challenge));
    check(
        "hub-welcome",
        &HubFrame::Welcome(Welcome {
            lease_secs: 15,
            renew_secs: 5,
        }),
    );
    let refuse = Refuse {
        code: RefuseCode::UnknownRunner,
        message: "no such runner".to_owned(),
    };
    check("hub-refuse", &HubFrame::Refuse(refuse));
    check("hub-offer", &HubFrame::Offer(Box::new(job())));
    check(
        "hub-offer-first-party",
        &HubFrame::Offer(Box::new(first_party_job())),
    );
    check(
        "hub-offer-depths",
        &HubFrame::Offer(Box::new(job_with_depths())),
    );
    check(
        "hub-ack",
        &HubFrame::Ack {
            attempt: ATTEMPT,
            through: Seq::FIRST,
        },
    );
    check(
        "hub-position",
        &HubFrame::Position {
            attempt: ATTEMPT,
            through: Some(Seq::FIRST),
        },
    );
    check(
        "hub-position-none",
        &HubFrame::Position {
            attempt: ATTEMPT,
            through: None,
        },
    );
    check(
        "hub-renewed",
        &HubFrame::Renewed {
            attempt: ATTEMPT,
            fence: FENCE,
        },
    );
    check(
        "hub-stale",
        &HubFrame::Stale {
            attempt: ATTEMPT,
            fence: FENCE,
        },
    );
    check(
        "hub-cancel",
        &HubFrame::Cancel {
            attempt: ATTEMPT,
            fence: FENCE,
        },
    );
}

#[test]
fn what_a_runner_says_in_version_1() {
    let hello = Hello {
        runner: RunnerId::from_bytes([6; 16]),
        nonce: Nonce([7; 32]),
        origin: "https://hub.example:7878".to_owned(),
        is_bound: true,
        software: "cofferdam 0.1.0".to_owned(),
        slots: 2,
    };
    check("runner-hello", &RunnerFrame::Hello(hello));
    check(
        "runner-prove",
        &RunnerFrame::Prove(Prove {
            signature: Signature([8; 64]),
        }),
    );
    check(
        "runner-accept",
        &RunnerFrame::Accept {
            attempt: ATTEMPT,
            fence: FENCE,
        },
    );
    let why = "all slots are taken".to_owned();
    check(
        "runner-decline",
        &RunnerFrame::Decline {
            attempt: ATTEMPT,
            fence: FENCE,
            why,
        },
    );
    let attempts = vec![HeldAttempt {
        attempt: ATTEMPT,
        fence: FENCE,
    }];
    check("runner-alive", &RunnerFrame::Alive { attempts });
}

#[test]
fn what_a_runner_reports_in_version_1() {
    let failed = StepResult::Failed {
        exit: Some(3),
        why: "exit status 3".to_owned(),
    };
    let error = StepResult::Error {
        blame: Blame::User,
        why: "no such module".to_owned(),
    };
    let finished = |result| JobEvent::StepFinished {
        step: StepIndex(1),
        result,
        receipt: serde_json::json!({ "ended_by": "exit" }),
    };
    for (name, event) in [
        ("started", JobEvent::Started),
        ("step-started", JobEvent::StepStarted { step: StepIndex(1) }),
        ("step-passed", finished(StepResult::Passed)),
        ("step-failed", finished(failed)),
        ("step-error", finished(error)),
        ("step-cancelled", finished(StepResult::Cancelled)),
        ("step-not-run", finished(StepResult::NotRun)),
        (
            "finished",
            JobEvent::Finished {
                result: JobResult::Passed,
            },
        ),
    ] {
        let frame = RunnerFrame::Event {
            attempt: ATTEMPT,
            fence: FENCE,
            seq: Seq::FIRST,
            at: at(),
            event,
        };
        check(&format!("runner-event-{name}"), &frame);
    }
}

#[test]
fn what_a_log_frame_is_in_version_1() {
    let frame = LogFrame {
        attempt: ATTEMPT,
        fence: FENCE,
        seq: Seq::FIRST,
        records: vec![LogRecord {
            step: StepIndex(1),
            origin: Origin::Stderr,
            at_ms: 1_767_323_045_678,
            bytes: b"hello\n".to_vec(),
        }],
    };
    let hex = std::fs::read_to_string(golden("log.hex")).unwrap();
    let bytes = data_encoding::HEXLOWER
        .decode(hex.trim_end().as_bytes())
        .unwrap();
    assert_eq!(LogFrame::decode(&bytes).unwrap(), frame);
    assert_eq!(frame.encode(), bytes);
}
