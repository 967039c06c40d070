//! What is known of a run at one moment: every step's state and the folded log of those that run.
//!
//! [`Model::apply`] is the only change. An event that names an unknown step changes nothing.

mod fold;
mod lines;

use std::collections::BTreeMap;
use std::time::Duration;

pub(super) use self::fold::Fold;
pub(super) use self::lines::Splitter;
use super::commands::Commands;
use super::event::{Event, Outcome, Row, RunState};

/// Most artifacts that are listed by name; more are counted. A screen full, for a glob may match thousands.
const ARTIFACTS_LISTED_MAX: usize = 20;

/// A run at one moment.
#[derive(Debug, Default)]
pub struct Model {
    pub(super) pipeline: String,
    pub(super) commit: String,
    pub(super) commands: Commands,
    pub(super) steps: BTreeMap<u16, Step>,
    pub(super) artifacts: Vec<Artifact>,
    pub(super) artifacts_unlisted: usize,
    pub(super) is_cancelling: bool,
    pub(super) asked: Option<u16>,
    pub(super) ended: Option<(RunState, Duration)>,
}

/// A step at one moment.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) row: Row,
    /// What people see it called: its name, with its number where others are called the same.
    pub(super) name: String,
    pub(super) state: State,
    pub(super) fold: Fold,
    pub(super) log_path: Option<String>,
}

/// Where a step stands.
#[derive(Debug)]
pub(super) enum State {
    Pending,
    Waiting {
        why: String,
    },
    Asked,
    Running {
        since: Duration,
    },
    Ended {
        outcome: Outcome,
        took: Option<Duration>,
    },
}

/// A file that a step left.
#[derive(Debug)]
pub(super) struct Artifact {
    pub(super) step: u16,
    pub(super) path: String,
    pub(super) bytes: u64,
}

impl Model {
    /// Takes an event that happened `at` this long after the run began.
    pub fn apply(&mut self, at: Duration, event: &Event) {
        match event {
            Event::Began {
                pipeline,
                commit,
                commands,
                steps,
            } => {
                self.pipeline.clone_from(pipeline);
                self.commit.clone_from(commit);
                self.commands.clone_from(commands);
                self.steps = steps_of(steps);
            }
            Event::StepStarted { index } => self.change(*index, |step| {
                // What was said before the start, such as a pulled image, belongs to it; a try before does not.
                if matches!(step.state, State::Ended { .. }) {
                    step.fold = Fold::default();
                }
                step.state = State::Running { since: at };
            }),
            Event::Log {
                index,
                origin,
                bytes,
            } => self.change(*index, |step| match step.state {
                State::Ended { .. } => {}
                _ => step.fold.take(*origin, bytes),
            }),
            Event::StepEnded {
                index,
                outcome,
                log,
            } => self.change(*index, |step| step.end(at, outcome, log.as_ref())),
            Event::Waiting { index, why } => self.change(*index, |step| {
                step.state = State::Waiting { why: why.clone() };
            }),
            Event::Asked { index } => {
                self.change(*index, |step| step.state = State::Asked);
                self.asked = Some(*index);
            }
            Event::Artifact { index, path, bytes } => self.keep_artifact(*index, path, *bytes),
            Event::Cancelling => {
                self.is_cancelling = true;
                self.asked = None;
            }
            Event::Ended { state } => {
                self.ended = Some((*state, at));
                self.asked = None;
            }
        }
    }

    /// The folded log of a step, which is forgotten.
    pub(super) fn take_fold(&mut self, index: u16) -> Fold {
        let step = self.steps.get_mut(&index);
        step.map(|step| std::mem::take(&mut step.fold))
            .unwrap_or_default()
    }

    /// How many steps are over, and how many of those badly.
    pub(super) fn ended_counts(&self) -> (usize, usize) {
        let outcomes = || self.steps.values().filter_map(Step::outcome);
        let bad = outcomes().filter(|outcome| outcome.is_bad()).count();
        (outcomes().count(), bad)
    }

    /// The steps that run.
    pub(super) fn running(&self) -> impl Iterator<Item = (&Step, Duration)> {
        self.steps.values().filter_map(|step| match step.state {
            State::Running { since } => Some((step, since)),
            _ => None,
        })
    }

    /// Changes a step; whatever happens to one that was asked for is the answer.
    fn change(&mut self, index: u16, change: impl FnOnce(&mut Step)) {
        if let Some(step) = self.steps.get_mut(&index) {
            change(step);
            if self.asked == Some(index) && !matches!(step.state, State::Asked) {
                self.asked = None;
            }
        }
    }

    fn keep_artifact(&mut self, step: u16, path: &str, bytes: u64) {
        if self.artifacts.len() == ARTIFACTS_LISTED_MAX {
            self.artifacts_unlisted += 1;
            return;
        }
        self.artifacts.push(Artifact {
            step,
            path: path.to_owned(),
            bytes,
        });
    }
}

impl Step {
    /// How it ended, if it did.
    pub(super) const fn outcome(&self) -> Option<&Outcome> {
        match &self.state {
            State::Ended { outcome, .. } => Some(outcome),
            _ => None,
        }
    }

    /// How long it ran, if it is over and ever started.
    pub(super) const fn took(&self) -> Option<Duration> {
        match self.state {
            State::Ended { took, .. } => took,
            _ => None,
        }
    }

    fn end(&mut self, at: Duration, outcome: &Outcome, log: Option<&String>) {
        let took = match self.state {
            State::Running { since } => Some(at.saturating_sub(since)),
            _ => None,
        };
        self.log_path = log.cloned();
        self.state = State::Ended {
            outcome: outcome.clone(),
            took,
        };
        if outcome.is_bad() {
            self.fold.close();
        } else {
            self.fold = Fold::default();
        }
    }
}

/// The steps by number, each with a name that no other has.
fn steps_of(rows: &[Row]) -> BTreeMap<u16, Step> {
    let mut namesakes = BTreeMap::<&str, usize>::new();
    for row in rows {
        *namesakes.entry(&row.name).or_default() += 1;
    }
    let step = |row: &Row| Step {
        row: row.clone(),
        name: if namesakes[row.name.as_str()] > 1 || row.name.trim().is_empty() {
            format!("{} #{}", row.name, u32::from(row.index) + 1)
        } else {
            row.name.clone()
        },
        state: State::Pending,
        fold: Fold::default(),
        log_path: None,
    };
    rows.iter().map(|row| (row.index, step(row))).collect()
}
