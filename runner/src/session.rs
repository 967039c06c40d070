//! The one outbound connection: dial, prove, take offers, send what the outbox holds, and begin again
//! whenever it breaks, for ever.
//!
//! A running step never notices: jobs talk to the outbox, and the outbox to whatever connection there
//! is. Reading and writing are two halves that never wait for each other, so that a hub that is slow to
//! read cannot keep us from hearing that a job is cancelled.

pub mod from_wire;
mod handshake;
mod pump;

use std::sync::Arc;
use std::time::Duration;

use cofferdam_git::RemotePolicy;
use cofferdam_protocol::hello::{Refuse, RefuseCode};

use crate::ceiling::Ceiling;
use crate::clock::Clock;
use crate::identity::Identity;
use crate::job::Jobs;
use crate::outbox::Outbox;
use crate::slots::Slots;
use crate::text::printable;
use crate::tls::{DialError, dial};

/// First pause before dialling again.
const BACKOFF_MIN: Duration = Duration::from_millis(250);

/// Longest pause before dialling again: a hub that was upgraded has its runners back in half a minute.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// All that a session works with. One for the life of the runner.
#[derive(Debug)]
pub struct Session {
    /// Who we are and which hub is ours.
    pub identity: Identity,
    /// Starts jobs.
    pub jobs: Arc<Jobs>,
    /// Room for them.
    pub slots: Slots,
    /// What they have to say.
    pub outbox: Arc<Outbox>,
    /// Stamps what the session itself says.
    pub clock: Arc<dyn Clock>,
    /// Where this host lets repositories come from.
    pub remotes: RemotePolicy,
    /// What it allows any job at most.
    pub ceiling: Ceiling,
}

/// Why the runner gives up. Anything else is tried again.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The first connection showed a certificate that must not be trusted.
    #[error(transparent)]
    Trust(DialError),
    /// The hub does not want this runner, and says that trying again is useless.
    #[error("the hub refused this runner: {0}")]
    Refused(String),
    /// What answered is not the hub that this runner joined.
    #[error(
        "the hub's identity is not the one that this runner joined; if the hub was made anew, join again"
    )]
    AnotherHub,
}

/// How one connection ended.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("the websocket broke")]
    Socket(#[from] tokio_tungstenite::tungstenite::Error),
    #[error("the hub was silent for {0:?}")]
    Silence(Duration),
    #[error("the hub said what a hub does not say: {0}")]
    Protocol(String),
    #[error("the hub refused: {}", printable(&.0.message))]
    Refused(Refuse),
    #[error("somebody at the hub's address refused, without proof of being the hub: {}", printable(&.0.message))]
    Unproven(Refuse),
    #[error(
        "the hub's signature does not fit this connection: does something in between end TLS, or was the hub dialled by another name?"
    )]
    BadProof,
    #[error("the hub's identity is another one")]
    AnotherHub,
    #[error("the hub closed the connection")]
    Closed,
}

impl Session {
    /// Serves for ever. Returns only with a reason that no retry can mend; ended by dropping the future.
    pub async fn run(&self) -> SessionError {
        let mut pause = BACKOFF_MIN;
        let mut has_ever_opened = false;
        loop {
            let mut has_opened = false;
            let ended = self.connect_and_serve(&mut has_opened).await;
            has_ever_opened |= has_opened;
            let broken = match retriable(ended.err().unwrap_or(Broken::Closed), has_ever_opened) {
                Ok(broken) => broken,
                Err(fatal) => return fatal,
            };
            if has_opened {
                pause = BACKOFF_MIN;
            }
            let wait = jittered(pause);
            tracing::warn!(
                hub = %self.identity.hub,
                error = &broken as &dyn std::error::Error,
                retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "no session with the hub"
            );
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(BACKOFF_MAX);
        }
    }

    async fn connect_and_serve(&self, has_opened: &mut bool) -> Result<(), Broken> {
        let connection = dial(&self.identity.hub, &self.identity.roots).await?;
        let exporter = connection.exporter;
        let mut socket = handshake::upgrade(&self.identity.hub, connection.stream).await?;
        let welcome =
            handshake::prove(&self.identity, exporter, self.slots.capacity(), &mut socket).await?;
        *has_opened = true;
        tracing::info!(hub = %self.identity.hub, runner = %self.identity.runner, "session open");
        let renew = Duration::from_secs(u64::from(welcome.renew_secs.clamp(1, 60)));
        pump::pump(self, socket, renew).await
    }
}

/// Gives back what a retry may mend. A certificate that has become bad after we were connected may be
/// replaced by the operator at any moment, so it is final only at the start.
fn retriable(broken: Broken, has_ever_opened: bool) -> Result<Broken, SessionError> {
    match broken {
        Broken::Dial(error) if error.is_about_trust() && !has_ever_opened => {
            Err(SessionError::Trust(error))
        }
        Broken::Refused(Refuse {
            code: RefuseCode::UnknownRunner | RefuseCode::Revoked,
            message,
        }) => Err(SessionError::Refused(printable(&message))),
        Broken::AnotherHub => Err(SessionError::AnotherHub),
        other => Ok(other),
    }
}

/// Between half of `pause` and all of it, so that a thousand runners do not come back at once.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness there is no jitter, and nothing else is lost.
    let random = getrandom::fill(&mut byte).map_or(0, |()| u32::from(byte[0]));
    pause / 2 + pause / 2 * random / 255
}
