use proptest::prelude::*;

use super::*;

fn check(text: &str) -> String {
    match text.parse::<NetGrant>() {
        Ok(grant) => format!("{grant}"),
        Err(error) => format!("! {error}"),
    }
}

#[test]
fn an_origin_has_one_spelling() {
    for (text, expected) in [
        ("https://api.example.com", "https://api.example.com"),
        ("https://API.Example.COM/", "https://api.example.com"),
        ("https://api.example.com:443", "https://api.example.com"),
        (
            "https://api.example.com:8443",
            "https://api.example.com:8443",
        ),
        ("http://example.com:80", "http://example.com"),
        ("http://example.com:443", "http://example.com:443"),
        ("tcp://db.example.com:5432", "tcp://db.example.com:5432"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://my_host", "https://my_host"),
        ("tcp://192.0.2.7:5432", "tcp://192.0.2.7:5432"),
        ("https://[2606:4700::1111]", "https://[2606:4700::1111]"),
        (
            "https://[2606:4700::ABCD]:8443",
            "https://[2606:4700::abcd]:8443",
        ),
    ] {
        assert_eq!(check(text), expected, "{text}");
    }
}

#[test]
fn a_port_is_part_of_an_origin_and_so_is_a_scheme() {
    let grant = |text: &str| text.parse::<NetGrant>().unwrap();
    assert_ne!(grant("https://a.example"), grant("http://a.example"));
    assert_ne!(grant("https://a.example"), grant("https://a.example:8443"));
    assert_ne!(
        grant("http://a.example:443"),
        grant("https://a.example:443")
    );
    assert_ne!(grant("https://a.example"), grant("https://b.a.example"));
}

/// Texts that come near.
const NO_ORIGINS: [&str; 45] = [
    "",
    "api.example.com",
    "ftp://example.com",
    "https://",
    "https:///",
    "https://user@example.com",
    "https://granted.example:443@evil.example",
    "https://example.com/path",
    "https://example.com//",
    "https://example.com?q",
    "https://example.com#f",
    "https://evil.example\\@granted.example",
    "https://*.example.com",
    "tcp://example.com",
    "tcp://example.com:0",
    "tcp://example.com:65536",
    "tcp://example.com:+80",
    "tcp://example.com:080",
    "https://example.com:",
    "https://example.com.",
    "https://example..com",
    "https://exa mple.com",
    "https://exa\r\nmple.com",
    "https://ex%61mple.com",
    "https://-x.example",
    "https://127.1",
    "https://0x7f.0.0.1",
    "https://0177.0.0.1",
    "https://2130706433",
    "https://017700000001",
    "https://127.0.0.1.",
    "https://１２７.0.0.1",
    "https://1.2.3.4.5",
    "https://256.1.1.1",
    "https://[::ffff:10.0.0.1]",
    "https://[::10.0.0.1]",
    "https://[64:ff9b::a00:1]",
    "https://[2002:a00:1::]",
    "https://[::ffff:a00:1]",
    "https://[2606::1%eth0]",
    "https://[2606:0:0::1]",
    "https://[2606::1",
    "https://[2606::1]x",
    "https://2606::1",
    "https://[]",
];

#[test]
fn what_is_no_origin_is_told_what_to_write() {
    insta::assert_snapshot!(
        NO_ORIGINS
        .map(|text| format!("{} {}", text.escape_debug(), check(text)))
        .join("\n"),
        @r#"
         ! has no scheme; write `https://HOST`, `http://HOST` or `tcp://HOST:PORT`
        api.example.com ! has no scheme; write `https://HOST`, `http://HOST` or `tcp://HOST:PORT`
        ftp://example.com ! has another scheme than `https://`, `http://` or `tcp://`
        https:// ! does not name a host exactly
        https:/// ! does not name a host exactly
        https://user@example.com ! has a user before `@`; write the host alone
        https://granted.example:443@evil.example ! has a user before `@`; write the host alone
        https://example.com/path ! has something behind the host; a grant is for a whole host, write `https://example.com`
        https://example.com// ! has something behind the host; a grant is for a whole host, write `https://example.com`
        https://example.com?q ! has something behind the host; a grant is for a whole host, write `https://example.com`
        https://example.com#f ! has something behind the host; a grant is for a whole host, write `https://example.com`
        https://evil.example\\@granted.example ! has something behind the host; a grant is for a whole host, write `https://evil.example`
        https://*.example.com ! is a pattern; hosts are granted by their exact names, one grant each
        tcp://example.com ! needs a port between 1 and 65535
        tcp://example.com:0 ! needs a port between 1 and 65535
        tcp://example.com:65536 ! needs a port between 1 and 65535
        tcp://example.com:+80 ! needs a port between 1 and 65535
        tcp://example.com:080 ! needs a port between 1 and 65535
        https://example.com: ! needs a port between 1 and 65535
        https://example.com. ! does not spell its host the usual way; write `example.com`
        https://example..com ! does not name a host exactly
        https://exa mple.com ! does not name a host exactly
        https://exa\r\nmple.com ! does not name a host exactly
        https://ex%61mple.com ! does not name a host exactly
        https://-x.example ! does not name a host exactly
        https://127.1 ! does not spell its host the usual way; write `127.0.0.1`
        https://0x7f.0.0.1 ! does not spell its host the usual way; write `127.0.0.1`
        https://0177.0.0.1 ! does not spell its host the usual way; write `127.0.0.1`
        https://2130706433 ! does not spell its host the usual way; write `127.0.0.1`
        https://017700000001 ! does not spell its host the usual way; write `127.0.0.1`
        https://127.0.0.1. ! does not spell its host the usual way; write `127.0.0.1`
        https://１２７.0.0.1 ! does not spell its host the usual way; write `127.0.0.1`
        https://1.2.3.4.5 ! does not name a host exactly
        https://256.1.1.1 ! does not name a host exactly
        https://[::ffff:10.0.0.1] ! has an IPv4 address inside an IPv6 address; write `10.0.0.1`
        https://[::10.0.0.1] ! has an IPv4 address inside an IPv6 address; write `10.0.0.1`
        https://[64:ff9b::a00:1] ! has an IPv4 address inside an IPv6 address; write `10.0.0.1`
        https://[2002:a00:1::] ! has an IPv4 address inside an IPv6 address; write `10.0.0.1`
        https://[::ffff:a00:1] ! has an IPv4 address inside an IPv6 address; write `10.0.0.1`
        https://[2606::1%eth0] ! does not name a host exactly
        https://[2606:0:0::1] ! does not spell its host the usual way; write `[2606::1]`
        https://[2606::1 ! does not name a host exactly
        https://[2606::1]x ! does not name a host exactly
        https://2606::1 ! needs a port between 1 and 65535
        https://[] ! does not name a host exactly
        "#
    );
}

#[test]
fn a_long_text_is_not_even_looked_at() {
    assert_eq!(
        check(&format!("https://{}", "a.".repeat(200))),
        "! is longer than 300 bytes"
    );
    let label = "a".repeat(64);
    assert_eq!(
        check(&format!("https://{label}.example")),
        "! does not name a host exactly"
    );
}

#[test]
fn a_request_is_judged_like_a_grant() {
    let granted: NetGrant = "https://api.example.com".parse().unwrap();
    for (scheme, authority, is_granted) in [
        ("https", "api.example.com", true),
        ("https", "API.example.com:443", true),
        ("http", "api.example.com", false),
        ("http", "api.example.com:443", false),
        ("https", "api.example.com:80", false),
        ("https", "api.example.com.", false),
        ("https", "api.example.com@evil.example", false),
        ("https", "evil.example@api.example.com", false),
        ("https", "api.example.com/..", false),
        ("https", "api.example.com#", false),
        ("https", "evil.example?api.example.com", false),
        ("tcp", "api.example.com:443", false),
        ("HTTPS", "api.example.com", false),
        ("https", "", false),
    ] {
        let wanted = NetGrant::of_request(scheme, authority);
        assert_eq!(
            wanted == Ok(granted.clone()),
            is_granted,
            "{scheme} {authority}"
        );
    }
}

#[test]
fn a_grant_of_a_plan_is_read_as_it_was_meant() {
    use cofferdam_pipeline::{NetGrant as Planned, NetScheme};
    for (scheme, host, port, expected) in [
        (
            NetScheme::Https,
            "api.example.com",
            443,
            "https://api.example.com",
        ),
        (NetScheme::Http, "localhost", 8080, "http://localhost:8080"),
        (
            NetScheme::Tcp,
            "db.example.com",
            5432,
            "tcp://db.example.com:5432",
        ),
        (
            NetScheme::Https,
            "2606:4700::1111",
            8443,
            "https://[2606:4700::1111]:8443",
        ),
        (NetScheme::Tcp, "10.0.0.5", 5432, "tcp://10.0.0.5:5432"),
        (
            NetScheme::Https,
            "127.1",
            443,
            "! does not spell its host the usual way; write `127.0.0.1`",
        ),
    ] {
        let planned = Planned {
            scheme,
            host: host.to_owned(),
            port,
            line: 1,
        };
        assert_eq!(check(&planned.to_string()), expected, "{planned}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,60}") {
        let _any = check(&text);
        let _any = check(&format!("https://{text}"));
    }

    #[test]
    fn what_was_read_is_written_and_read_again_as_the_same(
        scheme in "https|http|tcp",
        host in "[a-zA-Z0-9._:@/\\[\\]-]{1,20}",
        port in 1_u16..,
    ) {
        if let Ok(grant) = format!("{scheme}://{host}:{port}").parse::<NetGrant>() {
            prop_assert_eq!(grant.to_string().parse::<NetGrant>(), Ok(grant));
        }
    }
}
