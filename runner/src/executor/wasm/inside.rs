//! What runs inside the confined processes: this executable again, started by `process` with a hidden
//! argument. Nothing here is ever called in the runner itself.
//!
//! A step process takes its spec from the socket, lets the walls rise around itself, loads native code,
//! runs the guest, reports how that ended and waits for the runner to let it go. A compiler process reads
//! a module from its standard input and answers with native code. Both are single-threaded until the
//! walls stand: namespaces and identities belong to threads.

mod compiler;
mod confine;
mod guest;
mod http;
mod idmap;
mod limiter;
mod sockets;
mod stdio;
mod tree;

use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use self::confine::{Confinement, WallError};
use super::link::{
    CompileReport, GuestLimits, StepReport, StepSpec, Walls, receive_spec, receive_way_out,
    send_report,
};
use crate::process::Mode;

#[cfg(test)]
pub(super) use self::guest::load_core;

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

/// Becomes a confined process. Returns when it is done.
pub(super) fn main(mode: Mode) -> ExitCode {
    confine::close_inherited();
    // Our end of the socket is standard output; nothing prints there in these modes.
    let link = match io::stdout().as_fd().try_clone_to_owned() {
        Ok(link) => UnixStream::from(link),
        Err(_) => return ExitCode::FAILURE,
    };
    let sent = match mode {
        Mode::Step => send_report(&link, &step(&link)),
        Mode::Compile => send_report(&link, &compile(&link)),
    };
    // The runner reads what we used before it lets us go by closing its end.
    let _gone = (&link).read(&mut [0]);
    match sent {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn step(link: &UnixStream) -> StepReport {
    let spec = match receive_spec(link) {
        Ok(spec) => spec,
        Err(error) => return StepReport::Broken(format!("no spec came: {error}")),
    };
    let way_out = match receive_way_out(link, &spec) {
        Ok(way_out) => way_out,
        Err(error) => return StepReport::Broken(format!("no way out came: {error}")),
    };
    let confinement = Confinement {
        runner: Some(spec.runner),
        tree: (spec.walls == Walls::Tree).then_some((&spec.mounts, Some(&spec.native))),
        limits: &step_limits(&spec.limits),
    };
    let standing = match confine::confine(&confinement) {
        Ok(standing) => standing,
        Err(WallError::NoTree(why)) => return StepReport::NoTree(why),
        Err(WallError::Broken(why)) => return StepReport::Broken(why),
    };
    run(link, (&spec, way_out), &standing)
}

fn run(
    link: &UnixStream,
    (spec, way_out): (&StepSpec, Option<OwnedFd>),
    standing: &confine::Standing,
) -> StepReport {
    let prepared = guest::Prepared::load(link, spec, way_out)
        .map_err(|error| StepReport::Broken(format!("the native code does not load: {error:#}")));
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(broken) => return broken,
    };
    if let Err(error) = send_report(link, &StepReport::Walls(standing.to_string())) {
        return StepReport::Broken(format!("the runner does not listen: {error}"));
    }
    prepared.run()
}

fn step_limits(limits: &GuestLimits) -> confine::Rlimits {
    confine::Rlimits {
        data_bytes: limits.memory_bytes.saturating_add(HOST_DATA_BYTES_MAX),
        file_bytes: limits.disk_bytes,
        files: STEP_FILES_MAX,
        cpu_secs: None,
    }
}

fn compile(link: &UnixStream) -> CompileReport {
    let limits = confine::Rlimits {
        data_bytes: COMPILER_DATA_BYTES_MAX,
        file_bytes: 0,
        files: COMPILER_FILES_MAX,
        cpu_secs: Some(COMPILER_CPU_SECS_MAX),
    };
    let confinement = |tree| Confinement {
        runner: None,
        tree,
        limits: &limits,
    };
    // A compiler needs no file at all. Where the host has no namespaces it goes without them: it has
    // still no capability and no way to gain one.
    let confined = match confine::confine(&confinement(Some((&[], None)))) {
        Err(WallError::NoTree(_)) => confine::confine(&confinement(None)),
        otherwise => otherwise,
    };
    match confined {
        Ok(_) => compiler::compile(link),
        Err(WallError::NoTree(why) | WallError::Broken(why)) => CompileReport::Broken(why),
    }
}
