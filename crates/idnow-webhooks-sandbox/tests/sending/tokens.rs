//! What is sent is what our own receiver accepts.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method};
use idnow_webhooks_core::keys::{KeySet, StaticKeys};
use idnow_webhooks_core::{EventRouter, Head, Receiver, Verifier};
use idnow_webhooks_sandbox::Sandbox;
use idnow_webhooks_sandbox::model::Scenario;
use idnow_webhooks_sandbox::model::{DeliveryState, Endpoint, Outcome, ScenarioKind, Step, TokenPlace};
use serde_json::{Value, json};

use crate::support::{ENVIRONMENT, Received, Sink, World};

/// Built from what the sandbox publishes and shows, as a user would.
async fn receiver(world: &World, endpoint: &Endpoint) -> Receiver {
    let jwks = world.sandbox.jwks().await.unwrap().to_string();
    let verifier =
        Verifier::builder().issuer(world.sandbox.issuer()).audience(&endpoint.url).build().unwrap();
    let keys = StaticKeys::new(KeySet::from_jwks(jwks.as_bytes()).unwrap());
    Receiver::builder(verifier, keys)
        .expected_environment(ENVIRONMENT)
        .handlers(EventRouter::new())
        .build()
        .unwrap()
}

async fn hand_over(receiver: &Receiver, request: &Received) -> String {
    let head = Head { method: &Method::POST, headers: &request.headers, peer: None };
    let body = stream::iter([Ok::<_, Infallible>(Bytes::from(request.body.clone()))]);
    receiver.receive(head, body).await.code().to_owned()
}

#[tokio::test]
async fn our_receiver_accepts_both_places_of_the_token() {
    for (place, media_type) in
        [(TokenPlace::Body, "application/jwt"), (TokenPlace::Header, "application/json")]
    {
        let (world, sink) = (World::hasty().await, Sink::ok().await);
        let endpoint = world.endpoint_with(&sink.url("/hook?a=b"), |new| new.token_place = place).await;
        let session = world.event().await;
        world.sandbox.drive(session, Step::Start).await.unwrap();
        world.sandbox.drive(session, Step::Complete { outcome: Outcome::Accepted }).await.unwrap();
        crate::support::eventually("both are delivered", async || world.delivered(endpoint.id).await == 2)
            .await;

        let ours = receiver(&world, &endpoint).await;
        let mut received = sink.received();
        received.sort_by_key(|request| request.data("eventSequence"));
        for (request, name) in received.iter().zip(["session.created", "session.completed"]) {
            assert_eq!(request.line, "POST /hook?a=b HTTP/1.1");
            assert_eq!(request.headers.get_all("content-type").iter().count(), 1);
            assert_eq!(request.headers["content-type"], media_type);
            assert_eq!(request.data("eventName"), name);
            assert_eq!(hand_over(&ours, request).await, "handled");
            assert_eq!(hand_over(&ours, request).await, "duplicate");
            assert_eq!(request.headers.contains_key("x-idnow-signature"), place == TokenPlace::Header);
            if place == TokenPlace::Header {
                let loose: Value = serde_json::from_slice(&request.body).unwrap();
                assert_eq!(loose, request.claims()["data"]);
            }
        }
    }
}

#[tokio::test]
async fn tokens_of_another_sandbox_are_refused() {
    let (world, other, sink) = (World::hasty().await, World::hasty().await, Sink::ok().await);
    let endpoint = world.endpoint(&sink.url("/")).await;
    world.send_one(&endpoint).await;
    let mut others = receiver(&other, &endpoint).await;
    assert_ne!(hand_over(&others, &sink.received()[0]).await, "handled");
    others = receiver(&world, &endpoint).await;
    assert_eq!(hand_over(&others, &sink.received()[0]).await, "handled");
}

/// Members, their order and their types, as the provider prints them.
#[tokio::test]
async fn the_claims_are_those_of_the_published_example() {
    let builder = Sandbox::builder().time_scale(1000.0).issuer("https://auth.example/oidc");
    let (world, sink) = (World::start(builder).await, Sink::ok().await);
    let endpoint = world.endpoint(&sink.url("/")).await;
    let scenario = Scenario::new(ScenarioKind::HappyPath, world.flow, ENVIRONMENT);
    world.sandbox.play(scenario).await.unwrap();
    crate::support::eventually("both are delivered", async || world.delivered(endpoint.id).await == 2).await;
    let received = sink.received();
    let last = received.iter().find(|request| request.data("eventSequence") == "2").unwrap();
    let claims = last.claims();
    let data = &claims["data"];
    let session = data["payload"]["sessionId"].as_str().unwrap().parse().unwrap();
    let step = world.sandbox.session(session).await.unwrap().last_step.unwrap();
    let iat = claims["iat"].as_i64().unwrap();
    let expected = json!({
        "data": {
            "eventId": data["eventId"], "eventName": "session.completed", "eventVersion": "1.0",
            "eventSequence": "2", "eventDeliverId": "1", "createdAt": data["createdAt"], "environment": ENVIRONMENT,
            "payload": {
                "flowId": world.flow.to_string(), "sessionId": session.to_string(), "sessionStatus": "COMPLETED",
                "lastStepId": step.id, "lastStepType": step.kind, "lastStepStatus": step.status,
            },
        },
        "iss": "https://auth.example/oidc", "iat": iat, "exp": iat + 3600, "sub": data["eventId"], "aud": endpoint.url,
    });
    assert_eq!(claims, expected);
}

#[tokio::test]
async fn after_a_rotation_the_new_key_signs_and_both_are_accepted() {
    let (world, sink) = (World::hasty().await, Sink::ok().await);
    let endpoint = world.endpoint(&sink.url("/")).await;
    world.event().await;
    crate::support::eventually("the first is delivered", async || sink.count() == 1).await;
    let key = world.sandbox.rotate_keys().await.unwrap();
    world.event().await;
    crate::support::eventually("both are delivered", async || world.delivered(endpoint.id).await == 2).await;
    let deliveries = world.deliveries(endpoint.id).await;
    assert!(deliveries.iter().all(|delivery| delivery.state == DeliveryState::Delivered));
    let attempts = world.attempts(deliveries[1].id).await;
    assert_eq!(attempts[0].key_id, key.id);
    let receiver = receiver(&world, &endpoint).await;
    for request in sink.received() {
        assert_eq!(hand_over(&receiver, &request).await, "handled");
    }
}

#[tokio::test]
async fn nothing_but_the_documented_headers_is_sent() {
    let (world, sink) = (World::hasty().await, Sink::ok().await);
    let endpoint = world.endpoint(&sink.url("/")).await;
    world.send_one(&endpoint).await;
    let headers: &HeaderMap = &sink.received()[0].headers;
    let mut names: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "content-length", "content-type", "host", "user-agent"]);
    assert_eq!(headers["host"], sink.address.to_string());
}
