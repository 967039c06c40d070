//! Random outlines, records and choices.

use cofferdam_pipeline::progress::{
    Event, Group, GroupPlace, JobIndex, JobRecord, JobState, NotRunReason, Outline, OutlineJob,
    OutlineStep, Progress, Record, StepEnd, StepOutcome, StepPlace, StepState, StopCause,
};
use proptest::prelude::*;

use crate::FAILED;

const GROUPS: u16 = 2;

const OUTCOMES: [StepOutcome; 7] = [
    StepOutcome::Passed,
    FAILED,
    StepOutcome::Error,
    StepOutcome::TimedOut,
    StepOutcome::Limit,
    StepOutcome::Unsupported,
    StepOutcome::Cancelled,
];

/// What a random run tries next, and which of the events that this can be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    pub(super) kind: Kind,
    pub(super) number: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Something that brings the build on.
    Good,
    /// Some way for a step to end.
    End,
    /// A loss, a retry, a refusal by a person, a cancellation.
    Disturbance,
    /// Any event at all, most of them not allowed.
    Anything,
}

pub(super) fn choices() -> impl Strategy<Value = Vec<Choice>> {
    let kind = prop_oneof![
        14 => Just(Kind::Good),
        3 => Just(Kind::End),
        1 => Just(Kind::Disturbance),
        2 => Just(Kind::Anything),
    ];
    let choice = (kind, any::<u16>()).prop_map(|(kind, number)| Choice { kind, number });
    prop::collection::vec(choice, 0..40)
}

fn steps() -> impl Strategy<Value = Vec<OutlineStep>> {
    let rarely = || prop::bool::weighted(0.2);
    let step = (rarely(), rarely(), rarely()).prop_map(|(manual, skip, fail_fast)| OutlineStep {
        manual,
        skip,
        fail_fast,
    });
    prop::collection::vec(step, 1..4)
}

pub(super) fn outlines() -> impl Strategy<Value = Outline> {
    let needed = || prop::bool::weighted(0.35);
    let needs = [needed(), needed(), needed(), needed(), needed(), needed()];
    let job = (needs, steps(), prop::option::of(0..GROUPS));
    let jobs = prop::collection::vec(job, 1..7).prop_map(|jobs| {
        let jobs = jobs.into_iter().enumerate();
        let jobs = jobs.map(|(index, (needs, steps, group))| OutlineJob {
            needs: (0..index).filter(|&need| needs[need]).collect(),
            steps: gate_first(steps),
            group: group.map(|group| GroupPlace { group }),
            is_final: false,
        });
        jobs.collect::<Vec<_>>()
    });
    let groups = prop::collection::vec(any::<bool>(), usize::from(GROUPS));
    let last = prop::option::of((any::<u16>(), steps()));
    (jobs, groups, last).prop_map(|(jobs, groups, last)| Outline {
        jobs: match last {
            Some((place, steps)) => with_final(jobs, place, steps),
            None => jobs,
        },
        groups: groups_of(groups),
    })
}

/// Only the first step of a job may be manual.
fn gate_first(mut steps: Vec<OutlineStep>) -> Vec<OutlineStep> {
    for step in &mut steps[1..] {
        step.manual = false;
    }
    steps
}

/// Puts a final job somewhere among the others, whose needs move out of its way.
fn with_final(
    mut jobs: Vec<OutlineJob>,
    place: u16,
    mut steps: Vec<OutlineStep>,
) -> Vec<OutlineJob> {
    let place = usize::from(place) % (jobs.len() + 1);
    for need in jobs.iter_mut().flat_map(|job| &mut job.needs) {
        *need += usize::from(*need >= place);
    }
    for step in &mut steps {
        step.manual = false;
    }
    let last = OutlineJob {
        steps,
        is_final: true,
        ..OutlineJob::default()
    };
    jobs.insert(place, last);
    jobs
}

/// Outlines that obey no rule.
pub(super) fn wild_outlines() -> impl Strategy<Value = Outline> {
    let needs = prop::collection::vec(0..5_usize, 0..3);
    let group = prop::option::of(0..GROUPS + 1);
    let steps = prop_oneof![9 => steps(), 1 => Just(Vec::new())];
    let job = (needs, steps, group, prop::bool::weighted(0.1));
    let job = job.prop_map(|(needs, steps, group, is_final)| OutlineJob {
        needs,
        steps,
        group: group.map(|group| GroupPlace { group }),
        is_final,
    });
    let groups = prop::collection::vec(any::<bool>(), 0..3);
    (prop::collection::vec(job, 0..5), groups).prop_map(|(jobs, groups)| Outline {
        jobs,
        groups: groups_of(groups),
    })
}

fn groups_of(fail_fast: Vec<bool>) -> Vec<Group> {
    let groups = fail_fast.into_iter();
    groups.map(|fail_fast| Group { fail_fast }).collect()
}

/// A record of the right shape in which the numbers choose where each job and step stands.
pub(super) fn wild_record(outline: &Outline, numbers: &[u8]) -> Record {
    let step = StepPlace {
        job: JobIndex(usize::from(numbers[0] % 4)),
        step: 0,
    };
    let causes = [StopCause::FailFast { step }, StopCause::BuildCancelled];
    let jobs = [
        JobState::Waiting,
        JobState::Paused,
        JobState::Ready,
        JobState::Ended,
        JobState::Running { stopping: None },
        JobState::Running {
            stopping: Some(causes[usize::from(numbers[0]) % 2]),
        },
    ];
    let steps = [
        StepState::Waiting,
        StepState::Running,
        StepState::Ended(StepEnd::Passed),
        StepState::Ended(StepEnd::Skipped),
        StepState::Ended(StepEnd::Error),
        StepState::Ended(StepEnd::Cancelled { by: None }),
        StepState::Ended(StepEnd::NotRun(NotRunReason::EarlierStepFailed { step })),
    ];
    let mut numbers = numbers.iter().cycle().map(|&number| usize::from(number));
    let mut number = || numbers.next().expect("a cycle of at least one");
    let jobs = outline.jobs.iter().map(|job| JobRecord {
        state: jobs[number() % jobs.len()],
        steps: job
            .steps
            .iter()
            .map(|_| steps[number() % steps.len()])
            .collect(),
    });
    Record {
        jobs: jobs.collect(),
        is_cancelled: number() % 4 == 0,
    }
}

/// What of this kind can be said of the build, and of one job and one step too many.
pub(super) fn events(outline: &Outline, kind: Kind) -> Vec<Event> {
    let jobs: Vec<_> = (0..=outline.jobs.len()).map(JobIndex).collect();
    let places: Vec<_> = jobs.iter().flat_map(|&job| places(outline, job)).collect();
    let is = |kinds: &[Kind]| kinds.contains(&kind);
    let mut events = Vec::new();
    if is(&[Kind::Good, Kind::Anything]) {
        for &job in &jobs {
            events.extend([Event::JobStarted(job), Event::ManualStarted(job)]);
        }
        for &at in &places {
            let outcome = StepOutcome::Passed;
            events.extend([Event::StepStarted(at), Event::StepEnded { at, outcome }]);
        }
    }
    if is(&[Kind::End, Kind::Anything]) {
        for &at in &places {
            events.extend(OUTCOMES.map(|outcome| Event::StepEnded { at, outcome }));
        }
    }
    if is(&[Kind::Disturbance, Kind::Anything]) {
        events.push(Event::BuildCancelled);
        for &job in &jobs {
            events.extend([
                Event::JobLost(job),
                Event::JobRetried(job),
                Event::ManualDeclined(job),
            ]);
        }
    }
    events
}

fn places(outline: &Outline, job: JobIndex) -> impl Iterator<Item = StepPlace> {
    let steps = outline.jobs.get(job.0).map_or(0, |job| job.steps.len());
    (0..=steps).map(move |step| StepPlace { job, step })
}

/// The event that a choice comes to: one that is allowed, unless it is to be anything. `None` if there is none.
pub(super) fn chosen(progress: &Progress, choice: Choice) -> Option<Event> {
    let events = events(progress.outline(), choice.kind);
    let first = usize::from(choice.number).checked_rem(events.len())?;
    let mut from_there = events[first..].iter().chain(&events[..first]).copied();
    from_there.find(|&event| choice.kind == Kind::Anything || progress.clone().apply(event).is_ok())
}
