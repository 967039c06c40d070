//! The course of a build: loaded from its rows, and what an event changed of it stored.

use cofferdam_pipeline::progress::{JobRecord, JobState, Outline, Progress, Record, StepState};
use cofferdam_protocol::{BuildId, JobId, StepIndex};
use jiff::Timestamp;
use serde::Deserialize;
use sqlx::SqliteConnection;

use super::stored::{JOB_STATES, Standing, Stopping, StoredOutline, job_state_name};
use super::{attempts, live};
use crate::domain::{BadTransition, Course, Happening, JobCourse, JobEnd};
use crate::store::sqlite::fields::{BadRow, Fields, time_text};
use crate::store::sqlite::reports;
use crate::store::sqlite::writer::Failure;

/// A course, and what the rows say: that may lack the last consequences, which are stored with the next change.
pub(in super::super) struct Stored {
    build: BuildId,
    record: Record,
    pub(in super::super) course: Course,
}

/// A step of `standings`.
#[derive(Deserialize)]
struct StandingStep {
    step: u16,
    state: Standing,
}

/// Loads the course of a build; `None` if it is unknown or was never planned.
pub(in super::super) async fn load(
    connection: &mut SqliteConnection,
    build: BuildId,
) -> Result<Option<Stored>, Failure> {
    let found = sqlx::query(
        "SELECT outline, is_cancelled FROM builds WHERE id = ? AND outline IS NOT NULL",
    )
    .bind(&build.to_bytes()[..])
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = found else { return Ok(None) };
    let row = Fields::of("builds", &row);
    let outline: StoredOutline = row.json("outline")?;
    let is_cancelled = row.plain("is_cancelled")?;
    let rows = sqlx::query(
        "SELECT id, state, stopping, ended_at, standings, tries, losses,
            attempt, fence, runner, lease_until, started_at, is_cancel_wanted
         FROM job_states WHERE build = ? ORDER BY ordinal",
    )
    .bind(&build.to_bytes()[..])
    .fetch_all(connection)
    .await?;
    let jobs = rows.iter().map(|row| job(Fields::of("jobs", row)));
    let (records, jobs): (Vec<JobRecord>, Vec<JobCourse>) = jobs
        .collect::<Result<Vec<_>, BadRow>>()?
        .into_iter()
        .unzip();
    let record = Record {
        jobs: records,
        is_cancelled,
    };
    let (progress, _) = Progress::restore(Outline::from(outline), record.clone())?;
    Ok(Some(Stored {
        build,
        record,
        course: Course::restored(progress, jobs),
    }))
}

fn job(row: Fields<'_>) -> Result<(JobRecord, JobCourse), BadRow> {
    let steps: Vec<StandingStep> = row.json("standings")?;
    let indexes = steps.iter().map(|step| StepIndex(step.step)).collect();
    let record = JobRecord {
        state: state(row)?,
        steps: steps.into_iter().map(|step| step.state.into()).collect(),
    };
    let course = JobCourse {
        id: JobId::from_bytes(row.bytes("id")?),
        steps: indexes,
        tries: row.plain("tries")?,
        losses: row.plain("losses")?,
        live: live(row)?,
        ended_at: row.time_maybe("ended_at")?,
    };
    Ok((record, course))
}

/// Where a job stands in its plan.
pub(super) fn state(row: Fields<'_>) -> Result<JobState, BadRow> {
    let state = row.one_of("state", &JOB_STATES, job_state_name)?;
    let stopping = row.json_maybe::<Stopping>("stopping")?;
    match (state, stopping) {
        (JobState::Running { .. }, stopping) => Ok(JobState::Running {
            stopping: stopping.map(Into::into),
        }),
        (state, None) => Ok(state),
        (_, Some(_)) => Err(row.bad("stopping", "the job does not run")),
    }
}

/// Lets a job take a happening, and stores everything that follows from it. Stores nothing if the job
/// cannot take it.
pub(in super::super) async fn take(
    connection: &mut SqliteConnection,
    build: BuildId,
    job: JobId,
    happening: Happening,
    at: Timestamp,
) -> Result<Result<(), BadTransition>, Failure> {
    let before = load(connection, build).await?;
    let before = before.ok_or("the job's build has no plan")?;
    let mut after = before.course.clone();
    let ending = match after.take(job, happening, at) {
        Ok(ending) => ending,
        Err(bad) => return Ok(Err(bad)),
    };
    if let Some(ending) = ending {
        let held = before.course.job(job).and_then(|job| job.live);
        let held = held.ok_or("the job has no live attempt")?;
        let undecided = after.steps_ended_since(&before.course, job);
        reports::close_steps(connection, (held.id, job), &undecided, ending).await?;
        attempts::end(connection, held.id, ending.by).await?;
    }
    save(connection, &before, &after).await?;
    Ok(Ok(()))
}

/// Stores what differs between two states of a build. Attempts that ended are stored already.
pub(in super::super) async fn save(
    connection: &mut SqliteConnection,
    before: &Stored,
    after: &Course,
) -> Result<(), Failure> {
    let record = after.progress().record();
    let jobs = before.record.jobs.iter().zip(&record.jobs);
    let courses = before.course.jobs().iter().zip(after.jobs());
    for ((old, new), (was, is)) in jobs.zip(courses) {
        if old.state != new.state || was.ended_at != is.ended_at {
            save_job(connection, is, new.state).await?;
        }
        for (place, (old, new)) in (0..).zip(old.steps.iter().zip(&new.steps)) {
            if old != new {
                save_step(connection, is.id, place, *new).await?;
            }
        }
        match (&was.live, &is.live) {
            (Some(old), Some(new)) if old != new => attempts::update(connection, new).await?,
            (None, Some(new)) => attempts::insert(connection, is.id, new).await?,
            _ => {}
        }
    }
    sqlx::query("UPDATE builds SET state = ?, finished_at = ?, is_cancelled = ? WHERE id = ?")
        .bind(after.state().name())
        .bind(after.finished_at().map(time_text))
        .bind(record.is_cancelled)
        .bind(&before.build.to_bytes()[..])
        .execute(connection)
        .await?;
    Ok(())
}

async fn save_job(
    connection: &mut SqliteConnection,
    job: &JobCourse,
    state: JobState,
) -> Result<(), Failure> {
    let stopping = match state {
        JobState::Running { stopping } => stopping.map(Stopping::from),
        _ => None,
    };
    let stopping = stopping.map(|stopping| serde_json::to_string(&stopping));
    sqlx::query("UPDATE jobs SET state = ?, stopping = ?, ended_at = ? WHERE id = ?")
        .bind(job_state_name(state))
        .bind(stopping.transpose()?)
        .bind(job.ended_at.map(time_text))
        .bind(&job.id.to_bytes()[..])
        .execute(connection)
        .await?;
    Ok(())
}

async fn save_step(
    connection: &mut SqliteConnection,
    job: JobId,
    place: u32,
    state: StepState,
) -> Result<(), Failure> {
    sqlx::query("UPDATE steps SET standing = ? WHERE job = ? AND place = ?")
        .bind(serde_json::to_string(&Standing::from(state))?)
        .bind(&job.to_bytes()[..])
        .bind(place)
        .execute(connection)
        .await?;
    Ok(())
}

/// The outline of a new build, as it is stored.
pub(in super::super) fn outline_text(course: &Course) -> Result<String, Failure> {
    let outline = StoredOutline::from(course.progress().outline());
    Ok(serde_json::to_string(&outline)?)
}

/// The first state of a job and of its steps, as they are stored.
pub(in super::super) struct FirstState {
    pub(in super::super) state: &'static str,
    pub(in super::super) ended_at: Option<Timestamp>,
    pub(in super::super) standings: Vec<String>,
}

/// How each job of a new build stands.
pub(in super::super) fn first_states(course: &Course) -> Result<Vec<FirstState>, Failure> {
    let jobs = course.progress().record().jobs.iter().zip(course.jobs());
    let first = jobs.map(|(record, job)| {
        let steps = record.steps.iter();
        let standings = steps.map(|step| serde_json::to_string(&Standing::from(*step)));
        Ok(FirstState {
            state: job_state_name(record.state),
            ended_at: job.ended_at,
            standings: standings.collect::<Result<_, _>>()?,
        })
    });
    first.collect()
}

/// How a job ended whose steps stand so.
pub(super) fn end_of(steps: &[crate::domain::JobStep]) -> JobEnd {
    JobEnd::of(steps.iter().filter_map(|step| step.state.end()))
}
