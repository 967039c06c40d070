//! Runners and their tokens.

use async_trait::async_trait;
use cofferdam_protocol::RunnerId;
use cofferdam_protocol::proof::PublicKey;
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::fields::{BadRow, Fields, time_text};
use super::writer::Failure;
use super::{SqliteStore, failed, jobs, never, queue};
use crate::domain::{Job, JobState, JoinToken, Runner, RunnerState, StepClose};
use crate::store::{Joined, Newcomer, RunnerStore, StoreError};

#[async_trait]
impl RunnerStore for SqliteStore {
    async fn add_token(&self, token: &JoinToken) -> Result<(), StoreError> {
        let token = token.clone();
        self.writer
            .write("add a token", never, |c| Box::pin(add_token(c, token)))
            .await
    }

    async fn join(
        &self,
        token_hash: [u8; 32],
        newcomer: Newcomer,
        now: Timestamp,
    ) -> Result<Joined, StoreError> {
        self.writer
            .write("let a runner join", never, move |c| {
                Box::pin(join(c, token_hash, newcomer, now))
            })
            .await
    }

    async fn runner(&self, id: RunnerId) -> Result<Option<Runner>, StoreError> {
        let doing = "find a runner";
        let mut reader = self.reader(doing).await?;
        let found = find_runner(&mut reader, id).await;
        found.map_err(failed(doing))
    }

    async fn runners(&self) -> Result<Vec<Runner>, StoreError> {
        let doing = "list the runners";
        let mut reader = self.reader(doing).await?;
        let found = list_runners(&mut reader).await;
        found.map_err(failed(doing))
    }

    async fn revoke(&self, id: RunnerId, now: Timestamp) -> Result<Option<Vec<Job>>, StoreError> {
        let is_change =
            |held: &Option<Vec<Job>>| held.as_ref().is_some_and(|held| !held.is_empty());
        self.writer
            .write("revoke a runner", is_change, move |c| {
                Box::pin(revoke(c, id, now))
            })
            .await
    }

    async fn saw(&self, id: RunnerId, now: Timestamp) -> Result<(), StoreError> {
        self.writer
            .write("note a sign of life", never, move |c| {
                Box::pin(saw(c, id, now))
            })
            .await
    }
}

async fn add_token(connection: &mut SqliteConnection, token: JoinToken) -> Result<(), Failure> {
    let JoinToken {
        hash,
        labels,
        expires_at,
    } = token;
    sqlx::query("INSERT INTO tokens (hash, labels, expires_at) VALUES (?, ?, ?)")
        .bind(&hash[..])
        .bind(serde_json::to_string(&labels)?)
        .bind(time_text(expires_at))
        .execute(connection)
        .await?;
    Ok(())
}

async fn join(
    connection: &mut SqliteConnection,
    token_hash: [u8; 32],
    newcomer: Newcomer,
    now: Timestamp,
) -> Result<Joined, Failure> {
    let found = sqlx::query("SELECT * FROM tokens WHERE hash = ?")
        .bind(&token_hash[..])
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = found else {
        return Ok(Joined::UnknownToken);
    };
    let token = Fields::of("tokens", &row);
    if token.bytes_maybe::<16>("used_by")?.is_some() {
        return Ok(Joined::UsedToken);
    }
    if token.time("expires_at")? <= now {
        return Ok(Joined::ExpiredToken);
    }
    let runner = newcomer.runner(token.json("labels")?, now);
    insert_runner(connection, &runner).await?;
    sqlx::query("UPDATE tokens SET used_by = ? WHERE hash = ?")
        .bind(&runner.id.to_bytes()[..])
        .bind(&token_hash[..])
        .execute(connection)
        .await?;
    Ok(Joined::Yes(runner))
}

async fn insert_runner(connection: &mut SqliteConnection, runner: &Runner) -> Result<(), Failure> {
    let Runner {
        id,
        name,
        key,
        labels,
        state,
        joined_at,
        seen_at,
    } = runner;
    sqlx::query(
        "INSERT INTO runners (id, name, public_key, labels, state, joined_at, seen_at)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&id.to_bytes()[..])
    .bind(name)
    .bind(&key.0[..])
    .bind(serde_json::to_string(labels)?)
    .bind(state.name())
    .bind(time_text(*joined_at))
    .bind(seen_at.map(time_text))
    .execute(connection)
    .await?;
    Ok(())
}

/// A runner by its id, revoked ones too.
pub(super) async fn find_runner(
    connection: &mut SqliteConnection,
    id: RunnerId,
) -> Result<Option<Runner>, Failure> {
    let found = sqlx::query("SELECT * FROM runners WHERE id = ?")
        .bind(&id.to_bytes()[..])
        .fetch_optional(connection)
        .await?;
    let found = found.map(|row| runner(Fields::of("runners", &row)));
    Ok(found.transpose()?)
}

async fn list_runners(connection: &mut SqliteConnection) -> Result<Vec<Runner>, Failure> {
    let rows = sqlx::query("SELECT * FROM runners ORDER BY place")
        .fetch_all(connection)
        .await?;
    let runners = rows.iter().map(|row| runner(Fields::of("runners", row)));
    Ok(runners.collect::<Result<_, _>>()?)
}

fn runner(row: Fields<'_>) -> Result<Runner, BadRow> {
    Ok(Runner {
        id: RunnerId::from_bytes(row.bytes("id")?),
        name: row.plain("name")?,
        key: PublicKey(row.bytes("public_key")?),
        labels: row.json("labels")?,
        state: row.one_of("state", &RunnerState::ALL, RunnerState::name)?,
        joined_at: row.time("joined_at")?,
        seen_at: row.time_maybe("seen_at")?,
    })
}

async fn revoke(
    connection: &mut SqliteConnection,
    id: RunnerId,
    now: Timestamp,
) -> Result<Option<Vec<Job>>, Failure> {
    let done = sqlx::query("UPDATE runners SET state = ? WHERE id = ?")
        .bind(RunnerState::Revoked.name())
        .bind(&id.to_bytes()[..])
        .execute(&mut *connection)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(None);
    }
    let mut held = jobs::leased(connection).await?;
    held.retain(|job| matches!(&job.state, JobState::Leased(live) if live.runner == id));
    queue::give_up(connection, &held, StepClose::Revoked, now).await?;
    Ok(Some(held))
}

async fn saw(
    connection: &mut SqliteConnection,
    id: RunnerId,
    now: Timestamp,
) -> Result<(), Failure> {
    sqlx::query("UPDATE runners SET seen_at = ? WHERE id = ?")
        .bind(time_text(now))
        .bind(&id.to_bytes()[..])
        .execute(connection)
        .await?;
    Ok(())
}
