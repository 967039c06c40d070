//! The items of a pipeline → jobs that know which jobs they need. The last station.
//!
//! Consecutive steps that any one runner can take become one job, so that a chain of small steps needs no round trip.
//! Fusing changes speed only: each step keeps its own entry in the plan.

mod changes;
pub(crate) mod model;

use crate::diagnostic::Report;
use crate::plan::{CustomVariable, Deployment, JobPlan, ParallelPlace, Plan, StepPlan};
use crate::push::ChangedFiles;
use changes::Changes;
use model::{Item, Pipeline, Step};

/// The pipeline of a push, as `select` chose it.
#[derive(Debug)]
pub(crate) struct Selected<'a> {
    /// `default`, or `branches › feature/*`.
    pub(crate) label: String,
    pub(crate) pipeline: &'a Pipeline,
    /// With the values of this build.
    pub(crate) variables: Vec<CustomVariable>,
}

/// Plans the selected pipeline.
pub(crate) fn plan(selected: Selected<'_>, changed: ChangedFiles<'_>, report: &mut Report) -> Plan {
    let Selected {
        label,
        pipeline,
        variables,
    } = selected;
    let mut graph = Graph {
        changes: Changes::new(changed),
        report,
        jobs: Vec::new(),
        frontier: Vec::new(),
        appendable: None,
        steps: 0,
        groups: 0,
        stages: 0,
    };
    graph.add(pipeline);
    Plan {
        selected: label,
        variables,
        jobs: graph.jobs,
    }
}

struct Graph<'a> {
    changes: Changes<'a>,
    report: &'a mut Report,
    jobs: Vec<JobPlan>,
    /// The jobs that the next job has to wait for.
    frontier: Vec<usize>,
    /// The last job, as long as a step may still be appended to it.
    appendable: Option<usize>,
    steps: u16,
    groups: u16,
    stages: usize,
}

impl Graph<'_> {
    fn add(&mut self, pipeline: &Pipeline) {
        for item in &pipeline.items {
            match item {
                Item::Step(step) => self.chain(step, None),
                Item::Parallel { steps, fail_fast } => self.fan_out(steps, *fail_fast),
                Item::Stage {
                    name,
                    steps,
                    deployment,
                } => self.stage(name.as_deref(), steps, deployment.as_ref()),
                Item::Final(_) => {}
            }
        }
        for item in &pipeline.items {
            if let Item::Final(step) = item {
                self.last(step);
            }
        }
    }

    fn stage(&mut self, name: Option<&str>, steps: &[Step], deployment: Option<&Deployment>) {
        self.stages += 1;
        let name = name.map_or_else(|| format!("Stage {}", self.stages), str::to_owned);
        self.appendable = None;
        for step in steps {
            self.chain(step, Some(&name));
            if let Some(job) = self.frontier.first()
                && let Some(planned) = self.jobs[*job].steps.last_mut()
                && planned.deployment.is_none()
            {
                planned.deployment = deployment.cloned();
            }
        }
        self.appendable = None;
    }

    /// A step after all that came before.
    fn chain(&mut self, step: &Step, stage: Option<&str>) {
        let planned = self.planned(step);
        match self.appendable {
            Some(job) if !step.stands_alone() && self.jobs[job].runs_on == step.runs_on => {
                self.jobs[job].steps.push(planned);
            }
            _ => {
                let job = self.begin(planned, step, stage);
                self.frontier = vec![job];
                // Behind a person's word a stage goes on by itself; other builds are kept out of one step only.
                let is_open = !step.stands_alone() || (stage.is_some() && is_only_manual(step));
                self.appendable = is_open.then_some(job);
            }
        }
    }

    /// Steps beside each other, each a job of its own.
    fn fan_out(&mut self, steps: &[Step], fail_fast: bool) {
        let group = self.groups;
        // The reader keeps a pipeline far below 65,536 groups, and a group far below as many branches.
        self.groups = self.groups.saturating_add(1);
        let number = |index: usize| u16::try_from(index).unwrap_or(u16::MAX);
        let mut branches = Vec::with_capacity(steps.len());
        for (place, step) in steps.iter().enumerate() {
            let mut planned = self.planned(step);
            planned.fail_fast = step.fail_fast.unwrap_or(fail_fast);
            planned.group = Some(ParallelPlace {
                group,
                place: number(place),
                count: number(steps.len()),
                fail_fast,
            });
            branches.push(self.begin(planned, step, None));
        }
        self.frontier = branches;
        self.appendable = None;
    }

    /// A step after everything. It needs every job, because after a failure the last ones may end before the others.
    fn last(&mut self, step: &Step) {
        let mut planned = self.planned(step);
        planned.is_final = true;
        self.frontier = (0..self.jobs.len()).collect();
        let job = self.begin(planned, step, None);
        self.frontier = vec![job];
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
        let skip = step
            .condition
            .as_ref()
            .and_then(|condition| self.changes.skip(condition, self.report));
        StepPlan {
            index,
            name: step
                .name
                .clone()
                .unwrap_or_else(|| format!("Step {}", u32::from(index) + 1)),
            line: step.line,
            max_time_secs: step.max_time_secs,
            retry: step.retry.clone(),
            group: None,
            fail_fast: step.fail_fast.unwrap_or(false),
            is_final: false,
            manual: step.manual,
            condition: step.condition.clone(),
            skip,
            artifacts: step.artifacts.clone(),
            caches: step.caches.clone(),
            services: step.services.clone(),
            deployment: step.deployment.clone(),
            concurrency_group: step.concurrency_group.clone(),
            clone: step.clone.clone(),
            oidc: step.oidc,
            kind: step.kind.clone(),
        }
    }
}

fn is_only_manual(step: &Step) -> bool {
    step.deployment.is_none() && step.concurrency_group.is_none()
}
