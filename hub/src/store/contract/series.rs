//! Never lost, never twice: in whatever order and however often the reports of an attempt arrive, what
//! is stored is what would be had each arrived once and in order.

use proptest::prelude::*;

use super::*;

/// One numbered report of an attempt.
#[derive(Clone, Debug)]
enum Sent {
    Event(JobEvent),
    Log(usize),
}

/// What a runner reports about a job of two steps: a start, some log, the steps, an end.
fn series() -> impl Strategy<Value = Vec<Sent>> {
    let log = || prop::collection::vec((0..30_usize).prop_map(Sent::Log), 0..3);
    let result = prop_oneof![Just(JobResult::Passed), Just(JobResult::Failed)];
    (log(), log(), log(), any::<bool>(), result).prop_map(
        |(before, first, second, ends, result)| {
            let mut series = vec![Sent::Event(JobEvent::Started)];
            series.extend(before);
            series.push(Sent::Event(step_started(0)));
            series.extend(first);
            series.push(Sent::Event(step_finished(0, StepResult::Passed)));
            series.push(Sent::Event(step_started(1)));
            series.extend(second);
            if ends {
                series.push(Sent::Event(step_finished(1, StepResult::Passed)));
            }
            series.push(Sent::Event(finished(result)));
            series
        },
    )
}

async fn send(store: &dyn Store, attempt: &Attempt, series: &[Sent], number: usize) -> Applied {
    let applied = match &series[number] {
        Sent::Event(event) => {
            let report = report(attempt, number as u64 + 1, event.clone());
            store.apply(report).await
        }
        Sent::Log(lines) => {
            let frame = frame(attempt, number as u64 + 1, &vec!["a line"; *lines]);
            store.append(attempt.runner, frame).await
        }
    };
    applied.unwrap()
}

/// Sends the reports in the order of `chaos`, then what is missing as a runner does: from the position
/// on, in order, until all is stored.
async fn deliver(kept: &Kept, series: &[Sent], chaos: &[prop::sample::Index]) -> String {
    let scene = Scene::new(kept.store()).await;
    scene.admit(1, &[&[], &[0]]).await;
    let attempt = scene.lease(job(1, 0), 1).await;
    for index in chaos {
        let number = index.index(series.len());
        let before = scene
            .store
            .position(attempt.id)
            .await
            .unwrap()
            .map_or(0, Seq::get);
        let applied = send(scene.store, &attempt, series, number).await;
        let expected = match number as u64 + 1 {
            this if this <= before => Applied::Again(seq(before)),
            this if this == before + 1 => Applied::Stored(seq(this)),
            _ if before == series.len() as u64 => Applied::Stale,
            _ => Applied::Gap(Seq::from_u64(before)),
        };
        assert_eq!(applied, expected);
    }
    let position = scene.store.position(attempt.id).await.unwrap();
    for number in position.map_or(0, Seq::get)..series.len() as u64 {
        let number = usize::try_from(number).unwrap();
        let applied = send(scene.store, &attempt, series, number).await;
        assert_eq!(applied, Applied::Stored(seq(number as u64 + 1)));
    }
    dump(scene.store, 1).await
}

async fn check(series: Vec<Sent>, chaos: Vec<prop::sample::Index>) {
    let expected = deliver(&on_memory().await, &series, &[]).await;
    assert_eq!(deliver(&on_memory().await, &series, &chaos).await, expected);
    assert_eq!(deliver(&on_sqlite().await, &series, &chaos).await, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn reports_in_any_order_and_number_are_stored_once_and_in_order(
        series in series(),
        chaos in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(series, chaos));
    }
}
