//! Genuine tokens that do not fit the settings or the clock: parked, and admitted once these are right.

use std::sync::Arc;
use std::time::Duration;

use idnow_webhooks_core::store::{Claim, EventState, EventStore, MemoryStore, Purge, SessionOrder};
use idnow_webhooks_core::{AdmitOptions, Clock, SystemClock};
use idnow_webhooks_testkit::{FixedClock, Provider, SampleEvent, SigningKey};

use crate::post;
use crate::scripted::ScriptedStore;

/// One of the two settings is most likely wrong, so nothing is lost: the provider sends it again, and it is kept meanwhile.
#[tokio::test]
async fn what_does_not_fit_a_setting_or_the_clock_is_parked_and_can_be_admitted() {
    let provider = Provider::new();
    let event = SampleEvent::completed();
    let flow = event.data()["payload"]["flowId"].as_str().unwrap().to_owned();
    let hours = |hours: i64| FixedClock::at(SystemClock.now() + chrono::TimeDelta::hours(hours));
    let elsewhere = provider.clone().with_audience("https://old.example/");
    for (code, sender, options) in [
        ("wrong_audience", elsewhere, AdmitOptions::new()),
        ("wrong_environment", provider.clone(), AdmitOptions::new()),
        ("wrong_flow", provider.clone(), AdmitOptions::new()),
        ("expired", provider.clone().with_clock(hours(-3)), AdmitOptions::new().as_of_issue(true)),
        ("not_yet_valid", provider.clone().with_clock(hours(3)), AdmitOptions::new().as_of_issue(true)),
    ] {
        let store = Arc::new(MemoryStore::new());
        let builder = provider.receiver().queued(Arc::clone(&store));
        let receiver = match code {
            "wrong_environment" => builder.expected_environment("live"),
            "wrong_flow" => builder.expected_flow("another"),
            _ => builder,
        };
        let receiver = receiver.build().unwrap();
        for attempt in 1..=3 {
            let outcome = sender.deliver(&receiver, &event.clone().with_attempt(attempt)).await;
            assert_eq!((outcome.status().as_u16(), outcome.code()), (503, code));
        }
        let parked = store.parked(0, 10).await.unwrap();
        assert_eq!(parked.len(), 1, "{code}: one for all attempts of the event");
        let parked = &parked[0];
        assert_eq!((&*parked.code, parked.event_id.as_deref()), (code, Some(event.event_id())));
        assert_eq!((&*parked.issuer, &*parked.audience), (Provider::ISSUER, sender.audience()));
        assert_eq!(store.backlog().await.unwrap().waiting, 0);

        // Under the same settings it stays what it was.
        assert_eq!(receiver.admit(parked, AdmitOptions::new()).await.unwrap_err().code(), code);
        assert_eq!(store.parked(0, 10).await.unwrap().len(), 1);

        let corrected =
            provider.clone().with_audience(sender.audience()).receiver().queued(Arc::clone(&store));
        let corrected = corrected.expected_flow(&flow).build().unwrap();
        assert_eq!(corrected.admit(parked, options).await.unwrap().code(), "stored");
        assert!(store.parked(0, 10).await.unwrap().is_empty());
        assert_eq!(store.get(event.event_id()).await.unwrap().unwrap().state, EventState::Waiting);
        // It may have been retriggered meanwhile.
        assert_eq!(corrected.admit(parked, options).await.unwrap().code(), "duplicate");
    }
}

/// Whoever has no key of the provider cannot fill the store.
#[tokio::test]
async fn nothing_is_parked_without_a_signature_that_holds() {
    let provider = Provider::new();
    let store = Arc::new(MemoryStore::new());
    let receiver = provider.receiver().queued(Arc::clone(&store)).build().unwrap();
    let event = SampleEvent::completed();
    let elsewhere = provider.clone().with_audience("https://old.example/");
    let forger = SigningKey::shared_other().with_key_id(SigningKey::shared().key_id().unwrap());
    for sender in [elsewhere.clone().with_key(SigningKey::shared_other()), elsewhere.clone().with_key(forger)]
    {
        sender.deliver(&receiver, &event).await;
    }
    // Nor what tells neither issuer nor audience.
    for claim in ["iss", "aud", "iat", "exp"] {
        let token = provider.token_with(&event, |claims| drop(claims.remove(claim)));
        let outcome = post(&receiver, &[], token).await;
        assert_eq!((outcome.status().as_u16(), outcome.code()), (503, "unusable_claims"));
    }
    assert!(store.parked(0, 10).await.unwrap().is_empty());
    elsewhere.deliver(&receiver, &event).await;
    let parked = store.parked(0, 10).await.unwrap();
    let mut changed = parked[0].clone();
    changed.evidence.token.replace_range(..20, "eyJhbGciOiJub25lIn0.");
    let accepting = elsewhere.receiver().queued(Arc::clone(&store)).build().unwrap();
    assert!(accepting.admit(&changed, AdmitOptions::new()).await.is_err());
    assert_eq!(accepting.admit(&parked[0], AdmitOptions::new()).await.unwrap().code(), "stored");
}

/// Keys that a receiver believed by mistake (a test key file, the sandbox) must not vouch for anything once it is corrected.
#[tokio::test]
async fn a_key_that_is_not_published_admits_nothing() {
    let (ours, test) = (Provider::new(), SigningKey::shared_other());
    // Not the provider: somebody who has the key of a test, and writes the issuer and audience of production.
    let impostor = Provider::new().with_key(test.clone());
    let store = Arc::new(MemoryStore::new());
    // For a while, the receiver was set up with the key set of a test, and with another issuer.
    let wrong = Provider::new().with_key(test).with_issuer("https://sandbox.example/oidc");
    let misconfigured = wrong.receiver().queued(Arc::clone(&store)).build().unwrap();
    let forged = impostor.token(&SampleEvent::completed());
    assert_eq!(post(&misconfigured, &[], forged.clone()).await.code(), "wrong_issuer");

    // Corrected: only the provider's key counts.
    let corrected = ours.receiver().queued(Arc::clone(&store)).build().unwrap();
    let direct = post(&corrected, &[], forged).await;
    assert!(!direct.is_accepted(), "{}", direct.code());
    let parked = store.parked(0, 10).await.unwrap();
    let admitted = corrected.admit(&parked[0], AdmitOptions::new()).await;
    assert!(admitted.is_err(), "a forged event was believed: {admitted:?}");
}

/// A key is withdrawn because it is known to others: what was parked under it must not be believed without a question.
#[tokio::test]
async fn a_withdrawn_key_admits_nothing() {
    let old = Provider::new();
    let store = Arc::new(MemoryStore::new());
    let before = old.receiver().expected_environment("staging").queued(Arc::clone(&store)).build().unwrap();
    let token = old.token(&SampleEvent::completed().with_environment("live"));
    assert_eq!(post(&before, &[], token).await.code(), "wrong_environment");
    let rotated = Provider::new().with_key(SigningKey::shared_other());
    let after = rotated.receiver().queued(Arc::clone(&store)).build().unwrap();
    let parked = store.parked(0, 10).await.unwrap();
    assert!(after.admit(&parked[0], AdmitOptions::new()).await.is_err());
}

/// Another customer of the provider can replay his own token as often as he likes.
#[tokio::test]
async fn parking_takes_no_place_of_genuine_deliveries() {
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let receiver = provider.receiver().queued(SlowPark(store)).expected_flow("ours").max_in_progress(4);
    let receiver = receiver.build().unwrap();
    let others = provider.token(&SampleEvent::completed().with_flow_id("theirs"));
    let flood: Vec<_> = (0..4)
        .map(|_| {
            let (receiver, token) = (receiver.clone(), others.clone());
            tokio::spawn(async move { post(&receiver, &[], token).await.code() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let genuine = post(&receiver, &[], provider.token(&SampleEvent::completed().with_flow_id("ours"))).await;
    for task in flood {
        task.await.unwrap();
    }
    assert_eq!(genuine.code(), "stored");
}

#[derive(Debug, Clone)]
struct SlowPark(ScriptedStore);

mod slow {
    use super::SlowPark;
    use async_trait::async_trait;
    use idnow_webhooks_core::store::*;
    use std::time::Duration;

    #[async_trait]
    impl EventStore for SlowPark {
        async fn insert(&self, event: NewEvent) -> Result<Insertion, StoreError> {
            self.0.insert(event).await
        }
        async fn begin(&self, event: NewEvent, lease: Duration) -> Result<Beginning, StoreError> {
            self.0.begin(event, lease).await
        }
        async fn claim(&self, claim: Claim) -> Result<Vec<ClaimedEvent>, StoreError> {
            self.0.claim(claim).await
        }
        async fn extend(&self, lease: &Lease, by: Duration) -> Result<(), StoreError> {
            self.0.extend(lease, by).await
        }
        async fn complete(&self, lease: &Lease) -> Result<(), StoreError> {
            self.0.complete(lease).await
        }
        async fn retry(&self, lease: &Lease, after: Duration, error: &str) -> Result<(), StoreError> {
            self.0.retry(lease, after, error).await
        }
        async fn bury(&self, lease: &Lease, error: &str) -> Result<(), StoreError> {
            self.0.bury(lease, error).await
        }
        async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
            self.0.release(lease).await
        }
        async fn backlog(&self) -> Result<Backlog, StoreError> {
            self.0.backlog().await
        }
        async fn list(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, StoreError> {
            self.0.list(filter).await
        }
        async fn get(&self, id: &str) -> Result<Option<StoredEvent>, StoreError> {
            self.0.get(id).await
        }
        async fn replay(&self, id: &str) -> Result<Replay, StoreError> {
            self.0.replay(id).await
        }
        async fn replay_dead(&self, limit: usize) -> Result<usize, StoreError> {
            self.0.replay_dead(limit).await
        }
        async fn purge(&self, purge: Purge) -> Result<usize, StoreError> {
            self.0.purge(purge).await
        }
        async fn park(&self, _: ParkedToken, _: ParkLimits) -> Result<ParkOutcome, StoreError> {
            tokio::time::sleep(Duration::from_millis(500)).await;
            Ok(ParkOutcome::Known)
        }
        async fn parked(&self, after: i64, limit: usize) -> Result<Vec<ParkedToken>, StoreError> {
            self.0.parked(after, limit).await
        }
        async fn unpark(&self, id: &str) -> Result<bool, StoreError> {
            self.0.unpark(id).await
        }
        async fn completed(&self) -> Result<u64, StoreError> {
            self.0.completed().await
        }
        async fn check(&self) -> Result<(), StoreError> {
            self.0.check().await
        }
    }
}

/// The first attempt is parked, the second one accepted and handled. Its id is forgotten before its parked token is.
#[tokio::test]
async fn what_was_handled_meanwhile_is_not_admitted_again() {
    let clock = FixedClock::at("2026-01-08T08:00:00Z".parse().unwrap());
    let provider = Provider::new().with_clock(clock.clone());
    let store = Arc::new(MemoryStore::new().with_clock(Arc::new(clock.clone())));
    let event = SampleEvent::completed();
    let wrong =
        provider.receiver().expected_environment("elsewhere").queued(Arc::clone(&store)).build().unwrap();
    let right = provider.receiver().queued(Arc::clone(&store)).build().unwrap();
    assert_eq!(post(&wrong, &[], provider.token(&event)).await.code(), "wrong_environment");
    assert_eq!(post(&right, &[], provider.token(&event.clone().with_attempt(2))).await.code(), "stored");
    let claim = Claim { limit: 1, lease: Duration::from_secs(60), order: SessionOrder::Any };
    let claimed = store.claim(claim).await.unwrap();
    store.complete(&claimed[0].lease).await.unwrap();
    // A retention of a day, or `inbox purge --older-than 1d`.
    clock.advance(Duration::from_secs(25 * 3600));
    let day = Duration::from_secs(24 * 3600);
    let purge = Purge { state: EventState::Completed, older_than: day, limit: 10 };
    store.purge(purge).await.unwrap();
    let parked = store.parked(0, 10).await.unwrap();
    let code = match parked.first() {
        Some(parked) => right.admit(parked, AdmitOptions::new()).await.unwrap().code(),
        None => "unparked",
    };
    assert_ne!(code, "stored", "the event will be handled twice");
}

/// A token of ours that somebody has recorded, sent again when its event is long forgotten: `admit --as-of-issue`, for all
/// that is parked, takes it for one of the wrong clock.
#[tokio::test]
async fn a_recorded_token_is_not_handled_twice_by_an_admission_as_of_issue() {
    let clock = FixedClock::at("2026-01-08T08:00:00Z".parse().unwrap());
    let provider = Provider::new().with_clock(clock.clone());
    let store = Arc::new(MemoryStore::new().with_clock(Arc::new(clock.clone())));
    let receiver = provider.receiver().queued(Arc::clone(&store)).build().unwrap();
    let token = provider.token(&SampleEvent::completed());
    assert_eq!(post(&receiver, &[], token.clone()).await.code(), "stored");
    let claim = Claim { limit: 1, lease: Duration::from_secs(60), order: SessionOrder::Any };
    let claimed = store.claim(claim).await.unwrap();
    store.complete(&claimed[0].lease).await.unwrap();
    clock.advance(Duration::from_secs(31 * 24 * 3600));
    let month = Duration::from_secs(30 * 24 * 3600);
    store.purge(Purge { state: EventState::Completed, older_than: month, limit: 10 }).await.unwrap();
    assert_eq!(post(&receiver, &[], token).await.code(), "expired");
    let parked = store.parked(0, 10).await.unwrap();
    let admitted = receiver.admit(&parked[0], AdmitOptions::new().as_of_issue(true)).await;
    assert!(admitted.is_err(), "the event will be handled twice: {admitted:?}");
}
