use proptest::prelude::*;

use super::*;

fn kind(address: &str) -> &'static str {
    let address: IpAddr = address.parse().unwrap();
    AddressPolicy::default()
        .check(address)
        .map_or_else(|forbidden| forbidden.kind, |()| "public")
}

/// First and last address of each range, and their neighbours outside, which are public unless said.
#[test]
fn each_range_ends_where_its_registry_says() {
    for (first, last, expected) in [
        ("0.0.0.0", "0.255.255.255", "an unspecified address"),
        ("10.0.0.0", "10.255.255.255", "a private address"),
        (
            "100.64.0.0",
            "100.127.255.255",
            "a carrier's shared address",
        ),
        ("127.0.0.0", "127.255.255.255", "a loopback address"),
        ("169.254.0.0", "169.254.255.255", "a link-local address"),
        ("172.16.0.0", "172.31.255.255", "a private address"),
        ("192.0.0.0", "192.0.0.255", "a reserved address"),
        ("192.0.2.0", "192.0.2.255", "a documentation address"),
        ("192.88.99.0", "192.88.99.255", "a reserved address"),
        ("192.168.0.0", "192.168.255.255", "a private address"),
        ("198.18.0.0", "198.19.255.255", "an address for benchmarks"),
        ("198.51.100.0", "198.51.100.255", "a documentation address"),
        ("203.0.113.0", "203.0.113.255", "a documentation address"),
        ("224.0.0.0", "239.255.255.255", "a multicast address"),
    ] {
        assert_eq!(
            (kind(first), kind(last)),
            (expected, expected),
            "{first} to {last}"
        );
        let number = |text: &str| text.parse::<Ipv4Addr>().unwrap().to_bits();
        let below = number(first).checked_sub(1).map(Ipv4Addr::from_bits);
        let above = Ipv4Addr::from_bits(number(last) + 1);
        for outside in below.into_iter().chain([above]) {
            let expected = if outside == Ipv4Addr::new(240, 0, 0, 0) {
                "a reserved address"
            } else {
                "public"
            };
            assert_eq!(kind(&outside.to_string()), expected, "{outside}");
        }
    }
    assert_eq!(kind("240.0.0.0"), "a reserved address");
    assert_eq!(kind("255.255.255.254"), "a reserved address");
    assert_eq!(kind("255.255.255.255"), "a broadcast address");
}

#[test]
fn of_ipv6_only_what_is_given_out_for_the_internet_is_public() {
    for (address, expected) in [
        ("::", "an unspecified address"),
        ("::1", "a loopback address"),
        ("::2", "an IPv4 address inside an IPv6 address"),
        ("::ffff:8.8.8.8", "an IPv4 address inside an IPv6 address"),
        (
            "::ffff:0:127.0.0.1",
            "an IPv4 address inside an IPv6 address",
        ),
        ("64:ff9b::7f00:1", "an IPv4 address inside an IPv6 address"),
        (
            "64:ff9b:1:ffff::7f00:1",
            "an IPv4 address inside an IPv6 address",
        ),
        ("64:ff9b:2::1", "a reserved address"),
        ("100::1", "a reserved address"),
        ("1fff:ffff::1", "a reserved address"),
        ("2000::1", "public"),
        ("2001::1", "an IPv4 address inside an IPv6 address"),
        ("2001:1::1", "a reserved address"),
        ("2001:1ff:ffff::1", "a reserved address"),
        ("2001:200::1", "public"),
        ("2001:db7:ffff::1", "public"),
        ("2001:db8::", "a documentation address"),
        (
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            "a documentation address",
        ),
        ("2001:db9::", "public"),
        ("2001:4860:4860::8888", "public"),
        (
            "2001:4860:4860::5efe:10.0.0.1",
            "an IPv4 address inside an IPv6 address",
        ),
        (
            "2001:4860:4860:0:200:5efe:a00:1",
            "an IPv4 address inside an IPv6 address",
        ),
        ("2002::", "an IPv4 address inside an IPv6 address"),
        (
            "2002:ffff:ffff::1",
            "an IPv4 address inside an IPv6 address",
        ),
        ("2003::", "public"),
        ("3ffe:ffff::1", "public"),
        ("3fff::", "a documentation address"),
        ("3fff:fff:ffff::", "a documentation address"),
        ("3fff:1000::", "public"),
        ("4000::", "a reserved address"),
        ("5f00::1", "a reserved address"),
        ("fbff:ffff::1", "a reserved address"),
        ("fc00::", "a private address"),
        ("fdff:ffff::1", "a private address"),
        ("fd00:ec2::254", "a metadata address"),
        ("fd20:ce::254", "a metadata address"),
        ("fe00::", "a reserved address"),
        ("fe80::", "a link-local address"),
        ("febf::1", "a link-local address"),
        ("fec0::1", "a private address"),
        ("feff::1", "a private address"),
        ("ff00::", "a multicast address"),
        ("ff02::1", "a multicast address"),
    ] {
        assert_eq!(kind(address), expected, "{address}");
    }
}

#[test]
fn a_range_that_the_operator_names_is_allowed_and_nothing_beside_it() {
    let policy = AddressPolicy::new(vec![
        "10.1.0.0/16".parse().unwrap(),
        "127.0.0.1/32".parse().unwrap(),
        "fd12::/16".parse().unwrap(),
    ]);
    for (address, is_allowed) in [
        ("10.1.0.0", true),
        ("10.1.255.255", true),
        ("10.0.255.255", false),
        ("10.2.0.0", false),
        ("127.0.0.1", true),
        ("127.0.0.2", false),
        ("::1", false),
        ("::ffff:10.1.0.1", false),
        ("64:ff9b::a01:1", false),
        ("fd12::1", true),
        ("fd13::1", false),
        ("8.8.8.8", true),
    ] {
        assert_eq!(
            policy.check(address.parse().unwrap()).is_ok(),
            is_allowed,
            "{address}"
        );
    }
}

#[test]
fn a_wide_range_lets_no_metadata_service_in() {
    let everything = ["0.0.0.0/0", "::/0"].map(|range| range.parse().unwrap());
    let policy = AddressPolicy::new(everything.to_vec());
    for (address, is_allowed) in [
        ("10.0.0.1", true),
        ("169.254.1.1", true),
        ("169.254.169.254", false),
        ("169.254.170.2", false),
        ("100.100.100.200", false),
        ("168.63.129.16", false),
        ("fd00:ec2::254", false),
        ("::ffff:169.254.169.254", false),
        ("0.0.0.0", false),
        ("::", false),
        ("224.0.0.1", false),
        ("255.255.255.255", false),
    ] {
        assert_eq!(
            policy.check(address.parse().unwrap()).is_ok(),
            is_allowed,
            "{address}"
        );
    }
    let named = AddressPolicy::new(vec!["169.254.169.254/32".parse().unwrap()]);
    assert_eq!(named.check("169.254.169.254".parse().unwrap()), Ok(()));
}

#[test]
fn a_host_is_not_reached_from_itself_unless_the_operator_says_so() {
    let public: IpAddr = "8.8.8.8".parse().unwrap();
    let error = AddressPolicy::default().check_own(public).unwrap_err();
    assert_eq!(
        error.to_string(),
        "8.8.8.8, which is an address of this host itself"
    );
    let named = AddressPolicy::new(vec!["8.8.8.8/32".parse().unwrap()]);
    assert_eq!(named.check_own(public), Ok(()));
}

/// Every way to write an IPv4 address as an IPv6 address.
fn wrapped(address: Ipv4Addr) -> Vec<Ipv6Addr> {
    let [a, b, c, d] = address.octets().map(u16::from);
    let (high, low) = (a << 8 | b, c << 8 | d);
    vec![
        address.to_ipv6_mapped(),
        address.to_ipv6_compatible(),
        Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
        Ipv6Addr::new(0x2001, 0, 1, 2, 0, 0, !high, !low),
        Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0x5efe, high, low),
    ]
}

proptest! {
    #[test]
    fn no_ipv4_address_passes_inside_an_ipv6_address(bits: u32) {
        let address = Ipv4Addr::from_bits(bits);
        // Even where the operator allows everything that can be allowed.
        let everything = ["0.0.0.0/0", "::/0"].map(|range| range.parse().unwrap()).to_vec();
        for policy in [AddressPolicy::default(), AddressPolicy::new(everything)] {
            for wrapped in wrapped(address) {
                if wrapped.is_loopback() {
                    continue;
                }
                prop_assert!(policy.check(wrapped.into()).is_err(), "{wrapped} for {address}");
            }
        }
    }

    #[test]
    fn what_canonicalises_to_a_forbidden_address_is_forbidden(bits: u128) {
        let address = Ipv6Addr::from_bits(bits);
        let policy = AddressPolicy::default();
        if policy.check(address.into()).is_ok() {
            prop_assert!(policy.check(address.to_canonical()).is_ok());
            prop_assert!(GLOBAL_UNICAST.contains(&address));
            prop_assert_eq!(embedded_v4(address), None);
        }
    }
}
