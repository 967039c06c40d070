//! The opening of a session: websocket upgrade, then both sides prove who they are.

use std::time::Duration;

use cofferdam_protocol::codec;
use cofferdam_protocol::hello::{Hello, Prove, Welcome};
use cofferdam_protocol::limits::OFFER_FRAME_BYTES_MAX;
use cofferdam_protocol::proof::{
    EXPORTER_BYTES, Nonce, Role, SessionFacts, is_signed_by, transcript,
};
use cofferdam_protocol::{HubFrame, RunnerFrame, SESSION_PATH, SUBPROTOCOL};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::Broken;
use crate::hub_address::HubAddress;
use crate::identity::Identity;
use crate::text::chain;

pub(super) type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// How long each answer of the opening may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Bytes that an idle connection may hold for reading. The default of 128 KiB would cost a hub with ten
/// thousand runners over a gigabyte, and a runner more than its own code.
const READ_BUFFER_BYTES: usize = 4 * 1024;

pub(super) fn websocket_config() -> WebSocketConfig {
    let largest = OFFER_FRAME_BYTES_MAX;
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(largest)
        .max_message_size(Some(largest))
        .max_frame_size(Some(largest))
}

pub(super) async fn upgrade(
    hub: &HubAddress,
    stream: TlsStream<TcpStream>,
) -> Result<Socket, Broken> {
    let url = format!(
        "{}{SESSION_PATH}",
        hub.to_string().replacen("https", "wss", 1)
    );
    let mut request = url.into_client_request()?;
    request.headers_mut().insert(
        SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static(SUBPROTOCOL),
    );
    let upgrading =
        tokio_tungstenite::client_async_with_config(request, stream, Some(websocket_config()));
    let (socket, answer) = timeout(ANSWER_MAX, upgrading)
        .await
        .map_err(|_| Broken::Silence(ANSWER_MAX))??;
    let spoken = answer
        .headers()
        .get(SEC_WEBSOCKET_PROTOCOL)
        .and_then(|value| value.to_str().ok());
    if spoken != Some(SUBPROTOCOL) {
        return Err(Broken::Protocol(format!("it does not speak {SUBPROTOCOL}")));
    }
    Ok(socket)
}

/// Proves both sides. The hub goes first: we say nothing more to one that is not ours.
pub(super) async fn prove(
    identity: &Identity,
    exporter: [u8; EXPORTER_BYTES],
    slots: u16,
    socket: &mut Socket,
) -> Result<Welcome, Broken> {
    let runner_nonce = fresh_nonce()?;
    let origin = identity.hub.to_string();
    let hello = Hello {
        runner: identity.runner,
        nonce: runner_nonce,
        origin: origin.clone(),
        is_bound: true,
        software: concat!("cofferdam ", env!("CARGO_PKG_VERSION")).to_owned(),
        slots,
    };
    send(socket, &RunnerFrame::Hello(hello)).await?;
    let challenge = match receive(socket).await? {
        HubFrame::Challenge(challenge) => challenge,
        // Whoever says this has not proved to be our hub, so it cannot send us away for good.
        HubFrame::Refuse(refuse) => return Err(Broken::Unproven(refuse)),
        _ => return Err(out_of_turn("a challenge")),
    };
    if challenge.identity != identity.hub_identity {
        return Err(Broken::AnotherHub);
    }
    let facts = SessionFacts {
        runner: identity.runner,
        origin: &origin,
        runner_nonce,
        hub_nonce: challenge.nonce,
        exporter: challenge.is_bound.then_some(exporter),
    };
    if !is_signed_by(
        &identity.hub_identity,
        &transcript(Role::Hub, &facts),
        &challenge.signature,
    ) {
        return Err(Broken::BadProof);
    }
    let signature = identity.key.sign(&transcript(Role::Runner, &facts));
    send(socket, &RunnerFrame::Prove(Prove { signature })).await?;
    match receive(socket).await? {
        HubFrame::Welcome(welcome) => Ok(welcome),
        HubFrame::Refuse(refuse) => Err(Broken::Refused(refuse)),
        _ => Err(out_of_turn("a welcome")),
    }
}

fn fresh_nonce() -> Result<Nonce, Broken> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce)
        .map_err(|error| Broken::Protocol(format!("no randomness here: {error}")))?;
    Ok(Nonce(nonce))
}

fn out_of_turn(expected: &str) -> Broken {
    Broken::Protocol(format!("{expected} was due, something else came"))
}

async fn send(socket: &mut Socket, frame: &RunnerFrame) -> Result<(), Broken> {
    let message = Message::text(codec::encode(frame));
    timeout(ANSWER_MAX, socket.send(message))
        .await
        .map_err(|_| Broken::Silence(ANSWER_MAX))??;
    Ok(())
}

async fn receive(socket: &mut Socket) -> Result<HubFrame, Broken> {
    let next = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => return decode(&text),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Err(Broken::Closed),
                Some(Ok(_)) => return Err(Broken::Protocol("a binary frame".to_owned())),
                Some(Err(error)) => return Err(error.into()),
            }
        }
    };
    timeout(ANSWER_MAX, next)
        .await
        .map_err(|_| Broken::Silence(ANSWER_MAX))?
}

pub(super) fn decode(text: &str) -> Result<HubFrame, Broken> {
    codec::decode(text, OFFER_FRAME_BYTES_MAX).map_err(|error| Broken::Protocol(chain(&error)))
}
