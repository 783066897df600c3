use super::*;
use http::HeaderValue;
use http::header::AUTHORIZATION;

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn ip(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

fn allowing(ranges: &[&str]) -> Admission {
    ranges.iter().fold(Admission::new(), |admission, range| admission.allow(range.parse().unwrap()))
}

fn behind_proxy() -> Admission {
    allowing(&["192.0.2.0/24"]).trust_proxy("10.0.0.0/8".parse().unwrap())
}

fn admits(admission: &Admission, lines: &[(&'static str, &str)], peer: &str) -> bool {
    admission.admit(&headers(lines), ip(peer)).is_ok()
}

#[test]
fn ranges_of_both_families_and_mapped_addresses() {
    let admission = allowing(&["192.0.2.0/24", "2001:db8::/32"]);
    for peer in ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1"] {
        assert!(admits(&admission, &[], peer), "{peer}");
    }
    for peer in ["192.0.3.1", "::ffff:192.0.3.1", "2001:db9::1", "::1"] {
        assert!(!admits(&admission, &[], peer), "{peer}");
    }
}

#[test]
fn ranges_of_mapped_addresses_are_ranges_of_ipv4() {
    let admission = allowing(&["::ffff:192.0.2.0/120", "::ffff:198.51.100.7/128"]);
    for (peer, expected) in [
        ("192.0.2.7", true),
        ("::ffff:192.0.2.7", true),
        ("192.0.3.1", false),
        ("198.51.100.7", true),
        ("198.51.100.8", false),
    ] {
        assert_eq!(admits(&admission, &[], peer), expected, "{peer}");
    }
    let everyone = allowing(&["::ffff:0:0/96"]);
    assert!(admits(&everyone, &[], "203.0.113.9") && !admits(&everyone, &[], "2001:db8::1"));
    // A shorter prefix covers more than IPv4, and stays what it is.
    let wider = allowing(&["::ffff:0:0/95"]);
    assert!(admits(&wider, &[], "::fffe:0:1") && !admits(&wider, &[], "192.0.2.7"));

    let proxy = allowing(&["192.0.2.0/24"]).trust_proxy("::ffff:10.0.0.0/104".parse().unwrap());
    for peer in ["10.0.0.1", "::ffff:10.0.0.1"] {
        assert!(admits(&proxy, &[("x-forwarded-for", "192.0.2.1")], peer), "{peer}");
    }
    assert!(!admits(&proxy, &[("x-forwarded-for", "192.0.2.1")], "11.0.0.1"));
}

#[test]
fn without_a_list_everyone_is_admitted_even_without_an_address() {
    assert_eq!(Admission::new().admit(&HeaderMap::new(), None).unwrap().source, None);
}

#[test]
fn a_missing_peer_address_is_refused_when_there_is_a_list() {
    let refused = allowing(&["0.0.0.0/0", "::/0"]).admit(&HeaderMap::new(), None);
    assert_eq!(refused, Err(AdmissionError::NoPeerAddress));
}

#[test]
fn monitor_mode_admits_and_reports() {
    let admitted =
        allowing(&["192.0.2.0/24"]).monitor().admit(&HeaderMap::new(), ip("198.51.100.1")).unwrap();
    assert_eq!(admitted.would_refuse, Some(AdmissionError::NotAllowed("198.51.100.1".parse().unwrap())));
    let admitted = allowing(&["192.0.2.0/24"]).monitor().admit(&HeaderMap::new(), ip("192.0.2.1")).unwrap();
    assert_eq!(admitted.would_refuse, None);
}

#[test]
fn a_stranger_cannot_forward() {
    assert!(!admits(&behind_proxy(), &[("x-forwarded-for", "192.0.2.1")], "198.51.100.1"));
}

#[test]
fn the_rightmost_untrusted_hop_counts() {
    let admission = behind_proxy();
    for value in ["192.0.2.1", "198.51.100.1, 192.0.2.1", "junk, 192.0.2.1, 10.1.1.1", "192.0.2.1:4711"] {
        assert!(admits(&admission, &[("x-forwarded-for", value)], "10.0.0.1"), "{value}");
    }
    for value in ["192.0.2.1, 198.51.100.1", "192.0.2.1, 198.51.100.1, 10.0.0.2"] {
        assert!(!admits(&admission, &[("x-forwarded-for", value)], "10.0.0.1"), "{value}");
    }
}

#[test]
fn several_lines_are_one_list() {
    let admission = behind_proxy();
    let lines = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "198.51.100.1")];
    assert!(!admits(&admission, &lines, "10.0.0.1"));
    let lines = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "192.0.2.1")];
    assert!(admits(&admission, &lines, "::ffff:10.0.0.1"));
}

#[test]
fn what_cannot_be_read_is_refused() {
    let admission = behind_proxy();
    for value in ["", "unknown", "192.0.2.1, _hidden", "192.0.2.300", "fe80::1%eth0"] {
        assert!(!admits(&admission, &[("x-forwarded-for", value)], "10.0.0.1"), "{value:?}");
    }
    let mut foreign = HeaderMap::new();
    foreign.insert("x-forwarded-for", HeaderValue::from_bytes(b"192.0.2.1\xff").unwrap());
    assert!(admission.admit(&foreign, ip("10.0.0.1")).is_err());
    let long = vec!["10.0.0.9"; 33].join(",");
    let error = admission.admit(&headers(&[("x-forwarded-for", &long)]), ip("10.0.0.1")).unwrap_err();
    assert!(error.to_string().contains("more than 32"), "{error}");
}

/// RFC 9110, 5.6.1.2. A header of nothing else is none.
#[test]
fn empty_members_of_the_list_are_ignored() {
    let admission = behind_proxy();
    for value in ["192.0.2.1,", "192.0.2.1, ", ",192.0.2.1", "198.51.100.1, ,\t192.0.2.1 , ,10.0.0.2,,"] {
        assert!(admits(&admission, &[("x-forwarded-for", value)], "10.0.0.1"), "{value:?}");
    }
    for value in ["for=192.0.2.1,", "for=192.0.2.1 , , for=10.0.0.2", ",for=192.0.2.1;proto=https;, "] {
        assert!(admits(&admission, &[("forwarded", value)], "10.0.0.1"), "{value:?}");
    }
    for (name, value) in [
        ("x-forwarded-for", "192.0.2.1, 198.51.100.1,"),
        ("forwarded", "for=192.0.2.1, for=198.51.100.1, "),
        ("forwarded", "for=192.0.2.1, ;"),
        ("forwarded", "for=192.0.2.1, \"\""),
    ] {
        assert!(!admits(&admission, &[(name, value)], "10.0.0.1"), "{value:?}");
    }
    let itself = admission.clone().allow("10.0.0.5/32".parse().unwrap());
    for name in ["x-forwarded-for", "forwarded"] {
        for value in ["", " , ,"] {
            assert!(admits(&itself, &[(name, value)], "10.0.0.5"), "{value:?}");
            assert!(!admits(&itself, &[(name, value)], "10.0.0.1"), "{value:?}");
        }
    }
    let lines = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "")];
    assert!(admits(&admission, &lines, "10.0.0.1"));
}

#[test]
fn a_trusted_proxy_that_speaks_for_itself_is_its_own_source() {
    let admission = behind_proxy().allow("10.0.0.5/32".parse().unwrap());
    assert!(admits(&admission, &[], "10.0.0.5"));
    assert!(!admits(&admission, &[], "10.0.0.6"));
    assert!(admits(&admission, &[("x-forwarded-for", "10.0.0.5, 10.0.0.6")], "10.0.0.6"));
}

#[test]
fn the_standard_header_is_read_too() {
    let admission = behind_proxy().allow("2001:db8::/32".parse().unwrap());
    for value in [
        "for=192.0.2.1",
        "for=198.51.100.1, For=\"192.0.2.1:80\";proto=https",
        "by=10.0.0.1;for=\"[2001:db8::1]:4711\"",
        "for=\"[2001:db8::1]\"",
    ] {
        assert!(admits(&admission, &[("forwarded", value)], "10.0.0.1"), "{value}");
    }
    for value in [
        "for=unknown",
        "for=_x",
        "proto=https",
        "for=\"192.0.2.1",
        "for=192.0.2.1;for=192.0.2.1",
        "for=198.51.100.1",
    ] {
        assert!(!admits(&admission, &[("forwarded", value)], "10.0.0.1"), "{value}");
    }
}

#[test]
fn what_a_proxy_quotes_from_a_stranger_is_no_element() {
    let admission = behind_proxy();
    for value in [
        r#"for=198.51.100.1;host="x, for=192.0.2.1;y=""#,
        r#"for=198.51.100.1;host="x;for=192.0.2.1""#,
        r#"for=198.51.100.1;host="a\", for=192.0.2.1;b=""#,
    ] {
        assert!(!admits(&admission, &[("forwarded", value)], "10.0.0.1"), "{value}");
    }
    assert!(admits(&admission, &[("forwarded", r#"for=192.0.2.1;host="a, b""#)], "10.0.0.1"));
}

/// A stranger opens a quote that the proxy's own quotes would close, and sends a `Host` with a quote in it.
#[test]
fn a_quote_left_open_by_a_stranger_hides_no_element() {
    let admission = behind_proxy();
    for value in [
        r#"for=192.0.2.1;host=", for=198.51.100.1;host="a\"b""#,
        r#"for=192.0.2.1;host=", for=198.51.100.1;host=";x=\"y""#,
        r#"for=192.0.2.1;host=", for="198.51.100.1:80""#,
        r#"for=192.0.2.1;host="\, for="198.51.100.1:80";host="a\"b""#,
        r"for=192.0.2.1\",
    ] {
        assert!(!admits(&admission, &[("forwarded", value)], "10.0.0.1"), "{value}");
    }
}

#[test]
fn two_headers_must_agree() {
    let admission = behind_proxy();
    let agree = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")];
    assert!(admits(&admission, &agree, "10.0.0.1"));
    let disagree = [("x-forwarded-for", "198.51.100.1"), ("forwarded", "for=192.0.2.1")];
    assert!(!admits(&admission, &disagree, "10.0.0.1"));
}

#[test]
fn required_headers_are_all_required_and_each_value_may_rotate() {
    let admission = Admission::new()
        .require(RequiredHeader::new("X-Auth-Token", ["old", "new"]).unwrap())
        .require(RequiredHeader::basic("idnow", "s3cret"));
    let basic = "Basic aWRub3c6czNjcmV0";
    let admit = |lines: &[(&'static str, &str)]| admission.admit(&headers(lines), None);
    for token in ["old", "new"] {
        admit(&[("x-auth-token", token), ("authorization", basic)]).unwrap();
    }
    admit(&[("x-auth-token", "new"), ("authorization", "basic aWRub3c6czNjcmV0")]).unwrap();

    let wrong = |lines: &[(&'static str, &str)]| match admit(lines) {
        Err(AdmissionError::Header(error)) => error,
        other => panic!("{other:?}"),
    };
    let name: http::HeaderName = "x-auth-token".parse().unwrap();
    assert_eq!(wrong(&[("authorization", basic)]), HeaderError::Missing(name.clone()));
    assert_eq!(
        wrong(&[("x-auth-token", "older"), ("authorization", basic)]),
        HeaderError::Wrong(name.clone())
    );
    assert_eq!(
        wrong(&[("x-auth-token", "old"), ("x-auth-token", "old"), ("authorization", basic)]),
        HeaderError::Repeated(name)
    );
    for credentials in ["Basic aWRub3c6czNjcmVu", "Bearer aWRub3c6czNjcmV0", "aWRub3c6czNjcmV0", "Basic"] {
        let error = wrong(&[("x-auth-token", "old"), ("authorization", credentials)]);
        assert_eq!(error, HeaderError::Wrong(AUTHORIZATION), "{credentials}");
    }
}

#[test]
fn a_header_that_could_never_protect_is_refused_at_once() {
    assert_eq!(RequiredHeader::new("X Auth", ["a"]).unwrap_err(), RequiredHeaderError::InvalidName);
    assert!(matches!(RequiredHeader::new("X-Auth", [""]).unwrap_err(), RequiredHeaderError::NoValue(_)));
    assert!(matches!(
        RequiredHeader::new("X-Auth", Vec::<String>::new()).unwrap_err(),
        RequiredHeaderError::NoValue(_)
    ));
}

#[test]
fn debug_output_hides_required_values() {
    let admission = Admission::new().require(RequiredHeader::new("X-Auth-Token", ["hush-hush"]).unwrap());
    assert!(!format!("{admission:?}").contains("hush"));
}

/// HTTP takes white space from both ends of a value, and carries no control characters.
#[test]
fn a_value_that_no_request_can_carry_cannot_be_required() {
    for value in ["token ", " token", "token\t", "token\r\n", "to\nken", "to\0ken", "token\u{7f}", " "] {
        let error = RequiredHeader::new("X-Auth-Token", ["right", value]).expect_err(value);
        assert!(
            error.to_string().contains("x-auth-token") && !error.to_string().contains("ken\u{7f}"),
            "{error}"
        );
    }
    for value in ["to ken", "to\tken", "tökén", "\u{a0}token"] {
        let header = RequiredHeader::new("X-Auth-Token", [value]).unwrap();
        let carried = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        let headers = [("x-auth-token".parse().unwrap(), carried)].into_iter().collect();
        assert!(Admission::new().require(header).admit(&headers, None).is_ok(), "{value}");
    }
}
