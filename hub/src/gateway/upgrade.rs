//! From an HTTP request to a websocket (RFC 6455, section 4.2), with buffers that stay small while idle.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use cofferdam_protocol::SUBPROTOCOL;
use cofferdam_protocol::limits::{
    BINARY_FRAME_BYTES_MAX, OFFER_FRAME_BYTES_MAX, OPENING_FRAME_BYTES_MAX, TEXT_FRAME_BYTES_MAX,
};
use http::header::{
    CONNECTION, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, Request, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// A runner's connection.
pub(super) type Socket = WebSocketStream<Rationed<TokioIo<Upgraded>>>;

/// Bytes that are read from a stranger: the hello and the proof, each with a header and at its longest, and what a full
/// read buffer may hold of what comes behind them.
const OPENING_BYTES_MAX: usize = 2 * OPENING_FRAME_BYTES_MAX + READ_BUFFER_BYTES;

/// A stream of which little is read until its ration is lifted. The websocket's own bound cannot be changed while it
/// is open, and is that of a runner's longest frame.
#[derive(Debug)]
pub(super) struct Rationed<S> {
    stream: S,
    left: Option<usize>,
}

impl<S> Rationed<S> {
    /// Reads as much as comes from now on: the other side has proven who it is.
    pub(super) fn lift(&mut self) {
        self.left = None;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rationed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(left) = self.left {
            let read = buffer.filled().len().saturating_sub(before);
            let Some(left) = left.checked_sub(read) else {
                let why = "a stranger sent more than an opening takes";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
            };
            self.left = Some(left);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rationed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Bytes that an idle connection may hold for reading. The default of 128 KiB, ten thousand times over,
/// would cost the hub more than a gigabyte.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Bytes of a nonce in `Sec-WebSocket-Key` (RFC 6455, section 4.1).
const KEY_BYTES: usize = 16;

/// An upgrade that was agreed to.
pub(super) struct Accepted {
    /// To be sent at once.
    pub(super) response: Response,
    /// There once the response was sent.
    pub(super) socket: Pin<Box<dyn Future<Output = Result<Socket, hyper::Error>> + Send>>,
}

/// Why a request is not upgraded.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoUpgrade {
    #[error("this is a door for runners: it takes a websocket of subprotocol {SUBPROTOCOL}")]
    NotAsked,
    #[error("the websocket request is malformed: {0}")]
    Malformed(&'static str),
    #[error("this door speaks websocket version 13")]
    Version,
    #[error("a web page may not open this door")]
    Browser,
}

impl IntoResponse for NoUpgrade {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotAsked | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Browser => StatusCode::FORBIDDEN,
        };
        let mut response = (status, format!("{self}\n")).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(UPGRADE, http::HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, http::HeaderValue::from_static("13"));
        }
        response
    }
}

/// Checks the request and takes its connection over.
pub(super) fn accept(request: &mut Request<Body>) -> Result<Accepted, NoUpgrade> {
    let accept_key = check(request.headers())?;
    let upgrading = hyper::upgrade::on(request);
    let response = http::Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, accept_key)
        .header(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
        .body(Body::empty())
        .expect("the headers are constants and one base64 text");
    let socket = async {
        let io = Rationed {
            stream: TokioIo::new(upgrading.await?),
            left: Some(OPENING_BYTES_MAX),
        };
        Ok(WebSocketStream::from_raw_socket(io, Role::Server, Some(config())).await)
    };
    Ok(Accepted {
        response,
        socket: Box::pin(socket),
    })
}

fn config() -> WebSocketConfig {
    let largest = TEXT_FRAME_BYTES_MAX.max(BINARY_FRAME_BYTES_MAX);
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        // Each frame is flushed as it is written; nothing is gained by holding it.
        .write_buffer_size(0)
        .max_write_buffer_size(2 * OFFER_FRAME_BYTES_MAX)
        .max_message_size(Some(largest))
        .max_frame_size(Some(largest))
}

/// The answer to the request's key.
fn check(headers: &HeaderMap) -> Result<String, NoUpgrade> {
    let is_asked = lists(headers, &UPGRADE, "websocket") && lists(headers, &CONNECTION, "upgrade");
    if !is_asked {
        return Err(NoUpgrade::NotAsked);
    }
    if headers
        .get(SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version != "13")
    {
        return Err(NoUpgrade::Version);
    }
    // A browser names the page that asks; a runner is no page.
    if headers.contains_key(ORIGIN) {
        return Err(NoUpgrade::Browser);
    }
    if !lists(headers, &SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err(NoUpgrade::NotAsked);
    }
    let key = headers
        .get(SEC_WEBSOCKET_KEY)
        .ok_or(NoUpgrade::Malformed("it has no key"))?;
    match data_encoding::BASE64.decode(key.as_bytes()) {
        Ok(nonce) if nonce.len() == KEY_BYTES => Ok(derive_accept_key(key.as_bytes())),
        _ => Err(NoUpgrade::Malformed("its key is not 16 bytes in base64")),
    }
}

/// Whether a comma-separated header holds `wanted`, in any case.
fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(changes: &[(HeaderName, Option<&'static str>)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (CONNECTION, "keep-alive, Upgrade"),
            (UPGRADE, "WebSocket"),
            (SEC_WEBSOCKET_VERSION, "13"),
            (SEC_WEBSOCKET_PROTOCOL, "other, cofferdam.v1"),
            (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            headers.insert(name, http::HeaderValue::from_static(value));
        }
        for (name, value) in changes {
            headers.remove(name);
            if let Some(value) = value {
                headers.insert(name, http::HeaderValue::from_static(value));
            }
        }
        match check(&headers) {
            Ok(_) => 101,
            Err(refusal) => refusal.into_response().status().as_u16(),
        }
    }

    #[test]
    fn only_a_runners_websocket_is_let_in() {
        for (changes, status) in [
            (vec![], 101),
            (vec![(CONNECTION, None)], 426),
            (vec![(UPGRADE, Some("h2c"))], 426),
            (vec![(SEC_WEBSOCKET_VERSION, Some("8"))], 426),
            (vec![(SEC_WEBSOCKET_PROTOCOL, Some("cofferdam.v2"))], 426),
            (vec![(SEC_WEBSOCKET_KEY, None)], 400),
            (vec![(SEC_WEBSOCKET_KEY, Some("c2hvcnQ="))], 400),
            (vec![(SEC_WEBSOCKET_KEY, Some("not base64!"))], 400),
            (vec![(ORIGIN, Some("https://evil.example"))], 403),
        ] {
            assert_eq!(answer(&changes), status, "{changes:?}");
        }
    }

    #[tokio::test]
    async fn little_is_read_until_the_ration_is_lifted() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut there, here) = tokio::io::duplex(64);
        let mut here = Rationed {
            stream: here,
            left: Some(8),
        };
        let mut read = [0; 16];
        there.write_all(b"12345678").await.unwrap();
        assert_eq!(here.read(&mut read).await.unwrap(), 8);
        there.write_all(b"9").await.unwrap();
        let refused = here.read(&mut read).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        here.lift();
        there.write_all(b"1234567890").await.unwrap();
        assert_eq!(here.read(&mut read).await.unwrap(), 10);
        here.write_all(b"an answer").await.unwrap();
    }

    #[test]
    fn the_key_is_answered_as_in_the_standard() {
        // The example of RFC 6455, section 1.3.
        assert_eq!(
            derive_accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }
}
