//! Fetching again: on demand, on schedule, and what becomes of the keys.

use std::time::{Duration, Instant};

use idnow_webhooks_core::Backoff;
use idnow_webhooks_core::keys::{KeySet, KeySource};
use tokio::task::JoinSet;

use idnow_webhooks_jwks::Location;

use crate::support::{PATH, Reply, Server, builder, eventually, jwk, jwks};

const MILLISECOND: Duration = Duration::from_millis(1);
const RETRY: Backoff =
    Backoff { first: Duration::from_millis(20), most: Duration::from_millis(40), jitter: 0.5 };

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_of_unknown_keys_is_a_few_fetches_one_at_a_time() {
    let server = Server::start(Reply::keys(&["old"])).await;
    let source = server.connect().await;
    server.set(Reply::After(50 * MILLISECOND, Box::new(Reply::keys(&["old", "new"]))));
    let mut storm = JoinSet::new();
    for number in 0..500 {
        let source = source.clone();
        storm.spawn(async move {
            tokio::time::sleep(MILLISECOND * (number % 100)).await;
            source.refresh(Instant::now()).await.map(|keys| keys.key_ids().len())
        });
    }
    let answers = storm.join_all().await;
    assert!(server.hits() <= 3, "{} fetches", server.hits());
    assert_eq!(server.most_at_once(), 1);
    assert!(answers.iter().any(Result::is_ok), "nobody was answered");
    for answer in answers {
        match answer {
            Ok(keys) => assert_eq!(keys, 2),
            Err(error) => assert!((1..=10).contains(&error.retry_after.as_secs()), "{error:?}"),
        }
    }
    assert_eq!(source.current().key_ids(), ["new", "old"]);
}

#[tokio::test]
async fn rotation_and_revocation_take_effect_on_demand() {
    let server = Server::start(Reply::keys(&["1"])).await;
    let source = server.builder().min_refresh_interval(Duration::ZERO).connect().await.unwrap();
    server.set(Reply::keys(&["1", "2"]));
    assert_eq!(source.current().key_ids(), ["1"]);
    assert_eq!(source.refresh(Instant::now()).await.unwrap().key_ids(), ["1", "2"]);
    server.set(Reply::keys(&["2"]));
    assert_eq!(source.refresh(Instant::now()).await.unwrap().key_ids(), ["2"]);
    assert_eq!(source.current().key_ids(), ["2"]);
}

/// One node of the key server, or a cache that does not say so, lags behind the one that has the new key.
#[tokio::test]
async fn a_server_that_lags_is_asked_again_after_the_cool_down() {
    let (old, new) = (jwk("old"), jwk("new"));
    let server = Server::start(Reply::json(format!(r#"{{"keys":[{old}]}}"#))).await;
    let cool_down = Duration::from_millis(300);
    let source = server.builder().min_refresh_interval(cool_down).connect().await.unwrap();
    let keys = source.refresh(Instant::now()).await.unwrap();
    assert_eq!(keys.key_ids(), ["old"], "fresh, and without the key: that proves nothing");

    server.set(Reply::json(format!(r#"{{"keys":[{new},{old}]}}"#)));
    let error = source.refresh(Instant::now()).await.unwrap_err();
    assert!(error.reason.contains("not fetched again so soon"), "{error}");
    assert_eq!(server.hits(), 2);
    tokio::time::sleep(cool_down).await;
    assert_eq!(source.refresh(Instant::now()).await.unwrap().key_ids(), ["new", "old"]);
    assert_eq!(server.hits(), 3);
}

#[tokio::test]
async fn another_key_under_an_old_id_is_brought_on_demand() {
    let server = Server::start(Reply::keys(&["1"])).await;
    let source = server.builder().min_refresh_interval(Duration::ZERO).connect().await.unwrap();
    let thumbprints = |keys: &KeySet| -> Vec<String> {
        keys.keys().filter_map(|key| key.thumbprint().map(str::to_owned)).collect()
    };
    let old = thumbprints(&source.current());
    server.set(Reply::keys(&["1"]));
    let new = thumbprints(&source.refresh(Instant::now()).await.unwrap());
    assert!(old != new && thumbprints(&source.current()) == new, "{old:?} {new:?}");
}

/// Who sees a false signature fetches keys only if these are old.
#[tokio::test]
async fn the_age_is_that_of_what_was_published() {
    let second = Duration::from_secs(1);
    let server = Server::start(Reply::After(300 * MILLISECOND, Box::new(Reply::keys(&["1"])))).await;
    let source = server.connect().await;
    let age = source.age().unwrap();
    assert!(age >= 300 * MILLISECOND && age < 10 * second, "from when the fetch began: {age:?}");

    server.set(Reply::aged("600", jwks(&["1"])));
    let source = server.connect().await;
    let age = source.age().unwrap();
    assert!(age >= 601 * second && age < 611 * second, "{age:?}");
    assert_eq!(source.status().age.unwrap().as_secs(), age.as_secs());
    assert!(source.refresh(Instant::now()).await.is_err(), "a cache proves nothing");
    assert!(source.age().unwrap() >= 601 * second, "and makes nothing younger");

    server.set(Reply::aged("18446744073709551615", jwks(&["1"])));
    assert_eq!(server.connect().await.age(), Some(Duration::MAX));

    server.set(Reply::keys(&["1"]));
    let source = server.connect().await;
    assert!(source.refresh(Instant::now()).await.is_ok());
    assert!(source.refresh(Instant::now()).await.is_err(), "the cool-down");
    assert!(source.age().unwrap() < 10 * second, "so who is refused by it needs no younger keys");
    // A cache that answers now does not make the newer keys older.
    server.set(Reply::aged("600", jwks(&["1"])));
    let source = server.builder().min_refresh_interval(Duration::ZERO).connect().await.unwrap();
    server.set(Reply::keys(&["1"]));
    source.refresh(Instant::now()).await.unwrap();
    server.set(Reply::aged("600", jwks(&["1"])));
    source.refresh(Instant::now()).await.unwrap_err();
    assert!(source.age().unwrap() < 10 * second);
}

#[tokio::test]
async fn an_answer_that_is_fresh_enough_needs_no_fetch() {
    let arrived = Instant::now();
    let server = Server::start(Reply::keys(&["1"])).await;
    let source = server.connect().await;
    for _ in 0..10 {
        assert!(source.refresh(arrived).await.is_ok());
    }
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn an_answer_from_a_cache_is_no_proof_of_forgery() {
    let server = Server::start(Reply::keys(&["1"])).await;
    for age in ["42", "1, 0", "18446744073709551615", "99999999999999999999999999"] {
        server.set(Reply::aged(age, jwks(&["1", "2"])));
        let source = server.connect().await;
        let error = source.refresh(Instant::now()).await.unwrap_err();
        assert!(error.reason.contains("a cache in front of the key server"), "{age}: {error}");
        assert!((9..=10).contains(&error.retry_after.as_secs()), "counted from the fetch itself: {error:?}");
        assert_eq!(source.current().key_ids(), ["1", "2"], "what it holds is good all the same");
        assert!(source.status().last_error.is_none());
    }
    for age in ["0", "", "-5", "soon"] {
        server.set(Reply::aged(age, jwks(&["3"])));
        let before = Instant::now();
        let source = server.connect().await;
        let error = source.refresh(Instant::now()).await.unwrap_err();
        assert!(error.reason.contains("a cache in front of the key server"), "{age:?}: {error}");
        let hits = server.hits();
        let a_second_ago = before.checked_sub(Duration::from_secs(1)).unwrap();
        assert_eq!(source.refresh(a_second_ago).await.unwrap().key_ids(), ["3"], "{age:?}");
        assert_eq!(server.hits(), hits);
    }

    server.set(Reply::aged("42", jwks(&["1"])));
    let source = server.connect().await;
    let hits = server.hits();
    assert!(source.refresh(Instant::now()).await.is_err());
    let arrived = Instant::now();
    let error = source.refresh(arrived).await.unwrap_err();
    assert!(error.reason.contains("not fetched again so soon"), "{error}");
    assert_eq!(server.hits(), hits + 1);
    let long_ago = arrived.checked_sub(Duration::from_secs(100)).unwrap();
    assert!(source.refresh(long_ago).await.is_ok(), "the answer is younger than that");
    assert_eq!(server.hits(), hits + 1);
}

#[tokio::test]
async fn older_keys_from_a_cache_do_not_replace_newer_ones() {
    let server = Server::start(Reply::keys(&["1"])).await;
    let source = server.builder().min_refresh_interval(Duration::ZERO).connect().await.unwrap();
    server.set(Reply::keys(&["3"]));
    let arrived = Instant::now();
    assert_eq!(source.refresh(arrived).await.unwrap().key_ids(), ["3"]);
    for age in ["42", "99999999999999999999999999"] {
        server.set(Reply::aged(age, jwks(&["1"])));
        let hits = server.hits();
        let error = source.refresh(Instant::now()).await.unwrap_err();
        assert!(error.reason.contains("a cache in front of the key server"), "{age}: {error}");
        assert_eq!(source.current().key_ids(), ["3"], "{age}");
        assert_eq!(source.refresh(arrived).await.unwrap().key_ids(), ["3"], "as fresh as before");
        assert_eq!(server.hits(), hits + 1);
        assert!(source.status().last_error.is_none());
    }
    server.set(Reply::keys(&["4"]));
    assert_eq!(source.refresh(Instant::now()).await.unwrap().key_ids(), ["4"]);
}

#[tokio::test]
async fn older_keys_from_a_cache_are_better_than_none() {
    let server = Server::start(Reply::cached("max-age=1", &["3"])).await;
    let source = server
        .builder()
        .min_lifetime(100 * MILLISECOND)
        .max_lifetime(200 * MILLISECOND)
        .max_stale(300 * MILLISECOND)
        .connect()
        .await
        .unwrap();
    server.set(Reply::aged("42", jwks(&["1"])));
    eventually("scheduled fetches", || server.hits() >= 3).await;
    eventually("the older keys", || source.current().key_ids() == ["1"]).await;
}

#[tokio::test]
async fn a_cache_is_asked_once_for_each_caller_even_without_cool_down() {
    let server = Server::start(Reply::aged("42", jwks(&["1"]))).await;
    let source = server.builder().min_refresh_interval(Duration::ZERO).connect().await.unwrap();
    for fetches in 2..5 {
        let waiting = tokio::time::timeout(Duration::from_secs(10), source.refresh(Instant::now()));
        let error = waiting.await.expect("it must not fetch in a circle").unwrap_err();
        assert_eq!(error.retry_after, Duration::from_secs(1));
        assert_eq!(server.hits(), fetches);
    }
    server.set(Reply::keys(&["2"]));
    assert_eq!(source.refresh(Instant::now()).await.unwrap().key_ids(), ["2"]);
}

#[tokio::test]
async fn keys_are_as_old_as_the_document_that_led_to_them() {
    let server = Server::start(Reply::keys(&["1"])).await;
    let issuer = server.url("/oidc");
    let document = format!(r#"{{"issuer":"{issuer}","jwks_uri":"{}"}}"#, server.url(PATH));
    for (document_age, keys_age, fresh) in [("0", "0", true), ("42", "0", false), ("0", "42", false)] {
        server.set_at("/oidc/.well-known/openid-configuration", Reply::aged(document_age, document.clone()));
        server.set(Reply::aged(keys_age, jwks(&["1"])));
        // Even no age hides up to a second.
        let arrived = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        let source = builder(Location::issuer(&issuer)).connect().await.unwrap();
        let answer = source.refresh(arrived).await;
        assert_eq!(answer.is_ok(), fresh, "{document_age} {keys_age}: {answer:?}");
    }
}

#[tokio::test]
async fn the_cool_down_asks_to_come_again_and_then_ends() {
    let server = Server::start(Reply::keys(&["1"])).await;
    let cool_down = Duration::from_millis(300);
    let source = server.builder().min_refresh_interval(cool_down).connect().await.unwrap();
    let begin = Instant::now();
    assert!(source.refresh(Instant::now()).await.is_ok(), "the start must not count");
    let error = source.refresh(Instant::now()).await.unwrap_err();
    assert_eq!(error.retry_after, Duration::from_secs(1), "whole seconds, at least one");
    assert!(error.reason.contains("not fetched again so soon"), "{error}");
    assert_eq!(server.hits(), 2);
    tokio::time::sleep(cool_down.saturating_sub(begin.elapsed()) + 20 * MILLISECOND).await;
    assert!(source.refresh(Instant::now()).await.is_ok());
    assert_eq!(server.hits(), 3);
}

#[tokio::test]
async fn a_broken_server_costs_no_good_key() {
    let server = Server::start(Reply::keys(&["1"])).await;
    let source = server.builder().min_refresh_interval(Duration::ZERO).connect().await.unwrap();
    for reply in [
        Reply::status("500 Oops"),
        Reply::json("garbage"),
        Reply::json(r#"{"keys":[]}"#),
        Reply::json(r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"1"}]}"#),
        Reply::Raw(Vec::new()),
    ] {
        server.set(reply);
        let error = source.refresh(Instant::now()).await.unwrap_err();
        assert!(!error.reason.is_empty() && error.retry_after >= Duration::from_secs(1));
        assert_eq!(source.current().key_ids(), ["1"]);
        let status = source.status();
        assert!(status.ready && status.running && status.last_error.is_some());
    }
    server.set(Reply::keys(&["2"]));
    assert_eq!(source.refresh(Instant::now()).await.unwrap().key_ids(), ["2"]);
    assert!(source.status().last_error.is_none());
}

#[tokio::test]
async fn last_good_keys_are_given_up_in_the_end() {
    let server = Server::start(Reply::keys(&["1"])).await;
    let source = server
        .builder()
        .min_lifetime(10 * MILLISECOND)
        .default_lifetime(100 * MILLISECOND)
        .max_stale(200 * MILLISECOND)
        .backoff(RETRY)
        .connect()
        .await
        .unwrap();
    server.set(Reply::status("500 Oops"));
    eventually("a failure", || source.status().last_error.is_some()).await;
    assert!(source.status().ready);
    eventually("no keys", || source.current().is_empty()).await;
    assert!(!source.status().ready);
    server.set(Reply::keys(&["2"]));
    eventually("recovery", || source.current().key_ids() == ["2"]).await;
}

#[tokio::test]
async fn fetches_again_before_expiry_without_anybody_asking() {
    let server = Server::start(Reply::keys(&["1"])).await;
    let source = server
        .builder()
        .min_lifetime(10 * MILLISECOND)
        .default_lifetime(200 * MILLISECOND)
        .connect()
        .await
        .unwrap();
    server.set(Reply::keys(&["2"]));
    eventually("rotation", || source.current().key_ids() == ["2"]).await;
    assert!(server.hits() >= 2);
}

#[tokio::test]
async fn cache_control_decides_within_bounds() {
    for (cache_control, seconds) in [
        ("max-age=300", 300),
        ("max-age=1", 60),
        ("no-store", 60),
        ("max-age=99999999", 86_400),
        ("public", 3_600),
    ] {
        let server = Server::start(Reply::cached(cache_control, &["1"])).await;
        let status = server.connect().await.status();
        let expires_in = status.expires_in.unwrap();
        assert!(expires_in <= Duration::from_secs(seconds), "{cache_control}: {expires_in:?}");
        assert!(expires_in > Duration::from_secs(seconds - 10), "{cache_control}: {expires_in:?}");
        assert!(status.age.unwrap() < Duration::from_secs(10));
        let unusable_in = status.unusable_in.unwrap();
        assert!(unusable_in > Duration::from_secs(seconds + 86_400 - 10), "{unusable_in:?}");
    }
}

#[tokio::test]
async fn starts_without_keys_and_gets_them_later() {
    let server = Server::start(Reply::status("503 Busy")).await;
    let source = server.builder().backoff(RETRY).start().unwrap();
    assert!(source.current().is_empty() && !source.status().ready);
    assert_eq!(source.age(), None);
    let error = source.refresh(Instant::now()).await.unwrap_err();
    assert!(error.reason.contains("503"), "{error}");
    server.set(Reply::keys(&["1"]));
    eventually("keys", || source.status().ready).await;
    assert!(source.age().unwrap() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_hanging_server_delays_nobody_who_needs_no_fetch() {
    let server = Server::start(Reply::keys(&["1"])).await;
    let source = server.connect().await;
    server.set(Reply::Hang);
    let waiting = tokio::spawn({
        let source = source.clone();
        async move { source.refresh(Instant::now()).await }
    });
    eventually("the fetch", || server.hits() == 2).await;
    let begin = Instant::now();
    for _ in 0..10_000 {
        assert!(!source.current().is_empty());
    }
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test]
async fn no_request_is_made_after_the_last_clone_is_gone() {
    let server = Server::start(Reply::keys(&["1"])).await;
    let source = server
        .builder()
        .min_lifetime(10 * MILLISECOND)
        .default_lifetime(30 * MILLISECOND)
        .connect()
        .await
        .unwrap();
    eventually("scheduled fetches", || server.hits() >= 3).await;
    drop(source);
    tokio::time::sleep(50 * MILLISECOND).await;
    let hits = server.hits();
    tokio::time::sleep(200 * MILLISECOND).await;
    assert_eq!(server.hits(), hits);
}
