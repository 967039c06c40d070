//! Which job goes to which runner. Pure: the same arguments give the same answer, in the same order.

use std::collections::BTreeMap;

use cofferdam_protocol::{JobId, RunnerId};

use crate::domain::RepoName;

/// A job that could start now. Given in the order of the queue: oldest build first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which job.
    pub job: JobId,
    /// Whose it is, for fairness.
    pub repository: RepoName,
    /// Labels that its runner must have, all of them.
    pub runs_on: Vec<String>,
}

/// A runner that is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnlineRunner {
    /// Which runner.
    pub id: RunnerId,
    /// What people call it.
    pub name: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// How many more jobs it takes.
    pub free_slots: u16,
    /// Jobs that it declined lately, each with its reason. They are not offered to it for a while.
    pub declined: BTreeMap<JobId, String>,
}

/// A job for a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Assignment {
    /// Which job.
    pub job: JobId,
    /// Which runner.
    pub runner: RunnerId,
}

/// Picks a runner for as many jobs as there is room for.
///
/// Repositories take turns, so that one with a hundred jobs in the queue does not hold up another's only
/// one; within a repository the oldest build comes first. A job goes to the fitting runner with the most
/// free slots, then to the one with the fewest labels (which leaves the special ones free), then to the
/// one with the smallest id.
pub fn decide(queue: &[Waiting], online: &[OnlineRunner]) -> Vec<Assignment> {
    let mut runners: Vec<OnlineRunner> = online.to_vec();
    let mut assignments = Vec::new();
    for waiting in in_turns(queue) {
        let best = runners
            .iter_mut()
            .filter(|runner| runner.free_slots > 0 && runner.takes(waiting))
            .min_by_key(|runner| (u16::MAX - runner.free_slots, runner.labels.len(), runner.id));
        if let Some(runner) = best {
            runner.free_slots -= 1;
            assignments.push(Assignment {
                job: waiting.job,
                runner: runner.id,
            });
        }
    }
    assignments
}

/// Why a job waits, as a sentence for people. Jobs it needs are somebody else's to explain.
pub fn why_waiting(waiting: &Waiting, online: &[OnlineRunner]) -> String {
    if online.is_empty() {
        return "no runner is online".to_owned();
    }
    let fitting: Vec<&OnlineRunner> = online
        .iter()
        .filter(|runner| fits(&waiting.runs_on, &runner.labels))
        .collect();
    if fitting.is_empty() {
        let labels = waiting.runs_on.join(", ");
        return format!("no online runner has the labels {labels}");
    }
    let mut willing = fitting
        .iter()
        .filter(|runner| runner.takes(waiting))
        .peekable();
    if willing.peek().is_none() {
        let first = fitting.iter().find_map(|runner| {
            let why = runner.declined.get(&waiting.job)?;
            Some(format!("the runner {} declined it: {why}", runner.name))
        });
        return first.unwrap_or_else(|| "no runner takes it".to_owned());
    }
    if willing.all(|runner| runner.free_slots == 0) {
        return "all runners that could take it are busy".to_owned();
    }
    "it is about to be handed to a runner".to_owned()
}

impl OnlineRunner {
    fn takes(&self, waiting: &Waiting) -> bool {
        fits(&waiting.runs_on, &self.labels) && !self.declined.contains_key(&waiting.job)
    }
}

/// Bitbucket's files name this label beside their own, and every runner of ours is one's own host
/// (<https://support.atlassian.com/bitbucket-cloud/docs/configure-your-runner-in-bitbucket-pipelines-yml/>).
const SELF_HOSTED: &str = "self.hosted";

fn fits(runs_on: &[String], labels: &[String]) -> bool {
    runs_on
        .iter()
        .all(|wanted| wanted == SELF_HOSTED || labels.contains(wanted))
}

/// The first job of each repository, then the second of each, and so on; repositories in the order of
/// their first job.
fn in_turns(queue: &[Waiting]) -> Vec<&Waiting> {
    let mut taken: BTreeMap<&RepoName, usize> = BTreeMap::new();
    let mut turns: Vec<(usize, usize)> = Vec::with_capacity(queue.len());
    for (place, waiting) in queue.iter().enumerate() {
        let turn = taken.entry(&waiting.repository).or_default();
        turns.push((*turn, place));
        *turn += 1;
    }
    turns.sort_unstable();
    turns
        .into_iter()
        .filter_map(|(_, place)| queue.get(place))
        .collect()
}

#[cfg(test)]
mod tests;
