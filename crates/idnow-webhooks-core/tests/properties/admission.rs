use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use idnow_webhooks_core::{Admission, AdmissionError, RequiredHeader};
use proptest::prelude::*;

const PROXY: &str = "10.0.0.1";

fn behind_proxy() -> Admission {
    Admission::new().trust_proxy("10.0.0.0/8".parse().unwrap())
}

fn headers(lines: &[(&'static str, Vec<u8>)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(*name, value);
        }
    }
    headers
}

fn source(admission: &Admission, headers: &HeaderMap) -> Option<IpAddr> {
    admission.admit(headers, PROXY.parse().ok()).ok()?.source
}

/// What a stranger may write to the left of what the proxy adds.
fn left() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        r#"[a-zA-Z0-9=;,:."\\\[\] _%-]{0,40}"#,
        r#"(for="?192\.0\.2\.[0-9]{1,2}"?[;,]? ?(host="?)?){0,4}"#,
        r"(192\.0\.2\.[0-9]{1,2}, ?){0,3}",
        r#"for=192\.0\.2\.1;host="[,;a-z\\" =.0-9]{0,20}"#,
    ]
}

/// How proxies write a text that came from a stranger.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', r#"\""#))
}

fn stranger() -> impl Strategy<Value = IpAddr> {
    any::<IpAddr>().prop_filter("not a proxy", |address| {
        let proxies: ipnet::IpNet = "10.0.0.0/8".parse().unwrap();
        !proxies.contains(&address.to_canonical())
    })
}

fn written(address: IpAddr, port: Option<u16>) -> String {
    match (address, port) {
        (IpAddr::V4(address), None) => address.to_string(),
        (IpAddr::V4(address), Some(port)) => format!("\"{address}:{port}\""),
        (IpAddr::V6(address), None) => format!("\"[{address}]\""),
        (IpAddr::V6(address), Some(port)) => format!("\"[{address}]:{port}\""),
    }
}

proptest! {
    #[test]
    fn any_header_is_read_or_refused(
        names in prop::collection::vec(prop::sample::select(vec!["forwarded", "x-forwarded-for"]), 0..4),
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 4),
        text in r#"[a-z0-9=;,:."\\\[\] _%-]{0,80}"#,
    ) {
        let mut lines: Vec<_> = names.into_iter().zip(values).collect();
        lines.push(("forwarded", text.clone().into_bytes()));
        lines.push(("x-forwarded-for", text.into_bytes()));
        let _ = source(&behind_proxy(), &headers(&lines));
        let guarded = behind_proxy().allow("192.0.2.0/24".parse().unwrap());
        // Whoever gets in does so from an allowed address, or with a word why not in monitor mode.
        if let Ok(admitted) = guarded.admit(&headers(&lines), PROXY.parse().ok()) {
            prop_assert!(admitted.source.unwrap().to_string().starts_with("192.0.2."));
        }
        let monitored = guarded.monitor().admit(&headers(&lines), PROXY.parse().ok()).unwrap();
        prop_assert!(monitored.would_refuse.is_some() || monitored.source.is_some());
    }

    /// The proxy appends the stranger's address to whatever the stranger sent, on the same line or on one of its own.
    #[test]
    fn no_prefix_hides_who_it_came_from(left in left(), address in stranger(), own_line: bool) {
        let entry = address.to_string();
        let lines = if own_line {
            vec![("x-forwarded-for", left.into_bytes()), ("x-forwarded-for", entry.into_bytes())]
        } else {
            vec![("x-forwarded-for", format!("{left}, {entry}").into_bytes())]
        };
        if let Some(seen) = source(&behind_proxy(), &headers(&lines)) {
            prop_assert_eq!(seen, address.to_canonical());
        }
    }

    #[test]
    fn no_prefix_and_no_host_hide_who_it_came_from_in_the_standard_header(
        left in left(),
        host in r#"[a-z0-9.:,;="\\ -]{0,24}"#,
        address in stranger(),
        port: Option<u16>,
        own_line: bool,
        host_first: bool,
    ) {
        let (source_of, host) = (format!("for={}", written(address, port)), format!("host={}", quoted(&host)));
        let element = if host_first { format!("{host};{source_of}") } else { format!("{source_of};proto=https;{host}") };
        let lines = if own_line {
            vec![("forwarded", left.into_bytes()), ("forwarded", element.into_bytes())]
        } else {
            vec![("forwarded", format!("{left}, {element}").into_bytes())]
        };
        if let Some(seen) = source(&behind_proxy(), &headers(&lines)) {
            prop_assert_eq!(seen, address.to_canonical());
        }
    }

    #[test]
    fn what_honest_proxies_write_is_understood(
        hops in prop::collection::vec(any::<u8>(), 0..5),
        address in stranger(),
        port: Option<u16>,
        host in "[a-z.]{0,10}",
    ) {
        let mut plain = address.to_string();
        let mut standard = format!("for={};host={}", written(address, port), quoted(&host));
        for hop in hops {
            let proxy = format!("10.0.0.{hop}");
            plain = format!("{plain}, {proxy}");
            standard = format!("{standard}, for={proxy}");
        }
        let lines = [("x-forwarded-for", plain.into_bytes()), ("forwarded", standard.into_bytes())];
        prop_assert_eq!(source(&behind_proxy(), &headers(&lines)), Some(address.to_canonical()));
    }

    #[test]
    fn only_the_required_value_opens(value: Vec<u8>, secret in "[!-~]{1,40}") {
        let admission = Admission::new().require(RequiredHeader::new("X-Auth-Token", [&*secret]).unwrap());
        let admitted = admission.admit(&headers(&[("x-auth-token", value.clone())]), None);
        prop_assert_eq!(admitted.is_ok(), value == secret.as_bytes());
        let exact = admission.admit(&headers(&[("x-auth-token", secret.clone().into_bytes())]), None);
        prop_assert!(exact.is_ok());
        if let Err(AdmissionError::Header(error)) = admitted {
            prop_assert!(secret.len() < 5 || !error.to_string().contains(&secret));
        }
    }
}
