//! `cofferdam start`: the daemon.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::StateArgs;
use crate::config::{Config, Environment};
use crate::identity::{IdentityError, StateDir};
use crate::session::Session;
use crate::wiring::{Runner, build};

#[derive(Debug, Args)]
pub(super) struct StartArgs {
    /// The configuration file [default: runner.toml in the state directory, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    state: StateArgs,
}

pub(super) fn run(args: &StartArgs, environment: &Environment) -> anyhow::Result<()> {
    log_to_stderr(environment, "info");
    let dir = args.state.dir(environment)?;
    // Nothing is made before it is known that a runner lives here and that it may start.
    if !dir.exists() {
        return Err(IdentityError::NotJoined { path: dir }.into());
    }
    let config = Config::load(args.config.as_deref(), &dir)?;
    let state = StateDir::open(&dir)?;
    let identity = state.load()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let runner = build(&config, identity, &state, environment).await?;
        serve(runner).await
    })
}

/// How long running steps may take to end once they were cancelled: a script's ten seconds of grace, its
/// after-script's sixty, and some to tell the hub.
const CANCEL_MAX: Duration = Duration::from_secs(90);

/// How long everything may take that was told to stop now.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Serves until the hub refuses us for good or a signal has been obeyed. In every case what runs is ended
/// before this returns, as far as it ends in time.
async fn serve(runner: Runner) -> anyhow::Result<()> {
    let Runner { session, tasks } = runner;
    let mut signals = Signals::listen()?;
    let (ended, patience) = tokio::select! {
        fatal = session.run() => (Err(fatal), CANCEL_MAX),
        patience = signals.obey(&session) => (Ok(()), patience),
    };
    session.slots.cancel_all();
    tasks.close();
    tokio::select! {
        () = tasks.wait() => {}
        () = tokio::time::sleep(patience) => tracing::error!("some steps did not end in time"),
        () = signals.quit() => tracing::error!("stopping while steps run"),
    }
    for held in session.outbox.held() {
        let (attempt, fence) = (held.attempt, held.fence);
        tracing::warn!(%attempt, %fence, "the hub does not know how this attempt ended");
    }
    Ok(ended?)
}

/// SIGTERM and SIGINT drain: no new jobs, the running ones end and are reported. A second one cancels
/// the running jobs, and reports them if the hub is there. SIGQUIT, or a third one, stops at once.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// Returns when the daemon is to end, and how much patience there is for what still runs.
    async fn obey(&mut self, session: &Session) -> Duration {
        if self.next().await.is_quit() {
            return STOP_MAX;
        }
        tracing::info!("draining: no new jobs; a second signal cancels the running ones");
        session.slots.drain();
        let said = async {
            session.slots.wait_until_idle().await;
            session.outbox.wait_until_empty().await;
        };
        tokio::pin!(said);
        tokio::select! {
            () = &mut said => return STOP_MAX,
            signal = self.next() => if signal.is_quit() { return STOP_MAX },
        }
        tracing::info!("cancelling the running jobs; a third signal stops at once");
        session.slots.cancel_all();
        tokio::select! {
            () = said => {}
            _ = self.next() => {}
            () = tokio::time::sleep(CANCEL_MAX) => {}
        }
        STOP_MAX
    }

    /// Waits for SIGQUIT.
    async fn quit(&mut self) {
        self.quit.recv().await;
    }

    async fn next(&mut self) -> Heard {
        tokio::select! {
            _ = self.terminate.recv() => Heard::Terminate,
            _ = self.interrupt.recv() => Heard::Terminate,
            _ = self.quit.recv() => Heard::Quit,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    Terminate,
    Quit,
}

impl Heard {
    fn is_quit(self) -> bool {
        self == Self::Quit
    }
}

pub(super) fn log_to_stderr(environment: &Environment, usual: &str) {
    use std::io::IsTerminal as _;
    let filter = environment.log_filter().unwrap_or_else(|| usual.to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
