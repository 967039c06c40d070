//! The service itself: one for each step, over one socket pair with the step's process.
//!
//! It hands out channels, serves each of them in a task of its own, and ends with the step. Whatever it
//! refuses or fails at is recorded, and told once as a system line of the step's log: a guest may well
//! swallow the error that it gets.

mod http;
mod tcp;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWrite};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::budget::{Budget, EgressLimits};
use super::dial::Dialer;
use super::record::{Record, Refusal};
use super::wire::{Answer, Ask, GRANTED, Kind, NO_ROOM, WANTED, Word, receive, send_json};
use crate::log::{LogSink, say};
use crate::process::rights;
use crate::receipt::network::NetworkUse;

/// Serves one step.
#[derive(Debug)]
pub struct Broker {
    control: UnixStream,
    shared: Arc<Shared>,
    told: mpsc::Receiver<String>,
    /// Aborted when the broker is dropped.
    channels: JoinSet<()>,
}

/// What all channels of one step share.
#[derive(Debug)]
struct Shared {
    dialer: Dialer,
    budget: Budget,
    record: Record,
    /// Which granted names were found to stand for an address: a connection names an address only.
    pins: Mutex<BTreeMap<IpAddr, BTreeSet<String>>>,
    /// The step's process is gone; what it sent may still be on its way.
    gone: CancellationToken,
}

/// Room for one channel, given back when it is dropped.
#[derive(Debug)]
struct Room(Arc<Shared>);

impl Drop for Room {
    fn drop(&mut self) {
        self.0.budget.end();
    }
}

impl Broker {
    pub(super) fn open(dialer: Dialer, limits: EgressLimits) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = pair()?;
        let (record, told) = Record::new();
        let shared = Shared {
            dialer,
            budget: Budget::new(limits),
            record,
            pins: Mutex::default(),
            gone: CancellationToken::new(),
        };
        let broker = Self {
            control: UnixStream::from_std(ours)?,
            shared: Arc::new(shared),
            told,
            channels: JoinSet::new(),
        };
        Ok((broker, theirs.into()))
    }

    /// Serves until the step's process closes its end and what it sent has left, which a server that takes
    /// nothing can delay; or until it talks nonsense, which ends all its connections. Refusals are said in `log` as they happen. Connections go
    /// on while nobody polls this, and end when the broker is dropped.
    pub async fn serve(&mut self, log: &dyn LogSink) {
        let mut byte = [0];
        loop {
            tokio::select! {
                Some(line) = self.told.recv() => say(log, &line).await,
                Some(ended) = self.channels.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a channel of the egress broker failed");
                    }
                }
                asked = self.control.read(&mut byte) => {
                    let is_asked = matches!(asked, Ok(1)) && byte == [WANTED];
                    if is_asked && self.give_channel().await.is_ok() {
                        continue;
                    }
                    if !matches!(asked, Ok(0)) {
                        self.channels.abort_all();
                    }
                    break;
                }
            }
        }
        self.shared.gone.cancel();
        while self.channels.join_next().await.is_some() {}
    }

    /// Says what was not said yet, and gives the record away.
    pub async fn finish(mut self, log: &dyn LogSink) -> NetworkUse {
        while let Ok(line) = self.told.try_recv() {
            say(log, &line).await;
        }
        self.shared.record.so_far()
    }

    async fn give_channel(&mut self) -> io::Result<()> {
        let shared = &self.shared;
        if !shared.budget.begin() {
            let max = shared.budget.limits.at_once_max;
            let why = format!("limit reached: at most {max} connections and lookups at once");
            shared.record.refused(&Refusal::new(Word::Limit, why));
            return rights::send(&self.control, NO_ROOM, None).await;
        }
        let room = Room(Arc::clone(shared));
        let (ours, theirs) = pair()?;
        let channel = UnixStream::from_std(ours)?;
        rights::send(&self.control, GRANTED, Some(theirs.as_fd())).await?;
        self.channels.spawn(async move {
            serve_channel(&room.0, channel).await;
        });
        Ok(())
    }
}

/// Two ends, neither of which blocks.
fn pair() -> io::Result<(StdUnixStream, StdUnixStream)> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    Ok((ours, theirs))
}

async fn serve_channel(shared: &Shared, channel: UnixStream) {
    let (mut incoming, mut outgoing) = channel.into_split();
    let mut frame = Vec::new();
    let asked = tokio::select! {
        asked = receive(&mut incoming, &mut frame) => asked,
        () = shared.gone.cancelled() => return,
    };
    let ask = match asked {
        Ok(Some(Kind::Ask)) => serde_json::from_slice(&frame),
        // Closed again, or nonsense: there is nobody to answer.
        _ => return,
    };
    let nonsense = || Refusal::new(Word::BadRequest, "the step's process asked for nonsense");
    let done = match ask {
        Err(_) => Err(nonsense()),
        Ok(Ask::Http(head)) => tokio::select! {
            done = http::exchange(shared, &head, &mut incoming, &mut outgoing) => done,
            () = shared.gone.cancelled() => return,
        },
        // It has bytes to bring to their end.
        Ok(Ask::Connect(to)) => tcp::connect(shared, to, &mut incoming, &mut outgoing).await,
        Ok(Ask::LookUp(name)) => tokio::select! {
            done = look_up(shared, &name, &mut outgoing) => done,
            () = shared.gone.cancelled() => return,
        },
    };
    if let Err(refusal) = done {
        shared.record.refused(&refusal);
        tell(&mut outgoing, &Answer::Failed(refusal.word)).await;
    }
}

async fn look_up(
    shared: &Shared,
    name: &str,
    outgoing: &mut (impl AsyncWrite + Unpin),
) -> Result<(), Refusal> {
    let addresses = tcp::look_up(shared, name).await?;
    tell(outgoing, &Answer::Addresses(addresses)).await;
    Ok(())
}

/// Answers a process that may be gone.
async fn tell(outgoing: &mut (impl AsyncWrite + Unpin), answer: &Answer) {
    let _gone = send_json(outgoing, Kind::Answer, answer).await;
}
