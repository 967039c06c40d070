//! The store of tests and simulations: everything in memory, under one lock.
//!
//! It answers as `sqlite.rs` does and forgets all when it is dropped. Deliberately absent: any speed.

mod builds;
mod logs;
mod queue;
mod runners;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use cofferdam_protocol::{AttemptId, BuildId, JobId, LogRecord, StepIndex};
use jiff::Timestamp;

use super::changes::Changes;
use super::{
    JOB_LOG_BYTES_MAX, NewJob, NewStep, PushStore, RepositoryStore, SignedReport, Store, StoreError,
};
use crate::domain::{
    AcceptedPush, AttemptRecord, Build, Course, Job, JobStep, JoinToken, PushId, RepoName,
    ReportedPush, Repository, Runner, StepReport,
};

/// Remembers until it is dropped.
#[derive(Debug)]
pub struct MemoryStore {
    rows: Mutex<Rows>,
    changes: Changes,
    log_bytes_max: u64,
}

/// All that is remembered.
#[derive(Debug, Default)]
struct Rows {
    repositories: BTreeMap<RepoName, Repository>,
    nonces: BTreeMap<(RepoName, String), Timestamp>,
    /// Those that are not settled.
    pushes: BTreeMap<PushId, ReportedPush>,
    /// How many there have been.
    accepted: u64,
    /// In the order of admission.
    builds: Vec<BuildRow>,
    attempts: BTreeMap<AttemptId, AttemptRecord>,
    steps: BTreeMap<AttemptId, BTreeMap<StepIndex, StepReport>>,
    tokens: BTreeMap<[u8; 32], TokenRow>,
    /// In the order of joining.
    runners: Vec<Runner>,
}

#[derive(Debug)]
struct BuildRow {
    build: Build,
    /// Where its jobs stand; `None` for a build that was never planned.
    course: Option<Course>,
    /// What they are, by ordinal.
    jobs: Vec<NewJob>,
    /// In the order in which they were stored.
    log: Vec<(AttemptId, LogRecord)>,
}

#[derive(Debug)]
struct TokenRow {
    token: JoinToken,
    is_used: bool,
}

impl MemoryStore {
    /// A store that knows nothing.
    pub fn new() -> Self {
        Self::with_log_bytes_max(JOB_LOG_BYTES_MAX)
    }

    /// A store that keeps less log of a job, in bytes.
    pub(crate) fn with_log_bytes_max(log_bytes_max: u64) -> Self {
        Self {
            rows: Mutex::default(),
            changes: Changes::new(),
            log_bytes_max,
        }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows
            .lock()
            .expect("nothing panics while it holds the rows")
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Rows {
    fn build(&self, id: BuildId) -> Option<&BuildRow> {
        self.builds.iter().find(|row| row.build.id == id)
    }

    fn build_mut(&mut self, id: BuildId) -> Option<&mut BuildRow> {
        self.builds.iter_mut().find(|row| row.build.id == id)
    }

    /// The build that a job belongs to.
    fn build_of(&self, id: JobId) -> Option<&BuildRow> {
        let is_its = |row: &&BuildRow| row.jobs.iter().any(|job| job.id == id);
        self.builds.iter().find(is_its)
    }

    fn job(&self, id: JobId) -> Option<Job> {
        self.build_of(id)?.all().find(|job| job.id == id)
    }
}

impl BuildRow {
    /// Its jobs, by ordinal.
    fn all(&self) -> impl Iterator<Item = Job> {
        let course = self.course.iter();
        course.flat_map(|course| {
            let jobs = (0..).zip(&self.jobs).zip(&course.progress().outline().jobs);
            jobs.filter_map(|((ordinal, job), outlined)| {
                let step = |(place, step): (usize, &NewStep)| {
                    Some(JobStep {
                        spec: step.spec.clone(),
                        skip: step.skip.clone(),
                        state: course.step(job.id, place)?,
                    })
                };
                Some(Job {
                    id: job.id,
                    build: self.build.id,
                    ordinal,
                    needs: outlined.needs.clone(),
                    is_final: outlined.is_final,
                    runs_on: job.runs_on.clone(),
                    steps: job.steps.iter().enumerate().filter_map(step).collect(),
                    state: course.state_of(job.id)?,
                })
            })
        })
    }
}

#[async_trait]
impl Store for MemoryStore {
    // Nothing is ever under way here, and no test asks after the end.
    async fn close(&self) {}
}

#[async_trait]
impl RepositoryStore for MemoryStore {
    async fn add_repository(&self, repository: &Repository) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let is_new = !rows.repositories.contains_key(&repository.name);
        if is_new {
            let name = repository.name.clone();
            rows.repositories.insert(name, repository.clone());
        }
        Ok(is_new)
    }

    async fn repository(&self, name: &RepoName) -> Result<Option<Repository>, StoreError> {
        Ok(self.rows().repositories.get(name).cloned())
    }

    async fn repositories(&self) -> Result<Vec<Repository>, StoreError> {
        Ok(self.rows().repositories.values().cloned().collect())
    }
}

#[async_trait]
impl PushStore for MemoryStore {
    async fn accept(
        &self,
        report: SignedReport,
        now: Timestamp,
    ) -> Result<Option<Vec<AcceptedPush>>, StoreError> {
        let SignedReport {
            repository,
            nonce,
            expires_at,
            pushes,
        } = report;
        let mut rows = self.rows();
        if !rows.repositories.contains_key(&repository) {
            let why = format!("there is no repository {repository}");
            return Err(StoreError::new("accept a report", why));
        }
        rows.nonces.retain(|_, expires_at| *expires_at >= now);
        let key = (repository, nonce);
        if rows.nonces.contains_key(&key) {
            return Ok(None);
        }
        rows.nonces.insert(key, expires_at);
        let mut accepted = Vec::with_capacity(pushes.len());
        for reported in pushes {
            rows.accepted += 1;
            let id = PushId(rows.accepted);
            rows.pushes.insert(id, reported.clone());
            let ReportedPush { push, before } = reported;
            accepted.push(AcceptedPush { id, push, before });
        }
        Ok(Some(accepted))
    }

    async fn unsettled(&self) -> Result<Vec<AcceptedPush>, StoreError> {
        let rows = self.rows();
        let pushes = rows.pushes.iter();
        let accepted = pushes.map(|(&id, reported)| AcceptedPush {
            id,
            push: reported.push.clone(),
            before: reported.before.clone(),
        });
        Ok(accepted.collect())
    }

    async fn settle(&self, push: PushId) -> Result<(), StoreError> {
        self.rows().pushes.remove(&push);
        Ok(())
    }
}
