//! Pushes that were accepted, the builds that they become, and the plan of their jobs.

use async_trait::async_trait;
use cofferdam_protocol::job_spec::Trust;
use cofferdam_protocol::{BuildId, CommitId, JobId};
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::fields::{BadRow, Fields, integer, time_text};
use super::jobs::course::{FirstState, first_states, outline_text};
use super::writer::Failure;
use super::{SqliteStore, failed, jobs, never, reports};
use crate::domain::build::made_at;
use crate::domain::{
    AcceptedPush, Build, BuildState, Course, Job, Push, PushId, RepoName, ReportedPush, StepRecord,
};
use crate::store::{
    Admission, BuildStore, NewBuild, NewJob, NewStep, PushStore, SignedReport, StoreError,
};

#[async_trait]
impl BuildStore for SqliteStore {
    async fn admit(&self, build: NewBuild) -> Result<Admission, StoreError> {
        let is_new = |admission: &Admission| matches!(admission, Admission::New(_));
        self.writer
            .write("admit a build", is_new, |c| Box::pin(admit(c, build)))
            .await
    }

    async fn build(&self, id: BuildId) -> Result<Option<Build>, StoreError> {
        let doing = "find a build";
        let mut reader = self.reader(doing).await?;
        let found = find_build(&mut reader, id).await;
        found.map_err(failed(doing))
    }

    async fn build_by_number(
        &self,
        repository: &RepoName,
        number: u64,
    ) -> Result<Option<Build>, StoreError> {
        let doing = "find a build by its number";
        let mut reader = self.reader(doing).await?;
        let found = find_numbered(&mut reader, repository, number).await;
        found.map_err(failed(doing))
    }

    async fn builds(
        &self,
        repository: Option<&RepoName>,
        limit: u32,
    ) -> Result<Vec<Build>, StoreError> {
        let doing = "list the builds";
        let mut reader = self.reader(doing).await?;
        let found = list_builds(&mut reader, repository, limit).await;
        found.map_err(failed(doing))
    }

    async fn jobs(&self, build: BuildId) -> Result<Vec<Job>, StoreError> {
        let doing = "list the jobs of a build";
        let mut reader = self.reader(doing).await?;
        let found = jobs::of_build(&mut reader, build).await;
        found.map_err(failed(doing))
    }

    async fn steps(&self, job: JobId) -> Result<Vec<StepRecord>, StoreError> {
        let doing = "list the steps of a job";
        let mut reader = self.reader(doing).await?;
        let found = reports::newest_steps(&mut reader, job).await;
        found.map_err(failed(doing))
    }
}

#[async_trait]
impl PushStore for SqliteStore {
    async fn accept(
        &self,
        report: SignedReport,
        now: Timestamp,
    ) -> Result<Option<Vec<AcceptedPush>>, StoreError> {
        self.writer
            .write("accept a report", never, move |c| {
                Box::pin(accept(c, report, now))
            })
            .await
    }

    async fn unsettled(&self) -> Result<Vec<AcceptedPush>, StoreError> {
        let doing = "list the pushes that are not settled";
        let mut reader = self.reader(doing).await?;
        let found = unsettled(&mut reader).await;
        found.map_err(failed(doing))
    }

    async fn settle(&self, push: PushId) -> Result<(), StoreError> {
        self.writer
            .write("settle a push", never, move |c| Box::pin(settle(c, push)))
            .await
    }
}

async fn admit(connection: &mut SqliteConnection, new: NewBuild) -> Result<Admission, Failure> {
    let course = new.course()?;
    if let Some(push) = new.settles {
        settle(connection, push).await?;
    }
    let known = sqlx::query(
        "SELECT * FROM builds WHERE repository = ? AND reference = ? AND commit_id = ?",
    )
    .bind(new.push.repository.as_str())
    .bind(&new.push.reference)
    .bind(new.push.commit.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(row) = known {
        return Ok(Admission::Known(build(Fields::of("builds", &row))?));
    }
    let number = next_number(connection, &new.push.repository).await?;
    let build = new.build(number, course.as_ref());
    insert_build(connection, &build, course.as_ref()).await?;
    if let (Some(plan), Some(course)) = (new.plan, course) {
        let jobs = plan.jobs.iter().zip(first_states(&course)?);
        for (ordinal, (job, first)) in (0..).zip(jobs) {
            insert_job(connection, (build.id, ordinal), job, first).await?;
        }
    }
    Ok(Admission::New(build))
}

async fn next_number(
    connection: &mut SqliteConnection,
    repository: &RepoName,
) -> Result<u64, Failure> {
    let row = sqlx::query(
        "SELECT coalesce(max(number), 0) + 1 AS number FROM builds WHERE repository = ?",
    )
    .bind(repository.as_str())
    .fetch_one(connection)
    .await?;
    Ok(Fields::of("builds", &row).plain("number")?)
}

async fn insert_build(
    connection: &mut SqliteConnection,
    build: &Build,
    course: Option<&Course>,
) -> Result<(), Failure> {
    let Build {
        id,
        number,
        push,
        trust,
        selected,
        diagnostics,
        state,
        created_at: _, // is in the id
        finished_at,
    } = build;
    let Push {
        repository,
        reference,
        commit,
        received_at,
    } = push;
    sqlx::query(
        "INSERT INTO builds (id, repository, number, reference, commit_id, received_at, trust,
            selected, diagnostics, state, finished_at, outline)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&id.to_bytes()[..])
    .bind(repository.as_str())
    .bind(integer(*number)?)
    .bind(reference)
    .bind(commit.as_str())
    .bind(time_text(*received_at))
    .bind(trust_name(*trust))
    .bind(selected)
    .bind(diagnostics)
    .bind(state.name())
    .bind(finished_at.map(time_text))
    .bind(course.map(outline_text).transpose()?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_job(
    connection: &mut SqliteConnection,
    (build, ordinal): (BuildId, u32),
    job: &NewJob,
    first: FirstState,
) -> Result<(), Failure> {
    let NewJob { id, runs_on, steps } = job;
    let FirstState {
        state,
        ended_at,
        standings,
    } = first;
    sqlx::query(
        "INSERT INTO jobs (id, build, ordinal, runs_on, state, ended_at) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(&id.to_bytes()[..])
    .bind(&build.to_bytes()[..])
    .bind(ordinal)
    .bind(serde_json::to_string(runs_on)?)
    .bind(state)
    .bind(ended_at.map(time_text))
    .execute(&mut *connection)
    .await?;
    for (place, (step, standing)) in (0_u32..).zip(steps.iter().zip(standings)) {
        let NewStep { spec, skip } = step;
        sqlx::query(
            "INSERT INTO steps (job, step, place, spec, skip, standing) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(&id.to_bytes()[..])
        .bind(spec.index.0)
        .bind(place)
        .bind(serde_json::to_string(spec)?)
        .bind(skip)
        .bind(standing)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn find_build(
    connection: &mut SqliteConnection,
    id: BuildId,
) -> Result<Option<Build>, Failure> {
    let found = sqlx::query("SELECT * FROM builds WHERE id = ?")
        .bind(&id.to_bytes()[..])
        .fetch_optional(connection)
        .await?;
    let found = found.map(|row| build(Fields::of("builds", &row)));
    Ok(found.transpose()?)
}

async fn find_numbered(
    connection: &mut SqliteConnection,
    repository: &RepoName,
    number: u64,
) -> Result<Option<Build>, Failure> {
    // No build has a number that the database could not hold.
    let Ok(number) = integer(number) else {
        return Ok(None);
    };
    let found = sqlx::query("SELECT * FROM builds WHERE repository = ? AND number = ?")
        .bind(repository.as_str())
        .bind(number)
        .fetch_optional(connection)
        .await?;
    let found = found.map(|row| build(Fields::of("builds", &row)));
    Ok(found.transpose()?)
}

async fn list_builds(
    connection: &mut SqliteConnection,
    repository: Option<&RepoName>,
    limit: u32,
) -> Result<Vec<Build>, Failure> {
    let query = match repository {
        Some(name) => {
            sqlx::query("SELECT * FROM builds WHERE repository = ? ORDER BY number DESC LIMIT ?")
                .bind(name.as_str())
        }
        None => sqlx::query("SELECT * FROM builds ORDER BY place DESC LIMIT ?"),
    };
    let rows = query.bind(limit).fetch_all(connection).await?;
    let builds = rows.iter().map(|row| build(Fields::of("builds", row)));
    Ok(builds.collect::<Result<_, _>>()?)
}

fn build(row: Fields<'_>) -> Result<Build, BadRow> {
    let id = BuildId::from_bytes(row.bytes("id")?);
    Ok(Build {
        id,
        number: row.plain("number")?,
        push: Push {
            repository: row.text("repository", str::parse)?,
            reference: row.plain("reference")?,
            commit: row.text("commit_id", str::parse)?,
            received_at: row.time("received_at")?,
        },
        trust: row.one_of("trust", &[Trust::Trusted, Trust::Untrusted], trust_name)?,
        selected: row.plain("selected")?,
        diagnostics: row.plain("diagnostics")?,
        state: row.one_of("state", &BuildState::ALL, BuildState::name)?,
        created_at: made_at(id),
        finished_at: row.time_maybe("finished_at")?,
    })
}

const fn trust_name(trust: Trust) -> &'static str {
    match trust {
        Trust::Trusted => "trusted",
        Trust::Untrusted => "untrusted",
    }
}

/// Takes a report and remembers its pushes, unless its nonce was used.
async fn accept(
    connection: &mut SqliteConnection,
    report: SignedReport,
    now: Timestamp,
) -> Result<Option<Vec<AcceptedPush>>, Failure> {
    let SignedReport {
        repository,
        nonce,
        expires_at,
        pushes,
    } = report;
    sqlx::query("DELETE FROM nonces WHERE expires_at < ?")
        .bind(time_text(now))
        .execute(&mut *connection)
        .await?;
    let done = sqlx::query(
        "INSERT INTO nonces (repository, nonce, expires_at) VALUES (?, ?, ?)
         ON CONFLICT (repository, nonce) DO NOTHING",
    )
    .bind(repository.as_str())
    .bind(nonce)
    .bind(time_text(expires_at))
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(None);
    }
    let mut accepted = Vec::with_capacity(pushes.len());
    for ReportedPush { push, before } in pushes {
        let id = insert_push(connection, &push, before.as_ref()).await?;
        accepted.push(AcceptedPush { id, push, before });
    }
    Ok(Some(accepted))
}

async fn insert_push(
    connection: &mut SqliteConnection,
    push: &Push,
    before: Option<&CommitId>,
) -> Result<PushId, Failure> {
    let Push {
        repository,
        reference,
        commit,
        received_at,
    } = push;
    let done = sqlx::query(
        "INSERT INTO pushes (repository, reference, commit_id, received_at, before)
         VALUES (?, ?, ?, ?, ?)",
    )
    .bind(repository.as_str())
    .bind(reference)
    .bind(commit.as_str())
    .bind(time_text(*received_at))
    .bind(before.map(CommitId::as_str))
    .execute(connection)
    .await?;
    Ok(PushId(u64::try_from(done.last_insert_rowid())?))
}

/// The pushes that are not settled, in the order in which they were accepted.
async fn unsettled(connection: &mut SqliteConnection) -> Result<Vec<AcceptedPush>, Failure> {
    let rows = sqlx::query("SELECT * FROM pushes ORDER BY place")
        .fetch_all(connection)
        .await?;
    let pushes = rows
        .iter()
        .map(|row| accepted_push(Fields::of("pushes", row)));
    Ok(pushes.collect::<Result<_, _>>()?)
}

fn accepted_push(row: Fields<'_>) -> Result<AcceptedPush, BadRow> {
    Ok(AcceptedPush {
        id: PushId(row.plain("place")?),
        push: Push {
            repository: row.text("repository", str::parse)?,
            reference: row.plain("reference")?,
            commit: row.text("commit_id", str::parse)?,
            received_at: row.time("received_at")?,
        },
        before: row.text_maybe("before", str::parse)?,
    })
}

/// Forgets a push that has its answer.
async fn settle(connection: &mut SqliteConnection, push: PushId) -> Result<(), Failure> {
    sqlx::query("DELETE FROM pushes WHERE place = ?")
        .bind(integer(push.0)?)
        .execute(connection)
        .await?;
    Ok(())
}
