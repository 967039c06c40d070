//! Builds: list, show, cancel.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use cofferdam_pipeline::progress::StepState;
use cofferdam_protocol::StepIndex;
use cofferdam_protocol::job_spec::StepSpec;
use cofferdam_protocol::report::{Blame, StepResult};
use jiff::Timestamp;
use serde::Deserialize;

use super::view::{BuildDetail, BuildView, Cancelled, JobView, StepName, StepView};
use super::{BuildPath, Control, ControlError, bad, words};
use crate::domain::{Build, Job, JobState, JobStep, Push, RepoName, StepReport};

/// Builds that a list shows: what fits on some screens.
const LIST_MAX: u32 = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    repository: Option<String>,
}

pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Query(ListQuery { repository }): Query<ListQuery>,
) -> Result<Json<Vec<BuildView>>, ControlError> {
    let name: Option<RepoName> = repository
        .map(|name| name.parse().map_err(bad))
        .transpose()?;
    if let Some(name) = &name
        && control.repositories.repository(name).await?.is_none()
    {
        return Err(ControlError::Missing(format!("repository {name}")));
    }
    let builds = control.builds.builds(name.as_ref(), LIST_MAX).await?;
    Ok(Json(builds.into_iter().map(view).collect()))
}

pub(super) async fn show(
    State(control): State<Arc<Control>>,
    path: Path<BuildPath>,
) -> Result<Json<BuildDetail>, ControlError> {
    let build = control.build(path).await?;
    let jobs = control.builds.jobs(build.id).await?;
    let mut views = Vec::with_capacity(jobs.len());
    for job in &jobs {
        let reports = control.builds.steps(job.id).await?;
        let reports = reports.into_iter();
        let known = reports.map(|record| (record.step, record.report)).collect();
        views.push(control.job(&build, job, &jobs, &known));
    }
    let diagnostics = build.diagnostics.clone();
    Ok(Json(BuildDetail {
        build: view(build),
        diagnostics,
        jobs: views,
    }))
}

/// The names alone: who reads a log needs no more, and receipts are long.
pub(super) async fn steps(
    State(control): State<Arc<Control>>,
    path: Path<BuildPath>,
) -> Result<Json<Vec<StepName>>, ControlError> {
    let build = control.build(path).await?;
    let jobs = control.builds.jobs(build.id).await?;
    let steps = jobs.into_iter().flat_map(|job| job.steps);
    Ok(Json(steps.map(|step| name(step.spec)).collect()))
}

pub(super) fn name(step: StepSpec) -> StepName {
    StepName {
        index: step.index.0,
        name: step.name,
    }
}

pub(super) async fn cancel(
    State(control): State<Arc<Control>>,
    path: Path<BuildPath>,
) -> Result<Json<Cancelled>, ControlError> {
    let build = control.build(path).await?;
    if build.state.is_over() {
        let (number, state) = (build.number, build.state.name());
        return Err(ControlError::Taken(format!(
            "build {number} is over: {state}"
        )));
    }
    // The scheduler sees the wish in the store and tells the runners.
    let waiting = waiting(&control.builds.jobs(build.id).await?);
    let told = control.queue.cancel(build.id, control.clock.now()).await?;
    tracing::info!(target: "audit", build = %build.id, "cancelled a build");
    let still = control.builds.jobs(build.id).await?;
    let build = control.builds.build(build.id).await?.unwrap_or(build);
    Ok(Json(Cancelled {
        build: view(build),
        ended: waiting.saturating_sub(self::waiting(&still)),
        told: told.len(),
        is_final_left: still.iter().any(is_final_left),
    }))
}

/// The jobs that no attempt has and that are not over.
fn waiting(jobs: &[Job]) -> usize {
    let is_waiting = |state: &JobState| {
        matches!(
            state,
            JobState::Waiting | JobState::Paused | JobState::Queued { .. }
        )
    };
    jobs.iter().filter(|job| is_waiting(&job.state)).count()
}

fn is_final_left(job: &Job) -> bool {
    let is_over = matches!(job.state, JobState::Done { .. });
    let is_stopped = job.state.live().is_some_and(|live| live.is_cancel_wanted);
    job.is_final && !is_over && !is_stopped
}

pub(super) fn view(build: Build) -> BuildView {
    let Build {
        id,
        number,
        push,
        trust: _,
        selected,
        diagnostics: _,
        state,
        created_at,
        finished_at,
    } = build;
    let Push {
        repository,
        reference,
        commit,
        received_at: _,
    } = push;
    BuildView {
        repository: repository.to_string(),
        number,
        id: id.to_string(),
        state: state.name().to_owned(),
        reference,
        commit: commit.to_string(),
        selected,
        created_at: created_at.to_string(),
        finished_at: finished_at.map(|at| at.to_string()),
    }
}

impl Control {
    fn job(
        &self,
        build: &Build,
        job: &Job,
        all: &[Job],
        known: &BTreeMap<StepIndex, StepReport>,
    ) -> JobView {
        let (state, why) = match &job.state {
            JobState::Waiting => ("queued", Some(words::why_waiting(job, all))),
            JobState::Paused => ("paused", Some(words::why_paused(build, job))),
            JobState::Queued { .. } => ("queued", Some(self.why_queued(job))),
            JobState::Leased(live) => {
                let is_offered = live.started_at.is_none();
                let offered = || "it was offered to a runner".to_owned();
                let stopped = || "its runner is told to stop it".to_owned();
                let why = live.is_cancel_wanted.then(stopped);
                if is_offered {
                    ("queued", why.or_else(|| Some(offered())))
                } else {
                    ("running", why)
                }
            }
            JobState::Done { end, at: _ } => (end.name(), None),
        };
        let steps = job.steps.iter();
        let steps = steps.map(|step| step_view(step, known.get(&step.spec.index), all));
        JobView {
            ordinal: job.ordinal,
            state: state.to_owned(),
            why,
            runner: job.state.live().map(|live| live.runner.to_string()),
            runs_on: job.runs_on.clone(),
            steps: steps.collect(),
        }
    }

    fn why_queued(&self, job: &Job) -> String {
        let reasons = self.reasons.borrow();
        let reason = reasons.get(&job.id).cloned();
        reason.unwrap_or_else(|| "it is about to be handed to a runner".to_owned())
    }
}

/// A step where it stands, with what its runner said of it if that still counts: what an earlier try left behind says
/// nothing about a step that is to be tried again.
fn step_view(step: &JobStep, report: Option<&StepReport>, all: &[Job]) -> StepView {
    let mut view = StepView {
        index: step.spec.index.0,
        name: step.spec.name.clone(),
        state: words::step_state(step.state).to_owned(),
        exit: None,
        why: words::why_step(step, all),
        blame: None,
        started_at: None,
        finished_at: None,
        took_ms: None,
        receipt: None,
    };
    let counts = match step.state {
        StepState::Waiting => false,
        StepState::Running => true,
        StepState::Ended(end) => end.was_tried(),
    };
    match report.filter(|_| counts) {
        None => {}
        Some(StepReport::Running { since }) => view.started_at = Some(since.to_string()),
        Some(StepReport::Done {
            since,
            at,
            result,
            receipt,
        }) => {
            put_result(&mut view, result);
            view.started_at = since.map(|since| since.to_string());
            view.finished_at = Some(at.to_string());
            view.took_ms = since.map(|since| took_ms(since, *at));
            // It was JSON when it was stored.
            view.receipt = serde_json::from_str(receipt).ok();
        }
    }
    view
}

fn took_ms(since: Timestamp, at: Timestamp) -> u64 {
    // A runner's clock may have been set back meanwhile.
    u64::try_from(at.duration_since(since).as_millis()).unwrap_or(0)
}

/// Adds what the runner said of an end. How the step ended is not the runner's alone to say: one that was told to stop it
/// may have been lost instead.
fn put_result(view: &mut StepView, result: &StepResult) {
    match result {
        StepResult::Failed { exit, why } => {
            view.exit = *exit;
            view.why.get_or_insert_with(|| why.clone());
        }
        StepResult::Error { blame, why } => {
            let blame = match blame {
                Blame::User => "user",
                Blame::Infrastructure => "infrastructure",
                Blame::Ours => "ours",
            };
            view.blame = Some(blame.to_owned());
            view.why.get_or_insert_with(|| why.clone());
        }
        StepResult::Passed | StepResult::Cancelled | StepResult::NotRun => {}
    }
}
