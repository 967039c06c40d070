//! The queue: leases and what comes of them.

use async_trait::async_trait;
use cofferdam_protocol::report::{JobEvent, StepResult};
use cofferdam_protocol::{AttemptId, BuildId, Fence, JobId, RunnerId, Seq, StepIndex};
use jiff::Timestamp;

use super::{BuildRow, MemoryStore, Rows};
use crate::domain::{
    Attempt, AttemptRecord, BadTransition, Course, Ending, Happening, Job, JobState, StepClose,
    StepReport, Turn,
};
use crate::store::{Answer, Applied, QueueStore, Report, StoreError};

#[async_trait]
impl QueueStore for MemoryStore {
    async fn ready(&self) -> Result<Vec<Job>, StoreError> {
        let rows = self.rows();
        let jobs = rows.builds.iter().flat_map(BuildRow::all);
        let is_ready = |job: &Job| matches!(job.state, JobState::Queued { .. });
        Ok(jobs.filter(is_ready).collect())
    }

    async fn lease(
        &self,
        job: JobId,
        attempt: AttemptId,
        runner: RunnerId,
        lease_until: Timestamp,
    ) -> Result<Option<Attempt>, StoreError> {
        let leased = self.rows().lease(job, attempt, runner, lease_until);
        let leased = leased.map_err(doing("lease a job"))?;
        if leased.is_some() {
            self.changes.mark();
        }
        Ok(leased)
    }

    async fn leased(&self, attempt: AttemptId, fence: Fence) -> Result<Option<Job>, StoreError> {
        Ok(self.rows().live(attempt, fence).map(|(job, _)| job))
    }

    async fn leases(&self) -> Result<Vec<Job>, StoreError> {
        Ok(self.rows().leases())
    }

    async fn renew(
        &self,
        attempt: AttemptId,
        fence: Fence,
        runner: RunnerId,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let Some((job, live)) = rows.live(attempt, fence) else {
            return Ok(false);
        };
        if live.runner != runner || !rows.is_active(runner) {
            return Ok(false);
        }
        rows.put_off(job.id, until);
        Ok(true)
    }

    async fn give_back(
        &self,
        attempt: AttemptId,
        fence: Fence,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let Some((job, live)) = rows.live(attempt, fence) else {
            return Ok(false);
        };
        if live.started_at.is_some() {
            return Ok(false);
        }
        rows.take_surely(job.id, Happening::Return, now)
            .map_err(doing("give an attempt back"))?;
        self.changes.mark();
        Ok(true)
    }

    async fn expire(&self, now: Timestamp) -> Result<Vec<Job>, StoreError> {
        let mut rows = self.rows();
        let mut ended = rows.leases();
        ended.retain(|job| matches!(&job.state, JobState::Leased(a) if a.lease_until <= now));
        rows.give_up(&ended, StepClose::Lost, now)
            .map_err(doing("expire the leases"))?;
        if !ended.is_empty() {
            self.changes.mark();
        }
        Ok(ended)
    }

    async fn refresh_all(&self, until: Timestamp) -> Result<(), StoreError> {
        let mut rows = self.rows();
        for job in rows.leases() {
            rows.put_off(job.id, until);
        }
        Ok(())
    }

    async fn position(&self, attempt: AttemptId) -> Result<Option<Seq>, StoreError> {
        let rows = self.rows();
        let attempt = rows.attempts.get(&attempt);
        Ok(attempt.and_then(|attempt| attempt.position))
    }

    async fn apply(&self, report: Report) -> Result<Applied, StoreError> {
        let applied = self.rows().apply(report);
        let applied = applied.map_err(doing("apply a report"))?;
        if let Applied::Stored(_) = applied {
            self.changes.mark();
        }
        Ok(applied)
    }

    async fn cancel(&self, build: BuildId, now: Timestamp) -> Result<Vec<Attempt>, StoreError> {
        let mut rows = self.rows();
        let Some(row) = rows.build_mut(build) else {
            return Ok(Vec::new());
        };
        let Some(mut course) = row.course.clone() else {
            return Ok(Vec::new());
        };
        if course.cancel(now) {
            row.put(course.clone());
        }
        self.changes.mark();
        Ok(course.to_be_stopped())
    }

    async fn answer(
        &self,
        build: BuildId,
        job: JobId,
        answer: Answer,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        if rows.build_of(job).is_none_or(|row| row.build.id != build) {
            return Ok(false);
        }
        let taken = rows.take(job, answer.into(), now);
        let taken = taken.map_err(doing("answer for a job that waits for a person"))?;
        if taken.is_ok() {
            self.changes.mark();
        }
        Ok(taken.is_ok())
    }

    async fn changed(&self, seen: u64) -> u64 {
        self.changes.since(seen).await
    }

    async fn try_lead(&self) -> Result<bool, StoreError> {
        Ok(true)
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn doing<E: Into<Failure>>(doing: &'static str) -> impl Fn(E) -> StoreError {
    move |why| StoreError::new(doing, why)
}

impl BuildRow {
    fn put(&mut self, course: Course) {
        self.build.state = course.state();
        self.build.finished_at = course.finished_at();
        self.course = Some(course);
    }
}

impl Rows {
    /// The attempt whose report's turn has come, or what to answer instead.
    pub(super) fn turn(
        &self,
        attempt: AttemptId,
        runner: RunnerId,
        fence: Fence,
        seq: Seq,
    ) -> Result<&AttemptRecord, Applied> {
        let attempt = self.attempts.get(&attempt);
        let attempt = attempt.filter(|_| self.is_active(runner));
        let attempt = attempt.ok_or(Applied::Stale)?;
        match attempt.turn(runner, fence, seq) {
            Turn::Next => Ok(attempt),
            Turn::Again(position) => Err(Applied::Again(position)),
            Turn::Gap => Err(Applied::Gap(attempt.position)),
            Turn::Stale => Err(Applied::Stale),
        }
    }

    pub(super) fn live(&self, attempt: AttemptId, fence: Fence) -> Option<(Job, Attempt)> {
        let record = self.attempts.get(&attempt)?;
        let job = self.job(record.job)?;
        let live = *job.state.live()?;
        (live.id == attempt && live.fence == fence).then_some((job, live))
    }

    /// Ends the attempts of leased jobs.
    pub(super) fn give_up(
        &mut self,
        leased: &[Job],
        how: StepClose,
        now: Timestamp,
    ) -> Result<(), Failure> {
        for job in leased {
            self.take_surely(job.id, Happening::Lose(how), now)?;
        }
        Ok(())
    }

    pub(super) fn leases(&self) -> Vec<Job> {
        let jobs = self.builds.iter().flat_map(BuildRow::all);
        jobs.filter(|job| job.state.live().is_some()).collect()
    }

    fn lease(
        &mut self,
        id: JobId,
        attempt: AttemptId,
        runner: RunnerId,
        lease_until: Timestamp,
    ) -> Result<Option<Attempt>, Failure> {
        if self.runner(runner).is_none() {
            return Err(format!("there is no runner {runner}").into());
        }
        let is_known = self.attempts.contains_key(&attempt);
        let is_active = self.is_active(runner);
        let row = self.build_of(id);
        let Some((row, course)) = row.and_then(|row| Some((row, row.course.as_ref()?))) else {
            return Ok(None);
        };
        if !is_active || !course.is_ready(id) {
            return Ok(None);
        }
        if is_known {
            return Err(format!("there is an attempt {attempt} already").into());
        }
        let tries = course.job(id).map_or(0, |job| job.tries);
        let leased = Attempt {
            id: attempt,
            fence: Fence(tries + 1),
            runner,
            lease_until,
            started_at: None,
            is_cancel_wanted: false,
        };
        let record = AttemptRecord {
            id: attempt,
            job: id,
            build: row.build.id,
            fence: leased.fence,
            runner,
            end: None,
            position: None,
            log_bytes: 0,
        };
        // A lease ends no job, so nothing keeps this time.
        self.take_surely(id, Happening::Lease(leased), lease_until)?;
        self.attempts.insert(attempt, record);
        Ok(Some(leased))
    }

    // A renewal concerns neither the build nor its other jobs.
    fn put_off(&mut self, id: JobId, until: Timestamp) {
        for course in self.builds.iter_mut().filter_map(|row| row.course.as_mut()) {
            course.put_off(id, until);
        }
    }

    /// Lets a job take a happening, and everything that follows from it.
    fn take(
        &mut self,
        id: JobId,
        happening: Happening,
        at: Timestamp,
    ) -> Result<Result<(), BadTransition>, Failure> {
        let mut rows = self.builds.iter_mut();
        let row = rows.find(|row| row.jobs.iter().any(|job| job.id == id));
        let row = row.ok_or_else(|| format!("there is no job {id}"))?;
        let before = row.course.clone();
        let before = before.ok_or_else(|| format!("the build of job {id} has no plan"))?;
        let mut after = before.clone();
        let ending = match after.take(id, happening, at) {
            Ok(ending) => ending,
            Err(bad) => return Ok(Err(bad)),
        };
        row.put(after.clone());
        if let Some(ending) = ending {
            self.end_attempt(id, ending, &after.steps_ended_since(&before, id));
        }
        Ok(Ok(()))
    }

    /// As [`Self::take`], where the caller has seen that the job can take the happening.
    fn take_surely(&mut self, id: JobId, event: Happening, at: Timestamp) -> Result<(), Failure> {
        Ok(self.take(id, event, at)??)
    }

    /// Closes the steps of the attempt that still run, and the `undecided`, which ended with it.
    fn end_attempt(&mut self, job: JobId, ending: Ending, undecided: &[StepIndex]) {
        let mut attempts = self.attempts.values_mut();
        let live = attempts.find(|attempt| attempt.job == job && attempt.end.is_none());
        let Some(live) = live else { return };
        live.end = Some(ending.by);
        let steps = self.steps.entry(live.id).or_default();
        let running = steps.iter().filter_map(|(step, report)| {
            matches!(report, StepReport::Running { .. }).then_some(*step)
        });
        let to_close: Vec<StepIndex> = running.chain(undecided.iter().copied()).collect();
        for step in to_close {
            let closed = StepReport::closed(steps.get(&step), ending.at, ending.close);
            steps.insert(step, closed);
        }
    }

    fn apply(&mut self, report: Report) -> Result<Applied, Failure> {
        let attempt = match self.turn(report.attempt, report.runner, report.fence, report.seq) {
            Ok(attempt) => attempt.clone(),
            Err(applied) => return Ok(applied),
        };
        let happening = Happening::from(&report.event);
        if let Err(bad) = self.take(attempt.job, happening, report.now)? {
            return Ok(Applied::Refused(bad.to_string()));
        }
        let steps = self.steps.entry(attempt.id).or_default();
        match report.event {
            JobEvent::StepStarted { step } => {
                steps.insert(step, StepReport::Running { since: report.at });
            }
            JobEvent::StepFinished {
                step,
                result,
                receipt,
            } if result != StepResult::NotRun => {
                let before = steps.get(&step);
                let ended = StepReport::finished(before, report.at, result, receipt.to_string());
                steps.insert(step, ended);
            }
            // Why a step was not run stands in the build's course.
            JobEvent::Started | JobEvent::Finished { .. } | JobEvent::StepFinished { .. } => {}
        }
        if let Some(attempt) = self.attempts.get_mut(&attempt.id) {
            attempt.position = Some(report.seq);
        }
        Ok(Applied::Stored(report.seq))
    }
}
