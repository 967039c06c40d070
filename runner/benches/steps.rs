//! What it costs to run a step that is a module, both walls included, beside what others cost on the same host in
//! the same run. Prints a table; see `docs/performance.md`.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench that cannot measure shall stop, and it starts what it compares with"
)]

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cofferdam_protocol::Origin;
use cofferdam_runner::egress::EgressConfig;
use cofferdam_runner::executor::repeat::{GuestClock, GuestRandom};
use cofferdam_runner::executor::wasm::{WasmConfig, WasmExecutor};
use cofferdam_runner::executor::{AskedLimits, Executor as _, StepRun, WasmBounds, WasmWork, Work};
use cofferdam_runner::log::LogSink;
use cofferdam_runner::receipt::EndedBy;
use cofferdam_runner::secrets::SecretGrants;
use cofferdam_runner::workspace::Workspace;
use futures_util::stream::{self, StreamExt as _};
use tokio_util::sync::CancellationToken;

/// How often each start is measured: enough for a 99th percentile.
const STARTS: usize = 400;

/// How many steps the throughput is measured over.
const STEPS: usize = 2_000;

/// Steps at once while throughput is measured: two for each core of the machine that the goals are for.
const AT_ONCE: usize = 4;

/// Processes that wait ready.
const WAITING: usize = AT_ONCE;

/// How often a peer is started: they are slow.
const PEER_STARTS: usize = 30;

const HELLO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "hello\n")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 6))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

/// Notes when the first byte came.
#[derive(Debug, Default)]
struct FirstByte(Mutex<Option<Instant>>);

#[async_trait]
impl LogSink for FirstByte {
    async fn write(&self, _origin: Origin, _bytes: &[u8]) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(Instant::now);
    }
}

struct Stand {
    executor: WasmExecutor,
    workspace: Workspace,
    module: Vec<u8>,
    dir: tempfile::TempDir,
}

impl Stand {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(&dir.path().join("workspace")).unwrap();
        std::fs::create_dir(workspace.path().join("src")).unwrap();
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
            module: wat::parse_str(HELLO).unwrap(),
            dir,
        }
    }

    /// Runs one step; how long its first byte took, and all of it.
    async fn step(&self, read: &[&str]) -> (Duration, Duration) {
        let log = FirstByte::default();
        let asked = |what: &&str| cofferdam_runner::executor::Asked {
            what: (*what).to_owned(),
            line: 1,
        };
        let run = StepRun {
            name: "hello",
            env: &BTreeMap::new(),
            workspace: &self.workspace,
            mounts: &[],
            timeout: Duration::from_mins(1),
            cancel: &CancellationToken::new(),
            work: Work::Wasm(Box::new(WasmWork {
                module: self.module.clone().into(),
                module_path: "hello.wasm".to_owned(),
                args: Vec::new(),
                env: BTreeMap::new(),
                read: read.iter().map(asked).collect(),
                write: Vec::new(),
                net: Vec::new(),
                clock: GuestClock::default(),
                random: GuestRandom::default(),
                secrets: SecretGrants::default(),
                limits: AskedLimits::default(),
                bounds: WasmBounds::default(),
            })),
        };
        let start = Instant::now();
        let receipt = self.executor.run(run, &log).await.unwrap();
        let whole = start.elapsed();
        assert_eq!(receipt.ended_by, EndedBy::Exit(0));
        let first = log.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        (first.unwrap() - start, whole)
    }

    async fn starts(&self, read: &[&str]) -> (Spread, Spread) {
        let mut first = Vec::new();
        let mut whole = Vec::new();
        for _ in 0..STARTS {
            let (to_first, to_end) = self.step(read).await;
            first.push(to_first);
            whole.push(to_end);
        }
        (Spread::of(first), Spread::of(whole))
    }

    async fn per_second(&self) -> f64 {
        let start = Instant::now();
        stream::iter(0..STEPS)
            .for_each_concurrent(AT_ONCE, |_| async {
                self.step(&[]).await;
            })
            .await;
        count(STEPS) / start.elapsed().as_secs_f64()
    }
}

fn count(of: usize) -> f64 {
    f64::from(u32::try_from(of).unwrap())
}

#[derive(Clone, Copy, Debug)]
struct Spread {
    p50: Duration,
    p99: Duration,
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        Self {
            p50: at(50),
            p99: at(99),
        }
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Starts a program again and again; `None` where it is not on this host or does not work.
fn peer(program: &str, arguments: &[&str]) -> Option<Spread> {
    let mut times = Vec::new();
    for _ in 0..PEER_STARTS {
        let start = Instant::now();
        let output = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        times.push(start.elapsed());
        if output.stdout != b"hello\n" {
            return None;
        }
    }
    Some(Spread::of(times))
}

struct Table(io::Stdout);

impl Table {
    fn row(&mut self, what: &str, ours: &str, goal: &str) {
        writeln!(self.0, "| {what:<58} | {ours:>22} | {goal:<26} |").unwrap();
    }

    fn spread(&mut self, what: &str, spread: Option<Spread>, goal: &str) {
        let ours = spread.map_or_else(
            || "not here, or not working".to_owned(),
            |spread| format!("{:.2} / {:.2} ms", ms(spread.p50), ms(spread.p99)),
        );
        self.row(what, &ours, goal);
    }
}

fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default()
}

fn peers(table: &mut Table, stand: &Stand) {
    let module = stand.dir.path().join("hello.wasm");
    std::fs::write(&module, &stand.module).unwrap();
    let module = module.to_str().unwrap();
    let cofferdam = Path::new(env!("CARGO_BIN_EXE_cofferdam")).to_str().unwrap();
    let whole = peer(cofferdam, &["step", "run", module]);
    table.spread(
        "`cofferdam step run`, whole process",
        whole,
        "≤ 2 × `wasmtime run`",
    );
    let wasmtime = peer("wasmtime", &["run", "-C", "cache=y", module]);
    table.spread("`wasmtime run`, cached, whole process", wasmtime, "");
    let bwrap = ["--unshare-all", "--ro-bind", "/", "/", "echo", "hello"];
    table.spread("`bwrap --unshare-all echo`", peer("bwrap", &bwrap), "");
    let podman = [
        "run",
        "--rm",
        "--network",
        "none",
        "localhost/cofferdam/busybox:1",
        "echo",
        "hello",
    ];
    table.spread("`podman run` echo", peer("podman", &podman), "");
}

#[tokio::main]
async fn main() {
    let stand = Stand::new();
    stand.step(&[]).await; // compiles
    let mut table = Table(io::stdout());
    writeln!(table.0, "load before: {}", load()).unwrap();
    table.row("times are p50 / p99", "here", "goal");
    let (first, whole) = stand.starts(&[]).await;
    table.spread(
        "warm step, no grant: dispatch to first byte",
        Some(first),
        "≤ 1 / 5 ms",
    );
    table.spread("warm step, no grant: dispatch to receipt", Some(whole), "");
    let (first, _) = stand.starts(&["src"]).await;
    table.spread(
        "warm step, one directory: dispatch to first byte",
        Some(first),
        "≤ 1 / 5 ms",
    );
    let rate = stand.per_second().await;
    table.row(
        "steps per second",
        &format!("{rate:.0}"),
        "≥ 500, then 1500",
    );
    peers(&mut table, &stand);
    writeln!(table.0, "load after: {}", load()).unwrap();
}
