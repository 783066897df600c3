use http::header::{AUTHORIZATION, HOST};

use super::*;
use crate::SandboxBuilder;

const TOKEN: &str = "correct-horse-battery-staple";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
}

/// Listening at `listen`, with a token or without one.
fn guard(listen: &str, base: Option<&str>, token: Option<&str>) -> Guard {
    let mut builder = SandboxBuilder::default().access_token(TOKEN);
    if let Some(base) = base {
        builder = builder.base_url(base);
    }
    let mut settings = builder.check(listen.parse().unwrap()).unwrap();
    settings.access_token = token.map(|token| Secret::from(token.to_owned()));
    Guard::new(&settings).unwrap()
}

fn local() -> Guard {
    guard("127.0.0.1:4000", None, None)
}

fn refusal(guard: &Guard, method: &Method, uri: &'static str, headers: &HeaderMap) -> Option<Code> {
    let uri = Uri::from_static(uri);
    let client = IpAddr::from([10, 0, 0, 1]);
    let checked = guard.check_site(method, &uri, headers).and_then(|()| guard.admits(client, headers));
    checked.err().map(|problem| problem.code())
}

fn code(guard: &Guard, method: &Method, headers: &HeaderMap) -> Option<Code> {
    refusal(guard, method, "/manage/v1/flows", headers)
}

/// Whether a request for this host is let in, by its name.
fn is_named(guard: &Guard, host: &str) -> bool {
    let headers = headers(&[("host", host)]);
    guard.check_site(&Method::GET, &Uri::from_static("/"), &headers).is_ok()
}

#[test]
fn on_loopback_the_host_must_be_this_machine_and_port() {
    let guard = local();
    let allowed = ["localhost:4000", "LocalHost:4000", "127.0.0.1:4000", "127.9.9.9:4000", "[::1]:4000"];
    for host in allowed {
        assert_eq!(code(&guard, &Method::GET, &headers(&[("host", host)])), None, "{host}");
    }
    let refused = [
        "evil.example:4000",
        "localhost.evil.example:4000",
        "localhost:4001",
        "localhost",
        "localhost:",
        "localhost:99999",
        "127.0.0.1.evil.example:4000",
        "user@localhost:4000",
        "192.168.1.1:4000",
        "[::2]:4000",
        "0.0.0.0:4000",
        "2130706433:4000",
        "",
        " ",
    ];
    for host in refused {
        let found = code(&guard, &Method::GET, &headers(&[("host", host)]));
        assert_eq!(found, Some(Code::HostNotAllowed), "{host}");
    }
    assert_eq!(code(&guard, &Method::GET, &HeaderMap::new()), Some(Code::HostNotAllowed));
    let mut two = headers(&[("host", "localhost:4000")]);
    two.append(HOST, HeaderValue::from_static("localhost:4000"));
    assert_eq!(code(&guard, &Method::GET, &two), Some(Code::HostNotAllowed));
}

#[test]
fn on_port_80_the_host_may_leave_it_out() {
    let guard = guard("127.0.0.1:80", None, None);
    assert!(is_named(&guard, "localhost"));
    assert!(!is_named(&guard, "localhost:99999"));
}

#[test]
fn a_host_in_the_first_line_counts_as_well() {
    let uri = "http://evil.example:4000/manage/v1/flows";
    let found = refusal(&local(), &Method::GET, uri, &headers(&[("host", "localhost:4000")]));
    assert_eq!(found, Some(Code::HostNotAllowed));
}

#[test]
fn in_a_container_it_is_known_by_addresses_and_by_the_name_that_was_set() {
    let everywhere = guard("0.0.0.0:4000", None, Some(TOKEN));
    let named = guard("0.0.0.0:4000", Some("http://sandbox:4000"), Some(TOKEN));
    let one = guard("192.168.1.5:4000", None, Some(TOKEN));
    let six = guard("[::]:4000", Some("https://sandbox.example/below"), Some(TOKEN));
    for (host, expected) in [
        // The port that a container's is mapped to is another one.
        ("localhost:8080", [true, true, true, true]),
        ("127.0.0.1", [true, true, true, true]),
        ("[::1]:4000", [true, true, true, true]),
        ("172.17.0.2:4000", [true, true, false, true]),
        ("192.168.1.5:80", [true, true, true, true]),
        ("[fd00::2]:4000", [true, true, false, true]),
        ("sandbox:4000", [false, true, false, false]),
        ("SANDBOX", [false, true, false, false]),
        ("sandbox:4001", [false, true, false, false]),
        ("sandbox.example", [false, false, false, true]),
        ("sandbox.example:8443", [false, false, false, true]),
        ("evil.example:4000", [false, false, false, false]),
        ("sandbox.evil.example:4000", [false, false, false, false]),
        ("user@sandbox:4000", [false, false, false, false]),
        ("sandbox:", [false, false, false, false]),
        ("172.17.0.2.evil.example:4000", [false, false, false, false]),
    ] {
        assert_eq!([&everywhere, &named, &one, &six].map(|guard| is_named(guard, host)), expected, "{host}");
    }
}

#[test]
fn what_is_refused_is_said_and_how_to_allow_it() {
    let said = |guard: &Guard| {
        let headers = headers(&[("host", "sandbox:8080")]);
        let problem = guard.check_site(&Method::GET, &Uri::from_static("/"), &headers).unwrap_err();
        problem.told().2.to_owned()
    };
    for told in ["`sandbox:8080`", "localhost:4000", "--base-url http://sandbox:8080", "access token"] {
        assert!(said(&local()).contains(told), "{told}: {}", said(&local()));
    }
    let other = said(&guard("0.0.0.0:4000", Some("http://other:4000"), Some(TOKEN)));
    assert!(other.contains("0.0.0.0:4000") && other.contains("or other"), "{other}");
    assert!(other.chars().count() < 500, "{other}");
}

#[test]
fn pages_of_other_sites_change_nothing() {
    let guard = local();
    let from = |name: &'static str, value: &str| headers(&[("host", "localhost:4000"), (name, value)]);
    let refused = [
        ("origin", "http://evil.example"),
        ("origin", "http://localhost:4001"),
        ("origin", "http://localhost"),
        ("origin", "http://127.0.0.1:4000"),
        ("origin", "null"),
        ("origin", ""),
        ("origin", "file://"),
        ("origin", "localhost:4000"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
        ("sec-fetch-site", ""),
    ];
    for (name, value) in refused {
        for method in [Method::POST, Method::PATCH, Method::DELETE, Method::PUT] {
            let found = code(&guard, &method, &from(name, value));
            assert_eq!(found, Some(Code::CrossSite), "{method} {name}: {value}");
        }
        assert_eq!(code(&guard, &Method::GET, &from(name, value)), None, "GET {name}: {value}");
    }
    for (name, value) in [("origin", "http://localhost:4000"), ("sec-fetch-site", "same-origin")] {
        assert_eq!(code(&guard, &Method::POST, &from(name, value)), None, "{name}: {value}");
    }
    let mut both = from("origin", "http://localhost:4000");
    both.append("sec-fetch-site", HeaderValue::from_static("cross-site"));
    assert_eq!(code(&guard, &Method::POST, &both), Some(Code::CrossSite));
}

#[test]
fn under_the_name_for_others_only_the_very_base_url_is_a_page_of_ours() {
    let guard = guard("127.0.0.1:4000", Some("https://sandbox.example:8443"), Some(TOKEN));
    let posted = |host: &str, origin: &str| {
        let headers = headers(&[("host", host), ("origin", origin)]);
        guard.check_site(&Method::POST, &Uri::from_static("/keys/rotate"), &headers).is_ok()
    };
    // What a proxy makes of `Host` is its own affair.
    for host in ["sandbox.example:8443", "sandbox.example", "127.0.0.1:4000"] {
        assert!(posted(host, "https://sandbox.example:8443"), "{host}");
        for origin in
            ["http://sandbox.example:8443", "https://sandbox.example", "http://sandbox.example", "null"]
        {
            assert!(!posted(host, origin), "{host} {origin}");
        }
    }
    assert!(posted("127.0.0.1:4000", "http://127.0.0.1:4000"));
    assert!(!posted("sandbox.example:8443", "http://127.0.0.1:4000"));
}

#[test]
fn elsewhere_a_token_is_needed() {
    for listen in ["0.0.0.0:4000", "192.168.1.5:4000", "[::]:4000"] {
        let nobody = guard(listen, None, None);
        let found = code(&nobody, &Method::GET, &headers(&[("host", "localhost:4000")]));
        assert_eq!(found, Some(Code::Unauthorized), "{listen}");
    }
    let guard = guard("0.0.0.0:4000", None, Some(TOKEN));
    for (authorization, expected) in [
        ("Bearer correct-horse-battery-staple", None),
        ("Bearer correct-horse-battery-staplE", Some(Code::Unauthorized)),
        ("Bearer correct-horse-battery-staple2", Some(Code::Unauthorized)),
        ("Bearer ", Some(Code::Unauthorized)),
        ("Basic correct-horse-battery-staple", Some(Code::Unauthorized)),
    ] {
        let headers = headers(&[("host", "10.0.0.7:4000"), (AUTHORIZATION.as_str(), authorization)]);
        assert_eq!(code(&guard, &Method::GET, &headers), expected, "{authorization}");
    }
    assert_eq!(code(&guard, &Method::GET, &headers(&[("host", "10.0.0.7:4000")])), Some(Code::Unauthorized));
}

#[test]
fn a_token_on_loopback_is_asked_for_and_does_not_open_other_hosts() {
    let guard = guard("127.0.0.1:4000", None, Some(TOKEN));
    let local = headers(&[("host", "localhost:4000")]);
    assert_eq!(code(&guard, &Method::GET, &local), Some(Code::Unauthorized));
    let mut elsewhere = headers(&[("host", "evil.example:4000")]);
    elsewhere.append(AUTHORIZATION, HeaderValue::from_static("Bearer correct-horse-battery-staple"));
    assert_eq!(code(&guard, &Method::GET, &elsewhere), Some(Code::HostNotAllowed));
}

#[test]
fn who_guesses_is_slowed_down_wherever_and_keeps_nobody_else_out() {
    let guard = guard("127.0.0.1:4000", None, Some(TOKEN));
    let (guesser, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
    let none = HeaderMap::new();
    let (wrong, right) = (
        headers(&[("authorization", "Bearer wrong-wrong-wrong")]),
        headers(&[("authorization", "Bearer correct-horse-battery-staple")]),
    );
    let cookie = guard.sign_in(guesser, &none, TOKEN).unwrap().unwrap();
    let cookie = headers(&[("cookie", cookie.to_str().unwrap().split(';').next().unwrap())]);
    for number in 0..throttle::AT_ONCE {
        let guess = format!("wrong number {number}");
        if number % 2 == 0 {
            assert_eq!(guard.sign_in(guesser, &none, &guess), Err(Refusal::WrongToken));
        } else {
            let guess = headers(&[("authorization", &format!("Bearer {guess}"))]);
            assert_eq!(guard.admits(guesser, &guess).unwrap_err().code(), Code::Unauthorized);
        }
        // Who sends nothing does not guess.
        assert_eq!(guard.admits(guesser, &none).unwrap_err().code(), Code::Unauthorized);
    }
    // Not even the right one is looked at, or the answer would tell that it is.
    for given in [TOKEN, "wrong"] {
        assert!(matches!(guard.sign_in(guesser, &none, given), Err(Refusal::TooOften { .. })));
    }
    for headers in [&right, &wrong] {
        assert_eq!(guard.admits(guesser, headers).unwrap_err().code(), Code::TooManyAttempts);
    }
    assert_eq!(guard.admits(guesser, &cookie), Ok(()));
    assert_eq!(guard.admits(other, &right), Ok(()));
}

#[test]
fn the_token_is_never_shown() {
    let guard = guard("127.0.0.1:4000", None, Some(TOKEN));
    let cookie = guard.sign_in(IpAddr::from([10, 0, 0, 1]), &HeaderMap::new(), TOKEN).unwrap().unwrap();
    assert!(!format!("{guard:?}").contains(TOKEN));
    assert!(!cookie.to_str().unwrap().contains(TOKEN));
    assert_eq!(format!("{cookie:?}"), "Sensitive");
}
