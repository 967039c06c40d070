//! The guest's standard streams: what it writes goes to the runner as frames, what it reads comes from
//! the process's own standard input.
//!
//! Writing blocks this process while the runner is slow. It holds one guest and nothing else, so that is
//! all the backpressure there has to be. Reading takes bytes only when the guest asks for them.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use crate::executor::wasm::link::{Kind, send};
use crate::process::watch;

/// Most bytes that go through a standard stream at once, and so most that a guest makes us allocate.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// Standard output or standard error of the guest.
#[derive(Clone, Debug)]
pub(super) struct Output {
    /// Where frames go.
    pub link: Arc<UnixStream>,
    /// Which of the two it is.
    pub kind: Kind,
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        send(&self.link, self.kind, &bytes).map_err(stream_error)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PIECE_BYTES_MAX)
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(send(&self.link, self.kind, bytes).map(|()| bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Standard input of the guest. All its streams share what there is to read.
#[derive(Clone, Debug, Default)]
pub(super) struct Input {
    watch: Arc<OnceLock<Option<AsyncFd<OwnedFd>>>>,
}

impl Input {
    /// What can be had without waiting; `None` when there is nothing yet.
    fn read_now(size: usize) -> io::Result<Option<Bytes>> {
        if !is_readable()? {
            return Ok(None);
        }
        let mut bytes = vec![0; size.min(PIECE_BYTES_MAX)];
        loop {
            match rustix::io::read(io::stdin(), &mut bytes) {
                Ok(length) => {
                    bytes.truncate(length);
                    return Ok(Some(bytes.into()));
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn readable(&self) {
        loop {
            if is_readable().unwrap_or(true) {
                return;
            }
            // What cannot be watched is a file, and a file is always readable: the next read tells more.
            let watched = self.watch.get_or_init(|| {
                io::stdin()
                    .as_fd()
                    .try_clone_to_owned()
                    .and_then(watch)
                    .ok()
            });
            let Some(Ok(mut ready)) = (match watched {
                Some(stdin) => Some(stdin.readable().await),
                None => None,
            }) else {
                return;
            };
            if is_readable().unwrap_or(true) {
                return;
            }
            ready.clear_ready();
        }
    }
}

fn is_readable() -> io::Result<bool> {
    let stdin = io::stdin();
    let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
    let now = rustix::event::Timespec::default();
    loop {
        match poll(&mut polled, Some(&now)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Input {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        // Only preview 3 asks for this one, and preview 3 is not linked.
        Box::new(tokio::io::stdin())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        self.readable().await;
    }
}

#[async_trait]
impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        match Self::read_now(size).map_err(stream_error)? {
            None => Ok(Bytes::new()),
            Some(bytes) if bytes.is_empty() => Err(StreamError::Closed),
            Some(bytes) => Ok(bytes),
        }
    }
}

fn stream_error(error: io::Error) -> StreamError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => StreamError::Closed,
        _ => StreamError::LastOperationFailed(error.into()),
    }
}
