//! Log frames, stored as they came over the wire: one row for each.

use async_trait::async_trait;
use cofferdam_protocol::{AttemptId, BuildId, JobId, LogFrame, LogRecord, RunnerId};
use futures_util::TryStreamExt as _;
use sqlx::SqliteConnection;

use super::fields::{BadRow, Fields, integer};
use super::writer::Failure;
use super::{SqliteStore, failed, never, reports};
use crate::store::frame::Kept;
use crate::store::{Applied, LogPage, LogStore, StoreError, frame};

#[async_trait]
impl LogStore for SqliteStore {
    async fn append(&self, runner: RunnerId, frame: LogFrame) -> Result<Applied, StoreError> {
        let log_bytes_max = self.log_bytes_max;
        self.writer
            .write("store a log frame", never, move |c| {
                Box::pin(append(c, runner, frame, log_bytes_max))
            })
            .await
    }

    async fn read(
        &self,
        build: BuildId,
        cursor: u64,
        bytes_max: usize,
    ) -> Result<LogPage, StoreError> {
        let doing = "read a log";
        let mut reader = self.reader(doing).await?;
        let page = read(&mut reader, build, cursor, bytes_max).await;
        page.map_err(failed(doing))
    }
}

async fn append(
    connection: &mut SqliteConnection,
    runner: RunnerId,
    frame: LogFrame,
    log_bytes_max: u64,
) -> Result<Applied, Failure> {
    let Some(attempt) = reports::find_attempt(connection, frame.attempt).await? else {
        return Ok(Applied::Stale);
    };
    if let Some(instead) = attempt.refusal(runner, frame.fence, frame.seq) {
        return Ok(instead);
    }
    if !attempt.is_started {
        return Ok(Applied::Refused(frame::NOT_STARTED.to_owned()));
    }
    let attempt = attempt.record;
    let steps = reports::step_indexes(connection, attempt.job).await?;
    let bytes = match frame::measure(&frame, &steps) {
        Ok(bytes) => bytes,
        Err(why) => return Ok(Applied::Refused(why)),
    };
    let seq = frame.seq;
    let job_bytes = job_log_bytes(connection, attempt.job).await?;
    let kept = match frame::keep(&frame, bytes, job_bytes, log_bytes_max) {
        Kept::Whole => frame,
        Kept::Mark(record) => LogFrame {
            records: vec![record],
            ..frame
        },
        Kept::Nothing => LogFrame {
            records: Vec::new(),
            ..frame
        },
    };
    insert_frame(connection, attempt.build, &kept).await?;
    let log_bytes = attempt.log_bytes.saturating_add(bytes);
    reports::save_position(connection, attempt.id, seq, log_bytes).await?;
    Ok(Applied::Stored(seq))
}

/// What the log of a job takes, of all its attempts.
async fn job_log_bytes(connection: &mut SqliteConnection, job: JobId) -> Result<u64, Failure> {
    let row =
        sqlx::query("SELECT coalesce(sum(log_bytes), 0) AS log_bytes FROM attempts WHERE job = ?")
            .bind(&job.to_bytes()[..])
            .fetch_one(connection)
            .await?;
    Ok(Fields::of("attempts", &row).plain("log_bytes")?)
}

async fn insert_frame(
    connection: &mut SqliteConnection,
    build: BuildId,
    frame: &LogFrame,
) -> Result<(), Failure> {
    if frame.records.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO log_frames (build, last, frame)
         SELECT ?1, coalesce(max(last), 0) + ?2, ?3 FROM log_frames WHERE build = ?1",
    )
    .bind(&build.to_bytes()[..])
    .bind(integer(frame.records.len() as u64)?)
    .bind(frame.encode())
    .execute(connection)
    .await?;
    Ok(())
}

async fn read(
    connection: &mut SqliteConnection,
    build: BuildId,
    cursor: u64,
    bytes_max: usize,
) -> Result<LogPage, Failure> {
    let mut page = LogPage {
        records: Vec::new(),
        next: cursor,
    };
    // No build has as many records as the database could not count.
    let Ok(after) = integer(cursor) else {
        return Ok(page);
    };
    let mut rows = sqlx::query(
        "SELECT last, frame FROM log_frames WHERE build = ? AND last > ? ORDER BY last",
    )
    .bind(&build.to_bytes()[..])
    .bind(after)
    .fetch(connection);
    let mut room = bytes_max;
    while let Some(row) = rows.try_next().await? {
        let (attempt, records) = records_after(page.next, Fields::of("log_frames", &row))?;
        for record in records {
            let bytes = record.encoded_bytes();
            if bytes > room && !page.records.is_empty() {
                return Ok(page);
            }
            room = room.saturating_sub(bytes);
            page.records.push((attempt, record));
            page.next += 1;
        }
    }
    Ok(page)
}

/// The records of a frame that come after `seen`. Only the first frame of a page may begin before it, and
/// none may leave a gap.
fn records_after(
    seen: u64,
    row: Fields<'_>,
) -> Result<(AttemptId, impl Iterator<Item = LogRecord>), BadRow> {
    let last: u64 = row.plain("last")?;
    let bytes: &[u8] = row.plain("frame")?;
    let frame = LogFrame::decode(bytes).map_err(|why| row.bad("frame", why))?;
    let wanted = last.checked_sub(seen);
    let wanted = wanted.and_then(|wanted| usize::try_from(wanted).ok());
    let known = wanted.and_then(|wanted| frame.records.len().checked_sub(wanted));
    let known = known.ok_or_else(|| row.bad("last", "records are missing before it"))?;
    Ok((frame.attempt, frame.records.into_iter().skip(known)))
}
