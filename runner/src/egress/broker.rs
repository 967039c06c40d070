//! The service itself: one for each step, over one socket pair with the step's process.
//!
//! It hands out channels, serves each of them in a task of its own, and ends with the step. Whatever it
//! refuses or fails at is recorded, and told once as a system line of the step's log: a guest may well
//! swallow the error that it gets.

mod http;
mod tcp;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::{Arc, Mutex};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::budget::{Budget, EgressLimits};
use super::dial::Dialer;
use super::record::{NetworkUse, Record, Refusal};
use super::wire::{Answer, Ask, GRANTED, Kind, NO_ROOM, WANTED, Word, receive, send_json};
use crate::log::{LogSink, say};

/// Serves one step.
#[derive(Debug)]
pub struct Broker {
    control: UnixStream,
    shared: Arc<Shared>,
    told: mpsc::Receiver<String>,
}

/// What all channels of one step share.
#[derive(Debug)]
struct Shared {
    dialer: Dialer,
    budget: Budget,
    record: Record,
    /// Which granted names were found to stand for an address: a connection names an address only.
    pins: Mutex<BTreeMap<IpAddr, BTreeSet<String>>>,
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
        };
        let broker = Self {
            control: UnixStream::from_std(ours)?,
            shared: Arc::new(shared),
            told,
        };
        Ok((broker, theirs.into()))
    }

    /// Serves until the step's process closes its end, or talks nonsense. Dropping the future ends every
    /// connection of the step at once. Refusals are said in `log` as they happen.
    pub async fn serve(&mut self, log: &dyn LogSink) {
        let mut channels = JoinSet::new();
        let mut byte = [0];
        loop {
            tokio::select! {
                Some(line) = self.told.recv() => say(log, &line).await,
                Some(ended) = channels.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a channel of the egress broker failed");
                    }
                }
                asked = self.control.read(&mut byte) => {
                    let is_asked = asked.is_ok_and(|length| length == 1) && byte == [WANTED];
                    if !is_asked || self.give_channel(&mut channels).await.is_err() {
                        break;
                    }
                }
            }
        }
    }

    /// Says what was not said yet, and gives the record away.
    pub async fn finish(mut self, log: &dyn LogSink) -> NetworkUse {
        while let Ok(line) = self.told.try_recv() {
            say(log, &line).await;
        }
        self.shared.record.so_far()
    }

    async fn give_channel(&self, channels: &mut JoinSet<()>) -> io::Result<()> {
        let shared = &self.shared;
        if !shared.budget.begin() {
            let max = shared.budget.limits.at_once_max;
            let why = format!("limit reached: at most {max} connections and lookups at once");
            shared.record.refused(&Refusal::new(Word::Limit, why));
            return self.answer(NO_ROOM, None).await;
        }
        let room = Room(Arc::clone(shared));
        let (ours, theirs) = pair()?;
        let channel = UnixStream::from_std(ours)?;
        self.answer(GRANTED, Some(theirs.as_fd())).await?;
        channels.spawn(async move {
            serve_channel(&room.0, channel).await;
        });
        Ok(())
    }

    /// One byte, and a descriptor beside it.
    async fn answer(&self, byte: u8, with: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let with: Vec<BorrowedFd<'_>> = with.into_iter().collect();
        let send = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut beside = SendAncillaryBuffer::new(&mut space);
            if !with.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(&with)) {
                return Err(io::Error::other("there is no space for a descriptor"));
            }
            let bytes = [byte];
            Ok(sendmsg(
                &self.control,
                &[IoSlice::new(&bytes)],
                &mut beside,
                SendFlags::NOSIGNAL,
            )?)
        };
        self.control.async_io(Interest::WRITABLE, send).await?;
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
    let ask = match receive(&mut incoming, &mut frame).await {
        Ok(Some(Kind::Ask)) => serde_json::from_slice(&frame),
        // Closed again, or nonsense: there is nobody to answer.
        _ => return,
    };
    let nonsense = || Refusal::new(Word::BadRequest, "the step's process asked for nonsense");
    let done = match ask {
        Err(_) => Err(nonsense()),
        Ok(Ask::Http(head)) => http::exchange(shared, &head, &mut incoming, &mut outgoing).await,
        Ok(Ask::Connect(to)) => tcp::connect(shared, to, &mut incoming, &mut outgoing).await,
        Ok(Ask::LookUp(name)) => match tcp::look_up(shared, &name).await {
            Ok(addresses) => {
                tell(&mut outgoing, &Answer::Addresses(addresses)).await;
                Ok(())
            }
            Err(refusal) => Err(refusal),
        },
    };
    if let Err(refusal) = done {
        shared.record.refused(&refusal);
        tell(&mut outgoing, &Answer::Failed(refusal.word)).await;
    }
}

/// Answers a process that may be gone.
async fn tell(outgoing: &mut (impl tokio::io::AsyncWrite + Unpin), answer: &Answer) {
    let _gone = send_json(outgoing, Kind::Answer, answer).await;
}
