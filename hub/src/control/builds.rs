//! Builds: list, show, cancel.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use cofferdam_protocol::StepIndex;
use cofferdam_protocol::job_spec::StepSpec;
use cofferdam_protocol::report::{Blame, JobResult, StepResult};
use jiff::Timestamp;
use serde::Deserialize;

use super::view::{BuildDetail, BuildView, Cancelled, JobView, StepName, StepView};
use super::{BuildPath, Control, ControlError, bad};
use crate::domain::{Attempt, Build, Job, JobState, Push, RepoName, StepState};

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
        let records = control.builds.steps(job.id).await?;
        let known = records
            .into_iter()
            .map(|record| (record.step, record.state));
        views.push(control.job(job, &jobs, &known.collect()));
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
    let name = |step: StepSpec| StepName {
        index: step.index.0,
        name: step.name,
    };
    Ok(Json(steps.map(name).collect()))
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
    }))
}

fn waiting(jobs: &[Job]) -> usize {
    let is_queued = |job: &&Job| matches!(job.state, JobState::Queued { .. });
    jobs.iter().filter(is_queued).count()
}

fn view(build: Build) -> BuildView {
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
    fn job(&self, job: &Job, all: &[Job], known: &BTreeMap<StepIndex, StepState>) -> JobView {
        let (state, why, attempt) = match &job.state {
            JobState::Queued { .. } => ("queued", Some(self.why_queued(job, all)), None),
            JobState::Leased(attempt) => match attempt.started_at {
                None => (
                    "queued",
                    Some("it was offered to a runner".to_owned()),
                    Some(attempt),
                ),
                Some(_) => ("running", None, Some(attempt)),
            },
            JobState::Done { result, at: _ } => (result_name(*result), None, None),
            JobState::NotRun => ("not-run", None, None),
        };
        let pending = match &job.state {
            JobState::Queued { .. } | JobState::Leased(_) => "queued",
            JobState::Done { .. } | JobState::NotRun => "not-run",
        };
        // What an earlier try left behind says nothing about a job that is queued again.
        let known = |step: &StepSpec| match &job.state {
            JobState::Queued { .. } => None,
            _ => known.get(&step.index),
        };
        let steps = job
            .steps
            .iter()
            .map(|step| step_view(step, known(step), pending));
        JobView {
            ordinal: job.ordinal,
            state: state.to_owned(),
            why,
            runner: attempt.map(|attempt: &Attempt| attempt.runner.to_string()),
            runs_on: job.runs_on.clone(),
            steps: steps.collect(),
        }
    }

    fn why_queued(&self, job: &Job, all: &[Job]) -> String {
        let is_passed = |ordinal: &u32| {
            all.iter().any(|other| {
                let passed = JobResult::Passed;
                let is_done =
                    matches!(other.state, JobState::Done { result, .. } if result == passed);
                other.ordinal == *ordinal && is_done
            })
        };
        let missing: Vec<String> = job
            .needs
            .iter()
            .filter(|ordinal| !is_passed(ordinal))
            .map(|ordinal| (ordinal + 1).to_string())
            .collect();
        if !missing.is_empty() {
            return format!("it waits for job {}", missing.join(", "));
        }
        let reasons = self.reasons.borrow();
        let reason = reasons.get(&job.id).cloned();
        reason.unwrap_or_else(|| "it is about to be handed to a runner".to_owned())
    }
}

fn step_view(spec: &StepSpec, known: Option<&StepState>, pending: &str) -> StepView {
    let mut view = StepView {
        index: spec.index.0,
        name: spec.name.clone(),
        state: pending.to_owned(),
        exit: None,
        why: None,
        blame: None,
        started_at: None,
        finished_at: None,
        took_ms: None,
        receipt: None,
    };
    match known {
        None => {}
        Some(StepState::Running { since }) => {
            "running".clone_into(&mut view.state);
            view.started_at = Some(since.to_string());
        }
        Some(StepState::Done {
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

fn put_result(view: &mut StepView, result: &StepResult) {
    let state = match result {
        StepResult::Passed => "passed",
        StepResult::Failed { exit, why } => {
            view.exit = *exit;
            view.why = Some(why.clone());
            "failed"
        }
        StepResult::Error { blame, why } => {
            let blame = match blame {
                Blame::User => "user",
                Blame::Infrastructure => "infrastructure",
                Blame::Ours => "ours",
            };
            view.blame = Some(blame.to_owned());
            view.why = Some(why.clone());
            "error"
        }
        StepResult::Cancelled => "cancelled",
        StepResult::NotRun => "not-run",
    };
    state.clone_into(&mut view.state);
}

fn result_name(result: JobResult) -> &'static str {
    match result {
        JobResult::Passed => "passed",
        JobResult::Failed => "failed",
        JobResult::Error => "error",
        JobResult::Cancelled => "cancelled",
    }
}
