use idnow_webhooks::keys::Algorithm;
use idnow_webhooks_testkit::{Provider, SampleEvent, SigningKey, compact};

use super::listen::{AUDIENCE, Setup, client, post};
use super::target::Target;

/// What no forgery may get printed.
const MARK: &str = "FORGED-1234";

fn marked(provider: &Provider) -> Vec<(&'static str, u16, &'static str, String)> {
    let event = SampleEvent::completed().set("payload.note", MARK);
    let token = |provider: Provider| provider.token(&event);
    let wrong_key = SigningKey::shared_other().with_key_id(provider.key().key_id().unwrap());
    let claims = provider.claims(&event).to_string();
    let genuine = provider.token(&SampleEvent::completed());
    let claims_of = token(provider.clone());
    let parts: Vec<_> = genuine.split('.').collect();
    let tampered = [parts[0], claims_of.split('.').nth(1).unwrap(), parts[2]].join(".");
    let old = provider.token_with(&event, |claims| {
        for name in ["iat", "exp"] {
            let time = claims[name].as_i64().unwrap() - 10_000_000;
            claims.insert(name.to_owned(), time.into());
        }
    });
    let ahead = provider.token_with(&event, |claims| {
        for name in ["iat", "exp"] {
            let time = claims[name].as_i64().unwrap() + 123_456;
            claims.insert(name.to_owned(), time.into());
        }
    });
    vec![
        ("signature", 401, "token_refused", tampered),
        ("signature", 401, "token_refused", token(provider.clone().with_key(wrong_key))),
        ("issuer", 401, "token_refused", token(provider.clone().with_issuer(MARK))),
        ("audience", 401, "token_refused", token(provider.clone().with_audience(MARK))),
        ("algorithm", 401, "token_refused", compact(format!(r#"{{"alg":"{MARK}"}}"#), &claims, "")),
        ("algorithm", 401, "token_refused", compact(r#"{"alg":"none"}"#, &claims, "")),
        (
            "algorithm",
            401,
            "token_refused",
            token(provider.clone().with_key(SigningKey::from_secret(Algorithm::Hs256, "x".repeat(32)))),
        ),
        ("expired", 401, "token_refused", old),
        ("valid only in the future", 503, "not_yet_valid", ahead),
        ("three segments", 400, "malformed_token", MARK.to_owned()),
        ("claims", 400, "malformed_token", compact(r#"{"alg":"RS256"}"#, MARK, "x")),
        ("header", 400, "malformed_token", compact(format!(r#"{{"{MARK}":1}}"#), &claims, "x")),
        (
            "key",
            401,
            "token_refused",
            token(provider.clone().with_key(SigningKey::shared_other().with_key_id(MARK))),
        ),
    ]
}

/// The answer, the code and a reason are told; of the token nothing is.
#[tokio::test(flavor = "multi_thread")]
async fn a_forgery_is_refused_and_nothing_of_it_is_printed() {
    let target = Target::start().await;
    let mut setup = Setup::new(&["--forward-to", &target.url], &[("IDNOW_JWKS_MIN_REFRESH_SECONDS", "1")]);
    // Keys are fetched again only when they are a second old.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let forgeries = marked(&setup.provider);
    let count = forgeries.len();
    for (what, status, code, token) in forgeries {
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
    for piece in [MARK, "123456", "123396", "10000000", "99964"] {
        assert!(!ended.out.contains(piece) && !ended.err.contains(piece), "{piece}: {ended:?}");
    }
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
        (at, Some("hunter2"), "text/plain", 415, "unsupported_media_type"),
    ] {
        assert_eq!(send(path, header, media_type).await, status);
        let line = setup.listener.json();
        assert_eq!((&line["kind"], &line["code"]), (&"refused".into(), &code.into()), "{line}");
    }
    assert_eq!(send(at, Some("hunter2"), "application/jwt").await, 200);
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
