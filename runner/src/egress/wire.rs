//! What a step's process and its broker say to each other.
//!
//! There is one control socket. A byte on it asks for a channel; the answer is a byte and, if there is
//! room, one end of a fresh socket pair beside it. All the rest happens on that channel, which carries one
//! HTTP request, one TCP connection or one lookup, and is closed after it: so the kernel keeps streams
//! apart, slows down whoever is too fast, and closing a descriptor is all that cancelling takes.
//!
//! On a channel there are frames of a kind, a length and that many bytes. The process speaks first, with
//! an [`Ask`]; then it sends the request's body. The broker sends an [`Answer`], then the response's body.
//! Once a TCP connection stands the channel carries its bytes and no frames. Descriptors only ever travel
//! from broker to process: the broker takes none.

use std::io;
use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Most bytes of a frame of a body. What a guest writes at once is no larger.
pub const BODY_FRAME_BYTES_MAX: usize = 64 * 1024;

/// Most bytes of all names and values of the headers of one message, with its path.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Most headers of one message: as many as the HTTP client takes.
pub const HEADERS_MAX: usize = 100;

/// Most bytes of a frame that is JSON: a head whose every byte is escaped as two.
const JSON_FRAME_BYTES_MAX: usize = 4 * HEAD_BYTES_MAX;

/// The byte that asks for a channel.
pub const WANTED: u8 = b'?';
/// The byte that a channel comes with.
pub const GRANTED: u8 = b'+';
/// The byte that says that there is no room for one more.
pub const NO_ROOM: u8 = b'-';

/// Headers that belong to one connection (RFC 9110, section 7.6.1) and end at the broker, whoever sent them.
pub const OF_THE_CONNECTION: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
];

/// Whether a guest may not set a header: it belongs to the connection, or the broker sets it.
pub fn is_brokers_own(name: &HeaderName) -> bool {
    OF_THE_CONNECTION.contains(name) || [header::HOST, header::EXPECT].contains(name)
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JSON: [`Ask`], from the process.
    Ask = 1,
    /// JSON: [`Answer`], from the broker.
    Answer = 2,
    /// A piece of a body.
    Body = 3,
    /// JSON: [`Headers`], after a body and instead of [`Kind::End`].
    Trailers = 4,
    /// Nothing: the body is complete.
    End = 5,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [
            Self::Ask,
            Self::Answer,
            Self::Body,
            Self::Trailers,
            Self::End,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }

    fn bytes_max(self) -> usize {
        match self {
            Self::Ask | Self::Answer | Self::Trailers => JSON_FRAME_BYTES_MAX,
            Self::Body => BODY_FRAME_BYTES_MAX,
            Self::End => 0,
        }
    }
}

/// What a channel is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// An HTTP request; its body follows.
    Http(RequestHead),
    /// A TCP connection to an address that a lookup gave, or that was granted as such.
    Connect(SocketAddr),
    /// The addresses of a name.
    LookUp(String),
}

/// What the broker answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The head of a response; its body follows.
    Response(ResponseHead),
    /// The connection stands: the channel carries its bytes from here on.
    Connected,
    /// These.
    Addresses(Vec<IpAddr>),
    /// It was refused or it failed. In place of any other frame, and the last one.
    Failed(Word),
}

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHead {
    /// In capitals, as on the wire.
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// `HOST` or `HOST:PORT`.
    pub authority: String,
    /// From its `/`.
    pub path_and_query: String,
    /// Without `host`.
    pub headers: Headers,
    /// Whether a body follows at all.
    pub has_body: bool,
}

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHead {
    /// 200 to 999: interim responses stay with the broker.
    pub status: u16,
    /// Without those that belong to the connection.
    pub headers: Headers,
}

/// Header fields in their order. A value is any bytes but control characters; each stands for the
/// character of that number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// For the wire.
    pub fn of(map: &HeaderMap) -> Self {
        let text = |value: &HeaderValue| {
            value
                .as_bytes()
                .iter()
                .map(|byte| char::from(*byte))
                .collect()
        };
        Self(
            map.iter()
                .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                .collect(),
        )
    }

    /// From the wire: `None` if one is no header, if there are too many, or if they are too long together.
    pub fn to_map(&self) -> Option<HeaderMap> {
        let bytes = |(name, value): &(String, String)| name.len() + value.chars().count();
        if self.0.len() > HEADERS_MAX || self.0.iter().map(bytes).sum::<usize>() > HEAD_BYTES_MAX {
            return None;
        }
        let mut map = HeaderMap::new();
        for (name, value) in &self.0 {
            let value: Option<Vec<u8>> =
                value.chars().map(|char| u8::try_from(char).ok()).collect();
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            map.append(name, HeaderValue::from_bytes(&value?).ok()?);
        }
        Some(map)
    }
}

/// Why something did not happen, as far as a guest is told. People read more in the step's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// The origin, name or address was not granted.
    NotGranted,
    /// The name points to an address that may not be reached.
    AddressProhibited,
    /// The request is malformed or uses what is not let through.
    BadRequest,
    /// Its method is not let through.
    BadMethod,
    /// Its body is not as long as its head says.
    BodyLength,
    /// The name has no address.
    NameNotFound,
    /// Nobody answered for the name in time.
    LookUpTimeout,
    /// The lookup failed otherwise.
    LookUpFailed,
    /// Nobody listens there.
    ConnectionRefused,
    /// Nobody answered there in time.
    ConnectionTimeout,
    /// The connection broke.
    ConnectionBroken,
    /// The server's certificate is not to be trusted.
    Certificate,
    /// TLS failed otherwise.
    Tls,
    /// The response did not begin in time, or stopped.
    ResponseTimeout,
    /// The response's head is too large.
    ResponseHead,
    /// What the server sent is not HTTP, or ends too early.
    ResponseBroken,
    /// A limit of the step is reached.
    Limit,
    /// We failed.
    Ours,
}

/// Sends one frame. Not cancel-safe: half of one may be sent.
pub async fn send(
    channel: &mut (impl AsyncWrite + Unpin),
    kind: Kind,
    bytes: &[u8],
) -> io::Result<()> {
    if bytes.len() > kind.bytes_max() {
        return Err(bad(format!("a frame of {} bytes", bytes.len())));
    }
    let mut header = [kind as u8, 0, 0, 0, 0];
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    header[1..].copy_from_slice(&length.to_le_bytes());
    channel.write_all(&header).await?;
    channel.write_all(bytes).await
}

/// Sends a frame that is JSON.
pub async fn send_json(
    channel: &mut (impl AsyncWrite + Unpin),
    kind: Kind,
    what: &impl Serialize,
) -> io::Result<()> {
    send(channel, kind, &serde_json::to_vec(what)?).await
}

/// Takes the next frame into `bytes`. `None` when the other side is gone, be it within a frame. Not
/// cancel-safe: a frame may be half read.
pub async fn receive(
    channel: &mut (impl AsyncRead + Unpin),
    bytes: &mut Vec<u8>,
) -> io::Result<Option<Kind>> {
    let mut header = [0; 5];
    if !filled(channel.read_exact(&mut header).await)? {
        return Ok(None);
    }
    let [kind, length @ ..] = header;
    let kind = Kind::of(kind).ok_or_else(|| bad(format!("a frame of the unknown kind {kind}")))?;
    let length = usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?;
    if length > kind.bytes_max() {
        return Err(bad(format!("a frame of {length} bytes")));
    }
    bytes.resize(length, 0);
    Ok(filled(channel.read_exact(bytes).await)?.then_some(kind))
}

fn filled(read: io::Result<usize>) -> io::Result<bool> {
    use io::ErrorKind::{ConnectionReset, UnexpectedEof};
    match read {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), UnexpectedEof | ConnectionReset) => Ok(false),
        Err(error) => Err(error),
    }
}

fn bad(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
