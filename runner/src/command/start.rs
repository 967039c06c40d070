//! `cofferdam start`: the daemon.

use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::StateArgs;
use crate::config::{Config, Environment};
use crate::identity::StateDir;
use crate::slots::Slots;
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
    log_to_stderr(environment);
    let dir = args.state.dir(environment)?;
    let state = StateDir::open(&dir)?;
    let identity = state.load()?;
    let config = Config::load(args.config.as_deref(), &dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let runner = build(&config, identity, &state, environment).await?;
        serve(runner).await
    })
}

/// Serves until the hub refuses us for good or a signal has been obeyed.
async fn serve(runner: Runner) -> anyhow::Result<()> {
    let Runner { session, tasks } = runner;
    let stop = CancellationToken::new();
    let signals = Signals::listen()?;
    tokio::select! {
        ended = session.run(&stop) => ended?,
        () = signals.obey(&session.slots, &session.outbox) => {}
    }
    session.slots.cancel_all();
    tasks.close();
    tasks.wait().await;
    Ok(())
}

/// SIGTERM and SIGINT drain: no new jobs, the running ones end and are reported. A second one cancels
/// the running jobs, and still reports them. SIGQUIT stops at once.
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

    /// Returns when the daemon is to end.
    async fn obey(mut self, slots: &Slots, outbox: &crate::outbox::Outbox) {
        if self.next().await.is_quit() {
            return;
        }
        tracing::info!("draining: no new jobs; a second signal cancels the running ones");
        slots.drain();
        let said = async {
            slots.wait_until_idle().await;
            outbox.wait_until_empty().await;
        };
        tokio::pin!(said);
        loop {
            tokio::select! {
                () = &mut said => return,
                signal = self.next() => {
                    if signal.is_quit() {
                        return;
                    }
                    tracing::info!("cancelling the running jobs");
                    slots.cancel_all();
                }
            }
        }
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

fn log_to_stderr(environment: &Environment) {
    use std::io::IsTerminal as _;
    let filter = environment
        .log_filter()
        .unwrap_or_else(|| "info".to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
