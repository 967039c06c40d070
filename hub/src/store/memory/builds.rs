//! Builds and their jobs.

use async_trait::async_trait;
use cofferdam_protocol::{BuildId, JobId};

use super::{BuildRow, MemoryStore, Rows};
use crate::domain::{Build, Job, JobState, RepoName, StepRecord};
use crate::store::{Admission, BuildStore, NewBuild, StoreError};

#[async_trait]
impl BuildStore for MemoryStore {
    async fn admit(&self, new: NewBuild) -> Result<Admission, StoreError> {
        let admission = self.rows().admit(new);
        let admission = admission.map_err(|why| StoreError::new("admit a build", why))?;
        if let Admission::New(_) = admission {
            self.changes.mark();
        }
        Ok(admission)
    }

    async fn build(&self, id: BuildId) -> Result<Option<Build>, StoreError> {
        Ok(self.rows().build(id).map(|row| row.build.clone()))
    }

    async fn build_by_number(
        &self,
        repository: &RepoName,
        number: u64,
    ) -> Result<Option<Build>, StoreError> {
        let rows = self.rows();
        let mut builds = rows.builds_of(Some(repository));
        Ok(builds.find(|build| build.number == number).cloned())
    }

    async fn builds(
        &self,
        repository: Option<&RepoName>,
        limit: u32,
    ) -> Result<Vec<Build>, StoreError> {
        let rows = self.rows();
        let newest = rows.builds_of(repository).rev().take(limit as usize);
        Ok(newest.cloned().collect())
    }

    async fn jobs(&self, build: BuildId) -> Result<Vec<Job>, StoreError> {
        let rows = self.rows();
        Ok(rows.build(build).map_or(Vec::new(), |row| row.jobs.clone()))
    }

    async fn steps(&self, job: JobId) -> Result<Vec<StepRecord>, StoreError> {
        let rows = self.rows();
        let attempt = rows.newest_attempt(job);
        let steps = attempt.and_then(|attempt| rows.steps.get(&attempt.id));
        let record = |(&step, state): (_, &crate::domain::StepState)| StepRecord {
            step,
            state: state.clone(),
        };
        Ok(steps.map_or(Vec::new(), |steps| steps.iter().map(record).collect()))
    }
}

impl Rows {
    fn builds_of<'a>(
        &'a self,
        repository: Option<&'a RepoName>,
    ) -> impl DoubleEndedIterator<Item = &'a Build> {
        let builds = self.builds.iter().map(|row| &row.build);
        builds.filter(move |build| repository.is_none_or(|name| build.push.repository == *name))
    }

    fn admit(
        &mut self,
        new: NewBuild,
    ) -> Result<Admission, Box<dyn std::error::Error + Send + Sync>> {
        new.check()?;
        let repository = &new.push.repository;
        if !self.repositories.contains_key(repository) {
            return Err(format!("there is no repository {repository}").into());
        }
        let is_same = |build: &&Build| {
            build.push.reference == new.push.reference && build.push.commit == new.push.commit
        };
        let known = self.builds_of(Some(repository)).find(is_same).cloned();
        let settles = new.settles;
        let admission = match known {
            Some(known) => Admission::Known(known),
            None => Admission::New(self.insert_build(new)?),
        };
        if let Some(push) = settles {
            self.pushes.remove(&push);
        }
        Ok(admission)
    }

    fn insert_build(&mut self, new: NewBuild) -> Result<Build, String> {
        let repository = &new.push.repository;
        let newest = self.builds_of(Some(repository)).next_back();
        let build = new.build(newest.map_or(0, |build| build.number) + 1);
        let jobs = (0..)
            .zip(new.jobs.unwrap_or_default())
            .map(|(ordinal, job)| Job {
                id: job.id,
                build: build.id,
                ordinal,
                needs: job.needs,
                runs_on: job.runs_on,
                steps: job.steps,
                state: JobState::Queued { attempts: 0 },
            });
        let jobs: Vec<Job> = jobs.collect();
        self.check_new_ids(build.id, &jobs)?;
        self.builds.push(BuildRow {
            build: build.clone(),
            jobs,
            log: Vec::new(),
        });
        Ok(build)
    }

    fn check_new_ids(&self, build: BuildId, jobs: &[Job]) -> Result<(), String> {
        if self.build(build).is_some() {
            return Err(format!("there is a build {build} already"));
        }
        for (place, job) in jobs.iter().enumerate() {
            let is_twice = jobs.iter().skip(place + 1).any(|other| other.id == job.id);
            if is_twice || self.job(job.id).is_some() {
                return Err(format!("there is a job {} already", job.id));
            }
        }
        Ok(())
    }
}
