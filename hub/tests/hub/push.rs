//! What a git server may say, and what the pusher reads.

use bytes::Bytes;
use cofferdam_hub::hook::{self, Signed};
use http::{Request, StatusCode};
use http_body_util::Full;
use secrecy::SecretString;
use serde_json::Value;

use crate::world::{TWO_STEPS, World};

fn seconds_from_now(secs: i64) -> String {
    let now = cofferdam_hub::clock::Clock::now(&cofferdam_hub::clock::SystemClock);
    (now.as_second() + secs).to_string()
}

/// A report as its sender would make it.
struct Report<'a> {
    repository: &'a str,
    key: SecretString,
    time: String,
    nonce: String,
    body: Vec<u8>,
}

impl Report<'_> {
    async fn post(&self, world: &World) -> (StatusCode, Bytes) {
        let signed = Signed {
            repository: self.repository,
            time: &self.time,
            nonce: &self.nonce,
            body: &self.body,
        };
        let request = Request::post(hook::path(self.repository))
            .header("host", "localhost")
            .header(hook::TIME_HEADER, &self.time)
            .header(hook::NONCE_HEADER, &self.nonce)
            .header(hook::SIGNATURE_HEADER, signed.sign(&self.key))
            .body(Full::new(self.body.clone().into()))
            .unwrap();
        world.ask(request).await
    }
}

/// A good report that a branch of each name points to a commit now.
fn pushed<'a>(
    world: &World,
    repository: &'a str,
    branches: &[&str],
    (commit, nonce): (&str, &str),
) -> Report<'a> {
    let update = |branch: &&str| {
        let reference = format!("refs/heads/{branch}");
        serde_json::json!({"reference": reference, "old": "0", "new": commit})
    };
    let updates: Vec<Value> = branches.iter().map(update).collect();
    Report {
        repository,
        key: key_of(world, repository),
        time: seconds_from_now(0),
        nonce: nonce.to_owned(),
        body: serde_json::json!({"updates": updates}).to_string().into(),
    }
}

/// From now on git waits for ever when it reads the refs of a repository, as one behind a broken network does.
fn get_stuck(world: &World, repository: &str) {
    let refs = world.path(&format!("git/{repository}.git/packed-refs"));
    let mode = rustix::fs::Mode::from(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &refs, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

fn get_free(world: &World, repository: &str) {
    std::fs::remove_file(world.path(&format!("git/{repository}.git/packed-refs"))).unwrap();
}

fn key_of(world: &World, repository: &str) -> SecretString {
    let text = std::fs::read_to_string(world.path(&format!("{repository}.hook"))).unwrap();
    let file: toml::Table = toml::from_str(&text).unwrap();
    file["key"].as_str().unwrap().into()
}

#[tokio::test]
async fn a_push_is_planned_and_the_pusher_reads_what_runs() {
    let world = World::start().await;
    world.repository().await;
    let said = world.push(TWO_STEPS).await;
    assert!(
        said.contains("remote: cofferdam: refs/heads/main: build 1, default"),
        "{said}"
    );
    assert!(
        said.contains("remote: cofferdam:   job 1: Scan › Test"),
        "{said}"
    );
    let build = world.build(1).await;
    assert_eq!(build["state"], "queued");
    assert_eq!(build["jobs"][0]["why"], "no runner is online");
    let head = world.git_in_work(&["rev-parse", "HEAD"]).await;
    let again = pushed(&world, "demo", &["main"], (head.trim(), "again"));
    let (status, said) = again.post(&world).await;
    let said = String::from_utf8_lossy(&said);
    assert_eq!(status, StatusCode::OK, "{said}");
    assert!(
        said.contains("build 1, default (this commit was built before)"),
        "{said}"
    );
    let list = world.says(&["build", "list"]).await;
    assert_eq!(list.lines().count(), 1, "{list}");
}

#[tokio::test]
async fn a_repository_that_does_not_answer_does_not_hold_up_another() {
    let world = World::start().await;
    world.repository().await;
    world.bare_repository("stuck").await;
    get_stuck(&world, "stuck");
    let commit = "1".repeat(40);
    let branches = ["a", "b", "c", "d", "e"];
    let posts = ["n1", "n2", "n3", "n4", "n5", "n6"].map(|nonce| {
        let report = pushed(&world, "stuck", &branches, (&commit, nonce));
        let world = &world;
        async move { report.post(world).await }
    });
    for (status, said) in futures_util::future::join_all(posts).await {
        let said = String::from_utf8_lossy(&said);
        assert_eq!(status, StatusCode::OK, "{said}");
        assert!(said.contains("the hub is still reading it"), "{said}");
    }
    // One more than there are places for is remembered as well.
    let more = pushed(&world, "stuck", &branches, (&commit, "n7"));
    let (status, said) = more.post(&world).await;
    assert_eq!(status, StatusCode::OK);
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("the hub is still reading it"), "{said}");
    let said = world.push(TWO_STEPS).await;
    assert!(said.contains("build 1, default"), "{said}");
}

#[tokio::test]
async fn a_push_that_was_accepted_has_one_build_however_the_hub_ended() {
    let mut world = World::start().await;
    world.repository().await;
    let hook = world.path("git/demo.git/hooks/post-receive");
    std::fs::remove_file(hook).unwrap();
    world.push(TWO_STEPS).await;
    let head = world.git_in_work(&["rev-parse", "HEAD"]).await;
    get_stuck(&world, "demo");
    let report = pushed(&world, "demo", &["main"], (head.trim(), "n"));
    let (_, said) = report.post(&world).await;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("the hub is still reading it"), "{said}");
    world.stop().await;
    get_free(&world, "demo");
    world.start_hub().await;
    let list = world.wait_for_list(|list| !list.is_empty()).await;
    assert_eq!(list[0]["state"], "queued");
    assert_eq!(report.post(&world).await.0, StatusCode::CONFLICT);
    world.restart().await;
    let list = world.wait_for_list(|list| !list.is_empty()).await;
    assert_eq!(list.len(), 1, "{list:?}");
    let (status, said) = pushed(&world, "demo", &["main"], (head.trim(), "later"))
        .post(&world)
        .await;
    assert_eq!(status, StatusCode::OK);
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("(this commit was built before)"), "{said}");
}

#[tokio::test]
async fn an_annotated_tag_builds_the_commit_that_it_names() {
    let world = World::start().await;
    world.repository().await;
    let tags = "pipelines:\n  tags:\n    v*:\n      - step:\n          script: [release]\n";
    world.push(tags).await;
    world.git_in_work(&["tag", "-a", "v1", "-m", "One"]).await;
    let said = world.git_in_work(&["push", "../git/demo.git", "v1"]).await;
    assert!(said.contains("refs/tags/v1: build 1, "), "{said}");
    let head = world.git_in_work(&["rev-parse", "HEAD"]).await;
    assert_eq!(world.build(1).await["commit"], head.trim());
}

#[tokio::test]
async fn what_runs_nothing_says_why() {
    let world = World::start().await;
    world.repository().await;
    let said = world
        .push("pipelines:\n  branches:\n    other:\n      - step:\n          script: [x]\n")
        .await;
    assert!(said.contains("refs/heads/main: nothing runs. "), "{said}");
    let said = world
        .push("pipelines:\n  default:\n    - step:\n    name: x\n")
        .await;
    assert!(said.contains("build 1 is invalid, nothing runs"), "{said}");
    assert!(said.contains("--> bitbucket-pipelines.yml:4:5"), "{said}");
    assert!(
        world
            .says(&["build", "show", "demo", "1"])
            .await
            .contains("error[")
    );

    std::fs::remove_file(world.path("work/bitbucket-pipelines.yml")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", world.path("work/cofferdam.yml")).unwrap();
    world.git_in_work(&["add", "."]).await;
    world
        .git_in_work(&["commit", "--quiet", "-m", "A link"])
        .await;
    let said = world
        .git_in_work(&["push", "../git/demo.git", "HEAD:main"])
        .await;
    assert!(said.contains("build 2 is invalid"), "{said}");

    for number in 0..6 {
        world.git_in_work(&["branch", &format!("b{number}")]).await;
    }
    let said = world
        .git_in_work(&["push", "../git/demo.git", "refs/heads/b*:refs/heads/b*"])
        .await;
    assert!(
        said.contains("6 refs in one push: more than 5 run nothing"),
        "{said}"
    );
    let said = world.git_in_work(&["push", "../git/demo.git", ":b0"]).await;
    assert!(!said.contains("cofferdam"), "{said}");
}

#[tokio::test]
async fn a_push_succeeds_also_when_no_hub_listens() {
    let mut world = World::start().await;
    world.repository().await;
    world.stop().await;
    let said = world.push(TWO_STEPS).await;
    assert!(
        said.contains("your push was received, but the hub does not know of it"),
        "{said}"
    );
    assert!(said.contains("HEAD -> main"), "{said}");
}

#[tokio::test]
async fn a_hook_speaks_to_no_other_hub() {
    let (world, other) = (World::start().await, World::start().await);
    world.repository().await;
    let file = world.path("demo.hook");
    let text = std::fs::read_to_string(&file).unwrap();
    let moved = text.replace(&world.origin(), &other.origin());
    assert_ne!(text, moved);
    std::fs::write(&file, moved).unwrap();
    let said = world.push(TWO_STEPS).await;
    assert!(
        said.contains("the hub is not the one in the hook file"),
        "{said}"
    );
}

#[tokio::test]
async fn a_report_is_taken_once_and_only_from_who_holds_the_key() {
    let world = World::start().await;
    world.repository().await;
    let good = || Report {
        repository: "demo",
        key: key_of(&world, "demo"),
        time: seconds_from_now(0),
        nonce: "n1".to_owned(),
        body: b"{\"updates\":[]}".to_vec(),
    };
    let bad_key = Report {
        key: "wrong".into(),
        ..good()
    }
    .post(&world)
    .await;
    assert_eq!(bad_key.0, StatusCode::UNAUTHORIZED);
    let unknown = Report {
        repository: "other",
        ..good()
    }
    .post(&world)
    .await;
    assert_eq!(
        unknown, bad_key,
        "an unknown repository can be told from a bad signature"
    );
    let malformed_name = Report {
        repository: "..%2f",
        ..good()
    }
    .post(&world)
    .await;
    assert_eq!(malformed_name, bad_key);
    for secs in [-400, 400] {
        let late = Report {
            time: seconds_from_now(secs),
            ..good()
        }
        .post(&world)
        .await;
        assert_eq!(late, bad_key, "{secs}");
    }
    assert_eq!(good().post(&world).await.0, StatusCode::OK);
    assert_eq!(good().post(&world).await.0, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_malformed_report_is_refused_with_the_right_status() {
    let world = World::start().await;
    world.repository().await;
    let report = |number: usize, body: &[u8]| Report {
        repository: "demo",
        key: key_of(&world, "demo"),
        time: seconds_from_now(0),
        nonce: format!("n{number}"),
        body: body.to_vec(),
    };
    let update = |reference: &str, new: &str| {
        let update = serde_json::json!({"reference": reference, "old": "0", "new": new});
        serde_json::json!({"updates": [update]})
            .to_string()
            .into_bytes()
    };
    let commit = "1".repeat(40);
    for (number, (body, status, words)) in [
        (b"".to_vec(), 400, "malformed"),
        (b"\xff{}".to_vec(), 400, "malformed"),
        ("[".repeat(5000).into_bytes(), 400, "malformed"),
        (b"{\"updates\":1}".to_vec(), 400, "malformed"),
        (b"{\"updates\":[],\"more\":1}".to_vec(), 400, "malformed"),
        (update("refs/heads/main", "HEAD"), 400, "a commit (40 or 64"),
        (
            update("refs/heads/main", "--upload-pack=x"),
            400,
            "a commit (40 or 64",
        ),
        (
            update("refs/notes/x", &commit),
            200,
            "neither a branch nor a tag",
        ),
        (update("refs/heads/../x", &commit), 200, "malformed"),
        (update("refs/heads/\u{1b}[2J", &commit), 200, "\\\\u{1b}[2J"),
        (
            update("refs/heads/gone", &commit),
            200,
            "has no refs/heads/gone",
        ),
        (vec![b' '; 70_000], 413, ""),
    ]
    .into_iter()
    .enumerate()
    {
        let (answered, body) = report(number, &body).post(&world).await;
        let said = String::from_utf8_lossy(&body);
        assert_eq!(answered.as_u16(), status, "{number}: {said}");
        assert!(said.contains(words), "{number}: {said}");
    }
    let unsigned = Request::post(hook::path("demo")).header("host", "x");
    let (status, _) = world.ask(unsigned.body(Full::default()).unwrap()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let list: Value =
        serde_json::from_str(&world.says(&["build", "list", "--json"]).await).unwrap();
    assert_eq!(
        list,
        serde_json::json!([]),
        "something half done was left behind"
    );
}
