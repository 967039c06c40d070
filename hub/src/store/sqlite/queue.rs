//! The queue: leases and what comes of them.

use async_trait::async_trait;
use cofferdam_protocol::{AttemptId, BuildId, Fence, JobId, RunnerId, Seq};
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::runners::find_runner;
use super::writer::Failure;
use super::{SqliteStore, always, failed, jobs, never, reports};
use crate::domain::{Attempt, Happening, Job, RunnerState, StepClose};
use crate::store::{Answer, Applied, QueueStore, Report, StoreError};

#[async_trait]
impl QueueStore for SqliteStore {
    async fn ready(&self) -> Result<Vec<Job>, StoreError> {
        let doing = "find the ready jobs";
        let mut reader = self.reader(doing).await?;
        jobs::ready(&mut reader).await.map_err(failed(doing))
    }

    async fn lease(
        &self,
        job: JobId,
        attempt: AttemptId,
        runner: RunnerId,
        lease_until: Timestamp,
    ) -> Result<Option<Attempt>, StoreError> {
        let wish = Attempt {
            id: attempt,
            fence: Fence(0), // decided when it is stored
            runner,
            lease_until,
            started_at: None,
            is_cancel_wanted: false,
        };
        self.writer
            .write("lease a job", Option::is_some, move |c| {
                Box::pin(lease(c, job, wish))
            })
            .await
    }

    async fn leased(&self, attempt: AttemptId, fence: Fence) -> Result<Option<Job>, StoreError> {
        let doing = "find the job of an attempt";
        let mut reader = self.reader(doing).await?;
        let found = jobs::of_attempt(&mut reader, attempt, fence).await;
        Ok(found.map_err(failed(doing))?.map(|(job, _)| job))
    }

    async fn leases(&self) -> Result<Vec<Job>, StoreError> {
        let doing = "list the leases";
        let mut reader = self.reader(doing).await?;
        jobs::leased(&mut reader).await.map_err(failed(doing))
    }

    async fn renew(
        &self,
        attempt: AttemptId,
        fence: Fence,
        runner: RunnerId,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        self.writer
            .write("renew a lease", never, move |c| {
                Box::pin(renew(c, attempt, fence, runner, until))
            })
            .await
    }

    async fn give_back(
        &self,
        attempt: AttemptId,
        fence: Fence,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let doing = "give an attempt back";
        self.writer
            .write(
                doing,
                |is_back| *is_back,
                move |c| Box::pin(give_back(c, attempt, fence, now)),
            )
            .await
    }

    async fn expire(&self, now: Timestamp) -> Result<Vec<Job>, StoreError> {
        let is_any = |ended: &Vec<Job>| !ended.is_empty();
        self.writer
            .write("expire the leases", is_any, move |c| {
                Box::pin(expire(c, now))
            })
            .await
    }

    async fn refresh_all(&self, until: Timestamp) -> Result<(), StoreError> {
        self.writer
            .write("refresh the leases", never, move |c| {
                Box::pin(refresh_all(c, until))
            })
            .await
    }

    async fn position(&self, attempt: AttemptId) -> Result<Option<Seq>, StoreError> {
        let doing = "find how far an attempt is";
        let mut reader = self.reader(doing).await?;
        let found = reports::find_attempt(&mut reader, attempt).await;
        let found = found.map_err(failed(doing))?;
        Ok(found.and_then(|found| found.record.position))
    }

    async fn apply(&self, report: Report) -> Result<Applied, StoreError> {
        let is_stored = |applied: &Applied| matches!(applied, Applied::Stored(_));
        self.writer
            .write("apply a report", is_stored, |c| {
                Box::pin(reports::apply(c, report))
            })
            .await
    }

    async fn cancel(&self, build: BuildId, now: Timestamp) -> Result<Vec<Attempt>, StoreError> {
        self.writer
            .write("cancel a build", always, move |c| {
                Box::pin(cancel(c, build, now))
            })
            .await
    }

    async fn answer(
        &self,
        build: BuildId,
        job: JobId,
        answer: Answer,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let doing = "answer for a job that waits for a person";
        self.writer
            .write(
                doing,
                |is_answered| *is_answered,
                move |c| Box::pin(self::answer(c, build, (job, answer), now)),
            )
            .await
    }

    async fn changed(&self, seen: u64) -> u64 {
        self.changes.since(seen).await
    }

    async fn try_lead(&self) -> Result<bool, StoreError> {
        Ok(true)
    }
}

async fn lease(
    connection: &mut SqliteConnection,
    job: JobId,
    wish: Attempt,
) -> Result<Option<Attempt>, Failure> {
    let Some(runner) = find_runner(connection, wish.runner).await? else {
        return Err(format!("there is no runner {}", wish.runner).into());
    };
    let Some(build) = jobs::build_of(connection, job).await? else {
        return Ok(None);
    };
    let Some(stored) = jobs::course::load(connection, build).await? else {
        return Ok(None);
    };
    if runner.state != RunnerState::Active || !stored.course.is_ready(job) {
        return Ok(None);
    }
    let tries = stored.course.job(job).map_or(0, |job| job.tries);
    let attempt = Attempt {
        fence: Fence(tries + 1),
        ..wish
    };
    let happening = Happening::Lease(attempt);
    // A lease ends no job, so nothing keeps this time.
    let at = attempt.lease_until;
    jobs::course::take(connection, build, job, happening, at).await??;
    Ok(Some(attempt))
}

async fn renew(
    connection: &mut SqliteConnection,
    attempt: AttemptId,
    fence: Fence,
    runner: RunnerId,
    until: Timestamp,
) -> Result<bool, Failure> {
    let holder = find_runner(connection, runner).await?;
    if holder.is_none_or(|holder| holder.state != RunnerState::Active) {
        return Ok(false);
    }
    match jobs::of_attempt(connection, attempt, fence).await? {
        Some((_, live)) if live.runner == runner => {
            put_off(connection, live, until).await?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

// A renewal concerns neither the build nor its other jobs, and comes too often to look at them.
async fn put_off(
    connection: &mut SqliteConnection,
    live: Attempt,
    until: Timestamp,
) -> Result<(), Failure> {
    let renewed = Attempt {
        lease_until: until,
        ..live
    };
    jobs::attempts::update(connection, &renewed).await
}

async fn refresh_all(connection: &mut SqliteConnection, until: Timestamp) -> Result<(), Failure> {
    for job in jobs::leased(connection).await? {
        if let Some(&live) = job.state.live() {
            put_off(connection, live, until).await?;
        }
    }
    Ok(())
}

async fn give_back(
    connection: &mut SqliteConnection,
    attempt: AttemptId,
    fence: Fence,
    now: Timestamp,
) -> Result<bool, Failure> {
    match jobs::of_attempt(connection, attempt, fence).await? {
        Some((job, live)) if live.started_at.is_none() => {
            jobs::course::take(connection, job.build, job.id, Happening::Return, now).await??;
            Ok(true)
        }
        _ => Ok(false),
    }
}

async fn expire(connection: &mut SqliteConnection, now: Timestamp) -> Result<Vec<Job>, Failure> {
    let ended = jobs::overdue(connection, now).await?;
    give_up(connection, &ended, StepClose::Lost, now).await?;
    Ok(ended)
}

/// Ends the attempts of leased jobs.
pub(super) async fn give_up(
    connection: &mut SqliteConnection,
    leased: &[Job],
    how: StepClose,
    now: Timestamp,
) -> Result<(), Failure> {
    for job in leased {
        let happening = Happening::Lose(how);
        jobs::course::take(connection, job.build, job.id, happening, now).await??;
    }
    Ok(())
}

async fn cancel(
    connection: &mut SqliteConnection,
    build: BuildId,
    now: Timestamp,
) -> Result<Vec<Attempt>, Failure> {
    let Some(before) = jobs::course::load(connection, build).await? else {
        return Ok(Vec::new());
    };
    let mut after = before.course.clone();
    if after.cancel(now) {
        jobs::course::save(connection, &before, &after).await?;
    }
    Ok(after.to_be_stopped())
}

async fn answer(
    connection: &mut SqliteConnection,
    build: BuildId,
    (job, answer): (JobId, Answer),
    now: Timestamp,
) -> Result<bool, Failure> {
    if jobs::build_of(connection, job).await? != Some(build) {
        return Ok(false);
    }
    let taken = jobs::course::take(connection, build, job, answer.into(), now).await?;
    Ok(taken.is_ok())
}
