//! One attempt of a job, from its plan to its last report. Reads like the walk: fetch, then for each
//! step a clean workspace, the executor, and what it said.

pub mod plan;

use std::sync::Arc;

use cofferdam_git::Commit;
use cofferdam_protocol::report::{JobEvent, JobResult, StepResult};
use cofferdam_protocol::{AttemptId, StepIndex};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::plan::Plan;
use crate::checkout::{CheckoutError, Checkouts};
use crate::clock::Clock;
use crate::log::{StepLog, say};
use crate::outbox::Outbox;
use crate::slots::Slot;
use crate::step::{Site, StepEnd, Steps, tell_the_end};

/// Runs jobs. One for the life of the runner; jobs run beside each other.
#[derive(Debug)]
pub struct Jobs {
    /// Runs their steps.
    pub steps: Steps,
    /// Where everything that is to be said goes.
    pub outbox: Arc<Outbox>,
    /// Stamps it.
    pub clock: Arc<dyn Clock>,
    /// Shutdown waits for what is in it.
    pub tasks: TaskTracker,
}

/// A job on its way through its steps.
struct Walk<'a> {
    plan: &'a Plan,
    cancel: CancellationToken,
    /// Fetched by the first step that runs, so that its log shows it.
    fetched: Option<Commit>,
}

impl Walk<'_> {
    async fn commit(
        &mut self,
        checkouts: &Checkouts,
        log: &StepLog,
    ) -> Result<Commit, CheckoutError> {
        if let Some(commit) = &self.fetched {
            return Ok(commit.clone());
        }
        let Plan {
            repository, source, ..
        } = self.plan;
        say(log, &format!("fetching {repository} at {}", source.commit)).await;
        let commit = checkouts.fetch(source, &self.cancel).await?;
        Ok(self.fetched.insert(commit).clone())
    }
}

impl Jobs {
    /// Starts a job in its slot and returns at once. Its end is reported in any case, a bug included.
    pub fn start(self: &Arc<Self>, plan: Plan, slot: Slot) {
        self.outbox.open(plan.attempt, plan.fence);
        let jobs = Arc::clone(self);
        self.tasks.spawn(async move {
            let attempt = plan.attempt;
            jobs.event(attempt, JobEvent::Started);
            let running = {
                let jobs = Arc::clone(&jobs);
                let cancel = slot.cancelled().clone();
                jobs.tasks
                    .clone()
                    .spawn(async move { jobs.run(&plan, cancel).await })
            };
            let result = running.await.unwrap_or_else(|panic| {
                tracing::error!(%attempt, %panic, "a bug ended a job");
                JobResult::Error
            });
            jobs.event(attempt, JobEvent::Finished { result });
            drop(slot);
        });
    }

    async fn run(&self, plan: &Plan, cancel: CancellationToken) -> JobResult {
        let mut walk = Walk {
            plan,
            cancel,
            fetched: None,
        };
        let mut result = JobResult::Passed;
        for step in &plan.steps {
            if result != JobResult::Passed {
                self.finished(plan, step.index, StepResult::NotRun.into());
                continue;
            }
            self.event(plan.attempt, JobEvent::StepStarted { step: step.index });
            let log = StepLog {
                outbox: Arc::clone(&self.outbox),
                clock: Arc::clone(&self.clock),
                attempt: plan.attempt,
                step: step.index,
                cancel: walk.cancel.clone(),
            };
            if let Some(end) = self.steps.decline(step, &log).await {
                // Nothing is fetched for a step that cannot run.
                tell_the_end(&end.result, &log).await;
                result = job_result(&end.result);
                self.finished(plan, step.index, end);
                continue;
            }
            let end = match walk.commit(&self.steps.checkouts, &log).await {
                Ok(commit) => {
                    let site = Site {
                        base: Some(commit.clone()),
                        commit,
                        workspace: format!("{}-{}", plan.attempt, step.index),
                        env: &plan.env,
                        cancel: &walk.cancel,
                        keeping: None,
                    };
                    self.steps.run(step, site, &log).await
                }
                Err(error) => StepEnd::from(&error),
            };
            tell_the_end(&end.result, &log).await;
            result = job_result(&end.result);
            self.finished(plan, step.index, end);
        }
        result
    }

    fn finished(&self, plan: &Plan, step: StepIndex, end: StepEnd) {
        let StepEnd { result, receipt } = end;
        self.event(
            plan.attempt,
            JobEvent::StepFinished {
                step,
                result,
                receipt,
            },
        );
    }

    fn event(&self, attempt: AttemptId, event: JobEvent) {
        // An attempt that the hub dropped is being cancelled; nobody waits for its reports.
        let _dropped = self.outbox.event(attempt, self.clock.now(), event);
    }
}

/// The result of a job that stopped at a step with this result.
fn job_result(last: &StepResult) -> JobResult {
    match last {
        StepResult::Passed => JobResult::Passed,
        StepResult::Failed { .. } => JobResult::Failed,
        StepResult::Error { .. } | StepResult::NotRun => JobResult::Error,
        StepResult::Cancelled => JobResult::Cancelled,
    }
}
