//! Attempts: made with a lease, changed while they live, and ended.

use cofferdam_protocol::{AttemptId, JobId};
use sqlx::SqliteConnection;

use crate::domain::{Attempt, AttemptEnd};
use crate::store::sqlite::fields::{integer, time_text};
use crate::store::sqlite::writer::Failure;

/// Stores a new attempt.
pub(super) async fn insert(
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
pub(in super::super) async fn update(
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

/// Stores how an attempt ended.
pub(super) async fn end(
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
