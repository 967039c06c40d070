//! The door for runners: joining over HTTPS, and the one websocket on which everything else is said.
//!
//! Behind the upgrade, [`auth`] finds out who is there, [`registry`] keeps who is, and [`session`] is one
//! task per connection. What a frame means for a build is [`crate::ingest`]'s to say.

mod auth;
mod join;
mod pace;
pub mod registry;
mod session;
pub mod to_wire;
mod upgrade;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use cofferdam_protocol::{JOIN_PATH, SESSION_PATH};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authority::Authority;
use crate::clock::{Clock, Entropy};
use crate::config::LeaseConfig;
use crate::ingest::Ingest;
use crate::server::Peer;
use crate::store::{QueueStore, RunnerStore};
use registry::Registry;

/// Longest join request, in bytes: a token, a name, a key and a signature take one kilobyte.
const JOIN_BYTES_MAX: usize = 16 * 1024;

/// What the door works with. One for the life of the hub.
#[derive(Debug)]
pub struct Gateway {
    /// Signs for the hub.
    pub authority: Arc<Authority>,
    /// Knows the runners.
    pub runners: Arc<dyn RunnerStore>,
    /// Knows what they hold.
    pub queue: Arc<dyn QueueStore>,
    /// Keeps what they report.
    pub ingest: Ingest,
    /// Knows who is connected.
    pub registry: Arc<Registry>,
    /// How leases are kept.
    pub lease: LeaseConfig,
    /// Stamps.
    pub clock: Arc<dyn Clock>,
    /// Makes nonces and ids.
    pub entropy: Arc<dyn Entropy>,
    /// Runs the sessions.
    pub tasks: TaskTracker,
    /// Ends them.
    pub stop: CancellationToken,
}

/// The routes of this module.
pub fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route(SESSION_PATH, get(open_session))
        .route(JOIN_PATH, post(join::join))
        .layer(DefaultBodyLimit::max(JOIN_BYTES_MAX))
        .with_state(gateway)
}

async fn open_session(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
) -> Response {
    let accepted = match upgrade::accept(&mut request) {
        Ok(accepted) => accepted,
        Err(refusal) => return refusal.into_response(),
    };
    let tasks = gateway.tasks.clone();
    tasks.spawn(async move {
        match accepted.socket.await {
            Ok(socket) => session::serve(&gateway, socket, &peer).await,
            Err(error) => tracing::debug!(address = %peer.address, %error, "no upgrade"),
        }
    });
    accepted.response
}
