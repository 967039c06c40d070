//! Jobs: their state read from what it follows from. How it changes is [`mod@course`]'s.

pub(super) mod attempts;
pub(super) mod course;
mod stored;

use cofferdam_pipeline::progress::JobState as PlanState;
use cofferdam_protocol::job_spec::StepSpec;
use cofferdam_protocol::{AttemptId, BuildId, Fence, JobId, RunnerId};
use jiff::Timestamp;
use serde::Deserialize;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use self::stored::Standing;
use super::fields::{BadRow, Fields, time_text};
use super::writer::Failure;
use crate::domain::{Attempt, Job, JobState, JobStep};

/// The jobs of a build, by ordinal.
pub(super) async fn of_build(
    connection: &mut SqliteConnection,
    build: BuildId,
) -> Result<Vec<Job>, Failure> {
    let rows = sqlx::query("SELECT * FROM job_states WHERE build = ? ORDER BY ordinal")
        .bind(&build.to_bytes()[..])
        .fetch_all(connection)
        .await?;
    jobs(&rows)
}

/// The jobs to which nothing is missing but a runner.
pub(super) async fn ready(connection: &mut SqliteConnection) -> Result<Vec<Job>, Failure> {
    let rows =
        sqlx::query("SELECT * FROM job_states WHERE state = 'ready' ORDER BY place, ordinal")
            .fetch_all(connection)
            .await?;
    jobs(&rows)
}

/// The jobs that are leased now.
pub(super) async fn leased(connection: &mut SqliteConnection) -> Result<Vec<Job>, Failure> {
    let rows =
        sqlx::query("SELECT * FROM job_states WHERE attempt IS NOT NULL ORDER BY place, ordinal")
            .fetch_all(connection)
            .await?;
    jobs(&rows)
}

/// The jobs whose lease is over.
pub(super) async fn overdue(
    connection: &mut SqliteConnection,
    now: Timestamp,
) -> Result<Vec<Job>, Failure> {
    let rows = sqlx::query(
        "SELECT * FROM job_states
         WHERE attempt IS NOT NULL AND lease_until <= ? ORDER BY place, ordinal",
    )
    .bind(time_text(now))
    .fetch_all(connection)
    .await?;
    jobs(&rows)
}

/// The job of a live attempt.
pub(super) async fn of_attempt(
    connection: &mut SqliteConnection,
    attempt: AttemptId,
    fence: Fence,
) -> Result<Option<(Job, Attempt)>, Failure> {
    let found = sqlx::query("SELECT * FROM job_states WHERE attempt = ?")
        .bind(&attempt.to_bytes()[..])
        .fetch_optional(connection)
        .await?;
    let job = found.map(|row| job(Fields::of("jobs", &row)));
    Ok(job.transpose()?.and_then(|job| match job.state {
        JobState::Leased(live) if live.fence == fence => Some((job, live)),
        _ => None,
    }))
}

/// The build that a job belongs to.
pub(super) async fn build_of(
    connection: &mut SqliteConnection,
    job: JobId,
) -> Result<Option<BuildId>, Failure> {
    let found = sqlx::query("SELECT build FROM jobs WHERE id = ?")
        .bind(&job.to_bytes()[..])
        .fetch_optional(connection)
        .await?;
    let build = found.map(|row| Fields::of("jobs", &row).bytes("build"));
    Ok(build.transpose()?.map(BuildId::from_bytes))
}

fn jobs(rows: &[SqliteRow]) -> Result<Vec<Job>, Failure> {
    let jobs = rows.iter().map(|row| job(Fields::of("jobs", row)));
    Ok(jobs.collect::<Result<_, _>>()?)
}

/// A step of `steps`.
#[derive(Deserialize)]
struct StoredStep {
    spec: StepSpec,
    skip: Option<String>,
    state: Standing,
}

fn job(row: Fields<'_>) -> Result<Job, BadRow> {
    let steps: Vec<StoredStep> = row.json("steps")?;
    let step = |StoredStep { spec, skip, state }| JobStep {
        spec,
        skip,
        state: state.into(),
    };
    let steps: Vec<JobStep> = steps.into_iter().map(step).collect();
    Ok(Job {
        id: JobId::from_bytes(row.bytes("id")?),
        build: BuildId::from_bytes(row.bytes("build")?),
        ordinal: row.plain("ordinal")?,
        needs: row.json("needs")?,
        is_final: row.plain("is_final")?,
        runs_on: row.json("runs_on")?,
        state: state(row, &steps)?,
        steps,
    })
}

fn state(row: Fields<'_>, steps: &[JobStep]) -> Result<JobState, BadRow> {
    match (course::state(row)?, live(row)?) {
        (PlanState::Running { .. } | PlanState::Ended, Some(attempt)) => {
            Ok(JobState::Leased(attempt))
        }
        (PlanState::Waiting, None) => Ok(JobState::Waiting),
        (PlanState::Paused, None) => Ok(JobState::Paused),
        (PlanState::Ready, None) => Ok(JobState::Queued {
            attempts: row.plain("tries")?,
        }),
        (PlanState::Ended, None) => Ok(JobState::Done {
            end: course::end_of(steps),
            at: row.time("ended_at")?,
        }),
        (PlanState::Running { .. }, None) => {
            Err(row.bad("state", "the job runs, yet no attempt is live"))
        }
        (_, Some(_)) => Err(row.bad("state", "the job does not run, yet an attempt is live")),
    }
}

/// The attempt that a job has.
fn live(row: Fields<'_>) -> Result<Option<Attempt>, BadRow> {
    let Some(id) = row.bytes_maybe("attempt")? else {
        return Ok(None);
    };
    Ok(Some(Attempt {
        id: AttemptId::from_bytes(id),
        fence: Fence(row.plain("fence")?),
        runner: RunnerId::from_bytes(row.bytes("runner")?),
        lease_until: row.time("lease_until")?,
        started_at: row.time_maybe("started_at")?,
        is_cancel_wanted: row.plain("is_cancel_wanted")?,
    }))
}
