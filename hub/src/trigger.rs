//! Who may say that something was pushed, and what they are told.
//!
//! The one trigger so far is the `post-receive` of a plain git server: a signed report, in the form of
//! [`crate::hook`]. A report is a *hint*: `resolve` reads the ref again from git. Deliberately absent:
//! forges' webhooks, polling, schedules.

mod answer;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Clock, Entropy};
use crate::domain::{Push, RepoName, Repository};
use crate::hook::{self, PushAnswer, PushReport, REFS_MAX, RefUpdate};
use crate::resolve::Resolver;
use crate::store::{RepositoryStore, StoreError};

/// How long the pusher waits for us. A small fetch and a plan take a tenth of a second; after five
/// seconds people think that `git push` hangs.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Pushes that are resolved at once. Each runs git and reads a file; two cores have nothing from more.
const RESOLVES_MAX: usize = 8;

/// Pushed refs that are resolved or wait for it. Beyond that the hub says that it is busy.
const PENDING_MAX: usize = 256;

/// Turns reports into builds. One for the life of the hub.
#[derive(Debug)]
pub struct Trigger {
    repositories: Arc<dyn RepositoryStore>,
    resolver: Arc<Resolver>,
    clock: Arc<dyn Clock>,
    /// Stands for the key of a repository that does not exist.
    nobody: secrecy::SecretString,
    pending: Arc<Semaphore>,
    resolving: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Trigger {
    /// Works are tasks of `tasks`, which `stop` cancels.
    pub fn new(
        repositories: Arc<dyn RepositoryStore>,
        resolver: Arc<Resolver>,
        (clock, entropy): (Arc<dyn Clock>, &dyn Entropy),
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            repositories,
            resolver,
            clock,
            nobody: data_encoding::HEXLOWER.encode(&entropy.secret()).into(),
            pending: Arc::new(Semaphore::new(PENDING_MAX)),
            resolving: Arc::new(Semaphore::new(RESOLVES_MAX)),
            tasks,
            stop,
        }
    }

    /// The routes of this module.
    pub fn router(self) -> Router {
        Router::new()
            .route(&hook::path("{repository}"), post(push))
            .layer(DefaultBodyLimit::max(hook::BODY_BYTES_MAX))
            .with_state(Arc::new(self))
    }
}

/// Why a report is not taken. None of them tells whether a repository exists.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the signature is not good: check the key, and that both clocks are right")]
    Signature,
    #[error("this report was taken before")]
    Replayed,
    #[error("the report is malformed: {0}")]
    Malformed(String),
    #[error("the hub is busy with other pushes; this one was not taken")]
    Busy,
    #[error("the hub could not look after this push; its log says why")]
    Store(#[from] StoreError),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Signature => StatusCode::UNAUTHORIZED,
            Self::Replayed => StatusCode::CONFLICT,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(error) => {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "a push was not taken"
                );
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let answer = PushAnswer {
            lines: vec![self.to_string()],
            builds: Vec::new(),
        };
        (status, Json(answer)).into_response()
    }
}

async fn push(
    State(trigger): State<Arc<Trigger>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<PushAnswer>, Refusal> {
    let repository = trigger.authenticate(&name, &headers, &body).await?;
    let report: PushReport =
        serde_json::from_slice(&body).map_err(|error| Refusal::Malformed(error.to_string()))?;
    let mut answer = PushAnswer {
        lines: Vec::new(),
        builds: Vec::new(),
    };
    let pushes = trigger.read(&repository.name, report, &mut answer)?;
    trigger
        .resolve_all(&repository, pushes, &mut answer)
        .await?;
    Ok(Json(answer))
}

impl Trigger {
    /// The repository, if the report is its own. An unknown name and a bad signature take the same way.
    async fn authenticate(
        &self,
        name: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Repository, Refusal> {
        let now = self.clock.now();
        let claim = verify::Claim::read(name, headers, body).map_err(Refusal::Malformed)?;
        let repository = match name.parse::<RepoName>() {
            Ok(name) => self.repositories.repository(&name).await?,
            Err(_) => None,
        };
        let key = repository
            .as_ref()
            .map_or(&self.nobody, |repository| &repository.hook_key);
        let expires_at = claim.verify(key, now);
        let (Some(repository), Some(expires_at)) = (repository, expires_at) else {
            tracing::warn!(target: "audit", repository = %name.escape_debug(), "a push report was not signed well");
            return Err(Refusal::Signature);
        };
        let nonce = claim.nonce();
        let is_new = self
            .repositories
            .take_nonce(&repository.name, nonce, expires_at, now)
            .await?;
        if is_new {
            Ok(repository)
        } else {
            Err(Refusal::Replayed)
        }
    }

    /// The pushes of a report; what runs nothing is answered at once.
    fn read(
        &self,
        name: &RepoName,
        report: PushReport,
        answer: &mut PushAnswer,
    ) -> Result<Vec<Push>, Refusal> {
        let PushReport { mut updates } = report;
        if updates.len() > hook::UPDATES_MAX {
            let many = format!("more than {} updates", hook::UPDATES_MAX);
            return Err(Refusal::Malformed(many));
        }
        updates.retain(|update| !update.is_deletion());
        if updates.len() > REFS_MAX {
            answer.lines.push(format!(
                "{} refs in one push: more than {REFS_MAX} run nothing. Push fewer at once to run their pipelines.",
                updates.len()
            ));
            return Ok(Vec::new());
        }
        let mut pushes = Vec::new();
        for RefUpdate {
            reference,
            old: _,
            new,
        } in updates
        {
            let is_built = ["refs/heads/", "refs/tags/"]
                .iter()
                .any(|prefix| reference.starts_with(prefix));
            if !is_built {
                let reference = answer::harmless(&reference);
                let line = format!("{reference}: nothing runs, it is neither a branch nor a tag");
                answer.lines.push(line);
                continue;
            }
            let commit = new
                .parse()
                .map_err(|error| Refusal::Malformed(format!("what a ref points to: {error}")))?;
            pushes.push(Push {
                repository: name.clone(),
                reference,
                commit,
                received_at: self.clock.now(),
            });
        }
        Ok(pushes)
    }

    /// Resolves all of them, and tells what is known when the pusher has waited long enough. The work
    /// goes on after that, and if the pusher goes away.
    async fn resolve_all(
        &self,
        repository: &Repository,
        pushes: Vec<Push>,
        answer: &mut PushAnswer,
    ) -> Result<(), Refusal> {
        let count = u32::try_from(pushes.len()).unwrap_or(u32::MAX);
        let pending = Arc::clone(&self.pending).try_acquire_many_owned(count);
        let mut places = pending.map_err(|_| Refusal::Busy)?;
        let deadline = tokio::time::Instant::now() + ANSWER_TIME_MAX;
        let mut works = Vec::new();
        for push in pushes {
            let place = places.split(1);
            let (resolver, resolving) = (Arc::clone(&self.resolver), Arc::clone(&self.resolving));
            let (repository, stop) = (repository.clone(), self.stop.clone());
            let reference = push.reference.clone();
            let work = async move {
                let _place = place;
                let _turn = resolving.acquire().await;
                let answered = resolver.resolve(&repository, push, &stop).await;
                answer::log(&repository.name, &answered);
                answered
            };
            works.push((reference, self.tasks.spawn(work)));
        }
        for (reference, work) in works {
            let reference = answer::harmless(&reference);
            match timeout_at(deadline, work).await {
                Ok(Ok(answered)) => answer::tell(&reference, answered, answer),
                Ok(Err(_)) => answer
                    .lines
                    .push(format!("{reference}: the hub failed; see its log")),
                Err(_) => answer.lines.push(format!(
                    "{reference}: accepted; the hub is still reading it"
                )),
            }
        }
        Ok(())
    }
}
