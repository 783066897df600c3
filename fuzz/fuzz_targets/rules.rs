//! What may be saved in the sandbox: URLs, headers, and how likely faults are.
//!
//! The first byte says which of them the rest is.

#![no_main]

use idnow_webhooks_sandbox::Chaos;
use idnow_webhooks_sandbox::model::Header;
use libfuzzer_sys::fuzz_target;
use url::Url;

use model::MASK;

// The modules themselves: they are no part of any interface.
#[allow(dead_code, reason = "not all of it is used here")]
#[path = "../../crates/idnow-webhooks-sandbox/src/error.rs"]
mod error;
mod model {
    pub(crate) use idnow_webhooks_sandbox::model::Header;

    pub(crate) const MASK: &str = "********";
}
#[path = "../../crates/idnow-webhooks-sandbox/src/rules/headers.rs"]
mod headers;
#[path = "../../crates/idnow-webhooks-sandbox/src/rules/url.rs"]
mod saved_url;

fn check_url(text: &str) {
    let refused = saved_url::check(text, false);
    if let Err(error) = &refused {
        let error = error.to_string();
        assert!(error.starts_with("url: ") && error.len() < 300, "{error}");
        assert!(!error.chars().any(char::is_control), "{error:?}");
    }
    if saved_url::check(text, true).is_err() {
        assert!(refused.is_err(), "{text:?}");
        return;
    }
    let url = Url::parse(text).expect("what was accepted is a URL");
    assert!(matches!(url.scheme(), "http" | "https") && url.has_host());
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
    assert!(text.len() <= 2048 && !text.chars().any(|c| c.is_control() || c.is_whitespace()));
    // Its request line is one line, and names nothing else.
    let target = format!("{}?{}", url.path(), url.query().unwrap_or_default());
    assert!(target.parse::<http::Uri>().is_ok_and(|uri| uri.scheme().is_none()), "{target}");
    if refused.is_ok() && url.scheme() == "http" {
        let host = url.host_str().expect("a host");
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        let named = host.trim_end_matches('.');
        let local = named == "localhost" || named.ends_with(".localhost");
        assert!(address.map_or(local, |address| address.is_loopback()), "{text}");
    }
}

fn check_headers(text: &str) {
    let lines = text.split('\n').map(|line| line.split_once(':').unwrap_or((line, "")));
    let wanted: Vec<Header> =
        lines.map(|(name, value)| Header { name: name.into(), value: value.into() }).collect();
    let Err(error) = headers::check(&wanted) else {
        // On the wire, each is one line, and none is another's.
        let mut wire = String::from("POST / HTTP/1.1\r\n");
        for Header { name, value } in &wanted {
            wire.extend([name, ": ", value, "\r\n"]);
        }
        wire.push_str("\r\n");
        let mut lines = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut lines);
        let read = request.parse(wire.as_bytes()).expect("a head");
        assert_eq!(read, httparse::Status::Complete(wire.len()));
        assert_eq!(request.headers.len(), wanted.len());
        for (read, wanted) in request.headers.iter().zip(&wanted) {
            assert_eq!((read.name, read.value), (&*wanted.name, wanted.value.as_bytes()));
            assert!(
                !["host", "content-length", "transfer-encoding"].contains(&&*read.name.to_ascii_lowercase())
            );
            assert_ne!(wanted.value, MASK);
        }
        // What is read back, masked, and saved again changes nothing.
        let masked = wanted.iter().map(|header| Header { name: header.name.clone(), value: MASK.to_owned() });
        assert_eq!(headers::merge(&wanted, masked.collect()).expect("the same"), wanted);
        return;
    };
    assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
}

fn check_chaos(text: &str) {
    match text.parse::<Chaos>() {
        Ok(chaos) => {
            let again: Chaos = chaos.to_string().parse().expect("what is written is read");
            assert_eq!(again, chaos);
            let json = serde_json::to_string(&chaos).expect("numbers");
            let again: Chaos = serde_json::from_str(&json).expect("what is written is read");
            assert_eq!(again, chaos);
        }
        Err(error) => {
            let error = error.to_string();
            assert!(error.len() < 1000 && !error.chars().any(char::is_control), "{error:?}");
        }
    }
}

fuzz_target!(|text: &str| {
    let Some(first) = text.chars().next() else { return };
    let rest = &text[first.len_utf8()..];
    match first {
        'u' => check_url(rest),
        'h' => check_headers(rest),
        'c' => check_chaos(rest),
        _ => {}
    }
});
