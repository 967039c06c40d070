//! Names: who is asked for what, and what an answer may lead to.

use std::net::{IpAddr, Ipv4Addr};

use super::servers::{Does, NameServer, Says, Server};
use super::stand::Setup;
use crate::egress::resolve::ADDRESSES_MAX;
use crate::egress::wire::Word;

const NAME: &str = "api.example.com";

fn hello() -> Does {
    Does::Says(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_vec())
}

fn these(addresses: &[&str]) -> Says {
    Says::Addresses(
        addresses
            .iter()
            .map(|address| address.parse().unwrap())
            .collect(),
    )
}

#[tokio::test]
async fn a_granted_name_that_points_to_a_forbidden_address_is_refused_with_its_reason() {
    let mut all = String::new();
    for address in [
        "169.254.169.254",
        "10.0.0.7",
        "127.0.0.2",
        "0.0.0.0",
        "100.64.0.1",
        "224.0.0.1",
        "::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::1",
        "fd00:ec2::254",
        "fe80::1",
    ] {
        let names = NameServer::new(&[(NAME, these(&[address]))]).await;
        let stand = Setup::new(names.address).grant(&[format!("http://{NAME}")]);
        assert_eq!(
            stand.get(&format!("http://{NAME}")).await,
            Err(Word::AddressProhibited)
        );
        all += &stand.end().await.1;
    }
    insta::assert_snapshot!(all, @r#"
        net: api.example.com points to 169.254.169.254, which is a metadata address; the host's ceiling does not allow it
        net: api.example.com points to 10.0.0.7, which is a private address; the host's ceiling does not allow it
        net: api.example.com points to 127.0.0.2, which is a loopback address; the host's ceiling does not allow it
        net: api.example.com points to 0.0.0.0, which is an unspecified address; nothing can allow it
        net: api.example.com points to 100.64.0.1, which is a carrier's shared address; the host's ceiling does not allow it
        net: api.example.com points to 224.0.0.1, which is a multicast address; nothing can allow it
        net: api.example.com points to ::1, which is a loopback address; the host's ceiling does not allow it
        net: api.example.com points to ::ffff:10.0.0.1, which is an IPv4 address inside an IPv6 address; nothing can allow it
        net: api.example.com points to 64:ff9b::a9fe:a9fe, which is an IPv4 address inside an IPv6 address; nothing can allow it
        net: api.example.com points to 2002:7f00:1::1, which is an IPv4 address inside an IPv6 address; nothing can allow it
        net: api.example.com points to fd00:ec2::254, which is a metadata address; the host's ceiling does not allow it
        net: api.example.com points to fe80::1, which is a link-local address; the host's ceiling does not allow it
        "#);
}

#[tokio::test]
async fn of_several_addresses_the_forbidden_ones_are_not_even_tried() {
    let names =
        NameServer::new(&[(NAME, these(&["10.0.0.7", "127.0.0.1", "169.254.169.254"]))]).await;
    let server = Server::plain(hello()).await;
    let origin = format!("http://{NAME}:{}", server.port);
    let stand = Setup::new(names.address).grant(std::slice::from_ref(&origin));
    assert_eq!(stand.get(&origin).await.unwrap().text(), "200 hello");
    let (used, _) = stand.end().await;
    assert_eq!(used.hosts[0].address.ip(), Ipv4Addr::LOCALHOST);
}

#[tokio::test]
async fn an_answer_that_changes_is_judged_each_time_and_used_as_it_was_judged() {
    let first = vec![Ipv4Addr::LOCALHOST.into()];
    let then = vec![Ipv4Addr::new(169, 254, 169, 254).into()];
    let names = NameServer::new(&[(NAME, Says::Then(first, then))]).await;
    let server = Server::plain(hello()).await;
    let origin = format!("http://{NAME}:{}", server.port);
    let stand = Setup::new(names.address).grant(std::slice::from_ref(&origin));
    assert_eq!(stand.get(&origin).await.unwrap().text(), "200 hello");
    assert_eq!(stand.get(&origin).await, Err(Word::AddressProhibited));
    assert_eq!(server.heads().len(), 1);
}

#[tokio::test]
async fn a_chain_of_aliases_is_followed_and_its_end_is_judged() {
    let names = NameServer::new(&[
        (NAME, Says::Alias("a.example.net")),
        ("a.example.net", Says::Alias("b.example.net")),
        ("b.example.net", these(&["127.0.0.1"])),
        ("inner.example.com", Says::Alias("metadata.example.net")),
        ("metadata.example.net", these(&["169.254.169.254"])),
        ("round.example.com", Says::Alias("about.example.com")),
        ("about.example.com", Says::Alias("round.example.com")),
    ])
    .await;
    let server = Server::plain(hello()).await;
    let port = server.port;
    let origins = [NAME, "inner.example.com", "round.example.com"]
        .map(|name| format!("http://{name}:{port}"));
    let stand = Setup::new(names.address).grant(&origins);
    assert_eq!(stand.get(&origins[0]).await.unwrap().text(), "200 hello");
    assert_eq!(stand.get(&origins[1]).await, Err(Word::AddressProhibited));
    let round = stand.get(&origins[2]).await.unwrap_err();
    assert!(
        matches!(round, Word::NameNotFound | Word::LookUpFailed),
        "{round:?}"
    );
}

#[tokio::test]
async fn a_giant_answer_is_cut() {
    let many: Vec<IpAddr> = (1..=200)
        .map(|last| Ipv4Addr::new(127, 9, 9, last).into())
        .collect();
    let names = NameServer::new(&[(NAME, Says::Addresses(many))]).await;
    let mut setup = Setup::new(names.address);
    setup.allowed = vec!["127.0.0.0/8"];
    let stand = setup.grant(&[format!("tcp://{NAME}:5432")]);
    assert_eq!(stand.look_up(NAME).await.unwrap().len(), ADDRESSES_MAX);
}

#[tokio::test]
async fn only_granted_names_leave_the_host() {
    let names = NameServer::of_loopback(NAME).await;
    let stand = Setup::new(names.address).grant(&[
        format!("tcp://{NAME}:5432"),
        "https://web.example.com".to_owned(),
    ]);
    for name in [
        "evil.example",
        "c2VjcmV0.evil.example",
        "web.example.com",
        "sub.api.example.com",
        "API.example.com.",
        "localhost",
        "127.0.0.1",
        "0x7f.1",
        "::1",
        "",
        "a b",
        "api.example.com\0.evil.example",
    ] {
        assert_eq!(stand.look_up(name).await, Err(Word::NotGranted), "{name}");
    }
    assert!(names.asked().is_empty(), "{:?}", names.asked());
    assert_eq!(
        stand.look_up("API.example.com").await.unwrap(),
        [Ipv4Addr::LOCALHOST]
    );
    assert_eq!(names.asked(), [format!("{NAME}.")]);
}

#[tokio::test]
async fn a_name_without_an_address_and_a_silent_server_are_told_apart() {
    let names = NameServer::new(&[("silent.example.com", Says::Nothing)]).await;
    let mut setup = Setup::new(names.address);
    setup.limits.lookup_time_max = std::time::Duration::from_millis(200);
    let origins = ["silent.example.com", "absent.example.com"].map(|name| format!("http://{name}"));
    let stand = setup.grant(&origins);
    assert_eq!(stand.get(&origins[0]).await, Err(Word::LookUpTimeout));
    assert_eq!(stand.get(&origins[1]).await, Err(Word::NameNotFound));
}
