//! Builds and their jobs.

use std::collections::BTreeMap;

use async_trait::async_trait;
use cofferdam_protocol::{BuildId, JobId, StepIndex};

use super::{BuildRow, MemoryStore, Rows};
use crate::domain::{Build, Course, Job, RepoName, StepRecord, StepReport};
use crate::store::{Admission, BuildStore, NewBuild, NewJob, StoreError};

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
        Ok(rows
            .build(build)
            .map_or(Vec::new(), |row| row.all().collect()))
    }

    async fn steps(&self, job: JobId) -> Result<Vec<StepRecord>, StoreError> {
        let rows = self.rows();
        let mut attempts: Vec<_> = rows.attempts.values().filter(|a| a.job == job).collect();
        attempts.sort_unstable_by_key(|attempt| attempt.fence);
        // A later word about a step takes the place of an earlier one.
        let words = attempts
            .into_iter()
            .filter_map(|attempt| rows.steps.get(&attempt.id))
            .flatten();
        let newest: BTreeMap<StepIndex, StepReport> = words
            .map(|(&step, report)| (step, report.clone()))
            .collect();
        let record = |(step, report)| StepRecord { step, report };
        Ok(newest.into_iter().map(record).collect())
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
        let course = new.course()?;
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
            None => Admission::New(self.insert_build(new, course)?),
        };
        if let Some(push) = settles {
            self.pushes.remove(&push);
        }
        Ok(admission)
    }

    fn insert_build(&mut self, new: NewBuild, course: Option<Course>) -> Result<Build, String> {
        let repository = &new.push.repository;
        let newest = self.builds_of(Some(repository)).next_back();
        let number = newest.map_or(0, |build| build.number) + 1;
        let build = new.build(number, course.as_ref());
        let jobs = new.plan.map_or(Vec::new(), |plan| plan.jobs);
        self.check_new_ids(build.id, &jobs)?;
        self.builds.push(BuildRow {
            build: build.clone(),
            course,
            jobs,
            log: Vec::new(),
        });
        Ok(build)
    }

    fn check_new_ids(&self, build: BuildId, jobs: &[NewJob]) -> Result<(), String> {
        if self.build(build).is_some() {
            return Err(format!("there is a build {build} already"));
        }
        for (place, job) in jobs.iter().enumerate() {
            let is_twice = jobs.iter().skip(place + 1).any(|other| other.id == job.id);
            if is_twice || self.build_of(job.id).is_some() {
                return Err(format!("there is a job {} already", job.id));
            }
        }
        Ok(())
    }
}
