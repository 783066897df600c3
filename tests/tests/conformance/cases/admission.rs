//! Who may send at all. That an address is refused, and the right one accepted, proves that the adapter passes on
//! the address of the connection.

use idnow_webhooks_core::{Admission, RequiredHeader};

use super::prelude::*;

const SECRET: &str = "s3cret-of-the-endpoint";

fn admitting(on: Target, admission: Admission) -> Stage {
    Stage::with(on, |receiver, _| receiver.admission(admission))
}

async fn answer_from(stage: &Stage, lines: &[(&str, &str)]) -> Answer {
    let mut request = stage.delivery(&SampleEvent::completed());
    for (name, value) in lines {
        add(&mut request, name, value);
    }
    stage.send(request).await
}

pub(crate) async fn the_peer_on_the_allow_list(on: Target) {
    let stage = admitting(on, Admission::new().allow("127.0.0.1/32".parse().unwrap()));
    assert_eq!(answer_from(&stage, &[]).await, Answer::accepted());
    // Nobody is trusted to say where a request came from.
    let forwarded = [("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=192.0.2.7")];
    assert_eq!(answer_from(&stage, &forwarded).await, Answer::accepted());
}

pub(crate) async fn the_peer_not_on_the_allow_list(on: Target) {
    let stage = admitting(on, Admission::new().allow("192.0.2.0/24".parse().unwrap()));
    let refused = Answer::refused(403, "source_not_allowed");
    assert_eq!(answer_from(&stage, &[]).await, refused);
    assert_eq!(answer_from(&stage, &[("x-forwarded-for", "192.0.2.7")]).await, refused);
    assert_eq!(answer_from(&stage, &[("x-real-ip", "192.0.2.7")]).await, refused);
    assert_eq!(stage.calls.count(), 0);
}

pub(crate) async fn the_peer_in_monitor_mode(on: Target) {
    let stage = admitting(on, Admission::new().allow("192.0.2.0/24".parse().unwrap()).monitor());
    assert_eq!(answer_from(&stage, &[]).await, Answer::accepted());
}

pub(crate) async fn the_source_behind_a_trusted_proxy(on: Target) {
    let admission =
        Admission::new().allow("192.0.2.0/24".parse().unwrap()).trust_proxy("127.0.0.1/32".parse().unwrap());
    let stage = admitting(on, admission);
    let accepted: [&[(&str, &str)]; 5] = [
        &[("x-forwarded-for", "192.0.2.7")],
        &[("x-forwarded-for", "198.51.100.1, 192.0.2.7")],
        &[("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "192.0.2.7")],
        &[("x-forwarded-for", "::ffff:192.0.2.7")],
        &[("forwarded", "for=\"192.0.2.7:4711\";proto=https")],
    ];
    for lines in accepted {
        assert_eq!(answer_from(&stage, lines).await, Answer::accepted(), "{lines:?}");
    }
    let handled = stage.calls.count();
    assert_eq!(handled, accepted.len());
    let refused: [&[(&str, &str)]; 3] = [
        &[],
        &[("x-forwarded-for", "192.0.2.7, 198.51.100.1")],
        // The order of repeated lines must survive the adapter.
        &[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-for", "198.51.100.1")],
    ];
    for lines in refused {
        let answer = answer_from(&stage, lines).await;
        assert_eq!(answer, Answer::refused(403, "source_not_allowed"), "{lines:?}");
    }
    // The proxy is set up wrongly, which proves nothing about the event.
    let unknown: [&[(&str, &str)]; 3] = [
        &[("x-forwarded-for", "192.0.2.7, unknown")],
        &[("x-forwarded-for", "192.0.2.7, \u{e9}")],
        &[("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=198.51.100.1")],
    ];
    for lines in unknown {
        let answer = answer_from(&stage, lines).await;
        assert_eq!(answer, Answer::refused(503, "source_unknown").with("retry-after", "1"), "{lines:?}");
    }
    assert_eq!(stage.calls.count(), handled);
}

pub(crate) async fn a_required_header(on: Target) {
    let required = RequiredHeader::new("X-Auth-Token", [SECRET, "next"]).unwrap();
    let stage = admitting(on, Admission::new().require(required));
    let refused = Answer::refused(401, "unauthorized");
    assert_eq!(answer_from(&stage, &[]).await, refused);
    for wrong in ["", "wrong", "S3CRET-OF-THE-ENDPOINT", "s3cret-of-the-endpoint, next"] {
        assert_eq!(answer_from(&stage, &[("x-auth-token", wrong)]).await, refused, "{wrong}");
    }
    let twice = [("x-auth-token", SECRET), ("x-auth-token", SECRET)];
    assert_eq!(answer_from(&stage, &twice).await, refused);
    assert_eq!(stage.calls.count(), 0);
    for right in [SECRET, "next"] {
        assert_eq!(answer_from(&stage, &[("X-Auth-Token", right)]).await, Answer::accepted());
    }
    assert_eq!(stage.calls.count(), 2);
}

pub(crate) async fn basic_authentication(on: Target) {
    let stage = admitting(on, Admission::new().require(RequiredHeader::basic("idnow", "pass")));
    assert_eq!(answer_from(&stage, &[]).await, Answer::refused(401, "unauthorized"));
    // `idnow:pass`
    let right = [("authorization", "Basic aWRub3c6cGFzcw==")];
    assert_eq!(answer_from(&stage, &right).await, Answer::accepted());
}

/// The first refusal counts: none of these has its body read, which never ends.
pub(crate) async fn everything_before_the_body_is_read(on: Target) {
    let required = RequiredHeader::new("X-Auth-Token", [SECRET]).unwrap();
    let stage = admitting(on, Admission::new().require(required));
    let mut no_header = delivery("");
    *no_header.body_mut() = stalled("a");
    assert_eq!(stage.send(no_header).await, Answer::refused(401, "unauthorized"));

    let mut zipped = delivery("");
    *zipped.body_mut() = stalled("{");
    set(&mut zipped, "x-auth-token", SECRET);
    set(&mut zipped, "content-encoding", "gzip");
    assert_eq!(stage.send(zipped).await, Answer::refused(415, "unsupported_encoding"));
}
