//! Receiver, key source and a real key server together: storms of made-up key ids, rotation, outages.
#![cfg(feature = "jwks")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::time::Duration;

use idnow_webhooks::jwks::{JwksSource, Location};
use idnow_webhooks::{EventRouter, Outcome, Receiver, Verifier};
use idnow_webhooks_testkit::{Behaviour, Endpoint, KeyServer, Provider, SampleEvent, SigningKey};

struct World {
    server: KeyServer,
    provider: Provider,
    receiver: Receiver,
}

async fn world() -> World {
    idnow_webhooks_watch::watch();
    let server = KeyServer::start().unwrap();
    let provider = Provider::new().with_issuer(server.issuer());
    server.publish(&[provider.key()]);
    let keys = JwksSource::builder(Location::issuer(server.issuer()))
        .min_refresh_interval(Duration::from_millis(500))
        .connect()
        .await
        .unwrap();
    let verifier =
        Verifier::builder().issuer(provider.issuer()).audience(provider.audience()).build().unwrap();
    let receiver = Receiver::builder(verifier, keys).handlers(EventRouter::new()).build().unwrap();
    World { server, provider, receiver }
}

impl World {
    fn signed_by(&self, key: SigningKey) -> Provider {
        self.provider.clone().with_key(key)
    }

    async fn deliver(&self, provider: &Provider) -> Outcome {
        provider.deliver(&self.receiver, &SampleEvent::completed()).await
    }

    /// As the provider does: again while the answer is 503.
    async fn deliver_until_decided(&self, provider: &Provider) -> Outcome {
        let event = SampleEvent::completed();
        for _ in 0..50 {
            let outcome = provider.deliver(&self.receiver, &event).await;
            if outcome.status() != 503 {
                return outcome;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        unreachable!("still 503 after 5 s")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_made_up_key_ids_costs_few_fetches_and_no_genuine_event() {
    let world = world().await;
    let before = world.server.requests(Endpoint::Keys);
    let attacker = SigningKey::shared_other();
    let attack = async {
        let mut seen = BTreeMap::<u16, usize>::new();
        for number in 0..500 {
            let forged = world.signed_by(attacker.clone().with_key_id(format!("made-up-{number}")));
            *seen.entry(world.deliver(&forged).await.status().as_u16()).or_default() += 1;
        }
        seen
    };
    let genuine = async {
        let mut outcomes = Vec::new();
        for _ in 0..20 {
            outcomes.push(world.deliver(&world.provider).await.code());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        outcomes
    };
    let (seen, outcomes) = tokio::join!(attack, genuine);
    assert!(outcomes.iter().all(|code| *code == "handled"), "{outcomes:?}");
    assert_eq!(seen.keys().filter(|status| ![401, 503].contains(status)).count(), 0, "{seen:?}");
    let fetches = world.server.requests(Endpoint::Keys) - before;
    assert!((1..=10).contains(&fetches), "{fetches} fetches for 500 made-up key ids");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_just_rotated_is_never_taken_for_a_forgery() {
    let world = world().await;
    let (old, new) = (world.provider.clone(), world.signed_by(SigningKey::shared_other()));

    world.server.rotate(new.key());
    let (many_new, many_old) = tokio::join!(
        futures_util::future::join_all((0..50).map(|_| world.deliver(&new))),
        futures_util::future::join_all((0..50).map(|_| world.deliver(&old))),
    );
    assert!(many_new.iter().all(|outcome| outcome.is_accepted() || outcome.status() == 503), "{many_new:?}");
    assert!(many_old.iter().all(Outcome::is_accepted), "{many_old:?}");
    assert_eq!(world.deliver_until_decided(&new).await.code(), "handled");

    world.server.retire(old.key().key_id().unwrap());
    tokio::time::sleep(Duration::from_millis(600)).await;
    // Still in the keys at hand. Someone who names an unknown key causes the fetch that drops it.
    assert_eq!(world.deliver(&old).await.code(), "handled");
    world.deliver(&world.signed_by(SigningKey::shared().with_key_id("made-up"))).await;
    let retired = world.deliver(&old).await;
    assert_eq!(retired.status(), 503, "not proven to be forged: {retired:?}");
    assert!(["unknown_key", "keys_unavailable"].contains(&retired.code()), "{retired:?}");
    assert_eq!(world.deliver(&new).await.code(), "handled");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_key_server_is_down_known_keys_work_and_unknown_ones_wait() {
    let world = world().await;
    let new = world.signed_by(SigningKey::shared_other());
    world.server.rotate(new.key());
    world.server.behave(Behaviour::Status(500));
    assert_eq!(world.deliver(&world.provider).await.code(), "handled");
    let refused = world.deliver(&new).await;
    assert_eq!((refused.code(), refused.status().as_u16()), ("keys_unavailable", 503));
    assert!(refused.retry_after().is_some());
    world.server.behave(Behaviour::Normal);
    assert_eq!(world.deliver_until_decided(&new).await.code(), "handled");
}
