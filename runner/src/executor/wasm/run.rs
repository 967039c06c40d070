//! One step process from its start to its end: the spec goes in, output and the report come out, and time,
//! cancel and output limit are watched from here, where no guest can reach.

mod spec;

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use cofferdam_protocol::Origin;
use rustix::process::Signal;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::link::{Front, Kind, StepReport, Walls, encode_spec, receive, report, send_handles};
use super::{GuestRun, WasmExecutor, infrastructure, ours, too_weak, user};
use crate::egress::Broker;
use crate::executor::ExecutorError;
use crate::executor::disk::{DiskLimit, DiskWatch};
use crate::grant::Access;
use crate::log::LogSink;
use crate::process::{Mode, Process, describe, one_line, rights};
use crate::receipt::isolation::Isolation;
use crate::receipt::network::NetworkUse;
use crate::receipt::{EndedBy, LimitHit};

/// How long a process may take to go once it has reported its end, and how long its last words may take
/// to reach the log once it was killed.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_secs(1);

/// Most files and directories that a step may make: a large tree of dependencies has some hundred thousand.
const INODES_MAX: u64 = 1_000_000;

/// What is read from a step at once, in bytes: one frame of a busy guest and its header.
const READ_BYTES: usize = 72 * 1024;

/// What became of a step.
#[derive(Debug)]
pub(super) struct Ran {
    pub ended_by: EndedBy,
    pub wall: Duration,
    pub cpu: Option<Duration>,
    pub memory_peak_bytes: Option<u64>,
    pub output_bytes: u64,
    pub network: Option<NetworkUse>,
    pub isolation: Option<Isolation>,
    pub process: Option<u32>,
}

/// What became of an attempt to run one.
#[derive(Debug)]
pub(super) enum Attempt {
    /// It ran.
    Ran(Ran),
    /// It did not begin, because this host cannot build its tree: why.
    NoTree(String),
}

/// Runs a prepared guest behind these walls.
pub(super) async fn run(
    executor: &WasmExecutor,
    guest: &GuestRun<'_>,
    (front, native): (Front, &OwnedFd),
    walls: Walls,
    log: &dyn LogSink,
) -> Result<Attempt, ExecutorError> {
    let spec = encode_spec(&spec::spec(guest, front, walls)).map_err(|error| {
        ExecutorError::User("the step is too large".to_owned(), Some(error.into()))
    })?;
    let disk = watch_disk(guest).await?;
    let start = Instant::now();
    let (mut broker, way_out) = open_broker(executor, guest)?.unzip();
    let launched = match walls {
        Walls::Tree => executor.pool.take().await,
        Walls::Process => executor.pool.launch(Mode::StepInPlace).await,
    };
    let mut process = launched
        .map_err(|error| infrastructure("the step's process could not be started", error))?;
    let link = process
        .take_link()
        .map_err(|error| infrastructure("no link", error))?;
    let mut relay = Relay {
        log,
        output_bytes: 0,
        output_bytes_max: guest.limits.output_bytes,
        isolation: None,
    };
    let given = Handed {
        handles: [native.as_fd(), guest.stdin.as_fd()],
        way_out,
    };
    let conversation = relay.converse(link, &spec, given);
    let watching = watch(guest, disk.as_ref(), &mut process, conversation);
    let end = while_served(broker.as_mut(), log, watching).await;
    let memory_peak_bytes = process.memory_peak_bytes().or(end.memory_peak_bytes);
    let ended = let_go(&mut process).await?;
    let network = match broker {
        Some(mut broker) => {
            if !matches!(end.what, What::Stopped(_)) {
                // What it sent last may still be on its way.
                let _late = tokio::time::timeout(LAST_WORDS_TIME_MAX, broker.serve(log)).await;
            }
            Some(broker.finish(log).await)
        }
        None => None,
    };
    let ended_by = match end.what {
        What::Said(StepReport::NoTree(why)) => return Ok(Attempt::NoTree(one_line(&why))),
        What::Said(report) => ended_by(report)?,
        What::Stopped(ended_by) => ended_by,
        What::Vanished(_) if made_a_forbidden_call(ended.status) => EndedBy::Wall(format!(
            "it {FORBIDDEN_CALL}; no honest module can, so it had broken out of WebAssembly"
        )),
        What::Vanished(why) => return Err(vanished(&process, &ended, &why)),
    };
    let ended_by = match (ended_by, disk) {
        (EndedBy::Exit(status), Some(disk)) => disk
            .at_the_end()
            .await
            .map_or(EndedBy::Exit(status), EndedBy::Limit),
        (ended_by, _) => ended_by,
    };
    Ok(Attempt::Ran(Ran {
        ended_by,
        wall: start.elapsed(),
        cpu: Some(ended.cpu),
        memory_peak_bytes: memory_peak_bytes.or(Some(ended.memory_peak_bytes)),
        output_bytes: relay.output_bytes,
        network,
        process: Some(process.id()),
        isolation: relay.isolation,
    }))
}

/// A broker for a step that was granted origins, and the step's end of its socket.
fn open_broker(
    executor: &WasmExecutor,
    guest: &GuestRun<'_>,
) -> Result<Option<(Broker, OwnedFd)>, ExecutorError> {
    if guest.net.is_empty() {
        return Ok(None);
    }
    let opened = executor.egress.open(guest.net.clone(), &guest.net_private);
    opened
        .map(Some)
        .map_err(|error| infrastructure("the egress broker could not be started", error))
}

/// Lets the broker serve as long as the step is watched.
async fn while_served(
    broker: Option<&mut Broker>,
    log: &dyn LogSink,
    watching: impl Future<Output = End>,
) -> End {
    let serving = async {
        if let Some(broker) = broker {
            broker.serve(log).await;
        }
        std::future::pending().await
    };
    tokio::select! {
        end = watching => end,
        never = serving => never,
    }
}

/// What a step process is given beside its spec.
struct Handed<'a> {
    /// Native code and standard input.
    handles: [BorrowedFd<'a>; 2],
    /// Its end of the egress broker's socket, for a step that was granted origins.
    way_out: Option<OwnedFd>,
}

/// How the conversation with a step ended.
enum What {
    /// The process said how the guest ended.
    Said(StepReport),
    /// We ended it.
    Stopped(EndedBy),
    /// It is gone without a word, or talks nonsense.
    Vanished(String),
}

struct End {
    what: What,
    memory_peak_bytes: Option<u64>,
}

/// A watch over the directories that it may write to, if there are any.
async fn watch_disk(guest: &GuestRun<'_>) -> Result<Option<DiskWatch>, ExecutorError> {
    let failed = |error| infrastructure("what the step may write cannot be watched", error);
    let paths = guest.grants.paths.iter();
    let roots = paths
        .filter(|grant| grant.wanted.access == Access::Write && grant.host.is_directory)
        .map(|grant| grant.host.open())
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    if roots.is_empty() {
        return Ok(None);
    }
    let limit = DiskLimit {
        bytes: guest.limits.disk_bytes,
        inodes: INODES_MAX,
    };
    DiskWatch::begin(roots, limit)
        .await
        .map(Some)
        .map_err(failed)
}

async fn watch(
    guest: &GuestRun<'_>,
    disk: Option<&DiskWatch>,
    process: &mut Process,
    conversation: impl Future<Output = What>,
) -> End {
    let mut conversation = std::pin::pin!(conversation);
    let time = guest.limits.time;
    let stopped = tokio::select! {
        biased;
        () = guest.cancel.cancelled() => EndedBy::Cancel,
        what = &mut conversation => return End { what, memory_peak_bytes: None },
        () = tokio::time::sleep(time) => EndedBy::Timeout(time),
        hit = DiskWatch::exceeded(disk) => EndedBy::Limit(hit),
    };
    let memory_peak_bytes = process.memory_peak_bytes();
    process.kill();
    // What it wrote before is still in the socket.
    let _rest = tokio::time::timeout(LAST_WORDS_TIME_MAX, conversation).await;
    End {
        what: What::Stopped(stopped),
        memory_peak_bytes,
    }
}

/// Waits for the process, which knows that we are done with it; one that stays anyway is killed.
async fn let_go(process: &mut Process) -> Result<crate::process::Ended, ExecutorError> {
    let gone = tokio::time::timeout(LAST_WORDS_TIME_MAX, process.wait()).await;
    let ended = if let Ok(ended) = gone {
        ended
    } else {
        process.kill();
        process.wait().await
    };
    ended.map_err(|error| infrastructure("the step's process could not be waited for", error))
}

/// Passes output on and counts it.
struct Relay<'a> {
    log: &'a dyn LogSink,
    output_bytes: u64,
    output_bytes_max: u64,
    /// Known from the moment on in which the guest may run.
    isolation: Option<Isolation>,
}

impl Relay<'_> {
    /// Sends the spec and listens until the step has ended. The socket is closed when this is done.
    async fn converse(
        &mut self,
        link: UnixStream,
        spec: &[u8],
        Handed { handles, way_out }: Handed<'_>,
    ) -> What {
        let (first, rest) = spec.split_first().expect("a spec begins with its length");
        let (incoming, mut outgoing) = link.into_split();
        let sent = async {
            send_handles(incoming.as_ref(), *first, handles)?;
            outgoing.write_all(rest).await?;
            match &way_out {
                Some(socket) => rights::send(outgoing.as_ref(), 0, Some(socket.as_fd())).await,
                None => Ok(()),
            }
        };
        let sent = sent.await;
        // The step has it now; once the step is gone the broker is to see that.
        drop(way_out);
        if let Err(error) = sent {
            return What::Vanished(format!("it does not listen: {error}"));
        }
        let mut incoming = BufReader::with_capacity(READ_BYTES, incoming);
        let mut bytes = Vec::new();
        loop {
            let kind = match receive(&mut incoming, &mut bytes).await {
                Ok(Some(kind)) => kind,
                Ok(None) => return What::Vanished("it is gone".to_owned()),
                Err(error) => return What::Vanished(format!("it talks nonsense: {error}")),
            };
            let over = match kind {
                Kind::Stdout => self.pass_on(Origin::Stdout, &bytes).await,
                Kind::Stderr => self.pass_on(Origin::Stderr, &bytes).await,
                Kind::Native => Some(What::Vanished("it talks nonsense: native code".to_owned())),
                Kind::Report => self.take_report(&bytes),
            };
            if let Some(over) = over {
                return over;
            }
        }
    }

    async fn pass_on(&mut self, origin: Origin, bytes: &[u8]) -> Option<What> {
        let room = self.output_bytes_max - self.output_bytes;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let taken = length.min(room);
        self.output_bytes += taken;
        let fitting = usize::try_from(taken).map_or(bytes, |taken| &bytes[..taken]);
        if !fitting.is_empty() {
            self.log.write(origin, fitting).await;
        }
        let limit = LimitHit {
            name: "output",
            allowed: self.output_bytes_max,
            unit: "bytes",
        };
        (length > room).then_some(What::Stopped(EndedBy::Limit(limit)))
    }

    /// What a report means depends on when it comes: once the walls stand, whoever sends it may be the
    /// guest itself. It may say how it ended, and nothing about its walls.
    fn take_report(&mut self, bytes: &[u8]) -> Option<What> {
        let nonsense = |why: String| Some(What::Vanished(format!("it talks nonsense: {why}")));
        let report = match report(bytes) {
            Ok(report) => report,
            Err(error) => return nonsense(error.to_string()),
        };
        match (report, &self.isolation) {
            (StepReport::Walls(isolation), None) => {
                self.isolation = Some(isolation);
                None
            }
            (
                StepReport::Walls(_)
                | StepReport::NoTree(_)
                | StepReport::TooWeak(_)
                | StepReport::Broken(_),
                Some(_),
            ) => nonsense("a report that is not a guest's".to_owned()),
            (report, _) => Some(What::Said(report)),
        }
    }
}

/// What the user reads when the system call filter ended a process.
pub(super) const FORBIDDEN_CALL: &str =
    "made a forbidden system call, and the system call filter ended it";

/// Whether the system call filter ended it.
pub(super) fn made_a_forbidden_call(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::SYS.as_raw())
}

fn ended_by(report: StepReport) -> Result<EndedBy, ExecutorError> {
    match report {
        StepReport::Exit(status) => Ok(EndedBy::Exit(status)),
        StepReport::Trap(why) => Ok(EndedBy::Trap(one_line(&why))),
        StepReport::Limit { name, allowed } => {
            let (name, unit) = match name.as_str() {
                "memory" => ("memory", "bytes"),
                "table elements" => ("tables", "elements"),
                _ => {
                    return Err(ours(
                        "the step ran into a limit that does not exist".to_owned(),
                    ));
                }
            };
            Ok(EndedBy::Limit(LimitHit {
                name,
                allowed,
                unit,
            }))
        }
        StepReport::Unrunnable(why) => {
            Err(user(format!("the module cannot run: {}", one_line(&why))))
        }
        StepReport::Broken(why) => Err(ours(format!("the step could not run: {}", one_line(&why)))),
        StepReport::TooWeak(missing) => Err(too_weak(&one_line(&missing))),
        StepReport::Walls(_) | StepReport::NoTree(_) => Err(ours(
            "the step's process ended where it should begin".to_owned(),
        )),
    }
}

/// A process that is gone without a report: killed from outside, or ended by a mistake of ours.
fn vanished(process: &Process, ended: &crate::process::Ended, why: &str) -> ExecutorError {
    let status = describe(ended.status);
    let words = process.last_words();
    let words = if words.is_empty() {
        String::new()
    } else {
        format!("; it said: {words}")
    };
    ExecutorError::Infrastructure(
        format!("the step's process ended with {status} ({why}){words}"),
        None,
    )
}
