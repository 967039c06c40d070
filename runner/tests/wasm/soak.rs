//! Many steps in a row, one in three of them hostile, in one runner: what they leave behind is nothing.
//!
//! `./just soak` runs ten thousand; here it is enough of them that a leak of one thing per step shows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use cofferdam_protocol::Origin;
use cofferdam_runner::egress::EgressConfig;
use cofferdam_runner::executor::repeat::{GuestClock, GuestRandom};
use cofferdam_runner::executor::wasm::{WasmConfig, WasmExecutor};
use cofferdam_runner::executor::{
    Asked, AskedLimits, Executor as _, StepRun, WasmBounds, WasmWork, Work,
};
use cofferdam_runner::log::LogSink;
use cofferdam_runner::receipt::EndedBy;
use cofferdam_runner::secrets::SecretGrants;
use cofferdam_runner::workspace::Workspace;
use futures_util::stream::{self, StreamExt as _};
use tokio_util::sync::CancellationToken;

use super::command::children;
use super::guests;

/// Steps where nobody says how many.
const STEPS_DEFAULT: usize = 600;

/// Steps at once.
const AT_ONCE: usize = 4;

/// Processes that wait ready.
const WAITING: usize = 2;

/// What the runner's memory may have grown by after all steps but the first hundred, in KiB: allocators keep some.
const GROWTH_KIB_MAX: u64 = 16 * 1024;

/// How long leftovers may take to go.
const SETTLE_MAX: Duration = Duration::from_secs(20);

#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl LogSink for Nowhere {
    async fn write(&self, _origin: Origin, _bytes: &[u8]) {}
}

/// A module, what it is allowed, and how it ends; `None` for one that is dropped while it runs.
struct Kind {
    module: Vec<u8>,
    limits: AskedLimits,
    ends: Option<fn(&EndedBy) -> bool>,
}

fn kind(module: Vec<u8>, limits: AskedLimits, ends: fn(&EndedBy) -> bool) -> Kind {
    Kind {
        module,
        limits,
        ends: Some(ends),
    }
}

fn soon() -> AskedLimits {
    AskedLimits {
        time: Some(Duration::from_millis(30)),
        ..AskedLimits::default()
    }
}

fn hostile() -> Vec<Kind> {
    let small = AskedLimits {
        memory_bytes: Some(1 << 20),
        output_bytes: Some(1 << 16),
        ..AskedLimits::default()
    };
    let is_timeout = |end: &EndedBy| matches!(end, EndedBy::Timeout(_));
    let is_limit = |end: &EndedBy| matches!(end, EndedBy::Limit(_));
    let is_trap = |end: &EndedBy| matches!(end, EndedBy::Trap(_));
    let dropped = Kind {
        module: guests::spin(),
        limits: AskedLimits::default(),
        ends: None,
    };
    vec![
        kind(guests::spin(), soon(), is_timeout),
        kind(guests::spin_in_host(), soon(), is_timeout),
        kind(guests::flood(), small, is_limit),
        kind(guests::grow_table(), small, is_limit),
        kind(guests::trap(), small, is_trap),
        kind(guests::recurse(), small, is_trap),
        dropped,
    ]
}

fn honest() -> Kind {
    kind(guests::random(), AskedLimits::default(), |end| {
        *end == EndedBy::Exit(0)
    })
}

struct Stand {
    executor: WasmExecutor,
    workspace: Workspace,
    dir: tempfile::TempDir,
}

impl Stand {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(&dir.path().join("workspace")).unwrap();
        std::fs::create_dir(workspace.path().join("files")).unwrap();
        let executor = WasmExecutor::new(&WasmConfig {
            program: PathBuf::from(env!("CARGO_BIN_EXE_cofferdam")),
            cache_dir: dir.path().join("modules"),
            waiting: WAITING,
            egress: EgressConfig::default(),
        })
        .unwrap();
        Self {
            executor,
            workspace,
            dir,
        }
    }

    async fn step(&self, kind: &Kind) {
        let cancel = CancellationToken::new();
        let run = StepRun {
            name: "one of many",
            env: &BTreeMap::new(),
            workspace: &self.workspace,
            mounts: &[],
            timeout: Duration::from_mins(1),
            cancel: &cancel,
            work: Work::Wasm(Box::new(WasmWork {
                module: kind.module.clone().into(),
                module_path: "many.wasm".to_owned(),
                args: Vec::new(),
                env: BTreeMap::new(),
                read: Vec::new(),
                write: vec![Asked {
                    what: "files".to_owned(),
                    line: 1,
                }],
                net: Vec::new(),
                secrets: SecretGrants::default(),
                clock: GuestClock::default(),
                random: GuestRandom::default(),
                limits: kind.limits,
                bounds: WasmBounds::default(),
            })),
        };
        let ran = self.executor.run(run, &Nowhere);
        if let Some(ends) = kind.ends {
            let ended_by = ran.await.unwrap().ended_by;
            assert!(ends(&ended_by), "{ended_by:?}");
        } else {
            // Dropped in the middle.
            let _dropped = tokio::time::timeout(Duration::from_millis(20), ran).await;
        }
    }

    async fn steps(&self, count: usize) {
        let (honest, hostile) = (honest(), hostile());
        stream::iter(0..count)
            .for_each_concurrent(AT_ONCE, |number| {
                let kind = match number % 3 {
                    0 => &hostile[(number / 3) % hostile.len()],
                    _ => &honest,
                };
                self.step(kind)
            })
            .await;
    }

    /// What a step could leave, in words that can be compared.
    fn left(&self) -> Left {
        let own = std::process::id();
        Left {
            processes: children(own).len(),
            descriptors: entries(Path::new("/proc/self/fd")).len(),
            mounts: std::fs::read_to_string("/proc/self/mountinfo")
                .unwrap()
                .lines()
                .count(),
            disks: entries(Path::new("/sys/block")),
            files: tree(self.dir.path()),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Left {
    processes: usize,
    descriptors: usize,
    mounts: usize,
    disks: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
}

fn entries(dir: &Path) -> BTreeSet<PathBuf> {
    let read = std::fs::read_dir(dir).into_iter().flatten().flatten();
    read.map(|entry| entry.path()).collect()
}

fn tree(dir: &Path) -> BTreeSet<PathBuf> {
    let here = entries(dir);
    let below = here
        .iter()
        .filter(|path| path.is_dir() && !path.is_symlink());
    let below: Vec<PathBuf> = below.flat_map(|path| tree(path)).collect();
    here.into_iter().chain(below).collect()
}

/// Resident memory of a process, in KiB.
fn memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Of the runner and of what it keeps, the zygote and those who wait.
fn memories() -> u64 {
    let own = std::process::id();
    let all = children(own).into_iter().chain([own]);
    all.map(memory_kib).sum()
}

#[expect(clippy::disallowed_methods, reason = "a recipe asks for more steps")]
fn count() -> usize {
    let asked = std::env::var("COFFERDAM_SOAK_STEPS").ok();
    asked.map_or(STEPS_DEFAULT, |asked| asked.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_steps_leave_nothing_behind() {
    let stand = Stand::new();
    // Every module is compiled, every thread there is has been made.
    stand.steps(100).await;
    let settled = async |is: &dyn Fn(&Left) -> bool| {
        let deadline = tokio::time::Instant::now() + SETTLE_MAX;
        loop {
            let left = stand.left();
            if is(&left) || tokio::time::Instant::now() > deadline {
                return left;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // The zygote and those who wait.
    let before = settled(&|left| left.processes == 1 + WAITING).await;
    assert_eq!(before.processes, 1 + WAITING);
    let memory_before = memories();
    stand.steps(count()).await;
    let after = settled(&|left| *left == before).await;
    assert_eq!(after, before);
    let grown = memories().saturating_sub(memory_before);
    println!("{} steps: {grown} KiB more memory, nothing else", count());
    assert!(grown <= GROWTH_KIB_MAX, "{grown} KiB");
}
