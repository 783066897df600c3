use idnow_webhooks::keys::Algorithm;
use idnow_webhooks_testkit::{Provider, SampleEvent, SigningKey, compact};
use serde_json::json;

use super::listen::{AUDIENCE, Setup, client, post};
use super::target::Target;

/// What no forgery may get printed.
const MARK: &str = "FORGED-1234";

/// Tokens whose signature does not hold.
fn forged(provider: &Provider) -> Vec<(&'static str, u16, &'static str, String)> {
    let event = SampleEvent::completed().set("payload.note", MARK);
    let token = |provider: Provider| provider.token(&event);
    let known = provider.key().key_id().unwrap();
    let wrong_key = SigningKey::shared_other().with_key_id(known);
    let secret = SigningKey::from_secret(Algorithm::Hs256, "x".repeat(32)).with_key_id(known);
    let claims = provider.claims(&event).to_string();
    let genuine = provider.token(&SampleEvent::completed());
    let claims_of = token(provider.clone());
    let parts: Vec<_> = genuine.split('.').collect();
    let tampered = [parts[0], claims_of.split('.').nth(1).unwrap(), parts[2]].join(".");
    let odd = json!({ "alg": MARK, "kid": known }).to_string();
    vec![
        ("signature", 401, "false_signature", tampered),
        ("signature", 401, "false_signature", token(provider.clone().with_key(wrong_key.clone()))),
        ("signature", 401, "false_signature", token(provider.clone().with_key(wrong_key).with_issuer(MARK))),
        ("algorithm", 401, "wrong_algorithm", compact(r#"{"alg":"none"}"#, &claims, "")),
        ("algorithm", 401, "wrong_algorithm", compact(odd, &claims, "")),
        ("algorithm", 401, "wrong_algorithm", token(provider.clone().with_key(secret))),
        ("three segments", 400, "malformed_token", MARK.to_owned()),
        ("header", 400, "malformed_token", compact(format!(r#"{{"{MARK}":1}}"#), &claims, "x")),
        ("key", 503, "unknown_key", compact(r#"{"alg":"RS256"}"#, MARK, "x")),
        (
            "key",
            503,
            "keys_unavailable",
            token(provider.clone().with_key(SigningKey::shared_other().with_key_id(MARK))),
        ),
    ]
}

/// Tokens whose signature holds, and that do not fit. The error quotes what they say.
fn genuine(provider: &Provider) -> Vec<(&'static str, u16, &'static str, String)> {
    let event = SampleEvent::completed();
    let moved = |seconds: i64| {
        provider.token_with(&event, |claims| {
            for name in ["iat", "exp"] {
                let time = claims[name].as_i64().unwrap() + seconds;
                claims.insert(name.to_owned(), time.into());
            }
        })
    };
    vec![
        (
            r#"seen "https://shop.example""#,
            503,
            "wrong_issuer",
            provider.clone().with_issuer("https://shop.example").token(&event),
        ),
        (
            r#"seen ["https://shop.example"]; IDNOW_AUDIENCE"#,
            503,
            "wrong_audience",
            provider.clone().with_audience("https://shop.example").token(&event),
        ),
        ("expired", 503, "expired", moved(-10_000_000)),
        ("ahead", 503, "not_yet_valid", moved(123_456)),
    ]
}

/// The answer, the code and a reason are told; of the token nothing is.
#[tokio::test(flavor = "multi_thread")]
async fn a_forgery_is_refused_and_nothing_of_it_is_printed() {
    let target = Target::start().await;
    let mut setup = Setup::new(&["--forward-to", &target.url], &[("IDNOW_JWKS_MIN_REFRESH_SECONDS", "1")]);
    // Keys are fetched again only when they are a second old.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let refused = [forged(&setup.provider), genuine(&setup.provider)].concat();
    let count = refused.len();
    for (what, status, code, token) in refused {
        let response = post(&setup.url, token.clone()).await;
        assert_eq!(response.status(), status, "{what}");
        let problem: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(problem["code"], code, "{what}");
        let line = setup.listener.json();
        assert_eq!(
            (&line["kind"], &line["status"], &line["code"]),
            (&"refused".into(), &status.into(), &code.into())
        );
        let reason = line["reason"].as_str().unwrap();
        assert!(reason.contains(what), "{what}: {reason}");
    }
    assert!(target.got().is_empty(), "nothing of it was sent on");
    let ended = setup.listener.stop();
    assert!(!ended.out.contains(MARK) && !ended.err.contains(MARK), "{ended:?}");
    assert!(
        ended.out.ends_with(&format!(
            "{{\"kind\":\"stopped\",\"events\":0,\"refused\":{count},\"notTaken\":0}}\n"
        ))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_delivery_is_told_too() {
    let mut setup = Setup::new(&[], &[("IDNOW_REQUIRED_HEADERS", "X-Auth-Token: hunter2")]);
    let token = setup.provider.token(&SampleEvent::created());
    let send = |path: &str, header: Option<&str>, media_type: &str| {
        let url = setup.url.replace("/webhooks/idnow", path);
        let request = client().post(url).header("content-type", media_type).body(token.clone());
        let request =
            header.into_iter().fold(request, |request, value| request.header("x-auth-token", value));
        async { request.send().await.unwrap().status().as_u16() }
    };
    let at = "/webhooks/idnow";
    for (path, header, media_type, status, code) in [
        ("/other", None, "application/jwt", 404, "other_path"),
        (at, None, "application/jwt", 401, "unauthorized"),
        (at, Some("wrong-secret"), "application/jwt", 401, "unauthorized"),
    ] {
        assert_eq!(send(path, header, media_type).await, status);
        let line = setup.listener.json();
        assert_eq!((&line["kind"], &line["code"]), (&"refused".into(), &code.into()), "{line}");
    }
    assert_eq!(send(at, Some("hunter2"), "text/plain").await, 200);
    assert_eq!(client().get(&setup.url).send().await.unwrap().status(), 405);
    let ended = setup.listener.stop();
    assert!(!ended.out.contains("hunter2") && !ended.out.contains("wrong-secret"), "{}", ended.out);
    assert!(ended.out.contains("the webhook is at /webhooks/idnow"), "{}", ended.out);
}

/// The keys cannot be fetched: that may pass, so the event must come again.
#[tokio::test(flavor = "multi_thread")]
async fn without_keys_everything_is_asked_to_come_again() {
    let (keys, provider) = super::listen::provider();
    keys.behave(idnow_webhooks_testkit::Behaviour::Status(500));
    let mut command = super::process::command(&["listen", "--listen", "127.0.0.1:0", "--json"]);
    command.env("IDNOW_ISSUER", keys.issuer()).env("IDNOW_AUDIENCE", AUDIENCE);
    let mut listener = super::process::Running::start(&mut command);
    let url = listener.json()["url"].as_str().unwrap().to_owned();
    let response = post(&url, provider.token(&SampleEvent::created())).await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let line = listener.json();
    assert_eq!(line["code"], "keys_unavailable");
    assert!(line["reason"].as_str().unwrap().contains("500"), "{line}");
}
