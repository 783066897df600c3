//! Requests that lie about themselves, written by hand, and requests that the server refuses before any adapter.

use bytes::Bytes;
use futures_util::stream;
use idnow_webhooks_conformance::raw::{self, Raw};

use super::prelude::*;

fn incomplete() -> Answer {
    Answer::refused(503, "body_incomplete")
}

/// What hyper and actix-web themselves say to a request that cannot be read.
fn bad_request() -> Answer {
    Answer { status: 400, ..Answer::accepted() }.without("cache-control")
}

async fn open(stage: &Stage, lines: &[&str], body: impl AsRef<[u8]>) -> Raw {
    let mut connection = stage.raw().await;
    assert!(connection.write(raw::head(lines)).await);
    // The server may have refused the head and closed already.
    connection.write(body).await;
    connection
}

fn chunked(token: &str) -> String {
    format!("{:x}\r\n{token}\r\n0\r\n\r\n", token.len())
}

/// A transient fault as far as anyone can tell, so the provider is asked to try again.
pub(crate) async fn a_body_that_breaks_off(on: Target) {
    let stage = Stage::new(on);
    let token = stage.provider.token(&SampleEvent::completed());
    let longer = format!("Content-Length: {}", token.len() + 10);
    let whole_chunk = chunked(&token).replace("0\r\n\r\n", "");
    for (line, body) in [
        (longer.as_str(), token.as_str()),
        ("Content-Length: 10", ""),
        ("Transfer-Encoding: chunked", whole_chunk.as_str()),
        ("Transfer-Encoding: chunked", &chunked(&token)[..200]),
        ("Transfer-Encoding: chunked", ""),
    ] {
        let mut connection = open(&stage, &[line], body).await;
        connection.half_close().await;
        assert_eq!(connection.answer().await, Some(incomplete()), "{line} {}", body.len());
        connection.closed().await;
        drop(open(&stage, &[line], body).await);
    }
    assert_eq!(stage.calls.count(), 0);
    stage.assert_healthy().await;
}

pub(crate) async fn chunks_with_wrong_framing(on: Target) {
    let stage = Stage::new(on);
    let token = stage.provider.token(&SampleEvent::completed());
    let right = chunked(&token);
    for body in [
        format!("ZZ\r\n{token}\r\n0\r\n\r\n"),
        format!("10\r\n{token}\r\n0\r\n\r\n"),
        format!("fffffffffffffffff\r\n{token}\r\n0\r\n\r\n"),
        format!("-1\r\n{token}\r\n0\r\n\r\n"),
        right.replace("0\r\n\r\n", "x\r\n\r\n"),
    ] {
        let mut connection = open(&stage, &["Transfer-Encoding: chunked"], &body).await;
        assert_eq!(connection.answer().await, Some(incomplete()), "{body:.20}");
        connection.closed().await;
    }
    assert_eq!(stage.calls.count(), 0);
    stage.assert_healthy().await;
}

/// The rest is a request of its own, and not a good one.
pub(crate) async fn more_bytes_than_declared(on: Target) {
    let stage = Stage::new(on);
    let event = SampleEvent::completed();
    let token = stage.provider.token(&event);
    let length = format!("Content-Length: {}", token.len());
    let mut connection = open(&stage, &[&length], format!("{token}and more\r\n\r\n")).await;
    assert_eq!(connection.answer().await, Some(Answer::accepted()));
    assert_eq!(connection.answer().await, Some(bad_request()));
    assert_eq!(connection.closed().await, b"");
    assert_eq!(stage.calls.ids(), [event.event_id()]);

    let other = stage.provider.token(&SampleEvent::completed());
    // 336 of 342 characters: still base64url, but no longer the signature.
    let shorter = format!("Content-Length: {}", other.len() - 6);
    let mut connection = open(&stage, &[&shorter], &other).await;
    assert_eq!(connection.answer().await, Some(Answer::refused(401, "false_signature")));
    assert_eq!(stage.calls.ids(), [event.event_id()]);
}

pub(crate) async fn no_length_at_all(on: Target) {
    let stage = Stage::new(on);
    let mut connection = open(&stage, &[], "").await;
    assert_eq!(connection.answer().await, Some(Answer::refused(400, "malformed_token")));
}

pub(crate) async fn lengths_that_are_none(on: Target) {
    let stage = Stage::new(on);
    let token = stage.provider.token(&SampleEvent::completed());
    let length = format!("Content-Length: {}", token.len());
    let cases: [&[&str]; 6] = [
        &[&length, "Content-Length: 3"],
        &["Content-Length: -1"],
        &["Content-Length: +5"],
        &["Content-Length: 0x5"],
        &["Content-Length: 99999999999999999999999"],
        &["Transfer-Encoding: gzip"],
    ];
    for lines in cases {
        let mut connection = open(&stage, lines, &token).await;
        assert_eq!(connection.answer().await, Some(bad_request()), "{lines:?}");
        connection.closed().await;
    }
    assert_eq!(stage.calls.count(), 0);
}

/// Difference 1: actix-web refuses what hyper reads as RFC 9112 (section 6.3) says.
pub(crate) async fn both_kinds_of_length(on: Target) {
    let stage = Stage::new(on);
    let token = stage.provider.token(&SampleEvent::completed());
    let length = format!("Content-Length: {}", token.len());
    let expected = if on.subject.is_actix() { bad_request() } else { Answer::accepted() };
    let lines = [length.as_str(), "Transfer-Encoding: chunked"];
    let mut connection = open(&stage, &lines, chunked(&token)).await;
    assert_eq!(connection.answer().await, Some(expected));
    stage.assert_healthy().await;
}

/// Difference 2: actix-web refuses the repetition, hyper takes two equal lengths for one.
pub(crate) async fn the_same_length_twice(on: Target) {
    let stage = Stage::new(on);
    let token = stage.provider.token(&SampleEvent::completed());
    let length = format!("Content-Length: {}", token.len());
    let expected = if on.subject.is_actix() { bad_request() } else { Answer::accepted() };
    let mut connection = open(&stage, &[&length, &length], &token).await;
    assert_eq!(connection.answer().await, Some(expected));
    stage.assert_healthy().await;
}

pub(crate) async fn a_body_that_waits_to_be_asked_for(on: Target) {
    let stage = Stage::new(on);
    let event = SampleEvent::completed();
    let token = stage.provider.token(&event);
    let length = format!("Content-Length: {}", token.len());
    let mut connection = open(&stage, &["Expect: 100-continue", &length], "").await;
    assert_eq!(connection.line().await.as_deref(), Some("HTTP/1.1 100 Continue"));
    assert_eq!(connection.line().await.as_deref(), Some(""));
    connection.write(token).await;
    assert_eq!(connection.answer().await, Some(Answer::accepted()));
    assert_eq!(stage.calls.ids(), [event.event_id()]);
}

/// Difference 3: actix-web asks for the body before it looks at the request.
pub(crate) async fn a_body_that_is_refused_before_it_is_asked_for(on: Target) {
    let stage = Stage::new(on);
    let lines = ["Expect: 100-continue", "Content-Encoding: gzip", "Content-Length: 1000"];
    let mut connection = open(&stage, &lines, "").await;
    if on.subject.is_actix() {
        assert_eq!(connection.line().await.as_deref(), Some("HTTP/1.1 100 Continue"));
        assert_eq!(connection.line().await.as_deref(), Some(""));
    }
    let refused = Answer::refused(415, "unsupported_encoding");
    assert_eq!(connection.answer().await, Some(refused));
}

/// Difference 4: the servers' own limits. Between the receiver's limit and theirs, the receiver answers.
pub(crate) async fn giant_headers(on: Target) {
    let stage = Stage::new(on);
    for (size, most_that_hyper_takes_in_http2) in [(8_000, 16_384), (30_000, 16_384), (100_000, 16_384)] {
        let event = SampleEvent::completed().set("padding", "y".repeat(size * 3 / 4));
        let token = stage.provider.token(&event);
        assert!(token.len() >= size);
        let request = by_header("x-idnow-signature", &token, "{}");
        let answer = stage.connect().await.try_send(request).await;
        let too_much_for_hyper = on.protocol == Protocol::Http2
            && !on.subject.is_actix()
            && token.len() > most_that_hyper_takes_in_http2;
        if too_much_for_hyper {
            refused_by_the_server(answer);
        } else {
            assert_eq!(answer.unwrap(), Answer::accepted());
        }
    }
    let monstrous = by_header("x-idnow-signature", &"a".repeat(1_000_000), "{}");
    let answer = stage.connect().await.try_send(monstrous).await;
    if on.subject.is_actix() && on.protocol == Protocol::Http2 {
        assert_eq!(answer.unwrap(), Answer::refused(413, "body_too_large"));
    } else {
        refused_by_the_server(answer);
    }
    stage.assert_healthy().await;
}

/// Difference 4: how many header lines a server takes, by its own decision. Proxies add a dozen to the provider's.
pub(crate) async fn many_header_lines(on: Target) {
    let stage = Stage::new(on);
    let refused = match on.protocol {
        Protocol::Http1 if on.subject.is_actix() => Some(97),
        Protocol::Http1 => Some(101),
        Protocol::Http2 => None,
    };
    for lines in [60, 90, 97, 101, 200] {
        let mut request = stage.delivery(&SampleEvent::completed());
        // Of the client, and of the delivery.
        let own = request.headers().len() + 2;
        for number in own..lines {
            set(&mut request, &format!("x-{number}"), "y");
        }
        let answer = stage.send(request).await;
        match refused {
            Some(from) if lines >= from => {
                assert_eq!(answer, Answer { status: 431, ..bad_request() }, "{lines}");
            }
            _ => assert_eq!(answer, Answer::accepted(), "{lines}"),
        }
    }
    stage.assert_healthy().await;
}

/// A 431, unless the server closes before the client has written all of it.
fn refused_by_the_server(answer: Result<Answer, ClientError>) {
    if let Ok(answer) = answer {
        assert_eq!(answer.status, 431);
    }
}

/// In HTTP/2 a wrong length is an error of the stream, which no adapter gets to answer.
pub(crate) async fn frames_that_contradict_the_length(on: Target) {
    let stage = Stage::new(on);
    let token = stage.provider.token(&SampleEvent::completed());
    let mut client = stage.connect().await;
    for difference in [-5, 5] {
        let body = stream::iter([Bytes::from(token.clone())]);
        let mut request = delivery("").map(|_| pieces(body));
        let length = token.len().saturating_add_signed(difference);
        set(&mut request, "content-length", &length.to_string());
        let error = client.try_send(request).await.unwrap_err();
        assert!(format!("{error:?}").contains("PROTOCOL_ERROR"), "{error:?}");
    }
    assert_eq!(stage.calls.count(), 0);
    // Only the streams have failed, not the connection.
    assert_eq!(client.send(delivery(token)).await, Answer::accepted());
}

/// Difference 5: the application's router decides whether this is the path of the receiver.
pub(crate) async fn a_slash_after_the_path(on: Target) {
    let stage = Stage::new(on);
    let mut request = stage.delivery(&SampleEvent::completed());
    *request.uri_mut() = format!("{PATH}/").parse().unwrap();
    let answer = stage.send(request).await;
    if matches!(on.subject, Subject::ActixScope | Subject::Warp) {
        assert_eq!(answer, Answer::accepted());
    } else {
        assert_eq!(answer.status, 404);
        assert_eq!(stage.calls.count(), 0);
    }
}
