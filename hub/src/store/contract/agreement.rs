//! Whatever is asked of them in whatever order, both stores answer the same, and a store that is opened again between any two
//! of them as if it had not been.

use cofferdam_pipeline::progress::{Group, GroupPlace, StepState};
use proptest::prelude::*;

use super::*;
use crate::store::{Answer, StoreError};

/// Something asked of a store.
#[derive(Clone, Debug)]
enum Command {
    Admit {
        number: u8,
        shape: usize,
    },
    Lease {
        build: u8,
        ordinal: u8,
        runner: u8,
    },
    /// Of the attempt at a place among those that are leased, so that most commands mean something.
    OfLeased {
        place: usize,
        asked: OfLeased,
    },
    /// Of an attempt that may or may not be, so that some do not.
    Report {
        number: u8,
        fence: u64,
        seq: u64,
        event: JobEvent,
    },
    Expire,
    Cancel {
        number: u8,
    },
    /// For a job that may or may not wait for a person.
    Answer {
        build: u8,
        ordinal: u8,
        answer: Answer,
    },
    /// The hub stops and starts again.
    Reopen,
    Revoke {
        runner: u8,
    },
}

/// Something asked of a leased attempt; its reports have the number that comes next.
#[derive(Clone, Debug)]
enum OfLeased {
    Event(JobEvent),
    /// What a runner would report next, steps ending so.
    Next(StepResult),
    Log(usize),
    GiveBack,
    Renew(u8),
}

/// One that fails fast, gated, final and conditional at a time, and some all at once.
fn shapes() -> [Outline; 6] {
    let mut fast = outline(&[&[], &[], &[0, 1]]);
    fast.groups = vec![Group { fail_fast: true }];
    fast.jobs[0].group = Some(GroupPlace { group: 0 });
    fast.jobs[1].group = Some(GroupPlace { group: 0 });
    let mut gated = outline(&[&[], &[0], &[1]]);
    gated.jobs[1].steps[0].manual = true;
    gated.jobs[2].steps[1].skip = true;
    let mut last = outline(&[&[], &[], &[]]);
    last.jobs[2].is_final = true;
    last.jobs[0].steps[0].skip = true;
    let mut all = fast.clone();
    all.jobs[0].steps[0].manual = true;
    all.jobs[1].steps[1].skip = true;
    all.jobs[2].is_final = true;
    [
        outline(&[&[], &[0]]),
        outline(&[&[], &[], &[0, 1]]),
        fast,
        gated,
        last,
        all,
    ]
}

fn event() -> impl Strategy<Value = JobEvent> {
    prop_oneof![
        6 => Just(JobEvent::Started),
        2 => (0..6_u16).prop_map(step_started),
        2 => (0..6_u16).prop_map(|step| step_finished(step, StepResult::Passed)),
        2 => Just(finished(JobResult::Passed)),
        1 => Just(finished(JobResult::Failed)),
    ]
}

fn of_leased() -> impl Strategy<Value = OfLeased> {
    let result = prop_oneof![
        6 => Just(StepResult::Passed),
        2 => Just(failed()),
        1 => Just(broken()),
        1 => Just(StepResult::Cancelled),
    ];
    prop_oneof![
        3 => event().prop_map(OfLeased::Event),
        20 => result.prop_map(OfLeased::Next),
        3 => (0..40_usize).prop_map(OfLeased::Log),
        1 => Just(OfLeased::GiveBack),
        1 => (1..=3_u8).prop_map(OfLeased::Renew),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    use Command as C;
    prop_oneof![
        3 => (1..=3_u8, 0..6_usize).prop_map(|(number, shape)| C::Admit { number, shape }),
        8 => (1..=3_u8, 0..3_u8, 1..=3_u8)
            .prop_map(|(build, ordinal, runner)| C::Lease { build, ordinal, runner }),
        17 => (0..3_usize, of_leased()).prop_map(|(place, asked)| C::OfLeased { place, asked }),
        3 => (0..9_u8, 0..4_u64, 1..6_u64, event())
            .prop_map(|(number, fence, seq, event)| C::Report { number, fence, seq, event }),
        5 => Just(C::Expire),
        1 => (1..=3_u8).prop_map(|number| C::Cancel { number }),
        3 => (1..=3_u8, 0..3_u8, prop_oneof![3 => Just(Answer::Start), 1 => Just(Answer::Decline)])
            .prop_map(|(build, ordinal, answer)| C::Answer { build, ordinal, answer }),
        3 => Just(C::Reopen),
        // Seldom one of the two there are: without runners nothing happens any more.
        1 => (1..=20_u8).prop_map(|runner| C::Revoke { runner }),
    ]
}

/// The attempt at a place among those that are leased, and the number of its next report.
async fn leased(store: &dyn Store, place: usize) -> Option<(Job, Attempt, u64)> {
    let mut jobs = store.leases().await.unwrap();
    let job = (place < jobs.len()).then(|| jobs.swap_remove(place))?;
    let JobState::Leased(attempt) = job.state else {
        panic!("a leased job is in another state");
    };
    let position = store.position(attempt.id).await.unwrap();
    Some((job, attempt, position.map_or(0, Seq::get) + 1))
}

/// What the runner of a job that goes its way reports next.
fn next_event(job: Job, attempt: &Attempt, result: StepResult) -> JobEvent {
    if attempt.started_at.is_none() {
        return JobEvent::Started;
    }
    let is_running = job
        .steps
        .iter()
        .any(|step| step.state == StepState::Running);
    match job.steps_to_run().first() {
        Some(step) if is_running => step_finished(step.index.0, result),
        Some(step) => step_started(step.index.0),
        None => finished(JobResult::Passed),
    }
}

/// Asks it, at second `now`, and gives the answer as text. An error's text may differ between stores,
/// that there is one may not.
async fn ask(store: &dyn Store, command: Command, now: u8) -> String {
    let this = at(now.into());
    match command {
        Command::Admit { number, shape } => {
            let outline = shapes()[shape].clone();
            say(store.admit(outlined_build("r", number, outline)).await)
        }
        Command::Lease {
            build,
            ordinal,
            runner: holder,
        } => {
            let until = at(i64::from(now) + 3);
            let leased = store.lease(job(build, ordinal), attempt(now), runner(holder), until);
            say(leased.await)
        }
        Command::OfLeased { place, asked } => match leased(store, place).await {
            Some((job, attempt, next)) => ask_leased(store, (job, attempt), next, asked, now).await,
            None => "nothing is leased".to_owned(),
        },
        Command::Report {
            number,
            fence,
            seq,
            event,
        } => {
            let attempt = Attempt {
                id: attempt(number),
                fence: Fence(fence),
                runner: runner(1),
                lease_until: at(0),
                started_at: None,
                is_cancel_wanted: false,
            };
            say(store.apply(report(&attempt, seq, event)).await)
        }
        Command::Expire => say(store.expire(this).await),
        Command::Cancel { number } => say(store.cancel(build(number), this).await),
        Command::Answer {
            build: of,
            ordinal,
            answer,
        } => say(store
            .answer(build(of), job(of, ordinal), answer, this)
            .await),
        Command::Reopen => String::new(),
        Command::Revoke { runner: revoked } => say(store.revoke(runner(revoked), this).await),
    }
}

async fn ask_leased(
    store: &dyn Store,
    (job, attempt): (Job, Attempt),
    next: u64,
    asked: OfLeased,
    now: u8,
) -> String {
    let Attempt { id, fence, .. } = attempt;
    match asked {
        OfLeased::Event(event) => say(store.apply(report(&attempt, next, event)).await),
        OfLeased::Next(result) => {
            let event = next_event(job, &attempt, result);
            say(store.apply(report(&attempt, next, event)).await)
        }
        OfLeased::Log(lines) => {
            let frame = frame(&attempt, next, &vec!["a line of some length"; lines]);
            say(store.append(attempt.runner, frame).await)
        }
        OfLeased::GiveBack => say(store.give_back(id, fence, at(now.into())).await),
        OfLeased::Renew(holder) => {
            let until = at(i64::from(now) + 3);
            say(store.renew(id, fence, runner(holder), until).await)
        }
    }
}

fn say<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    format!("{:?}", answer.map_err(|error| error.doing))
}

async fn compare(commands: Vec<Command>) {
    let mut sqlite = on_sqlite().await;
    let memory = on_memory().await;
    Scene::new(sqlite.store()).await;
    Scene::new(memory.store()).await;
    for (now, command) in (1..).zip(commands) {
        if matches!(command, Command::Reopen) {
            let before = dump(sqlite.store(), 3).await;
            sqlite.reopen().await;
            assert_eq!(dump(sqlite.store(), 3).await, before, "opened again");
        }
        let expected = ask(memory.store(), command.clone(), now).await;
        let answer = ask(sqlite.store(), command.clone(), now).await;
        assert_eq!(answer, expected, "to {command:?}");
    }
    let expected = dump(memory.store(), 3).await;
    assert_eq!(dump(sqlite.store(), 3).await, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_stores_answer_the_same_to_any_commands(
        commands in prop::collection::vec(command(), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(compare(commands));
    }
}
