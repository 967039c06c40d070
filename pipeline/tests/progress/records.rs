//! What is stored of a build and made into one again; and what is neither outline nor record.

use super::{Build, FAILED, chain, effect_line, final_job, in_group, job, manual, place, skipped};
use cofferdam_pipeline::progress::{
    BadOutline, BadRecord, Event, Group, JobIndex, JobRecord, JobState, NotRunReason, Outline,
    OutlineJob, Progress, Record, StepEnd, StepOutcome, StepState, StopCause,
};

const WAITING: StepState = StepState::Waiting;
const PASSED: StepState = StepState::Ended(StepEnd::Passed);
const ERROR: StepState = StepState::Ended(StepEnd::Error);
/// An attempt has the job, and nobody stops it.
const ATTEMPTED: JobState = JobState::Running { stopping: None };

fn outline(jobs: &[OutlineJob]) -> Outline {
    Outline {
        jobs: jobs.to_vec(),
        groups: vec![Group { fail_fast: true }],
    }
}

fn record(jobs: &[(JobState, &[StepState])]) -> Record {
    let jobs = jobs.iter().map(|&(state, steps)| JobRecord {
        state,
        steps: steps.to_vec(),
    });
    Record {
        jobs: jobs.collect(),
        is_cancelled: false,
    }
}

fn restored(
    jobs: &[OutlineJob],
    recorded: &[(JobState, &[StepState])],
) -> Result<Vec<String>, BadRecord> {
    let (_, effects) = Progress::restore(outline(jobs), record(recorded))?;
    Ok(effects.iter().map(effect_line).collect())
}

#[test]
fn a_build_that_is_restored_is_the_same_and_has_nothing_new_to_say() {
    let mut build = Build::with_groups(
        &[
            in_group(0, chain(&[], 2)),
            in_group(0, job(&[])),
            manual(&[]),
            final_job(),
        ],
        &[true],
    );
    build.runs(0).fails(1);
    let outline = build.progress.outline().clone();
    let again = Progress::restore(outline, build.progress.record().clone());
    assert_eq!(again, Ok((build.progress, vec![])));
}

#[test]
fn a_record_whose_last_consequences_were_not_stored_gets_them_drawn() {
    let failed = StepState::Ended(StepEnd::Failed { exit: Some(1) });
    let jobs = [
        in_group(0, chain(&[], 2)),
        in_group(0, job(&[])),
        job(&[0, 1]),
    ];
    let told = restored(
        &jobs,
        &[
            (ATTEMPTED, &[failed, WAITING]),
            (ATTEMPTED, &[StepState::Running]),
            (JobState::Waiting, &[WAITING]),
        ],
    );
    assert_eq!(
        told.unwrap(),
        [
            "step 1 of job 0: not run after 0.0",
            "cancel job 1, fail-fast of 0.0",
            "step 0 of job 2: not run after 0.0",
        ]
    );
}

#[test]
fn a_job_that_was_stored_as_waiting_becomes_ready_if_its_turn_has_come() {
    let told = restored(
        &[job(&[]), job(&[0])],
        &[(ATTEMPTED, &[PASSED]), (JobState::Waiting, &[WAITING])],
    );
    assert_eq!(told.unwrap(), ["may start job 1"]);
}

#[test]
fn a_build_that_had_ended_is_restored_without_ending_again() {
    let told = restored(&[job(&[])], &[(JobState::Ended, &[PASSED])]);
    assert_eq!(told, Ok(vec![]));
}

/// Jobs, what is recorded of them, and why that cannot be.
type Refusal<'a> = (&'a [OutlineJob], &'a [(JobState, &'a [StepState])], &'a str);

fn check_refused(table: &[Refusal<'_>]) {
    for (jobs, recorded, why) in table {
        let refused = restored(jobs, recorded).expect_err(why);
        assert_eq!(refused.to_string(), *why);
    }
}

#[test]
fn a_record_of_another_shape_than_the_outline_is_refused() {
    let jobs = [chain(&[], 2)];
    check_refused(&[
        (&jobs, &[], "0 jobs are recorded of a build that has 1"),
        (
            &jobs,
            &[(ATTEMPTED, &[PASSED])],
            "1 steps are recorded of job 0, which has 2",
        ),
    ]);
}

#[test]
fn a_step_recorded_as_it_cannot_stand_is_refused() {
    let jobs = &[chain(&[], 2)][..];
    let running = StepState::Running;
    let not_run = |reason| StepState::Ended(StepEnd::NotRun(reason));
    let cancelled = not_run(NotRunReason::BuildCancelled);
    let blaming = not_run(NotRunReason::EarlierStepFailed { step: place(0, 9) });
    check_refused(&[
        (
            jobs,
            &[(ATTEMPTED, &[WAITING, PASSED])],
            "step 1 of job 0 is recorded as passed, but an earlier one has not ended",
        ),
        (
            jobs,
            &[(ATTEMPTED, &[running, running])],
            "step 1 of job 0 is recorded as running, but an earlier one has not ended",
        ),
        (
            jobs,
            &[(ATTEMPTED, &[ERROR, PASSED])],
            "step 1 of job 0 is recorded as passed, but an earlier one did not end well",
        ),
        (
            jobs,
            &[(JobState::Ready, &[running, WAITING])],
            "step 0 of job 0 is recorded as running, but no attempt has its job",
        ),
        (
            jobs,
            &[(ATTEMPTED, &[StepState::Ended(StepEnd::Skipped), WAITING])],
            "step 0 of job 0 is recorded as skipped, but its condition does not say no",
        ),
        (
            &[skipped(&[])],
            &[(JobState::Ended, &[PASSED])],
            "step 0 of job 0 is recorded as passed, but its condition says no",
        ),
        (
            jobs,
            &[(JobState::Ended, &[cancelled, cancelled])],
            "step 0 of job 0 is recorded as not run, but the build was not cancelled",
        ),
        (
            jobs,
            &[(JobState::Ended, &[blaming, blaming])],
            "step 0 of job 0 is recorded as not run, but the step that it blames does not exist",
        ),
    ]);
}

#[test]
fn a_job_recorded_as_it_cannot_stand_is_refused() {
    let chain = &[chain(&[], 2)][..];
    let pair = &[job(&[]), job(&[0])][..];
    let stopping = JobState::Running {
        stopping: Some(StopCause::BuildCancelled),
    };
    check_refused(&[
        (
            chain,
            &[(JobState::Ended, &[PASSED, WAITING])],
            "job 0 is recorded as ended, but not all of its steps have ended",
        ),
        (
            chain,
            &[(JobState::Paused, &[WAITING, WAITING])],
            "job 0 is recorded as paused, but its next step does not wait for a person",
        ),
        (
            chain,
            &[(stopping, &[WAITING, WAITING])],
            "job 0 is recorded as stopping, but the build was not cancelled",
        ),
        (
            pair,
            &[(JobState::Ready, &[WAITING]), (JobState::Ready, &[WAITING])],
            "job 1 is recorded as ready, but what it waits for has not ended as it must",
        ),
        (
            pair,
            &[(JobState::Ended, &[ERROR]), (ATTEMPTED, &[WAITING])],
            "job 1 is recorded as running, but what it waits for has not ended as it must",
        ),
        (
            pair,
            &[(JobState::Ready, &[WAITING]), (JobState::Ended, &[PASSED])],
            "job 1 is recorded as ended, but what it waits for has not ended as it must",
        ),
        (
            &[job(&[]), final_job()],
            &[(JobState::Ready, &[WAITING]), (JobState::Ready, &[WAITING])],
            "job 1 is recorded as ready, but what it waits for has not ended as it must",
        ),
    ]);
}

#[test]
fn an_outline_that_is_not_one_is_refused_and_says_why() {
    let mut late_gate = chain(&[], 2);
    late_gate.steps[1].manual = true;
    let mut manual_final = final_job();
    manual_final.steps[0].manual = true;
    let table: [(&[OutlineJob], &str); 9] = [
        (&[], "the outline has no job"),
        (&[chain(&[], 0)], "job 0 has no step"),
        (
            &[job(&[0])],
            "job 0 needs job 0, which does not come before it",
        ),
        (
            &[late_gate],
            "step 1 of job 0 is manual, but not the first of its job",
        ),
        (
            &[in_group(3, job(&[]))],
            "job 0 is in group 3, which does not exist",
        ),
        (
            &[final_job(), final_job()],
            "job 1 is final, and so is job 0",
        ),
        (&[manual_final], "job 0 is final and manual"),
        (&[in_group(0, final_job())], "job 0 is final and in a group"),
        (
            &[final_job(), job(&[0])],
            "job 1 needs job 0, which is final",
        ),
    ];
    for (jobs, why) in table {
        let refused = Progress::new(outline(jobs)).expect_err(why);
        assert_eq!(refused.to_string(), why);
    }
}

#[test]
fn a_record_of_an_outline_that_is_not_one_is_refused_with_the_reason_as_its_source() {
    let refused = Progress::restore(outline(&[]), record(&[])).map(|_| ());
    assert_eq!(refused, Err(BadRecord::Outline(BadOutline::NoJobs)));
}

#[test]
fn a_restored_build_goes_on_where_it_was() {
    let jobs = [chain(&[], 2)];
    let recorded = record(&[(ATTEMPTED, &[PASSED, StepState::Running])]);
    let (mut progress, effects) = Progress::restore(outline(&jobs), recorded).unwrap();
    assert_eq!(effects, []);
    progress.apply(Event::JobRetried(JobIndex(0))).unwrap();
    assert_eq!(progress.steps_to_run(JobIndex(0)), [1]);
    progress.apply(Event::JobStarted(JobIndex(0))).unwrap();
    progress.apply(Event::StepStarted(place(0, 1))).unwrap();
    for outcome in [StepOutcome::Passed, FAILED] {
        let at = place(0, 1);
        let mut branch = progress.clone();
        branch.apply(Event::StepEnded { at, outcome }).unwrap();
        assert_eq!(branch.job(JobIndex(0)), Some(JobState::Ended));
    }
}
