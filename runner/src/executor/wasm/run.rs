//! One step process from its start to its end: the spec goes in, output and the report come out, and time,
//! cancel and output limit are watched from here, where no guest can reach.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cofferdam_protocol::Origin;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;

use super::cache::Entry;
use super::link::{
    GuestLimits, Kind, Mount, MountWhat, Preopen, StepReport, StepSpec, Walls, encode_spec,
    receive, report,
};
use super::{CLONE_DIR, GuestRun, Home, WasmExecutor, infrastructure, ours, user};
use crate::egress::Broker;
use crate::executor::ExecutorError;
use crate::grant::{ASIDE, Access, PathGrant, TREE};
use crate::log::LogSink;
use crate::process::{Mode, Process, describe, one_line, rights};
use crate::receipt::network::NetworkUse;
use crate::receipt::{EndedBy, LimitHit};

/// How long a process may take to go once it has reported its end, and how long its last words may take
/// to reach the log once it was killed.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_secs(1);

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
    pub isolation: String,
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
    entry: &Entry,
    walls: Walls,
    log: &dyn LogSink,
) -> Result<Attempt, ExecutorError> {
    let spec = encode_spec(&spec(guest, entry, walls)).map_err(|error| {
        ExecutorError::User("the step is too large".to_owned(), Some(error.into()))
    })?;
    let start = Instant::now();
    let stdin = guest
        .stdin
        .try_clone()
        .map_err(|error| infrastructure("no standard input", error))?;
    let (mut broker, way_out) = open_broker(executor, guest)?.unzip();
    let mut process = executor
        .launcher
        .launch(Mode::Step, stdin)
        .await
        .map_err(|error| infrastructure("the step's process could not be started", error))?;
    let link = process
        .take_link()
        .map_err(|error| infrastructure("no link", error))?;
    let (incoming, outgoing) = link.into_split();
    let mut relay = Relay {
        log,
        output_bytes: 0,
        output_bytes_max: guest.limits.output_bytes,
        isolation: None,
    };
    let conversation = relay.converse(incoming, outgoing, (&spec, way_out));
    let watching = watch(guest, &mut process, conversation);
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
        What::Vanished(why) => return Err(vanished(&process, &ended, &why)),
    };
    Ok(Attempt::Ran(Ran {
        ended_by,
        wall: start.elapsed(),
        cpu: Some(ended.cpu),
        memory_peak_bytes: memory_peak_bytes.or(Some(ended.memory_peak_bytes)),
        output_bytes: relay.output_bytes,
        network,
        isolation: relay
            .isolation
            .unwrap_or_else(|| "it never began".to_owned()),
        process: Some(process.id()),
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
    let opened = executor.egress.open(guest.net.clone());
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

async fn watch(
    guest: &GuestRun<'_>,
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
    isolation: Option<String>,
}

impl Relay<'_> {
    /// Sends the spec and listens until the step has ended. The socket is closed when this is done.
    async fn converse(
        &mut self,
        incoming: OwnedReadHalf,
        mut outgoing: OwnedWriteHalf,
        (spec, way_out): (&[u8], Option<OwnedFd>),
    ) -> What {
        let sent = async {
            outgoing.write_all(spec).await?;
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

    fn take_report(&mut self, bytes: &[u8]) -> Option<What> {
        match report(bytes) {
            Ok(StepReport::Walls(walls)) => {
                self.isolation = Some(one_line(&walls));
                None
            }
            Ok(report) => Some(What::Said(report)),
            Err(error) => Some(What::Vanished(format!("it talks nonsense: {error}"))),
        }
    }
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

fn spec(guest: &GuestRun<'_>, entry: &Entry, walls: Walls) -> StepSpec {
    StepSpec {
        runner: std::process::id(),
        native: entry.native.clone(),
        front: entry.front,
        has_way_out: !guest.net.is_empty(),
        arguments: guest.arguments.clone(),
        env: guest
            .env
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        mounts: mounts(guest),
        preopens: match walls {
            Walls::Tree => preopened_tree(guest),
            Walls::Process => preopened_grants(guest),
        },
        working_directory: match guest.home {
            Home::Root => "/".to_owned(),
            Home::CloneDir => CLONE_DIR.to_owned(),
        },
        limits: GuestLimits {
            memory_bytes: guest.limits.memory_bytes,
            disk_bytes: guest.limits.disk_bytes,
        },
        walls,
    }
}

fn mounts(guest: &GuestRun<'_>) -> Vec<Mount> {
    let granted = guest.grants.paths.iter().map(|grant| Mount {
        at: grant.place.clone(),
        what: MountWhat::Granted {
            host: grant.host.clone(),
            is_writable: grant.wanted.access == Access::Write,
        },
    });
    let hidden = guest.grants.hidden.iter().map(|hidden| Mount {
        at: hidden.place.clone(),
        what: MountWhat::Hidden {
            is_directory: hidden.is_directory,
        },
    });
    let mut mounts: Vec<Mount> = granted.chain(hidden).collect();
    mounts.sort_by(|one, other| one.at.cmp(&other.at));
    mounts
}

/// One tree, whose root is where the guest starts, and what stands aside of it. The kernel knows what in
/// it is read-only. A step without grants has no directory at all.
fn preopened_tree(guest: &GuestRun<'_>) -> Vec<Preopen> {
    let grants = &guest.grants.paths;
    if grants.is_empty() {
        return Vec::new();
    }
    let is_writable = |grant: &PathGrant| grant.wanted.access == Access::Write;
    let names: &[&str] = match guest.home {
        Home::Root => &["/"],
        // Languages differ in which of the two they look for.
        Home::CloneDir => &[CLONE_DIR, "."],
    };
    let preopen = |name: &&str| Preopen {
        name: (*name).to_owned(),
        at: PathBuf::from(TREE),
        is_writable: grants.iter().any(is_writable),
    };
    let aside = grants
        .iter()
        .filter(|grant| grant.place.parent() == Some(Path::new(ASIDE)))
        .map(|grant| Preopen {
            name: absolute(Path::new("/"), &grant.at),
            at: grant.place.clone(),
            is_writable: is_writable(grant),
        });
    names.iter().map(preopen).chain(aside).collect()
}

/// Each granted directory by its own name, absolute and, away from the root, relative too.
fn preopened_grants(guest: &GuestRun<'_>) -> Vec<Preopen> {
    let mut preopens = Vec::new();
    for grant in &guest.grants.paths {
        let relative = match grant.at.to_string_lossy() {
            at if at.is_empty() => ".".to_owned(),
            at => at.into_owned(),
        };
        let names = match guest.home {
            Home::Root => vec![absolute(Path::new("/"), &grant.at)],
            Home::CloneDir => vec![absolute(Path::new(CLONE_DIR), &grant.at), relative],
        };
        preopens.extend(names.into_iter().map(|name| Preopen {
            name,
            at: grant.place.clone(),
            is_writable: grant.wanted.access == Access::Write,
        }));
    }
    preopens
}

fn absolute(base: &Path, at: &Path) -> String {
    let path = if at.as_os_str().is_empty() {
        base.to_owned()
    } else {
        base.join(at)
    };
    path.to_string_lossy().into_owned()
}
