//! Servers that are slow, endless or many: each runs into the limit that is meant for it.

use std::time::Duration;

use super::servers::{Does, NameServer, Says, Server};
use super::stand::{Setup, get, in_time};
use crate::egress::wire::{Ask, Kind, Word, receive, send_json};

const NAME: &str = "api.example.com";

/// Long enough for a loaded machine to answer at once, short enough to wait for.
const SHORT: Duration = Duration::from_millis(300);

async fn stand_with(
    does: Does,
    change: impl FnOnce(&mut Setup),
) -> (super::stand::Stand, String, Server, NameServer) {
    let names = NameServer::of_loopback(NAME).await;
    let server = Server::plain(does).await;
    let origin = format!("http://{NAME}:{}", server.port);
    let mut setup = Setup::new(names.address);
    change(&mut setup);
    let stand = setup.grant(std::slice::from_ref(&origin));
    (stand, origin, server, names)
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let short = |setup: &mut Setup| setup.limits.first_byte_time_max = SHORT;
    for does in [
        Does::Hangs(Vec::new()),
        Does::Hangs(b"HTTP/1.1 200 OK\r\nx: ".to_vec()),
        // One header byte at a time, for ever.
        Does::Drips(
            b"HTTP/1.1 200 OK\r\nx: ".to_vec(),
            b"y".to_vec(),
            Duration::from_millis(20),
        ),
        Does::Repeats(Vec::new(), b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec()),
    ] {
        let (stand, origin, _server, _names) = stand_with(does.clone(), short).await;
        assert_eq!(
            stand.get(&origin).await,
            Err(Word::ResponseTimeout),
            "{does:?}"
        );
    }
}

#[tokio::test]
async fn a_response_that_stops_is_given_up() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello".to_vec();
    let short = |setup: &mut Setup| setup.limits.idle_time_max = SHORT;
    let (stand, origin, _server, _names) = stand_with(Does::Hangs(head), short).await;
    assert_eq!(stand.get(&origin).await, Err(Word::ResponseTimeout));
    let (_, said) = stand.end().await;
    assert!(
        said.contains("it stopped in its response within 300ms"),
        "{said}"
    );
}

#[tokio::test]
async fn an_endless_response_ends_at_the_limit() {
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let small = |setup: &mut Setup| setup.limits.down_bytes_max = 1_000_000;
    let (stand, origin, _server, _names) =
        stand_with(Does::Repeats(head, vec![b'x'; 10_000]), small).await;
    assert_eq!(stand.get(&origin).await, Err(Word::Limit));
    let (used, said) = stand.end().await;
    assert!(used.hosts[0].down_bytes < 2_000_000, "{used:?}");
    assert_eq!(
        said,
        "net: limit reached: at most 1000000 bytes in of one step\n"
    );
}

#[tokio::test]
async fn an_endless_request_ends_at_the_limit() {
    let small = |setup: &mut Setup| setup.limits.up_bytes_max = 50_000;
    let (stand, origin, _server, _names) = stand_with(Does::Hangs(Vec::new()), small).await;
    let mut head = get(&origin);
    head.method = "PUT".to_owned();
    head.has_body = true;
    assert_eq!(
        stand.send(&head, Some(&vec![b'x'; 100_000])).await,
        Err(Word::Limit)
    );
}

#[tokio::test]
async fn connections_are_counted_at_once_and_in_all() {
    let few = |setup: &mut Setup| {
        setup.limits.at_once_max = 3;
        setup.limits.connections_max = 5;
    };
    let hello = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_vec();
    let (stand, origin, _server, _names) = stand_with(Does::Says(hello), few).await;
    let held = [
        stand.channel().await,
        stand.channel().await,
        stand.channel().await,
    ];
    for _ in 0..1000 {
        assert!(stand.caller.channel().await.unwrap().is_none());
    }
    drop(held);
    // A channel's room is free once the broker has seen that it is closed.
    in_time(async {
        while stand.caller.channel().await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut served = 0;
    let refused = in_time(async {
        loop {
            let Some(mut channel) = stand.caller.channel().await.unwrap() else {
                tokio::task::yield_now().await;
                continue;
            };
            send_json(&mut channel, Kind::Ask, &Ask::Http(get(&origin)))
                .await
                .unwrap();
            match super::stand::response(&mut channel).await {
                Ok(_) => served += 1,
                Err(word) => break word,
            }
        }
    })
    .await;
    assert_eq!((served, refused), (5, Word::Limit));
    let (used, said) = stand.end().await;
    assert_eq!(
        used.refusals.iter().map(|refused| refused.times).max(),
        Some(used.refusals[0].times.max(1000))
    );
    insta::assert_snapshot!(said, @r#"
        net: limit reached: at most 3 connections and lookups at once
        net: limit reached: at most 5 connections of one step
        "#);
}

#[tokio::test]
async fn a_guest_that_goes_away_takes_its_request_with_it() {
    let (stand, origin, server, _names) = stand_with(Does::Hangs(Vec::new()), |setup| {
        setup.limits.at_once_max = 1;
    })
    .await;
    let mut channel = stand.channel().await;
    send_json(&mut channel, Kind::Ask, &Ask::Http(get(&origin)))
        .await
        .unwrap();
    in_time(async {
        while server.heads().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    drop(channel);
    in_time(async {
        while stand.caller.channel().await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_guest_that_reads_slowly_slows_the_server_down() {
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let (stand, origin, _server, _names) =
        stand_with(Does::Repeats(head, vec![b'x'; 10_000]), |_| {}).await;
    let mut channel = stand.channel().await;
    send_json(&mut channel, Kind::Ask, &Ask::Http(get(&origin)))
        .await
        .unwrap();
    let mut frame = Vec::new();
    assert_eq!(
        receive(&mut channel, &mut frame).await.unwrap(),
        Some(Kind::Answer)
    );
    // Nobody reads on. What the broker takes from the server meanwhile fits into the buffers between.
    tokio::time::sleep(SHORT).await;
    drop(channel);
    let (used, _) = stand.end().await;
    assert!(used.hosts[0].down_bytes < 4_000_000, "{used:?}");
}

#[tokio::test]
async fn a_lookup_counts_too() {
    let names = NameServer::new(&[(NAME, Says::Addresses(Vec::new()))]).await;
    let mut setup = Setup::new(names.address);
    setup.limits.lookups_max = 3;
    let stand = setup.grant(&[format!("tcp://{NAME}:1")]);
    for _ in 0..3 {
        assert_eq!(stand.look_up(NAME).await, Err(Word::NameNotFound));
    }
    assert_eq!(stand.look_up(NAME).await, Err(Word::Limit));
}
