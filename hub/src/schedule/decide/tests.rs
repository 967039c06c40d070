use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn waiting(number: u8, repository: &str, runs_on: &[&str]) -> Waiting {
    Waiting {
        job: JobId::from_bytes([number; 16]),
        repository: repository.parse().expect("a good name"),
        runs_on: runs_on.iter().map(|&label| label.to_owned()).collect(),
    }
}

fn online(number: u8, free_slots: u16, labels: &[&str]) -> OnlineRunner {
    OnlineRunner {
        id: RunnerId::from_bytes([number; 16]),
        name: format!("runner-{number}"),
        declined: BTreeMap::new(),
        labels: labels.iter().map(|&label| label.to_owned()).collect(),
        free_slots,
    }
}

/// The decisions as `job→runner` by their numbers.
fn check(queue: &[Waiting], runners: &[OnlineRunner]) -> String {
    let decided = decide(queue, runners);
    let pairs: Vec<String> = decided
        .iter()
        .map(|pair| format!("{}→{}", pair.job.to_bytes()[0], pair.runner.to_bytes()[0]))
        .collect();
    pairs.join(" ")
}

#[test]
fn the_oldest_job_goes_first() {
    let queue = [waiting(1, "a", &[]), waiting(2, "a", &[])];
    assert_eq!(check(&queue, &[online(9, 1, &[])]), "1→9");
}

#[test]
fn a_job_goes_only_where_all_its_labels_are() {
    let queue = [
        waiting(1, "a", &["linux", "gpu"]),
        waiting(2, "a", &["linux"]),
    ];
    let runners = [online(8, 1, &["linux"]), online(9, 1, &["gpu"])];
    assert_eq!(check(&queue, &runners), "2→8");
}

#[test]
fn a_job_without_wishes_leaves_the_special_runner_free() {
    let queue = [waiting(1, "a", &[]), waiting(2, "a", &["gpu"])];
    let runners = [online(8, 1, &["gpu"]), online(9, 1, &[])];
    assert_eq!(check(&queue, &runners), "1→9 2→8");
}

#[test]
fn jobs_spread_over_runners() {
    let queue = [
        waiting(1, "a", &[]),
        waiting(2, "a", &[]),
        waiting(3, "a", &[]),
    ];
    let runners = [online(8, 2, &[]), online(9, 2, &[])];
    assert_eq!(check(&queue, &runners), "1→8 2→9 3→8");
}

#[test]
fn a_busy_repository_does_not_hold_up_another() {
    let queue = [
        waiting(1, "a", &[]),
        waiting(2, "a", &[]),
        waiting(3, "a", &[]),
        waiting(4, "b", &[]),
    ];
    assert_eq!(check(&queue, &[online(9, 2, &[])]), "1→9 4→9");
}

#[test]
fn a_waiting_job_says_what_it_waits_for() {
    let gpu = ["gpu".to_owned()];
    for (runs_on, runners, expected) in [
        (&[][..], vec![], "no runner is online"),
        (
            &gpu[..],
            vec![online(1, 1, &[])],
            "no online runner has the labels gpu",
        ),
        (
            &gpu[..],
            vec![online(1, 0, &["gpu"])],
            "all runners that could take it are busy",
        ),
        (
            &[][..],
            vec![online(1, 1, &[])],
            "it is about to be handed to a runner",
        ),
    ] {
        let waiting = Waiting {
            runs_on: runs_on.to_vec(),
            ..waiting(7, "a", &[])
        };
        assert_eq!(why_waiting(&waiting, &runners), expected);
    }
}

#[test]
fn a_declined_job_goes_to_another_runner_and_holds_up_nobody() {
    let queue = [waiting(1, "a", &[]), waiting(2, "a", &[])];
    let mut unwilling = online(8, 1, &[]);
    unwilling.declined = BTreeMap::from([(queue[0].job, "no disk".to_owned())]);
    assert_eq!(check(&queue, std::slice::from_ref(&unwilling)), "2→8");
    assert_eq!(
        check(&queue, &[unwilling.clone(), online(9, 1, &[])]),
        "1→9 2→8"
    );
    assert_eq!(
        why_waiting(&queue[0], &[unwilling]),
        "the runner runner-8 declined it: no disk"
    );
}

#[test]
fn bitbuckets_own_label_fits_every_runner() {
    let queue = [waiting(1, "a", &["self.hosted", "linux"])];
    assert_eq!(check(&queue, &[online(9, 1, &["linux"])]), "1→9");
}

prop_compose! {
    fn any_waiting()(
        number in any::<u8>(), repository in "[ab]", runs_on in vec("[xy]", 0..2),
    ) -> Waiting {
        let labels: Vec<&str> = runs_on.iter().map(String::as_str).collect();
        waiting(number, &repository, &labels)
    }
}

prop_compose! {
    fn any_online()(
        number in any::<u8>(), free in 0_u16..3, labels in vec("[xy]", 0..2),
    ) -> OnlineRunner {
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        online(number, free, &labels)
    }
}

proptest! {
    #[test]
    fn no_runner_gets_more_than_fits_and_no_job_goes_astray(
        mut queue in vec(any_waiting(), 0..12), mut runners in vec(any_online(), 0..5),
    ) {
        let mut jobs = BTreeSet::new();
        queue.retain(|waiting| jobs.insert(waiting.job));
        let mut ids = BTreeSet::new();
        runners.retain(|runner| ids.insert(runner.id));
        let decided = decide(&queue, &runners);
        prop_assert_eq!(&decided, &decide(&queue, &runners));
        let given: BTreeSet<JobId> = decided.iter().map(|pair| pair.job).collect();
        prop_assert_eq!(given.len(), decided.len(), "a job was given twice");
        for runner in &runners {
            let count = decided.iter().filter(|pair| pair.runner == runner.id).count();
            prop_assert!(count <= usize::from(runner.free_slots));
        }
        for pair in &decided {
            let job = queue.iter().find(|waiting| waiting.job == pair.job).unwrap();
            let runner = runners.iter().find(|runner| runner.id == pair.runner).unwrap();
            prop_assert!(job.runs_on.iter().all(|label| runner.labels.contains(label)));
        }
        // Nobody waits while a runner that fits has room.
        for waiting in queue.iter().filter(|waiting| !given.contains(&waiting.job)) {
            for runner in &runners {
                let taken = decided.iter().filter(|pair| pair.runner == runner.id).count();
                let has_room = taken < usize::from(runner.free_slots);
                let is_fit = waiting.runs_on.iter().all(|label| runner.labels.contains(label));
                prop_assert!(!(has_room && is_fit), "{waiting:?} waits though {runner:?} is free");
            }
        }
    }
}
