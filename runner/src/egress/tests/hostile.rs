//! A step process in the hands of its guest: it says what it likes on every socket that it has.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;

use proptest::prelude::*;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::servers::NameServer;
use super::stand::{Setup, Stand, get, headers, in_time};
use crate::egress::wire::{Headers, RequestHead, Word};

const NAME: &str = "api.example.com";

async fn stand() -> (Stand, NameServer) {
    let names = NameServer::of_loopback(NAME).await;
    let stand = Setup::new(names.address).grant(&[format!("http://{NAME}")]);
    (stand, names)
}

#[tokio::test]
async fn nonsense_on_a_channel_is_answered_or_closed_and_harms_nobody() {
    let (stand, _names) = stand().await;
    for bytes in [
        &b"\x01\xff\xff\xff\xff"[..],
        b"\x01\x00\x00\x10\x00",
        b"\x09\x00\x00\x00\x00",
        b"\x03\x05\x00\x00\x00hello",
        b"\x01\x02\x00\x00\x00{}",
        b"\x01\x05\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\x01\x04\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"",
    ] {
        let mut channel = stand.channel().await;
        channel.write_all(bytes).await.unwrap();
        channel.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // A channel that is closed over unread bytes says so instead of ending.
        let _reset = in_time(channel.read_to_end(&mut answer)).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || text.contains("BadRequest"),
            "{bytes:?}: {text}"
        );
    }
    assert_eq!(
        stand.get("http://evil.example").await,
        Err(Word::NotGranted)
    );
}

#[tokio::test]
async fn a_descriptor_that_the_process_sends_is_not_taken() {
    let (stand, _names) = stand().await;
    let channel = stand.channel().await;
    let (watched, sent) = std::os::unix::net::UnixStream::pair().unwrap();
    let descriptors = [sent.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    assert!(beside.push(SendAncillaryMessage::ScmRights(&descriptors)));
    sendmsg(
        &channel,
        &[IoSlice::new(b"\x01")],
        &mut beside,
        SendFlags::empty(),
    )
    .unwrap();
    drop(sent);
    // Once the byte is read the kernel closes what came with it: nobody holds the other end.
    watched.set_nonblocking(true).unwrap();
    let watched = tokio::net::UnixStream::from_std(watched).unwrap();
    let mut byte = [0];
    let mut watched = watched;
    assert_eq!(in_time(watched.read(&mut byte)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_byte_that_asks_for_nothing_ends_the_service_and_all_its_channels() {
    let names = NameServer::of_loopback(NAME).await;
    let egress = crate::egress::Egress::new(crate::egress::EgressConfig {
        names: crate::egress::NameServers::Only(vec![names.address]),
        ..Default::default()
    });
    let (mut broker, theirs) = egress.open(Vec::new(), &[]).unwrap();
    let control = std::os::unix::net::UnixStream::from(theirs);
    let mut control = tokio::net::UnixStream::from_std(control).unwrap();
    let log = super::stand::Said::default();
    let (mut channel, ours) = std::os::unix::net::UnixStream::pair().unwrap();
    drop((ours, &mut channel));
    control.write_all(b"??x").await.unwrap();
    in_time(broker.serve(&log)).await;
}

/// Sends each of these and expects one answer to all, before so much as the name is looked up.
async fn check_refused(heads: impl IntoIterator<Item = RequestHead>, expected: Word) {
    let (stand, names) = stand().await;
    for head in heads {
        let got = stand.send(&head, None).await;
        let head = format!("{head:?}");
        assert_eq!(got, Err(expected), "{}", &head[..head.len().min(200)]);
    }
    assert!(names.asked().is_empty());
}

fn with(change: impl FnOnce(&mut RequestHead)) -> RequestHead {
    let mut head = get(&format!("http://{NAME}"));
    change(&mut head);
    head
}

#[tokio::test]
async fn a_method_that_asks_for_a_tunnel_or_an_echo_is_not_sent() {
    let methods = [
        "CONNECT",
        "connect",
        "TRACE",
        "GET / HTTP/1.1\r\nx: y",
        "GET ",
        "",
    ];
    let heads = methods.map(|method| with(|head| method.clone_into(&mut head.method)));
    check_refused(heads, Word::BadMethod).await;
}

#[tokio::test]
async fn a_path_that_could_be_read_two_ways_is_not_sent() {
    let long = format!("/{}", "x".repeat(70_000));
    let paths = [
        "http://evil.example/",
        "evil.example",
        "*",
        "",
        "/ HTTP/1.1\r\nhost: evil.example\r\n\r\n",
        "/a b",
        "/a\tb",
        "/#f",
        "/\u{7f}",
        "/é",
        &long,
    ];
    let heads = paths.map(|path| with(|head| path.clone_into(&mut head.path_and_query)));
    check_refused(heads, Word::BadRequest).await;
}

#[tokio::test]
async fn a_header_that_could_be_read_two_ways_is_not_sent() {
    let long = "y".repeat(70_000);
    let fields = [
        ("host", "evil.example"),
        ("Host", NAME),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("Transfer-Encoding", "identity"),
        ("te", "trailers"),
        ("upgrade", "websocket"),
        ("proxy-authorization", "Basic x"),
        ("expect", "100-continue"),
        ("x", "a\r\nhost: evil.example"),
        ("x", "a\nb"),
        ("x", "a\0b"),
        ("x", "\u{100}"),
        ("x y", "z"),
        ("x\r\ny", "z"),
        ("", "z"),
        ("content-length", "+5"),
        ("content-length", "5, 5"),
        ("content-length", ""),
        ("content-length", "99999999999999999999"),
        // It has no body.
        ("content-length", "5"),
        ("x", &long),
    ];
    let twice = [("content-length", "5"), ("Content-Length", "5")];
    let many = [("x", "y"); 101];
    let heads = fields
        .iter()
        .map(std::slice::from_ref)
        .chain([&twice[..], &many[..]])
        .map(|fields| with(|head| head.headers = headers(fields)));
    check_refused(heads, Word::BadRequest).await;
}

#[tokio::test]
async fn a_scheme_that_is_none_of_the_two_is_not_sent() {
    let schemes = ["tcp", "ftp", "HTTP", "http\r\n", ""];
    let heads = schemes.map(|scheme| with(|head| scheme.clone_into(&mut head.scheme)));
    check_refused(heads, Word::NotGranted).await;
}

#[tokio::test]
async fn a_name_that_is_meant_for_a_terminal_is_made_harmless() {
    let (stand, _names) = stand().await;
    let mut head = get(&format!("http://{NAME}"));
    head.authority = "\u{1b}[2Jevil\n.example".to_owned();
    assert_eq!(stand.send(&head, None).await, Err(Word::NotGranted));
    head.authority = "x".repeat(100_000);
    assert_eq!(stand.send(&head, None).await, Err(Word::NotGranted));
    let (_, said) = stand.end().await;
    assert!(
        !said.contains('\u{1b}') && said.lines().count() == 2,
        "{said}"
    );
    assert!(said.len() < 3000, "{} bytes", said.len());
}

#[tokio::test]
async fn a_thousand_different_refusals_stay_a_short_receipt() {
    let (stand, _names) = stand().await;
    for number in 0..1000 {
        assert_eq!(
            stand.get(&format!("http://{number}.evil.example")).await,
            Err(Word::NotGranted)
        );
    }
    let (used, said) = stand.end().await;
    assert_eq!((used.refusals.len(), used.unlisted), (100, 900));
    assert!(said.lines().count() <= 100, "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_bytes_on_a_channel_leave_the_broker_standing(bytes: Vec<u8>, kind in 0_u8..7) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (stand, _names) = stand().await;
            let mut channel = stand.channel().await;
            let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
            channel.write_all(&[&[kind][..], &length, &bytes].concat()).await.unwrap();
            drop(channel);
            assert_eq!(stand.get("http://evil.example").await, Err(Word::NotGranted));
        });
    }

    #[test]
    fn headers_come_out_as_they_were_put_in(fields in proptest::collection::vec(("[a-z][a-z0-9-]{0,10}", "[ -~\u{80}-\u{ff}]{0,20}"), 0..20)) {
        let before = Headers(fields);
        if let Some(map) = before.to_map() {
            let mut after = Headers::of(&map).0;
            let mut before = before.0;
            after.sort();
            before.sort();
            prop_assert_eq!(before, after);
        }
    }
}
