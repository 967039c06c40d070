//! The network from a guest's side: two guests in Rust that use `wasi:http` and `wasi:sockets` as programs
//! do, and servers on this host that a range of the user's own lets them reach.

use std::io::{Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::stand::{Did, Stand};

const HERE: &str = "127.0.0.1/32";

/// A component that the set-up built.
fn guest(name: &str) -> Vec<u8> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let path = target.join(format!("guests/{name}.component.wasm"));
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: `just guests`", path.display()))
}

/// A server that answers each connection with the same bytes once it has read a head, and a body if one
/// is announced. It lives as long as the test.
struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(answer: &'static str) -> Self {
        Self::of(move |stream, heard| {
            heard(read_request(stream));
            let _gone = stream.write_all(answer.as_bytes());
        })
    }

    fn echo() -> Self {
        Self::of(|stream, heard| {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            heard(String::from_utf8_lossy(&all).into_owned());
            let _gone = stream.write_all(&all);
        })
    }

    fn of(serve: impl Fn(&mut TcpStream, &dyn Fn(String)) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(&mut stream.unwrap(), &|text| all.lock().unwrap().push(text));
            }
        });
        Self { address, heard }
    }

    fn origin(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// A head, and the body that it announces.
fn read_request(stream: &mut impl std::io::Read) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    let mut read_until = |request: &mut Vec<u8>, is_end: &dyn Fn(&[u8]) -> bool| {
        while !is_end(request) && stream.read(&mut byte).is_ok_and(|length| length == 1) {
            request.push(byte[0]);
        }
    };
    read_until(&mut request, &|bytes| bytes.ends_with(b"\r\n\r\n"));
    let head = String::from_utf8_lossy(&request).into_owned();
    if head.contains("transfer-encoding: chunked") {
        read_until(&mut request, &|bytes| bytes.ends_with(b"0\r\n\r\n"));
    }
    String::from_utf8_lossy(&request).into_owned()
}

fn fetch(stand: &Stand, net: &[&str], arguments: &[&str]) -> Did {
    run(stand, "fetch", net, (arguments, ""))
}

fn talk(stand: &Stand, net: &[&str], arguments: &[&str]) -> Did {
    run(stand, "talk", net, (arguments, "hello"))
}

fn run(stand: &Stand, name: &str, net: &[&str], (arguments, input): (&[&str], &str)) -> Did {
    let mut options = vec!["--net-private", HERE];
    options.extend(net.iter().flat_map(|origin| ["--net", origin]));
    stand.run_with_input(&guest(name), &options, arguments, input.as_bytes())
}

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nx-y: z\r\n\r\nhello\n";

#[test]
fn a_granted_request_is_answered_and_stands_in_the_receipt() {
    let server = Server::new(HELLO);
    let origin = server.origin("http");
    for stand in Stand::everybody("a granted request") {
        let did = fetch(
            &stand,
            &[&origin],
            &["GET", &format!("{origin}/a?b"), "x-q:1"],
        );
        assert_eq!(did.end(), "0 exit", "{}", did.stderr);
        assert_eq!(
            String::from_utf8(did.stdout).unwrap(),
            "200\ncontent-length: 6\nx-y: z\n\nhello\n"
        );
        let network = &did.receipt["network"];
        assert_eq!(network["observer"], "broker");
        assert_eq!(network["hosts"][0]["origin"], origin.as_str());
        assert_eq!(network["hosts"][0]["down_bytes"], 6);
        assert_eq!(did.receipt["grants"][0]["kind"], "net");
        let heard = server.heard().pop().unwrap();
        let expected = format!(
            "GET /a?b HTTP/1.1\r\nhost: {}\r\nx-q: 1\r\n",
            server.address
        );
        assert!(heard.starts_with(&expected), "{heard}");
    }
}

#[test]
fn a_body_goes_up_and_comes_down() {
    let server = Server::new(HELLO);
    let origin = server.origin("http");
    let body = "0123456789".repeat(20_000);
    let did = run(
        &Stand::new(),
        "fetch",
        &[&origin],
        (&["POST", &origin], &body),
    );
    assert_eq!(did.end(), "0 exit", "{}", did.stderr);
    assert_eq!(did.receipt["network"]["hosts"][0]["up_bytes"], 200_000);
    let heard = server.heard().pop().unwrap();
    assert!(
        heard.starts_with("POST / HTTP/1.1\r\n") && heard.matches("0123456789").count() > 19_000
    );
}

#[test]
fn what_was_not_granted_is_denied_and_the_user_reads_why() {
    let server = Server::new(HELLO);
    let (origin, authority) = (server.origin("http"), server.address.to_string());
    let stand = Stand::new();
    for (net, url, guest_reads, user_reads) in [
        (vec![], origin.clone(), "HttpRequestDenied", ""),
        (
            vec!["http://127.0.0.1:1"],
            origin.clone(),
            "HttpRequestDenied",
            "was not granted (grants.net has http://127.0.0.1:1)",
        ),
        (
            vec![origin.as_str()],
            format!("http://{authority}@evil.example"),
            "",
            "has a user before `@`; write the host alone",
        ),
        (
            vec![origin.as_str()],
            "http://169.254.169.254/latest".to_owned(),
            "HttpRequestDenied",
            "`http://169.254.169.254` was not granted",
        ),
        (
            vec!["http://169.254.169.254"],
            "http://169.254.169.254/latest".to_owned(),
            "DestinationIpProhibited",
            "169.254.169.254 is a metadata address; the host's ceiling does not allow it",
        ),
        (
            vec!["http://127.0.0.2"],
            "http://127.0.0.2".to_owned(),
            "DestinationIpProhibited",
            "127.0.0.2 is a loopback address; the host's ceiling does not allow it",
        ),
    ] {
        let did = fetch(&stand, &net, &["GET", &url]);
        assert_eq!(did.end(), "1 exit", "{url} {}", did.stderr);
        assert!(did.stderr.contains(guest_reads), "{url} {}", did.stderr);
        assert!(did.stderr.contains(user_reads), "{url} {}", did.stderr);
        let listed = did.receipt["network"]["refusals"].to_string();
        assert!(
            listed.contains(user_reads.split('`').next_back().unwrap()),
            "{listed}"
        );
    }
    assert!(server.heard().is_empty());
}

#[test]
fn a_redirect_leads_nowhere_that_was_not_granted() {
    let server = Server::new(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    );
    let (stand, origin) = (Stand::new(), server.origin("http"));
    let did = fetch(&stand, &[&origin], &["GET", &origin]);
    let shown = String::from_utf8(did.stdout).unwrap();
    assert!(shown.starts_with("302\n") && shown.contains("location: http://127.0.0.1:1/"));
    let did = fetch(&stand, &[&origin], &["GET", "http://127.0.0.1:1/"]);
    assert!(did.stderr.contains("HttpRequestDenied"), "{}", did.stderr);
}

#[test]
fn a_guest_cannot_set_what_belongs_to_the_connection() {
    let server = Server::new(HELLO);
    let (stand, origin) = (Stand::new(), server.origin("http"));
    for arguments in [
        ["GET", &origin, "host:evil.example"],
        ["GET", &origin, "transfer-encoding:chunked"],
        ["GET", &origin, "te:trailers"],
        ["GET", &origin, "x:a\r\nhost: evil.example"],
        ["CONNECT", &origin, "x:y"],
        ["TRACE", &origin, "x:y"],
        ["GET", &format!("{origin}/ HTTP/1.1\r\nx: y"), "x:y"],
    ] {
        let did = fetch(&stand, &[&origin], &arguments);
        assert_eq!(did.end(), "1 exit", "{arguments:?} {}", did.stderr);
    }
    assert!(server.heard().is_empty(), "{:?}", server.heard());
}

#[test]
fn a_granted_connection_is_made_and_nothing_else() {
    let (server, other) = (Server::echo(), Server::echo());
    let origin = server.origin("tcp");
    let (port, other_port) = (
        server.address.port().to_string(),
        other.address.port().to_string(),
    );
    for stand in Stand::everybody("a granted connection") {
        let did = talk(&stand, &[&origin], &["127.0.0.1", &port]);
        assert_eq!(
            (did.end().as_str(), &did.stdout[..]),
            ("0 exit", &b"hello"[..]),
            "{}",
            did.stderr
        );
        let host = &did.receipt["network"]["hosts"][0];
        assert_eq!(
            (&host["up_bytes"], &host["down_bytes"]),
            (&5.into(), &5.into())
        );
        for (net, arguments, expected) in [
            (
                vec![origin.as_str()],
                vec!["127.0.0.1", &other_port],
                "connect: access-denied",
            ),
            (
                vec![origin.as_str()],
                vec!["127.0.0.2", &port],
                "connect: access-denied",
            ),
            (
                vec![origin.as_str()],
                vec!["evil.example", &port],
                "look up: access-denied",
            ),
            (vec![origin.as_str()], vec!["bind"], "bind: access-denied"),
            (vec![origin.as_str()], vec!["udp"], "udp: access-denied"),
            (vec![], vec!["127.0.0.1", &port], "create: access-denied"),
            (
                vec![],
                vec!["look-up", "localhost"],
                "look up: access-denied",
            ),
            (vec![], vec!["udp"], "udp: access-denied"),
        ] {
            let did = talk(&stand, &net, &arguments);
            assert!(
                did.end() == "1 exit" && did.stderr.contains(expected),
                "{arguments:?} {} {}",
                did.end(),
                did.stderr
            );
        }
    }
    assert!(other.heard().is_empty());
}

#[test]
fn a_granted_name_is_looked_up_and_connected_to() {
    let server = Server::echo();
    let port = server.address.port().to_string();
    let stand = Stand::new();
    let net = format!("tcp://localhost:{port}");
    let did = talk(&stand, &[&net], &["look-up", "localhost"]);
    assert_eq!(
        String::from_utf8_lossy(&did.stdout),
        "127.0.0.1\n",
        "{}",
        did.stderr
    );
    let did = talk(&stand, &[&net], &["localhost", &port]);
    assert_eq!(
        (did.end().as_str(), &did.stdout[..]),
        ("0 exit", &b"hello"[..]),
        "{}",
        did.stderr
    );
    assert_eq!(did.receipt["network"]["hosts"][0]["origin"], net.as_str());
}

#[test]
fn a_large_exchange_arrives_whole_both_ways() {
    let server = Server::echo();
    let body = "0123456789abcdef".repeat(100_000);
    let arguments = ["127.0.0.1", &server.address.port().to_string()];
    let did = run(
        &Stand::new(),
        "talk",
        &[&server.origin("tcp")],
        (&arguments, &body),
    );
    assert_eq!(did.end(), "0 exit", "{}", did.stderr);
    assert!(
        did.stdout == body.as_bytes(),
        "{} bytes came back",
        did.stdout.len()
    );
}

#[test]
fn tls_ends_at_the_runner_and_only_for_whom_the_hosts_roots_vouch() {
    let (ca_pem, config) = tls_for("localhost");
    let server = Server::of(move |stream, heard| {
        let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, stream);
        let request = read_request(&mut stream);
        if !request.is_empty() {
            heard(request);
            let _gone = stream.write_all(HELLO.as_bytes());
            stream.conn.send_close_notify();
            let _gone = stream.flush();
        }
    });
    let stand = Stand::new();
    std::fs::write(stand.path("ca.pem"), ca_pem).unwrap();
    let origin = format!("https://localhost:{}", server.address.port());
    let module = stand.module(&guest("fetch"));
    let with_roots = |roots: &Path| {
        let mut command = stand.command();
        command
            .env("SSL_CERT_FILE", roots)
            .args(["--net", &origin, "--net-private", HERE])
            .arg(&module)
            .args(["--", "GET", &origin]);
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let (stdout, stderr) = with_roots(&stand.path("ca.pem"));
    assert!(stdout.ends_with("\n\nhello\n"), "{stdout} {stderr}");
    let (another, _) = tls_for("localhost");
    std::fs::write(stand.path("another.pem"), another).unwrap();
    let (_, stderr) = with_roots(&stand.path("another.pem"));
    assert!(
        stderr.contains("TlsCertificateError")
            && stderr.contains("nobody that this host trusts issued it"),
        "{stderr}"
    );
    assert_eq!(server.heard().len(), 1);
}

/// A certificate authority, and what a server needs that has a certificate of it.
fn tls_for(name: &str) -> (String, Arc<rustls::ServerConfig>) {
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
    (ca_pem, Arc::new(config))
}
