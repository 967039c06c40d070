//! The loop of a local build: what the plan's progress allows is started, and what happens is told to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use cofferdam_git::LOCAL_OUTPUT_DIR;
use cofferdam_pipeline::StepPlan;
use cofferdam_pipeline::progress::{
    BuildEnd, Effect, Event as Happened, JobIndex, JobState, Outline, Progress, StepEnd,
    StepOutcome, StepPlace,
};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::attempt::{Attempt, log_name};
use super::{LocalBuild, outcome};
use crate::text::chain;
use crate::view::Event;

/// What the jobs and the person say to the loop, not yet heard. Each job says two things a step, and one at its end.
const SAID_WAITING_MAX: usize = 64;

/// What can wake the loop, beside a cancel.
#[derive(Debug)]
pub(super) enum Said {
    StepStarted(StepPlace),
    StepEnded {
        at: StepPlace,
        outcome: StepOutcome,
        /// What the executor said, if it did not pass.
        why: String,
    },
    /// Nothing more will be said of this job.
    Over(JobIndex),
    /// A person answered for a manual step.
    Answered(JobIndex, bool),
}

pub(super) struct Drive {
    build: LocalBuild,
    progress: Progress,
    /// Jobs that may start and have no slot yet.
    waiting: VecDeque<JobIndex>,
    /// How many of them, from the first, it was told of.
    told_waiting: usize,
    /// What ends each running job.
    running: BTreeMap<JobIndex, CancellationToken>,
    /// Manual jobs that nobody was asked about yet: one question is open at a time.
    questions: VecDeque<JobIndex>,
    is_asking: bool,
    /// What executors said of steps whose end the progress has not decided yet.
    words: BTreeMap<StepPlace, String>,
    /// Steps that have a log.
    begun: BTreeSet<StepPlace>,
    said: mpsc::Sender<Said>,
    hears: mpsc::Receiver<Said>,
    ended: Option<BuildEnd>,
    /// Kills what still runs when the loop is dropped. What it ran for is forgotten, and `tasks` waits for the rest.
    killed: CancellationToken,
    _kills: DropGuard,
}

impl Drive {
    pub(super) fn new(build: LocalBuild) -> (Self, Vec<Effect>) {
        let (progress, effects) = Progress::new(Outline::from(&build.plan))
            .expect("a plan's jobs come after what they need, and each has a step");
        let (said, hears) = mpsc::channel(SAID_WAITING_MAX);
        let killed = CancellationToken::new();
        let drive = Self {
            build,
            progress,
            waiting: VecDeque::new(),
            told_waiting: 0,
            running: BTreeMap::new(),
            questions: VecDeque::new(),
            is_asking: false,
            words: BTreeMap::new(),
            begun: BTreeSet::new(),
            said,
            hears,
            ended: None,
            _kills: killed.clone().drop_guard(),
            killed,
        };
        (drive, effects)
    }

    pub(super) async fn run(mut self, first: Vec<Effect>) -> BuildEnd {
        self.carry_out(first).await;
        let mut is_cancelled = false;
        loop {
            self.fill_slots();
            self.tell_who_waits().await;
            self.ask_next().await;
            if let Some(end) = self.ended {
                self.collect().await;
                let state = outcome::state(end);
                self.tell(Event::Ended { state }).await;
                return end;
            }
            let said = tokio::select! {
                biased;
                () = self.build.cancel.cancelled(), if !is_cancelled => None,
                said = self.hears.recv() => said,
            };
            match said {
                None => {
                    is_cancelled = true;
                    self.tell(Event::Cancelling).await;
                    self.apply(Happened::BuildCancelled).await;
                }
                Some(said) => self.hear(said).await,
            }
        }
    }

    async fn hear(&mut self, said: Said) {
        match said {
            Said::StepStarted(at) => {
                self.begun.insert(at);
                self.apply(Happened::StepStarted(at)).await;
            }
            Said::StepEnded { at, outcome, why } => {
                self.words.insert(at, why);
                self.apply(Happened::StepEnded { at, outcome }).await;
            }
            // Refused where it said how each of its steps ended.
            Said::Over(job) => self.apply(Happened::JobLost(job)).await,
            Said::Answered(job, is_wanted) => {
                self.is_asking = false;
                let answer = if is_wanted {
                    Happened::ManualStarted(job)
                } else {
                    Happened::ManualDeclined(job)
                };
                self.apply(answer).await;
            }
        }
        let progress = &self.progress;
        let runs = |job: &JobIndex| matches!(progress.job(*job), Some(JobState::Running { .. }));
        self.running.retain(|job, _| runs(job));
    }

    async fn apply(&mut self, event: Happened) {
        match self.progress.apply(event) {
            Ok(effects) => self.carry_out(effects).await,
            // An answer after a cancel, a cancel when all was over, or the end of a job whose steps have ended.
            Err(refused) => tracing::debug!(%refused, "too late"),
        }
    }

    async fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::MayStart(job) => self.waiting.push_back(job),
                Effect::Paused(job) => self.questions.push_back(job),
                Effect::Cancel { job, cause: _ } => {
                    if let Some(cancel) = self.running.get(&job) {
                        cancel.cancel();
                    }
                }
                Effect::StepDecided { at, end } => self.decided(at, end).await,
                Effect::BuildEnded(end) => self.ended = Some(end),
            }
        }
    }

    async fn decided(&mut self, at: StepPlace, end: StepEnd) {
        let why = self.words.remove(&at).unwrap_or_default();
        let outcome = outcome::shown(&self.build.plan, at, end, why);
        let step = self.step(at);
        let log = format!("{}/{}", self.build.log_dir_shown, log_name(step));
        let event = Event::StepEnded {
            index: step.index,
            outcome,
            log: self.begun.contains(&at).then_some(log),
        };
        self.tell(event).await;
    }

    async fn ask_next(&mut self) {
        while !self.is_asking {
            let Some(job) = self.questions.pop_front() else {
                return;
            };
            if self.progress.job(job) != Some(JobState::Paused) {
                continue;
            }
            if !self.build.asked.is_there() {
                self.apply(Happened::ManualDeclined(job)).await;
                continue;
            }
            self.is_asking = true;
            let step = self.step(StepPlace { job, step: 0 });
            let (index, name) = (step.index, step.name.clone());
            self.tell(Event::Asked { index }).await;
            let asked = Arc::clone(&self.build.asked);
            let (said, cancel) = (self.said.clone(), self.build.cancel.clone());
            self.build.tasks.spawn(async move {
                tokio::select! {
                    () = cancel.cancelled() => {}
                    answer = asked.may_start(&name) => {
                        let _gone = said.send(Said::Answered(job, answer)).await;
                    }
                }
            });
        }
    }

    async fn tell_who_waits(&mut self) {
        let jobs: Vec<JobIndex> = self.waiting.range(self.told_waiting..).copied().collect();
        self.told_waiting = self.waiting.len();
        for job in jobs {
            // One that was stopped meanwhile waits for nothing.
            if self.progress.job(job) == Some(JobState::Ready)
                && let Some(&step) = self.progress.steps_to_run(job).first()
            {
                let index = self.step(StepPlace { job, step }).index;
                let why = format!("every slot is taken (slots = {})", self.build.slots);
                self.tell(Event::Waiting { index, why }).await;
            }
        }
    }

    fn fill_slots(&mut self) {
        while self.running.len() < self.build.slots {
            let Some(job) = self.waiting.pop_front() else {
                return;
            };
            self.told_waiting = self.told_waiting.saturating_sub(1);
            // It may have been stopped while it waited for its slot.
            if self.progress.apply(Happened::JobStarted(job)).is_err() {
                continue;
            }
            let cancel = CancellationToken::new();
            self.running.insert(job, cancel.clone());
            let steps = &self.build.plan.jobs[job.0].steps;
            let attempt = Attempt {
                job,
                steps: self
                    .progress
                    .steps_to_run(job)
                    .into_iter()
                    .map(|step| (step, steps[step].clone()))
                    .collect(),
                runs: Arc::clone(&self.build.steps),
                commit: self.build.commit.clone(),
                base: self.build.base.clone(),
                facts: Arc::clone(&self.build.facts),
                ceiling: Arc::clone(&self.build.ceiling),
                secrets: Arc::clone(&self.build.secrets),
                masks: Arc::clone(&self.build.masks),
                kept: Arc::clone(&self.build.kept),
                run: self.build.run.clone(),
                log_dir: self.build.log_dir.clone(),
                told: self.build.told.clone(),
                said: self.said.clone(),
                cancel,
            };
            let killed = self.killed.clone();
            self.build.tasks.spawn(async move {
                tokio::select! {
                    () = killed.cancelled() => {}
                    () = attempt.run() => {}
                }
            });
        }
    }

    /// Gives the user what the steps left, whatever became of them. A failure is told and changes no step's end.
    async fn collect(&self) {
        let (kept, project) = (Arc::clone(&self.build.kept), self.build.project.clone());
        // A cancelled build's artifacts are laid out too; only the end of the program stops that.
        let collect = move || kept.collect(&project, CancellationToken::new());
        let collected = match spawn_blocking(collect).await {
            Ok(Ok(collected)) => collected,
            Ok(Err(error)) => {
                let why = chain(&error);
                tracing::error!(why, "the artifacts were not laid out");
                return;
            }
            Err(error) => {
                tracing::error!(%error, "the artifacts were not laid out");
                return;
            }
        };
        for step in collected {
            // Those of an earlier run may lie beside those of one step.
            let Some(index) = u16::try_from(step.ordinal)
                .ok()
                .filter(|index| self.has_step(*index))
            else {
                continue;
            };
            let path = format!("{LOCAL_OUTPUT_DIR}/artifacts/{}/", step.folder);
            let bytes = step.laid.bytes;
            self.tell(Event::Artifact { index, path, bytes }).await;
        }
    }

    fn has_step(&self, index: u16) -> bool {
        let mut steps = self.build.plan.jobs.iter().flat_map(|job| &job.steps);
        steps.any(|step| step.index == index)
    }

    fn step(&self, at: StepPlace) -> &StepPlan {
        &self.build.plan.jobs[at.job.0].steps[at.step]
    }

    async fn tell(&self, event: Event) {
        self.build.told.tell(event).await;
    }
}
