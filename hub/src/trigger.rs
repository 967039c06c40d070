//! Who may say that something was pushed, and what they are told.
//!
//! The one trigger so far is the `post-receive` of a plain git server: a signed report, in the form of
//! [`crate::hook`]. A report is a *hint*: `resolve` reads the ref again from git. What was accepted is in the
//! store until it has an answer, so that a hub that dies in between goes on with it. Deliberately absent:
//! forges' webhooks, polling, schedules.

mod answer;
mod turns;
mod verify;

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Clock, Entropy};
use crate::domain::{AcceptedPush, Push, RepoName, ReportedPush, Repository};
use crate::hook::{self, PushAnswer, PushReport, REFS_MAX, RefUpdate, is_zeros};
use crate::resolve::{Answer, ResolveError, Resolver};
use crate::store::{PushStore, RepositoryStore, SignedReport, StoreError};
use turns::{NoRoom, Place, REPOSITORY_BACKLOG_MAX, Turns};

/// How long the pusher waits for us. A small fetch and a plan take a tenth of a second; after five
/// seconds people think that `git push` hangs.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Turns reports into builds. One for the life of the hub.
#[derive(Debug)]
pub struct Trigger {
    repositories: Arc<dyn RepositoryStore>,
    pushes: Arc<dyn PushStore>,
    resolver: Arc<Resolver>,
    clock: Arc<dyn Clock>,
    /// Stands for the key of a repository that does not exist.
    nobody: secrecy::SecretString,
    turns: Turns,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Trigger {
    /// Works are tasks of `tasks`, which `stop` cancels.
    pub fn new(
        (repositories, pushes): (Arc<dyn RepositoryStore>, Arc<dyn PushStore>),
        resolver: Arc<Resolver>,
        (clock, entropy): (Arc<dyn Clock>, &dyn Entropy),
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            repositories,
            pushes,
            resolver,
            clock,
            nobody: data_encoding::HEXLOWER.encode(&entropy.secret()).into(),
            turns: Turns::new(),
            tasks,
            stop,
        }
    }

    /// The routes of this module.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route(&hook::path("{repository}"), post(push))
            .layer(DefaultBodyLimit::max(hook::BODY_BYTES_MAX))
            .with_state(Arc::clone(self))
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
    #[error(
        "{REPOSITORY_BACKLOG_MAX} refs of this repository wait to be read already; this push was not taken, and nothing runs for it"
    )]
    TooMany,
    #[error("the hub failed; its log says why")]
    Ours,
    #[error("the hub could not look after this push; its log says why")]
    Store(#[from] StoreError),
}

impl From<NoRoom> for Refusal {
    fn from(why: NoRoom) -> Self {
        match why {
            NoRoom::Hub => Self::Busy,
            NoRoom::Repository => Self::TooMany,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Signature => StatusCode::UNAUTHORIZED,
            Self::Replayed => StatusCode::CONFLICT,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Ours => StatusCode::INTERNAL_SERVER_ERROR,
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
    let deadline = tokio::time::Instant::now() + ANSWER_TIME_MAX;
    let claim = verify::Claim::read(&name, &headers, &body).map_err(Refusal::Malformed)?;
    let (repository, expires_at) = trigger.authenticate(&name, &claim).await?;
    let report: PushReport =
        serde_json::from_slice(&body).map_err(|error| Refusal::Malformed(error.to_string()))?;
    let mut answer = PushAnswer {
        lines: Vec::new(),
        builds: Vec::new(),
    };
    let report = SignedReport {
        repository: repository.name.clone(),
        nonce: claim.nonce().to_owned(),
        expires_at,
        pushes: trigger.read(&repository.name, report, &mut answer)?,
    };
    // A task of its own: what was accepted is also begun with if the pusher goes away meanwhile.
    let taking = Arc::clone(&trigger).take(repository, report);
    let taken = trigger.tasks.spawn(taking).await;
    for work in taken.map_err(|_| Refusal::Ours)?? {
        work.tell(deadline, &mut answer).await;
    }
    Ok(Json(answer))
}

impl Trigger {
    /// The repository, if the report is its own, and when its signature is too old to be taken again. An unknown name
    /// and a bad signature take the same way.
    async fn authenticate(
        &self,
        name: &str,
        claim: &verify::Claim<'_>,
    ) -> Result<(Repository, Timestamp), Refusal> {
        let repository = match name.parse::<RepoName>() {
            Ok(name) => self.repositories.repository(&name).await?,
            Err(_) => None,
        };
        let key = repository
            .as_ref()
            .map_or(&self.nobody, |repository| &repository.hook_key);
        let expires_at = claim.verify(key, self.clock.now());
        let (Some(repository), Some(expires_at)) = (repository, expires_at) else {
            tracing::warn!(target: "audit", repository = %name.escape_debug(), "a push report was not signed well");
            return Err(Refusal::Signature);
        };
        Ok((repository, expires_at))
    }

    /// The pushes of a report; what runs nothing is answered at once.
    fn read(
        &self,
        name: &RepoName,
        report: PushReport,
        answer: &mut PushAnswer,
    ) -> Result<Vec<ReportedPush>, Refusal> {
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
            old,
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
            let push = Push {
                repository: name.clone(),
                reference,
                commit,
                received_at: self.clock.now(),
            };
            // Of a new ref it is zeros, which name no commit.
            let before = old.parse().ok().filter(|_| !is_zeros(&old));
            pushes.push(ReportedPush { push, before });
        }
        Ok(pushes)
    }

    /// Accepts a report, once, and begins with its pushes, or as soon as there is a place for each. From here on they are
    /// looked after whatever happens to this process.
    async fn take(
        self: Arc<Self>,
        repository: Repository,
        report: SignedReport,
    ) -> Result<Vec<Work>, Refusal> {
        let (name, count) = (&repository.name, report.pushes.len());
        let (places, waiting) = match self.turns.places(name, count) {
            Ok(places) => (places, Vec::new()),
            Err(_) => (Vec::new(), self.turns.backlog(name, count)?),
        };
        let accepted = self.pushes.accept(report, self.clock.now()).await?;
        let mut accepted = accepted.ok_or(Refusal::Replayed)?.into_iter();
        let mut works = Vec::with_capacity(count);
        for (place, push) in places.into_iter().zip(accepted.by_ref()) {
            works.push(self.begin(repository.clone(), push, ready(place)));
        }
        for (waiting, push) in waiting.into_iter().zip(accepted) {
            let (trigger, name) = (Arc::clone(&self), repository.name.clone());
            let place = async move {
                let place = trigger.turns.place(&name).await;
                drop(waiting);
                place
            };
            works.push(self.begin(repository.clone(), push, place));
        }
        Ok(works)
    }

    /// Begins with what an earlier hub accepted and could not answer any more, in the order in which it was accepted.
    pub async fn resume(&self) -> Result<(), StoreError> {
        for push in self.pushes.unsettled().await? {
            let name = push.push.repository.clone();
            let Some(repository) = self.repositories.repository(&name).await? else {
                tracing::error!(repository = %name, "an accepted push's repository is unknown");
                continue;
            };
            tracing::info!(repository = %name, "goes on with a push that was accepted before the hub was started");
            let place = self.turns.place(&name).await;
            // Its pusher has gone long ago; the answer is in the log.
            drop(self.begin(repository, push, ready(place)));
        }
        Ok(())
    }

    fn begin(
        &self,
        repository: Repository,
        push: AcceptedPush,
        place: impl Future<Output = Place> + Send + 'static,
    ) -> Work {
        let reference = push.push.reference.clone();
        let (resolver, stop) = (Arc::clone(&self.resolver), self.stop.clone());
        let (tasks, told_of) = (self.tasks.clone(), repository.clone());
        let work = async move {
            let place = place.await;
            let _turn = place.turn().await;
            let runtime = Handle::current();
            // On a thread of its own: git measures its mirror, and the language reads a file, without once giving way.
            let resolving = move || {
                let answered = runtime.block_on(resolver.resolve(&repository, push, &stop));
                answer::log(&repository.name, &answered);
                answered
            };
            tasks.spawn_blocking(resolving).await
        };
        Work {
            repository: told_of,
            reference,
            task: self.tasks.spawn(work),
        }
    }
}

/// A push that is resolved, whether or not somebody waits for it.
#[derive(Debug)]
struct Work {
    repository: Repository,
    reference: String,
    task: JoinHandle<Result<Result<Answer, ResolveError>, JoinError>>,
}

impl Work {
    /// Says what became of it, or at the deadline that it goes on.
    async fn tell(self, deadline: tokio::time::Instant, to: &mut PushAnswer) {
        let Self {
            repository,
            reference,
            task,
        } = self;
        let reference = answer::harmless(&reference);
        match timeout_at(deadline, task).await {
            Ok(Ok(Ok(answered))) => answer::tell(&repository, &reference, answered, to),
            Ok(Ok(Err(_)) | Err(_)) => to
                .lines
                .push(format!("{reference}: the hub failed; see its log")),
            Err(_) => to.lines.push(format!(
                "{reference}: accepted; the hub is still reading it"
            )),
        }
    }
}
