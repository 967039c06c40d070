//! One step, from a commit to its end: a clean workspace, what earlier steps left for it, the executor, and what it
//! leaves itself. The same for a job of a hub and for a local run.
//!
//! Deliberately absent: jobs, order, retries, and whoever reads the log.

pub mod hold;
pub mod plan;
mod repeat;
mod report;

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use cofferdam_git::Commit;
use cofferdam_protocol::report::{Blame, StepResult};
use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use self::plan::{ModuleSource, PlannedStep, PlannedWasm, PlannedWork};
use crate::ceiling::Refusals;
use crate::checkout::{CheckoutError, Checkouts};
use crate::executor::{Executor, Mount, StepRun, WasmWork, Work};
use crate::first_party;
use crate::log::{LogSink, say};
use crate::receipt::json::to_json;
use crate::text::{chain, sentence};
use crate::workspace::Workspace;

/// Runs steps; any number at once.
#[derive(Debug)]
pub struct Steps {
    /// Where the code comes from.
    pub checkouts: Checkouts,
    /// Runs WASI modules.
    pub wasm: Arc<dyn Executor>,
    /// Runs scripts; or why this host cannot.
    pub container: Result<Arc<dyn Executor>, String>,
}

/// What one step runs on.
#[derive(Debug)]
pub struct Site<'a> {
    /// The code.
    pub commit: Commit,
    /// The commit whose time and id make a step repeatable: the code's own, or the one that a snapshot was made from.
    pub base: Option<Commit>,
    /// The name of the workspace, used once.
    pub workspace: String,
    /// For the step's processes.
    pub env: &'a BTreeMap<String, String>,
    /// Ends it early.
    pub cancel: &'a CancellationToken,
    /// What it gets from earlier steps and leaves to later ones, if anything.
    pub keeping: Option<&'a dyn Keeping>,
}

/// Artifacts and caches of one step. Its errors are the step's own.
#[async_trait]
pub trait Keeping: Send + Sync + Debug {
    /// Before the step, in its clean workspace. Returns what a container sees beside the workspace.
    async fn lay(&self, workspace: &Workspace, log: &dyn LogSink)
    -> Result<Vec<Mount>, StepResult>;

    /// Reads a module from the artifacts of the earlier step of that name.
    async fn module(&self, path: &str, from: &str) -> Result<Vec<u8>, StepResult>;

    /// After the step, before it counts as passed.
    async fn take(
        &self,
        workspace: &Workspace,
        result: &StepResult,
        log: &dyn LogSink,
    ) -> Result<(), StepResult>;
}

/// How one step ended, and its receipt if it ran.
#[derive(Debug)]
pub struct StepEnd {
    /// For people and for the next steps.
    pub result: StepResult,
    /// What it was granted, used and was refused; null if it did not run.
    pub receipt: serde_json::Value,
}

impl From<StepResult> for StepEnd {
    fn from(result: StepResult) -> Self {
        Self {
            result,
            receipt: serde_json::Value::Null,
        }
    }
}

impl From<&CheckoutError> for StepEnd {
    fn from(error: &CheckoutError) -> Self {
        report::checkout_error(error).into()
    }
}

impl Steps {
    /// How a step ends that cannot run; its code need not be there.
    pub async fn decline(&self, step: &PlannedStep, log: &dyn LogSink) -> Option<StepEnd> {
        match &step.work {
            PlannedWork::Unsupported { what, line } => Some(unsupported(what, *line)),
            PlannedWork::Lacking { what, line } => Some(lacking(what, *line)),
            PlannedWork::Refused(refusals) => Some(refused(refusals, log).await),
            PlannedWork::Impossible { why, line } => Some(impossible(why, *line)),
            PlannedWork::Script(_) | PlannedWork::Wasm(_) => None,
        }
    }

    /// Runs a step to its end; the workspace is gone when this returns. A bug of ours is this step's end and no
    /// more: what it was about is told where people look.
    pub async fn run(&self, step: &PlannedStep, site: Site<'_>, log: &dyn LogSink) -> StepEnd {
        match AssertUnwindSafe(self.try_to_run(step, site, log))
            .catch_unwind()
            .await
        {
            Ok(Ok(end)) => end,
            Ok(Err(error)) => StepEnd::from(&error),
            Err(panic) => told(panic.as_ref(), step),
        }
    }

    async fn try_to_run(
        &self,
        step: &PlannedStep,
        site: Site<'_>,
        log: &dyn LogSink,
    ) -> Result<StepEnd, CheckoutError> {
        for note in &step.notes {
            say(log, note).await;
        }
        let (work, executor) = match &step.work {
            PlannedWork::Unsupported { .. }
            | PlannedWork::Lacking { .. }
            | PlannedWork::Impossible { .. }
            | PlannedWork::Refused(_) => {
                let end = self.decline(step, log).await;
                return Ok(end.expect("what cannot run is declined"));
            }
            PlannedWork::Script(script) => match &self.container {
                Ok(executor) => (Work::Script(script.clone()), executor),
                Err(why) => return Ok(no_engine(why)),
            },
            PlannedWork::Wasm(planned) => {
                let module = match self.module(planned, &site).await? {
                    Ok(module) => module,
                    Err(result) => return Ok(result.into()),
                };
                let work = wasm_work(planned, module, (step, &site)).await?;
                (Work::Wasm(Box::new(work)), &self.wasm)
            }
        };
        let (workspace, stats) = self
            .checkouts
            .workspace(&site.commit, (&site.workspace, step.depth), site.cancel)
            .await?;
        if stats.submodule_count > 0 {
            let count = stats.submodule_count;
            let left_out = format!("{count} submodules are left out: their directories are empty");
            say(log, &left_out).await;
        }
        let end = in_workspace(step, &site, &workspace, (work, executor.as_ref()), log).await;
        workspace.remove().await;
        Ok(end)
    }

    async fn module(
        &self,
        planned: &PlannedWasm,
        site: &Site<'_>,
    ) -> Result<Result<Vec<u8>, StepResult>, CheckoutError> {
        match (&planned.module, site.keeping) {
            (ModuleSource::Commit(path), _) => {
                match self.checkouts.module(&site.commit, path).await {
                    Err(
                        error @ (CheckoutError::NoModule { .. } | CheckoutError::BadPath { .. }),
                    ) => Ok(Err(no_module(planned, &error))),
                    done => done.map(Ok),
                }
            }
            (ModuleSource::Artifact { path, from }, Some(keeping)) => {
                Ok(keeping.module(path, from).await)
            }
            (ModuleSource::Artifact { .. }, None) => Ok(Err(StepResult::Error {
                blame: Blame::Ours,
                why: "nothing is kept of earlier steps here".to_owned(),
            })),
            (ModuleSource::FirstParty(name), _) => Ok(match first_party::find(name) {
                Ok(step) => Ok(step.module.to_vec()),
                Err(error) => Err(no_module(planned, &error)),
            }),
        }
    }
}

/// The file names a module that is not there.
fn no_module(planned: &PlannedWasm, error: &dyn std::error::Error) -> StepResult {
    StepResult::Error {
        blame: Blame::User,
        why: format!("line {}: {}", planned.module_line, chain(error)),
    }
}

async fn in_workspace(
    step: &PlannedStep,
    site: &Site<'_>,
    workspace: &Workspace,
    (work, executor): (Work, &dyn Executor),
    log: &dyn LogSink,
) -> StepEnd {
    let mut mounts = Vec::new();
    if let Some(keeping) = site.keeping {
        match keeping.lay(workspace, log).await {
            Ok(laid) => mounts = laid,
            Err(result) => return result.into(),
        }
    }
    let run = StepRun {
        name: &step.name,
        env: site.env,
        workspace,
        mounts: &mounts,
        timeout: step.timeout,
        cancel: site.cancel,
        work,
    };
    let mut end = match executor.run(run, log).await {
        Ok(receipt) => StepEnd {
            result: report::step_result(&receipt),
            receipt: to_json(&receipt),
        },
        Err(error) => report::executor_error(&error).into(),
    };
    if let Some(keeping) = site.keeping
        && let Err(result) = keeping.take(workspace, &end.result, log).await
        && end.result == StepResult::Passed
    {
        end.result = result;
    }
    end
}

async fn wasm_work(
    planned: &PlannedWasm,
    bytes: Vec<u8>,
    (step, site): (&PlannedStep, &Site<'_>),
) -> Result<WasmWork, CheckoutError> {
    let PlannedWasm {
        module,
        module_line: _,
        args,
        env,
        read,
        write,
        net,
        secrets,
        clock,
        random,
        limits,
        bounds,
    } = planned;
    let base = site.base.as_ref();
    Ok(WasmWork {
        module: bytes.into(),
        module_path: module.origin(),
        args: args.clone(),
        env: env.clone(),
        read: read.clone(),
        write: write.clone(),
        net: net.clone(),
        secrets: secrets.clone(),
        clock: repeat::clock(*clock, base).await?,
        random: repeat::random(*random, base, &step.name),
        limits: *limits,
        bounds: bounds.clone(),
    })
}

fn unsupported(what: &str, line: u32) -> StepEnd {
    // The plan's words may hold quotes of their own: "`services`".
    let what = if what.contains('`') {
        what.to_owned()
    } else {
        format!("`{what}`")
    };
    let why = format!("line {line}: {what} is not supported yet, so this step cannot run");
    StepResult::Error {
        blame: Blame::User,
        why,
    }
    .into()
}

fn impossible(why: &str, line: u32) -> StepEnd {
    let why = format!("line {line}: {why}");
    StepResult::Error {
        blame: Blame::User,
        why,
    }
    .into()
}

/// Each reason is a line of the log, and the first one is the step's own.
async fn refused(refusals: &Refusals, log: &dyn LogSink) -> StepEnd {
    let Refusals(all) = refusals;
    for refusal in all {
        say(log, &sentence(&refusal.to_string())).await;
    }
    let first = all.first().map(ToString::to_string).unwrap_or_default();
    let why = match all.len() {
        0 | 1 => first,
        count => format!("{first}, and {} more", count - 1),
    };
    StepResult::Error {
        blame: Blame::User,
        why: sentence(&why),
    }
    .into()
}

fn lacking(what: &str, line: u32) -> StepEnd {
    let why = format!("line {line}: this step lacks {what}");
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

fn told(panic: &(dyn Any + Send), step: &PlannedStep) -> StepEnd {
    tracing::error!(step = step.index.0, "a bug ended a step");
    report::panicked(panic).into()
}

/// The last line of a step's log.
pub async fn tell_the_end(result: &StepResult, log: &dyn LogSink) {
    let line = match result {
        StepResult::Passed => "passed".to_owned(),
        StepResult::Failed { exit: _, why } => format!("failed: {why}"),
        StepResult::Error { blame: _, why } => format!("could not be run: {why}"),
        StepResult::Cancelled => "cancelled".to_owned(),
        StepResult::NotRun => return,
    };
    say(log, &line).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use cofferdam_protocol::Origin;

    use super::*;
    use crate::ceiling::{By, Refusal};

    #[derive(Debug, Default)]
    struct Heard(Mutex<Vec<(Origin, String)>>);

    #[async_trait]
    impl LogSink for Heard {
        async fn write(&self, origin: Origin, bytes: &[u8]) {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.0.lock().unwrap().push((origin, text));
        }
    }

    #[tokio::test]
    async fn each_refusal_is_a_system_line_of_the_log() {
        let refusal = |what: &str, line| Refusal {
            what: format!("net grant `{what}`"),
            why: "no".to_owned(),
            line: Some(line),
            key: "hosts".to_owned(),
            by: By::Line(4),
        };
        let refusals = Refusals(vec![
            refusal("https://a\u{1b}[2J", 7),
            refusal("https://b", 8),
        ]);
        let log = Heard::default();
        let end = refused(&refusals, &log).await;
        let why =
            "line 7: net grant `https://a\\u{1b}[2J` is refused: no (`hosts`, runner.toml line 4)";
        let expected = StepResult::Error {
            blame: Blame::User,
            why: format!("{why}, and 1 more"),
        };
        assert_eq!(end.result, expected);
        let lines = log.0.into_inner().unwrap();
        assert!(lines.iter().all(|(origin, _)| *origin == Origin::System));
        let text: String = lines.into_iter().map(|(_, text)| text).collect();
        assert!(
            text.contains(why) && text.contains("line 8: net grant `https://b`"),
            "{text}"
        );
    }
}
