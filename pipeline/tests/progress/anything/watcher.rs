//! Holds a machine to what its outline, the events it accepted and the effects it told say together.
//!
//! It looks into the machine only to compare; what it knows, it has from the effects, as a caller has.

use std::collections::{BTreeMap, BTreeSet};

use cofferdam_pipeline::progress::{
    BuildEnd, BuildState, Effect, Event, JobIndex, NotRunReason, Outline, OutlineJob, Progress,
    StepEnd, StepPlace, StepState, StopCause,
};

pub(super) struct Watcher {
    outline: Outline,
    ends: BTreeMap<StepPlace, StepEnd>,
    running_step: BTreeMap<JobIndex, StepPlace>,
    ready: BTreeSet<JobIndex>,
    paused: BTreeSet<JobIndex>,
    attempted: BTreeSet<JobIndex>,
    stopping: BTreeMap<JobIndex, StopCause>,
    started_by_hand: BTreeSet<JobIndex>,
    is_cancelled: bool,
    is_final_cancelled: bool,
    ended: Option<BuildEnd>,
}

impl Watcher {
    pub(super) fn new(outline: Outline) -> Self {
        Self {
            outline,
            ends: BTreeMap::new(),
            running_step: BTreeMap::new(),
            ready: BTreeSet::new(),
            paused: BTreeSet::new(),
            attempted: BTreeSet::new(),
            stopping: BTreeMap::new(),
            started_by_hand: BTreeSet::new(),
            is_cancelled: false,
            is_final_cancelled: false,
            ended: None,
        }
    }

    /// Takes note of an accepted event, if it was not the beginning, and of what it led to.
    pub(super) fn sees(&mut self, event: Option<Event>, effects: &[Effect]) {
        assert_eq!(
            self.ended, None,
            "something happened after the end: {event:?}"
        );
        if let Some(event) = event {
            self.sees_event(event);
        }
        for effect in effects {
            assert_eq!(self.ended, None, "the end of the build was not told last");
            self.sees_effect(*effect);
        }
        self.fail_fast_has_stopped_its_groups();
    }

    fn sees_event(&mut self, event: Event) {
        match event {
            Event::JobStarted(job) => {
                assert!(
                    self.ready.remove(&job),
                    "{job} started, but nobody was told it may"
                );
                self.has_what_it_needs(job);
                self.attempted.insert(job);
            }
            Event::StepStarted(at) => {
                assert!(
                    self.attempted.contains(&at.job),
                    "{at} started without an attempt"
                );
                self.has_what_it_needs(at.job);
                self.earlier_ones_are_well(at);
                assert!(!self.ends.contains_key(&at), "{at} started after its end");
                let other = self.running_step.insert(at.job, at);
                assert_eq!(other, None, "{at} started beside another of its job");
            }
            Event::StepEnded { at, .. } => assert!(self.attempted.contains(&at.job)),
            Event::JobLost(job) => assert!(self.attempted.contains(&job)),
            Event::JobRetried(job) => {
                assert!(self.attempted.remove(&job));
                assert!(!self.stopping.contains_key(&job), "{job} is to be stopped");
                self.running_step.remove(&job);
            }
            Event::ManualStarted(job) => {
                assert!(self.paused.remove(&job), "{job} was not paused");
                self.started_by_hand.insert(job);
            }
            Event::ManualDeclined(job) => assert!(self.paused.contains(&job)),
            Event::BuildCancelled => {
                self.is_cancelled = true;
                self.is_final_cancelled = self.are_all_but_final_over();
            }
        }
    }

    fn sees_effect(&mut self, effect: Effect) {
        match effect {
            Effect::MayStart(job) => {
                self.has_what_it_needs(job);
                self.was_let_through(job);
                assert!(self.ready.insert(job), "{job} may start twice");
            }
            Effect::Paused(job) => {
                self.has_what_it_needs(job);
                assert!(self.job(job).steps[0].manual);
                assert!(self.paused.insert(job), "{job} is paused twice");
            }
            Effect::Cancel { job, cause } => {
                assert!(
                    self.attempted.contains(&job),
                    "{job} has no attempt to cancel"
                );
                self.is_just(job, cause);
                assert_eq!(
                    self.stopping.insert(job, cause),
                    None,
                    "{job} is stopped twice"
                );
            }
            Effect::StepDecided { at, end } => self.sees_end(at, end),
            Effect::BuildEnded(end) => self.ended = Some(end),
        }
    }

    fn sees_end(&mut self, at: StepPlace, end: StepEnd) {
        match end {
            StepEnd::NotRun(reason) => {
                assert!(self.running_step.get(&at.job) != Some(&at), "{at} was run");
                self.is_true(at, reason);
            }
            StepEnd::Skipped => {
                assert!(
                    self.job(at.job).steps[at.step].skip,
                    "{at} has no condition"
                );
                self.has_what_it_needs(at.job);
                self.earlier_ones_are_well(at);
            }
            StepEnd::Cancelled { by } => assert_eq!(self.stopping.get(&at.job).copied(), by),
            _ => assert!(
                self.attempted.contains(&at.job),
                "{at} ended without an attempt"
            ),
        }
        if self.running_step.get(&at.job) == Some(&at) {
            self.running_step.remove(&at.job);
        }
        assert_eq!(self.ends.insert(at, end), None, "{at} ended twice");
        if self.is_over(at.job) {
            self.attempted.remove(&at.job);
            self.stopping.remove(&at.job);
            self.ready.remove(&at.job);
            self.paused.remove(&at.job);
        }
    }

    /// Whether a job may be stopped for this cause.
    fn is_just(&self, job: JobIndex, cause: StopCause) {
        match cause {
            StopCause::BuildCancelled if self.job(job).is_final => {
                assert!(
                    self.is_final_cancelled,
                    "{job} runs after a cancellation of the others"
                );
            }
            StopCause::BuildCancelled => assert!(self.is_cancelled, "nobody cancelled"),
            StopCause::FailFast { step } => {
                assert!(self.is_fatal(step), "{step} is nothing to stop {job} for");
                assert_ne!(job, step.job, "fail-fast stops the siblings");
                assert_eq!(
                    self.job(job).group,
                    self.job(step.job).group,
                    "{job} is no sibling"
                );
            }
        }
    }

    fn is_true(&self, at: StepPlace, reason: NotRunReason) {
        match reason {
            NotRunReason::BuildCancelled => self.is_just(at.job, StopCause::BuildCancelled),
            NotRunReason::FailFast { step } => self.is_just(at.job, StopCause::FailFast { step }),
            NotRunReason::EarlierStepFailed { step } => {
                let end = self.ends[&step];
                assert!(
                    end.is_failure() || matches!(end, StepEnd::Cancelled { .. }),
                    "{at} blames {step}, which ended well or was not run"
                );
                self.comes_after(at, step);
            }
            NotRunReason::ManualDeclined { step } => {
                assert!(self.job(step.job).steps[0].manual);
                if at != step {
                    assert_eq!(self.ends[&step], StepEnd::NotRun(reason));
                    self.comes_after(at, step);
                }
            }
        }
    }

    /// In the same job, or in one that needs the other's, directly or not. Of the jobs of a group that was stopped the
    /// failed one stands for the others.
    fn comes_after(&self, at: StepPlace, earlier: StepPlace) {
        let siblings = |job: JobIndex| {
            let group = self.job(job).group;
            job == earlier.job || (group.is_some() && group == self.job(earlier.job).group)
        };
        let comes_after = if at.job == earlier.job {
            at.step > earlier.step
        } else {
            self.needed(at.job).into_iter().any(siblings)
        };
        assert!(comes_after, "{at} does not come after {earlier}");
    }

    /// Every group with a failed step that stops it has no job that goes on.
    fn fail_fast_has_stopped_its_groups(&self) {
        for &step in self.ends.keys().filter(|&&step| self.is_fatal(step)) {
            let group = self.job(step.job).group;
            for job in self.indices().filter(|&job| self.job(job).group == group) {
                assert!(
                    self.is_over(job) || self.stopping.contains_key(&job),
                    "{job} goes on after the failure of {step}"
                );
            }
        }
    }

    fn is_fatal(&self, at: StepPlace) -> bool {
        let job = self.job(at.job);
        job.group.is_some_and(|place| {
            let group = self.outline.groups[usize::from(place.group)];
            group.fail_fast || job.steps[at.step].fail_fast
        }) && self.ends.get(&at).is_some_and(|end| end.is_failure())
    }

    /// Everything that must have ended well before this job has, or just ended if the job is final.
    fn has_what_it_needs(&self, job: JobIndex) {
        if self.job(job).is_final {
            for other in self.indices().filter(|&other| other != job) {
                assert!(
                    self.is_over(other),
                    "{job} is final, but {other} has not ended"
                );
            }
            return;
        }
        for need in self.needed(job) {
            for step in 0..self.job(need).steps.len() {
                let at = StepPlace { job: need, step };
                assert!(self.is_well(at), "{job} may start, but needs {at}");
            }
        }
    }

    fn was_let_through(&self, job: JobIndex) {
        let gate = self.job(job).steps[0];
        let is_open = !gate.manual || gate.skip || self.started_by_hand.contains(&job);
        assert!(is_open, "nobody started {job} by hand");
    }

    fn earlier_ones_are_well(&self, at: StepPlace) {
        for step in 0..at.step {
            assert!(
                self.is_well(StepPlace { step, ..at }),
                "it is not the turn of {at}"
            );
        }
    }

    /// All jobs that this one needs, directly or not.
    fn needed(&self, job: JobIndex) -> BTreeSet<JobIndex> {
        let mut needed = BTreeSet::new();
        for &need in &self.job(job).needs {
            needed.insert(JobIndex(need));
            needed.extend(self.needed(JobIndex(need)));
        }
        needed
    }

    /// Whether the machine says of itself what follows from what it told.
    pub(super) fn agrees_with(&self, progress: &Progress) {
        assert_eq!(
            progress.ready(),
            self.ready.iter().copied().collect::<Vec<_>>()
        );
        assert_eq!(
            progress.paused(),
            self.paused.iter().copied().collect::<Vec<_>>()
        );
        assert_eq!(
            progress.stopping(),
            self.stopping.keys().copied().collect::<Vec<_>>()
        );
        for job in self.indices() {
            for step in 0..self.job(job).steps.len() {
                let at = StepPlace { job, step };
                let state = match self.ends.get(&at) {
                    Some(&end) => StepState::Ended(end),
                    None if self.running_step.get(&job) == Some(&at) => StepState::Running,
                    None => StepState::Waiting,
                };
                assert_eq!(progress.step(at), Some(state), "{at}");
            }
        }
        self.agrees_on_the_build(progress.state());
    }

    fn agrees_on_the_build(&self, state: BuildState) {
        match state {
            BuildState::Pending => {
                assert!(self.attempted.is_empty() && !self.ready.is_empty());
            }
            BuildState::Running => {
                assert!(!self.attempted.is_empty() || !self.ready.is_empty());
            }
            BuildState::Paused => {
                assert!(self.attempted.is_empty() && self.ready.is_empty());
                assert!(!self.paused.is_empty(), "stuck");
            }
            BuildState::Ended(end) => {
                assert_eq!(self.ended, Some(end));
                self.saw_every_end();
            }
        }
        assert_eq!(matches!(state, BuildState::Ended(_)), self.ended.is_some());
    }

    /// Every step has ended, and the end of the build is the one that follows from that.
    pub(super) fn saw_every_end(&self) {
        assert!(
            self.indices().all(|job| self.is_over(job)),
            "a step never ended"
        );
        let any = |wanted: fn(&StepEnd) -> bool| self.ends.values().any(wanted);
        let end = if any(|end| end.is_failure() && *end != StepEnd::Error) {
            BuildEnd::Failed
        } else if any(|end| *end == StepEnd::Error) {
            BuildEnd::Error
        } else if any(|end| {
            matches!(
                end,
                StepEnd::Cancelled { .. } | StepEnd::NotRun(NotRunReason::BuildCancelled)
            )
        }) {
            BuildEnd::Cancelled
        } else {
            BuildEnd::Passed
        };
        assert_eq!(self.ended, Some(end));
    }

    fn are_all_but_final_over(&self) -> bool {
        let mut jobs = self.indices();
        jobs.all(|job| self.job(job).is_final || self.is_over(job))
    }

    fn is_over(&self, job: JobIndex) -> bool {
        let mut steps = 0..self.job(job).steps.len();
        steps.all(|step| self.ends.contains_key(&StepPlace { job, step }))
    }

    fn is_well(&self, at: StepPlace) -> bool {
        matches!(self.ends.get(&at), Some(StepEnd::Passed | StepEnd::Skipped))
    }

    fn job(&self, job: JobIndex) -> &OutlineJob {
        &self.outline.jobs[job.0]
    }

    fn indices(&self) -> impl Iterator<Item = JobIndex> {
        (0..self.outline.jobs.len()).map(JobIndex)
    }
}
