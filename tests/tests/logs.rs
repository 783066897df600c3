//! What a server writes into its log while it receives: one line for each delivery, but for repetitions, and no secret.
//!
//! The log belongs to the whole process, so this is a program of its own whose tests take turns.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use idnow_webhooks_conformance::watch::{Kept, watch_into};
use idnow_webhooks_conformance::{Protocol, Stage, Subject, Target, delivery, run};
use idnow_webhooks_core::{Admission, EventRouter, RequiredHeader};
use idnow_webhooks_testkit::{SampleEvent, SigningKey};

const SECRET: &str = "right-s3cret-value";
const WRONG: &str = "wrong-s3cret-value";

/// Of deliveries that are refused for the same reason, one in 5 s has a line.
const BETWEEN_LINES: Duration = Duration::from_millis(5200);

static LOG: Kept = Mutex::new(Vec::new());
static TURN: Mutex<()> = Mutex::new(());

/// Everything that the project says, and what its servers say by default.
fn take_turn() -> MutexGuard<'static, ()> {
    watch_into(&LOG);
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    LOG.lock().unwrap().clear();
    turn
}

fn lines() -> Vec<String> {
    let log = std::mem::take(&mut *LOG.lock().unwrap());
    String::from_utf8(log).unwrap().lines().map(str::to_owned).collect()
}

/// Sends one request that each check refuses, and asserts that one line says why.
async fn one_line_says_why(on: Target) {
    let stage = Stage::with(on, |receiver, _| {
        let required = RequiredHeader::new("X-Auth-Token", [SECRET]).unwrap();
        receiver
            .admission(Admission::new().require(required))
            .handlers(EventRouter::new())
            .max_body_bytes(8000)
    });
    let (provider, event) = (&stage.provider, SampleEvent::completed());
    let key_id = provider.key().key_id().unwrap().to_owned();
    let stranger = SigningKey::shared_other();
    let expired = provider.token_with(&event, |claims| {
        claims.insert("iat".into(), 1_600_000_000.into());
        claims.insert("exp".into(), 1_600_003_600.into());
    });
    let genuine = provider.token(&event);
    // The last is what the provider's key alone can cause.
    let refusals: [(&str, String, &str, &[&str]); 7] = [
        (
            WRONG,
            genuine.clone(),
            "WARN",
            &["unauthorized", "401", "`x-auth-token` has none of the accepted values"],
        ),
        (SECRET, "a".repeat(9000), "WARN", &["body_too_large", "413", "8000 bytes"]),
        (SECRET, "no token".into(), "WARN", &["malformed_token", "400", "three segments"]),
        (
            SECRET,
            provider.clone().with_key(stranger.clone()).token(&event),
            "WARN",
            &["unknown_key", "503", stranger.key_id().unwrap(), "known ids are", &key_id],
        ),
        (
            SECRET,
            provider.clone().with_key(stranger.clone().with_key_id(&key_id)).token(&event),
            "WARN",
            &["false_signature", "401", "RS256", &key_id],
        ),
        (
            SECRET,
            expired,
            "ERROR",
            &["expired", "503", " s ago, expected at most 60 s (IDNOW_LEEWAY_SECONDS)", event.event_id()],
        ),
        (
            SECRET,
            provider.clone().with_audience("https://shop.example/").token(&event),
            "ERROR",
            &[
                "wrong_audience",
                "503",
                "expected one of [https://bank.example/webhooks/idnow]",
                "seen [\"https://shop.example/\"]",
                "IDNOW_AUDIENCE",
                event.event_id(),
            ],
        ),
    ];
    drop(lines());
    for (secret, token, level, expected) in refusals {
        stage.send(with_secret(&token, secret)).await;
        let log = lines();
        let [line] = refused(&log)[..] else { panic!("{expected:?}: {log:#?}") };
        assert!(line.contains(level) && line.contains("source=127.0.0.1"), "{line}");
        for part in expected {
            assert!(line.contains(part), "{part:?} is not in {line}");
        }
        assert_no_secret(&log, &token);
        // Another one so soon has no line of its own.
        stage.send(with_secret(&token, secret)).await;
        let log = lines();
        assert_eq!(refused(&log), Vec::<&String>::new());
        assert_no_secret(&log, &token);
    }

    stage.send(with_secret(&genuine, SECRET)).await;
    let log = lines();
    let telling: Vec<_> = log.iter().filter(|line| line.contains("delivery accepted")).collect();
    let [line] = telling[..] else { panic!("{log:#?}") };
    for part in
        ["INFO", "outcome=\"handled\"", "status=200", event.event_id(), "session.completed", "attempt=\"1\""]
    {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
    assert_no_secret(&log, &genuine);
}

/// The lines about refused deliveries, but for those that are for debugging.
fn refused(log: &[String]) -> Vec<&String> {
    log.iter()
        .filter(|line| line.contains("deliver") && line.contains(" refused") && !line.contains("DEBUG"))
        .collect()
}

/// An outage must not write a line for each delivery.
async fn repetitions_are_counted(on: Target) {
    let stage = Stage::new(on);
    let send = async |bodies: &[&str]| {
        for body in bodies {
            stage.send(delivery((*body).to_owned())).await;
        }
        lines()
    };
    assert_eq!(refused(&send(&["no", "token", "here"]).await).len(), 1);
    tokio::time::sleep(BETWEEN_LINES).await;
    let log = send(&["again", "and again"]).await;
    let [line] = refused(&log)[..] else { panic!("{log:#?}") };
    assert!(line.contains("outcome=\"malformed_token\"") && line.contains("more=2"), "{line}");
    tokio::time::sleep(BETWEEN_LINES).await;
    // Here none comes any more, so what is accepted brings the count.
    let log = send(&[&stage.provider.token(&SampleEvent::completed())]).await;
    let [line] = refused(&log)[..] else { panic!("{log:#?}") };
    assert!(line.contains("outcome=\"malformed_token\"") && line.contains("more=1"), "{line}");
}

fn with_secret(token: &str, secret: &str) -> http::Request<idnow_webhooks_conformance::Body> {
    let mut request = delivery(token.to_owned());
    let name = HeaderName::from_static("x-auth-token");
    request.headers_mut().insert(name, HeaderValue::from_str(secret).unwrap());
    request
}

fn assert_no_secret(log: &[String], token: &str) {
    for line in log {
        let line = line.to_lowercase();
        for secret in [SECRET, WRONG].into_iter().chain(token.split('.').filter(|part| part.len() > 3)) {
            assert!(!line.contains(&secret.to_lowercase()), "{secret} is in {line}");
        }
    }
}

#[test]
fn what_is_refused_again_is_counted() {
    let _turn = take_turn();
    run(repetitions_are_counted(Target { subject: Subject::AxumLayer, protocol: Protocol::Http1 }));
}

macro_rules! one_line_says_why_on {
    ($($name:ident: $subject:ident,)+) => {
        $(#[test]
        fn $name() {
            let _turn = take_turn();
            for protocol in Protocol::ALL {
                run(one_line_says_why(Target { subject: Subject::$subject, protocol }));
            }
        })+
    };
}

one_line_says_why_on! {
    axum_layer: AxumLayer,
    axum_route: AxumRoute,
    actix_app: ActixApp,
    actix_scope: ActixScope,
    warp: Warp,
    hyper: Hyper,
}
