//! Jobs: their state read from what it follows from, and written back when an event changed it.

use cofferdam_protocol::report::JobResult;
use cofferdam_protocol::{AttemptId, BuildId, Fence, JobId, RunnerId};
use jiff::Timestamp;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::fields::{BadRow, Fields, integer, time_text};
use super::reports;
use super::writer::Failure;
use crate::domain::{
    Attempt, AttemptEnd, BadTransition, Job, JobGraph, JobNode, JobState, JobStateEvent,
};

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

/// The jobs that could start now.
pub(super) async fn ready(connection: &mut SqliteConnection) -> Result<Vec<Job>, Failure> {
    let rows = sqlx::query(
        "SELECT * FROM job_states AS job
         WHERE outcome IS NULL AND attempt IS NULL AND NOT EXISTS (
            SELECT 1 FROM json_each(job.needs) AS need
            JOIN jobs AS needed ON needed.build = job.build AND needed.ordinal = need.value
            WHERE needed.outcome IS NOT 'passed')
         ORDER BY place, ordinal",
    )
    .fetch_all(connection)
    .await?;
    jobs(&rows)
}

/// The jobs that are leased now.
pub(super) async fn leased(connection: &mut SqliteConnection) -> Result<Vec<Job>, Failure> {
    let rows = sqlx::query(
        "SELECT * FROM job_states
         WHERE outcome IS NULL AND attempt IS NOT NULL ORDER BY place, ordinal",
    )
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

/// All jobs of a build, as far as they concern each other.
pub(super) async fn graph(
    connection: &mut SqliteConnection,
    build: BuildId,
) -> Result<JobGraph, Failure> {
    let rows = sqlx::query(
        "SELECT id, needs, outcome, ended_at, tries,
            attempt, fence, runner, lease_until, started_at, is_cancel_wanted
         FROM job_states WHERE build = ? ORDER BY ordinal",
    )
    .bind(&build.to_bytes()[..])
    .fetch_all(connection)
    .await?;
    let nodes = rows.iter().map(|row| {
        let row = Fields::of("jobs", row);
        Ok(JobNode {
            id: JobId::from_bytes(row.bytes("id")?),
            needs: row.json("needs")?,
            state: state(row)?,
        })
    });
    Ok(JobGraph::new(nodes.collect::<Result<_, BadRow>>()?)?)
}

/// Lets a job take an event, and stores everything that follows from it. Stores nothing if the job
/// cannot take it.
pub(super) async fn take(
    connection: &mut SqliteConnection,
    build: BuildId,
    job: JobId,
    event: JobStateEvent,
) -> Result<Result<(), BadTransition>, Failure> {
    let before = graph(connection, build).await?;
    let mut after = before.clone();
    if let Err(bad) = after.take(job, event) {
        return Ok(Err(bad));
    }
    if let Some(ending) = event.ending() {
        let live = live_attempt(&before, job).ok_or("the job has no live attempt")?;
        reports::close_steps(connection, live, job, ending).await?;
        end_attempt(connection, live, ending.by).await?;
    }
    save(connection, build, &before, &after).await?;
    Ok(Ok(()))
}

fn live_attempt(graph: &JobGraph, job: JobId) -> Option<AttemptId> {
    let node = graph.nodes().iter().find(|node| node.id == job)?;
    match &node.state {
        JobState::Leased(attempt) => Some(attempt.id),
        JobState::Queued { .. } | JobState::Done { .. } | JobState::NotRun => None,
    }
}

/// Stores what differs between two states of a build.
pub(super) async fn save(
    connection: &mut SqliteConnection,
    build: BuildId,
    before: &JobGraph,
    after: &JobGraph,
) -> Result<(), Failure> {
    for (old, new) in before.nodes().iter().zip(after.nodes()) {
        if old.state != new.state {
            save_job(connection, new, &old.state).await?;
        }
    }
    let state = after.state();
    sqlx::query("UPDATE builds SET state = ?1, finished_at = ?2 WHERE id = ?3 AND state <> ?1")
        .bind(state.name())
        .bind(after.finished_at().map(time_text))
        .bind(&build.to_bytes()[..])
        .execute(connection)
        .await?;
    Ok(())
}

async fn save_job(
    connection: &mut SqliteConnection,
    new: &JobNode,
    old: &JobState,
) -> Result<(), Failure> {
    match (&new.state, old) {
        (JobState::Leased(attempt), JobState::Leased(_)) => {
            update_attempt(connection, attempt).await
        }
        (JobState::Leased(attempt), _) => insert_attempt(connection, new.id, attempt).await,
        // Whoever ended the attempt has stored that: the job has none any more.
        (JobState::Queued { .. }, _) => Ok(()),
        (JobState::Done { result, at }, _) => {
            save_outcome(connection, new.id, outcome_name(Some(*result)), Some(*at)).await
        }
        (JobState::NotRun, _) => save_outcome(connection, new.id, outcome_name(None), None).await,
    }
}

async fn insert_attempt(
    connection: &mut SqliteConnection,
    job: JobId,
    attempt: &Attempt,
) -> Result<(), Failure> {
    let Attempt {
        id,
        fence,
        runner,
        lease_until,
        started_at,
        is_cancel_wanted,
    } = attempt;
    sqlx::query(
        "INSERT INTO attempts
            (id, job, fence, runner, lease_until, started_at, is_cancel_wanted, log_bytes)
         VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
    )
    .bind(&id.to_bytes()[..])
    .bind(&job.to_bytes()[..])
    .bind(integer(fence.0)?)
    .bind(&runner.to_bytes()[..])
    .bind(time_text(*lease_until))
    .bind(started_at.map(time_text))
    .bind(is_cancel_wanted)
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores what changed of a live attempt.
pub(super) async fn update_attempt(
    connection: &mut SqliteConnection,
    attempt: &Attempt,
) -> Result<(), Failure> {
    let Attempt {
        id,
        fence: _,  // never changes
        runner: _, // never changes
        lease_until,
        started_at,
        is_cancel_wanted,
    } = attempt;
    sqlx::query(
        "UPDATE attempts SET lease_until = ?, started_at = ?, is_cancel_wanted = ? WHERE id = ?",
    )
    .bind(time_text(*lease_until))
    .bind(started_at.map(time_text))
    .bind(is_cancel_wanted)
    .bind(&id.to_bytes()[..])
    .execute(connection)
    .await?;
    Ok(())
}

async fn end_attempt(
    connection: &mut SqliteConnection,
    id: AttemptId,
    end: AttemptEnd,
) -> Result<(), Failure> {
    sqlx::query("UPDATE attempts SET ended_by = ? WHERE id = ?")
        .bind(end.name())
        .bind(&id.to_bytes()[..])
        .execute(connection)
        .await?;
    Ok(())
}

async fn save_outcome(
    connection: &mut SqliteConnection,
    job: JobId,
    outcome: &'static str,
    at: Option<Timestamp>,
) -> Result<(), Failure> {
    sqlx::query("UPDATE jobs SET outcome = ?, ended_at = ? WHERE id = ?")
        .bind(outcome)
        .bind(at.map(time_text))
        .bind(&job.to_bytes()[..])
        .execute(connection)
        .await?;
    Ok(())
}

fn jobs(rows: &[SqliteRow]) -> Result<Vec<Job>, Failure> {
    let jobs = rows.iter().map(|row| job(Fields::of("jobs", row)));
    Ok(jobs.collect::<Result<_, _>>()?)
}

fn job(row: Fields<'_>) -> Result<Job, BadRow> {
    Ok(Job {
        id: JobId::from_bytes(row.bytes("id")?),
        build: BuildId::from_bytes(row.bytes("build")?),
        ordinal: row.plain("ordinal")?,
        needs: row.json("needs")?,
        runs_on: row.json("runs_on")?,
        steps: row.json("steps")?,
        state: state(row)?,
    })
}

fn state(row: Fields<'_>) -> Result<JobState, BadRow> {
    let attempt = row.bytes_maybe("attempt")?.map(AttemptId::from_bytes);
    let outcome = row.one_of_maybe("outcome", &OUTCOMES, outcome_name)?;
    match (outcome, attempt) {
        (None, None) => Ok(JobState::Queued {
            attempts: row.plain("tries")?,
        }),
        (None, Some(id)) => Ok(JobState::Leased(Attempt {
            id,
            fence: Fence(row.plain("fence")?),
            runner: RunnerId::from_bytes(row.bytes("runner")?),
            lease_until: row.time("lease_until")?,
            started_at: row.time_maybe("started_at")?,
            is_cancel_wanted: row.plain("is_cancel_wanted")?,
        })),
        (Some(Some(result)), None) => Ok(JobState::Done {
            result,
            at: row.time("ended_at")?,
        }),
        (Some(None), None) => Ok(JobState::NotRun),
        (Some(_), Some(_)) => Err(row.bad("outcome", "the job is over, yet an attempt is live")),
    }
}

/// How a job can be over; `None` stands for one that was not run.
const OUTCOMES: [Option<JobResult>; 5] = [
    Some(JobResult::Passed),
    Some(JobResult::Failed),
    Some(JobResult::Error),
    Some(JobResult::Cancelled),
    None,
];

const fn outcome_name(outcome: Option<JobResult>) -> &'static str {
    match outcome {
        Some(JobResult::Passed) => "passed",
        Some(JobResult::Failed) => "failed",
        Some(JobResult::Error) => "error",
        Some(JobResult::Cancelled) => "cancelled",
        None => "not run",
    }
}
