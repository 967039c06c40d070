//! The step process's side of the broker's service: asks for channels and speaks first on each.
//!
//! It runs beside the guest and holds nothing that the guest could not have had: what is checked here is
//! checked for good manners, and once more by the broker.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use super::wire::{Answer, Ask, GRANTED, Kind, WANTED, receive, send_json};
use crate::process::rights;

/// Asks one broker.
#[derive(Debug)]
pub struct Caller {
    /// One asks at a time: answers carry no number.
    control: Mutex<Control>,
}

#[derive(Debug)]
enum Control {
    /// There may be no runtime yet.
    Unwatched(Option<OwnedFd>),
    Watched(UnixStream),
}

impl Caller {
    /// On the end that [`Egress::open`](super::Egress::open) gave away, which does not block.
    pub fn new(control: OwnedFd) -> Self {
        let control = Mutex::new(Control::Unwatched(Some(control)));
        Self { control }
    }

    /// A fresh channel; `None` when the broker has no room for one more. Not cancel-safe: the answer would
    /// be taken for another's.
    pub async fn channel(&self) -> io::Result<Option<UnixStream>> {
        let mut control = self.control.lock().await;
        if let Control::Unwatched(descriptor) = &mut *control {
            let descriptor = descriptor.take().ok_or(io::ErrorKind::NotConnected)?;
            *control = Control::Watched(watched(descriptor)?);
        }
        let Control::Watched(control) = &mut *control else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        control.write_all(&[WANTED]).await?;
        let receive = || rights::receive(&*control);
        match control.async_io(Interest::READABLE, receive).await? {
            (GRANTED, Some(channel)) => watched(channel).map(Some),
            _ => Ok(None),
        }
    }
}

/// The broker made sure that its sockets do not block, for both ends: a confined process may not.
fn watched(descriptor: OwnedFd) -> io::Result<UnixStream> {
    UnixStream::from_std(StdUnixStream::from(descriptor))
}

/// Says what a channel is for.
pub async fn ask(channel: &mut (impl AsyncWrite + Unpin), ask: &Ask) -> io::Result<()> {
    send_json(channel, Kind::Ask, ask).await
}

/// Waits for what the broker answers. Not cancel-safe.
pub async fn answer(channel: &mut (impl AsyncRead + Unpin)) -> io::Result<Answer> {
    let mut frame = Vec::new();
    match receive(channel, &mut frame).await? {
        Some(Kind::Answer) => Ok(serde_json::from_slice(&frame)?),
        Some(kind) => Err(io::Error::other(format!(
            "the broker sent {kind:?} instead of an answer"
        ))),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
