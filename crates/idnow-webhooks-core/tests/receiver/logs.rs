//! What is logged: one line that explains a refusal, and never a token, a secret or a body.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use idnow_webhooks_core::keys::{Algorithm, KeySet, StaticKeys};
use idnow_webhooks_core::store::MemoryStore;
use idnow_webhooks_core::{Admission, EventRouter, HandlerError, Receiver, RequiredHeader, Secret, Verifier};
use idnow_webhooks_testkit::{Provider, SampleEvent, SigningKey};
use tracing::Level;

use crate::capture::{BrokenMetrics, Capture};
use crate::scripted::ScriptedStore;
use crate::{DEADLINE, counting, post, runs};

async fn refused_by_handler(provider: &Provider, result: fn() -> Result<(), HandlerError>) {
    let receiver =
        provider.receiver().handlers(counting(move |_| async move { result() }).0).build().unwrap();
    provider.deliver(&receiver, &SampleEvent::completed()).await;
}

#[tokio::test]
async fn every_refusal_is_one_event_that_explains_itself() {
    let (capture, _guard) = Capture::start();
    let provider = Provider::new();
    let receiver = provider.receiver().max_body_bytes(5000).build().unwrap();
    let event = SampleEvent::completed();
    let stranger = provider.clone().with_key(SigningKey::shared_other());
    let forger = SigningKey::shared_other().with_key_id(SigningKey::shared().key_id().unwrap());
    let old = |claims: &mut serde_json::Map<String, serde_json::Value>| {
        claims["iat"] = 1_600_000_000.into();
        claims["exp"] = 1_600_003_600.into();
    };
    for (lines, token, (outcome, status, level, reason)) in [
        (vec![], "x".to_owned(), ("malformed_token", "400", Level::WARN, "three segments")),
        (vec![], stranger.token(&event), ("unknown_key", "503", Level::WARN, "known ids are [")),
        (
            vec![],
            provider.clone().with_key(forger).token(&event),
            ("false_signature", "401", Level::WARN, "does not hold"),
        ),
        (vec![], provider.token_with(&event, old), ("expired", "503", Level::ERROR, "IDNOW_LEEWAY_SECONDS")),
        (
            vec![],
            provider.clone().with_audience("a\nb").token(&event),
            ("wrong_audience", "503", Level::ERROR, r#"seen ["a\nb"]; IDNOW_AUDIENCE"#),
        ),
        (
            vec![],
            provider.clone().with_issuer("i").token(&event),
            ("wrong_issuer", "503", Level::ERROR, "expected one of"),
        ),
        (
            vec![],
            provider.token_with(&event, |claims| drop(claims.remove("aud"))),
            ("unusable_claims", "503", Level::ERROR, "claim `aud` is missing"),
        ),
        (vec![], "x".repeat(6000), ("body_too_large", "413", Level::WARN, "5000 bytes")),
        (
            vec![("content-encoding", "gzip")],
            String::new(),
            ("unsupported_encoding", "415", Level::WARN, "gzip"),
        ),
        (
            vec![],
            provider.token(&event.clone().remove("payload")),
            ("event_unreadable", "503", Level::WARN, "payload"),
        ),
    ] {
        post(&receiver, &lines, token).await;
        let (logged, fields) = capture.only();
        assert_eq!(logged, level, "{fields:?}");
        assert_eq!((&*fields["outcome"], &*fields["status"]), (outcome, status));
        assert!(fields["reason"].contains(reason), "{fields:?}");
        assert!(!fields["reason"].chars().any(char::is_control), "{fields:?}");
        fields["elapsed_us"].parse::<u64>().unwrap();
        // What the signature vouches for is named, whatever does not fit.
        if level == Level::ERROR && outcome != "unusable_claims" {
            assert_eq!(fields["event_id"], event.event_id());
            assert_eq!(fields["session_id"], event.data()["payload"]["sessionId"]);
        }
    }
    refused_by_handler(&provider, || Err(io::Error::other("on\ntwo lines").into())).await;
    let (_, fields) = capture.only();
    assert_eq!(fields["outcome"], "handler_failed");
    assert!(fields["reason"].contains(r"on\ntwo lines"), "{fields:?}");
    assert_eq!((&*fields["event_name"], &*fields["attempt"]), ("session.completed", "1"));
    refused_by_handler(&provider, || panic!("broken")).await;
    assert!(capture.only().1["reason"].contains("panicked: broken"));

    let store = ScriptedStore::default();
    store.fail_begin(true);
    let receiver = provider.receiver().store(store).build().unwrap();
    provider.deliver(&receiver, &event).await;
    let (level, fields) = capture.only();
    assert_eq!(level, Level::ERROR);
    assert_eq!((&*fields["outcome"], &*fields["status"]), ("store_unavailable", "503"));
    assert!(fields["reason"].contains("disk full"));
    assert_eq!(fields["event_id"], event.event_id());
}

/// In an outage each delivery would be a line: the first is one, then there is a count.
#[tokio::test(start_paused = true)]
async fn refusals_of_one_kind_are_counted_and_not_repeated() {
    let (capture, _guard) = Capture::start();
    let provider = Provider::new();
    let store = ScriptedStore::default();
    store.fail_insert(true);
    let receiver = provider.receiver().queued(store.clone()).build().unwrap();
    let mut lines = Vec::new();
    for _ in 0..3000 {
        provider.deliver(&receiver, &SampleEvent::created()).await;
        lines.extend(capture.take().into_iter().filter(|event| event.level < Level::DEBUG));
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    assert_eq!(lines.len(), 6, "one each five seconds: {lines:?}");
    let more: Vec<_> = lines.iter().map(|line| line.fields.get("more").cloned()).collect();
    assert_eq!(more[0], None);
    assert!(more[1..].iter().all(|more| more.as_deref() == Some("499")), "{more:?}");

    // Another kind is not kept back by the first, and the last count is not lost.
    post(&receiver, &[], "x").await;
    let [refused, count] = &capture.take()[..] else { panic!("a refusal and a count") };
    assert_eq!(refused.fields["outcome"], "malformed_token");
    assert_eq!((&*count.fields["outcome"], &*count.fields["more"]), ("store_unavailable", "499"));
}

/// A log or a metrics recorder that is broken decides about no answer.
#[tokio::test]
async fn a_broken_log_and_broken_metrics_change_no_answer() {
    let _log = crate::capture::broken_log("");
    let _metrics = metrics::set_default_local_recorder(&BrokenMetrics);
    let provider = Provider::new();
    let store = ScriptedStore::default();
    let (router, count) = counting(|_| async { Ok(()) });
    let queued = provider.receiver().queued(store.clone()).build().unwrap();
    let inline = provider.receiver().handlers(router).build().unwrap();
    let mut codes = Vec::new();
    for event in [SampleEvent::completed(), SampleEvent::named("session.paused")] {
        codes.push(provider.deliver(&queued, &event).await.code());
        codes.push(provider.deliver(&inline, &event).await.code());
        codes.push(provider.clone().with_audience("x").deliver(&queued, &event).await.code());
    }
    codes.push(post(&queued, &[], "x").await.code());
    let one = ["stored", "handled", "wrong_audience"];
    assert_eq!(codes, [&one[..], &one[..], &["malformed_token"]].concat());
    assert_eq!((store.inserted().len(), runs(&count)), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn accepted_unknown_monitored_and_abandoned_deliveries_are_logged_too() {
    let (capture, _guard) = Capture::start();
    let provider = Provider::new();
    let receiver = provider.receiver().build().unwrap();
    let event = SampleEvent::completed();
    provider.deliver(&receiver, &event).await;
    let (level, fields) = capture.only();
    assert_eq!(level, Level::INFO);
    assert_eq!((&*fields["outcome"], &*fields["status"], &*fields["attempt"]), ("handled", "200", "1"));
    assert_eq!((&*fields["event_id"], &*fields["event_name"]), (event.event_id(), "session.completed"));
    assert_eq!(fields["session_id"], event.data()["payload"]["sessionId"]);

    provider.deliver(&receiver, &SampleEvent::named("new\nkind")).await;
    let unknown = capture.first();
    assert_eq!(unknown.fields["name"], r#""new\nkind""#);
    assert_eq!(capture.only().1["outcome"], "handled");

    let monitoring = Admission::new().allow("192.0.2.0/24".parse().unwrap()).monitor();
    let receiver = provider.receiver().admission(monitoring).build().unwrap();
    provider.deliver(&receiver, &SampleEvent::created()).await;
    let monitored = capture.first();
    assert!(monitored.fields["reason"].contains("no peer address"), "{monitored:?}");
    assert_eq!(capture.only().1["outcome"], "handled");

    let hanging = EventRouter::new().on_any(|_| std::future::pending());
    let receiver = provider.receiver().handlers(hanging).build().unwrap();
    tokio::time::timeout(DEADLINE, provider.deliver(&receiver, &event)).await.unwrap_err();
    let (level, fields) = capture.only();
    assert_eq!((level, &*fields["outcome"]), (Level::WARN, "client_gone"));
}

#[tokio::test]
async fn no_token_secret_or_body_is_ever_among_it() {
    let (capture, _guard) = Capture::start();
    let provider = Provider::new();
    let admission =
        Admission::new().require(RequiredHeader::new("X-Auth-Token", ["hush-current", "hush-next"]).unwrap());
    let guarded = provider.receiver().admission(admission).build().unwrap();
    let event = SampleEvent::completed().set("note", "hush-data").set("payload.sessionId", "hush-session");
    let tokens = [
        provider.token(&event),
        provider.clone().with_key(SigningKey::shared_other()).token(&event),
        provider.token(&SampleEvent::completed().set("note", "hush-data")),
        provider.token_with(&event, |claims| drop(claims.remove("aud"))),
        provider.token(&event).replace('.', "="),
    ];
    for token in &tokens {
        for auth in ["hush-current", "hush-wrong"] {
            let lines = [("x-auth-token", auth), ("authorization", "Basic hush"), ("cookie", "hush")];
            post(&guarded, &lines, token.clone()).await;
            let with_header = [("x-auth-token", auth), ("x-idnow-signature", token)];
            post(&guarded, &with_header, "hush-loose-body").await;
        }
    }
    let secret = Secret::from("hush-secret-hush-secret-hush-secret");
    let verifier = Verifier::builder()
        .issuer(Provider::ISSUER)
        .audience(Provider::AUDIENCE)
        .algorithms([Algorithm::Hs256])
        .build()
        .unwrap();
    let keys = StaticKeys::new(KeySet::from_secrets([&secret]).unwrap());
    let shared = Receiver::builder(verifier, keys).build().unwrap();
    let by = |secret: &[u8]| provider.clone().with_key(SigningKey::from_secret(Algorithm::Hs256, secret));
    by(secret.expose()).deliver(&shared, &SampleEvent::created()).await;
    by(b"hush-another").deliver(&shared, &SampleEvent::created()).await;

    capture.take();
    let logged = capture.everything();
    assert!(logged.contains("unknown_key") && logged.contains("unauthorized"), "{logged}");
    assert!(!logged.contains("hush"), "{logged}");
    for token in &tokens {
        for segment in token.split(['.', '=']).filter(|segment| segment.len() > 10) {
            assert!(!logged.contains(segment), "{segment} in {logged}");
        }
    }
}

/// Another customer's refusals must not hide why ours are refused.
#[tokio::test]
async fn what_others_cause_hides_no_reason_of_ours() {
    let (capture, _guard) = Capture::start();
    let provider = Provider::new();
    let store = Arc::new(MemoryStore::new());
    let builder = provider.receiver().queued(Arc::clone(&store)).expected_flow("ours");
    let receiver = builder.build().unwrap();
    let theirs = provider.clone().with_audience("https://their.example/hook");
    let ours = provider.clone().with_audience("https://old.bank.example/hook");
    let send = |token| post(&receiver, &[], token);
    let other = SampleEvent::completed().with_flow_id("theirs");
    assert_eq!(send(theirs.token(&other)).await.code(), "wrong_audience");
    let own = SampleEvent::completed().with_flow_id("ours");
    assert_eq!(send(ours.token(&own)).await.code(), "wrong_audience");
    let lines = capture.take();
    let seen = lines.iter().filter(|line| line.level == Level::ERROR);
    let shown = seen.filter(|line| format!("{line:?}").contains("old.bank.example")).count();
    assert_eq!(shown, 1, "{lines:?}");
}
