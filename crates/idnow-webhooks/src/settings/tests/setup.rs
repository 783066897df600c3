//! Settings that are put to work, and what is logged then.

use std::convert::Infallible;
#[cfg(feature = "sqlite")]
use std::time::Duration;

use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use idnow_webhooks_core::keys::Algorithm;
use idnow_webhooks_core::{EventRouter, Head, Outcome, Receiver};
use idnow_webhooks_testkit::{Provider, SampleEvent, SigningKey};

use super::{Preset, logged, read};
use crate::Settings;
use crate::settings::report::Mode;

const SECRET: &str = "hush-hush-0123456789-0123456789-0123456789";

/// Of an endpoint with a shared secret, whose webhook is at this path.
fn with_secret(path: &str, more: &[(&str, &str)]) -> Settings {
    let common = [
        ("IDNOW_ISSUER", Provider::ISSUER),
        ("IDNOW_AUDIENCE", Provider::AUDIENCE),
        ("IDNOW_WEBHOOK_SECRET", SECRET),
        ("WEBHOOK_PATH", path),
    ];
    read(&[&common, more].concat()).unwrap()
}

fn provider() -> Provider {
    Provider::new().with_key(SigningKey::from_secret(Algorithm::Hs256, SECRET))
}

async fn deliver_token(receiver: &Receiver, token: String) -> Outcome {
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/jwt"))].into_iter().collect();
    let head = Head { method: &Method::POST, headers: &headers, peer: None };
    receiver.receive(head, stream::iter([Ok::<_, Infallible>(token.as_bytes())])).await
}

fn lines_with(text: &str) -> Vec<String> {
    logged().lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

#[tokio::test]
async fn one_line_says_what_was_set_up() {
    let settings = with_secret("/hooks/in-memory", &[("IDNOW_STORE", "memory")]);
    let receiver = settings.inline(EventRouter::new()).await.unwrap();
    assert_eq!(provider().deliver(&receiver, &SampleEvent::completed()).await.code(), "handled");
    let lines = lines_with("/hooks/in-memory");
    let [line] = &lines[..] else { panic!("{lines:#?}") };
    for part in [
        " INFO idnow_webhooks::settings: the receiver is set up ",
        "mode=\"inline\"",
        "store=\"memory\"",
        &format!("issuer={:?}", Provider::ISSUER),
        &format!("audience={:?}", Provider::AUDIENCE),
        "keys=Secrets([Secret(..)])",
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}

#[tokio::test]
async fn what_is_expected_of_events_reaches_the_receiver() {
    let event = SampleEvent::completed();
    let flow = event.data()["payload"]["flowId"].as_str().unwrap().to_owned();
    for (variable, value, code) in [
        ("IDNOW_EXPECTED_FLOWS", "another, and-another", "wrong_flow"),
        ("IDNOW_EXPECTED_FLOWS", &format!("another, {flow}"), "handled"),
        ("IDNOW_EXPECTED_ENVIRONMENT", "live", "wrong_environment"),
        ("IDNOW_EXPECTED_ENVIRONMENT", "staging", "handled"),
        ("IDNOW_MAX_LIFETIME_SECONDS", "3599", "wrong_lifetime"),
        ("IDNOW_MAX_AGE_SECONDS", "3600", "handled"),
    ] {
        let settings = with_secret("/hooks/expected", &[("IDNOW_STORE", "memory"), (variable, value)]);
        let receiver = settings.inline(EventRouter::new()).await.unwrap();
        assert_eq!(provider().deliver(&receiver, &event).await.code(), code, "{variable}={value}");
    }
}

#[cfg(feature = "jwks")]
#[tokio::test]
async fn the_line_says_where_keys_are_without_what_a_url_may_hide() {
    let keys = [
        ("IDNOW_JWKS_URL", "http://me:hunter2@127.0.0.1:1/jwks?key=hunter2"),
        ("IDNOW_STORE", "memory"),
        ("WEBHOOK_PATH", "/hooks/keys"),
    ];
    read(&keys).unwrap().queued(EventRouter::new()).await.unwrap().1.stop().await;
    let lines = lines_with("/hooks/keys");
    assert!(lines.len() == 1 && lines[0].contains("keys=Url(\"http://127.0.0.1:1/jwks\")"), "{lines:#?}");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn the_line_names_the_file_of_the_store() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let path = folder.path().file_name().unwrap().to_str().unwrap();
    let settings = with_secret("/hooks/file", &[("IDNOW_STORE", &format!("sqlite:{path}/events.db"))]);
    let (receiver, worker) = settings.queued(EventRouter::new()).await.unwrap();
    assert_eq!(provider().deliver(&receiver, &SampleEvent::completed()).await.code(), "stored");
    worker.stop().await;
    let absolute = std::env::current_dir().unwrap().join(path).join("events.db");
    let lines = lines_with("/hooks/file");
    let store = format!("store=\"sqlite:{}\"", absolute.display());
    assert!(
        lines.len() == 1 && lines[0].contains(&store) && lines[0].contains("mode=\"queued\""),
        "{lines:#?}"
    );
}

/// The store's own transaction does not mean to give up what is configured.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_store_with_transactions_is_the_configured_one() {
    use std::sync::{Arc, Mutex};

    use idnow_webhooks_core::event::RawEvent;
    use idnow_webhooks_core::store::EventStore;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let settings = with_secret("/hooks/own", &[("IDNOW_STORE", &format!("sqlite:{}", path.display()))]);
    let store = settings.open_sqlite().await.unwrap();
    let (shared, handled) = (store.clone(), Arc::new(Mutex::new(0)));
    let counter = Arc::clone(&handled);
    let handlers = EventRouter::new().on_any(move |event: RawEvent| {
        let (store, counter) = (shared.clone(), Arc::clone(&counter));
        async move {
            let transaction = store.transaction(&event).await?;
            transaction.commit().await?;
            *counter.lock().unwrap() += 1;
            Ok(())
        }
    });
    let (receiver, worker) = settings.queued_on(store.clone(), handlers.clone()).await.unwrap();
    let event = SampleEvent::completed();
    assert_eq!(provider().deliver(&receiver, &event).await.code(), "stored");
    for _ in 0..200 {
        if store.completed().await.unwrap() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    worker.stop().await;
    assert_eq!((store.completed().await.unwrap(), *handled.lock().unwrap()), (1, 1));
    let lines = lines_with("/hooks/own");
    assert!(lines.len() == 1 && lines[0].contains(path.to_str().unwrap()), "{lines:#?}");

    let receiver = settings.inline_on(store.clone(), handlers).await.unwrap();
    assert_eq!(provider().deliver(&receiver, &event).await.code(), "duplicate");
    assert_eq!(provider().deliver(&receiver, &SampleEvent::completed()).await.code(), "handled");
    assert_eq!((store.completed().await.unwrap(), *handled.lock().unwrap()), (2, 2));
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_store_of_another_kind_is_no_store_with_transactions() {
    for (store, found) in [("memory", "memory"), ("postgres://me:hush@127.0.0.1:1/bank", "postgres")] {
        let error = with_secret("/", &[("IDNOW_STORE", store)]).open_sqlite().await.unwrap_err().to_string();
        let expected = format!("expected sqlite:PATH, found one of the kind {found}");
        assert!(error.starts_with("IDNOW_STORE: ") && error.contains(&expected), "{error}");
    }
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_store_in_postgresql_has_its_pool_and_is_named_without_its_password() {
    let server = idnow_webhooks_private_postgres::PrivatePostgres::shared().await.unwrap();
    let url = server.create_database().await.unwrap();
    let (_, place) = url.rsplit_once('@').unwrap();
    idnow_webhooks_watch::plant(url.split([':', '@']).nth(2).unwrap());
    let variables = [("IDNOW_STORE", url.as_str()), ("IDNOW_STORE_POOL", "3"), ("IDNOW_RETENTION_DAYS", "7")];
    let settings = with_secret("/hooks/postgres", &variables);
    let store = settings.open_postgres().await.unwrap();
    assert_eq!(store.pool().options().get_max_connections(), 3);
    settings.queued_on(store, EventRouter::new()).await.unwrap().1.stop().await;
    settings.queued(EventRouter::new()).await.unwrap().1.stop().await;
    let lines = lines_with("/hooks/postgres");
    let [own, configured] = &lines[..] else { panic!("{lines:#?}") };
    let (_, database) = place.split_once('/').unwrap();
    assert!(own.contains("127.0.0.1") && own.contains(database), "{own}");
    assert!(configured.contains(&format!("store=\"postgres://{place}\"")), "{configured}");

    let error = with_secret("/", &[("IDNOW_STORE", "memory")]).open_postgres().await.unwrap_err();
    assert!(error.to_string().contains("expected postgres://USER:PASSWORD@HOST/DATABASE"), "{error}");
}

/// What has no effect on an event is seen in `Debug` alone.
#[tokio::test]
async fn limits_reach_worker_and_receiver() {
    let settings = with_secret(
        "/",
        &[
            ("IDNOW_STORE", "memory"),
            ("IDNOW_LEASE_SECONDS", "41"),
            ("IDNOW_HANDLER_LIMIT_SECONDS", "42"),
            ("IDNOW_DRAIN_LIMIT_SECONDS", "43"),
            ("IDNOW_MAX_LIFETIME_SECONDS", "4400"),
            ("IDNOW_MAX_AGE_SECONDS", "4500"),
        ],
    );
    let store = settings.open_store().await.unwrap();
    let worker = format!("{:?}", settings.worker_builder(store, EventRouter::new()));
    for part in ["lease: 41s", "handler_limit: 42s", "drain_limit: 43s"] {
        assert!(worker.contains(part), "{part} is not in {worker}");
    }
    let receiver = format!("{:?}", settings.receiver_builder().await.unwrap());
    for part in ["handler_limit: 42s", "max_lifetime: 4400", "max_age: Some(4500)", "max_body_bytes: 262144"]
    {
        assert!(receiver.contains(part), "{part} is not in {receiver}");
    }
    let defaults = with_secret("/", &[("IDNOW_STORE", "memory")]);
    let store = defaults.open_store().await.unwrap();
    let worker = format!("{:?}", defaults.worker_builder(store, EventRouter::new()));
    assert!(worker.contains("handler_limit: 300s"), "{worker}");
    let receiver = format!("{:?}", defaults.receiver_builder().await.unwrap());
    assert!(receiver.contains("handler_limit: 60s"), "{receiver}");
}

#[tokio::test]
async fn a_token_beyond_the_limits_of_age_and_lifetime_is_not_accepted() {
    let memory = ("IDNOW_STORE", "memory");
    let token = |issued: i64, lasts: i64| {
        provider().token_with(&SampleEvent::completed(), |claims| {
            let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
            claims.insert("iat".into(), (now - issued).into());
            claims.insert("exp".into(), (now - issued + lasts).into());
        })
    };
    for (limit, token, accepted) in [
        (("IDNOW_MAX_LIFETIME_SECONDS", "600"), token(0, 600), true),
        (("IDNOW_MAX_LIFETIME_SECONDS", "600"), token(0, 3600), false),
        (("IDNOW_MAX_AGE_SECONDS", "600"), token(100, 3600), true),
        (("IDNOW_MAX_AGE_SECONDS", "600"), token(1000, 3600), false),
        (memory, token(1000, 3600), true),
    ] {
        let settings = with_secret("/", &[memory, limit]);
        let receiver = settings.inline(EventRouter::new()).await.unwrap();
        let outcome = deliver_token(&receiver, token).await;
        assert_eq!(outcome.is_accepted(), accepted, "{limit:?}: {outcome:?}");
    }
}

#[test]
fn what_is_dangerous_is_said_at_the_start() {
    let memory = ("IDNOW_STORE", "memory");
    let postgres = ("IDNOW_STORE", "postgres://db.example/bank");
    let production = [("IDNOW_ENVIRONMENT", "production"), postgres];
    let said = |mode: Mode, variables: &[(&str, &str)]| read(variables).unwrap().risks(mode).join("\n");

    assert_eq!(said(Mode::Queued, &[postgres]), "");
    assert!(said(Mode::Queued, &[memory]).contains("IDNOW_STORE is memory"));
    assert_eq!(said(Mode::Inline, &[memory]), "");

    assert_eq!(said(Mode::Inline, &[memory, ("IDNOW_ANSWER_DEADLINE_MS", "9500")]), "");
    let late = said(Mode::Inline, &[memory, ("IDNOW_ANSWER_DEADLINE_MS", "9501")]);
    assert!(late.contains("IDNOW_ANSWER_DEADLINE_MS is 9501") && late.contains("waits for 10 s"), "{late}");

    let anybodys = "neither IDNOW_EXPECTED_FLOWS nor IDNOW_REQUIRED_HEADERS is set";
    assert!(said(Mode::Queued, &production).contains(anybodys));
    for protected in [
        ("IDNOW_EXPECTED_FLOWS", "flow-1"),
        ("IDNOW_REQUIRED_HEADERS", "X-Auth: hush"),
        // Nobody else's events are signed with it.
        ("IDNOW_WEBHOOK_SECRET", SECRET),
    ] {
        assert_eq!(said(Mode::Queued, &[&production[..], &[protected]].concat()), "", "{protected:?}");
    }
    // However production was named.
    let base = [("IDNOW_AUDIENCE", "https://bank.example/hook"), postgres];
    let by_issuer = [&base[..], &[("IDNOW_ISSUER", Preset::Production.issuer())]].concat();
    let settings = Settings::from_variables(super::owned(&by_issuer)).unwrap();
    assert!(settings.risks(Mode::Queued).join("\n").contains(anybodys));
}

#[tokio::test]
async fn a_risk_is_a_warning() {
    let variables = [("IDNOW_STORE", "memory"), ("IDNOW_ANSWER_DEADLINE_MS", "9777")];
    with_secret("/", &variables).inline(EventRouter::new()).await.unwrap();
    let lines = lines_with("IDNOW_ANSWER_DEADLINE_MS is 9777");
    assert!(lines.len() == 1 && lines[0].contains(" WARN idnow_webhooks::settings: "), "{lines:#?}");
}

/// It is not the settings that need the feature, but keys that come from elsewhere.
#[cfg(not(feature = "jwks"))]
#[tokio::test]
async fn without_the_feature_jwks_only_a_secret_works() {
    let memory = ("IDNOW_STORE", "memory");
    for (settings, variable) in [
        (read(&[memory]), "IDNOW_JWKS_URL"),
        (read(&[memory, ("IDNOW_JWKS_FILE", "/keys.json")]), "IDNOW_JWKS_FILE"),
        (read(&[memory, ("IDNOW_ISSUER", "https://auth.example")]), "IDNOW_ISSUER"),
    ] {
        let error = settings.unwrap().inline(EventRouter::new()).await.unwrap_err().to_string();
        assert!(error.starts_with(variable) && error.contains("without the feature `jwks`"), "{error}");
    }
}
