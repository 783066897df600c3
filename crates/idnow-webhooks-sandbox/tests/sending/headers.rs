//! Headers of an endpoint come through, and nothing else comes through them.

use idnow_webhooks_sandbox::model::{
    Answer, DeliveryState, EndpointChange, EventKind, Header, NewEndpoint, TokenPlace,
};
use idnow_webhooks_sandbox::{Error, Trigger};

use crate::support::{ENVIRONMENT, Reply, Sink, World};

fn header(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: value.into() }
}

#[tokio::test]
async fn every_request_carries_them() {
    let (world, sink) = (World::hasty().await, Sink::ok().await);
    for place in [TokenPlace::Body, TokenPlace::Header] {
        let endpoint = world
            .endpoint_with(&sink.url("/"), |new| {
                new.environment = format!("{place:?}");
                new.token_place = place;
                new.headers =
                    vec![header("X-Auth-Token", "s3cret; a=\"b\""), header("Authorization", "Basic dTpw")];
            })
            .await;
        let (delivery, attempts) = world.send_one(&endpoint).await;
        assert_eq!(delivery.state, DeliveryState::Delivered);
        let received = sink.received();
        let headers = &received.last().unwrap().headers;
        assert_eq!(headers["x-auth-token"], "s3cret; a=\"b\"");
        assert_eq!(headers["authorization"], "Basic dTpw");
        assert_eq!(headers.get_all("content-type").iter().count(), 1);
        assert!(!format!("{attempts:?}").contains("s3cret"));
    }
}

#[tokio::test]
async fn nothing_can_be_smuggled_in() {
    let (world, sink) = (World::hasty().await, Sink::ok().await);
    let endpoint = world.endpoint(&sink.url("/")).await;
    let attacks = [
        ("X-Token", "a\r\nX-Other: b"),
        ("X-Token", "a\nX-Other: b"),
        ("X-Token", "a\rX-Other: b"),
        ("X-Token", "a\r\n\r\nGET /other HTTP/1.1\r\n"),
        ("X-Token", "a\0b"),
        ("X-Token", "a\u{7f}b"),
        ("X-Token: b\r\nX-Other", "c"),
        ("X Token", "a"),
        ("X-Token:", "a"),
        ("", "a"),
        ("Host", "other.example"),
        ("Content-Type", "text/html"),
        ("content-length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("X-Idnow-Signature", "forged"),
    ];
    for (name, value) in attacks {
        let headers = vec![header(name, value)];
        let mut new = NewEndpoint::new(world.flow, ENVIRONMENT, sink.url("/"));
        new.headers.clone_from(&headers);
        let made = world.sandbox.create_endpoint(new).await;
        assert!(matches!(made, Err(Error::Invalid { .. })), "{name:?}: {value:?}: {made:?}");
        let change = EndpointChange { headers: Some(headers), ..EndpointChange::default() };
        let changed = world.sandbox.change_endpoint(endpoint.id, change).await;
        assert!(matches!(changed, Err(Error::Invalid { .. })), "{name:?}: {value:?}: {changed:?}");
    }
    let (delivery, _) = world.send_one(&endpoint).await;
    assert_eq!(delivery.state, DeliveryState::Delivered);
    assert!(!sink.received()[0].headers.contains_key("x-other"));
}

/// A receiver that tells what it was sent, as many do in tests.
#[tokio::test]
async fn what_a_receiver_echoes_is_masked() {
    let world = World::hasty().await;
    let sink = Sink::start(|received| {
        let shown = |name: &str| received.headers[name].to_str().unwrap().to_owned();
        let basic = shown("authorization");
        let basic = basic.strip_prefix("Basic ").unwrap();
        let body = format!("you sent {}, {basic}, and that is fine", shown("x-auth-token"));
        let length = body.len();
        Reply::Whole(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes())
    })
    .await;
    let endpoint = world
        .endpoint_with(&sink.url("/"), |new| {
            new.headers = vec![header("X-Auth-Token", "s3cret"), header("Authorization", "Basic dTpw")];
        })
        .await;
    let expected = "you sent ********, ********, and that is fine";
    let body = |answer: &Answer| match answer {
        Answer::Status { body, .. } => body.clone(),
        other => panic!("{other:?}"),
    };
    let (_, attempts) = world.send_one(&endpoint).await;
    assert_eq!(body(attempts[0].answer.as_ref().unwrap()), expected);
    let trigger = Trigger::new(EventKind::Completed, sink.url("/"))
        .header("X-Auth-Token", "s3cret")
        .header("Authorization", "Basic dTpw");
    let triggered = world.sandbox.trigger(trigger).await.unwrap();
    assert_eq!(body(&triggered.answer), expected);
}
