//! Who is let in, and who is not.

use cofferdam_protocol::codec;
use cofferdam_protocol::hello::{Hello, Prove, RefuseCode};
use cofferdam_protocol::join::JoinRequest;
use cofferdam_protocol::limits::{NAME_BYTES_MAX, OPENING_FRAME_BYTES_MAX, TEXT_FRAME_BYTES_MAX};
use cofferdam_protocol::proof::{Role, SessionFacts, Signature, sign, transcript};
use cofferdam_protocol::{HubFrame, RunnerFrame, RunnerId};
use ed25519_dalek::SigningKey;
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::runner::{Connection, join, join_request, post_join, session};
use crate::world::World;

#[tokio::test]
async fn a_token_lets_one_runner_in_once() {
    let world = World::start().await;
    let token = world.says(&["runner", "token"]).await;
    let key = SigningKey::from_bytes(&[1; 32]);
    let good = join_request(&world, token.trim(), &key);
    let post = async |request: &JoinRequest| {
        let answer = post_join(&world, serde_json::to_vec(request).unwrap()).await;
        answer
            .map(|_| ())
            .map_err(|(status, words)| format!("{} {words}", status.as_u16()))
    };
    let other = SigningKey::from_bytes(&[2; 32]);
    for (bad, expected) in [
        (
            JoinRequest {
                signature: Signature([0; 64]),
                ..good.clone()
            },
            "403 the request is not signed with the key that it names",
        ),
        (
            JoinRequest {
                origin: "https://other".to_owned(),
                ..good.clone()
            },
            "403 the request is not signed with the key that it names",
        ),
        (
            JoinRequest {
                name: "a\nb".to_owned(),
                ..good.clone()
            },
            &format!("400 a runner's name has 1 to {NAME_BYTES_MAX} printable characters"),
        ),
        (
            join_request(&world, "cj_nonsense", &key),
            "403 this hub made no such token",
        ),
        (
            join_request(&world, &"x".repeat(4000), &key),
            "403 this hub made no such token",
        ),
    ] {
        assert_eq!(post(&bad).await.unwrap_err(), expected);
    }
    assert_eq!(post(&good).await, Ok(()));
    let again = join_request(&world, token.trim(), &other);
    assert_eq!(
        post(&again).await.unwrap_err(),
        "403 that token was used before"
    );
    let list = world.says(&["runner", "list"]).await;
    assert!(list.contains("offline   one  []  never seen"), "{list}");
}

#[tokio::test]
async fn a_body_that_is_no_join_request_is_refused_and_the_hub_serves_on() {
    let world = World::start().await;
    for (body, status) in [
        (Vec::new(), StatusCode::BAD_REQUEST),
        (b"{".to_vec(), StatusCode::BAD_REQUEST),
        (b"{\"token\": 1}".to_vec(), StatusCode::BAD_REQUEST),
        (vec![0xff; 100], StatusCode::BAD_REQUEST),
        ("[".repeat(10_000).into_bytes(), StatusCode::BAD_REQUEST),
        (vec![b' '; 100_000], StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let (refused, _) = post_join(&world, body).await.unwrap_err();
        assert_eq!(refused, status);
    }
    join(&world, &["linux"]).await;
}

#[tokio::test]
async fn what_is_no_tls_is_hung_up_on() {
    let world = World::start().await;
    for garbage in [
        &b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..],
        &[0; 64],
        b"\x16\x03\x01\xff\xff",
    ] {
        let mut tcp = TcpStream::connect(("127.0.0.1", world.port()))
            .await
            .unwrap();
        tcp.write_all(garbage).await.unwrap();
        tcp.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // A reset is as good an end as any.
        drop(tcp.read_to_end(&mut answer).await);
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    join(&world, &[]).await;
}

#[tokio::test]
async fn a_stranger_is_not_listened_to_for_long() {
    let world = World::start().await;
    let who = join(&world, &[]).await;
    let mut long = Connection::open(&world).await;
    // Good in all its parts but one that people alone would read.
    let hello = Hello {
        software: "x".repeat(OPENING_FRAME_BYTES_MAX),
        ..Connection::hello(&world, who.id)
    };
    long.say(&RunnerFrame::Hello(hello)).await;
    let HubFrame::Refuse(refuse) = long.hear().await else {
        panic!("so long a hello was taken");
    };
    assert_eq!(refuse.code, RefuseCode::BadFrame);
    let mut longer = Connection::open(&world).await;
    let message = Message::text(" ".repeat(TEXT_FRAME_BYTES_MAX));
    // The hub hangs up before all of it was sent.
    drop(futures_util::SinkExt::send(&mut longer.socket, message).await);
    assert_eq!(longer.next().await, None);
}

#[tokio::test]
async fn a_runner_that_proves_itself_is_online() {
    let world = World::start().await;
    let who = join(&world, &["linux"]).await;
    let open = session(&world, &who, 2).await;
    let list = world.says(&["runner", "list"]).await;
    assert!(list.contains("online    one  [linux]"), "{list}");
    drop(open);
}

/// How an opening ends when the hello and the proof are changed.
async fn refusal(
    world: &World,
    who: RunnerId,
    key: &SigningKey,
    change: impl Fn(&mut Hello, &mut [u8; 32]),
) -> RefuseCode {
    let mut connection = Connection::open(world).await;
    let mut hello = Connection::hello(world, who);
    let mut exporter = connection.exporter;
    change(&mut hello, &mut exporter);
    connection.say(&RunnerFrame::Hello(hello.clone())).await;
    let challenge = match connection.hear().await {
        HubFrame::Challenge(challenge) => challenge,
        HubFrame::Refuse(refuse) => return refuse.code,
        other => panic!("{other:?}"),
    };
    let facts = SessionFacts {
        runner: who,
        origin: &hello.origin,
        runner_nonce: hello.nonce,
        hub_nonce: challenge.nonce,
        exporter: Some(exporter),
    };
    let signature = sign(key, &transcript(Role::Runner, &facts));
    connection
        .say(&RunnerFrame::Prove(Prove { signature }))
        .await;
    let HubFrame::Refuse(refuse) = connection.hear().await else {
        panic!("it was let in");
    };
    assert_eq!(connection.next().await, None, "it was not hung up on");
    refuse.code
}

#[tokio::test]
async fn who_cannot_prove_itself_on_this_very_connection_is_refused() {
    let world = World::start().await;
    let who = join(&world, &[]).await;
    let stranger = SigningKey::from_bytes(&[9; 32]);
    let nobody = RunnerId::from_bytes([9; 16]);
    let refused = refusal(&world, who.id, &stranger, |_, _| {}).await;
    assert_eq!(refused, RefuseCode::UnknownRunner);
    let refused = refusal(&world, nobody, &stranger, |_, _| {}).await;
    assert_eq!(refused, RefuseCode::UnknownRunner);
    // Relayed from another connection: the exporter is another one's.
    let refused = refusal(&world, who.id, &who.key, |_, exporter| exporter[0] ^= 1).await;
    assert_eq!(refused, RefuseCode::UnknownRunner);
    for change in [
        (|hello: &mut Hello, _: &mut [u8; 32]| hello.is_bound = false) as fn(&mut _, &mut _),
        |hello, _| hello.slots = 0,
        |hello, _| hello.slots = 257,
        |hello, _| hello.origin = "http://localhost".to_owned(),
        |hello, _| hello.origin = format!("https://{}", "x".repeat(400)),
    ] {
        assert_eq!(
            refusal(&world, who.id, &who.key, change).await,
            RefuseCode::BadFrame
        );
    }
}

#[tokio::test]
async fn a_first_frame_that_is_no_hello_is_refused() {
    let world = World::start().await;
    let who = join(&world, &[]).await;
    let early = Prove {
        signature: Signature([0; 64]),
    };
    for message in [
        Message::text("{}"),
        Message::text("nonsense"),
        Message::text("[".repeat(1000)),
        Message::text(codec::encode(&RunnerFrame::Prove(early))),
        Message::text(codec::encode(&RunnerFrame::Alive {
            attempts: Vec::new(),
        })),
        Message::binary(vec![b'L'; 10]),
    ] {
        let mut connection = Connection::open(&world).await;
        connection.put(message.clone()).await;
        let HubFrame::Refuse(refuse) = connection.hear().await else {
            panic!("{message:?} was taken");
        };
        assert_eq!(refuse.code, RefuseCode::BadFrame);
        assert_eq!(connection.next().await, None);
    }
    session(&world, &who, 1).await;
}

#[tokio::test]
async fn a_malformed_frame_ends_the_session_and_nothing_else() {
    let world = World::start().await;
    let who = join(&world, &[]).await;
    for message in [
        Message::text("{\"type\":\"alive\"}"),
        Message::text("{\"type\":\"offer\"}"),
        Message::text(codec::encode(&RunnerFrame::Hello(Connection::hello(
            &world, who.id,
        )))),
        Message::binary(Vec::new()),
        Message::binary(vec![b'L'; 40]),
    ] {
        let mut open = session(&world, &who, 1).await;
        open.put(message.clone()).await;
        let HubFrame::Refuse(refuse) = open.hear().await else {
            panic!("{message:?} was taken");
        };
        assert_eq!(refuse.code, RefuseCode::BadFrame);
        assert_eq!(open.next().await, None);
    }
    let mut open = session(&world, &who, 1).await;
    let huge = Message::text(" ".repeat(TEXT_FRAME_BYTES_MAX + 1));
    // The hub may hang up before all of it was sent.
    drop(futures_util::SinkExt::send(&mut open.socket, huge).await);
    assert_eq!(open.next().await, None);
    session(&world, &who, 1).await;
}

#[tokio::test]
async fn a_second_session_is_refused_while_the_first_one_answers() {
    let world = World::start().await;
    let who = join(&world, &[]).await;
    let mut first = session(&world, &who, 1).await;
    let mut second = Connection::open(&world).await;
    let answered = tokio::select! {
        answered = second.prove(&world, &who, 1) => answered,
        // Whoever reads answers pings.
        frame = first.next() => panic!("the first one got {frame:?}"),
    };
    let HubFrame::Refuse(refuse) = answered else {
        panic!("two sessions of one runner");
    };
    assert_eq!(refuse.code, RefuseCode::AlreadyConnected);
}

#[tokio::test]
async fn a_new_session_takes_the_place_of_a_dead_one() {
    let world = World::start().await;
    let who = join(&world, &[]).await;
    // Nobody reads here any more, so no ping is answered: a cable that was cut.
    let dead = session(&world, &who, 1).await;
    let mut alive = session(&world, &who, 1).await;
    drop(dead);
    alive.put(Message::Ping(Vec::new().into())).await;
    let list = world.says(&["runner", "list"]).await;
    assert!(list.contains("online"), "{list}");
}

#[tokio::test]
async fn a_revoked_runner_is_hung_up_on_at_once_and_not_let_in_again() {
    let world = World::start().await;
    let who = join(&world, &[]).await;
    let mut open = session(&world, &who, 1).await;
    world.says(&["runner", "revoke", &who.id.to_string()]).await;
    let HubFrame::Refuse(refuse) = open.hear().await else {
        panic!("it was not told");
    };
    assert_eq!(refuse.code, RefuseCode::Revoked);
    assert_eq!(open.next().await, None);
    let refused = refusal(&world, who.id, &who.key, |_, _| {}).await;
    assert_eq!(refused, RefuseCode::Revoked);
    let unknown = world
        .run(&[
            "runner",
            "revoke",
            &RunnerId::from_bytes([1; 16]).to_string(),
        ])
        .await;
    assert!(!unknown.status.success());
}
