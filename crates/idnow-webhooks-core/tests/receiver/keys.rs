//! Tokens that name a key which is not at hand.

use std::time::{Duration, Instant};

use idnow_webhooks_core::keys::Algorithm;
use idnow_webhooks_core::{EventRouter, Outcome, Receiver, Refusal, Verifier};
use idnow_webhooks_testkit::{Provider, SampleEvent, SigningKey};
use serde_json::json;

use crate::scripted::{Refresh, ScriptedKeys, set};
use crate::{DEADLINE, post};

fn receiver(keys: &ScriptedKeys) -> Receiver {
    let verifier = Verifier::builder().issuer(Provider::ISSUER).audience(Provider::AUDIENCE).build().unwrap();
    Receiver::builder(verifier, keys.clone())
        .handlers(EventRouter::new())
        .answer_deadline(DEADLINE)
        .build()
        .unwrap()
}

fn rotated() -> Provider {
    Provider::new().with_key(SigningKey::shared_other())
}

#[tokio::test]
async fn a_known_key_never_asks_for_others() {
    let keys = ScriptedKeys::new(set(&[&SigningKey::shared()]), []);
    let receiver = receiver(&keys);
    let provider = Provider::new();
    assert_eq!(provider.deliver(&receiver, &SampleEvent::created()).await.code(), "handled");
    let forger = SigningKey::shared_other().with_key_id(SigningKey::shared().key_id().unwrap());
    let token = provider.with_key(forger).token(&SampleEvent::created());
    assert_eq!(post(&receiver, &[], token).await.status(), 401);
    assert!(keys.arrivals().is_empty());
}

#[tokio::test]
async fn a_just_rotated_key_is_fetched_once_and_believed() {
    let old = set(&[&SigningKey::shared()]);
    let keys = ScriptedKeys::new(old, [Refresh::Brings(set(&[&SigningKey::shared_other()]))]);
    let receiver = receiver(&keys);
    let before = Instant::now();
    let outcome = rotated().deliver(&receiver, &SampleEvent::created()).await;
    let after = Instant::now();
    assert_eq!(outcome.code(), "handled");
    let arrivals = keys.arrivals();
    assert_eq!(arrivals.len(), 1);
    assert!(before <= arrivals[0] && arrivals[0] <= after);
    assert_eq!(rotated().deliver(&receiver, &SampleEvent::expired()).await.code(), "handled");
    assert_eq!(keys.arrivals().len(), 1);
}

/// What was fetched before the request arrived cannot prove that a key does not exist.
#[tokio::test(start_paused = true)]
async fn the_moment_that_counts_is_the_arrival_and_not_the_end_of_the_body() {
    use bytes::Bytes;
    use futures_util::{StreamExt, stream};
    use http::{HeaderMap, Method};
    use idnow_webhooks_core::Head;

    let keys = ScriptedKeys::new(set(&[]), [Refresh::Brings(set(&[]))]);
    let receiver = receiver(&keys);
    let token = Provider::new().token(&SampleEvent::created());
    let before = tokio::time::Instant::now().into_std();
    let late = stream::once(async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        Bytes::new()
    });
    let body = late.chain(stream::iter([Bytes::from(token)])).map(Ok::<_, std::io::Error>);
    let head = Head { method: &Method::POST, headers: &HeaderMap::new(), peer: None };
    receiver.receive(head, body).await;
    assert_eq!(keys.arrivals(), [before]);
}

/// A key server behind a CDN, or with several nodes, lags: its newest answer may lack a key that another node has published.
#[tokio::test]
async fn a_key_that_is_not_there_either_may_come_later() {
    let (old, new) = (SigningKey::shared(), SigningKey::shared_other());
    let keys =
        ScriptedKeys::new(set(&[&old]), [Refresh::Brings(set(&[&old])), Refresh::Brings(set(&[&old, &new]))]);
    let receiver = receiver(&keys);
    let event = SampleEvent::created();
    let outcome = rotated().deliver(&receiver, &event).await;
    assert_eq!((outcome.status().as_u16(), outcome.code()), (503, "unknown_key"));
    assert_eq!(keys.arrivals().len(), 1, "one fetch for each delivery");
    assert_eq!(rotated().deliver(&receiver, &event).await.code(), "handled");
}

/// With keys that never change, too: a file that is out of date must not lose what it does not know.
#[tokio::test]
async fn a_key_that_a_fixed_set_lacks_is_no_forgery() {
    let receiver = Provider::new().receiver().build().unwrap();
    for provider in [rotated(), nameless(SigningKey::shared_other())] {
        let outcome = provider.deliver(&receiver, &SampleEvent::created()).await;
        assert_eq!((outcome.status().as_u16(), outcome.code()), (503, "unknown_key"));
    }
}

/// RFC 7517 advises against new key material under an old id, but it happens.
#[tokio::test]
async fn keys_older_than_five_minutes_are_fetched_before_a_signature_is_called_false() {
    let old = SigningKey::shared();
    let id = old.key_id().unwrap();
    let (replaced, curve) =
        (SigningKey::shared_other().with_key_id(id), SigningKey::generate(Algorithm::Es256).with_key_id(id));
    for new in [&replaced, &curve] {
        let provider = Provider::new().with_key(new.clone());
        let code = async |age: u64, refresh: Option<Refresh>| {
            let keys = ScriptedKeys::new(set(&[&old]), refresh).aged(Duration::from_secs(age));
            let verifier = Verifier::builder()
                .issuer(Provider::ISSUER)
                .audience(Provider::AUDIENCE)
                .algorithms([Algorithm::Rs256, Algorithm::Es256])
                .build()
                .unwrap();
            let receiver = Receiver::builder(verifier, keys).handlers(EventRouter::new()).build().unwrap();
            provider.deliver(&receiver, &SampleEvent::created()).await.code()
        };
        let proven = if new.algorithm() == Algorithm::Es256 { "wrong_algorithm" } else { "false_signature" };
        assert_eq!(code(299, None).await, proven, "no fetch for each forgery");
        assert_eq!(code(301, Some(Refresh::Brings(set(&[new])))).await, "handled");
        assert_eq!(code(301, Some(Refresh::FailsWhile(set(&[new])))).await, "handled");
        assert_eq!(code(301, Some(Refresh::Brings(set(&[&old])))).await, proven);
        assert_eq!(code(301, Some(Refresh::Fails(Duration::ZERO))).await, "keys_unavailable");
    }
}

#[tokio::test]
async fn refreshed_keys_are_no_excuse_for_a_forgery() {
    let impostor = SigningKey::shared().with_key_id(SigningKey::shared_other().key_id().unwrap());
    let keys = ScriptedKeys::new(set(&[]), [Refresh::Brings(set(&[&impostor]))]);
    let outcome = rotated().deliver(&receiver(&keys), &SampleEvent::created()).await;
    let Outcome::Refused(Refusal::Token(error)) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(error.code(), "false_signature");
}

#[tokio::test]
async fn without_fresh_keys_the_sender_is_asked_to_wait() {
    for (wait, asked) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (10_000, "10"), (3_600_000, "3600")] {
        let keys = ScriptedKeys::new(set(&[]), [Refresh::Fails(Duration::from_millis(wait))]);
        let outcome = Provider::new().deliver(&receiver(&keys), &SampleEvent::created()).await;
        assert_eq!(outcome.code(), "keys_unavailable");
        assert_eq!(outcome.response().headers()["retry-after"], asked);
    }
    let keys = ScriptedKeys::new(set(&[]), [Refresh::Fails(Duration::MAX)]);
    let outcome = Provider::new().deliver(&receiver(&keys), &SampleEvent::created()).await;
    assert_eq!(outcome.status(), 503);
    outcome.response();
}

#[tokio::test]
async fn a_key_that_somebody_else_fetched_meanwhile_counts() {
    let keys = ScriptedKeys::new(set(&[]), [Refresh::FailsWhile(set(&[&SigningKey::shared()]))]);
    let outcome = Provider::new().deliver(&receiver(&keys), &SampleEvent::created()).await;
    assert_eq!(outcome.code(), "handled");
    let impostor = SigningKey::shared_other().with_key_id(SigningKey::shared().key_id().unwrap());
    let keys = ScriptedKeys::new(set(&[]), [Refresh::FailsWhile(set(&[&impostor]))]);
    let outcome = Provider::new().deliver(&receiver(&keys), &SampleEvent::created()).await;
    assert_eq!(outcome.code(), "keys_unavailable");
    let keys = ScriptedKeys::new(set(&[]), [Refresh::FailsWhile(set(&[&SigningKey::shared_other()]))]);
    let outcome = Provider::new().deliver(&receiver(&keys), &SampleEvent::created()).await;
    assert_eq!(outcome.code(), "keys_unavailable");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_key_server_ends_at_the_deadline() {
    let keys = ScriptedKeys::new(set(&[]), [Refresh::Hangs]);
    let started = tokio::time::Instant::now();
    let outcome = Provider::new().deliver(&receiver(&keys), &SampleEvent::created()).await;
    assert_eq!(outcome.code(), "keys_unavailable");
    assert_eq!(started.elapsed(), DEADLINE);
    assert_eq!(outcome.response().headers()["retry-after"], "1");
}

/// What the keys at hand prove needs no others.
#[tokio::test]
async fn what_is_proven_causes_no_traffic() {
    let keys = ScriptedKeys::new(set(&[&SigningKey::shared()]), []);
    let receiver = receiver(&keys);
    let claims = rotated().claims(&SampleEvent::created()).to_string();
    let sign = |header: &str| SigningKey::shared_other().sign_raw(header.as_bytes(), claims.as_bytes());
    let token = rotated().token(&SampleEvent::created());
    let (message, _) = token.rsplit_once('.').unwrap();
    let known = SigningKey::shared().key_id().unwrap().to_owned();
    for token in [
        sign(r#"{"alg":"none","kid":"x"}"#),
        sign(&json!({ "alg": "ES256", "kid": known }).to_string()),
        sign(&json!({ "alg": "HS256", "kid": known }).to_string()),
        sign(&json!({ "alg": "RS256", "kid": known, "crit": [] }).to_string()),
        format!("{message}.***"),
        sign("{}"),
    ] {
        let outcome = post(&receiver, &[], token).await;
        assert!(outcome.status().is_client_error(), "{outcome:?}");
    }
    assert!(keys.arrivals().is_empty());
}

/// Or anybody could make the provider come again, and call whoever looks after the clocks.
#[tokio::test]
async fn only_a_genuine_token_is_told_to_come_later() {
    let early = |provider: &Provider, claim: &str| {
        provider.token_with(&SampleEvent::created(), |claims| {
            let later = claims["iat"].as_i64().unwrap() + 3000;
            claims.insert(claim.into(), later.into());
        })
    };
    let stranger = SigningKey::shared_other();
    let forged = Provider::new().with_key(stranger.with_key_id(SigningKey::shared().key_id().unwrap()));
    for claim in ["iat", "nbf"] {
        let keys = ScriptedKeys::new(
            set(&[&SigningKey::shared()]),
            [Refresh::Brings(set(&[&SigningKey::shared(), &SigningKey::shared_other()]))],
        );
        let receiver = receiver(&keys);
        assert_eq!(post(&receiver, &[], early(&forged, claim)).await.code(), "false_signature");
        assert_eq!(post(&receiver, &[], early(&Provider::new(), claim)).await.code(), "not_yet_valid");
        assert!(keys.arrivals().is_empty());
        assert_eq!(
            post(&receiver, &[], early(&rotated(), claim)).await.code(),
            "not_yet_valid",
            "by a new key"
        );
        assert_eq!(keys.arrivals().len(), 1);
    }
}

fn nameless(key: SigningKey) -> Provider {
    Provider::new().with_key(key.without_key_id())
}

#[tokio::test]
async fn a_token_that_names_no_key_may_be_of_any_that_is_published() {
    let keys = ScriptedKeys::new(set(&[&SigningKey::shared(), &SigningKey::shared_other()]), []);
    let receiver = receiver(&keys);
    for key in [SigningKey::shared(), SigningKey::shared_other()] {
        assert_eq!(nameless(key).deliver(&receiver, &SampleEvent::created()).await.code(), "handled");
    }
    assert!(keys.arrivals().is_empty());
}

/// None of the keys at hand fits: the right one may have been published just now.
#[tokio::test]
async fn a_token_that_names_no_key_is_never_refused_for_good() {
    let (old, new) = (SigningKey::shared(), SigningKey::shared_other());
    let event = SampleEvent::created();

    let keys = ScriptedKeys::new(set(&[&old]), [Refresh::Brings(set(&[&old, &new]))]);
    let receiver_now = receiver(&keys);
    assert_eq!(nameless(new.clone()).deliver(&receiver_now, &event).await.code(), "handled");
    assert_eq!(nameless(new.clone()).deliver(&receiver_now, &SampleEvent::created()).await.code(), "handled");
    assert_eq!(keys.arrivals().len(), 1);

    let keys = ScriptedKeys::new(set(&[&old]), [Refresh::Brings(set(&[&old]))]);
    let outcome = nameless(new.clone()).deliver(&receiver(&keys), &event).await;
    assert_eq!((outcome.status().as_u16(), outcome.code()), (503, "unknown_key"));
    assert_eq!(keys.arrivals().len(), 1);

    let keys = ScriptedKeys::new(set(&[&old]), [Refresh::Fails(Duration::from_secs(4))]);
    let outcome = nameless(new).deliver(&receiver(&keys), &event).await;
    assert_eq!((outcome.status().as_u16(), outcome.code()), (503, "keys_unavailable"));
    assert_eq!(outcome.retry_after(), Some(Duration::from_secs(4)));
}
