//! The jobs of one build together: what the end of one means for the others and for the build.
//!
//! Pure. Both stores load a build's jobs into a graph, let it take an event, and store what changed.

use cofferdam_protocol::JobId;
use cofferdam_protocol::report::JobResult;
use jiff::Timestamp;

use super::BuildState;
use super::job::{BadTransition, JobState, JobStateEvent};

/// A job, as far as the others are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobNode {
    /// Names it.
    pub id: JobId,
    /// The ordinals of the jobs that must pass before it may start.
    pub needs: Vec<u32>,
    /// Where it stands.
    pub state: JobState,
}

/// All jobs of a build by ordinal. Each needs only jobs before it, so the graph has no cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobGraph {
    nodes: Vec<JobNode>,
}

/// A list of jobs that is not a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("job {ordinal} needs job {need}, which does not come before it")]
pub struct BadGraph {
    /// Which job.
    pub ordinal: usize,
    /// What it needs.
    pub need: u32,
}

impl JobGraph {
    /// The graph of these jobs, which stand in the order of their ordinals.
    pub fn new(nodes: Vec<JobNode>) -> Result<Self, BadGraph> {
        for (ordinal, node) in nodes.iter().enumerate() {
            if let Some(&need) = node.needs.iter().find(|&&need| need as usize >= ordinal) {
                return Err(BadGraph { ordinal, need });
            }
        }
        Ok(Self { nodes })
    }

    /// The jobs, by ordinal.
    pub fn nodes(&self) -> &[JobNode] {
        &self.nodes
    }

    /// Lets one job take an event. If it ends otherwise than passed, every queued job that needs it,
    /// directly or through others, is skipped.
    pub fn take(&mut self, id: JobId, event: JobStateEvent) -> Result<(), BadTransition> {
        let node = self.nodes.iter_mut().find(|node| node.id == id);
        let node = node.ok_or(BadTransition {
            of: "job",
            from: "not in this build",
            event: event.name(),
        })?;
        node.state = node.state.clone().after(event)?;
        self.skip_hopeless()
    }

    /// Cancels the build: ends every queued job, marks every leased one. Changes nothing that is over.
    pub fn cancel(&mut self, at: Timestamp) -> Result<(), BadTransition> {
        for node in self.nodes.iter_mut().filter(|node| !node.state.is_over()) {
            node.state = node.state.clone().after(JobStateEvent::Cancel { at })?;
        }
        Ok(())
    }

    /// Whether this job is queued and every job that it needs has passed.
    pub fn is_ready(&self, id: JobId) -> bool {
        let node = self.nodes.iter().find(|node| node.id == id);
        node.is_some_and(|node| {
            matches!(node.state, JobState::Queued { .. })
                && self.needed_by(node).all(|needed| needed.state.is_passed())
        })
    }

    /// Where the build stands. While a job is not over: `Running` if one runs or has ended, else `Queued`
    /// (also again, when the only job that ran was lost). Then the worst end counts: `Failed`, which its
    /// author must mend and no retry will, before `Error`, before `Cancelled`. A job that was not run
    /// adds nothing: the one because of which it was not is counted.
    pub fn state(&self) -> BuildState {
        let is_any = |test: fn(&JobState) -> bool| self.nodes.iter().any(|n| test(&n.state));
        let is_any_done = |result: JobResult| {
            let is_it =
                |n: &JobNode| matches!(n.state, JobState::Done { result: r, .. } if r == result);
            self.nodes.iter().any(is_it)
        };
        if is_any(|state| !state.is_over()) {
            let is_begun = |state: &JobState| {
                state.is_over() || matches!(state, JobState::Leased(a) if a.started_at.is_some())
            };
            if is_any(is_begun) {
                BuildState::Running
            } else {
                BuildState::Queued
            }
        } else if is_any_done(JobResult::Failed) {
            BuildState::Failed
        } else if is_any_done(JobResult::Error) {
            BuildState::Error
        } else if is_any_done(JobResult::Cancelled) {
            BuildState::Cancelled
        } else {
            BuildState::Passed
        }
    }

    /// When the last job ended, once all are over.
    pub fn finished_at(&self) -> Option<Timestamp> {
        let ended_at = |node: &JobNode| match node.state {
            JobState::Done { at, .. } => Some(at),
            JobState::Queued { .. } | JobState::Leased(_) | JobState::NotRun => None,
        };
        let last = self.nodes.iter().filter_map(ended_at).max();
        last.filter(|_| self.state().is_over())
    }

    // Needs point backwards, so one pass forwards reaches also what needs a job that is skipped here.
    fn skip_hopeless(&mut self) -> Result<(), BadTransition> {
        for ordinal in 0..self.nodes.len() {
            let (before, rest) = self.nodes.split_at_mut(ordinal);
            let Some(node) = rest.first_mut() else { break };
            let is_hopeless =
                |needed: &JobNode| needed.state.is_over() && !needed.state.is_passed();
            let mut needed = node
                .needs
                .iter()
                .filter_map(|&need| before.get(need as usize));
            if matches!(node.state, JobState::Queued { .. }) && needed.any(is_hopeless) {
                node.state = node.state.clone().after(JobStateEvent::Skip)?;
            }
        }
        Ok(())
    }

    fn needed_by<'a>(&'a self, node: &'a JobNode) -> impl Iterator<Item = &'a JobNode> {
        let needs = node.needs.iter();
        needs.filter_map(|&need| self.nodes.get(need as usize))
    }
}
