//! The thread that starts git, and what it does between fork and exec.
//!
//! Linux kills a process that asked for it when the *thread* that started it ends, not when the
//! process does. Threads of tokio come and go, so git is started by one that lives as long as the
//! [`Program`](super::Program). If we are killed, the kernel kills git; what git started, ssh or the
//! program that serves a repository, ends when it finds its pipes closed.

use std::io;
use std::process::Stdio;
use std::thread;

use rustix::process::{Resource, Rlimit, Signal, getpid, getppid, getrlimit, setrlimit};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::limits::MEMORY_BYTES_MAX;

/// Starts that may wait. Each takes about a millisecond.
const WAITING_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Spawner {
    orders: mpsc::Sender<Order>,
}

struct Order {
    command: Command,
    runtime: Handle,
    answer: oneshot::Sender<io::Result<Child>>,
}

impl Spawner {
    pub(super) fn start() -> io::Result<Self> {
        let (orders, mut inbox) = mpsc::channel::<Order>(WAITING_MAX);
        thread::Builder::new()
            .name("git-spawner".to_owned())
            .spawn(move || {
                while let Some(order) = inbox.blocking_recv() {
                    order.carry_out();
                }
            })?;
        Ok(Self { orders })
    }

    pub(super) async fn spawn(&self, command: Command) -> io::Result<Child> {
        let gone = || io::Error::other("the thread that starts git is gone");
        let (answer, started) = oneshot::channel();
        let order = Order {
            command,
            runtime: Handle::current(),
            answer,
        };
        self.orders.send(order).await.map_err(|_| gone())?;
        started.await.map_err(|_| gone())?
    }
}

impl Order {
    fn carry_out(mut self) {
        let _inside = self.runtime.enter();
        // Nobody may wait any more; the process then dies with the answer.
        drop(self.answer.send(self.command.spawn()));
    }
}

/// Gives a command closed standard input, pipes, a process group, and the bounds that the kernel
/// enforces on it and on all it starts.
pub(super) fn confine(command: &mut Command, file_bytes_max: u64) {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .process_group(0);
    let parent = getpid();
    let bounds = move || {
        lower(Resource::Fsize, file_bytes_max)?;
        lower(Resource::Data, MEMORY_BYTES_MAX)?;
        lower(Resource::Core, 0)?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have ended before the line above. Then nobody would kill this process.
        if getppid() == Some(parent) {
            Ok(())
        } else {
            Err(io::ErrorKind::Interrupted.into())
        }
    };
    #[expect(
        unsafe_code,
        reason = "bounds must hold before git runs, and only the child itself can set them then"
    )]
    // SAFETY: between fork and exec the closure only makes system calls through rustix. It takes no
    // lock and allocates nothing, so the state of other threads at the fork does not matter.
    unsafe {
        command.pre_exec(bounds);
    }
}

/// Lowers a bound of this process. One that is already lower stays.
fn lower(resource: Resource, value: u64) -> io::Result<()> {
    let value = getrlimit(resource)
        .maximum
        .map_or(value, |maximum| maximum.min(value));
    let bound = Rlimit {
        current: Some(value),
        maximum: Some(value),
    };
    Ok(setrlimit(resource, bound)?)
}
