//! Log frames and pages.

use cofferdam_protocol::limits::{LOG_RECORD_BYTES_MAX, LOG_RECORDS_MAX};

use super::*;

store_contract!([
    records_come_back_byte_for_byte_in_the_order_of_storing,
    frames_and_events_share_one_series,
    a_frame_that_comes_again_is_stored_once,
    any_page_size_gives_the_same_records,
    a_cursor_beyond_the_end_gives_an_empty_page,
    a_frame_without_records_counts_in_the_series,
    a_frame_over_the_limits_of_the_wire_is_refused,
    a_record_of_a_step_of_another_job_is_refused,
    a_frame_that_may_not_write_is_stale,
    a_frame_of_an_attempt_that_has_not_started_is_refused,
    a_frame_of_an_attempt_that_has_ended_is_stale,
    a_log_that_is_too_long_keeps_its_beginning_and_says_so,
    all_attempts_of_a_job_share_one_bound,
]);

async fn records_of(scene: &Scene<'_>, number: u8) -> Vec<(AttemptId, LogRecord)> {
    let page = scene.store.read(build(number), 0, usize::MAX).await;
    page.unwrap().records
}

async fn lines_of(scene: &Scene<'_>, number: u8) -> Vec<String> {
    let records = records_of(scene, number).await.into_iter();
    let line = |(_, record): (_, LogRecord)| String::from_utf8(record.bytes).unwrap();
    records.map(line).collect()
}

async fn append(scene: &Scene<'_>, frame: LogFrame) -> Applied {
    scene.store.append(runner(1), frame).await.unwrap()
}

async fn records_come_back_byte_for_byte_in_the_order_of_storing(scene: &Scene<'_>) {
    scene.admit(1, &[&[], &[]]).await;
    let first = scene.start(job(1, 0), 1).await;
    let second = scene.start(job(1, 1), 2).await;
    let mut expected = Vec::new();
    for (number, attempt, step) in [(2, &first, 1), (2, &second, 2), (3, &first, 0)] {
        let mut frame = frame(attempt, number, &["a", "", "b"]);
        frame.records[0].bytes = vec![0, 255, b'\n', 27];
        frame.records[1].origin = Origin::System;
        for record in &mut frame.records {
            record.step = StepIndex(step);
        }
        expected.extend(
            frame
                .records
                .iter()
                .map(|record| (attempt.id, record.clone())),
        );
        assert_eq!(append(scene, frame).await, Applied::Stored(seq(number)));
    }
    assert_eq!(records_of(scene, 1).await, expected);
}

async fn frames_and_events_share_one_series(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let attempt = scene.lease(job(1, 0), 1).await;
    assert_eq!(scene.store.position(attempt.id).await.unwrap(), None);
    let log = |number| append(scene, frame(&attempt, number, &["x"]));
    assert_eq!(log(2).await, Applied::Gap(None));
    let started = scene.report(&attempt, 1, JobEvent::Started).await;
    assert_eq!(started, Applied::Stored(seq(1)));
    assert_eq!(log(2).await, Applied::Stored(seq(2)));
    let begun = scene.report(&attempt, 4, step_started(0)).await;
    assert_eq!(begun, Applied::Gap(Some(seq(2))));
    let begun = scene.report(&attempt, 3, step_started(0)).await;
    assert_eq!(begun, Applied::Stored(seq(3)));
    assert_eq!(log(3).await, Applied::Again(seq(3)));
    assert_eq!(log(4).await, Applied::Stored(seq(4)));
    assert_eq!(
        scene.store.position(attempt.id).await.unwrap(),
        Some(seq(4))
    );
    assert_eq!(lines_of(scene, 1).await, ["x", "x"]);
}

async fn a_frame_that_comes_again_is_stored_once(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let attempt = scene.start(job(1, 0), 1).await;
    assert_eq!(
        append(scene, frame(&attempt, 2, &["a"])).await,
        Applied::Stored(seq(2))
    );
    assert_eq!(
        append(scene, frame(&attempt, 3, &["b"])).await,
        Applied::Stored(seq(3))
    );
    assert_eq!(
        append(scene, frame(&attempt, 2, &["a"])).await,
        Applied::Again(seq(3))
    );
    assert_eq!(
        append(scene, frame(&attempt, 3, &["b"])).await,
        Applied::Again(seq(3))
    );
    assert_eq!(lines_of(scene, 1).await, ["a", "b"]);
}

async fn any_page_size_gives_the_same_records(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let attempt = scene.start(job(1, 0), 1).await;
    let frames: [&[&str]; 4] = [&["one", "two"], &["three"], &[], &["four", "", "five"]];
    for (number, lines) in (2..).zip(frames) {
        let stored = append(scene, frame(&attempt, number, lines)).await;
        assert_eq!(stored, Applied::Stored(seq(number)));
    }
    let all = records_of(scene, 1).await;
    assert_eq!(all.len(), 6);
    for bytes_max in [0, 1, 19, 20, 37, 40, 60, 1000] {
        let mut records = Vec::new();
        let mut cursor = 0;
        loop {
            let page = scene.store.read(build(1), cursor, bytes_max).await.unwrap();
            let bytes: usize = page
                .records
                .iter()
                .map(|(_, one)| one.encoded_bytes())
                .sum();
            assert!(bytes <= bytes_max || page.records.len() == 1, "{page:?}");
            if page.records.is_empty() {
                assert_eq!(
                    page.next, cursor,
                    "the end is where the next record will be"
                );
                break;
            }
            assert!(page.next > cursor);
            cursor = page.next;
            records.extend(page.records);
        }
        assert_eq!(records, all, "in pages of {bytes_max} bytes");
    }
}

async fn a_cursor_beyond_the_end_gives_an_empty_page(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let attempt = scene.start(job(1, 0), 1).await;
    append(scene, frame(&attempt, 2, &["a"])).await;
    for (number, cursor) in [(1, 1), (1, 7), (1, u64::MAX), (9, 0)] {
        let page = scene.store.read(build(number), cursor, 100).await.unwrap();
        assert_eq!((page.records, page.next), (Vec::new(), cursor));
    }
}

async fn a_frame_without_records_counts_in_the_series(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let attempt = scene.start(job(1, 0), 1).await;
    assert_eq!(
        append(scene, frame(&attempt, 2, &[])).await,
        Applied::Stored(seq(2))
    );
    assert_eq!(
        append(scene, frame(&attempt, 3, &["a"])).await,
        Applied::Stored(seq(3))
    );
    assert_eq!(lines_of(scene, 1).await, ["a"]);
}

async fn a_frame_over_the_limits_of_the_wire_is_refused(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let attempt = scene.start(job(1, 0), 1).await;
    let longest = "x".repeat(LOG_RECORD_BYTES_MAX);
    let too_long = format!("{longest}x");
    let bad = [
        frame(&attempt, 2, &[&too_long]),
        frame(&attempt, 2, &[&*longest; 4]),
        frame(&attempt, 2, &vec![""; LOG_RECORDS_MAX + 1]),
    ];
    for frame in bad {
        let refused = append(scene, frame).await;
        assert!(matches!(&refused, Applied::Refused(why) if why.contains("over the limit")));
    }
    let position = scene.store.position(attempt.id).await.unwrap();
    assert_eq!(position, Some(seq(1)));
}

async fn a_record_of_a_step_of_another_job_is_refused(scene: &Scene<'_>) {
    scene.admit(1, &[&[], &[]]).await;
    let attempt = scene.start(job(1, 0), 1).await;
    let mut stray = frame(&attempt, 2, &["mine", "not mine"]);
    stray.records[1].step = StepIndex(2);
    let refused = Applied::Refused("step 2 is not one of the job's".to_owned());
    assert_eq!(append(scene, stray).await, refused);
    assert_eq!(records_of(scene, 1).await, []);
}

async fn a_frame_that_may_not_write_is_stale(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let attempt = scene.lease(job(1, 0), 1).await;
    let other_runner = scene.store.append(runner(2), frame(&attempt, 1, &["a"]));
    assert_eq!(other_runner.await.unwrap(), Applied::Stale);
    let mut other_fence = frame(&attempt, 1, &["a"]);
    other_fence.fence = Fence(2);
    assert_eq!(append(scene, other_fence).await, Applied::Stale);
    scene.store.revoke(runner(1), at(5)).await.unwrap();
    assert_eq!(
        append(scene, frame(&attempt, 1, &["a"])).await,
        Applied::Stale
    );
    assert_eq!(records_of(scene, 1).await, []);
}

async fn a_frame_of_an_attempt_that_has_not_started_is_refused(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let attempt = scene.lease(job(1, 0), 1).await;
    let refused = append(scene, frame(&attempt, 1, &["a"])).await;
    let why = "its job has not started".to_owned();
    assert_eq!(refused, Applied::Refused(why));
    assert_eq!(scene.store.position(attempt.id).await.unwrap(), None);
    assert_eq!(records_of(scene, 1).await, []);
}

async fn a_frame_of_an_attempt_that_has_ended_is_stale(scene: &Scene<'_>) {
    scene.admit(1, &[&[], &[]]).await;
    let finished_one = scene.start(job(1, 0), 1).await;
    scene
        .report(&finished_one, 2, finished(JobResult::Passed))
        .await;
    let lost = scene.start(job(1, 1), 2).await;
    scene.store.expire(at(10)).await.unwrap();
    for (attempt, number) in [(finished_one, 3), (lost, 2)] {
        let stale = append(scene, frame(&attempt, number, &["a"])).await;
        assert_eq!(stale, Applied::Stale);
    }
    assert_eq!(records_of(scene, 1).await, []);
}

async fn all_attempts_of_a_job_share_one_bound(scene: &Scene<'_>) {
    scene.admit(1, &[&[], &[]]).await;
    let line = "x".repeat(1000);
    let first = scene.start(job(1, 0), 1).await;
    for number in 2..=4 {
        append(scene, frame(&first, number, &[&line])).await;
    }
    scene.store.expire(at(10)).await.unwrap();
    let second = scene.start(job(1, 0), 2).await;
    for number in 2..=9 {
        let stored = append(scene, frame(&second, number, &[&line])).await;
        assert_eq!(stored, Applied::Stored(seq(number)));
    }
    let lines = lines_of(scene, 1).await;
    assert_eq!(lines.len(), 5, "four lines and a mark");
    assert!(lines[4].starts_with("The log of this job is longer than"));
    let other = scene.start(job(1, 1), 3).await;
    let mut frame = frame(&other, 2, &[&line]);
    frame.records[0].step = StepIndex(2);
    append(scene, frame).await;
    assert_eq!(lines_of(scene, 1).await.len(), 6, "another job has its own");
}

async fn a_log_that_is_too_long_keeps_its_beginning_and_says_so(scene: &Scene<'_>) {
    scene.admit(1, &[&[]]).await;
    let attempt = scene.start(job(1, 0), 1).await;
    let line = "x".repeat(1000);
    for number in 2..=9 {
        let stored = append(scene, frame(&attempt, number, &[&line])).await;
        assert_eq!(stored, Applied::Stored(seq(number)));
    }
    assert_eq!(
        append(scene, frame(&attempt, 9, &[&line])).await,
        Applied::Again(seq(9))
    );
    let records = records_of(scene, 1).await;
    let (mark, kept) = records.split_last().unwrap();
    assert_eq!(kept.len(), 4);
    assert_eq!(mark.1.origin, Origin::System);
    assert_eq!(
        String::from_utf8_lossy(&mark.1.bytes),
        "The log of this job is longer than 4096 bytes. The rest is not kept.\n"
    );
    let ended = scene
        .report(&attempt, 10, finished(JobResult::Passed))
        .await;
    assert_eq!(
        ended,
        Applied::Stored(seq(10)),
        "the job goes on all the same"
    );
}
