use cofferdam_pipeline::progress::{Outline, OutlineJob, OutlineStep};
use cofferdam_protocol::job_spec::{DEPTH_UNSAID, StepSpec, Trust, WorkSpec};
use cofferdam_protocol::proof::PublicKey;
use cofferdam_protocol::report::JobEvent;
use cofferdam_protocol::{Seq, StepIndex};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::clock::{FakeClock, SystemEntropy};
use crate::domain::{JoinToken, Push, Repository};
use crate::store::memory::MemoryStore;
use crate::store::{
    Applied, NewBuild, NewJob, NewPlan, NewStep, Newcomer, Report, RunnerStore as _,
};

const LEASE: LeaseConfig = LeaseConfig {
    lease_secs: 15,
    renew_secs: 5,
};

struct House {
    store: Arc<MemoryStore>,
    clock: Arc<FakeClock>,
    scheduler: Scheduler,
    reasons: watch::Receiver<Reasons>,
}

/// A build of one job with one step.
fn build(now: Timestamp) -> NewBuild {
    let step = StepSpec {
        index: StepIndex(0),
        name: "Step".to_owned(),
        line: 1,
        max_time_secs: 60,
        depth: DEPTH_UNSAID,
        work: WorkSpec::Unsupported {
            what: "nothing".to_owned(),
            line: 1,
        },
    };
    let outlined = OutlineJob {
        steps: vec![OutlineStep::default()],
        ..OutlineJob::default()
    };
    let outline = Outline {
        jobs: vec![outlined],
        groups: Vec::new(),
    };
    NewBuild {
        id: BuildId::new(SystemEntropy.id(now)),
        push: Push {
            repository: "demo".parse().unwrap(),
            reference: "refs/heads/main".to_owned(),
            commit: "1".repeat(40).parse().unwrap(),
            received_at: now,
        },
        settles: None,
        trust: Trust::Trusted,
        selected: "default".to_owned(),
        diagnostics: String::new(),
        plan: Some(NewPlan {
            outline,
            jobs: vec![NewJob {
                id: JobId::new(SystemEntropy.id(now)),
                runs_on: Vec::new(),
                steps: vec![NewStep {
                    spec: step,
                    skip: None,
                }],
            }],
        }),
    }
}

/// A queue with one job, and a runner that has joined but is not connected.
async fn house() -> (House, RunnerId) {
    let store = Arc::new(MemoryStore::new());
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let clock = Arc::new(FakeClock::at(now));
    let (reasons, seen) = watch::channel(Reasons::new());
    let scheduler = Scheduler {
        queue: store.clone(),
        builds: store.clone(),
        repositories: store.clone(),
        registry: Arc::default(),
        lease: LEASE,
        clock: clock.clone(),
        entropy: Arc::new(SystemEntropy),
        reasons,
    };
    let repository = Repository {
        name: "demo".parse().unwrap(),
        url: "https://host.example/team/demo".to_owned(),
        hook_key: "key".into(),
    };
    store.add_repository(&repository).await.unwrap();
    store.admit(build(now)).await.unwrap();
    let token = JoinToken {
        hash: Sha256::digest(b"token").into(),
        labels: Vec::new(),
        expires_at: Timestamp::MAX,
    };
    store.add_token(&token).await.unwrap();
    let runner = RunnerId::from_bytes([1; 16]);
    let newcomer = Newcomer {
        id: runner,
        name: "one".to_owned(),
        key: PublicKey([0; 32]),
    };
    store.join(token.hash, newcomer, now).await.unwrap();
    let house = House {
        store,
        clock,
        scheduler,
        reasons: seen,
    };
    (house, runner)
}

impl House {
    async fn round(&self) -> Result<Duration, StoreError> {
        self.scheduler.round(self.clock.now()).await
    }

    /// Leases the only job to the runner, as the scheduler would.
    async fn lease(&self, runner: RunnerId) -> Attempt {
        let job = self.store.ready().await.unwrap().remove(0);
        let attempt = AttemptId::from_bytes([1; 16]);
        let until = self.scheduler.lease_end();
        let leased = self.store.lease(job.id, attempt, runner, until).await;
        leased.unwrap().unwrap()
    }

    async fn state(&self) -> String {
        let ready = self.store.ready().await.unwrap().len();
        let leases = self.store.leases().await.unwrap().len();
        format!("{ready} ready, {leases} leased")
    }

    async fn build(&self) -> Build {
        let known = self.store.builds(None, 1).await.unwrap();
        known.into_iter().next().unwrap()
    }
}

#[tokio::test]
async fn a_job_without_a_runner_waits_and_says_why() {
    let (house, _) = house().await;
    house.round().await.unwrap();
    assert_eq!(house.state().await, "1 ready, 0 leased");
    let reasons: Vec<String> = house.reasons.borrow().values().cloned().collect();
    assert_eq!(reasons, ["no runner is online"]);
}

#[tokio::test]
async fn an_offer_that_cannot_be_handed_over_goes_back_to_the_queue() {
    let (house, runner) = house().await;
    let job = house.store.ready().await.unwrap().remove(0);
    let build = house.build().await;
    // The runner went away between the decision and the offer.
    house
        .scheduler
        .hand_over(job, &build, runner)
        .await
        .unwrap();
    assert_eq!(house.state().await, "1 ready, 0 leased");
}

#[tokio::test]
async fn a_job_is_lost_two_leases_after_the_last_sign_of_life() {
    let (house, runner) = house().await;
    let leased = house.lease(runner).await;
    let now = house.clock.now();
    let report = Report {
        runner,
        attempt: leased.id,
        fence: leased.fence,
        seq: Seq::FIRST,
        at: now,
        event: JobEvent::Started,
        now,
    };
    assert_eq!(
        house.store.apply(report).await.unwrap(),
        Applied::Stored(Seq::FIRST)
    );
    house.clock.advance(SignedDuration::from_secs(29));
    let sleep = house.round().await.unwrap();
    assert_eq!(house.state().await, "0 ready, 1 leased");
    assert_eq!(
        sleep,
        Duration::from_secs(1),
        "all that is left of its grace"
    );
    house.clock.advance(SignedDuration::from_secs(1));
    house.round().await.unwrap();
    assert_eq!(house.state().await, "1 ready, 0 leased");
}

#[tokio::test]
async fn a_runner_that_lets_an_offer_lapse_is_not_offered_it_again_at_once() {
    let (house, runner) = house().await;
    let known = house.store.runner(runner).await.unwrap().unwrap();
    let _silent = house.scheduler.registry.connect_silent(&known).await;
    house.round().await.unwrap();
    assert_eq!(house.state().await, "0 ready, 1 leased");
    house.clock.advance(SignedDuration::from_secs(30));
    house.round().await.unwrap();
    assert_eq!(house.state().await, "1 ready, 0 leased");
    let reasons: Vec<String> = house.reasons.borrow().values().cloned().collect();
    let expected = "the runner one declined it: it did not start it in time";
    assert_eq!(reasons, [expected]);
}

#[tokio::test]
async fn a_hub_that_starts_gives_every_attempt_a_whole_lease() {
    let (house, runner) = house().await;
    house.lease(runner).await;
    house.clock.advance(SignedDuration::from_hours(9));
    house.scheduler.begin().await.unwrap();
    house.round().await.unwrap();
    assert_eq!(house.state().await, "0 ready, 1 leased");
}

#[tokio::test]
async fn a_hub_that_was_away_gives_every_attempt_a_whole_lease() {
    let (house, runner) = house().await;
    house.lease(runner).await;
    let stop = CancellationToken::new();
    let mut reasons = house.reasons.clone();
    let mut next_round_with = async |commit: &str| {
        let mut new = build(house.clock.now());
        new.push.commit = commit.repeat(40).parse().unwrap();
        house.store.admit(new).await.unwrap();
        let count = house.store.ready().await.unwrap().len();
        let told = reasons.wait_for(|reasons| reasons.len() >= count).await;
        assert!(told.is_ok());
    };
    tokio::join!(house.scheduler.run(&stop), async {
        next_round_with("2").await;
        // The process was stopped, or its host suspended, for a night.
        house.clock.advance(SignedDuration::from_hours(9));
        next_round_with("3").await;
        assert_eq!(house.state().await, "2 ready, 1 leased");
        // A lease and its grace are over, and the loop was awake all the time.
        for number in 4..=9 {
            house.clock.advance(SignedDuration::from_secs(5));
            next_round_with(&number.to_string()).await;
        }
        assert_eq!(house.state().await, "9 ready, 0 leased");
        stop.cancel();
    });
}

#[tokio::test]
async fn the_loop_ends_when_it_is_told_to() {
    let (house, _) = house().await;
    let stop = CancellationToken::new();
    let mut reasons = house.reasons.clone();
    tokio::join!(house.scheduler.run(&stop), async {
        let told = reasons
            .wait_for(|reasons| !reasons.is_empty())
            .await
            .is_ok();
        assert!(told);
        stop.cancel();
    });
}
