//! The executor as a job uses it: a workspace, grants with lines, a log, a cancel.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cofferdam_protocol::Origin;
use cofferdam_runner::egress::EgressConfig;
use cofferdam_runner::executor::repeat::{GuestClock, GuestRandom};
use cofferdam_runner::executor::wasm::{WasmConfig, WasmExecutor};
use cofferdam_runner::executor::{
    Asked, AskedLimits, Executor as _, ExecutorError, StepRun, WasmBounds, WasmWork, Work,
};
use cofferdam_runner::log::LogSink;
use cofferdam_runner::receipt::{EndedBy, Receipt};
use cofferdam_runner::secrets::SecretGrants;
use cofferdam_runner::workspace::Workspace;
use tokio_util::sync::CancellationToken;

use super::guests::{self, Open, errno};

#[derive(Debug, Default)]
struct Log {
    pieces: Mutex<Vec<(Origin, Vec<u8>)>>,
    /// Cancelled at the first byte.
    on_first: Option<CancellationToken>,
}

impl Log {
    fn text(&self) -> String {
        let pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        let all = pieces
            .iter()
            .map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned());
        all.collect::<Vec<_>>().join("|")
    }
}

#[async_trait]
impl LogSink for Log {
    async fn write(&self, origin: Origin, bytes: &[u8]) {
        let piece = (origin, bytes.to_vec());
        self.pieces.lock().unwrap().push(piece);
        if let Some(cancel) = &self.on_first {
            cancel.cancel();
        }
    }
}

struct Stand {
    executor: WasmExecutor,
    workspace: Workspace,
    log: Log,
    cancel: CancellationToken,
    _dir: tempfile::TempDir,
}

fn stand() -> Stand {
    let dir = tempfile::tempdir().unwrap();
    let workspace = Workspace::create(&dir.path().join("workspace")).unwrap();
    let executor = WasmExecutor::new(&WasmConfig {
        egress: EgressConfig::default(),
        program: PathBuf::from(env!("CARGO_BIN_EXE_cofferdam")),
        cache_dir: dir.path().join("modules"),
        waiting: 2,
    })
    .unwrap();
    Stand {
        executor,
        workspace,
        log: Log::default(),
        cancel: CancellationToken::new(),
        _dir: dir,
    }
}

fn work(wasm: Vec<u8>) -> WasmWork {
    WasmWork {
        module: wasm.into(),
        module_path: "ci/guest.wasm".to_owned(),
        args: Vec::new(),
        env: BTreeMap::new(),
        read: Vec::new(),
        write: Vec::new(),
        net: Vec::new(),
        secrets: SecretGrants::default(),
        clock: GuestClock::Real,
        random: GuestRandom::Real,
        limits: AskedLimits::default(),
        bounds: WasmBounds::default(),
    }
}

fn asked(what: &str) -> Vec<Asked> {
    vec![Asked {
        what: what.to_owned(),
        line: 12,
    }]
}

impl Stand {
    async fn run(&self, work: WasmWork) -> Result<Receipt, ExecutorError> {
        let env = BTreeMap::from([
            ("CI".to_owned(), "true".to_owned()),
            ("LEVEL".to_owned(), "1".to_owned()),
        ]);
        let run = StepRun {
            name: "a step",
            env: &env,
            workspace: &self.workspace,
            mounts: &[],
            timeout: Duration::from_secs(20),
            cancel: &self.cancel,
            work: Work::Wasm(Box::new(work)),
        };
        self.executor.run(run, &self.log).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.workspace.path().join(name)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_has_the_jobs_environment_its_own_and_where_it_is() {
    let stand = stand();
    let mut work = work(guests::show("environ"));
    work.env.insert("LEVEL".to_owned(), "2".to_owned());
    let receipt = stand.run(work).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Exit(0));
    assert_eq!(
        stand.log.text(),
        "CI=true\0LEVEL=2\0PWD=/opt/atlassian/pipelines/agent/build\0"
    );
    let named = WasmWork {
        args: vec!["--strict".to_owned()],
        ..self::work(guests::show("args"))
    };
    stand.run(named).await.unwrap();
    assert!(stand.log.text().ends_with("|guest.wasm\0--strict\0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_outputs_reach_the_log_in_the_order_they_were_written() {
    let stand = stand();
    let receipt = stand.run(work(guests::both_streams())).await.unwrap();
    assert_eq!(stand.log.text(), "out1|err1|out2|err2");
    assert_eq!(receipt.output_bytes, 16);
    assert_eq!(receipt.executor, "wasm");
    assert_eq!(receipt.digest.unwrap().len(), "sha256:".len() + 64);
    assert_eq!(receipt.origin, "ci/guest.wasm");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_reads_and_writes_its_workspace_as_granted() {
    let stand = stand();
    std::fs::create_dir_all(stand.path(".git")).unwrap();
    std::fs::write(stand.path(".git/config"), "config").unwrap();
    std::fs::write(stand.path("README"), "readme").unwrap();
    for (path, how, expected) in [
        ("README", Open::Read, errno::SUCCESS),
        ("README", Open::Write, errno::IO),
        (".git/config", Open::Read, errno::NOENT),
        ("report/html/new", Open::Create, errno::SUCCESS),
    ] {
        let work = WasmWork {
            read: asked("."),
            write: asked("report/html"),
            ..work(guests::open(path, how))
        };
        let receipt = stand.run(work).await.unwrap();
        let expected = u8::try_from(expected).unwrap();
        assert_eq!(receipt.ended_by, EndedBy::Exit(expected), "{how:?} {path}");
        let granted: Vec<_> = receipt
            .grants
            .iter()
            .map(|grant| (grant.kind, grant.what.as_str()))
            .collect();
        assert_eq!(granted, [("read", "."), ("write", "report/html")]);
    }
    assert_eq!(
        std::fs::read(stand.path("report/html/new")).unwrap(),
        b"written"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_grant_names_its_line() {
    let stand = stand();
    std::os::unix::fs::symlink("/etc", stand.path("link")).unwrap();
    std::fs::create_dir(stand.path(".git")).unwrap();
    let nothing = || work(guests::nothing());
    for (work, expected) in [
        (
            WasmWork {
                read: asked("missing"),
                ..nothing()
            },
            "line 12: read grant `missing`: it does not exist",
        ),
        (
            WasmWork {
                read: asked("link/passwd"),
                ..nothing()
            },
            "line 12: read grant `link/passwd`: a part of it is a symbolic link",
        ),
        (
            WasmWork {
                write: asked("sub/../.git"),
                ..nothing()
            },
            "line 12: write grant `sub/../.git`: `..` is not possible in a path of a step",
        ),
        (
            WasmWork {
                write: asked(".git"),
                ..nothing()
            },
            "line 12: write grant `.git`: `.git` is never writable",
        ),
        (
            WasmWork {
                net: asked("https://127.1"),
                ..nothing()
            },
            "line 12: net grant `https://127.1` does not spell its host the usual way; write `127.0.0.1`",
        ),
    ] {
        let error = stand.run(work).await.unwrap_err();
        assert!(matches!(
            error,
            ExecutorError::GrantRefused { line: Some(12), .. }
        ));
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_step_is_gone_at_once() {
    let stand = Stand {
        cancel: CancellationToken::new(),
        ..stand()
    };
    for wasm in [guests::sleep(), guests::flood()] {
        // Compiled beforehand, so that only the end is measured.
        let limited = AskedLimits {
            time: Some(Duration::from_millis(1)),
            ..AskedLimits::default()
        };
        let warm = WasmWork {
            limits: limited,
            ..work(wasm.clone())
        };
        stand.run(warm).await.unwrap();

        let cancel = CancellationToken::new();
        let log = Log {
            on_first: Some(cancel.clone()),
            ..Log::default()
        };
        let run = StepRun {
            name: "a step",
            env: &BTreeMap::new(),
            workspace: &stand.workspace,
            mounts: &[],
            timeout: Duration::from_secs(20),
            cancel: &cancel,
            work: Work::Wasm(Box::new(work(wasm))),
        };
        let cancelled_at = async {
            cancel.cancelled().await;
            tokio::time::Instant::now()
        };
        let (receipt, cancelled_at) = tokio::join!(stand.executor.run(run, &log), cancelled_at);
        let receipt = receipt.unwrap();
        let took = cancelled_at.elapsed();
        assert_eq!(receipt.ended_by, EndedBy::Cancel);
        // 50 ms is the promise; the rest is for a busy host.
        assert!(took < Duration::from_millis(500), "{took:?}");
        assert!(!Path::new(&format!("/proc/{}", receipt.process.unwrap())).exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cancelled_before_it_began_never_begins() {
    let stand = stand();
    stand.cancel.cancel();
    let receipt = stand.run(work(guests::flood())).await.unwrap();
    assert_eq!(receipt.ended_by, EndedBy::Cancel);
    assert_eq!((receipt.output_bytes, receipt.process), (0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_steps_of_one_module_at_once_each_have_their_own_end() {
    let stand = stand();
    let wasm = guests::exit(3);
    let runs = (0..8).map(|_| stand.run(work(wasm.clone())));
    for receipt in futures_util::future::join_all(runs).await {
        assert_eq!(receipt.unwrap().ended_by, EndedBy::Exit(3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_is_none_is_the_users_mistake() {
    let stand = stand();
    for (bytes, expected) in [
        (
            b"#!/bin/sh".to_vec(),
            "the module is refused: it is not WebAssembly",
        ),
        (
            vec![0; 128 * 1024 * 1024 + 1],
            "the module is 134217729 bytes; at most 134217728",
        ),
    ] {
        let error = stand.run(work(bytes)).await.unwrap_err();
        assert!(matches!(error, ExecutorError::User(..)), "{error}");
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_takes_too_long_is_ended() {
    let stand = stand();
    let limited = AskedLimits {
        time: Some(Duration::from_millis(100)),
        ..AskedLimits::default()
    };
    let work = WasmWork {
        limits: limited,
        ..work(guests::spin())
    };
    let receipt = stand.run(work).await.unwrap();
    assert_eq!(
        receipt.ended_by,
        EndedBy::Timeout(Duration::from_millis(100))
    );
}

/// All steps are clones of one process, and clones of a random generator would say the same.
#[tokio::test(flavor = "multi_thread")]
async fn no_two_steps_draw_the_same_random_numbers() {
    const STEPS: usize = 4;
    let stand = stand();
    for _ in 0..STEPS {
        stand.run(work(guests::random())).await.unwrap();
    }
    let pieces = stand.log.pieces.lock().unwrap();
    let drawn: BTreeSet<&Vec<u8>> = pieces.iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(drawn.len(), STEPS);
    assert!(drawn.iter().all(|bytes| bytes.len() == 32));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_is_told_that_it_was_granted_nothing() {
    let stand = stand();
    let hint = "it was granted no file, host or secret";
    stand.run(work(guests::nothing())).await.unwrap();
    assert!(!stand.log.text().contains(hint), "it passed");
    std::fs::create_dir(stand.path("src")).unwrap();
    let granted = WasmWork {
        read: asked("src"),
        ..work(guests::exit(3))
    };
    stand.run(granted).await.unwrap();
    assert!(
        !stand.log.text().contains(hint),
        "it was granted a directory"
    );
    stand.run(work(guests::exit(3))).await.unwrap();
    assert!(stand.log.text().contains(hint), "{}", stand.log.text());
}
