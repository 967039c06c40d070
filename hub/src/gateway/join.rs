//! A one-time token becomes a runner, once.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use cofferdam_protocol::RunnerId;
use cofferdam_protocol::hello::{Refuse, RefuseCode};
use cofferdam_protocol::join::{JoinAnswer, JoinRequest, TOKEN_BYTES_MAX};
use cofferdam_protocol::limits::NAME_BYTES_MAX;
use cofferdam_protocol::proof::{is_signed_by, join_transcript};
use http::StatusCode;
use sha2::{Digest as _, Sha256};

use super::Gateway;
use super::auth::refuse;
use crate::plain_text::is_plain;
use crate::server::Peer;
use crate::store::{Joined, Newcomer, StoreError};

/// Why a runner does not join.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoJoin {
    #[error("the request is malformed: {0}")]
    Malformed(String),
    #[error("a runner's name has 1 to {NAME_BYTES_MAX} printable characters")]
    Name,
    #[error("the request is not signed with the key that it names")]
    Signature,
    #[error("this hub made no such token")]
    UnknownToken,
    #[error("that token was used before")]
    UsedToken,
    #[error("that token has expired")]
    ExpiredToken,
    #[error("the hub could not look at the token; its log says why")]
    Store(#[from] StoreError),
}

impl IntoResponse for NoJoin {
    fn into_response(self) -> Response {
        let (status, code) = match &self {
            Self::Malformed(_) | Self::Name => (StatusCode::BAD_REQUEST, RefuseCode::BadFrame),
            Self::Signature => (StatusCode::FORBIDDEN, RefuseCode::BadFrame),
            Self::UnknownToken | Self::UsedToken | Self::ExpiredToken => {
                (StatusCode::FORBIDDEN, RefuseCode::UnknownRunner)
            }
            Self::Store(error) => {
                tracing::error!(error = error as &dyn std::error::Error, "nobody can join");
                (StatusCode::INTERNAL_SERVER_ERROR, RefuseCode::Busy)
            }
        };
        let body: Json<Refuse> = Json(refuse(code, self.to_string()));
        (status, body).into_response()
    }
}

/// `POST` [`cofferdam_protocol::JOIN_PATH`].
pub(super) async fn join(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Peer>,
    body: Bytes,
) -> Result<Json<JoinAnswer>, NoJoin> {
    let answered = trade(&gateway, &body).await;
    let address = peer.address;
    match &answered {
        Ok(answer) => tracing::info!(
            target: "audit", runner = %answer.runner, address = %address,
            labels = answer.labels.join(","), "a runner joined"
        ),
        Err(error) => {
            tracing::warn!(target: "audit", address = %address, error = %error, "a runner did not join");
        }
    }
    answered.map(Json)
}

async fn trade(gateway: &Gateway, body: &[u8]) -> Result<JoinAnswer, NoJoin> {
    let request: JoinRequest =
        serde_json::from_slice(body).map_err(|error| NoJoin::Malformed(error.to_string()))?;
    let JoinRequest {
        token,
        name,
        key,
        origin,
        signature,
    } = request;
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
        return Err(NoJoin::UnknownToken);
    }
    let is_name_good =
        !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(is_plain);
    if !is_name_good {
        return Err(NoJoin::Name);
    }
    if !is_signed_by(&key, &join_transcript(&token, &origin, &key), &signature) {
        return Err(NoJoin::Signature);
    }
    let now = gateway.clock.now();
    let newcomer = Newcomer {
        id: RunnerId::new(gateway.entropy.id(now)),
        name,
        key,
    };
    let hash = Sha256::digest(token.as_bytes()).into();
    match gateway.runners.join(hash, newcomer, now).await? {
        Joined::Yes(runner) => Ok(JoinAnswer {
            runner: runner.id,
            hub_identity: gateway.authority.identity(),
            labels: runner.labels,
        }),
        Joined::UnknownToken => Err(NoJoin::UnknownToken),
        Joined::UsedToken => Err(NoJoin::UsedToken),
        Joined::ExpiredToken => Err(NoJoin::ExpiredToken),
    }
}
