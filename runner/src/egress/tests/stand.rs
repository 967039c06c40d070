//! One broker with its caller.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cofferdam_protocol::Origin;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use crate::egress::caller::{Caller, answer, ask};
use crate::egress::wire::{Answer, Ask, Headers, Kind, RequestHead, Word, receive, send};
use crate::egress::{Egress, EgressConfig, EgressLimits, NameServers};
use crate::log::LogSink;
use crate::receipt::network::NetworkUse;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the broker said.
#[derive(Clone, Debug, Default)]
pub(super) struct Said(Arc<Mutex<String>>);

#[async_trait]
impl LogSink for Said {
    async fn write(&self, origin: Origin, bytes: &[u8]) {
        assert_eq!(origin, Origin::System);
        self.0
            .lock()
            .unwrap()
            .push_str(&String::from_utf8_lossy(bytes));
    }
}

/// A response as a guest has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Headers,
}

impl Response {
    pub(super) fn text(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body))
    }

    pub(super) fn header(&self, wanted: &str) -> Option<&str> {
        let found = self.headers.0.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    }
}

pub(super) struct Stand {
    pub(super) caller: Caller,
    said: Said,
    serving: JoinSet<NetworkUse>,
}

/// How a broker is set up; the default allows loopback.
pub(super) struct Setup {
    pub(super) allowed: Vec<&'static str>,
    pub(super) names: SocketAddr,
    pub(super) root_pem: Option<Vec<u8>>,
    pub(super) limits: EgressLimits,
}

impl Setup {
    pub(super) fn new(names: SocketAddr) -> Self {
        Self {
            allowed: vec!["127.0.0.1/32"],
            names,
            root_pem: None,
            limits: EgressLimits::default(),
        }
    }

    pub(super) fn grant(self, origins: &[String]) -> Stand {
        let egress = Egress::new(EgressConfig {
            allowed_private: self
                .allowed
                .iter()
                .map(|range| range.parse().unwrap())
                .collect(),
            extra_roots_pem: self.root_pem,
            names: NameServers::Only(vec![self.names]),
            limits: self.limits,
        });
        let grants = origins
            .iter()
            .map(|origin| origin.parse().unwrap())
            .collect();
        let (mut broker, theirs) = egress.open(grants, &[]).unwrap();
        let said = Said::default();
        let log = said.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            broker.serve(&log).await;
            broker.finish(&log).await
        });
        let caller = Caller::new(theirs);
        Stand {
            caller,
            said,
            serving,
        }
    }
}

impl Stand {
    pub(super) async fn channel(&self) -> UnixStream {
        self.caller
            .channel()
            .await
            .unwrap()
            .expect("room for a channel")
    }

    /// `GET` of a URL whose authority is taken as it is.
    pub(super) async fn get(&self, url: &str) -> Result<Response, Word> {
        self.send(&get(url), None).await
    }

    pub(super) async fn send(
        &self,
        head: &RequestHead,
        body: Option<&[u8]>,
    ) -> Result<Response, Word> {
        in_time(async {
            let mut channel = self.channel().await;
            ask(&mut channel, &Ask::Http(head.clone())).await.unwrap();
            let (mut incoming, mut outgoing) = channel.split();
            let sending = async {
                for piece in body.unwrap_or_default().chunks(1000) {
                    // A broker that has refused it does not read on.
                    if send(&mut outgoing, Kind::Body, piece).await.is_err() {
                        return;
                    }
                }
                if head.has_body {
                    let _refused = send(&mut outgoing, Kind::End, b"").await;
                }
            };
            tokio::join!(sending, response(&mut incoming)).1
        })
        .await
    }

    pub(super) async fn look_up(&self, name: &str) -> Result<Vec<std::net::IpAddr>, Word> {
        let mut channel = self.channel().await;
        ask(&mut channel, &Ask::LookUp(name.to_owned()))
            .await
            .unwrap();
        match in_time(answer(&mut channel)).await.unwrap() {
            Answer::Addresses(addresses) => Ok(addresses),
            Answer::Failed(word) => Err(word),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn connect(&self, to: SocketAddr) -> Result<UnixStream, Word> {
        let mut channel = self.channel().await;
        ask(&mut channel, &Ask::Connect(to)).await.unwrap();
        match in_time(answer(&mut channel)).await.unwrap() {
            Answer::Connected => Ok(channel),
            Answer::Failed(word) => Err(word),
            other => panic!("{other:?}"),
        }
    }

    /// Closes the caller's end: what was used, and what was said.
    pub(super) async fn end(self) -> (NetworkUse, String) {
        let Self {
            caller,
            said,
            mut serving,
        } = self;
        drop(caller);
        let used = in_time(serving.join_next()).await.unwrap().unwrap();
        let said = said.0.lock().unwrap().clone();
        (used, said)
    }
}

/// A `GET` request.
pub(super) fn get(url: &str) -> RequestHead {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    RequestHead {
        method: "GET".to_owned(),
        scheme: scheme.to_owned(),
        authority: authority.to_owned(),
        path_and_query: if path.is_empty() { "/" } else { path }.to_owned(),
        headers: Headers::default(),
        has_body: false,
    }
}

pub(super) fn headers(fields: &[(&str, &str)]) -> Headers {
    let field = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Headers(fields.iter().map(field).collect())
}

/// Reads a response to its end.
pub(super) async fn response(
    channel: &mut (impl tokio::io::AsyncRead + Unpin),
) -> Result<Response, Word> {
    let mut all = Response::default();
    let mut frame = Vec::new();
    loop {
        match receive(channel, &mut frame)
            .await
            .unwrap()
            .expect("a whole response")
        {
            Kind::Answer => match serde_json::from_slice(&frame).unwrap() {
                Answer::Response(head) => {
                    all.status = head.status;
                    all.headers = head.headers;
                }
                Answer::Failed(word) => return Err(word),
                other => panic!("{other:?}"),
            },
            Kind::Body => all.body.extend_from_slice(&frame),
            Kind::Trailers => {
                all.trailers = serde_json::from_slice(&frame).unwrap();
                return Ok(all);
            }
            Kind::End => return Ok(all),
            Kind::Ask => panic!("the broker asks"),
        }
    }
}

pub(super) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what)
        .await
        .expect("it ends in time")
}
