//! One HTTP request: checked as a whole before anything leaves, sent over a connection of its own, and the
//! response streamed back. A redirect is a response like any other; following it is a new request.

mod check;
mod upload;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Either, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use self::check::Checked;
use self::upload::{End, Upload};
use super::Shared;
use crate::egress::policy::NetGrant;
use crate::egress::record::{Meter, Refusal};
use crate::egress::wire::{
    Answer, BODY_FRAME_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX, Headers, Kind, OF_THE_CONNECTION,
    RequestHead, ResponseHead, Word, send, send_json,
};

/// What the guest's side did when it did not ask for anything that could be refused.
#[derive(Debug)]
enum Stop {
    /// Something was refused or failed.
    Refused(Refusal),
    /// The guest closed its end: there is nobody to tell.
    Gone,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Serves one request from its head to the end of the response.
pub(super) async fn exchange(
    shared: &Shared,
    head: &RequestHead,
    incoming: &mut (impl AsyncRead + Unpin),
    outgoing: &mut (impl AsyncWrite + Unpin),
) -> Result<(), Refusal> {
    let Checked {
        origin,
        request,
        body_bytes,
    } = check::request(&shared.dialer.policy, head)?;
    shared.budget.connection()?;
    let (stream, address) = shared.dialer.http(&origin, &shared.budget).await?;
    let meter = shared.record.connected(origin.to_string(), address);
    let (body, upload) = if head.has_body {
        let (body, upload) = upload::channel(body_bytes);
        (Either::Left(body), upload)
    } else {
        let empty = Empty::<Bytes>::new().map_err(|never| match never {});
        (Either::Right(empty), Upload::of_nothing())
    };
    let failed = |error: hyper::Error| http_failed(&origin, &error);
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let conversation = Conversation {
        shared,
        origin: &origin,
        meter: &meter,
    };
    let (done, sent) = tokio::sync::oneshot::channel();
    let answering = async {
        let first_byte_time_max = shared.budget.limits.first_byte_time_max;
        let too_late = async {
            // Where the sender is gone the body will never be complete, and that has its own end.
            if sent.await.is_err() {
                std::future::pending::<()>().await;
            }
            sleep(first_byte_time_max).await;
        };
        let response = tokio::select! {
            response = sender.send_request(request.map(|()| body)) => response.map_err(failed)?,
            () = too_late => return Err(conversation.too_slow("did not answer", first_byte_time_max).into()),
        };
        conversation.download(response, outgoing).await
    };
    let ended = tokio::select! {
        biased;
        stop = conversation.upload(upload, incoming, done) => Err(stop),
        answered = answering => answered,
        // It drives the other two; what is wrong with it they say better.
        never = async { let _told = connection.await; std::future::pending().await } => never,
    };
    match ended {
        Ok(()) | Err(Stop::Gone) => Ok(()),
        Err(Stop::Refused(refusal)) => Err(refusal),
    }
}

struct Conversation<'a> {
    shared: &'a Shared,
    origin: &'a NetGrant,
    meter: &'a Meter<'a>,
}

impl Conversation<'_> {
    /// Passes the body on, then waits until the guest is gone. It has no other end than that or a refusal.
    async fn upload(
        &self,
        mut upload: Upload,
        incoming: &mut (impl AsyncRead + Unpin),
        done: tokio::sync::oneshot::Sender<()>,
    ) -> Stop {
        let mut frame = Vec::new();
        let mut done = Some(done);
        loop {
            if let Some(done) = done.take_if(|_| upload.is_complete()) {
                let _answered_already = done.send(());
            }
            let next = upload.next(incoming, &mut frame).await;
            let piece = match next {
                Ok(piece) => piece,
                Err(End::Gone) => return Stop::Gone,
                Err(End::Refused(word, why)) => {
                    return Refusal::new(word, format!("{}: {why}", self.origin)).into();
                }
            };
            let bytes = piece.bytes();
            self.meter.up(bytes);
            if let Err(refusal) = self.shared.budget.up(bytes) {
                return refusal.into();
            }
            let idle_time_max = self.shared.budget.limits.idle_time_max;
            if timeout(idle_time_max, upload.give(piece)).await.is_err() {
                return self
                    .too_slow("took nothing of the request", idle_time_max)
                    .into();
            }
        }
    }

    async fn download(
        &self,
        response: Response<Incoming>,
        outgoing: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Stop> {
        let (head, mut body) = response.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            let why = format!(
                "{}: it switches protocols, and nobody asked for that",
                self.origin
            );
            return Err(Refusal::new(Word::ResponseBroken, why).into());
        }
        let answer = Answer::Response(ResponseHead {
            status: head.status.as_u16(),
            headers: Headers::of(&without_connection(head.headers)),
        });
        send_json(outgoing, Kind::Answer, &answer)
            .await
            .map_err(|_| Stop::Gone)?;
        let idle_time_max = self.shared.budget.limits.idle_time_max;
        loop {
            let frame = match timeout(idle_time_max, body.frame()).await {
                Err(_) => {
                    return Err(self
                        .too_slow("stopped in its response", idle_time_max)
                        .into());
                }
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    let why = format!("{}: {}", self.origin, crate::text::chain(&error));
                    return Err(Refusal::new(Word::ResponseBroken, why).into());
                }
                Ok(Some(Ok(frame))) => frame,
            };
            match frame.into_data() {
                Ok(data) => self.pass_down(&data, outgoing).await?,
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    let trailers = Headers::of(&without_connection(trailers));
                    return send_json(outgoing, Kind::Trailers, &trailers)
                        .await
                        .map_err(|_| Stop::Gone);
                }
            }
        }
        send(outgoing, Kind::End, b"").await.map_err(|_| Stop::Gone)
    }

    async fn pass_down(
        &self,
        data: &[u8],
        outgoing: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Stop> {
        self.meter.down(data.len());
        self.shared.budget.down(data.len())?;
        for piece in data.chunks(BODY_FRAME_BYTES_MAX) {
            send(outgoing, Kind::Body, piece)
                .await
                .map_err(|_| Stop::Gone)?;
        }
        Ok(())
    }

    fn too_slow(&self, what: &str, time_max: Duration) -> Refusal {
        let why = format!("{}: it {what} within {time_max:?}", self.origin);
        Refusal::new(Word::ResponseTimeout, why)
    }
}

/// What is left of a head once what concerns the connection is gone, which it may name itself.
fn without_connection(mut headers: HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in OF_THE_CONNECTION.iter().chain(&named) {
        headers.remove(name);
    }
    headers
}

fn http_failed(origin: &NetGrant, error: &hyper::Error) -> Refusal {
    let word = if error.is_parse_too_large() {
        Word::ResponseHead
    } else if error.is_parse() || error.is_incomplete_message() {
        Word::ResponseBroken
    } else {
        Word::ConnectionBroken
    };
    Refusal::new(word, format!("{origin}: {}", crate::text::chain(error)))
}
