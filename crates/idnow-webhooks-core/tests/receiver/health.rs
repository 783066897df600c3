//! What a receiver says of itself.

use std::sync::Arc;
use std::time::Duration;

use idnow_webhooks_core::Receiver;
use idnow_webhooks_core::keys::{KeySet, StaticKeys};
use idnow_webhooks_core::store::{Claim, EventStore, MemoryStore, SessionOrder};
use idnow_webhooks_testkit::{FixedClock, Provider, SampleEvent};
use serde_json::{Value, json};

use crate::scripted::ScriptedStore;

fn json(receiver: &idnow_webhooks_core::Health) -> Value {
    serde_json::from_slice(receiver.response().body()).unwrap()
}

#[tokio::test]
async fn it_tells_what_waits_and_for_how_long() {
    let clock = FixedClock::at("2026-01-08T08:35:39Z".parse().unwrap());
    let provider = Provider::new().with_clock(clock.clone());
    let store = Arc::new(MemoryStore::new().with_clock(clock.clone()));
    let receiver = provider.receiver().queued(Arc::clone(&store)).build().unwrap();
    let broken = SampleEvent::completed();
    provider.deliver(&receiver, &broken).await;
    let claim = Claim { limit: 1, lease: Duration::from_secs(1), order: SessionOrder::Any };
    let claimed = store.claim(claim).await.unwrap();
    store.bury(&claimed[0].lease, "never").await.unwrap();
    provider.deliver(&receiver, &SampleEvent::created()).await;
    clock.advance(Duration::from_secs(90));
    provider.deliver(&receiver, &SampleEvent::expired()).await;

    let health = receiver.health().await;
    assert_eq!(health.response().status(), 200);
    let expected = json!({
        "ready": true,
        "store": { "waiting": 2, "running": 0, "dead": 1, "parked": 0, "oldestWaiting": 90.0 },
        "keys": { "usable": 1, "age": null },
    });
    assert_eq!(json(&health), expected);
    assert!(store.replay(broken.event_id()).await.is_ok());
    assert_eq!(receiver.health().await.store.unwrap().dead, 0);
}

#[tokio::test(start_paused = true)]
async fn it_is_not_ready_without_keys_or_without_a_store_that_answers() {
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let receiver = provider.receiver().queued(store.clone()).build().unwrap();
    assert!(receiver.health().await.ready);
    store.fail_insert(true);
    let health = receiver.health().await;
    assert_eq!((health.ready, health.store, health.status().as_u16()), (false, None, 503));
    store.fail_insert(false);
    store.hang(true);
    assert!(!receiver.health().await.ready);

    let verifier = idnow_webhooks_core::Verifier::builder().issuer("i").audience("a").build().unwrap();
    let keys = StaticKeys::new(KeySet::default());
    let receiver = Receiver::builder(verifier, keys).queued(MemoryStore::new()).build().unwrap();
    let health = receiver.health().await;
    assert_eq!((health.ready, health.keys.usable, health.status().as_u16()), (false, 0, 503));
}
