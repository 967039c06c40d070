//! `wasi:http` for the guest: each request becomes one channel to the egress broker.
//!
//! Nothing is decided here: this process may be in the hands of its guest, and the broker checks
//! everything. A step without network grants has no broker, and each request is denied. The timeouts that
//! a guest sets count if they are shorter than the broker's own.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::try_unfold;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::io::{ReadHalf, WriteHalf, split};
use tokio::net::UnixStream;
use tokio::time::timeout;
use wasmtime_wasi_http::{
    Error, ForbiddenHeaderFilter, RequestOptions, Result, WasiBody, WasiHttpCtx, WasiHttpHooks,
};

use crate::egress::caller::{Caller, answer, ask};
use crate::egress::wire::{
    Answer, Ask, BODY_FRAME_BYTES_MAX, HEAD_BYTES_MAX, Headers, Kind, RequestHead, ResponseHead,
    Word, is_brokers_own, receive, send, send_json,
};

/// Longest time that a guest may wish for: as good as none.
const WISHED_TIME_MAX: Duration = Duration::from_hours(24);

/// All that a store needs for `wasi:http`.
pub(super) struct Requests {
    pub(super) context: WasiHttpCtx,
    pub(super) hooks: Hooks,
}

/// Takes the guest's requests to the broker.
pub(super) struct Hooks {
    caller: Option<Arc<Caller>>,
}

/// What is left to do for a response once its head is there.
type Rest = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

impl Requests {
    /// Over `caller`; without one each request is denied.
    pub(super) fn new(caller: Option<Arc<Caller>>) -> Self {
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(HEAD_BYTES_MAX);
        let hooks = Hooks { caller };
        Self { context, hooks }
    }
}

impl WasiHttpHooks for Hooks {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(is_brokers_own)
    }

    /// The broker sets it.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_FRAME_BYTES_MAX
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<()>> + Send>,
    ) -> Box<
        dyn Future<
                Output = Result<(
                    Response<WasiBody>,
                    Box<dyn Future<Output = Result<()>> + Send>,
                )>,
            > + Send,
    > {
        let caller = self.caller.clone();
        Box::new(async move {
            let caller = caller.ok_or(Error::HttpRequestDenied)?;
            let (response, rest) = exchange(&caller, request, options.unwrap_or_default()).await?;
            let rest: Box<dyn Future<Output = Result<()>> + Send> = Box::new(rest);
            Ok((response, rest))
        })
    }
}

/// From a request to the head of its response. The rest of the request's body may go up while the
/// response's comes down.
async fn exchange(
    caller: &Caller,
    request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<(Response<WasiBody>, Rest)> {
    let channel = caller.channel().await.map_err(Error::Connect)?;
    let channel = channel.ok_or(Error::ConnectionLimitReached)?;
    // Halves that do not shut the channel down: the broker takes that for the guest's end.
    let (mut incoming, mut outgoing) = split(channel);
    let (parts, body) = request.into_parts();
    let head = RequestHead {
        method: parts.method.to_string(),
        scheme: parts.uri.scheme_str().unwrap_or_default().to_owned(),
        authority: parts
            .uri
            .authority()
            .map(ToString::to_string)
            .unwrap_or_default(),
        path_and_query: match parts
            .uri
            .path_and_query()
            .map(http::uri::PathAndQuery::as_str)
        {
            None | Some("") => "/".to_owned(),
            Some(query) if query.starts_with('?') => format!("/{query}"),
            Some(path) => path.to_owned(),
        },
        headers: Headers::of(&parts.headers),
        has_body: !hyper::body::Body::is_end_stream(&body),
    };
    let has_body = head.has_body;
    ask(&mut outgoing, &Ask::Http(head))
        .await
        .map_err(Error::Connect)?;
    let mut rest: Rest = Box::pin(async move {
        if has_body {
            upload(body, &mut outgoing).await?;
        }
        Ok(())
    });
    let mut is_uploaded = false;
    let answered = async {
        let mut answering = pin!(answer(&mut incoming));
        loop {
            tokio::select! {
                answered = &mut answering => break answered.map_err(|_| Error::ConnectionTerminated),
                uploaded = &mut rest, if !is_uploaded => {
                    uploaded?;
                    is_uploaded = true;
                }
            }
        }
    };
    let answered = timeout(head_time_max(&options), answered).await;
    let head = match answered.map_err(|_| Error::ConnectionReadTimeout)?? {
        Answer::Response(head) => head,
        Answer::Failed(word) => return Err(error(word)),
        Answer::Connected | Answer::Addresses(_) => return Err(Error::HttpProtocolError),
    };
    let body = download(incoming, options.between_bytes_timeout);
    if is_uploaded {
        rest = Box::pin(async { Ok(()) });
    }
    Ok((response(&head, body)?, rest))
}

/// From the request's start to the response's head, as the guest wishes.
fn head_time_max(options: &RequestOptions) -> Duration {
    let wished = options.first_byte_timeout.map(|first_byte| {
        let connect = options.connect_timeout.unwrap_or_default();
        first_byte.saturating_add(connect)
    });
    wished.unwrap_or(WISHED_TIME_MAX).min(WISHED_TIME_MAX)
}

/// Sends the request's body. A broker that does not listen any more has said why.
async fn upload(mut body: WasiBody, outgoing: &mut WriteHalf<UnixStream>) -> Result<()> {
    while let Some(frame) = body.frame().await {
        let sent = match frame?.into_data() {
            Ok(data) => send_pieces(outgoing, &data).await,
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                let _heard = send_json(outgoing, Kind::Trailers, &Headers::of(&trailers)).await;
                return Ok(());
            }
        };
        if sent.is_err() {
            return Ok(());
        }
    }
    let _heard = send(outgoing, Kind::End, b"").await;
    Ok(())
}

async fn send_pieces(outgoing: &mut WriteHalf<UnixStream>, data: &[u8]) -> io::Result<()> {
    for piece in data.chunks(BODY_FRAME_BYTES_MAX) {
        send(outgoing, Kind::Body, piece).await?;
    }
    Ok(())
}

fn response(head: &ResponseHead, body: WasiBody) -> Result<Response<WasiBody>> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(head.status).map_err(|_| Error::HttpProtocolError)?;
    *response.headers_mut() = head
        .headers
        .to_map()
        .ok_or(Error::HttpResponseHeaderSectionSize(None))?;
    Ok(response)
}

/// The response's body, a frame of the broker's at a time.
fn download(incoming: ReadHalf<UnixStream>, between: Option<Duration>) -> WasiBody {
    let time_max = between.unwrap_or(WISHED_TIME_MAX).min(WISHED_TIME_MAX);
    let frames = try_unfold(Some(incoming), move |incoming| async move {
        let Some(mut incoming) = incoming else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let received = timeout(time_max, receive(&mut incoming, &mut bytes)).await;
        match received.map_err(|_| Error::ConnectionReadTimeout)? {
            Ok(Some(Kind::Body)) => Ok(Some((Frame::data(Bytes::from(bytes)), Some(incoming)))),
            Ok(Some(Kind::End)) => Ok(None),
            Ok(Some(Kind::Trailers)) => {
                let trailers = serde_json::from_slice::<Headers>(&bytes).ok();
                let trailers = trailers.and_then(|trailers| trailers.to_map());
                let trailers = trailers.ok_or(Error::HttpResponseTrailerSectionSize(None))?;
                Ok(Some((Frame::trailers(trailers), None)))
            }
            Ok(Some(Kind::Answer)) => Err(match serde_json::from_slice(&bytes) {
                Ok(Answer::Failed(word)) => error(word),
                _ => Error::HttpProtocolError,
            }),
            Ok(Some(Kind::Ask) | None) | Err(_) => Err(Error::HttpResponseIncomplete),
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

/// What a guest is told.
fn error(word: Word) -> Error {
    match word {
        Word::NotGranted => Error::HttpRequestDenied,
        Word::AddressProhibited => Error::DestinationIpProhibited,
        Word::BadRequest => Error::HttpRequestUriInvalid,
        Word::BadMethod => Error::HttpRequestMethodInvalid,
        Word::BodyLength => Error::HttpRequestBodySize(None),
        Word::NameNotFound => Error::DestinationNotFound,
        Word::LookUpTimeout => Error::DnsTimeout,
        Word::LookUpFailed => Error::DnsError {
            rcode: None,
            info_code: None,
        },
        Word::ConnectionRefused => Error::ConnectionRefused,
        Word::ConnectionTimeout => Error::ConnectionTimeout,
        Word::ConnectionBroken => Error::ConnectionTerminated,
        Word::Certificate => Error::TlsCertificateError,
        Word::Tls => Error::TlsProtocolError,
        Word::ResponseTimeout => Error::HttpResponseTimeout,
        Word::ResponseHead => Error::HttpResponseHeaderSectionSize(None),
        Word::ResponseBroken => Error::HttpProtocolError,
        Word::Limit => Error::ConnectionLimitReached,
        Word::Ours => Error::InternalError(None),
    }
}
