//! What a hub left before builds had a course of their own goes on with this one.

use super::*;
use crate::domain::{Job, JobState};

/// The migrations of the last hub without.
const BEFORE: usize = 6;

/// What is stored before: builds by number, each with its jobs.
struct Old<'c> {
    connection: &'c mut SqliteConnection,
    /// How jobs ended, which is stored after their attempts.
    outcomes: Vec<String>,
}

impl Old<'_> {
    async fn run(&mut self, sql: String) {
        sqlx::query(AssertSqlSafe(sql))
            .execute(&mut *self.connection)
            .await
            .unwrap();
    }

    async fn build(&mut self, number: u8, state: &str) {
        let finished = match state {
            "queued" | "running" => "NULL",
            _ => "'2024-01-01T00:00:09.000000000Z'",
        };
        self.run(format!(
            "INSERT INTO builds VALUES ({number}, {}, 'r', {number}, 'refs/heads/main', '{number:040x}',
                '2024-01-01T00:00:00.000000000Z', 'trusted', 'default', '', '{state}', {finished})",
            id(number, 0)
        ))
        .await;
    }

    /// A job of two steps.
    async fn job(&mut self, build: u8, ordinal: u8, needs: &str, outcome: &str) {
        let ended = match outcome {
            "NULL" | "'not run'" => "NULL",
            _ => "'2024-01-01T00:00:09.000000000Z'",
        };
        let job = id(build, 1 + ordinal);
        self.run(format!(
            "INSERT INTO jobs VALUES ({job}, {}, {ordinal}, '{needs}', '[]', NULL, NULL)",
            id(build, 0)
        ))
        .await;
        self.outcomes.push(format!(
            "UPDATE jobs SET outcome = {outcome}, ended_at = {ended} WHERE id = {job}"
        ));
        for place in 0..2 {
            let index = 2 * ordinal + place;
            let spec = serde_json::json!({
                "index": index, "name": "a", "line": 1, "max_time_secs": 60,
                "work": { "kind": "unsupported", "what": "pipes", "line": 2 },
            });
            self.run(format!(
                "INSERT INTO steps VALUES ({job}, {index}, {place}, '{spec}')"
            ))
            .await;
        }
    }

    /// The first attempt on a job, and what it reported of its steps; a step without a result began.
    async fn attempt(&mut self, build: u8, ordinal: u8, end: &str, reports: &[Option<&str>]) {
        let (job, attempt) = (id(build, 1 + ordinal), id(build, 101 + ordinal));
        let is_cancel_wanted = u8::from(end == "cancel wanted");
        let end = match end {
            "live" | "cancel wanted" => "NULL".to_owned(),
            end => format!("'{end}'"),
        };
        let time = "'2024-01-01T00:00:01.000000000Z'";
        let position = 1 + reports.len();
        self.run(format!(
            "INSERT INTO attempts VALUES ({attempt}, {job}, 1, {}, {time}, {time}, {is_cancel_wanted}, {end},
                {position}, 0)",
            id(0, 1)
        ))
        .await;
        for (index, report) in (2 * ordinal..).zip(reports) {
            let ended = match report {
                Some(result) => format!("{time}, '{result}', 'null'"),
                None => "NULL, NULL, NULL".to_owned(),
            };
            self.run(format!(
                "INSERT INTO step_reports VALUES ({attempt}, {job}, {index}, {time}, {ended})"
            ))
            .await;
        }
    }
}

fn id(build: u8, number: u8) -> String {
    format!("x'{number:030x}{build:02x}'")
}

fn bytes(build: u8, number: u8) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[14] = number;
    bytes[15] = build;
    bytes
}

const PASSED: Option<&str> = Some(r#"{"result":"passed"}"#);
const FAILED: Option<&str> = Some(r#"{"result":"failed","exit":3,"why":"no"}"#);

async fn fill_old(connection: &mut SqliteConnection) {
    let mut old = Old {
        connection,
        outcomes: Vec::new(),
    };
    old.run("INSERT INTO repositories VALUES ('r', 'file:///srv/r.git', 'key')".to_owned())
        .await;
    let runner = id(0, 1);
    old.run(format!(
        "INSERT INTO runners VALUES (1, {runner}, 'one', zeroblob(32), '[]', 'active',
            '2024-01-01T00:00:00.000000000Z', NULL)"
    ))
    .await;
    old.build(1, "passed").await;
    old.job(1, 0, "[]", "'passed'").await;
    old.attempt(1, 0, "finished", &[PASSED, PASSED]).await;
    old.build(2, "failed").await;
    old.job(2, 0, "[]", "'failed'").await;
    old.attempt(2, 0, "finished", &[PASSED, FAILED]).await;
    old.job(2, 1, "[0]", "'not run'").await;
    old.build(3, "running").await;
    old.job(3, 0, "[]", "'passed'").await;
    old.attempt(3, 0, "finished", &[PASSED, PASSED]).await;
    old.job(3, 1, "[0]", "NULL").await;
    old.attempt(3, 1, "live", &[PASSED, None]).await;
    old.job(3, 2, "[0]", "NULL").await;
    old.job(3, 3, "[1]", "NULL").await;
    old.build(4, "cancelled").await;
    old.job(4, 0, "[]", "'cancelled'").await;
    old.build(5, "invalid").await;
    old.build(6, "running").await;
    old.job(6, 0, "[]", "NULL").await;
    old.attempt(6, 0, "cancel wanted", &[None]).await;
    old.build(7, "queued").await;
    old.job(7, 0, "[]", "NULL").await;
    old.attempt(7, 0, "lost", &[PASSED, None]).await;
    for outcome in std::mem::take(&mut old.outcomes) {
        old.run(outcome).await;
    }
}

async fn show(store: &SqliteStore, number: u8) -> String {
    let build = BuildId::from_bytes(bytes(number, 0));
    let state = store.build(build).await.unwrap().unwrap().state;
    let show = |job: Job| {
        let steps = job.steps.iter().map(|step| step.state.name());
        let is_stopping = job.state.live().is_some_and(|live| live.is_cancel_wanted);
        let more = if is_stopping { ", to be stopped" } else { "" };
        let steps = steps.collect::<Vec<_>>().join(", ");
        format!("{}{more} ({steps})", job.state.name())
    };
    let jobs = store.jobs(build).await.unwrap();
    let jobs: Vec<String> = jobs.into_iter().map(show).collect();
    format!("{}: {}", state.name(), jobs.join(", "))
}

async fn report(store: &SqliteStore, build: u8, ordinal: u8, seq: u64, event: JobEvent) {
    let report = Report {
        runner: RunnerId::from_bytes(bytes(0, 1)),
        attempt: AttemptId::from_bytes(bytes(build, 101 + ordinal)),
        ..super::report(seq, event)
    };
    let applied = store.apply(report).await.unwrap();
    assert_eq!(applied, Applied::Stored(Seq::from_u64(seq).unwrap()));
}

async fn open_old(directory: &TempDir) -> SqliteStore {
    let options = SqliteConnectOptions::new()
        .filename(file(directory))
        .create_if_missing(true);
    make_private(&file(directory)).unwrap();
    migrate(&options, &MIGRATIONS[..BEFORE]).await.unwrap();
    let mut connection = options.connect().await.unwrap();
    fill_old(&mut connection).await;
    connection.close().await.unwrap();
    SqliteStore::open(&file(directory)).await.unwrap()
}

#[tokio::test]
async fn builds_of_an_older_hub_stand_where_they_stood() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_old(&directory).await;
    let mut shown = String::new();
    for number in 1..=7 {
        shown = format!("{shown}{}\n", show(&store, number).await);
    }
    insta::assert_snapshot!(shown, @r"
    passed: passed (passed, passed)
    failed: failed (passed, failed), not-run (not run, not run)
    running: passed (passed, passed), running (passed, running), queued (waiting, waiting), waiting (waiting, waiting)
    cancelled: cancelled (cancelled, not run)
    invalid: 
    running: running, to be stopped (running, waiting)
    queued: queued (waiting, waiting)
    ");
    let ready = store.ready().await.unwrap();
    let ready: Vec<JobId> = ready.into_iter().map(|job| job.id).collect();
    let expected = [bytes(3, 3), bytes(7, 1)].map(JobId::from_bytes);
    assert_eq!(ready, expected);
}

#[tokio::test]
async fn builds_of_an_older_hub_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_old(&directory).await;
    let ended = |step| JobEvent::StepFinished {
        step: StepIndex(step),
        result: cofferdam_protocol::report::StepResult::Passed,
        receipt: serde_json::Value::Null,
    };
    let over = JobEvent::Finished {
        result: JobResult::Passed,
    };
    report(&store, 3, 1, 4, ended(3)).await;
    report(&store, 3, 1, 5, over).await;
    let jobs = store.jobs(BuildId::from_bytes(bytes(3, 0))).await.unwrap();
    let state = jobs.into_iter().map(|job| job.state).next_back();
    assert_eq!(state, Some(JobState::Queued { attempts: 0 }));
    let cancelled = JobEvent::Finished {
        result: JobResult::Cancelled,
    };
    report(&store, 6, 0, 3, cancelled).await;
    assert_eq!(
        show(&store, 6).await,
        "cancelled: cancelled (cancelled, not run)"
    );
    store.expire(Timestamp::MAX).await.unwrap();
    store
        .cancel(BuildId::from_bytes(bytes(7, 0)), time())
        .await
        .unwrap();
    assert_eq!(
        show(&store, 7).await,
        "cancelled: cancelled (not run, not run)"
    );
}
