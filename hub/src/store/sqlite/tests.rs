//! What only a store in a file can show.

use std::os::unix::fs::PermissionsExt as _;

use cofferdam_pipeline::progress::{Outline, OutlineJob, OutlineStep};
use cofferdam_protocol::job_spec::Trust;
use cofferdam_protocol::proof::PublicKey;
use cofferdam_protocol::report::{JobEvent, JobResult};
use cofferdam_protocol::{
    AttemptId, BuildId, Fence, JobId, LogFrame, LogRecord, Origin, RunnerId, Seq, StepIndex,
};
use futures_util::FutureExt;
use futures_util::future::join_all;
use sqlx::AssertSqlSafe;
use tempfile::TempDir;

use jiff::Timestamp;

use super::*;
use crate::domain::{JoinToken, Push, ReportedPush};
use crate::store::{
    Applied, BuildStore as _, LogStore as _, NewBuild, NewJob, NewPlan, NewStep, Newcomer,
    PushStore as _, QueueStore as _, Report, RunnerStore as _, SignedReport,
};

mod migration;

const BUILD: BuildId = BuildId::from_bytes([1; 16]);
const JOB: JobId = JobId::from_bytes([2; 16]);
const ATTEMPT: AttemptId = AttemptId::from_bytes([3; 16]);
const RUNNER: RunnerId = RunnerId::from_bytes([4; 16]);

fn time() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn new_build(commit: char, id: BuildId, job: JobId) -> NewBuild {
    let step = serde_json::json!({
        "index": 0, "name": "a", "line": 1, "max_time_secs": 60,
        "work": { "kind": "unsupported", "what": "pipes", "line": 2 },
    });
    let outlined = OutlineJob {
        steps: vec![OutlineStep::default()],
        ..OutlineJob::default()
    };
    let outline = Outline {
        jobs: vec![outlined],
        groups: Vec::new(),
    };
    NewBuild {
        id,
        push: Push {
            repository: "r".parse().unwrap(),
            reference: "refs/heads/main".to_owned(),
            commit: commit.to_string().repeat(40).parse().unwrap(),
            received_at: time(),
        },
        settles: None,
        trust: Trust::Trusted,
        selected: String::new(),
        diagnostics: String::new(),
        plan: Some(NewPlan {
            outline,
            jobs: vec![NewJob {
                id: job,
                runs_on: Vec::new(),
                steps: vec![NewStep {
                    spec: serde_json::from_value(step).unwrap(),
                    skip: None,
                }],
            }],
        }),
    }
}

fn signed_report() -> SignedReport {
    SignedReport {
        repository: "r".parse().unwrap(),
        nonce: "n".to_owned(),
        expires_at: time(),
        pushes: vec![ReportedPush {
            push: new_build('b', BUILD, JOB).push,
            before: None,
        }],
    }
}

fn report(seq: u64, event: JobEvent) -> Report {
    Report {
        runner: RUNNER,
        attempt: ATTEMPT,
        fence: Fence(1),
        seq: Seq::from_u64(seq).unwrap(),
        at: time(),
        event,
        now: time(),
    }
}

fn log(seq: u64) -> LogFrame {
    LogFrame {
        attempt: ATTEMPT,
        fence: Fence(1),
        seq: Seq::from_u64(seq).unwrap(),
        records: vec![LogRecord {
            step: StepIndex(0),
            origin: Origin::Stdout,
            at_ms: 1,
            bytes: b"hello".to_vec(),
        }],
    }
}

/// A store with a row in every table: a running job with a step and a line of log.
async fn filled(directory: &TempDir) -> SqliteStore {
    let store = SqliteStore::open(&file(directory)).await.unwrap();
    fill(&store).await;
    store
}

async fn fill(store: &SqliteStore) {
    let repository = Repository {
        name: "r".parse().unwrap(),
        url: "file:///srv/r.git".to_owned(),
        hook_key: "key".into(),
    };
    assert!(store.add_repository(&repository).await.unwrap());
    let accepted = store.accept(signed_report(), time()).await.unwrap();
    assert_eq!(accepted.map(|pushes| pushes.len()), Some(1));
    let token = JoinToken {
        hash: [5; 32],
        labels: Vec::new(),
        expires_at: Timestamp::MAX,
    };
    store.add_token(&token).await.unwrap();
    let newcomer = Newcomer {
        id: RUNNER,
        name: "runner".to_owned(),
        key: PublicKey([6; 32]),
    };
    store.join(token.hash, newcomer, time()).await.unwrap();
    store.admit(new_build('a', BUILD, JOB)).await.unwrap();
    let leased = store.lease(JOB, ATTEMPT, RUNNER, time()).await.unwrap();
    assert!(leased.is_some());
    store.apply(report(1, JobEvent::Started)).await.unwrap();
    let step = StepIndex(0);
    store
        .apply(report(2, JobEvent::StepStarted { step }))
        .await
        .unwrap();
    store.append(RUNNER, log(3)).await.unwrap();
}

fn file(directory: &TempDir) -> std::path::PathBuf {
    directory.path().join("hub.db")
}

/// A connection of somebody who does not keep to the rules.
async fn vandal(directory: &TempDir) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(file(directory))
        .foreign_keys(false)
        .pragma("ignore_check_constraints", "ON");
    options.connect().await.unwrap()
}

async fn read_all(store: &SqliteStore) -> Result<String, StoreError> {
    Ok(format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        store.repositories().await?.len(),
        store.unsettled().await?,
        store.runners().await?,
        store.builds(None, 10).await?,
        store.jobs(BUILD).await?,
        store.ready().await?,
        store.leases().await?,
        store.steps(JOB).await?,
        store.position(ATTEMPT).await?,
        store.read(BUILD, 0, 1000).await?,
    ))
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_drop() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(&directory).await;
    let before = read_all(&store).await.unwrap();
    drop(store);
    let store = SqliteStore::open(&file(&directory)).await.unwrap();
    assert_eq!(read_all(&store).await.unwrap(), before);
    let finished = JobEvent::Finished {
        result: JobResult::Passed,
    };
    let applied = store.apply(report(4, finished)).await.unwrap();
    assert_eq!(applied, Applied::Stored(Seq::from_u64(4).unwrap()));
    let again = store.accept(signed_report(), time()).await;
    assert_eq!(again.unwrap(), None, "a nonce is remembered too");
}

#[tokio::test]
async fn a_store_that_is_closed_has_done_what_was_asked_and_does_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(&directory).await;
    // More than are queued at once, so some of them still wait for room.
    let mut writes: Vec<_> = (4..200)
        .map(|seq| Box::pin(store.append(RUNNER, log(seq))))
        .collect();
    for write in &mut writes {
        assert!(futures_util::poll!(write).is_pending());
    }
    store.close().await;
    let answers = writes.into_iter().map(FutureExt::now_or_never);
    let is_stored = |answer: &Option<Result<Applied, StoreError>>| matches!(answer, Some(Ok(_)));
    let stored = answers.filter(is_stored).count();
    assert!(stored >= 64, "{stored} of what was queued was done");
    assert!(store.append(RUNNER, log(200)).await.is_err());
    store.close().await;
    let again = SqliteStore::open(&file(&directory)).await.unwrap();
    let position = again.position(ATTEMPT).await.unwrap();
    assert_eq!(position, Seq::from_u64(3 + stored as u64));
    again.close().await;
}

// What a killed process leaves behind is what the files hold at that moment.
#[tokio::test]
async fn what_was_answered_is_there_when_the_hub_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(&directory).await;
    let elsewhere = tempfile::tempdir().unwrap();
    for name in ["hub.db", "hub.db-wal"] {
        let (from, to) = (directory.path().join(name), elsewhere.path().join(name));
        std::fs::copy(from, to).unwrap();
    }
    let copy = SqliteStore::open(&file(&elsewhere)).await.unwrap();
    let expected = read_all(&store).await.unwrap();
    assert_eq!(read_all(&copy).await.unwrap(), expected);
}

#[tokio::test]
async fn the_files_are_for_their_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let _store = filled(&directory).await;
    for name in ["hub.db", "hub.db-wal", "hub.db-shm"] {
        let metadata = std::fs::metadata(directory.path().join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_database_that_others_could_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(filled(&directory).await);
    let mode = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(file(&directory), mode).unwrap();
    let refused = SqliteStore::open(&file(&directory)).await.unwrap_err();
    let why = refused.source.to_string();
    assert!(why.contains("(mode 0644); `chmod 600 "), "{why}");
}

#[test]
fn every_migration_is_embedded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let files = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let embedded = MIGRATIONS.map(|(number, what, _)| {
        let what = what.replace(' ', "_");
        format!("{number:04}_{what}.sql")
    });
    assert_eq!(names, embedded);
}

#[tokio::test]
async fn a_file_of_a_newer_hub_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    drop(filled(&directory).await);
    let newer = "INSERT INTO _sqlx_migrations
        (version, description, success, checksum, execution_time) VALUES (99, 'x', 1, x'00', 0)";
    sqlx::query(newer)
        .execute(&mut vandal(&directory).await)
        .await
        .unwrap();
    let error = SqliteStore::open(&file(&directory)).await.unwrap_err();
    assert_eq!(error.to_string(), "the store could not open the database");
    assert!(error.source.to_string().contains("99"), "{}", error.source);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(file(&directory), "hello ".repeat(1000)).unwrap();
    assert!(SqliteStore::open(&file(&directory)).await.is_err());
    assert!(SqliteStore::open(directory.path()).await.is_err());
}

#[tokio::test]
async fn a_row_that_holds_nonsense_is_an_error_that_names_it() {
    let table = [
        ("repositories", "name", "'../etc'"),
        ("pushes", "repository", "'..'"),
        ("pushes", "commit_id", "'main'"),
        ("pushes", "received_at", "'lately'"),
        ("pushes", "before", "'main'"),
        ("runners", "id", "x'00'"),
        ("runners", "public_key", "x'00'"),
        ("runners", "labels", "'[1]'"),
        ("runners", "state", "'paused'"),
        ("runners", "joined_at", "'yesterday'"),
        ("builds", "number", "-1"),
        ("builds", "repository", "''"),
        ("builds", "commit_id", "'main'"),
        ("builds", "trust", "'a bit'"),
        ("builds", "state", "'done'"),
        ("builds", "finished_at", "'soon'"),
        ("jobs", "ordinal", "7"),
        ("builds", "outline", "'{}'"),
        ("jobs", "runs_on", "'{}'"),
        ("jobs", "state", "'great'"),
        ("jobs", "state", "'ready'"),
        ("jobs", "stopping", "'{}'"),
        ("steps", "standing", "'{}'"),
        ("steps", "spec", "'{}'"),
        ("step_reports", "step", "65536"),
        ("step_reports", "began_at", "NULL"),
        ("step_reports", "ended_at", "'never'"),
        ("attempts", "fence", "-1"),
        ("attempts", "runner", "x''"),
        ("attempts", "lease_until", "''"),
        ("attempts", "position", "0"),
        ("attempts", "log_bytes", "-1"),
        ("log_frames", "frame", "x'4c00'"),
        ("log_frames", "last", "7"),
    ];
    for (table, column, value) in table {
        let directory = tempfile::tempdir().unwrap();
        let store = filled(&directory).await;
        let mut vandal = vandal(&directory).await;
        for sql in [
            "DROP TRIGGER a_job_waits_again_after_its_attempt".to_owned(),
            format!("UPDATE {table} SET {column} = {value}"),
        ] {
            sqlx::query(AssertSqlSafe(sql))
                .execute(&mut vandal)
                .await
                .unwrap();
        }
        let error = read_all(&store)
            .await
            .expect_err(&format!("{table}.{column}"));
        let named = error.source.to_string();
        assert!(named.starts_with("a row of "), "{table}.{column}: {named}");
    }
}

#[tokio::test]
async fn columns_refuse_to_contradict_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let _store = filled(&directory).await;
    let options = SqliteConnectOptions::new().filename(file(&directory));
    let mut connection = options.connect().await.unwrap();
    for sql in [
        "UPDATE pushes SET repository = 'unknown'",
        "UPDATE builds SET state = 'passed'",
        "UPDATE builds SET finished_at = '2024-01-01T00:00:00Z'",
        "UPDATE builds SET repository = 'unknown'",
        "UPDATE builds SET outline = NULL",
        "UPDATE builds SET is_cancelled = 2",
        "UPDATE jobs SET state = 'ready'",
        "UPDATE jobs SET state = 'great'",
        "UPDATE jobs SET state = 'ended', stopping = '{}'",
        "UPDATE jobs SET state = 'ended', ended_at = '2024-01-01T00:00:00Z'",
        "UPDATE jobs SET ended_at = '2024-01-01T00:00:00Z'",
        "UPDATE steps SET standing = 'waiting'",
        "UPDATE attempts SET ended_by = 'returned'",
        "UPDATE attempts SET ended_by = 'lost', started_at = NULL",
        "UPDATE attempts SET is_cancel_wanted = 2",
        "UPDATE attempts SET runner = zeroblob(16)",
        "INSERT INTO attempts SELECT zeroblob(16), job, 2, runner, lease_until, NULL, 0, NULL, NULL, 0
            FROM attempts",
        "UPDATE step_reports SET result = '{}'",
        "UPDATE step_reports SET began_at = NULL",
        "UPDATE step_reports SET step = 7",
        "UPDATE builds SET number = 'one'",
    ] {
        let done = sqlx::query(sql).execute(&mut connection).await;
        assert!(done.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn a_write_that_fails_takes_no_other_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = filled(&directory).await;
    let writes = (0..30_u8).map(|number| {
        let commit = char::from_digit(u32::from(number) % 16, 16).unwrap();
        // Every third has a job id that is taken, and fails after its build was inserted.
        let job = match number % 3 {
            0 => JOB,
            _ => JobId::from_bytes([100 + number; 16]),
        };
        let mut new = new_build(commit, BuildId::from_bytes([50 + number; 16]), job);
        new.push.reference = format!("refs/heads/{number}");
        store.admit(new)
    });
    let answers = join_all(writes).await;
    let is_ok = answers
        .iter()
        .enumerate()
        .all(|(n, answer)| answer.is_ok() == (n % 3 != 0));
    assert!(is_ok, "{answers:?}");
    let builds = store.builds(None, 100).await.unwrap();
    let numbers: Vec<u64> = builds.iter().rev().map(|build| build.number).collect();
    assert_eq!(
        numbers,
        (1..=21).collect::<Vec<u64>>(),
        "and no number is skipped"
    );
}

#[tokio::test]
async fn a_store_that_could_not_commit_goes_on_when_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let short = Duration::from_millis(1);
    let store = SqliteStore::open_with(&file(&directory), 1000, short)
        .await
        .unwrap();
    fill(&store).await;
    let mut other = vandal(&directory).await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let error = store.append(RUNNER, log(4)).await.unwrap_err();
    assert_eq!(error.to_string(), "the store could not store a log frame");
    lock.rollback().await.unwrap();
    let stored = store.append(RUNNER, log(4)).await.unwrap();
    assert_eq!(stored, Applied::Stored(Seq::from_u64(4).unwrap()));
}
