use super::*;

const USUAL: Guard = Guard { public_only: false, allow_private: false, allow_plain_http: false };
const PRIVATE: Guard = Guard { allow_private: true, ..USUAL };
const PUBLIC: Guard = Guard { public_only: true, ..USUAL };

/// What a URL spells out, and whether it is allowed: as usual, with private networks, and only public ones.
const SPELLINGS: [(&str, [bool; 3]); 87] = [
    // Public.
    ("https://8.8.8.8/", [true, true, true]),
    ("https://172.15.255.255/", [true, true, true]),
    ("https://172.32.0.0/", [true, true, true]),
    ("https://100.63.255.255/", [true, true, true]),
    ("https://100.128.0.0/", [true, true, true]),
    ("https://192.167.255.255/", [true, true, true]),
    ("https://198.17.255.255/", [true, true, true]),
    ("https://198.20.0.0/", [true, true, true]),
    ("https://223.255.255.255/", [true, true, true]),
    ("https://[2606:4700::1111]/", [true, true, true]),
    ("https://[2a00:1450::1]/", [true, true, true]),
    ("https://134744072/", [true, true, true]),
    ("https://bank.example/", [true, true, true]),
    // Loopback, in all its forms.
    ("https://127.0.0.1/", [true, true, false]),
    ("http://127.0.0.1/", [true, true, false]),
    ("http://127.255.255.255/", [true, true, false]),
    ("http://127.1/", [true, true, false]),
    ("http://2130706433/", [true, true, false]),
    ("http://0x7f000001/", [true, true, false]),
    ("http://0177.0.0.01/", [true, true, false]),
    ("http://0x7f.0.0.0x1/", [true, true, false]),
    ("http://127.0.0.1./", [true, true, false]),
    ("http://\u{ff11}\u{ff12}\u{ff17}.0.0.1/", [true, true, false]),
    ("http://127\u{3002}0\u{3002}0\u{3002}1/", [true, true, false]),
    ("http://%31%32%37.0.0.1/", [true, true, false]),
    ("http://[::1]/", [true, true, false]),
    ("http://[0:0:0:0:0:0:0:1]/", [true, true, false]),
    ("http://[::ffff:127.0.0.1]/", [true, true, false]),
    ("http://[::ffff:7f00:1]/", [true, true, false]),
    // Plain http leads to this machine only.
    ("http://8.8.8.8/", [false, false, false]),
    ("http://10.0.0.1/", [false, false, false]),
    ("http://[2606:4700::1111]/", [false, false, false]),
    // Private networks.
    ("https://10.0.0.0/", [false, true, false]),
    ("https://10.255.255.255/", [false, true, false]),
    ("https://012.0.0.1/", [false, true, false]),
    ("https://167772161/", [false, true, false]),
    ("https://0xa.1/", [false, true, false]),
    ("https://172.16.0.0/", [false, true, false]),
    ("https://172.31.255.255/", [false, true, false]),
    ("https://192.168.0.1/", [false, true, false]),
    ("https://100.64.0.0/", [false, true, false]),
    ("https://100.127.255.255/", [false, true, false]),
    ("https://[fc00::1]/", [false, true, false]),
    ("https://[fdff:ffff::1]/", [false, true, false]),
    ("https://[::ffff:10.0.0.1]/", [false, true, false]),
    ("https://[64:ff9b::10.0.0.1]/", [false, true, false]),
    // What stands for a public IPv4 address is as good as that, but no public address itself.
    ("https://[::ffff:8.8.8.8]/", [true, true, false]),
    ("https://[64:ff9b::8.8.8.8]/", [true, true, false]),
    // Never.
    ("https://[64:ff9b::127.0.0.1]/", [false, false, false]),
    ("https://[64:ff9b:1::8.8.8.8]/", [false, false, false]),
    ("https://[64:ff9b::169.254.169.254]/", [false, false, false]),
    ("https://169.254.169.254/", [false, false, false]),
    ("https://2852039166/", [false, false, false]),
    ("https://0xa9fea9fe/", [false, false, false]),
    ("https://0251.0376.0251.0376/", [false, false, false]),
    ("https://[::ffff:169.254.169.254]/", [false, false, false]),
    ("https://[fd00:ec2::254]/", [false, false, false]),
    ("https://[fd00:ec2::23]/", [false, false, false]),
    ("https://[fd20:ce::254]/", [false, false, false]),
    ("https://[fd00:c1::a9fe:a9fe]/", [false, false, false]),
    ("https://[fd00:42::42]/", [false, false, false]),
    ("http://[fd00:ec2::254]/", [false, false, false]),
    ("http://169.254.169.254/", [false, false, false]),
    ("https://[fe80::a9fe:a9fe]/", [false, false, false]),
    ("https://169.254.170.2/", [false, false, false]),
    ("https://[fd00:ec3::254]/", [false, true, false]),
    ("https://100.100.100.200/", [false, false, false]),
    ("https://168.63.129.16/", [false, false, false]),
    ("https://192.0.0.192/", [false, false, false]),
    ("https://169.254.1.1/", [false, false, false]),
    ("https://[fe80::1]/", [false, false, false]),
    ("https://[febf::1]/", [false, false, false]),
    ("https://0.0.0.0/", [false, false, false]),
    ("https://0/", [false, false, false]),
    ("https://[::]/", [false, false, false]),
    ("https://[::7f00:1]/", [false, false, false]),
    ("https://[::8.8.8.8]/", [false, false, false]),
    ("https://[2002:7f00:1::]/", [false, false, false]),
    ("https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/", [false, false, false]),
    ("https://224.0.0.1/", [false, false, false]),
    ("https://[ff02::1]/", [false, false, false]),
    ("https://255.255.255.255/", [false, false, false]),
    ("https://240.0.0.1/", [false, false, false]),
    ("https://192.0.2.1/", [false, false, false]),
    ("https://[2001:db8::1]/", [false, false, false]),
    ("https://198.18.0.1/", [false, false, false]),
    ("ftp://8.8.8.8/", [false, false, false]),
];

#[test]
fn every_spelling_of_an_address_is_judged_by_the_address() {
    for (text, expected) in SPELLINGS {
        let url = Url::parse(text).unwrap();
        let allowed = [USUAL, PRIVATE, PUBLIC].map(|guard| guard.check_url(&url).is_ok());
        assert_eq!(allowed, expected, "{text} is {url}");
    }
}

#[test]
fn the_settings_choose_it() {
    let of =
        |builder: crate::SandboxBuilder| Guard::of(&builder.check("127.0.0.1:1".parse().unwrap()).unwrap());
    let builder = crate::SandboxBuilder::default;
    assert_eq!(of(builder()), USUAL);
    assert_eq!(of(builder().allow_private(true)), PRIVATE);
    assert_eq!(of(builder().public_only(true)), PUBLIC);
}

#[test]
fn public_only_is_stronger_than_allowing_private_networks() {
    let guard = Guard { public_only: true, ..PRIVATE };
    for address in ["10.0.0.1", "127.0.0.1", "fd12::1", "::ffff:10.0.0.1"] {
        assert!(guard.check(address.parse().unwrap(), true).is_err(), "{address}");
    }
    assert_eq!(guard.check("8.8.8.8".parse().unwrap(), true), Ok(()));
}

#[test]
fn a_refusal_names_the_address_and_the_reason() {
    let refusal = |guard: Guard, address: &str, tls| {
        guard.check(address.parse().unwrap(), tls).unwrap_err().to_string()
    };
    assert_eq!(
        refusal(USUAL, "10.0.0.1", true),
        "10.0.0.1 is not allowed: a private network, which only an option allows"
    );
    assert_eq!(
        refusal(PUBLIC, "::1", true),
        "::1 is not allowed: loopback, and only public addresses are allowed"
    );
    assert_eq!(
        refusal(USUAL, "8.8.8.8", false),
        "8.8.8.8 is not allowed: plain http is only for loopback addresses; use https"
    );
}

/// Half of the IPv4 addresses that are not global lie in ranges that the standard library knows too.
#[test]
fn the_standard_library_agrees_where_it_has_an_opinion() {
    for high in 0..=u16::MAX {
        let [a, b] = high.to_be_bytes();
        for (c, d) in [(0, 0), (0, 1), (127, 3), (255, 254)] {
            let address = Ipv4Addr::new(a, b, c, d);
            let not_public = address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_documentation()
                || address.is_unspecified()
                || address.is_broadcast();
            assert!(!(not_public && PUBLIC.check(address.into(), true).is_ok()), "{address}");
            assert_eq!(address.is_loopback(), scope_v4(address) == Scope::Loopback, "{address}");
        }
        let address = Ipv6Addr::new(high, 0, 0, 0, 0, 0, 0, 0x99);
        let not_public =
            address.is_unique_local() || address.is_unicast_link_local() || address.is_multicast();
        assert!(!(not_public && PUBLIC.check(address.into(), true).is_ok()), "{address}");
    }
}

#[test]
fn plain_http_to_other_machines_must_be_allowed_and_opens_nothing_else() {
    let plain = Guard { allow_plain_http: true, ..USUAL };
    let check = |guard: Guard, address: &str| guard.check(address.parse().unwrap(), false).is_ok();
    assert!(check(plain, "8.8.8.8") && check(plain, "127.0.0.1"));
    assert!(!check(plain, "10.0.0.1") && check(Guard { allow_private: true, ..plain }, "10.0.0.1"));
    for address in ["169.254.169.254", "224.0.0.1", "fd00:ec2::254"] {
        assert!(!check(Guard { allow_private: true, ..plain }, address), "{address}");
    }
}
