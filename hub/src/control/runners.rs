//! Runners and the tokens that let them in.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use cofferdam_protocol::RunnerId;
use cofferdam_protocol::limits::{LABELS_MAX, NAME_BYTES_MAX};
use data_encoding::BASE64URL_NOPAD;
use jiff::SignedDuration;
use sha2::{Digest as _, Sha256};

use super::view::{MakeToken, RevokedView, RunnerView, TokenView};
use super::{Control, ControlError, bad};
use crate::domain::{JoinToken, Runner, RunnerState};
use crate::plain_text::is_plain;

/// Begins every token, so that a scanner for leaked secrets knows one when it sees it.
const TOKEN_PREFIX: &str = "cj_";

/// How long a token may work: who has not joined in a month has forgotten it.
const TOKEN_SECS_MAX: u64 = 30 * 24 * 60 * 60;

pub(super) async fn make_token(
    State(control): State<Arc<Control>>,
    Json(wish): Json<MakeToken>,
) -> Result<Json<TokenView>, ControlError> {
    let MakeToken {
        labels,
        expires_secs,
    } = wish;
    let labels: BTreeSet<String> = labels.into_iter().collect();
    let is_label_good = |label: &String| {
        (1..=NAME_BYTES_MAX).contains(&label.len())
            && label.chars().all(|c| is_plain(c) && c != ' ' && c != ',')
    };
    if labels.len() > LABELS_MAX || !labels.iter().all(is_label_good) {
        return Err(bad(format!(
            "a runner has at most {LABELS_MAX} labels of 1 to {NAME_BYTES_MAX} bytes, without spaces and commas"
        )));
    }
    if expires_secs == 0 || expires_secs > TOKEN_SECS_MAX {
        return Err(bad(
            "a token works for at least a second and at most 30 days",
        ));
    }
    let secs = i64::try_from(expires_secs).map_err(bad)?;
    let expires_at = control.clock.now() + SignedDuration::from_secs(secs);
    let secret = BASE64URL_NOPAD.encode(&control.entropy.secret());
    let token = format!("{TOKEN_PREFIX}{secret}");
    let stored = JoinToken {
        hash: Sha256::digest(token.as_bytes()).into(),
        labels: labels.into_iter().collect(),
        expires_at,
    };
    control.runners.add_token(&stored).await?;
    tracing::info!(
        target: "audit", labels = stored.labels.join(","), expires_at = %expires_at,
        "made a token for a runner"
    );
    Ok(Json(TokenView {
        token,
        expires_at: expires_at.to_string(),
    }))
}

pub(super) async fn list(
    State(control): State<Arc<Control>>,
) -> Result<Json<Vec<RunnerView>>, ControlError> {
    let online: BTreeSet<RunnerId> = control.connections.online().into_iter().collect();
    let all = control.runners.runners().await?;
    let view = |runner: Runner| {
        let Runner {
            id,
            name,
            key: _,
            labels,
            state,
            joined_at,
            seen_at,
        } = runner;
        let state = match state {
            RunnerState::Revoked => "revoked",
            RunnerState::Active if online.contains(&id) => "online",
            RunnerState::Active => "offline",
        };
        RunnerView {
            id: id.to_string(),
            name,
            labels,
            state: state.to_owned(),
            joined_at: joined_at.to_string(),
            seen_at: seen_at.map(|at| at.to_string()),
        }
    };
    Ok(Json(all.into_iter().map(view).collect()))
}

pub(super) async fn revoke(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Json<RevokedView>, ControlError> {
    let id: RunnerId = id.parse().map_err(bad)?;
    let held = control.runners.revoke(id, control.clock.now()).await?;
    let held = held.ok_or_else(|| ControlError::Missing(format!("runner {id}")))?;
    control.connections.hang_up(id);
    tracing::info!(target: "audit", runner = %id, held = held.len(), "revoked a runner");
    Ok(Json(RevokedView { held: held.len() }))
}
