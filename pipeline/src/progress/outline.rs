//! What a build consists of, as far as its progress is concerned.
//!
//! Made from a plan, once; the machine never changes it.

use std::fmt;

/// The jobs and groups of a build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// Never empty; a job comes after every job it needs.
    pub jobs: Vec<OutlineJob>,
    pub groups: Vec<Group>,
}

/// A chain of steps that one runner executes in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutlineJob {
    /// The jobs that must have ended well first, as indices into [`Outline::jobs`]; all of them smaller than the own one.
    /// A final job waits for all others whatever stands here.
    pub needs: Vec<usize>,
    /// Never empty.
    pub steps: Vec<OutlineStep>,
    /// The parallel group that it is a branch of.
    pub group: Option<GroupPlace>,
    /// Runs after all others, whatever became of them. At most one job, and neither manual nor in a group nor needed by
    /// another ("Introducing Final Steps in Bitbucket Pipelines": no `trigger`, no `fail-fast`).
    pub is_final: bool,
}

/// Where a job stands in a parallel group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupPlace {
    /// An index into [`Outline::groups`].
    pub group: u16,
}

/// A parallel group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Group {
    /// Whether the failure of any of its steps stops the whole group ("Parallel step options").
    pub fail_fast: bool,
}

/// One step of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutlineStep {
    /// Waits for a person. Only the first step of a job can.
    pub manual: bool,
    /// Its condition says no. When its turn comes it is skipped, and nobody is asked about it.
    pub skip: bool,
    /// Its failure stops the group of its job, even if the group as a whole is not fail-fast ("Parallel step options").
    /// Without meaning in a job of no group.
    pub fail_fast: bool,
}

/// Names a job by its place in [`Outline::jobs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobIndex(pub usize);

impl fmt::Display for JobIndex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "job {}", self.0)
    }
}

/// Names a step by its job and its place in it, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepPlace {
    pub job: JobIndex,
    pub step: usize,
}

impl fmt::Display for StepPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "step {} of {}", self.step, self.job)
    }
}

/// An outline that is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadOutline {
    #[error("the outline has no job")]
    NoJobs,
    #[error("{job} has no step")]
    NoSteps { job: JobIndex },
    #[error("{job} needs job {need}, which does not come before it")]
    NeedNotBefore { job: JobIndex, need: usize },
    #[error("{at} is manual, but not the first of its job")]
    ManualNotFirst { at: StepPlace },
    #[error("{job} is in group {group}, which does not exist")]
    NoSuchGroup { job: JobIndex, group: u16 },
    #[error("{job} is final, and so is {first}")]
    SecondFinal { job: JobIndex, first: JobIndex },
    #[error("{job} is final and manual")]
    FinalIsManual { job: JobIndex },
    #[error("{job} is final and in a group")]
    FinalInGroup { job: JobIndex },
    #[error("{job} needs {needed}, which is final")]
    FinalIsNeeded { job: JobIndex, needed: JobIndex },
}

impl Outline {
    /// Whether a step stands in this place.
    pub(super) fn has(&self, at: StepPlace) -> bool {
        self.jobs
            .get(at.job.0)
            .is_some_and(|job| at.step < job.steps.len())
    }

    pub(super) fn final_job(&self) -> Option<usize> {
        self.jobs.iter().position(|job| job.is_final)
    }

    pub(super) fn check(&self) -> Result<(), BadOutline> {
        if self.jobs.is_empty() {
            return Err(BadOutline::NoJobs);
        }
        for (index, job) in self.jobs.iter().enumerate() {
            self.check_job(JobIndex(index), job)?;
            if job.is_final {
                self.check_final(JobIndex(index), job)?;
            }
        }
        Ok(())
    }

    fn check_job(&self, index: JobIndex, job: &OutlineJob) -> Result<(), BadOutline> {
        if job.steps.is_empty() {
            return Err(BadOutline::NoSteps { job: index });
        }
        if let Some(&need) = job.needs.iter().find(|&&need| need >= index.0) {
            return Err(BadOutline::NeedNotBefore { job: index, need });
        }
        if let Some(&need) = job.needs.iter().find(|&&need| self.jobs[need].is_final) {
            return Err(BadOutline::FinalIsNeeded {
                job: index,
                needed: JobIndex(need),
            });
        }
        if let Some(late) = job.steps.iter().skip(1).position(|step| step.manual) {
            let at = StepPlace {
                job: index,
                step: late + 1,
            };
            return Err(BadOutline::ManualNotFirst { at });
        }
        match job.group {
            Some(GroupPlace { group }) if usize::from(group) >= self.groups.len() => {
                Err(BadOutline::NoSuchGroup { job: index, group })
            }
            _ => Ok(()),
        }
    }

    fn check_final(&self, index: JobIndex, job: &OutlineJob) -> Result<(), BadOutline> {
        match self.final_job() {
            Some(first) if first != index.0 => Err(BadOutline::SecondFinal {
                job: index,
                first: JobIndex(first),
            }),
            _ if job.steps[0].manual => Err(BadOutline::FinalIsManual { job: index }),
            _ if job.group.is_some() => Err(BadOutline::FinalInGroup { job: index }),
            _ => Ok(()),
        }
    }
}
