//! `cofferdam step run`: one module, run on this host by hand, with the engine that runs it in a job.
//!
//! Standard input, output and error are the guest's own; each line of ours on standard error begins with
//! `cofferdam: `. The exit status is the guest's, or one of those in [`status`]; because a guest may use
//! those itself, the receipt's `ended_by` decides (`docs/receipt.md`).

mod given;
mod held;
mod receipt_file;
mod terminal;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use ipnet::IpNet;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use self::given::GivenArgs;
use self::receipt_file::ReceiptFile;
use self::terminal::Outputs;
use crate::ceiling::{Effective, LimitName, quantity};
use crate::config::Environment;
use crate::egress::policy::BadOrigin;
use crate::egress::{EgressConfig, NetGrant};
use crate::executor::wasm::{
    GuestRun, Home, Limits, MODULE_BYTES_MAX, OUTPUT_BYTES_MAX, WasmConfig, WasmExecutor,
};
use crate::executor::{AskedLimits, ExecutorError};
use crate::first_party;
use crate::grant::{Access, Grants, Wanted};
use crate::mask::Masks;
use crate::receipt::isolation::Demand;
use crate::receipt::json::{NotRun, not_run_to_json, to_json};
use crate::receipt::{EndedBy, GrantRecord, Receipt};
use crate::text::printable;

/// What the exit status means where it is not the guest's own.
pub mod status {
    /// A limit ended the guest, time included.
    pub const LIMIT: u8 = 124;
    /// It could not be run: bad arguments, no module, a module that cannot run, a host that fails.
    pub const NOT_RUN: u8 = 125;
    /// A requested grant was refused.
    pub const REFUSED: u8 = 126;
    /// Ended by a signal to us: this plus its number, as shells have it. 130 is Ctrl-C.
    pub const SIGNAL: u8 = 128;
    /// The guest trapped: as shells show a process that aborted.
    pub const TRAP: u8 = 134;
    /// It ran into a wall of the kernel's: as shells show a process that made a forbidden system call.
    pub const WALL: u8 = 159;
    /// Nobody reads the output any more: as shells show a process that wrote into a broken pipe.
    pub const BROKEN_PIPE: u8 = 141;
}

/// Time of a guest where it does not say: what Bitbucket gives a step.
const TIME_DEFAULT: Duration = Duration::from_hours(2);

/// Run a WASI module with only what it is granted.
///
/// The guest sees no file, host or environment but what is named here. Its exit status is passed on;
/// beside that, 124: a limit ended it, 125: it could not be run, 126: a grant was refused, 134: it
/// trapped, 130: interrupted, 141: nobody reads the output, 159: it made a forbidden system call.
#[derive(Debug, Parser)]
#[command(name = "cofferdam step run", disable_version_flag = true)]
pub struct StepRunArgs {
    /// Let it read a file or directory. GUEST is where it finds it: HOST as written if left out; a
    /// relative one starts where the guest starts, `::/` is the root of its tree
    #[arg(long, value_name = "HOST[::GUEST]")]
    read: Vec<String>,
    /// Let it read and write a file or directory
    #[arg(long, value_name = "HOST[::GUEST]")]
    write: Vec<String>,
    /// Let it reach an origin: `https://HOST[:PORT]` or `http://HOST[:PORT]` with requests, `tcp://HOST:PORT`
    /// with a connection. Names are exact, and must point to a public address
    #[arg(long, value_name = "ORIGIN")]
    net: Vec<String>,
    /// Let granted origins point into a range that is not public, for example `127.0.0.1/32` for this host
    #[arg(long, value_name = "RANGE")]
    net_private: Vec<IpNet>,
    /// Set one variable of its environment, which is empty otherwise
    #[arg(long, value_name = "K=V", value_parser = variable)]
    env: Vec<(String, String)>,
    #[command(flatten)]
    given: GivenArgs,
    /// Memory, the sum of all it has, for example 256MiB [default: 1GiB, at most 4GiB]
    #[arg(long, value_name = "N", value_parser = quantity::size)]
    memory: Option<u64>,
    /// Wall time, for example 60s [default: 2h]
    #[arg(long, value_name = "D", value_parser = quantity::duration)]
    time: Option<Duration>,
    /// Standard output and standard error together, for example 10MiB [default: 1TiB]
    #[arg(long, value_name = "N", value_parser = quantity::size)]
    output: Option<u64>,
    /// Files: the largest one, and all that are written together, for example 1GiB [default: 4GiB]
    #[arg(long, value_name = "N", value_parser = quantity::size)]
    disk: Option<u64>,
    /// What must stand around it: `best`, all walls that this host allows; or `strict`, every wall that
    /// there is, or it does not run
    #[arg(long, value_name = "LEVEL", default_value = "best", value_parser = isolation)]
    isolation: Demand,
    /// Hold it to the ceiling of this runner.toml [default: your own, if there is one]
    #[arg(long, value_name = "FILE")]
    ceiling: Option<PathBuf>,
    /// Write a receipt (JSON) to this file: what it was granted and used, and how it ended
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// The module, a preview 1 core module or a preview 2 component; or `step:NAME`, one that `step list` shows
    #[arg(value_name = "MODULE")]
    module: PathBuf,
    /// Its arguments
    #[arg(value_name = "ARGS", last = true)]
    args: Vec<String>,
}

fn isolation(text: &str) -> Result<Demand, String> {
    match text {
        "best" => Ok(Demand::Best),
        "strict" => Ok(Demand::Strict),
        _ => Err("an isolation level is `best` or `strict`".to_owned()),
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !text.contains('\0') => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("a variable is NAME=VALUE".to_owned()),
    }
}

/// Runs the command with its own arguments, without `cofferdam step run`.
pub fn main(arguments: impl IntoIterator<Item = OsString>, environment: &Environment) -> ExitCode {
    let name = OsString::from("cofferdam step run");
    match StepRunArgs::try_parse_from(std::iter::once(name).chain(arguments)) {
        Ok(args) => run(args, environment),
        Err(error) if error.use_stderr() => {
            for line in error.to_string().lines().filter(|line| !line.is_empty()) {
                complain(line);
            }
            ExitCode::from(status::NOT_RUN)
        }
        Err(help) => match help.print() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(status::BROKEN_PIPE),
        },
    }
}

/// Runs the command.
pub fn run(args: StepRunArgs, environment: &Environment) -> ExitCode {
    let receipt_name = args.receipt.clone().unwrap_or_default();
    let no_receipt = |error: io::Error| {
        let name = printable(&receipt_name.display().to_string());
        complain(&format!("the receipt cannot be written to {name}: {error}"));
        ExitCode::from(status::NOT_RUN)
    };
    let receipt_file = match args.receipt.as_deref().map(ReceiptFile::begin).transpose() {
        Ok(file) => file,
        Err(error) => return no_receipt(error),
    };
    let origin = args.module.display().to_string();
    let (end, json) = match attempt(args, environment) {
        Ok(done) => (done.status, to_json(&done.receipt)),
        Err(failure) => {
            complain(&failure.to_string());
            let status = match &failure.why {
                NotRun::Refused(_) => status::REFUSED,
                NotRun::Error(_) => status::NOT_RUN,
            };
            (
                status,
                not_run_to_json(&origin, &failure.grants, &failure.why),
            )
        }
    };
    if let Some(Err(error)) = receipt_file.map(|file| file.keep(&json)) {
        return no_receipt(error);
    }
    ExitCode::from(end)
}

struct Done {
    status: u8,
    receipt: Receipt,
}

/// The step did not run.
#[derive(Debug)]
struct Failure {
    why: NotRun,
    grants: Vec<GrantRecord>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.why {
            NotRun::Refused(why) => write!(f, "refused: {why}"),
            NotRun::Error(why) => write!(f, "{why}"),
        }
    }
}

impl Failure {
    fn error(why: String) -> Self {
        Self {
            why: NotRun::Error(why),
            grants: Vec::new(),
        }
    }

    fn refused(kind: &'static str, what: &str, why: &str) -> Self {
        let grants = vec![GrantRecord {
            kind,
            what: what.to_owned(),
            refused: Some(why.to_owned()),
        }];
        Self {
            why: NotRun::Refused(format!("{kind} grant `{what}`: {why}")),
            grants,
        }
    }
}

impl From<ExecutorError> for Failure {
    fn from(error: ExecutorError) -> Self {
        let why = chain(&error);
        match error {
            ExecutorError::GrantRefused { .. } => Self {
                why: NotRun::Refused(why),
                grants: Vec::new(),
            },
            _ => Self::error(why),
        }
    }
}

fn attempt(args: StepRunArgs, environment: &Environment) -> Result<Done, Failure> {
    check_possible(&args)?;
    let secrets = args.given.secrets().map_err(Failure::error)?;
    let grants = grants(&args)?;
    let (held, net_private) = held::held(&args, &grants, environment)?;
    let limits = limits(&held)?;
    let net = args
        .net
        .iter()
        .map(|text| origin(text))
        .collect::<Result<_, _>>()?;
    let module = read_module(&args.module).map_err(Failure::error)?;
    let stdin = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| Failure::error(format!("no standard input: {error}")))?;
    let program = args
        .module
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let program = program.trim_start_matches(first_party::SCHEME);
    let cancel = CancellationToken::new();
    let guest = GuestRun {
        module,
        origin: args.module.display().to_string(),
        arguments: std::iter::once(program.to_owned())
            .chain(args.args)
            .collect(),
        env: BTreeMap::from_iter(args.env),
        grants,
        net,
        net_private,
        secrets,
        clock: args.given.clock,
        random: args.given.random,
        home: Home::Root,
        limits,
        stdin,
        isolation: args.isolation.max(held.isolation),
        cancel: &cancel,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::error(format!("no runtime: {error}")))?;
    let done = runtime.block_on(run_guest(guest, &environment.module_cache_dir()));
    // A write to an output that nobody reads may still be waiting.
    runtime.shutdown_background();
    done
}

async fn run_guest(guest: GuestRun<'_>, cache_dir: &Path) -> Result<Done, Failure> {
    let cancel = guest.cancel.clone();
    let masks = Masks::new(&guest.secrets.files)
        .map_err(|error| Failure::error(format!("the secrets cannot be masked: {error}")))?;
    let outputs = Outputs::new(cancel.clone(), masks);
    let executor = WasmExecutor::new(&WasmConfig {
        program: PathBuf::from("/proc/self/exe"),
        cache_dir: cache_dir.to_owned(),
        waiting: 0,
        egress: EgressConfig::default(),
    })?;
    let (received, ran) = tokio::join!(cancel_on_signal(&cancel), async {
        let ran = executor.run_guest(guest, &outputs).await;
        outputs.finish().await;
        // The signals are no longer of interest.
        cancel.cancel();
        ran
    });
    let receipt = ran?;
    let failed = outputs.into_failure();
    let status = exit_status(&receipt.ended_by, received, failed.as_ref());
    Ok(Done { status, receipt })
}

/// Cancels the step when somebody interrupts us, and says by which signal.
async fn cancel_on_signal(cancel: &CancellationToken) -> Option<u8> {
    let kinds = [
        (SignalKind::interrupt(), 2),
        (SignalKind::terminate(), 15),
        (SignalKind::hangup(), 1),
    ];
    let [interrupt, terminate, hangup] =
        kinds.map(|(kind, number)| signal(kind).map(|signal| (signal, number)));
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = (interrupt, terminate, hangup)
    else {
        // Without handlers the signals end us, and the kernel ends the step with us.
        return None;
    };
    let received = tokio::select! {
        () = cancel.cancelled() => return None,
        _ = interrupt.0.recv() => interrupt.1,
        _ = terminate.0.recv() => terminate.1,
        _ = hangup.0.recv() => hangup.1,
    };
    cancel.cancel();
    Some(received)
}

fn exit_status(ended_by: &EndedBy, received: Option<u8>, failed: Option<&io::Error>) -> u8 {
    match ended_by {
        EndedBy::Exit(status) => *status,
        EndedBy::Trap(why) => {
            complain(&format!("the module trapped: {why}"));
            status::TRAP
        }
        EndedBy::Wall(why) => {
            complain(&format!("the step was stopped: {why}"));
            status::WALL
        }
        EndedBy::Limit(limit) => {
            let (name, allowed) = (limit.name, limit.allowed_shown());
            complain(&format!("limit `{name}` reached: {allowed}"));
            status::LIMIT
        }
        EndedBy::Timeout(allowed) => {
            complain(&format!("limit `time` reached: {allowed:?}"));
            status::LIMIT
        }
        EndedBy::Cancel => match (received, failed) {
            (Some(signal), _) => status::SIGNAL + signal,
            (None, Some(error)) if error.kind() == io::ErrorKind::BrokenPipe => status::BROKEN_PIPE,
            (None, Some(error)) => {
                complain(&format!("the output cannot be written: {error}"));
                status::NOT_RUN
            }
            (None, None) => status::NOT_RUN,
        },
    }
}

/// What no ceiling could allow is a mistake of the command line, and is not quietly lowered.
fn check_possible(args: &StepRunArgs) -> Result<(), Failure> {
    let asked = AskedLimits {
        memory_bytes: args.memory,
        output_bytes: args.output,
        ..AskedLimits::default()
    };
    Limits::of(&asked, TIME_DEFAULT)?;
    Ok(())
}

fn limits(held: &Effective) -> Result<Limits, Failure> {
    let limit = |name| held.limits.get(&name).copied();
    let time = limit(LimitName::Time).map(Duration::from_millis);
    let asked = AskedLimits {
        memory_bytes: limit(LimitName::Memory),
        time,
        output_bytes: limit(LimitName::Output),
        disk_bytes: limit(LimitName::Disk),
    };
    Ok(Limits::of(&asked, time.unwrap_or(TIME_DEFAULT))?)
}

fn grants(args: &StepRunArgs) -> Result<Grants, Failure> {
    let reads = args.read.iter().map(|text| wanted(Access::Read, text));
    let writes = args.write.iter().map(|text| wanted(Access::Write, text));
    let wanted: Vec<Wanted> = reads.chain(writes).collect();
    Grants::by_hand(&wanted).map_err(|refusal| {
        let goes_up = Path::new(&refusal.what)
            .components()
            .any(|part| part == Component::ParentDir);
        let mut why = refusal.why;
        if goes_up && !refusal.what.contains("::") {
            why += "; `HOST::GUEST` says where the step finds it";
        }
        Failure::refused(refusal.access.name(), &refusal.what, &why)
    })
}

fn origin(text: &str) -> Result<NetGrant, Failure> {
    text.parse()
        .map_err(|error: BadOrigin| Failure::refused("net", text, &format!("it {error}")))
}

fn wanted(access: Access, text: &str) -> Wanted {
    let (host, guest) = text.rsplit_once("::").unwrap_or((text, text));
    Wanted {
        access,
        host: host.into(),
        guest: guest.to_owned(),
        what: text.to_owned(),
        line: None,
    }
}

fn read_module(path: &Path) -> Result<Arc<[u8]>, String> {
    let name = path
        .to_str()
        .and_then(|path| path.strip_prefix(first_party::SCHEME));
    if let Some(name) = name {
        return first_party::find(name)
            .map(|step| step.module.into())
            .map_err(|error| error.to_string());
    }
    let mut bytes = Vec::new();
    File::open(path)
        // One byte too many is enough to know.
        .and_then(|file| file.take(MODULE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("the module {} cannot be read: {error}", path.display()))?;
    Ok(bytes.into())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// One line of ours. Without a standard error there is nobody to tell.
fn complain(line: &str) {
    let harmless = line.replace(|char: char| char.is_control(), " ");
    let _unheard = writeln!(io::stderr(), "cofferdam: {harmless}");
}
