//! One attempt of a job, from its plan to its last report. Reads like the walk: fetch, then for each
//! step a clean workspace, the executor, and what it said.

pub mod plan;
mod report;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use cofferdam_git::Commit;
use cofferdam_protocol::report::{Blame, JobEvent, JobResult, StepResult};
use cofferdam_protocol::{AttemptId, StepIndex};
use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::plan::{Plan, PlannedStep, PlannedWasm, PlannedWork};
use crate::checkout::{CheckoutError, Checkouts};
use crate::clock::Clock;
use crate::executor::{Executor, StepRun, WasmWork, Work};
use crate::log::{LogSink, StepLog, say};
use crate::outbox::Outbox;
use crate::receipt::json::to_json;
use crate::slots::Slot;

/// Runs jobs. One for the life of the runner; jobs run beside each other.
#[derive(Debug)]
pub struct Jobs {
    /// Where the code comes from.
    pub checkouts: Checkouts,
    /// Runs WASI modules.
    pub wasm: Arc<dyn Executor>,
    /// Runs scripts; or why this host cannot.
    pub container: Result<Arc<dyn Executor>, String>,
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

/// How one step ended, and its receipt if it ran.
struct StepEnd {
    result: StepResult,
    receipt: serde_json::Value,
}

impl From<StepResult> for StepEnd {
    fn from(result: StepResult) -> Self {
        Self {
            result,
            receipt: serde_json::Value::Null,
        }
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
            // A bug of ours is this step's end and no more: what it was about is told where people look.
            let end = match AssertUnwindSafe(self.step(&mut walk, step, &log))
                .catch_unwind()
                .await
            {
                Ok(Ok(end)) => end,
                Ok(Err(error)) => report::checkout_error(&error).into(),
                Err(panic) => {
                    let attempt = plan.attempt;
                    tracing::error!(%attempt, step = step.index.0, "a bug ended a step");
                    report::panicked(panic.as_ref()).into()
                }
            };
            tell_the_end(&end.result, &log).await;
            result = report::job_result(&end.result);
            self.finished(plan, step.index, end);
        }
        result
    }

    async fn step(
        &self,
        walk: &mut Walk<'_>,
        step: &PlannedStep,
        log: &StepLog,
    ) -> Result<StepEnd, CheckoutError> {
        let commit = walk.commit(&self.checkouts, log).await?;
        let plan = walk.plan;
        let (work, executor) = match &step.work {
            PlannedWork::Unsupported { what, line } => {
                return Ok(unsupported(what, *line));
            }
            PlannedWork::Script(script) => match &self.container {
                Ok(executor) => (Work::Script(script.clone()), executor),
                Err(why) => return Ok(no_engine(why)),
            },
            PlannedWork::Wasm(planned) => {
                let module = self.checkouts.module(&commit, &planned.module_path).await?;
                (Work::Wasm(wasm_work(planned, module)), &self.wasm)
            }
        };
        let name = format!("{}-{}", plan.attempt, step.index);
        let (workspace, stats) = self
            .checkouts
            .workspace(&commit, &name, &walk.cancel)
            .await?;
        if stats.submodule_count > 0 {
            let count = stats.submodule_count;
            let left_out = format!("{count} submodules are left out: their directories are empty");
            say(log, &left_out).await;
        }
        let run = StepRun {
            name: &step.name,
            env: &plan.env,
            workspace: &workspace,
            timeout: step.timeout,
            cancel: &walk.cancel,
            work,
        };
        let ran = executor.run(run, log).await;
        workspace.remove().await;
        Ok(match ran {
            Ok(receipt) => StepEnd {
                result: report::step_result(&receipt),
                receipt: to_json(&receipt),
            },
            Err(error) => report::executor_error(&error).into(),
        })
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

fn wasm_work(planned: &PlannedWasm, module: Vec<u8>) -> WasmWork {
    let PlannedWasm {
        module_path,
        module_line: _,
        args,
        env,
        read,
        write,
        net,
        limits,
    } = planned;
    WasmWork {
        module: module.into(),
        module_path: module_path.clone(),
        args: args.clone(),
        env: env.clone(),
        read: read.clone(),
        write: write.clone(),
        net: net.clone(),
        limits: *limits,
    }
}

fn unsupported(what: &str, line: u32) -> StepEnd {
    let why = format!("line {line}: `{what}` is not supported yet, so this step cannot run");
    StepResult::Error {
        blame: Blame::User,
        why,
    }
    .into()
}

fn no_engine(why: &str) -> StepEnd {
    let why = format!("this runner cannot run scripts: {why}");
    StepResult::Error {
        blame: Blame::Infrastructure,
        why,
    }
    .into()
}

async fn tell_the_end(result: &StepResult, log: &dyn LogSink) {
    let line = match result {
        StepResult::Passed => "passed".to_owned(),
        StepResult::Failed { exit: _, why } => format!("failed: {why}"),
        StepResult::Error { blame: _, why } => format!("could not be run: {why}"),
        StepResult::Cancelled => "cancelled".to_owned(),
        StepResult::NotRun => return,
    };
    say(log, &line).await;
}
