//! The operator's door: HTTP and JSON over a unix socket that only the owner of the data directory opens.
//!
//! The verbs of `cofferdam-hub` come through here. Deliberately absent: any check of who asks; whoever
//! may open the socket could read the database as well.

mod builds;
mod logs;
mod manual;
mod repositories;
mod runners;
pub mod socket;
pub mod view;
mod words;

use std::fmt::Debug;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cofferdam_git::RemotePolicy;
use cofferdam_protocol::{JobId, RunnerId};
use http::StatusCode;
use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::authority::Authority;
use crate::clock::{Clock, Entropy};
use crate::domain::{Build, RepoName};
use crate::live::Live;
use crate::store::{BuildStore, LogStore, QueueStore, RepositoryStore, RunnerStore, StoreError};
use view::{AboutView, ErrorView};

/// Longest request, in bytes: a name and an address.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Reaches the runners. Called from any request; never waits.
pub trait Connections: Send + Sync + Debug {
    /// Who is connected now.
    fn online(&self) -> Vec<RunnerId>;

    /// Ends a revoked runner's session at once.
    fn hang_up(&self, runner: RunnerId);
}

/// What the operator's door works with. One for the life of the hub.
#[derive(Debug)]
pub struct Control {
    /// Repositories.
    pub repositories: Arc<dyn RepositoryStore>,
    /// Builds.
    pub builds: Arc<dyn BuildStore>,
    /// Where attempts stand.
    pub queue: Arc<dyn QueueStore>,
    /// Their log bytes.
    pub logs: Arc<dyn LogStore>,
    /// Runners and tokens.
    pub runners: Arc<dyn RunnerStore>,
    /// Reaches the runners.
    pub connections: Arc<dyn Connections>,
    /// Wakes those who read along.
    pub live: Arc<Live>,
    /// Why jobs wait; written by the scheduler.
    pub reasons: watch::Receiver<std::collections::BTreeMap<JobId, String>>,
    /// Where repositories may be.
    pub remotes: RemotePolicy,
    /// Who the hub is.
    pub authority: Arc<Authority>,
    /// Where the hub is reached unless the operator knows better: `https://HOST:PORT`.
    pub url: String,
    /// Stamps.
    pub clock: Arc<dyn Clock>,
    /// Makes keys and tokens.
    pub entropy: Arc<dyn Entropy>,
    /// Ends what waits.
    pub stop: CancellationToken,
}

/// The routes of this module.
pub fn router(control: Arc<Control>) -> Router {
    Router::new()
        .route("/about", get(about))
        .route(
            "/repositories",
            get(repositories::list).post(repositories::add),
        )
        .route("/repositories/{name}/hook", get(repositories::hook))
        .route("/tokens", post(runners::make_token))
        .route("/runners", get(runners::list))
        .route("/runners/{id}/revoke", post(runners::revoke))
        .route("/builds", get(builds::list))
        .route("/builds/{repository}/{number}", get(builds::show))
        .route("/builds/{repository}/{number}/cancel", post(builds::cancel))
        .route("/builds/{repository}/{number}/start", post(manual::start))
        .route(
            "/builds/{repository}/{number}/decline",
            post(manual::decline),
        )
        .route("/builds/{repository}/{number}/steps", get(builds::steps))
        .route("/builds/{repository}/{number}/logs", get(logs::read))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(control)
}

async fn about(State(control): State<Arc<Control>>) -> Json<AboutView> {
    Json(AboutView {
        url: control.url.clone(),
        fingerprint: control.authority.fingerprint().to_owned(),
        identity: control.authority.identity().to_string(),
    })
}

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
enum ControlError {
    #[error("{0}")]
    Bad(String),
    #[error("there is no {0}")]
    Missing(String),
    #[error("{0}")]
    Taken(String),
    #[error("the store failed; the hub's log says why")]
    Store(#[from] StoreError),
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Taken(_) => StatusCode::CONFLICT,
            Self::Store(error) => {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "the operator was not served"
                );
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let error = self.to_string();
        (status, Json(ErrorView { error })).into_response()
    }
}

fn bad(error: impl std::fmt::Display) -> ControlError {
    ControlError::Bad(error.to_string())
}

/// Names a build in a path.
#[derive(Debug, Deserialize)]
struct BuildPath {
    repository: String,
    number: u64,
}

impl Control {
    async fn build(&self, Path(path): Path<BuildPath>) -> Result<Build, ControlError> {
        let BuildPath { repository, number } = path;
        let name: RepoName = repository.parse().map_err(bad)?;
        if self.repositories.repository(&name).await?.is_none() {
            return Err(ControlError::Missing(format!("repository {name}")));
        }
        let build = self.builds.build_by_number(&name, number).await?;
        build.ok_or_else(|| ControlError::Missing(format!("build {number} of {name}")))
    }
}
