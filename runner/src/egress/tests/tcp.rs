//! TCP connections: to what a lookup of a granted name gave, on the granted port, and nothing else.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::servers::{Does, NameServer, Server};
use super::stand::{Setup, in_time};
use crate::egress::wire::Word;

const NAME: &str = "db.example.com";

fn here(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[tokio::test]
async fn a_granted_connection_carries_bytes_both_ways_until_both_sides_are_done() {
    let names = NameServer::of_loopback(NAME).await;
    let server = Server::plain(Does::Echoes).await;
    let origin = format!("tcp://{NAME}:{}", server.port);
    let stand = Setup::new(names.address).grant(std::slice::from_ref(&origin));
    let [address] = stand.look_up(NAME).await.unwrap()[..] else {
        panic!("one address")
    };

    let channel = stand.connect((address, server.port).into()).await.unwrap();
    let (mut incoming, mut outgoing) = channel.into_split();
    let bytes: Vec<u8> = (0..1_000_000_u32)
        .map(|number| number.to_le_bytes()[0])
        .collect();
    let mut back = Vec::new();
    in_time(async {
        let sending = async {
            outgoing.write_all(&bytes).await.unwrap();
            outgoing.shutdown().await.unwrap();
        };
        tokio::join!(sending, incoming.read_to_end(&mut back))
            .1
            .unwrap();
    })
    .await;
    assert!(back == bytes, "{} bytes came back", back.len());
    drop((incoming, outgoing));
    let (used, _) = stand.end().await;
    assert_eq!(used.hosts[0].origin, origin);
    assert_eq!(
        (used.hosts[0].up_bytes, used.hosts[0].down_bytes),
        (1_000_000, 1_000_000)
    );
}

#[tokio::test]
async fn an_address_that_no_lookup_gave_is_refused_and_so_is_another_port() {
    let names = NameServer::of_loopback(NAME).await;
    let server = Server::plain(Does::Echoes).await;
    let other = Server::plain(Does::Echoes).await;
    let stand = Setup::new(names.address).grant(&[format!("tcp://{NAME}:{}", server.port)]);
    assert_eq!(
        stand.connect(here(server.port)).await.err(),
        Some(Word::NotGranted)
    );
    stand.look_up(NAME).await.unwrap();
    assert_eq!(
        stand.connect(here(other.port)).await.err(),
        Some(Word::NotGranted)
    );
    let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), server.port);
    assert_eq!(stand.connect(mapped).await.err(), Some(Word::NotGranted));
    stand.connect(here(server.port)).await.unwrap();
    let (_, said) = stand.end().await;
    insta::assert_snapshot!(
        said.replace(&server.port.to_string(), "GRANTED").replace(&other.port.to_string(), "OTHER"),
        @r#"
        net: `tcp://127.0.0.1:GRANTED` was not granted (grants.net has tcp://db.example.com:GRANTED)
        net: `tcp://db.example.com:OTHER` was not granted (grants.net has tcp://db.example.com:GRANTED)
        net: `tcp://[::ffff:127.0.0.1]:GRANTED` was not granted (grants.net has tcp://db.example.com:GRANTED)
        "#
    );
}

#[tokio::test]
async fn an_address_that_was_granted_as_such_needs_no_name_but_the_ceilings_leave() {
    let names = NameServer::of_loopback(NAME).await;
    let server = Server::plain(Does::Echoes).await;
    let origins = [
        format!("tcp://127.0.0.1:{}", server.port),
        "tcp://10.0.0.7:5432".to_owned(),
    ];
    let stand = Setup::new(names.address).grant(&origins);
    stand.connect(here(server.port)).await.unwrap();
    let private = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 7), 5432));
    assert_eq!(
        stand.connect(private).await.err(),
        Some(Word::AddressProhibited)
    );
    assert_eq!(
        stand.look_up("127.0.0.1").await.unwrap(),
        [Ipv4Addr::LOCALHOST]
    );
    assert!(names.asked().is_empty());
}

#[tokio::test]
async fn a_web_grant_is_no_socket() {
    let names = NameServer::of_loopback(NAME).await;
    let server = Server::plain(Does::Echoes).await;
    let stand = Setup::new(names.address).grant(&[
        format!("http://{NAME}:{}", server.port),
        format!("http://127.0.0.1:{}", server.port),
    ]);
    assert_eq!(stand.look_up(NAME).await, Err(Word::NotGranted));
    assert_eq!(
        stand.connect(here(server.port)).await.err(),
        Some(Word::NotGranted)
    );
}

#[tokio::test]
async fn where_nobody_listens_the_guest_hears_of_it() {
    let names = NameServer::of_loopback(NAME).await;
    let port = Server::plain(Does::Echoes).await.port;
    let stand = Setup::new(names.address).grant(&[format!("tcp://{NAME}:{port}")]);
    stand.look_up(NAME).await.unwrap();
    // The server is gone with its handle; its port may serve somebody else by now.
    let refused = stand.connect(here(port)).await.err();
    assert!(
        matches!(refused, None | Some(Word::ConnectionRefused)),
        "{refused:?}"
    );
}
