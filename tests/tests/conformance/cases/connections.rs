//! What a refusal leaves behind on the connection.

use std::time::Duration;

use idnow_webhooks_conformance::raw;
use idnow_webhooks_core::{Admission, RequiredHeader};

use super::prelude::*;

/// A refusal after the whole body was read costs nobody the connection.
pub(crate) async fn goes_on_after_a_refused_token(on: Target) {
    let stage = Stage::new(on);
    let mut client = stage.connect().await;
    for _ in 0..3 {
        let forged = delivery(
            stage.provider.clone().with_audience("https://shop.example").token(&SampleEvent::created()),
        );
        let expected = Answer::refused(503, "wrong_audience").with("retry-after", "1");
        assert_eq!(client.send(forged).await, expected);
        assert_eq!(client.send(delivery("")).await, Answer::refused(400, "malformed_token"));
        assert_eq!(client.send(stage.delivery(&SampleEvent::created())).await, Answer::accepted());
    }
    assert_eq!(stage.calls.count(), 3);
}

/// A refusal before the body leaves an unread rest. The server skips it, or closes: what it must not do is to
/// take the rest for a request.
pub(crate) async fn goes_on_or_closes_after_an_unread_body(on: Target) {
    let required = RequiredHeader::new("X-Auth-Token", ["right"]).unwrap();
    let admission = Admission::new().require(required);
    let stage = Stage::with(on, |receiver, _| receiver.admission(admission).max_body_bytes(8000));
    let genuine = |stage: &Stage| {
        let mut request = stage.delivery(&SampleEvent::completed());
        set(&mut request, "x-auth-token", "right");
        request
    };
    let inner =
        "POST /webhooks/idnow HTTP/1.1\r\nHost: x\r\nX-Auth-Token: right\r\nContent-Length: 3\r\n\r\na.b";
    let mut get = delivery(inner);
    *get.method_mut() = http::Method::PUT;
    let mut zipped = delivery(inner);
    set(&mut zipped, "x-auth-token", "right");
    set(&mut zipped, "content-encoding", "gzip");
    let mut large = delivery(inner.repeat(100));
    set(&mut large, "x-auth-token", "right");
    let cases = [
        (get, 405, "method_not_allowed"),
        (delivery(inner), 401, "unauthorized"),
        (zipped, 415, "unsupported_encoding"),
        (large, 413, "body_too_large"),
    ];
    for (request, status, code) in cases {
        let mut client = stage.connect().await;
        assert_eq!(client.send(request).await, Answer::refused(status, code));
        match client.try_send(genuine(&stage)).await {
            Ok(answer) => assert_eq!(answer, Answer::accepted(), "after {code}"),
            Err(_) => assert_eq!(stage.send(genuine(&stage)).await, Answer::accepted(), "after {code}"),
        }
    }
    assert_eq!(stage.calls.count(), 4);
}

/// Difference 6: for actix-web the body is then all that comes until the client ends the connection.
pub(crate) async fn an_offer_of_websocket_beside_a_body(on: Target) {
    let stage = Stage::with(on, |receiver, _| receiver.answer_deadline(Duration::from_millis(500)));
    let token = stage.provider.token(&SampleEvent::completed());
    let length = format!("Content-Length: {}", token.len());
    let mut connection = stage.raw().await;
    let head = raw::head(&["Connection: Upgrade", "Upgrade: websocket", &length]);
    assert!(connection.write(head + &token).await);
    let expected =
        if on.subject.is_actix() { Answer::refused(503, "body_incomplete") } else { Answer::accepted() };
    assert_eq!(connection.answer().await, Some(expected));
}

/// A client may offer another protocol, and a proxy may say that there is an offer where there is none. The offer is passed
/// over; a server that does not keep the connection then says so, and does not fail the next delivery on it.
pub(crate) async fn goes_on_or_says_that_it_closes_after_an_offer_to_upgrade(on: Target) {
    let stage = Stage::new(on);
    let offers: [&[&str]; 4] = [
        &["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"],
        &["Connection: keep-alive, Upgrade", "Upgrade: h2c"],
        &["Upgrade: h2c"],
        &["Connection: upgrade"],
    ];
    let mut delivered = 0;
    for offer in offers {
        let mut connection = stage.raw().await;
        for _ in 0..2 {
            let token = stage.provider.token(&SampleEvent::completed());
            let length = format!("Content-Length: {}", token.len());
            let head = raw::head(&[offer, &[&length]].concat());
            assert!(connection.write(head + &token).await);
            delivered += 1;
            assert_eq!(connection.line().await.as_deref(), Some("HTTP/1.1 200 OK"), "{offer:?}");
            let mut closes = false;
            while let Some(line) = connection.line().await.filter(|line| !line.is_empty()) {
                closes |= line.eq_ignore_ascii_case("connection: close");
                assert!(!line.to_lowercase().contains("upgrade"), "{offer:?}: {line}");
            }
            if closes {
                assert!(on.subject.is_actix(), "{offer:?}");
                assert_eq!(connection.closed().await, b"");
                connection = stage.raw().await;
            }
        }
    }
    assert_eq!(stage.calls.count(), delivered);
}

pub(crate) async fn answers_pipelined_deliveries_in_order(on: Target) {
    let stage = Stage::new(on);
    let mut connection = stage.raw().await;
    let (one, other) = (SampleEvent::created(), SampleEvent::completed());
    let mut bytes = String::new();
    for body in [stage.provider.token(&one), "not a token".to_owned(), stage.provider.token(&other)] {
        bytes.push_str(&raw::head(&[&format!("Content-Length: {}", body.len())]));
        bytes.push_str(&body);
    }
    assert!(connection.write(bytes).await);
    assert_eq!(connection.answer().await, Some(Answer::accepted()));
    assert_eq!(connection.answer().await, Some(Answer::refused(400, "malformed_token")));
    assert_eq!(connection.answer().await, Some(Answer::accepted()));
    assert_eq!(stage.calls.ids(), [one.event_id(), other.event_id()]);
}
