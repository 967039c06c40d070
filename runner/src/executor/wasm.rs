//! Runs a step that is a WASI module: alone, in a process of its own, with exactly what it was granted.
//!
//! Comes from `job` as a [`StepRun`] or from `step run` as a [`GuestRun`]; bytes leave through the
//! [`LogSink`], a [`Receipt`] comes back. The module is compiled in one confined process (`prepare`), run
//! in another (`run`), and what happens inside those two is in `inside`. This process never parses a
//! module and never executes one.
//!
//! The network is the broker's (`egress`): a step that was granted origins gets one end of its socket.

mod cache;
mod engine;
mod inside;
mod link;
mod pool;
mod prepare;
mod run;
mod sealed;
mod secret_files;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use self::cache::ModuleCache;
use self::link::Walls;
use self::pool::Pool;
use self::prepare::Preparer;
use self::run::{Attempt, Ran};
use self::sealed::SealedCopies;
use crate::ceiling::IpRange;
use crate::egress::{Egress, EgressConfig, NetGrant};
use crate::executor::repeat::{GuestClock, GuestRandom};
use crate::executor::{Asked, AskedLimits, Executor, ExecutorError, StepRun, WasmWork, Work};
use crate::first_party;
use crate::grant::{Access, Grants, Refusal, Wanted};
use crate::log::{LogSink, say};
use crate::process::Launcher;
use crate::receipt::isolation::{Demand, Isolation};
use crate::receipt::{EndedBy, GrantRecord, Observer, Receipt};
use crate::secrets::SecretGrants;
use crate::text::printable;

pub use secret_files::SECRETS_DIR;

/// Largest module, in bytes. The largest known to be useful, a whole compiler, has 75 MB.
pub const MODULE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Where a job's steps find the work tree: where Bitbucket has it.
pub const CLONE_DIR: &str = "/opt/atlassian/pipelines/agent/build";

/// Memory of a step where it does not say, in bytes.
pub const MEMORY_BYTES_DEFAULT: u64 = 1024 * 1024 * 1024;
/// Most memory of a step, in bytes: all that a 32-bit memory can have.
pub const MEMORY_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Output of a job's step where it does not say, in bytes: more than anybody reads, and it is kept.
pub const OUTPUT_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// Most output of a step, in bytes.
pub const OUTPUT_BYTES_MAX: u64 = 1024 * 1024 * 1024 * 1024;
/// What a step may write where it does not say, in bytes: its largest file, and all together.
pub const DISK_BYTES_DEFAULT: u64 = 4 * 1024 * 1024 * 1024;

/// Becomes the process from which all confined ones are cloned. To be called first thing in `main`, before any
/// thread exists, when [`crate::process::is_zygote`] says so.
pub fn zygote_main() -> ExitCode {
    inside::warm_up();
    crate::process::serve(inside::main)
}

/// How the executor works on this host.
#[derive(Clone, Debug)]
pub struct WasmConfig {
    /// This executable: `/proc/self/exe`, or its path in tests.
    pub program: PathBuf,
    /// Where native code is kept. Made if missing; must belong to the runner.
    pub cache_dir: PathBuf,
    /// How many processes wait ready for a step, which then begins some milliseconds sooner. Each one takes
    /// memory of a few MiB.
    pub waiting: usize,
    /// How steps that were granted origins reach them.
    pub egress: EgressConfig,
}

/// Runs WASI modules.
#[derive(Debug)]
pub struct WasmExecutor {
    pool: Pool,
    preparer: Preparer,
    sealed: Arc<SealedCopies>,
    egress: Egress,
    /// Why this host can build no tree, once that is known.
    no_tree: OnceLock<String>,
}

/// A guest, its surroundings and its limits.
#[derive(Debug)]
pub struct GuestRun<'a> {
    /// The module's bytes.
    pub module: Arc<[u8]>,
    /// Where they came from, for the receipt.
    pub origin: String,
    /// Its arguments, its name first.
    pub arguments: Vec<String>,
    /// Its environment, and nothing else.
    pub env: BTreeMap<String, String>,
    /// What it may touch.
    pub grants: Grants,
    /// Whom it may reach; nobody where there is none.
    pub net: Vec<NetGrant>,
    /// Addresses beside the public ones that those may lead to.
    pub net_private: Vec<IpNet>,
    /// Which secrets it gets, and how.
    pub secrets: SecretGrants,
    /// What its wall clock shows.
    pub clock: GuestClock,
    /// Where its random numbers come from.
    pub random: GuestRandom,
    /// Where it starts.
    pub home: Home,
    /// What it may use.
    pub limits: Limits,
    /// Its standard input.
    pub stdin: OwnedFd,
    /// What must stand around it.
    pub isolation: Demand,
    /// Ends it early.
    pub cancel: &'a CancellationToken,
}

/// Where a guest starts. Either way it is the root of its tree, so that absolute and relative paths work
/// alike in every language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// At `/`.
    Root,
    /// At [`CLONE_DIR`], with `PWD` set; there is nothing else.
    CloneDir,
}

/// What a guest may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sum over all linear memories.
    pub memory_bytes: u64,
    /// Wall time.
    pub time: Duration,
    /// Standard output and standard error together.
    pub output_bytes: u64,
    /// Largest file, and all files that it writes together.
    pub disk_bytes: u64,
}

impl Limits {
    /// What was asked for, or the defaults; at most `time`.
    pub fn of(asked: &AskedLimits, time: Duration) -> Result<Self, ExecutorError> {
        let AskedLimits {
            memory_bytes,
            time: asked_time,
            output_bytes,
            disk_bytes,
        } = *asked;
        Ok(Self {
            memory_bytes: at_most(
                "memory",
                memory_bytes,
                MEMORY_BYTES_DEFAULT,
                MEMORY_BYTES_MAX,
            )?,
            time: asked_time.map_or(time, |asked| asked.min(time)),
            output_bytes: at_most(
                "output",
                output_bytes,
                OUTPUT_BYTES_DEFAULT,
                OUTPUT_BYTES_MAX,
            )?,
            disk_bytes: disk_bytes.unwrap_or(DISK_BYTES_DEFAULT),
        })
    }
}

fn at_most(name: &str, asked: Option<u64>, default: u64, max: u64) -> Result<u64, ExecutorError> {
    match asked.unwrap_or(default) {
        0 => Err(user(format!(
            "limit `{name}`: 0 is not enough for anything"
        ))),
        bytes if bytes > max => Err(user(format!(
            "limit `{name}`: {bytes} bytes; at most {max} are possible"
        ))),
        bytes => Ok(bytes),
    }
}

impl WasmExecutor {
    /// Makes it ready. Fails where the cache cannot be used or a thread cannot be started.
    pub fn new(config: &WasmConfig) -> Result<Self, ExecutorError> {
        let cache = ModuleCache::open(&config.cache_dir).map_err(|error| {
            let dir = config.cache_dir.display();
            infrastructure(format!("the module cache {dir} cannot be used"), error)
        })?;
        let fingerprint = engine::fingerprint()
            .map_err(|error| ours(format!("there is no engine for this processor: {error:#}")))?;
        let launcher = Launcher::start(config.program.clone())
            .map_err(|error| infrastructure("no thread could be started", error))?;
        Ok(Self {
            pool: Pool::new(launcher, config.waiting),
            preparer: Preparer::new(cache, fingerprint),
            sealed: Arc::default(),
            egress: Egress::new(config.egress.clone()),
            no_tree: OnceLock::new(),
        })
    }

    /// Lets processes wait for the first steps. To be called within a runtime; without it they wait from the
    /// first step on.
    pub fn get_ready(&self) {
        self.pool.fill();
    }

    /// Runs a guest to its end. Dropping the future kills it.
    pub async fn run_guest(
        &self,
        guest: GuestRun<'_>,
        log: &dyn LogSink,
    ) -> Result<Receipt, ExecutorError> {
        let digest = prepare::digest(&guest.module)?;
        secret_files::check(&guest)?;
        let preparing = self
            .preparer
            .prepare(self.pool.launcher(), &guest.module, &digest);
        let entry = tokio::select! {
            biased;
            () = guest.cancel.cancelled() => None,
            entry = preparing => Some(entry?),
        };
        let ran = match entry {
            None => Ran::cancelled_before_it_began(),
            Some(entry) => self.run_prepared(&guest, &entry, log).await?,
        };
        Ok(receipt(guest, &digest, ran))
    }

    /// The native code as a step gets it. Copying waits for the disk.
    async fn sealed(&self, entry: &cache::Entry) -> Result<Arc<OwnedFd>, ExecutorError> {
        let (sealed, entry) = (Arc::clone(&self.sealed), entry.clone());
        tokio::task::spawn_blocking(move || sealed.of(&entry))
            .await
            .map_err(io::Error::other)
            .and_then(|copy| copy)
            .map_err(|error| infrastructure("native code could not be copied to memory", error))
    }

    async fn run_prepared(
        &self,
        guest: &GuestRun<'_>,
        entry: &cache::Entry,
        log: &dyn LogSink,
    ) -> Result<Ran, ExecutorError> {
        let native = self.sealed(entry).await?;
        let code = (entry.front, &*native);
        if self.no_tree.get().is_none() {
            match run::run(self, guest, code, Walls::Tree, log).await? {
                Attempt::Ran(ran) => return Ok(ran),
                Attempt::NoTree(why) => {
                    tracing::warn!(%why, "this host has no namespaces for steps");
                    self.no_tree.get_or_init(|| why);
                }
            }
        }
        if guest.isolation == Demand::Strict {
            let why = self.no_tree.get().map_or("", String::as_str);
            return Err(too_weak(&format!(
                "this host gives a step no own file tree ({why})"
            )));
        }
        guest
            .grants
            .without_a_tree()
            .map_err(|refusal| refused(&refusal))?;
        secret_files::without_a_tree(guest)?;
        match run::run(self, guest, code, Walls::Process, log).await? {
            Attempt::Ran(ran) => Ok(ran),
            Attempt::NoTree(why) => Err(ours(format!(
                "a tree was built that nobody asked for: {why}"
            ))),
        }
    }
}

#[async_trait]
impl Executor for WasmExecutor {
    async fn run(&self, run: StepRun<'_>, log: &dyn LogSink) -> Result<Receipt, ExecutorError> {
        let StepRun {
            name: _,
            env,
            workspace,
            mounts: _,
            timeout,
            cancel,
            work,
        } = run;
        let Work::Wasm(work) = work else {
            return Err(ours(
                "a script was given to the executor of modules".to_owned(),
            ));
        };
        let WasmWork {
            module,
            module_path,
            args,
            env: own_env,
            read,
            write,
            net,
            secrets,
            clock,
            random,
            limits,
            bounds,
        } = *work;
        let wanted: Vec<Wanted> = wanted(Access::Read, &read)
            .chain(wanted(Access::Write, &write))
            .collect();
        let program = program_name(&module_path);
        let mut env = env.clone();
        env.extend(own_env);
        env.entry("PWD".to_owned())
            .or_insert_with(|| CLONE_DIR.to_owned());
        let guest = GuestRun {
            module,
            arguments: std::iter::once(program.to_owned()).chain(args).collect(),
            origin: module_path,
            env,
            grants: Grants::in_workspace(workspace, &wanted)
                .map_err(|refusal| refused(&refusal))?,
            secrets,
            clock,
            random,
            net: net.iter().map(origin).collect::<Result<_, _>>()?,
            net_private: bounds.private_ranges.iter().map(IpRange::network).collect(),
            home: Home::CloneDir,
            limits: Limits::of(&limits, timeout)?,
            stdin: nothing_to_read()?,
            isolation: bounds.isolation,
            cancel,
        };
        let was_granted_nothing =
            guest.grants.paths.is_empty() && guest.net.is_empty() && guest.secrets.is_empty();
        let receipt = self.run_guest(guest, log).await?;
        if was_granted_nothing && matches!(receipt.ended_by, EndedBy::Exit(1..)) {
            say(log, GRANTED_NOTHING).await;
        }
        Ok(receipt)
    }
}

/// What the log of a step says that failed and may only have lacked a grant.
const GRANTED_NOTHING: &str =
    "it was granted no file, host or secret; `grants` in its `wasm` block would name them";

fn origin(asked: &Asked) -> Result<NetGrant, ExecutorError> {
    let Asked { what, line } = asked;
    what.parse().map_err(|error| ExecutorError::GrantRefused {
        why: format!("net grant `{}` {error}", printable(what)),
        line: Some(*line),
    })
}

/// What a program finds as its own name.
fn program_name(module: &str) -> &str {
    let name = module.rsplit('/').next().unwrap_or(module);
    name.strip_prefix(first_party::SCHEME).unwrap_or(name)
}

fn wanted(access: Access, asked: &[Asked]) -> impl Iterator<Item = Wanted> {
    asked.iter().map(move |Asked { what, line }| Wanted {
        access,
        host: what.into(),
        guest: what.clone(),
        what: what.clone(),
        line: Some(*line),
    })
}

fn nothing_to_read() -> Result<OwnedFd, ExecutorError> {
    std::fs::File::open("/dev/null")
        .map(OwnedFd::from)
        .map_err(|error| infrastructure("/dev/null cannot be opened", error))
}

fn records(guest: &GuestRun<'_>) -> Vec<GrantRecord> {
    let granted = |what| GrantRecord {
        kind: "secret",
        what,
        refused: None,
    };
    let SecretGrants { variables, files } = &guest.secrets;
    let variables = variables.iter().map(|(name, _)| name.to_owned());
    let files = files.iter().map(|(name, _)| format!("file: {name}"));
    let mut records = guest.grants.records();
    records.extend(variables.chain(files).map(granted));
    records
}

fn receipt(guest: GuestRun<'_>, digest: &[u8; 32], ran: Ran) -> Receipt {
    let Ran {
        ended_by,
        wall,
        cpu,
        memory_peak_bytes,
        output_bytes,
        network,
        isolation,
        process,
    } = ran;
    let origins = guest.net.iter().map(|grant| GrantRecord {
        kind: "net",
        what: grant.to_string(),
        refused: None,
    });
    Receipt {
        executor: "wasm",
        digest: Some(format!("sha256:{}", HEXLOWER.encode(digest))),
        grants: records(&guest).into_iter().chain(origins).collect(),
        origin: guest.origin,
        ended_by,
        wall,
        cpu: cpu.map(|cpu| (cpu, Observer::Kernel)),
        memory_peak_bytes: memory_peak_bytes.map(|bytes| (bytes, Observer::Kernel)),
        output_bytes,
        network,
        isolation: isolation
            .as_ref()
            .map_or_else(|| "it never began".to_owned(), Isolation::to_string),
        walls: isolation,
        process: process.map(|id| id.to_string()),
    }
}

impl Ran {
    fn cancelled_before_it_began() -> Self {
        Self {
            ended_by: EndedBy::Cancel,
            wall: Duration::ZERO,
            cpu: None,
            memory_peak_bytes: None,
            output_bytes: 0,
            network: None,
            isolation: None,
            process: None,
        }
    }
}

fn refused(refusal: &Refusal) -> ExecutorError {
    ExecutorError::GrantRefused {
        why: refusal.to_string(),
        line: refusal.line,
    }
}

fn user(why: String) -> ExecutorError {
    ExecutorError::User(why, None)
}

fn infrastructure(why: impl Into<String>, error: io::Error) -> ExecutorError {
    ExecutorError::Infrastructure(why.into(), Some(error.into()))
}

/// The host lacks a wall that was demanded; another runner may have it.
fn too_weak(missing: &str) -> ExecutorError {
    let why =
        format!("the isolation level `strict` was demanded, and {missing}; the step was not run");
    ExecutorError::Infrastructure(why, None)
}

fn ours(why: String) -> ExecutorError {
    ExecutorError::Ours(why, None)
}
