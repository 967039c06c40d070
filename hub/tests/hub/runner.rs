//! A runner that says what a test wants it to say.

use cofferdam_protocol::frame::HeldAttempt;
use cofferdam_protocol::hello::{Hello, Prove, Refuse};
use cofferdam_protocol::job_spec::JobSpec;
use cofferdam_protocol::join::{JoinAnswer, JoinRequest};
use cofferdam_protocol::proof::{
    EXPORTER_LABEL, Nonce, PublicKey, Role, SessionFacts, is_signed_by, join_transcript, sign,
    transcript,
};
use cofferdam_protocol::report::JobEvent;
use cofferdam_protocol::{
    AttemptId, Fence, HubFrame, JOIN_PATH, LogFrame, LogRecord, Origin, RunnerFrame, RunnerId,
    SESSION_PATH, SUBPROTOCOL, Seq, StepIndex, codec,
};
use ed25519_dalek::SigningKey;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::world::{PATIENCE, World};

/// A runner that has joined.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) id: RunnerId,
    pub(crate) key: SigningKey,
    pub(crate) hub: PublicKey,
}

pub(crate) fn public(key: &SigningKey) -> PublicKey {
    PublicKey(key.verifying_key().to_bytes())
}

/// A request to join that is good in all its parts.
pub(crate) fn join_request(world: &World, token: &str, key: &SigningKey) -> JoinRequest {
    let origin = world.origin();
    JoinRequest {
        signature: sign(key, &join_transcript(token, &origin, &public(key))),
        token: token.to_owned(),
        name: "one".to_owned(),
        key: public(key),
        origin,
    }
}

/// Posts a body to the joining door; the answer or the words of the refusal.
pub(crate) async fn post_join(
    world: &World,
    body: Vec<u8>,
) -> Result<JoinAnswer, (StatusCode, String)> {
    let request = Request::post(JOIN_PATH)
        .header(http::header::HOST, "localhost")
        .body(Full::new(body.into()))
        .unwrap();
    let (status, body) = world.ask(request).await;
    if status.is_success() {
        return Ok(serde_json::from_slice(&body).unwrap());
    }
    let refuse = serde_json::from_slice::<Refuse>(&body).map(|refuse| refuse.message);
    Err((status, refuse.unwrap_or_default()))
}

pub(crate) async fn join(world: &World, labels: &[&str]) -> Identity {
    let mut arguments = vec!["runner", "token"];
    for label in labels {
        arguments.extend(["--label", label]);
    }
    let token = world.says(&arguments).await;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    let key = SigningKey::from_bytes(&seed);
    let request = join_request(world, token.trim(), &key);
    let answer = post_join(world, serde_json::to_vec(&request).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.labels, labels);
    Identity {
        id: answer.runner,
        key,
        hub: answer.hub_identity,
    }
}

/// A websocket to the hub, and the exporter of its connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: WebSocketStream<TlsStream<TcpStream>>,
    pub(crate) exporter: [u8; 32],
}

impl Connection {
    pub(crate) async fn open(world: &World) -> Self {
        let stream = world.dial().await;
        let (_, session) = stream.get_ref();
        let exporter = session
            .export_keying_material([0; 32], EXPORTER_LABEL, Some(&[]))
            .unwrap();
        let url = world.origin().replacen("https", "wss", 1) + SESSION_PATH;
        let mut request = url.into_client_request().unwrap();
        let spoken = HeaderValue::from_static(SUBPROTOCOL);
        request
            .headers_mut()
            .insert("sec-websocket-protocol", spoken);
        let (socket, _) = tokio_tungstenite::client_async(request, stream)
            .await
            .unwrap();
        Self { socket, exporter }
    }

    pub(crate) fn hello(world: &World, id: RunnerId) -> Hello {
        Hello {
            runner: id,
            nonce: Nonce([7; 32]),
            origin: world.origin(),
            is_bound: true,
            software: "test".to_owned(),
            slots: 1,
        }
    }

    /// Opens the session as it should be, with `slots`.
    pub(crate) async fn prove(&mut self, world: &World, who: &Identity, slots: u16) -> HubFrame {
        let hello = Hello {
            slots,
            ..Self::hello(world, who.id)
        };
        self.say(&RunnerFrame::Hello(hello.clone())).await;
        let HubFrame::Challenge(challenge) = self.hear().await else {
            panic!("no challenge");
        };
        let facts = SessionFacts {
            runner: who.id,
            origin: &hello.origin,
            runner_nonce: hello.nonce,
            hub_nonce: challenge.nonce,
            exporter: Some(self.exporter),
        };
        let signed = transcript(Role::Hub, &facts);
        assert!(challenge.is_bound && challenge.identity == who.hub);
        assert!(is_signed_by(&who.hub, &signed, &challenge.signature));
        let signature = sign(&who.key, &transcript(Role::Runner, &facts));
        self.say(&RunnerFrame::Prove(Prove { signature })).await;
        self.hear().await
    }

    pub(crate) async fn say(&mut self, frame: &RunnerFrame) {
        self.put(Message::text(codec::encode(frame))).await;
    }

    pub(crate) async fn put(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// The next frame; `None` when the hub hung up.
    pub(crate) async fn next(&mut self) -> Option<HubFrame> {
        loop {
            let message = timeout(PATIENCE, self.socket.next())
                .await
                .expect("the hub is silent");
            match message {
                Some(Ok(Message::Text(text))) => {
                    return Some(
                        codec::decode(&text, cofferdam_protocol::limits::OFFER_FRAME_BYTES_MAX)
                            .unwrap(),
                    );
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(other)) => panic!("the hub said {other:?}"),
            }
        }
    }

    pub(crate) async fn hear(&mut self) -> HubFrame {
        self.next().await.expect("the hub hung up")
    }

    /// The next frame that is no answer to a renewal.
    pub(crate) async fn hear_news(&mut self) -> HubFrame {
        loop {
            let frame = self.hear().await;
            if !matches!(frame, HubFrame::Renewed { .. }) {
                return frame;
            }
        }
    }

    pub(crate) async fn hear_offer(&mut self) -> JobSpec {
        match self.hear_news().await {
            HubFrame::Offer(spec) => *spec,
            other => panic!("no offer but {other:?}"),
        }
    }
}

/// A session with an open door.
pub(crate) async fn session(world: &World, who: &Identity, slots: u16) -> Connection {
    let mut connection = Connection::open(world).await;
    let HubFrame::Welcome(welcome) = connection.prove(world, who, slots).await else {
        panic!("no welcome");
    };
    assert_eq!((welcome.lease_secs, welcome.renew_secs), (3, 1));
    connection
}

/// What a test says about one attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    held: HeldAttempt,
}

impl Held {
    pub(crate) fn of(spec: &JobSpec) -> Self {
        let held = HeldAttempt {
            attempt: spec.attempt,
            fence: spec.fence,
        };
        Self { held }
    }

    /// An attempt that the hub knows nothing of.
    pub(crate) fn unknown() -> Self {
        let held = HeldAttempt {
            attempt: AttemptId::from_bytes([0xee; 16]),
            fence: Fence(1),
        };
        Self { held }
    }

    pub(crate) fn accept(self) -> RunnerFrame {
        let HeldAttempt { attempt, fence } = self.held;
        RunnerFrame::Accept { attempt, fence }
    }

    pub(crate) fn alive(self) -> RunnerFrame {
        RunnerFrame::Alive {
            attempts: vec![self.held],
        }
    }

    pub(crate) fn event(self, seq: u64, event: JobEvent) -> RunnerFrame {
        let HeldAttempt { attempt, fence } = self.held;
        RunnerFrame::Event {
            attempt,
            fence,
            seq: Seq::from_u64(seq).unwrap(),
            at: Timestamp::from_second(1_800_000_000).unwrap(),
            event,
        }
    }

    pub(crate) fn log(self, seq: u64, origin: Origin, bytes: &[u8]) -> Message {
        let HeldAttempt { attempt, fence } = self.held;
        let record = LogRecord {
            step: StepIndex(0),
            origin,
            at_ms: 0,
            bytes: bytes.to_vec(),
        };
        let frame = LogFrame {
            attempt,
            fence,
            seq: Seq::from_u64(seq).unwrap(),
            records: vec![record],
        };
        Message::binary(frame.encode())
    }

    pub(crate) fn ack(self, through: u64) -> HubFrame {
        let through = Seq::from_u64(through).unwrap();
        HubFrame::Ack {
            attempt: self.held.attempt,
            through,
        }
    }

    pub(crate) fn position(self, through: Option<u64>) -> HubFrame {
        HubFrame::Position {
            attempt: self.held.attempt,
            through: through.and_then(Seq::from_u64),
        }
    }

    pub(crate) fn stale(self) -> HubFrame {
        let HeldAttempt { attempt, fence } = self.held;
        HubFrame::Stale { attempt, fence }
    }

    pub(crate) fn cancel(self) -> HubFrame {
        let HeldAttempt { attempt, fence } = self.held;
        HubFrame::Cancel { attempt, fence }
    }

    pub(crate) fn decline(self, why: &str) -> RunnerFrame {
        let HeldAttempt { attempt, fence } = self.held;
        RunnerFrame::Decline {
            attempt,
            fence,
            why: why.to_owned(),
        }
    }
}
