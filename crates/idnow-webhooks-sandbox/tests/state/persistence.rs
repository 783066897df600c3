use std::path::Path;

use idnow_webhooks_sandbox::Sandbox;
use idnow_webhooks_sandbox::model::{
    DeadReason, DeliveryFilter, DeliveryState, Header, NewEndpoint, Outcome, PageRequest, Scenario,
    ScenarioKind, SessionFilter, Step, TokenPlace,
};

use super::{flow, session, until};

async fn open(path: &Path) -> Sandbox {
    Sandbox::builder().database(path).time_scale(1000.0).max_retries(1).start().await.unwrap()
}

/// Everything that can be asked for, as text.
async fn everything(sandbox: &Sandbox) -> String {
    let all = PageRequest { limit: 500, after: None };
    let mut text = String::new();
    text += &serde_json::to_string(&sandbox.flows(all.clone()).await.unwrap()).unwrap();
    text += &serde_json::to_string(&sandbox.endpoints(None, None, all.clone()).await.unwrap()).unwrap();
    text += &serde_json::to_string(&sandbox.sessions(SessionFilter::default(), all.clone()).await.unwrap())
        .unwrap();
    text += &serde_json::to_string(&sandbox.events(None, all.clone()).await.unwrap()).unwrap();
    let deliveries = sandbox.deliveries(DeliveryFilter::default(), all).await.unwrap();
    text += &serde_json::to_string(&deliveries).unwrap();
    for delivery in deliveries.items {
        let attempts = sandbox.attempts(delivery.id, PageRequest::default()).await.unwrap().items;
        text += &serde_json::to_string(&attempts).unwrap();
        for attempt in attempts {
            text += &sandbox.claims(delivery.id, attempt.number).await.unwrap().to_string();
            text += &sandbox.token_header(delivery.id, attempt.number).await.unwrap().to_string();
        }
    }
    text += &serde_json::to_string(&sandbox.keys().await.unwrap()).unwrap();
    text += &sandbox.jwks().await.unwrap().to_string();
    text += &serde_json::to_string(&sandbox.counts().await.unwrap()).unwrap();
    for client in sandbox.clients() {
        text = text + &client.id + &client.secret;
    }
    text
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sandbox.db");
    let sandbox = open(&path).await;
    let flow = flow(&sandbox).await;
    // Nobody listens there, and nobody else is given the port.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = nobody.local_addr().unwrap().port();
    let mut new = NewEndpoint::new(flow.id, "staging", format!("http://127.0.0.1:{port}/"));
    new.headers = vec![Header { name: "X-A".into(), value: "secret".into() }];
    new.token_place = TokenPlace::Header;
    new.events = ["session.completed".to_owned(), "session.created".to_owned()].into();
    let refusing = sandbox.create_endpoint(new.clone()).await.unwrap();
    let deleted = sandbox.create_endpoint(new.clone()).await.unwrap();
    sandbox.delete_endpoint(deleted.id).await.unwrap();
    let one = session(&sandbox, flow.id).await;
    sandbox.drive(one.id, Step::Start).await.unwrap();
    sandbox.drive(one.id, Step::Complete { outcome: Outcome::Rejected }).await.unwrap();
    session(&sandbox, flow.id).await;
    sandbox.play(Scenario::new(ScenarioKind::Aborted, flow.id, "staging")).await.unwrap();
    let second = sandbox.rotate_keys().await.unwrap();
    sandbox.rotate_keys().await.unwrap();
    sandbox.retire_key(&second.id).await.unwrap();
    // Four events that it subscribes to, each tried twice in vain.
    until(async || sandbox.counts().await.unwrap().deliveries.dead == 4).await;
    let before = everything(&sandbox).await;
    sandbox.stop().await;

    let sandbox = open(&path).await;
    assert_eq!(everything(&sandbox).await, before);
    let mut filter = DeliveryFilter::default();
    filter.state = Some(DeliveryState::Dead);
    let dead = sandbox.deliveries(filter, PageRequest::default()).await.unwrap().items;
    assert!(
        dead.iter().all(|one| one.dead_reason == Some(DeadReason::RetriesExhausted) && one.attempts == 2)
    );
    // And it goes on where it was.
    let next = session(&sandbox, flow.id).await;
    assert_ne!(next.id, one.id);
    until(async || sandbox.counts().await.unwrap().deliveries.dead == 5).await;
    assert_eq!(sandbox.retrigger_endpoint(refusing.id).await.unwrap(), 5);
}

#[tokio::test]
async fn claims_stay_what_they_were_when_the_sandbox_moves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sandbox.db");
    let sandbox = open(&path).await;
    let issuer = sandbox.issuer().to_owned();
    let flow = flow(&sandbox).await;
    let endpoint =
        sandbox.create_endpoint(NewEndpoint::new(flow.id, "staging", "http://127.0.0.1:9/")).await.unwrap();
    session(&sandbox, flow.id).await;
    until(async || sandbox.counts().await.unwrap().deliveries.dead == 1).await;
    let before = sandbox.claims(1, 1).await.unwrap();
    assert_eq!(
        (before["iss"].as_str(), before["aud"].as_str()),
        (Some(issuer.as_str()), Some("http://127.0.0.1:9/"))
    );
    sandbox.stop().await;
    let moved = Sandbox::builder().database(&path).issuer("https://elsewhere.example").start().await.unwrap();
    moved.delete_endpoint(endpoint.id).await.unwrap();
    assert_eq!(moved.claims(1, 1).await.unwrap(), before);
}

#[tokio::test]
async fn nothing_is_left_of_a_sandbox_in_memory() {
    let sandbox = super::start().await;
    let leftovers = || {
        std::fs::read_dir(std::env::temp_dir())
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with("idnow-webhooks-sandbox-"))
            .collect::<std::collections::HashSet<_>>()
    };
    let during = leftovers();
    let debug = format!("{sandbox:?}");
    let ours: Vec<_> = during.iter().filter(|name| debug.contains(name.as_str())).collect();
    assert_eq!(ours.len(), 1, "{debug}");
    sandbox.stop().await;
    assert!(!leftovers().contains(ours[0]));
}
