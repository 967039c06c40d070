//! What every store does, written once and run against each.
//!
//! A behaviour is an async function over a [`Scene`]; [`store_contract!`] makes a test of it for each
//! implementation. A behaviour that is in no list is dead code, which the lints refuse.

// Before the modules, because a macro is known from where it stands.
macro_rules! store_contract {
    ([$($behaviour:ident),+ $(,)?]) => {
        store_contract!(sqlite: on_sqlite, memory: on_memory; [$($behaviour),+]);
    };
    ($($implementation:ident: $on:ident),+; $behaviours:tt) => {
        $(
            mod $implementation {
                store_contract!(@tests $on $behaviours);
            }
        )+
    };
    (@tests $on:ident [$($behaviour:ident),+]) => {
        $(
            #[tokio::test]
            async fn $behaviour() {
                let kept = crate::store::contract::$on().await;
                let scene = crate::store::contract::Scene::new(kept.store()).await;
                super::$behaviour(&scene).await;
            }
        )+
    };
}

mod agreement;
mod builds;
mod logs;
mod progress;
mod pushes;
mod queue;
mod reports;
mod runners;
mod series;

use std::fmt::Write as _;
use std::future::{Ready, ready};
use std::time::Duration;

use cofferdam_pipeline::progress::{Outline, OutlineJob, OutlineStep};
use cofferdam_protocol::job_spec::{StepSpec, Trust, WorkSpec};
use cofferdam_protocol::proof::PublicKey;
use cofferdam_protocol::report::{Blame, JobEvent, JobResult, StepResult};
use cofferdam_protocol::{
    AttemptId, BuildId, Fence, JobId, LogFrame, LogRecord, Origin, RunnerId, Seq, StepIndex,
};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use super::memory::MemoryStore;
use super::sqlite::SqliteStore;
use super::{
    Admission, Applied, Joined, NewBuild, NewJob, NewPlan, NewStep, Newcomer, Report, Store,
};
use crate::domain::{
    Attempt, Build, Job, JobState, JoinToken, Push, RepoName, Repository, StepReport,
};

/// The limit on the log of one job in these tests, in bytes: a few small frames.
const LOG_BYTES_MAX: u64 = 4096;

/// A store, and the directory that lasts as long as it.
struct Kept {
    store: Box<dyn Store>,
    directory: Option<TempDir>,
}

impl Kept {
    fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// As after a restart of the hub. A store that forgets all when it is dropped stays as it is.
    async fn reopen(&mut self) {
        if let Some(directory) = &self.directory {
            self.store.close().await;
            self.store = Box::new(open(directory).await);
        }
    }
}

async fn on_sqlite() -> Kept {
    let directory = tempfile::tempdir().unwrap();
    Kept {
        store: Box::new(open(&directory).await),
        directory: Some(directory),
    }
}

async fn open(directory: &TempDir) -> SqliteStore {
    let file = directory.path().join("hub.db");
    SqliteStore::open_with(&file, LOG_BYTES_MAX, Duration::from_secs(5))
        .await
        .unwrap()
}

fn on_memory() -> Ready<Kept> {
    ready(Kept {
        store: Box::new(MemoryStore::with_log_bytes_max(LOG_BYTES_MAX)),
        directory: None,
    })
}

/// A store with one repository, `r`, and two runners, 1 and 2. Builds, attempts and runners are called
/// by small numbers, jobs by build and ordinal, times by seconds.
struct Scene<'s> {
    store: &'s dyn Store,
}

impl<'s> Scene<'s> {
    async fn new(store: &'s dyn Store) -> Self {
        let scene = Self { store };
        scene.add_repository("r").await;
        scene.add_runner(1).await;
        scene.add_runner(2).await;
        scene
    }

    async fn add_repository(&self, name: &str) {
        let repository = Repository {
            name: repo(name),
            url: format!("file:///srv/{name}.git"),
            hook_key: "key".into(),
        };
        assert!(self.store.add_repository(&repository).await.unwrap());
    }

    async fn add_runner(&self, number: u8) {
        self.store.add_token(&token(number, 100)).await.unwrap();
        let hash = token(number, 100).hash;
        let joined = self.store.join(hash, newcomer(number), at(0)).await;
        assert!(matches!(joined.unwrap(), Joined::Yes(_)));
    }

    /// Admits build `number` of `r`, whose jobs need the given ones; each has two steps.
    async fn admit(&self, number: u8, needs: &[&[usize]]) -> Build {
        self.admit_outlined(number, outline(needs)).await
    }

    /// Admits build `number` of `r`, of such an outline.
    async fn admit_outlined(&self, number: u8, outline: Outline) -> Build {
        let admission = self.store.admit(outlined_build("r", number, outline)).await;
        match admission.unwrap() {
            Admission::New(build) => build,
            Admission::Known(build) => panic!("build {number} is known: {build:?}"),
        }
    }

    /// Leases a job to runner 1 until second 10.
    async fn lease(&self, job: JobId, number: u8) -> Attempt {
        let leased = self.store.lease(job, attempt(number), runner(1), at(10));
        let leased = leased.await.unwrap();
        leased.expect("the job is ready")
    }

    /// Leases a job to runner 1 and reports its start.
    async fn start(&self, job: JobId, number: u8) -> Attempt {
        let leased = self.lease(job, number).await;
        let started = self.report(&leased, 1, JobEvent::Started).await;
        assert_eq!(started, Applied::Stored(seq(1)));
        leased
    }

    /// Leases a job of two steps, starts it and ends it with its first step, or with its second if it passes.
    async fn run(&self, job: JobId, number: u8, result: JobResult) {
        let leased = self.start(job, number).await;
        let first = 2 * u16::from(job.to_bytes()[15]);
        let ended = |result| [step_started(first), step_finished(first, result)].to_vec();
        let mut events = match result {
            JobResult::Passed => ended(StepResult::Passed),
            JobResult::Failed => ended(failed()),
            JobResult::Error => ended(broken()),
            JobResult::Cancelled => ended(StepResult::Cancelled),
        };
        if result == JobResult::Passed {
            events.push(step_started(first + 1));
            events.push(step_finished(first + 1, StepResult::Passed));
        } else {
            events.push(step_finished(first + 1, StepResult::NotRun));
        }
        events.push(finished(result));
        for (number, event) in (2..).zip(events) {
            let stored = self.report(&leased, number, event).await;
            assert_eq!(stored, Applied::Stored(seq(number)));
        }
    }

    /// Reports an event as the runner that holds the attempt; the hub's time is second 5.
    async fn report(&self, attempt: &Attempt, number: u64, event: JobEvent) -> Applied {
        let report = report(attempt, number, event);
        self.store.apply(report).await.unwrap()
    }

    /// The state of a build and of its jobs, for people.
    async fn show(&self, number: u8) -> String {
        let build = self.store.build(build(number)).await.unwrap().unwrap();
        let mut text = format!("{}:", build.state.name());
        for job in self.store.jobs(build.id).await.unwrap() {
            write!(text, " {},", job.state.name()).unwrap();
        }
        text.trim_end_matches([':', ',']).to_owned()
    }

    /// Where the steps of a build stand, job by job, for people.
    async fn show_standings(&self, number: u8) -> String {
        let jobs = self.store.jobs(build(number)).await.unwrap();
        let show = |job: Job| -> String {
            let steps = job.steps.iter().map(|step| step.state.name());
            steps.collect::<Vec<_>>().join(", ")
        };
        jobs.into_iter().map(show).collect::<Vec<_>>().join("; ")
    }

    /// What was last reported about the steps of a job, for people.
    async fn show_steps(&self, job: JobId) -> Vec<String> {
        let steps = self.store.steps(job).await.unwrap();
        let show = |step: crate::domain::StepRecord| match step.report {
            StepReport::Running { .. } => format!("{} runs", step.step),
            StepReport::Done { result, .. } => match result {
                StepResult::Error { why, .. } => format!("{} error: {why}", step.step),
                result => format!("{} {result:?}", step.step),
            },
        };
        steps.into_iter().map(show).collect()
    }

    /// The build-wide ordinals of the jobs that could start now.
    async fn ready(&self) -> Vec<JobId> {
        let ready = self.store.ready().await.unwrap();
        ready.into_iter().map(|job| job.id).collect()
    }
}

/// Everything that can be read of builds 1 to `builds`, as text. The log stands by attempt: in which
/// order two attempts wrote is an accident.
async fn dump(store: &dyn Store, builds: u8) -> String {
    let mut text = String::new();
    let mut put = |what: &dyn std::fmt::Debug| writeln!(text, "{what:?}").unwrap();
    put(&store.builds(None, 100).await.unwrap());
    put(&store.ready().await.unwrap());
    put(&store.leases().await.unwrap());
    for number in 1..=builds {
        let jobs = store.jobs(build(number)).await.unwrap();
        for job in &jobs {
            put(&store.steps(job.id).await.unwrap());
        }
        put(&jobs);
        let mut log = store.read(build(number), 0, usize::MAX).await.unwrap();
        log.records.sort_by_key(|(attempt, _)| *attempt);
        put(&log);
    }
    for number in 0..=u8::MAX {
        put(&store.position(attempt(number)).await.unwrap());
    }
    text
}

fn id(kind: u8, number: u8) -> [u8; 16] {
    let mut id = [0; 16];
    id[14] = kind;
    id[15] = number;
    id
}

fn build(number: u8) -> BuildId {
    BuildId::from_bytes(id(0, number))
}

fn job(build: u8, ordinal: u8) -> JobId {
    JobId::from_bytes(id(build, ordinal))
}

fn attempt(number: u8) -> AttemptId {
    AttemptId::from_bytes(id(0, number))
}

fn runner(number: u8) -> RunnerId {
    RunnerId::from_bytes(id(0, number))
}

fn repo(name: &str) -> RepoName {
    name.parse().unwrap()
}

fn seq(number: u64) -> Seq {
    Seq::from_u64(number).unwrap()
}

/// Seconds after an arbitrary start, with some nanoseconds that must not get lost.
fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap() + SignedDuration::new(secs, 123_456_789)
}

fn token(number: u8, expires_at: i64) -> JoinToken {
    JoinToken {
        hash: [number; 32],
        labels: vec!["linux".to_owned(), format!("host-{number}")],
        expires_at: at(expires_at),
    }
}

fn newcomer(number: u8) -> Newcomer {
    Newcomer {
        id: runner(number),
        name: format!("runner {number}"),
        key: PublicKey([number; 32]),
    }
}

fn new_build(repository: &str, number: u8, needs: &[&[usize]]) -> NewBuild {
    outlined_build(repository, number, outline(needs))
}

/// Jobs of two steps each, which need the given ones.
fn outline(needs: &[&[usize]]) -> Outline {
    let jobs = needs.iter().map(|needs| OutlineJob {
        needs: needs.to_vec(),
        steps: vec![OutlineStep::default(); 2],
        ..OutlineJob::default()
    });
    Outline {
        jobs: jobs.collect(),
        groups: Vec::new(),
    }
}

fn outlined_build(repository: &str, number: u8, outline: Outline) -> NewBuild {
    let jobs = (0..).zip(&outline.jobs).map(|(ordinal, outlined)| {
        let steps = (2 * u16::from(ordinal)..).zip(&outlined.steps);
        NewJob {
            id: job(number, ordinal),
            runs_on: vec!["linux".to_owned()],
            steps: steps
                .map(|(index, outlined)| NewStep {
                    spec: step(index),
                    skip: outlined.skip.then(|| "nothing changed".to_owned()),
                })
                .collect(),
        }
    });
    let jobs = jobs.collect();
    NewBuild {
        id: build(number),
        push: Push {
            repository: repo(repository),
            reference: "refs/heads/main".to_owned(),
            commit: format!("{number:040x}").parse().unwrap(),
            received_at: at(0),
        },
        settles: None,
        trust: Trust::Trusted,
        selected: "default".to_owned(),
        diagnostics: "warning: a \"quote\", an é and a \0\n".to_owned(),
        plan: Some(NewPlan { outline, jobs }),
    }
}

fn step(index: u16) -> StepSpec {
    StepSpec {
        index: StepIndex(index),
        name: format!("step \"{index}\" \u{1f6a2}\n"),
        line: 3,
        max_time_secs: u64::MAX,
        depth: None,
        work: WorkSpec::Script {
            image: "alpine".to_owned(),
            script: vec!["printf '\\0'\t\u{0}".to_owned()],
            after_script: Vec::new(),
        },
    }
}

fn report(attempt: &Attempt, number: u64, event: JobEvent) -> Report {
    Report {
        runner: attempt.runner,
        attempt: attempt.id,
        fence: attempt.fence,
        seq: seq(number),
        at: at(4),
        event,
        now: at(5),
    }
}

fn frame(attempt: &Attempt, number: u64, lines: &[&str]) -> LogFrame {
    let record = |line: &&str| LogRecord {
        step: StepIndex(0),
        origin: Origin::Stdout,
        at_ms: u64::MAX,
        bytes: line.as_bytes().to_vec(),
    };
    LogFrame {
        attempt: attempt.id,
        fence: attempt.fence,
        seq: seq(number),
        records: lines.iter().map(record).collect(),
    }
}

fn finished(result: JobResult) -> JobEvent {
    JobEvent::Finished { result }
}

fn step_started(step: u16) -> JobEvent {
    JobEvent::StepStarted {
        step: StepIndex(step),
    }
}

fn step_finished(step: u16, result: StepResult) -> JobEvent {
    JobEvent::StepFinished {
        step: StepIndex(step),
        result,
        receipt: serde_json::json!({ "cpu_ms": 7 }),
    }
}

fn failed() -> StepResult {
    StepResult::Failed {
        exit: Some(1),
        why: "it said no".to_owned(),
    }
}

fn broken() -> StepResult {
    StepResult::Error {
        blame: Blame::Infrastructure,
        why: "no disk".to_owned(),
    }
}

const FENCE_1: Fence = Fence(1);
