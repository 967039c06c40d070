//! What runs inside the confined processes: clones of the zygote, which is this executable again. Nothing here
//! is ever called in the runner itself.
//!
//! A step process takes its spec from the socket, lets the walls rise around itself, loads native code,
//! lets the last walls rise, runs the guest, reports how that ended and waits for the runner to let it go.
//! A compiler process reads a module from its standard input and answers with native code. Both are
//! single-threaded until the walls stand: namespaces and identities belong to threads.

mod compiler;
mod confine;
mod guest;
mod http;
mod idmap;
mod limiter;
mod native;
mod repeat;
mod secret_files;
mod sockets;
mod stdio;
mod tree;

use std::ffi::CString;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use tokio::runtime::Runtime;

use self::confine::filter::{Filtered, filter};
use self::confine::{Confinement, WallError, landlock};
use self::guest::Handles;
use self::native::Native;
use super::link::{
    CompileReport, Given, GuestLimits, StepReport, Walls, receive_spec, receive_way_out,
    send_report,
};
use crate::process::{Mode, Namespaces};
use crate::receipt::isolation::Demand;

#[cfg(test)]
pub(super) use self::guest::load_core;

const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;

/// Beside the guest's own memory: native code while it is being mapped, stacks, the buffers of host
/// functions. Address space that is merely reserved does not count.
const HOST_DATA_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Open files of a step. Builds open hundreds at once at most; what a guest cannot open it is told.
const STEP_FILES_MAX: u64 = 1024;

/// A compiler opens next to nothing.
const COMPILER_FILES_MAX: u64 = 64;

/// What a compiler may allocate: a module of 70 MB needs 2 to 3 GiB.
const COMPILER_DATA_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;

/// Processor time of a compiler in seconds, all threads together: a module of 70 MB needs about 60.
const COMPILER_CPU_SECS_MAX: u64 = 1800;

/// Makes in the zygote, once, what every step process would make again.
pub(super) fn warm_up() {
    guest::warm_up();
    idmap::prepare();
}

/// Becomes a confined process. Returns its exit status when it is done.
pub(super) fn main(mode: Mode, namespaces: Namespaces) -> u8 {
    // The name is for people; a process without one is confined as well.
    let _named = rustix::thread::set_name(&CString::new(mode.name()).unwrap_or_default());
    confine::close_inherited(idmap::prepared_number());
    // Our end of the socket is standard output; nothing prints there in these modes.
    let link = match io::stdout().as_fd().try_clone_to_owned() {
        Ok(link) => UnixStream::from(link),
        Err(_) => return FAILURE,
    };
    let sent = match mode {
        Mode::Step => send_report(&link, &step(&link, namespaces, Walls::Tree)),
        Mode::StepInPlace => send_report(&link, &step(&link, namespaces, Walls::Process)),
        Mode::Compile => send_report(&link, &compile(&link, namespaces)),
    };
    // The runner reads what we used before it lets us go by closing its end.
    let _gone = (&link).read(&mut [0]);
    match sent {
        Ok(()) => SUCCESS,
        Err(_) => FAILURE,
    }
}

fn step(link: &UnixStream, namespaces: Namespaces, walls: Walls) -> StepReport {
    prepare_step(link, namespaces, walls)
        .map_or_else(|failed| failed, |(prepared, runtime)| prepared.run(runtime))
}

/// All that happens before the guest's first instruction. When this is done every wall stands, and the
/// runner knows which. What needs no spec comes first: a process may wait long for one.
fn prepare_step(
    link: &UnixStream,
    namespaces: Namespaces,
    walls: Walls,
) -> Result<(guest::Prepared, Runtime), StepReport> {
    confine::begin(link).map_err(no_wall)?;
    let raised = (walls == Walls::Tree).then(tree::raise);
    let Given {
        spec,
        native,
        stdin,
    } = receive_spec(link).map_err(broken("no spec came"))?;
    let way_out = receive_way_out(link, &spec).map_err(broken("no way out came"))?;
    rustix::stdio::dup2_stdin(stdin).map_err(|error| broken("no standard input")(error.into()))?;
    let raised = raised
        .transpose()
        .map_err(|error| StepReport::NoTree(error.to_string()))?;
    // The tree has no way to it any more.
    let native = Native::new(native).map_err(broken("no native code"))?;
    let standing = confine::confine(Confinement {
        namespaces,
        link,
        tree: raised.map(|raised| (raised, spec.mounts.as_slice())),
        limits: &step_limits(&spec.limits),
    });
    confine::close_kept(idmap::prepared_number());
    let mut standing = standing.map_err(no_wall)?;
    let prepared = guest::Prepared::load(link, &spec, Handles { native, way_out })
        .map_err(|error| StepReport::Broken(format!("the native code does not load: {error:#}")))?;
    standing.landlock_abi = landlock::restrict_step(&spec).map_err(broken("wall `landlock`"))?;
    let runtime = guest::runtime().map_err(broken("no threads"))?;
    filter(Filtered::Guest).map_err(broken("wall `filter`"))?;
    standing.has_call_filter = true;
    if let (Demand::Strict, Some(missing)) = (spec.isolation, standing.missing()) {
        return Err(StepReport::TooWeak(missing));
    }
    send_report(link, &StepReport::Walls(standing))
        .map_err(broken("the runner does not listen"))?;
    Ok((prepared, runtime))
}

fn no_wall(error: WallError) -> StepReport {
    match error {
        WallError::NoTree(why) => StepReport::NoTree(why),
        WallError::Broken(why) => StepReport::Broken(why),
    }
}

fn broken(what: &'static str) -> impl Fn(io::Error) -> StepReport {
    move |error| StepReport::Broken(format!("{what}: {error}"))
}

fn step_limits(limits: &GuestLimits) -> confine::Rlimits {
    confine::Rlimits {
        data_bytes: limits.memory_bytes.saturating_add(HOST_DATA_BYTES_MAX),
        file_bytes: limits.disk_bytes,
        files: STEP_FILES_MAX,
        cpu_secs: None,
    }
}

fn compile(link: &UnixStream, namespaces: Namespaces) -> CompileReport {
    let limits = confine::Rlimits {
        data_bytes: COMPILER_DATA_BYTES_MAX,
        file_bytes: 0,
        files: COMPILER_FILES_MAX,
        cpu_secs: Some(COMPILER_CPU_SECS_MAX),
    };
    // A compiler needs no file at all. Where the host has no namespaces it goes without them: it has
    // still no capability and no way to gain one.
    let confined = confine::begin(link).and_then(|()| {
        confine::confine(Confinement {
            namespaces,
            link,
            tree: tree::raise().ok().map(|raised| (raised, &[][..])),
            limits: &limits,
        })
    });
    confine::close_kept(idmap::prepared_number());
    if let Err(WallError::NoTree(why) | WallError::Broken(why)) = confined {
        return CompileReport::Broken(why);
    }
    let last = landlock::restrict_to_nothing().and_then(|_| filter(Filtered::Compiler));
    match last {
        Ok(()) => compiler::compile(link),
        Err(error) => CompileReport::Broken(format!("the last walls: {error}")),
    }
}
