//! What runners report: whose turn it is, and what becomes of job and steps.

use std::collections::BTreeSet;

use cofferdam_protocol::report::{JobEvent, StepResult};
use cofferdam_protocol::{AttemptId, BuildId, Fence, JobId, RunnerId, Seq, StepIndex};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::fields::{BadRow, Fields, integer, time_text};
use super::jobs;
use super::writer::Failure;
use crate::domain::{
    AttemptEnd, AttemptRecord, Ending, Happening, RunnerState, StepRecord, StepReport, Turn,
};
use crate::store::{Applied, Report};

/// An attempt as a report finds it.
pub(super) struct FoundAttempt {
    pub(super) record: AttemptRecord,
    /// Whether its runner reported its start.
    pub(super) is_started: bool,
    /// Whether its runner was not revoked.
    pub(super) is_runner_active: bool,
}

impl FoundAttempt {
    /// What to answer instead of storing, if it is not the turn of this report.
    pub(super) fn refusal(&self, runner: RunnerId, fence: Fence, seq: Seq) -> Option<Applied> {
        match self.record.turn(runner, fence, seq) {
            _ if !self.is_runner_active => Some(Applied::Stale),
            Turn::Next => None,
            Turn::Again(position) => Some(Applied::Again(position)),
            Turn::Gap => Some(Applied::Gap(self.record.position)),
            Turn::Stale => Some(Applied::Stale),
        }
    }
}

/// An attempt, whatever became of it.
pub(super) async fn find_attempt(
    connection: &mut SqliteConnection,
    id: AttemptId,
) -> Result<Option<FoundAttempt>, Failure> {
    let found = sqlx::query(
        "SELECT attempts.*, jobs.build, runners.state FROM attempts
         JOIN jobs ON jobs.id = attempts.job
         JOIN runners ON runners.id = attempts.runner
         WHERE attempts.id = ?",
    )
    .bind(&id.to_bytes()[..])
    .fetch_optional(connection)
    .await?;
    let found = found.map(|row| found_attempt(Fields::of("attempts", &row)));
    Ok(found.transpose()?)
}

fn found_attempt(row: Fields<'_>) -> Result<FoundAttempt, BadRow> {
    let state = row.one_of("state", &RunnerState::ALL, RunnerState::name)?;
    Ok(FoundAttempt {
        record: AttemptRecord {
            id: AttemptId::from_bytes(row.bytes("id")?),
            job: JobId::from_bytes(row.bytes("job")?),
            build: BuildId::from_bytes(row.bytes("build")?),
            fence: Fence(row.plain("fence")?),
            runner: RunnerId::from_bytes(row.bytes("runner")?),
            end: row.one_of_maybe("ended_by", &AttemptEnd::ALL, AttemptEnd::name)?,
            position: row.seq_maybe("position")?,
            log_bytes: row.plain("log_bytes")?,
        },
        is_started: row.time_maybe("started_at")?.is_some(),
        is_runner_active: state == RunnerState::Active,
    })
}

/// Stores how far an attempt is, and how much log it has.
pub(super) async fn save_position(
    connection: &mut SqliteConnection,
    attempt: AttemptId,
    position: Seq,
    log_bytes: u64,
) -> Result<(), Failure> {
    sqlx::query("UPDATE attempts SET position = ?, log_bytes = ? WHERE id = ?")
        .bind(integer(position.get())?)
        .bind(integer(log_bytes)?)
        .bind(&attempt.to_bytes()[..])
        .execute(connection)
        .await?;
    Ok(())
}

/// Applies one event of an attempt, once.
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    report: Report,
) -> Result<Applied, Failure> {
    let Report {
        runner,
        attempt,
        fence,
        seq,
        at,
        event,
        now,
    } = report;
    let Some(attempt) = find_attempt(connection, attempt).await? else {
        return Ok(Applied::Stale);
    };
    if let Some(instead) = attempt.refusal(runner, fence, seq) {
        return Ok(instead);
    }
    let AttemptRecord {
        id,
        job,
        build,
        log_bytes,
        ..
    } = attempt.record;
    let happening = Happening::from(&event);
    if let Err(bad) = jobs::course::take(connection, build, job, happening, now).await? {
        return Ok(Applied::Refused(bad.to_string()));
    }
    match event {
        JobEvent::StepStarted { step } => {
            save_step(
                connection,
                (id, job),
                step,
                &StepReport::Running { since: at },
            )
            .await?;
        }
        JobEvent::StepFinished {
            step,
            result,
            receipt,
        } if result != StepResult::NotRun => {
            let before = attempt_steps(connection, id).await?;
            let before = report_of(&before, step);
            let report = StepReport::finished(before, at, result, receipt.to_string());
            save_step(connection, (id, job), step, &report).await?;
        }
        // Why a step was not run stands in the build's course.
        JobEvent::Started | JobEvent::Finished { .. } | JobEvent::StepFinished { .. } => {}
    }
    save_position(connection, id, seq, log_bytes).await?;
    Ok(Applied::Stored(seq))
}

fn report_of(records: &[StepRecord], step: StepIndex) -> Option<&StepReport> {
    let found = records.iter().find(|record| record.step == step);
    found.map(|record| &record.report)
}

/// The indexes of a job's steps.
pub(super) async fn step_indexes(
    connection: &mut SqliteConnection,
    job: JobId,
) -> Result<Vec<StepIndex>, Failure> {
    let rows = sqlx::query("SELECT step FROM steps WHERE job = ?")
        .bind(&job.to_bytes()[..])
        .fetch_all(connection)
        .await?;
    let steps = rows
        .iter()
        .map(|row| Fields::of("steps", row).plain("step").map(StepIndex));
    Ok(steps.collect::<Result<_, _>>()?)
}

/// The newest word about each step of a job, by index.
pub(super) async fn newest_steps(
    connection: &mut SqliteConnection,
    job: JobId,
) -> Result<Vec<StepRecord>, Failure> {
    let rows = sqlx::query(
        "SELECT step_reports.*, max(attempts.fence) FROM attempts
         JOIN step_reports ON step_reports.attempt = attempts.id
         WHERE attempts.job = ? GROUP BY step_reports.step ORDER BY step_reports.step",
    )
    .bind(&job.to_bytes()[..])
    .fetch_all(connection)
    .await?;
    step_records(&rows)
}

/// Ends every step of an attempt that still runs, and the `undecided`, which ended with it.
pub(super) async fn close_steps(
    connection: &mut SqliteConnection,
    (attempt, job): (AttemptId, JobId),
    undecided: &[StepIndex],
    ending: Ending,
) -> Result<(), Failure> {
    let known = attempt_steps(connection, attempt).await?;
    let running = known
        .iter()
        .filter(|record| matches!(record.report, StepReport::Running { .. }))
        .map(|record| record.step);
    let steps: BTreeSet<StepIndex> = running.chain(undecided.iter().copied()).collect();
    for step in steps {
        let report = StepReport::closed(report_of(&known, step), ending.at, ending.close);
        save_step(connection, (attempt, job), step, &report).await?;
    }
    Ok(())
}

async fn attempt_steps(
    connection: &mut SqliteConnection,
    attempt: AttemptId,
) -> Result<Vec<StepRecord>, Failure> {
    let rows = sqlx::query("SELECT * FROM step_reports WHERE attempt = ? ORDER BY step")
        .bind(&attempt.to_bytes()[..])
        .fetch_all(connection)
        .await?;
    step_records(&rows)
}

fn step_records(rows: &[SqliteRow]) -> Result<Vec<StepRecord>, Failure> {
    let records = rows
        .iter()
        .map(|row| step_record(Fields::of("step_reports", row)));
    Ok(records.collect::<Result<_, _>>()?)
}

fn step_record(row: Fields<'_>) -> Result<StepRecord, BadRow> {
    let since = row.time_maybe("began_at")?;
    let report = match (since, row.time_maybe("ended_at")?) {
        (since, Some(at)) => StepReport::Done {
            since,
            at,
            result: row.json("result")?,
            receipt: row.plain("receipt")?,
        },
        (Some(since), None) => StepReport::Running { since },
        (None, None) => return Err(row.bad("began_at", "the step neither began nor ended")),
    };
    Ok(StepRecord {
        step: StepIndex(row.plain("step")?),
        report,
    })
}

async fn save_step(
    connection: &mut SqliteConnection,
    (attempt, job): (AttemptId, JobId),
    step: StepIndex,
    report: &StepReport,
) -> Result<(), Failure> {
    let (began_at, end) = match report {
        StepReport::Running { since } => (Some(*since), None),
        StepReport::Done {
            since,
            at,
            result,
            receipt,
        } => (*since, Some((*at, result, receipt))),
    };
    let result = end.map(|(_, result, _)| serde_json::to_string(result));
    sqlx::query(
        "REPLACE INTO step_reports (attempt, job, step, began_at, ended_at, result, receipt)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&attempt.to_bytes()[..])
    .bind(&job.to_bytes()[..])
    .bind(step.0)
    .bind(began_at.map(time_text))
    .bind(end.map(|(at, _, _)| time_text(at)))
    .bind(result.transpose()?)
    .bind(end.map(|(_, _, receipt)| receipt))
    .execute(connection)
    .await?;
    Ok(())
}
