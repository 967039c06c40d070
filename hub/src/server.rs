//! The one open port: TCP, TLS, HTTP/1.1, with a bound and a deadline at each layer.
//!
//! A request arrives at its route with a [`Peer`] among its extensions: who dialled, and the TLS exporter
//! that binds a runner's session to this very connection. Plain HTTP is deliberately absent.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use cofferdam_protocol::proof::{EXPORTER_BYTES, EXPORTER_LABEL};
use http::header::CONNECTION;
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

/// How long a TLS handshake may take: a slow link needs two, an attacker would like for ever.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// How long the head of a request may take.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a whole request may take. The longest of ours answers within 15 s.
const REQUEST_TIME_MAX: Duration = Duration::from_mins(1);

/// Most connections of those who are not a runner with a seat. Ten thousand runners that come back at
/// once are let in by turns; the others try again.
const STRANGERS_MAX: usize = 1024;

/// Most headers of a request, and bytes of its head: a websocket upgrade has ten in one kilobyte.
const HEADERS_MAX: usize = 32;
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How often the log says that there are too many connections. People read it; a flood goes on for minutes.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How long to wait when the system has no more file descriptors for us.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The other end of the connection on which a request came.
#[derive(Clone, Debug)]
pub struct Peer {
    /// From where it dialled.
    pub address: SocketAddr,
    /// The TLS exporter of the connection (RFC 9266).
    pub exporter: [u8; EXPORTER_BYTES],
    permits: Arc<Permits>,
}

/// Its places among all connections. Freed when the last clone is dropped.
#[derive(Debug)]
struct Permits {
    _connection: OwnedSemaphorePermit,
    stranger: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Peer {
    /// Frees its place among the strangers, because it is a runner with a seat.
    pub fn leave_the_strangers(&self) {
        let stranger = self.permits.stranger.lock();
        drop(stranger.unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// What the port serves.
#[derive(Debug)]
pub struct Server {
    /// The open port.
    pub listener: TcpListener,
    /// How TLS is spoken.
    pub tls: Arc<rustls::ServerConfig>,
    /// Who answers.
    pub router: Router,
    /// Connections at once.
    pub connections_max: u32,
}

impl Server {
    /// Serves until `stop` fires; connections end as tasks of `tasks`.
    pub async fn serve(self, tasks: TaskTracker, stop: CancellationToken) {
        let acceptor = TlsAcceptor::from(self.tls);
        let connections = Arc::new(Semaphore::new(self.connections_max as usize));
        let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
        let mut turned_away = TurnedAway::default();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let (tcp, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let connection = Arc::clone(&connections).try_acquire_owned();
            let stranger = Arc::clone(&strangers).try_acquire_owned();
            let (Ok(connection), Ok(stranger)) = (connection, stranger) else {
                turned_away.note(address);
                continue;
            };
            let permits = Arc::new(Permits {
                _connection: connection,
                stranger: Mutex::new(Some(stranger)),
            });
            let greeting = greet(acceptor.clone(), tcp, address, permits);
            let (router, stop) = (self.router.clone(), stop.clone());
            tasks.spawn(async move {
                match greeting.await {
                    Ok((stream, peer)) => answer(stream, router, peer, stop).await,
                    Err(error) => tracing::debug!(%address, %error, "no TLS"),
                }
            });
        }
    }
}

/// Connections that were closed at once because there were too many. Counted, and told now and then: whoever dials a
/// thousand times in a second must not write the log.
#[derive(Debug, Default)]
struct TurnedAway {
    count: u64,
    told_at: Option<Instant>,
}

impl TurnedAway {
    fn note(&mut self, address: SocketAddr) {
        if let Some(count) = self.count_to_tell(Instant::now()) {
            tracing::warn!(count, last = %address, "too many connections; closed new ones at once");
        }
    }

    /// Counts one, and says how many to tell of if it is time to.
    fn count_to_tell(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        if self.told_at.is_some_and(|at| now < at + TELL_EVERY) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

async fn greet(
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    address: SocketAddr,
    permits: Arc<Permits>,
) -> std::io::Result<(tokio_rustls::server::TlsStream<TcpStream>, Peer)> {
    tcp.set_nodelay(true)?;
    let stream = timeout(HANDSHAKE_TIME_MAX, acceptor.accept(tcp))
        .await
        .map_err(|_| std::io::ErrorKind::TimedOut)??;
    let (_, session) = stream.get_ref();
    let exporter = session
        .export_keying_material([0; EXPORTER_BYTES], EXPORTER_LABEL, Some(&[]))
        .map_err(std::io::Error::other)?;
    let peer = Peer {
        address,
        exporter,
        permits,
    };
    Ok((stream, peer))
}

/// Answers the requests of one connection until it ends, is upgraded, or `stop` fires. `extension` is
/// put into each request.
pub async fn answer<S, E>(stream: S, router: Router, extension: E, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    E: Clone + Send + Sync + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(extension.clone());
        let mut router = router.clone();
        async move {
            let answered = timeout(REQUEST_TIME_MAX, router.call(request)).await;
            let mut response: Response = match answered {
                Ok(Ok(response)) => response,
                Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
            };
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                // Nobody here has two things to ask, and an idle connection is a place taken. (The
                // builder's own switch would take the upgrade out of a websocket's answer.)
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            Ok::<Response, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_connections_is_told_of_now_and_then_with_its_count() {
        let begin = Instant::now();
        let mut turned_away = TurnedAway::default();
        let told: Vec<(u64, u64)> = (0..2_500)
            .filter_map(|number| {
                let now = begin + Duration::from_millis(10 * number);
                let count = turned_away.count_to_tell(now)?;
                Some((number, count))
            })
            .collect();
        assert_eq!(told, [(0, 1), (1_000, 1_000), (2_000, 1_000)]);
    }
}
