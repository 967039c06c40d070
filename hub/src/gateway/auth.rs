//! Who is there: the four frames that open a session (`cofferdam_protocol::hello`).
//!
//! The hub proves itself first. An unknown runner is challenged like a known one and refused at the same
//! point, so that nobody learns which ids exist. The dialled origin is not compared with anything here: a
//! hub may be reached under names that it does not know (a forwarded port, a wildcard). It is part of what
//! both sides sign, and with the TLS exporter beside it what is signed fits this connection alone.

use std::time::Duration;

use cofferdam_protocol::codec;
use cofferdam_protocol::hello::{Challenge, Hello, Prove, Refuse, RefuseCode};
use cofferdam_protocol::limits::{NAME_BYTES_MAX, OPENING_FRAME_BYTES_MAX, SLOTS_MAX};
use cofferdam_protocol::proof::{Nonce, Role, SessionFacts, is_signed_by, transcript};
use cofferdam_protocol::{HubFrame, RunnerFrame};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::Gateway;
use super::upgrade::Socket;
use crate::domain::{Runner, RunnerState};
use crate::plain_text::one_line;
use crate::server::Peer;

/// How long each frame of the opening may take.
const FRAME_TIME_MAX: Duration = Duration::from_secs(10);

/// Longest dialled origin, in bytes: a scheme, the longest DNS name, a port.
const ORIGIN_BYTES_MAX: usize = 300;

/// A runner that has proven who it is.
#[derive(Debug)]
pub(super) struct Proven {
    /// Who.
    pub(super) runner: Runner,
    /// How many jobs it can run at once.
    pub(super) slots: u16,
    /// Its release, for people.
    pub(super) software: String,
}

/// How an opening fails.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotProven {
    /// The other side is told, and hung up on.
    #[error("refused: {}", .0.message)]
    Refused(Refuse),
    /// There is nobody to tell.
    #[error("it went away, or was silent too long")]
    Gone,
}

/// A refusal with its words.
pub(super) fn refuse(code: RefuseCode, message: impl Into<String>) -> Refuse {
    Refuse {
        code,
        message: message.into(),
    }
}

fn bad_frame(message: impl Into<String>) -> NotProven {
    NotProven::Refused(refuse(RefuseCode::BadFrame, message))
}

/// Finds out who is there. Cancel-safe: dropping the future hangs up.
pub(super) async fn prove(
    gateway: &Gateway,
    socket: &mut Socket,
    peer: &Peer,
) -> Result<Proven, NotProven> {
    let RunnerFrame::Hello(hello) = receive(socket).await? else {
        return Err(bad_frame("a hello comes first"));
    };
    let Hello {
        runner,
        nonce: runner_nonce,
        origin,
        is_bound,
        software,
        slots,
    } = hello;
    if origin.len() > ORIGIN_BYTES_MAX {
        return Err(bad_frame("the dialled origin is https://HOST[:PORT]"));
    }
    let facts = SessionFacts {
        runner,
        origin: &origin,
        runner_nonce,
        hub_nonce: Nonce(gateway.entropy.secret()),
        exporter: Some(peer.exporter),
    };
    let challenge = Challenge {
        nonce: facts.hub_nonce,
        identity: gateway.authority.identity(),
        is_bound: true,
        signature: gateway.authority.sign(&transcript(Role::Hub, &facts)),
    };
    send(socket, &HubFrame::Challenge(challenge)).await?;
    let RunnerFrame::Prove(Prove { signature }) = receive(socket).await? else {
        return Err(bad_frame("a proof comes second"));
    };
    // From here on the hub has proven itself, and a runner may believe a refusal.
    if !is_bound {
        // This hub ends TLS itself, so a runner that does not bind speaks through somebody in between.
        return Err(bad_frame(
            "a session with this hub is bound to its TLS connection",
        ));
    }
    if !origin.starts_with("https://") {
        return Err(bad_frame("the dialled origin is https://HOST[:PORT]"));
    }
    if slots == 0 || slots > SLOTS_MAX {
        return Err(bad_frame(format!("a runner has 1 to {SLOTS_MAX} slots")));
    }
    let known = gateway.runners.runner(runner).await.map_err(|error| {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "could not look up a runner"
        );
        NotProven::Refused(refuse(RefuseCode::Busy, "the hub cannot look you up now"))
    })?;
    let message = transcript(Role::Runner, &facts);
    // An unknown runner costs a whole check too, with a key that it cannot have, so that time does not tell which ids
    // exist.
    let nobody = gateway.authority.identity();
    let key = known.as_ref().map_or(nobody, |known| known.key);
    let is_signed = is_signed_by(&key, &message, &signature);
    match known.filter(|_| is_signed) {
        None => Err(NotProven::Refused(refuse(
            RefuseCode::UnknownRunner,
            "this hub knows no runner of that id and key",
        ))),
        Some(known) if known.state == RunnerState::Revoked => Err(NotProven::Refused(refuse(
            RefuseCode::Revoked,
            "this runner was revoked",
        ))),
        Some(runner) => Ok(Proven {
            runner,
            slots,
            software: one_line(&software, NAME_BYTES_MAX),
        }),
    }
}

/// Tells the other side why, and hangs up; as far as it still listens.
pub(super) async fn say_no(socket: &mut Socket, refuse: Refuse) {
    let said = send(socket, &HubFrame::Refuse(refuse)).await;
    if said.is_ok() {
        // It may be gone already, and then there is nothing to close.
        drop(timeout(FRAME_TIME_MAX, socket.close(None)).await);
    }
}

async fn send(socket: &mut Socket, frame: &HubFrame) -> Result<(), NotProven> {
    let message = Message::text(codec::encode(frame));
    match timeout(FRAME_TIME_MAX, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(NotProven::Gone),
    }
}

async fn receive(socket: &mut Socket) -> Result<RunnerFrame, NotProven> {
    let next = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    return codec::decode(&text, OPENING_FRAME_BYTES_MAX)
                        .map_err(|error| bad_frame(error.to_string()));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Binary(_))) => {
                    return Err(bad_frame("a log frame before a hello"));
                }
                Some(Ok(Message::Close(_) | Message::Frame(_)) | Err(_)) | None => {
                    return Err(NotProven::Gone);
                }
            }
        }
    };
    timeout(FRAME_TIME_MAX, next)
        .await
        .map_err(|_| NotProven::Gone)?
}
