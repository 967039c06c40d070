//! HTTP requests: what is let through, and what becomes of what is not.

use std::net::Ipv4Addr;

use super::servers::{Does, NameServer, Says, Server, tls_for};
use super::stand::{Setup, get, headers};
use crate::egress::wire::Word;

const NAME: &str = "api.example.com";

fn answer(body: &str) -> Does {
    let length = body.len();
    Does::Says(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes())
}

/// A server that answers at once and reads on.
fn stays(does: Does) -> Does {
    match does {
        Does::Says(all) => Does::Hangs(all),
        other => other,
    }
}

#[tokio::test]
async fn a_granted_request_is_answered_and_counted() {
    let names = NameServer::of_loopback(NAME).await;
    let (root, acceptor) = tls_for(NAME);
    let server = Server::tls(answer("hello"), acceptor).await;
    let origin = format!("https://{NAME}:{}", server.port);
    let mut setup = Setup::new(names.address);
    setup.root_pem = Some(root);
    let stand = setup.grant(std::slice::from_ref(&origin));

    let response = stand.get(&format!("{origin}/a/b?c=d")).await.unwrap();
    assert_eq!(response.text(), "200 hello");
    assert_eq!(
        server.heads(),
        [format!(
            "GET /a/b?c=d HTTP/1.1\r\nhost: {NAME}:{}\r\n\r\n",
            server.port
        )]
    );
    let (used, said) = stand.end().await;
    assert_eq!(said, "");
    let [host] = &used.hosts[..] else {
        panic!("{used:?}")
    };
    assert_eq!(host.origin, origin);
    assert_eq!(host.address.ip(), Ipv4Addr::LOCALHOST);
    assert_eq!(
        (host.connections, host.up_bytes, host.down_bytes),
        (1, 0, 5)
    );
}

#[tokio::test]
async fn what_was_not_granted_is_refused_by_name_and_never_asked_for() {
    let names = NameServer::new(&[
        (NAME, Says::Addresses(vec![Ipv4Addr::LOCALHOST.into()])),
        (
            "evil.example",
            Says::Addresses(vec![Ipv4Addr::LOCALHOST.into()]),
        ),
    ])
    .await;
    let server = Server::plain(answer("hello")).await;
    let port = server.port;
    let stand = Setup::new(names.address).grant(&[format!("http://{NAME}:{port}")]);
    for url in [
        format!("http://evil.example:{port}"),
        format!("http://{NAME}"),
        format!("https://{NAME}:{port}"),
        format!("http://127.0.0.1:{port}"),
        format!("http://{NAME}:{port}@evil.example"),
        format!("http://evil.example@{NAME}:{port}"),
        format!("http://sub.{NAME}:{port}"),
        format!("http://{NAME}.:{port}"),
        format!("http://{NAME}.evil.example:{port}"),
        format!("http://0x7f.1:{port}"),
        format!("http://[::ffff:127.0.0.1]:{port}"),
    ] {
        assert_eq!(stand.get(&url).await, Err(Word::NotGranted), "{url}");
    }
    assert!(
        server.heads().is_empty() && names.asked().is_empty(),
        "{:?}",
        names.asked()
    );
    let (used, said) = stand.end().await;
    assert!(
        used.hosts.is_empty() && used.refusals.len() == 11,
        "{used:?}"
    );
    insta::assert_snapshot!(said.replace(&port.to_string(), "PORT"), @r#"
        net: `http://evil.example:PORT` was not granted (grants.net has http://api.example.com:PORT)
        net: `http://api.example.com` was not granted (grants.net has http://api.example.com:PORT)
        net: `https://api.example.com:PORT` was not granted (grants.net has http://api.example.com:PORT)
        net: `http://127.0.0.1:PORT` was not granted (grants.net has http://api.example.com:PORT)
        net: `http://api.example.com:PORT@evil.example` has a user before `@`; write the host alone
        net: `http://evil.example@api.example.com:PORT` has a user before `@`; write the host alone
        net: `http://sub.api.example.com:PORT` was not granted (grants.net has http://api.example.com:PORT)
        net: `http://api.example.com.:PORT` does not spell its host the usual way; write `api.example.com`
        net: `http://api.example.com.evil.example:PORT` was not granted (grants.net has http://api.example.com:PORT)
        net: `http://0x7f.1:PORT` does not spell its host the usual way; write `127.0.0.1`
        net: `http://[::ffff:127.0.0.1]:PORT` has an IPv4 address inside an IPv6 address; write `127.0.0.1`
        "#);
}

#[tokio::test]
async fn a_redirect_is_a_new_request_and_is_judged_as_one() {
    let names = NameServer::of_loopback(NAME).await;
    let server = Server::plain(Does::Says(
        b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 0\r\n\r\n".to_vec(),
    ))
    .await;
    let origin = format!("http://{NAME}:{}", server.port);
    let stand = Setup::new(names.address).grant(std::slice::from_ref(&origin));

    let response = stand.get(&origin).await.unwrap();
    assert_eq!(response.status, 302);
    let location = response.header("location").unwrap();
    assert_eq!(stand.get(location).await, Err(Word::NotGranted));
    assert_eq!(server.heads().len(), 1);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_ends_the_request_before_it_is_sent() {
    let names = NameServer::new(&[
        (NAME, Says::Addresses(vec![Ipv4Addr::LOCALHOST.into()])),
        (
            "other.example",
            Says::Addresses(vec![Ipv4Addr::LOCALHOST.into()]),
        ),
    ])
    .await;
    let (root, acceptor) = tls_for(NAME);
    let (another_root, _) = tls_for(NAME);
    let server = Server::tls(answer("hello"), acceptor).await;
    let origins = [NAME, "other.example"].map(|name| format!("https://{name}:{}", server.port));

    let mut setup = Setup::new(names.address);
    setup.root_pem = Some(another_root);
    let stand = setup.grant(&origins);
    assert_eq!(stand.get(&origins[0]).await, Err(Word::Certificate));
    let (_, said) = stand.end().await;
    assert!(
        said.contains("nobody that this host trusts issued it"),
        "{said}"
    );

    let mut setup = Setup::new(names.address);
    setup.root_pem = Some(root);
    let stand = setup.grant(&origins);
    assert_eq!(stand.get(&origins[1]).await, Err(Word::Certificate));
    assert_eq!(stand.get(&origins[0]).await.unwrap().text(), "200 hello");
    assert_eq!(server.heads().len(), 1);
}

#[tokio::test]
async fn a_body_goes_up_whole_or_not_at_all() {
    let names = NameServer::of_loopback(NAME).await;
    let server = Server::plain(stays(answer("taken"))).await;
    let origin = format!("http://{NAME}:{}", server.port);
    let stand = Setup::new(names.address).grant(std::slice::from_ref(&origin));
    let mut head = get(&origin);
    head.method = "POST".to_owned();
    head.has_body = true;

    let body = vec![b'x'; 100_000];
    assert_eq!(
        stand.send(&head, Some(&body)).await.unwrap().text(),
        "200 taken"
    );
    assert!(
        server.heads()[0].contains("transfer-encoding: chunked"),
        "{:?}",
        server.heads()
    );

    head.headers = headers(&[("content-length", "100000")]);
    assert_eq!(
        stand.send(&head, Some(&body)).await.unwrap().text(),
        "200 taken"
    );
    let sent = server.heads()[1].clone();
    assert!(
        sent.contains("content-length: 100000") && !sent.contains("chunked"),
        "{sent}"
    );

    // A server that waits for what never comes.
    let server = Server::plain(Does::Hangs(Vec::new())).await;
    let origin = format!("http://{NAME}:{}", server.port);
    let stand = Setup::new(names.address).grant(std::slice::from_ref(&origin));
    head.authority = format!("{NAME}:{}", server.port);
    for length in ["99999", "100001"] {
        head.headers = headers(&[("content-length", length)]);
        assert_eq!(
            stand.send(&head, Some(&body)).await,
            Err(Word::BodyLength),
            "{length}"
        );
    }
}

#[tokio::test]
async fn what_belongs_to_the_connection_stays_here() {
    let names = NameServer::of_loopback(NAME).await;
    let server = Server::plain(Does::Says(
        b"HTTP/1.1 200 OK\r\nconnection: close, x-secret\r\nx-secret: 1\r\nkeep-alive: timeout=5\r\n\
          x-kept: caf\xe9\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
          5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n"
            .to_vec(),
    ))
    .await;
    let origin = format!("http://{NAME}:{}", server.port);
    let stand = Setup::new(names.address).grant(std::slice::from_ref(&origin));
    let response = stand.get(&origin).await.unwrap();
    assert_eq!(response.text(), "200 hello");
    assert_eq!(response.headers, headers(&[("x-kept", "café")]));
    assert_eq!(response.trailers, headers(&[("x-sum", "42")]));
}

#[tokio::test]
async fn an_interim_response_is_not_the_response() {
    let names = NameServer::of_loopback(NAME).await;
    let server = Server::plain(Does::Says(
        b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n".to_vec(),
    ))
    .await;
    let origin = format!("http://{NAME}:{}", server.port);
    let stand = Setup::new(names.address).grant(std::slice::from_ref(&origin));
    assert_eq!(stand.get(&origin).await.unwrap().text(), "204 ");
}

#[tokio::test]
async fn what_is_not_http_is_an_error_and_no_response() {
    let names = NameServer::of_loopback(NAME).await;
    let mut large = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
    large.resize(200_000, b'y');
    let mut many = b"HTTP/1.1 200 OK\r\n".to_vec();
    for number in 0..200 {
        many.extend(format!("x-{number}: y\r\n").bytes());
    }
    many.extend(b"\r\n");
    for (says, expected) in [
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), Word::ResponseBroken),
        (b"".to_vec(), Word::ResponseBroken),
        (
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n".to_vec(),
            Word::ResponseBroken,
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!".to_vec(),
            Word::ResponseBroken,
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello".to_vec(),
            Word::ResponseBroken,
        ),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec(),
            Word::ResponseBroken,
        ),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n".to_vec(),
            Word::ResponseBroken,
        ),
        (large, Word::ResponseHead),
        (many, Word::ResponseHead),
    ] {
        let text = String::from_utf8_lossy(&says[..says.len().min(60)]).into_owned();
        let server = Server::plain(Does::Says(says)).await;
        let origin = format!("http://{NAME}:{}", server.port);
        let stand = Setup::new(names.address).grant(std::slice::from_ref(&origin));
        assert_eq!(stand.get(&origin).await, Err(expected), "{text}");
    }
}
