//! One job of a local build on its way through its steps.

use std::collections::BTreeMap;
use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use cofferdam_git::Commit;
use cofferdam_pipeline::progress::{JobIndex, StepOutcome, StepPlace};
use cofferdam_pipeline::{StepKind, StepPlan};
use cofferdam_protocol::job_spec::Trust;
use cofferdam_protocol::report::StepResult;
use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::drive::Said;
use super::kept::StepKeeping;
use super::sink::LocalLog;
use super::{Facts, Kept, Teller, from_plan, outcome};
use crate::ceiling::Ceiling;
use crate::mask::Masks;
use crate::secrets::Secrets;
use crate::step::hold::Hold;
use crate::step::{Site, Steps, tell_the_end};
use crate::view::Event;

/// A job that was given a slot.
pub(super) struct Attempt {
    pub(super) job: JobIndex,
    /// Those that are still to run, with their places in the job.
    pub(super) steps: Vec<(usize, StepPlan)>,
    pub(super) runs: Arc<Steps>,
    pub(super) commit: Commit,
    pub(super) base: Option<Commit>,
    pub(super) facts: Arc<Facts>,
    pub(super) ceiling: Arc<Ceiling>,
    pub(super) secrets: Arc<Secrets>,
    pub(super) masks: Arc<Masks>,
    pub(super) kept: Arc<Kept>,
    /// The name of the run.
    pub(super) run: String,
    pub(super) log_dir: PathBuf,
    pub(super) told: Teller,
    pub(super) said: mpsc::Sender<Said>,
    pub(super) cancel: CancellationToken,
}

impl Attempt {
    /// Runs step after step, until one does not pass. Says of each that it began and how it ended, and in the end that
    /// there is no more to come, whatever happened.
    pub(super) async fn run(self) {
        let (job, said) = (self.job, self.said.clone());
        if AssertUnwindSafe(self.steps()).catch_unwind().await.is_err() {
            tracing::error!(%job, "a bug ended a job");
        }
        let _unheard = said.send(Said::Over(job)).await;
    }

    async fn steps(self) {
        for (step, plan) in &self.steps {
            let at = StepPlace {
                job: self.job,
                step: *step,
            };
            // Told from here, and so before anything that the step's log tells.
            let index = plan.index;
            self.told.tell(Event::StepStarted { index }).await;
            if self.said.send(Said::StepStarted(at)).await.is_err() {
                return;
            }
            let result = self.step(plan).await;
            let (outcome, why) = outcome::told(&plan.kind, &result);
            // It may quote a step, for example the names of its files.
            let why = self.masks.text(&why);
            let end = Said::StepEnded { at, outcome, why };
            if self.said.send(end).await.is_err() || outcome != StepOutcome::Passed {
                return;
            }
        }
    }

    async fn step(&self, plan: &StepPlan) -> StepResult {
        let index = plan.index;
        let path = self.log_dir.join(log_name(plan));
        let file = File::create(&path);
        if let Err(error) = &file {
            tracing::warn!(path = %path.display(), %error, "no log file");
        }
        let log = LocalLog::new(
            (index, self.told.clone()),
            file.ok(),
            Arc::clone(&self.masks),
        );
        let keeping = StepKeeping::new(&self.kept, plan, self.cancel.clone());
        let site = Site {
            commit: self.commit.clone(),
            base: self.base.clone(),
            // An earlier run may have left what this user cannot remove.
            workspace: format!("{}-{index}", self.run),
            env: &self.env(plan),
            cancel: &self.cancel,
            keeping: Some(&keeping),
        };
        let hold = Hold {
            ceiling: &self.ceiling,
            // It is the user's own work tree.
            trust: Trust::Trusted,
            repository: None,
        };
        let step = hold.step(from_plan::step(plan, &self.secrets));
        let end = self.runs.run(&step, site, &log).await;
        log.finish().await;
        tell_the_end(&end.result, &log).await;
        log.finish().await;
        end.result
    }

    /// A script finds every secret in its environment, as secured variables are found there. A module finds those that it is
    /// granted, which `from_plan` hands to it.
    fn env(&self, plan: &StepPlan) -> BTreeMap<String, String> {
        let mut env = self.facts.env(plan);
        if matches!(plan.kind, StepKind::Script(_)) {
            let secrets = self.secrets.iter();
            env.extend(secrets.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        env
    }
}

/// `03-build-the-page.log`: sorts as the file runs, and any name of a step makes a plain one.
pub(super) fn log_name(step: &StepPlan) -> String {
    const NAME_CHARS_MAX: usize = 60;
    let mut slug = String::new();
    for c in step.name.chars().take(NAME_CHARS_MAX) {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let number = u32::from(step.index) + 1;
    format!("{number:02}-{}.log", slug.trim_matches('-'))
}
