//! Steps that wait for a person: started, or declined.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use super::builds::{name, view};
use super::view::{AnswerStep, Answered};
use super::{BuildPath, Control, ControlError, words};
use crate::domain::{Build, Job, JobState, JobStep};
use crate::store::Answer;

pub(super) async fn start(
    State(control): State<Arc<Control>>,
    path: Path<BuildPath>,
    Json(asked): Json<AnswerStep>,
) -> Result<Json<Answered>, ControlError> {
    control.answer(path, &asked, Answer::Start).await
}

pub(super) async fn decline(
    State(control): State<Arc<Control>>,
    path: Path<BuildPath>,
    Json(asked): Json<AnswerStep>,
) -> Result<Json<Answered>, ControlError> {
    control.answer(path, &asked, Answer::Decline).await
}

impl Control {
    async fn answer(
        &self,
        path: Path<BuildPath>,
        asked: &AnswerStep,
        answer: Answer,
    ) -> Result<Json<Answered>, ControlError> {
        let build = self.build(path).await?;
        let jobs = self.builds.jobs(build.id).await?;
        let (job, step) = find(&build, &jobs, &asked.step)?;
        let called = words::name(step);
        let waits_not = || ControlError::Taken(format!("{called} does not wait for a person"));
        let is_gate = job.steps.first() == Some(step) && job.state == JobState::Paused;
        if !is_gate {
            return Err(waits_not());
        }
        let now = self.clock.now();
        if !self.queue.answer(build.id, job.id, answer, now).await? {
            // Somebody else was faster, or the build was cancelled.
            return Err(waits_not());
        }
        let step = name(step.spec.clone());
        tracing::info!(target: "audit", build = %build.id, step = step.index, ?answer, "answered for a manual step");
        let build = self.builds.build(build.id).await?.unwrap_or(build);
        Ok(Json(Answered {
            build: view(build),
            step,
        }))
    }
}

/// The step that is called so: by its number, else by its name. Of several with this name the one that waits.
fn find<'a>(
    build: &Build,
    jobs: &'a [Job],
    called: &str,
) -> Result<(&'a Job, &'a JobStep), ControlError> {
    let all = jobs
        .iter()
        .flat_map(|job| job.steps.iter().map(move |step| (job, step)));
    let number: Option<u16> = called.parse().ok();
    let index = number.and_then(|number| number.checked_sub(1));
    let mut numbered = all
        .clone()
        .filter(|(_, step)| Some(step.spec.index.0) == index);
    if let Some(found) = numbered.next() {
        return Ok(found);
    }
    let named: Vec<_> = all.filter(|(_, step)| step.spec.name == called).collect();
    let waiting: Vec<_> = named
        .iter()
        .filter(|(job, _)| job.state == JobState::Paused)
        .collect();
    match (named[..].first(), &waiting[..]) {
        (_, [only]) => Ok(**only),
        (Some(first), []) => Ok(*first),
        (Some(_), _) => Err(ControlError::Taken(format!(
            "several steps called {called} wait for a person; say which by its number"
        ))),
        (None, _) => Err(ControlError::Missing(format!(
            "step {called} in build {}",
            build.number
        ))),
    }
}
