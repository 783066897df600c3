//! What fails, at every level of the log, in this process: a watched one.

use std::time::Duration;

use idnow_webhooks::event::RawEvent;
use idnow_webhooks::settings::Keys;
use idnow_webhooks::{EventRouter, HandlerError, Settings};
use idnow_webhooks_conformance::watch::{assert_no_secret, plant, watch_everything};
use idnow_webhooks_conformance::{Protocol, Subject, Target, delivery};
use idnow_webhooks_postgres::PostgresStore;
use idnow_webhooks_private_postgres::PrivatePostgres;
use idnow_webhooks_testkit::{KeyServer, Provider, SampleEvent, SigningKey};

use crate::secret;

fn settings(variables: &[(&str, &str)]) -> Settings {
    let common = [("IDNOW_AUDIENCE", Provider::AUDIENCE), ("IDNOW_STORE", "memory")];
    let all = common.iter().chain(variables).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::from_variables(all).unwrap()
}

/// The password of the database, wherever connecting to it or working with it goes wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_fails() {
    watch_everything();
    let server = PrivatePostgres::start().await.unwrap();
    let url = server.create_database().await.unwrap();
    let password = url.split([':', '@']).nth(2).unwrap();
    plant(password);
    let wrong = [
        url.replace(password, &secret("password")),
        format!("postgres://user:{}@127.0.0.1:1/events", secret("password")),
        format!("postgres://user:{}@[::1/events", secret("password")),
        format!(
            "postgres://user:{}@127.0.0.1/events?sslrootcert=/nonexistent&sslmode=verify-full",
            secret("tls")
        ),
        format!("{url}-none"),
    ];
    for url in wrong {
        let error = PostgresStore::connect(&url).await.unwrap_err();
        assert_no_secret("an error of the database", &format!("{error} {error:?}"));
    }
    let store = PostgresStore::connect(&url).await.unwrap();
    assert_no_secret("Debug", &format!("{store:?} {:?}", PostgresStore::builder()));
    let provider = Provider::new();
    let receiver = provider.receiver().queued(store).keep_evidence(true).build().unwrap();
    assert_eq!(provider.deliver(&receiver, &SampleEvent::completed()).await.status(), 200);
    server.kill().await.unwrap();
    assert_eq!(provider.deliver(&receiver, &SampleEvent::completed()).await.status(), 503);
    assert!(!receiver.health().await.ready);
}

/// Keys are behind a URL with a password and a query, and the server does everything wrong.
#[tokio::test]
async fn a_key_server_that_fails() {
    watch_everything();
    let keys = KeyServer::start().unwrap();
    let place = keys.jwks_url().replace("http://", &format!("http://user:{}@", secret("user")));
    let place = format!("{place}?key={}", secret("query"));
    let nobody = format!("http://user:{}@127.0.0.1:1/?key={}", secret("user"), secret("query"));
    for url in [place.as_str(), nobody.as_str()] {
        for served in [false, true] {
            if served {
                keys.publish(&[&SigningKey::shared_other()]);
            }
            let settings = settings(&[("IDNOW_ISSUER", keys.issuer()), ("IDNOW_JWKS_URL", url)]);
            assert!(matches!(settings.keys, Keys::Url(_)));
            let receiver = settings.inline(EventRouter::new()).await.unwrap();
            let provider = Provider::new().with_issuer(keys.issuer());
            for _ in 0..3 {
                let status = provider.deliver(&receiver, &SampleEvent::completed()).await.status();
                assert!(status == 401 || status == 503, "{status}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert_no_secret("health", &format!("{:?} {receiver:?}", receiver.health().await));
        }
    }
}

/// The shared secret, required headers, and what strangers send in their place, through every server.
#[tokio::test(flavor = "multi_thread")]
async fn deliveries_by_shared_secret() {
    watch_everything();
    let (shared, header) = (secret("shared"), secret("header"));
    let settings = settings(&[
        ("IDNOW_ISSUER", Provider::ISSUER),
        ("IDNOW_WEBHOOK_SECRET", &shared),
        ("IDNOW_REQUIRED_HEADERS", &format!("X-Auth-Token: {header}")),
        ("IDNOW_KEEP_EVIDENCE", "yes"),
    ]);
    let by = |key: &str| {
        Provider::new().with_key(SigningKey::from_secret(idnow_webhooks::keys::Algorithm::Hs256, key))
    };
    let failing = || {
        let fails = |event: RawEvent| async move {
            match event.name.as_str() {
                "session.created" => Err(HandlerError::retry("later")),
                "session.expired" => Err(HandlerError::permanent("never")),
                "session.error" => panic!("broken"),
                _ => Ok(()),
            }
        };
        EventRouter::new().on_any(fails)
    };
    let events = [
        SampleEvent::completed(),
        SampleEvent::created(),
        SampleEvent::expired(),
        SampleEvent::error(),
        SampleEvent::completed().remove("payload"),
    ]
    .map(|event| event.set("note", secret("data")).set("payload.note", secret("payload")));
    for subject in Subject::ALL {
        for protocol in Protocol::ALL {
            let on = Target { subject, protocol };
            let server = on.start(settings.inline(failing()).await.unwrap());
            for event in &events {
                for key in [&shared, &secret("another")] {
                    for value in [&header, &secret("wrong")] {
                        let mut request = delivery(by(key).token(event));
                        request.headers_mut().insert("x-auth-token", value.parse().unwrap());
                        request.headers_mut().insert("authorization", secret("basic").parse().unwrap());
                        request.headers_mut().insert("cookie", secret("cookie").parse().unwrap());
                        let answer = on.connect(&server).await.send(request).await;
                        assert_no_secret("an answer", &format!("{answer:?}"));
                        assert_eq!(answer.status == 401, *value != header, "{answer:?}");
                        let unknown = answer.body.contains("unknown_key");
                        assert_eq!(unknown, *value == header && *key != shared, "{answer:?}");
                    }
                }
            }
        }
    }
}
