//! What a stranger writes into forwarding headers before a trusted proxy adds the stranger's address.
//!
//! Each line of the input is a header line: after `f` one of `Forwarded`, after anything else one of
//! `X-Forwarded-For`. The proxy appends to the last line of its header, or adds one.

#![no_main]

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use idnow_webhooks_core::Admission;
use libfuzzer_sys::fuzz_target;

const STRANGER: &str = "198.51.100.7";
const PLAIN: HeaderName = HeaderName::from_static("x-forwarded-for");
const STANDARD: HeaderName = HeaderName::from_static("forwarded");

fn joined(mut lines: Vec<Vec<u8>>, added: &str, own_line: bool) -> Vec<Vec<u8>> {
    match lines.last_mut() {
        Some(last) if !own_line => {
            last.extend_from_slice(b", ");
            last.extend_from_slice(added.as_bytes());
        }
        _ => lines.push(added.into()),
    }
    lines
}

fn seen(admission: &Admission, lines: &[(&HeaderName, &[Vec<u8>])]) -> Option<IpAddr> {
    let mut headers = HeaderMap::new();
    for (name, values) in lines {
        for value in *values {
            // A server would have refused the request.
            headers.append((*name).clone(), HeaderValue::from_bytes(value).ok()?);
        }
    }
    let proxy = "10.0.0.1".parse().expect("an address");
    let _ = admission.clone().allow("192.0.2.0/24".parse().expect("a range")).admit(&headers, Some(proxy));
    admission.admit(&headers, Some(proxy)).ok()?.source
}

fuzz_target!(|bytes: &[u8]| {
    let admission = Admission::new().trust_proxy("10.0.0.0/8".parse().expect("a range"));
    let (mut plain, mut standard) = (Vec::new(), Vec::new());
    for line in bytes.split(|byte| *byte == b'\n') {
        match line.split_first() {
            Some((b'f', rest)) => standard.push(rest.to_vec()),
            Some((_, rest)) => plain.push(rest.to_vec()),
            None => {}
        }
    }
    let stranger: IpAddr = STRANGER.parse().expect("an address");
    // The stranger's `Host`, as a proxy quotes it.
    let host: String =
        bytes.iter().rev().take(12).map(|byte| char::from(byte & 0x7f)).filter(|c| !c.is_control()).collect();
    let quoted = format!("for={STRANGER};host=\"{}\"", host.replace('\\', r"\\").replace('"', r#"\""#));
    for own_line in [true, false] {
        let by_plain = joined(plain.clone(), STRANGER, own_line);
        let by_standard = joined(standard.clone(), &quoted, own_line);
        for lines in [
            vec![(&PLAIN, &by_plain[..])],
            vec![(&STANDARD, &by_standard[..])],
            vec![(&PLAIN, &by_plain[..]), (&STANDARD, &standard[..])],
            vec![(&PLAIN, &plain[..]), (&STANDARD, &by_standard[..])],
            vec![(&PLAIN, &by_plain[..]), (&STANDARD, &by_standard[..])],
        ] {
            if let Some(source) = seen(&admission, &lines) {
                assert_eq!(source, stranger, "{lines:?}");
            }
        }
    }
});
