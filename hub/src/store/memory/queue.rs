//! The queue: leases and what comes of them.

use async_trait::async_trait;
use cofferdam_protocol::report::JobEvent;
use cofferdam_protocol::{AttemptId, BuildId, Fence, JobId, RunnerId, Seq, StepIndex};
use jiff::Timestamp;

use super::{BuildRow, MemoryStore, Rows};
use crate::domain::{
    Attempt, AttemptEnd, AttemptRecord, BadTransition, Ending, Job, JobGraph, JobNode, JobState,
    JobStateEvent, StepState, Turn,
};
use crate::store::frame::NOT_STARTED;
use crate::store::{Applied, QueueStore, Report, StoreError};

#[async_trait]
impl QueueStore for MemoryStore {
    async fn ready(&self) -> Result<Vec<Job>, StoreError> {
        let rows = self.rows();
        let mut ready = Vec::new();
        for row in &rows.builds {
            let graph = row.graph().map_err(doing("find the ready jobs"))?;
            ready.extend(
                row.jobs
                    .iter()
                    .filter(|job| graph.is_ready(job.id))
                    .cloned(),
            );
        }
        Ok(ready)
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
        Ok(self.rows().live(attempt, fence).map(|(job, _)| job.clone()))
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
        let job = job.id;
        rows.take_surely(job, JobStateEvent::Renew { until })
            .map_err(doing("renew a lease"))?;
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
        let job = job.id;
        rows.take_surely(job, JobStateEvent::Return { at: now })
            .map_err(doing("give an attempt back"))?;
        self.changes.mark();
        Ok(true)
    }

    async fn expire(&self, now: Timestamp) -> Result<Vec<Job>, StoreError> {
        let mut rows = self.rows();
        let mut ended = rows.leases();
        ended.retain(|job| matches!(&job.state, JobState::Leased(a) if a.lease_until <= now));
        rows.give_up(&ended, now)
            .map_err(doing("expire the leases"))?;
        if !ended.is_empty() {
            self.changes.mark();
        }
        Ok(ended)
    }

    async fn refresh_all(&self, until: Timestamp) -> Result<(), StoreError> {
        let mut rows = self.rows();
        for job in rows.leases() {
            rows.take_surely(job.id, JobStateEvent::Renew { until })
                .map_err(doing("refresh the leases"))?;
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
        let doing = doing::<Failure>("cancel a build");
        let before = row.graph().map_err(&doing)?;
        let mut after = before.clone();
        after.cancel(now).map_err(|bad| doing(bad.into()))?;
        if after != before {
            row.put(&after);
        }
        self.changes.mark();
        let live = |job: &Job| match &job.state {
            JobState::Leased(attempt) => Some(*attempt),
            JobState::Queued { .. } | JobState::Done { .. } | JobState::NotRun => None,
        };
        Ok(row.jobs.iter().filter_map(live).collect())
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
    fn graph(&self) -> Result<JobGraph, Failure> {
        let nodes = self.jobs.iter().map(|job| JobNode {
            id: job.id,
            needs: job.needs.clone(),
            state: job.state.clone(),
        });
        Ok(JobGraph::new(nodes.collect())?)
    }

    fn put(&mut self, graph: &JobGraph) {
        for (job, node) in self.jobs.iter_mut().zip(graph.nodes()) {
            job.state = node.state.clone();
        }
        self.build.state = graph.state();
        self.build.finished_at = graph.finished_at();
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

    pub(super) fn live(&self, attempt: AttemptId, fence: Fence) -> Option<(&Job, &Attempt)> {
        let record = self.attempts.get(&attempt)?;
        let job = self.job(record.job)?;
        match &job.state {
            JobState::Leased(live) if live.id == attempt && live.fence == fence => {
                Some((job, live))
            }
            _ => None,
        }
    }

    /// Ends the attempts of leased jobs.
    pub(super) fn give_up(&mut self, leased: &[Job], now: Timestamp) -> Result<(), Failure> {
        for job in leased {
            if let JobState::Leased(attempt) = &job.state {
                let event = attempt.lease_end(self.losses(job.id), now);
                self.take_surely(job.id, event)?;
            }
        }
        Ok(())
    }

    pub(super) fn leases(&self) -> Vec<Job> {
        let jobs = self.builds.iter().flat_map(|row| &row.jobs);
        let leased = jobs.filter(|job| matches!(job.state, JobState::Leased(_)));
        leased.cloned().collect()
    }

    fn losses(&self, job: JobId) -> u64 {
        let attempts = self.attempts.values();
        let is_loss = |a: &&AttemptRecord| a.job == job && a.end == Some(AttemptEnd::Lost);
        attempts.filter(is_loss).count() as u64
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
        let row = self
            .builds
            .iter()
            .find(|row| row.jobs.iter().any(|job| job.id == id));
        let Some(row) = row else {
            return Ok(None);
        };
        if !is_active || !row.graph()?.is_ready(id) {
            return Ok(None);
        }
        if is_known {
            return Err(format!("there is an attempt {attempt} already").into());
        }
        let tries = self.newest_attempt(id).map_or(0, |newest| newest.fence.0);
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
        self.take_surely(id, JobStateEvent::Lease(leased))?;
        self.attempts.insert(attempt, record);
        Ok(Some(leased))
    }

    /// Lets a job take an event, and everything that follows from it.
    fn take(
        &mut self,
        id: JobId,
        event: JobStateEvent,
    ) -> Result<Result<(), BadTransition>, Failure> {
        let mut rows = self.builds.iter_mut();
        let row = rows.find(|row| row.jobs.iter().any(|job| job.id == id));
        let Some(row) = row else {
            return Err(format!("there is no job {id}").into());
        };
        let mut graph = row.graph()?;
        if let Err(bad) = graph.take(id, event) {
            return Ok(Err(bad));
        }
        row.put(&graph);
        if let Some(ending) = event.ending() {
            self.end_attempt(id, ending);
        }
        Ok(Ok(()))
    }

    /// As [`Self::take`], where the caller has seen that the job can take the event.
    fn take_surely(&mut self, id: JobId, event: JobStateEvent) -> Result<(), Failure> {
        Ok(self.take(id, event)??)
    }

    fn end_attempt(&mut self, job: JobId, ending: Ending) {
        let mut attempts = self.attempts.values_mut();
        let live = attempts.find(|attempt| attempt.job == job && attempt.end.is_none());
        let Some(live) = live else { return };
        live.end = Some(ending.by);
        if let Some(steps) = self.steps.get_mut(&live.id) {
            for state in steps.values_mut() {
                *state = state.clone().closed(ending.at, ending.close);
            }
        }
    }

    fn apply(&mut self, report: Report) -> Result<Applied, Failure> {
        let attempt = match self.turn(report.attempt, report.runner, report.fence, report.seq) {
            Ok(attempt) => attempt.clone(),
            Err(applied) => return Ok(applied),
        };
        let now = report.now;
        let taken = match report.event {
            JobEvent::Started => {
                let taken = self.take(attempt.job, JobStateEvent::Start(now))?;
                taken.map_err(|bad| bad.to_string())
            }
            JobEvent::Finished { result } => {
                let event = JobStateEvent::Finish { result, at: now };
                let taken = self.take(attempt.job, event)?;
                taken.map_err(|bad| bad.to_string())
            }
            JobEvent::StepStarted { step } => self.take_step(&attempt, step, |before| {
                StepState::started(before, report.at)
            }),
            JobEvent::StepFinished {
                step,
                result,
                receipt,
            } => self.take_step(&attempt, step, |before| {
                StepState::finished(before, report.at, result, receipt.to_string())
            }),
        };
        if let Err(why) = taken {
            return Ok(Applied::Refused(why));
        }
        if let Some(attempt) = self.attempts.get_mut(&attempt.id) {
            attempt.position = Some(report.seq);
        }
        Ok(Applied::Stored(report.seq))
    }

    fn take_step(
        &mut self,
        attempt: &AttemptRecord,
        step: StepIndex,
        after: impl FnOnce(Option<StepState>) -> Result<StepState, BadTransition>,
    ) -> Result<(), String> {
        let live = self.live(attempt.id, attempt.fence);
        let Some((job, Some(_))) = live.map(|(job, live)| (job, live.started_at)) else {
            return Err(NOT_STARTED.to_owned());
        };
        if !job.steps.iter().any(|spec| spec.index == step) {
            return Err(format!("step {step} is not one of the job's"));
        }
        let steps = self.steps.entry(attempt.id).or_default();
        let state = after(steps.get(&step).cloned());
        let state = state.map_err(|bad| format!("step {step}: {bad}"))?;
        steps.insert(step, state);
        Ok(())
    }
}
