//! The queue: leases and what comes of them.

use async_trait::async_trait;
use cofferdam_protocol::{AttemptId, BuildId, Fence, JobId, RunnerId, Seq};
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::fields::Fields;
use super::runners::find_runner;
use super::writer::Failure;
use super::{SqliteStore, always, failed, jobs, never, reports};
use crate::domain::{Attempt, AttemptEnd, Job, JobGraph, JobState, JobStateEvent, RunnerState};
use crate::store::{Applied, QueueStore, Report, StoreError};

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
    let graph = jobs::graph(connection, build).await?;
    if runner.state != RunnerState::Active || !graph.is_ready(job) {
        return Ok(None);
    }
    let attempt = Attempt {
        fence: next_fence(&graph, job),
        ..wish
    };
    let event = JobStateEvent::Lease(attempt);
    jobs::take(connection, build, job, event).await??;
    Ok(Some(attempt))
}

fn next_fence(graph: &JobGraph, job: JobId) -> Fence {
    let mut nodes = graph.nodes().iter();
    match nodes.find(|node| node.id == job).map(|node| &node.state) {
        Some(JobState::Queued { attempts }) => Fence(attempts + 1),
        _ => Fence(0), // which no job takes
    }
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
        Some((job, live)) if live.runner == runner => {
            put_off(connection, job, until).await?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

// A renewal concerns neither the build nor its other jobs, and comes too often to look at them.
async fn put_off(
    connection: &mut SqliteConnection,
    job: Job,
    until: Timestamp,
) -> Result<(), Failure> {
    if let JobState::Leased(attempt) = job.state.after(JobStateEvent::Renew { until })? {
        jobs::update_attempt(connection, &attempt).await?;
    }
    Ok(())
}

async fn refresh_all(connection: &mut SqliteConnection, until: Timestamp) -> Result<(), Failure> {
    for job in jobs::leased(connection).await? {
        put_off(connection, job, until).await?;
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
            let event = JobStateEvent::Return { at: now };
            jobs::take(connection, job.build, job.id, event).await??;
            Ok(true)
        }
        _ => Ok(false),
    }
}

async fn expire(connection: &mut SqliteConnection, now: Timestamp) -> Result<Vec<Job>, Failure> {
    let ended = jobs::overdue(connection, now).await?;
    give_up(connection, &ended, now).await?;
    Ok(ended)
}

/// Ends the attempts of leased jobs.
pub(super) async fn give_up(
    connection: &mut SqliteConnection,
    leased: &[Job],
    now: Timestamp,
) -> Result<(), Failure> {
    for job in leased {
        if let JobState::Leased(attempt) = &job.state {
            let losses = count_losses(connection, job.id).await?;
            let event = attempt.lease_end(losses, now);
            jobs::take(connection, job.build, job.id, event).await??;
        }
    }
    Ok(())
}

async fn count_losses(connection: &mut SqliteConnection, job: JobId) -> Result<u64, Failure> {
    let row = sqlx::query("SELECT count(*) AS losses FROM attempts WHERE job = ? AND ended_by = ?")
        .bind(&job.to_bytes()[..])
        .bind(AttemptEnd::Lost.name())
        .fetch_one(connection)
        .await?;
    Ok(Fields::of("attempts", &row).plain("losses")?)
}

async fn cancel(
    connection: &mut SqliteConnection,
    build: BuildId,
    now: Timestamp,
) -> Result<Vec<Attempt>, Failure> {
    let before = jobs::graph(connection, build).await?;
    let mut after = before.clone();
    after.cancel(now)?;
    if after != before {
        jobs::save(connection, build, &before, &after).await?;
    }
    let live = after.nodes().iter().filter_map(|node| match &node.state {
        JobState::Leased(attempt) => Some(*attempt),
        JobState::Queued { .. } | JobState::Done { .. } | JobState::NotRun => None,
    });
    Ok(live.collect())
}
