//! The items of a pipeline → jobs that know which jobs they need. The last station.
//!
//! Consecutive steps that any one runner can take become one job, so that a chain of small steps needs no round trip.
//! Fusing changes speed only: each step keeps its own entry in the plan.

pub(crate) mod model;

use crate::plan::{JobPlan, Plan, StepPlan};
use model::{Item, Pipeline, Step};

/// The pipeline of a push, as `select` chose it.
#[derive(Debug)]
pub(crate) struct Selected<'a> {
    /// `default`, or `branches › feature/*`.
    pub(crate) label: String,
    pub(crate) pipeline: &'a Pipeline,
}

/// Plans the selected pipeline.
pub(crate) fn plan(selected: &Selected<'_>) -> Plan {
    let Selected { label, pipeline } = selected;
    let mut graph = Graph::default();
    graph.add(pipeline);
    Plan {
        selected: label.clone(),
        jobs: graph.jobs,
    }
}

#[derive(Default)]
struct Graph {
    jobs: Vec<JobPlan>,
    /// The jobs that the next job has to wait for.
    frontier: Vec<usize>,
    /// The last job, as long as a step may still be appended to it.
    appendable: Option<usize>,
    steps: u16,
    stages: usize,
}

impl Graph {
    fn add(&mut self, pipeline: &Pipeline) {
        for item in &pipeline.items {
            match item {
                Item::Step(step) => self.chain(step, None),
                Item::Parallel(steps) => self.fan_out(steps),
                Item::Stage { name, steps } => {
                    self.stages += 1;
                    let name = name
                        .clone()
                        .unwrap_or_else(|| format!("Stage {}", self.stages));
                    self.appendable = None;
                    for step in steps {
                        self.chain(step, Some(&name));
                    }
                    self.appendable = None;
                }
            }
        }
    }

    /// A step after all that came before.
    fn chain(&mut self, step: &Step, stage: Option<&str>) {
        let planned = self.planned(step);
        match self.appendable {
            Some(job) if !step.stands_alone && self.jobs[job].runs_on == step.runs_on => {
                self.jobs[job].steps.push(planned);
            }
            _ => {
                let job = self.begin(planned, step, stage);
                self.frontier = vec![job];
                self.appendable = (!step.stands_alone).then_some(job);
            }
        }
    }

    /// Steps beside each other, each a job of its own.
    fn fan_out(&mut self, steps: &[Step]) {
        let branches = steps
            .iter()
            .map(|step| {
                let planned = self.planned(step);
                self.begin(planned, step, None)
            })
            .collect();
        self.frontier = branches;
        self.appendable = None;
    }

    fn begin(&mut self, planned: StepPlan, step: &Step, stage: Option<&str>) -> usize {
        self.jobs.push(JobPlan {
            needs: self.frontier.clone(),
            stage: stage.map(str::to_owned),
            runs_on: step.runs_on.clone(),
            steps: vec![planned],
        });
        self.jobs.len() - 1
    }

    fn planned(&mut self, step: &Step) -> StepPlan {
        let index = self.steps;
        // The reader keeps a pipeline far below 65,536 steps.
        self.steps = self.steps.saturating_add(1);
        StepPlan {
            index,
            name: step
                .name
                .clone()
                .unwrap_or_else(|| format!("Step {}", u32::from(index) + 1)),
            line: step.line,
            max_time_secs: step.max_time_secs,
            retry: step.retry.clone(),
            kind: step.kind.clone(),
        }
    }
}
