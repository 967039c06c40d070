//! What must be true of every outline and every order of events, allowed or not.
//!
//! A watcher beside the machine sees nothing but the outline, the accepted events and the effects, and holds the machine
//! to what it makes of them: no step starts before what it needs, each ends once, fail-fast stops its group and no
//! other, and there is always something to go on with.

mod random;
mod watcher;

use cofferdam_pipeline::progress::{
    BuildState, Effect, Event, JobIndex, JobState, Outline, Progress, Record, StepPlace, StepState,
};
use proptest::prelude::*;

use random::{Choice, Kind, choices, chosen, events, outlines, wild_outlines, wild_record};
use watcher::Watcher;

/// A random run under the watcher's eyes.
struct Run {
    progress: Progress,
    watcher: Watcher,
    accepted: Vec<(Event, Vec<Effect>)>,
}

impl Run {
    fn new(outline: Outline) -> Self {
        let (progress, effects) = Progress::new(outline.clone()).expect("the outline is one");
        let mut watcher = Watcher::new(outline);
        watcher.sees(None, &effects);
        watcher.agrees_with(&progress);
        Self {
            progress,
            watcher,
            accepted: Vec::new(),
        }
    }

    fn of(outline: Outline, choices: &[Choice]) -> Self {
        let mut run = Self::new(outline);
        for &choice in choices {
            run.chooses(choice);
        }
        run
    }

    fn chooses(&mut self, choice: Choice) {
        if let Some(event) = chosen(&self.progress, choice) {
            self.tries(event);
        }
    }

    /// Whether the event was accepted.
    fn tries(&mut self, event: Event) -> bool {
        let before = self.progress.clone();
        match self.progress.apply(event) {
            Ok(effects) => {
                self.watcher.sees(Some(event), &effects);
                self.watcher.agrees_with(&self.progress);
                self.accepted.push((event, effects));
                true
            }
            Err(refused) => {
                assert_eq!(refused.event, event);
                assert_eq!(self.progress, before, "{refused}, but something changed");
                false
            }
        }
    }

    /// Lets everything that is left go well. A job needs at most a start by hand, a start, and two events for each step.
    fn finishes(&mut self) {
        let jobs = self.progress.outline().jobs.iter();
        let events: usize = jobs.map(|job| 2 + 2 * job.steps.len()).sum();
        for _ in 0..events {
            self.chooses(Choice {
                kind: Kind::Good,
                number: 0,
            });
        }
    }

    fn has_ended(&self) -> bool {
        matches!(self.progress.state(), BuildState::Ended(_))
    }
}

/// The first answer of a caller to a cancellation: every attempt that was to be stopped is over.
fn answer_for_all(run: &mut Run) {
    for job in run.progress.stopping() {
        assert!(run.tries(Event::JobLost(job)), "{job} was to be stopped");
    }
}

fn is_ended(progress: &Progress, job: usize) -> bool {
    progress.job(JobIndex(job)) == Some(JobState::Ended)
}

fn with_step(mut record: Record, at: StepPlace, state: StepState) -> Record {
    record.jobs[at.job.0].steps[at.step] = state;
    record
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_happens_every_step_ends_once_and_the_watcher_agrees(
        outline in outlines(),
        choices in choices(),
    ) {
        let mut run = Run::of(outline, &choices);
        run.finishes();
        prop_assert!(run.has_ended(), "stuck: {:?}", run.progress.record());
        run.watcher.saw_every_end();
        for event in events(run.progress.outline(), Kind::Anything) {
            prop_assert!(!run.tries(event), "{event} was accepted after the end");
        }
    }

    #[test]
    fn the_same_events_have_the_same_effects(outline in outlines(), choices in choices()) {
        let run = Run::of(outline.clone(), &choices);
        let mut again = Run::new(outline);
        for (event, _) in &run.accepted {
            prop_assert!(again.tries(*event));
        }
        prop_assert_eq!(again.accepted, run.accepted);
        prop_assert_eq!(again.progress, run.progress);
    }

    #[test]
    fn a_build_restored_after_any_event_is_the_same_build(
        outline in outlines(),
        choices in choices(),
    ) {
        let mut run = Run::new(outline.clone());
        for choice in choices {
            run.chooses(choice);
            let restored = Progress::restore(outline.clone(), run.progress.record().clone());
            prop_assert_eq!(restored, Ok((run.progress.clone(), vec![])));
        }
    }

    #[test]
    fn a_record_that_knows_only_how_a_step_ended_is_restored_with_what_follows(
        outline in outlines(),
        choices in choices(),
    ) {
        let mut run = Run::new(outline.clone());
        for choice in choices {
            let before = run.progress.record().clone();
            let so_far = run.accepted.len();
            run.chooses(choice);
            if let Some((Event::StepEnded { .. }, effects)) = run.accepted.get(so_far)
                && let [Effect::StepDecided { at, end }, rest @ ..] = &effects[..]
            {
                let record = with_step(before, *at, StepState::Ended(*end));
                let restored = Progress::restore(outline.clone(), record);
                prop_assert_eq!(restored, Ok((run.progress.clone(), rest.to_vec())));
            }
        }
    }

    #[test]
    fn cancelling_ends_everything_once_each_attempt_has_answered(
        outline in outlines(),
        choices in choices(),
    ) {
        let mut run = Run::of(outline.clone(), &choices);
        run.tries(Event::BuildCancelled);
        answer_for_all(&mut run);
        for (job, outlined) in outline.jobs.iter().enumerate() {
            prop_assert!(outlined.is_final || is_ended(&run.progress, job), "job {} goes on", job);
        }
        run.tries(Event::BuildCancelled);
        answer_for_all(&mut run);
        prop_assert!(run.has_ended());
    }

    #[test]
    fn no_outline_and_no_record_makes_the_machine_panic(
        outline in prop_oneof![outlines(), wild_outlines()],
        numbers in prop::collection::vec(any::<u8>(), 1..12),
        choices in choices(),
    ) {
        let restored = Progress::restore(outline.clone(), wild_record(&outline, &numbers)).ok();
        let made = Progress::new(outline).ok();
        for (mut progress, _) in restored.into_iter().chain(made) {
            for &choice in &choices {
                if let Some(event) = chosen(&progress, choice)
                    && let Err(refused) = progress.apply(event)
                {
                    prop_assert_eq!(refused.event, event);
                }
                let is_alive = !progress.ready().is_empty()
                    || !progress.paused().is_empty()
                    || progress.state() == BuildState::Running;
                prop_assert_eq!(is_alive, !matches!(progress.state(), BuildState::Ended(_)));
            }
        }
    }
}
