//! The body of a request on its way from the guest to the server. It is exactly as long as its head says,
//! or the request fails: what is left over, or missing, would be read as part of another request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame};
use tokio::io::AsyncRead;
use tokio::sync::mpsc;

use crate::egress::wire::{Headers, Kind, Word, receive};

/// One piece of it.
#[derive(Debug)]
pub(super) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
}

impl Piece {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Data(data) => data.len(),
            Self::Trailers(_) | Self::End => 0,
        }
    }
}

/// Why there is no next piece.
#[derive(Debug)]
pub(super) enum End {
    /// The guest closed its end.
    Gone,
    /// It sent what it may not.
    Refused(Word, &'static str),
}

/// The guest's side.
#[derive(Debug)]
pub(super) struct Upload {
    pieces: mpsc::Sender<Piece>,
    /// What is missing, where the head gave a length.
    missing: Option<u64>,
    is_complete: bool,
}

/// The server's side.
#[derive(Debug)]
pub(super) struct UploadBody {
    pieces: mpsc::Receiver<Piece>,
}

/// A body that broke off. The connection ends with it.
#[derive(Debug, thiserror::Error)]
#[error("the request's body broke off")]
pub(super) struct BrokenOff;

/// Both sides of a body, of `bytes` bytes if that is known.
pub(super) fn channel(bytes: Option<u64>) -> (UploadBody, Upload) {
    // One piece waits: the sockets on both sides have buffers enough.
    let (sender, pieces) = mpsc::channel(1);
    let upload = Upload {
        pieces: sender,
        missing: bytes,
        is_complete: false,
    };
    (UploadBody { pieces }, upload)
}

impl Upload {
    /// Of a request without a body: only its end is waited for.
    pub(super) fn of_nothing() -> Self {
        let (_, mut upload) = channel(None);
        upload.is_complete = true;
        upload
    }

    /// Whether all of it went by.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// What the guest sends next. Not cancel-safe.
    pub(super) async fn next(
        &mut self,
        incoming: &mut (impl AsyncRead + Unpin),
        frame: &mut Vec<u8>,
    ) -> Result<Piece, End> {
        let Ok(Some(kind)) = receive(incoming, frame).await else {
            return Err(End::Gone);
        };
        if self.is_complete {
            return Err(End::Refused(
                Word::BadRequest,
                "its body goes on behind its end",
            ));
        }
        match kind {
            Kind::Body => {
                let bytes = u64::try_from(frame.len()).unwrap_or(u64::MAX);
                if let Some(missing) = &mut self.missing {
                    *missing = missing.checked_sub(bytes).ok_or(End::Refused(
                        Word::BodyLength,
                        "its body is longer than its content-length",
                    ))?;
                }
                Ok(Piece::Data(Bytes::copy_from_slice(frame)))
            }
            Kind::Trailers => {
                self.complete()?;
                let trailers = serde_json::from_slice::<Headers>(frame).ok();
                let trailers = trailers.and_then(|trailers| trailers.to_map());
                let bad = End::Refused(Word::BadRequest, "its trailers are malformed or too long");
                trailers.map(Piece::Trailers).ok_or(bad)
            }
            Kind::End => {
                self.complete()?;
                Ok(Piece::End)
            }
            Kind::Ask | Kind::Answer => {
                Err(End::Refused(Word::BadRequest, "its body is something else"))
            }
        }
    }

    fn complete(&mut self) -> Result<(), End> {
        self.is_complete = true;
        match self.missing {
            None | Some(0) => Ok(()),
            Some(_) => Err(End::Refused(
                Word::BodyLength,
                "its body is shorter than its content-length",
            )),
        }
    }

    /// Waits until the server takes it. One that has answered already may want no more.
    pub(super) async fn give(&self, piece: Piece) {
        let _unwanted = self.pieces.send(piece).await;
    }
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        Poll::Ready(match ready!(self.pieces.poll_recv(context)) {
            Some(Piece::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Piece::End) => None,
            // Without this the server would take a part for the whole.
            None => Some(Err(BrokenOff)),
        })
    }
}
