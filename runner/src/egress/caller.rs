//! The step process's side of the broker's service: asks for channels and speaks first on each.
//!
//! It runs beside the guest and holds nothing that the guest could not have had: what is checked here is
//! checked for good manners, and once more by the broker.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use super::wire::{Answer, Ask, GRANTED, Kind, WANTED, receive, send_json};

/// Asks one broker.
#[derive(Debug)]
pub struct Caller {
    /// One asks at a time: answers carry no number.
    control: Mutex<UnixStream>,
}

impl Caller {
    /// On the end that [`Egress::open`](super::Egress::open) gave away. To be called within a runtime.
    pub fn new(control: OwnedFd) -> io::Result<Self> {
        let control = StdUnixStream::from(control);
        control.set_nonblocking(true)?;
        let control = Mutex::new(UnixStream::from_std(control)?);
        Ok(Self { control })
    }

    /// A fresh channel; `None` when the broker has no room for one more. Not cancel-safe: the answer would
    /// be taken for another's.
    pub async fn channel(&self) -> io::Result<Option<UnixStream>> {
        let mut control = self.control.lock().await;
        control.write_all(&[WANTED]).await?;
        let take = || take(&control);
        let (byte, channel) = control.async_io(Interest::READABLE, take).await?;
        match channel {
            Some(channel) if byte == GRANTED => {
                let channel = StdUnixStream::from(channel);
                channel.set_nonblocking(true)?;
                UnixStream::from_std(channel).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// The broker's byte, and the descriptor beside it.
fn take(control: &UnixStream) -> io::Result<(u8, Option<OwnedFd>)> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let bytes = &mut [IoSliceMut::new(&mut byte)];
    if recvmsg(control, bytes, &mut beside, RecvFlags::CMSG_CLOEXEC)?.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let descriptor = beside.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok((byte[0], descriptor))
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
