//! Servers on loopback: a name server, and servers that say exactly the bytes that a test gives them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What the name server says about one name.
#[derive(Clone, Debug)]
pub(super) enum Says {
    /// These addresses.
    Addresses(Vec<IpAddr>),
    /// First these, and these ever after.
    Then(Vec<IpAddr>, Vec<IpAddr>),
    /// That it is another name.
    Alias(&'static str),
    /// Nothing at all.
    Nothing,
}

/// A name server. It answers over UDP, and over TCP what does not fit.
#[derive(Debug)]
pub(super) struct NameServer {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl NameServer {
    pub(super) async fn new(zone: &[(&str, Says)]) -> Self {
        let zone: BTreeMap<String, Says> = zone
            .iter()
            .map(|(name, says)| (format!("{name}."), says.clone()))
            .collect();
        let zone = Arc::new(Mutex::new(zone));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (udp, tcp) = both_sockets().await;
        let address = udp.local_addr().unwrap();
        let mut serving = JoinSet::new();
        let (zone_too, asked_too) = (Arc::clone(&zone), Arc::clone(&asked));
        serving.spawn(async move {
            let mut bytes = vec![0; 4096];
            loop {
                let (length, from) = udp.recv_from(&mut bytes).await.unwrap();
                if let Some(answer) = reply(&bytes[..length], &zone_too, &asked_too) {
                    let answer = cut(&answer);
                    udp.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
                }
            }
        });
        let asked_too = Arc::clone(&asked);
        serving.spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                while let Ok(length) = stream.read_u16().await {
                    let mut bytes = vec![0; usize::from(length)];
                    stream.read_exact(&mut bytes).await.unwrap();
                    let Some(answer) = reply(&bytes, &zone, &asked_too) else {
                        break;
                    };
                    let answer = answer.to_vec().unwrap();
                    let length = u16::try_from(answer.len()).unwrap();
                    stream.write_u16(length).await.unwrap();
                    stream.write_all(&answer).await.unwrap();
                }
            }
        });
        Self {
            address,
            asked,
            _serving: serving,
        }
    }

    /// With one name, which is this host.
    pub(super) async fn of_loopback(name: &str) -> Self {
        Self::new(&[(name, Says::Addresses(vec![Ipv4Addr::LOCALHOST.into()]))]).await
    }

    /// The names that it was asked for, each once.
    pub(super) fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked.dedup();
        asked
    }
}

/// A UDP and a TCP socket of the same number.
async fn both_sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

/// A UDP answer has 512 bytes, and a mark where there are more.
fn cut(answer: &Message) -> Message {
    let mut answer = answer.clone();
    if answer.to_vec().unwrap().len() > 512 {
        answer.answers.clear();
        answer.metadata.truncation = true;
    }
    answer
}

fn reply(
    question: &[u8],
    zone: &Mutex<BTreeMap<String, Says>>,
    asked: &Mutex<Vec<String>>,
) -> Option<Message> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries.first().unwrap().clone();
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.recursion_desired = true;
    answer.metadata.recursion_available = true;
    answer.add_query(query.clone());
    let mut name = query.name().clone();
    asked.lock().unwrap().push(name.to_lowercase().to_string());
    let mut zone = zone.lock().unwrap();
    // As many aliases as a server follows; the resolver goes on from there.
    for _ in 0..4 {
        let key = name.to_lowercase().to_string();
        let addresses = match zone.get(&key).cloned() {
            None => {
                answer.metadata.response_code = ResponseCode::NXDomain;
                return Some(answer);
            }
            Some(Says::Nothing) => return None,
            Some(Says::Alias(to)) => {
                let to = Name::from_ascii(format!("{to}.")).unwrap();
                answer.add_answer(Record::from_rdata(name, 0, RData::CNAME(CNAME(to.clone()))));
                name = to;
                continue;
            }
            Some(Says::Addresses(addresses)) => addresses,
            Some(Says::Then(first, then)) => {
                if query.query_type() == RecordType::A {
                    zone.insert(key, Says::Addresses(then));
                }
                first
            }
        };
        for address in addresses {
            let data = match (address, query.query_type()) {
                (IpAddr::V4(address), RecordType::A) => RData::A(A(address)),
                (IpAddr::V6(address), RecordType::AAAA) => RData::AAAA(AAAA(address)),
                _ => continue,
            };
            answer.add_answer(Record::from_rdata(name.clone(), 0, data));
        }
        break;
    }
    Some(answer)
}

/// A server that takes connections and leaves them to a test.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) port: u16,
    /// What each connection sent up to its empty line, or all of it.
    heads: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

/// What a server does once it has read the head of a request.
#[derive(Clone, Debug)]
pub(super) enum Does {
    /// Says this and closes.
    Says(Vec<u8>),
    /// Says this and then nothing for ever.
    Hangs(Vec<u8>),
    /// Says the first once, then the second again and again.
    Repeats(Vec<u8>, Vec<u8>),
    /// The same, a piece at a time with a pause between them.
    Drips(Vec<u8>, Vec<u8>, Duration),
    /// Sends back what it gets.
    Echoes,
}

impl Server {
    /// In the clear.
    pub(super) async fn plain(does: Does) -> Self {
        Self::start(does, None).await
    }

    /// With TLS.
    pub(super) async fn tls(does: Does, acceptor: TlsAcceptor) -> Self {
        Self::start(does, Some(acceptor)).await
    }

    async fn start(does: Does, acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let mut serving = JoinSet::new();
        let all = Arc::clone(&heads);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (does, heads) = (does.clone(), Arc::clone(&all));
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    match acceptor {
                        None => serve(stream, does, &heads).await,
                        // A client that does not trust us goes away.
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, does, &heads).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            port,
            heads,
            _serving: serving,
        }
    }

    /// What it was sent.
    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn serve(
    stream: impl tokio::io::AsyncRead + AsyncWrite + Send + Unpin,
    does: Does,
    heads: &Mutex<Vec<String>>,
) {
    let (mut incoming, mut outgoing) = tokio::io::split(stream);
    if matches!(does, Does::Echoes) {
        let _gone = tokio::io::copy(&mut incoming, &mut outgoing).await;
        let _gone = outgoing.shutdown().await;
        return;
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match incoming.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    heads
        .lock()
        .unwrap()
        .push(String::from_utf8_lossy(&head).into_owned());
    // What follows the head is read and forgotten, so that nobody waits for room.
    let reading = async {
        let _gone = tokio::io::copy(&mut incoming, &mut tokio::io::sink()).await;
        std::future::pending::<()>().await;
    };
    let saying = async {
        let (first, again, pause) = match does {
            Does::Says(first) => {
                let _gone = outgoing.write_all(&first).await;
                let _gone = outgoing.shutdown().await;
                return;
            }
            Does::Hangs(first) => (first, Vec::new(), Duration::MAX),
            Does::Repeats(first, again) => (first, again, Duration::ZERO),
            Does::Drips(first, again, pause) => (first, again, pause),
            Does::Echoes => return,
        };
        let _gone = outgoing.write_all(&first).await;
        loop {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            if outgoing.write_all(&again).await.is_err() || outgoing.flush().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = saying => {}
        () = reading => {}
    }
}

/// A certificate authority, and a server's end of TLS with a certificate of its own for `name`.
pub(super) fn tls_for(name: &str) -> (Vec<u8>, TlsAcceptor) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    (ca_pem.into_bytes(), TlsAcceptor::from(Arc::new(config)))
}
