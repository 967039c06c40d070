//! The two directions of a connection as the guest's streams.
//!
//! What a guest writes goes into the socket pair at once; what does not fit is written by a task, so that a
//! guest that only reads from then on still gets its answer. No more is taken before that is through.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::net::Shutdown;
use tokio::net::UnixStream;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::later::Later;

/// Most bytes of one read or write, and so most that a guest makes us allocate.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// What comes from the server.
#[derive(Clone)]
pub(super) struct Incoming {
    stream: Arc<UnixStream>,
    is_shut: Arc<Mutex<bool>>,
}

/// What goes to the server.
#[derive(Clone)]
pub(super) struct Outgoing {
    stream: Arc<UnixStream>,
    state: Arc<Mutex<Writing>>,
}

enum Writing {
    /// Everything is in the socket.
    Idle,
    /// The rest of a write.
    Busy(Later<io::Result<()>>),
    /// Shut down, or about to be: the task is kept so that it comes to its end.
    Shut(Option<Later<()>>),
}

/// Both directions of one channel.
pub(super) fn streams(channel: UnixStream) -> (Incoming, Outgoing) {
    let stream = Arc::new(channel);
    let incoming = Incoming {
        stream: Arc::clone(&stream),
        is_shut: Arc::default(),
    };
    let outgoing = Outgoing {
        stream,
        state: Arc::new(Mutex::new(Writing::Idle)),
    };
    (incoming, outgoing)
}

impl Incoming {
    /// Nothing more is read.
    pub(super) fn shut_down(&self) {
        *locked(&self.is_shut) = true;
    }
}

#[async_trait]
impl InputStream for Incoming {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if *locked(&self.is_shut) {
            return Err(StreamError::Closed);
        }
        if size == 0 {
            return Ok(Bytes::new());
        }
        let mut bytes = vec![0; size.min(PIECE_BYTES_MAX)];
        match self.stream.try_read(&mut bytes) {
            Ok(0) => Err(StreamError::Closed),
            Ok(length) => {
                bytes.truncate(length);
                Ok(bytes.into())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Bytes::new()),
            Err(error) => Err(failed(error)),
        }
    }
}

#[async_trait]
impl Pollable for Incoming {
    async fn ready(&mut self) {
        if !*locked(&self.is_shut) {
            // An error is for the next read to tell.
            let _told = self.stream.readable().await;
        }
    }
}

impl Outgoing {
    /// Says to the server that this was all, once it is through.
    pub(super) fn shut_down(&self) {
        let mut state = locked(&self.state);
        *state = match std::mem::replace(&mut *state, Writing::Shut(None)) {
            Writing::Idle => {
                shut_down(&self.stream);
                Writing::Shut(None)
            }
            Writing::Busy(rest) => {
                let stream = Arc::clone(&self.stream);
                Writing::Shut(Some(Later::start(async move {
                    let _gone = rest.into_inner().await;
                    shut_down(&stream);
                })))
            }
            shut @ Writing::Shut(_) => shut,
        };
    }
}

fn shut_down(stream: &UnixStream) {
    // A connection that is gone needs no end.
    let _gone = rustix::net::shutdown(stream, Shutdown::Write);
}

#[async_trait]
impl OutputStream for Outgoing {
    fn check_write(&mut self) -> StreamResult<usize> {
        let mut state = locked(&self.state);
        if let Writing::Busy(rest) = &mut *state {
            match rest.get() {
                None => return Ok(0),
                Some(Ok(())) => *state = Writing::Idle,
                Some(Err(_)) => *state = Writing::Shut(None),
            }
        }
        match *state {
            Writing::Idle => Ok(PIECE_BYTES_MAX),
            Writing::Busy(_) | Writing::Shut(_) => Err(StreamError::Closed),
        }
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let room = self.check_write()?;
        if bytes.len() > room {
            let why = wasmtime::format_err!("not permitted to write {} bytes", bytes.len());
            return Err(StreamError::Trap(why));
        }
        let written = match self.stream.try_write(&bytes) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(failed(error)),
        };
        if written < bytes.len() {
            let rest = bytes.slice(written..);
            let stream = Arc::clone(&self.stream);
            let writing = Later::start(async move { write_all(&stream, &rest).await });
            *locked(&self.state) = Writing::Busy(writing);
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        // All of it is on its way.
        Ok(())
    }

    async fn cancel(&mut self) {
        // What a guest wrote is sent, even if it closes the stream right after.
        self.ready().await;
    }
}

#[async_trait]
impl Pollable for Outgoing {
    async fn ready(&mut self) {
        std::future::poll_fn(|context| match &mut *locked(&self.state) {
            Writing::Idle => std::task::Poll::Ready(()),
            Writing::Busy(rest) => rest.poll_done(context),
            Writing::Shut(end) => end
                .as_mut()
                .map_or(std::task::Poll::Ready(()), |end| end.poll_done(context)),
        })
        .await;
    }
}

async fn write_all(stream: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn failed(error: io::Error) -> StreamError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => StreamError::Closed,
        _ => StreamError::LastOperationFailed(error.into()),
    }
}

fn locked<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one assignment.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
