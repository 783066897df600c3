//! What holds a secret does not show it, nor does an error about it.

use std::fmt::{Debug, Display};

use idnow_webhooks::Settings;
use idnow_webhooks::jwks::{JwksSource, Location};
use idnow_webhooks::keys::{Algorithm, KeySet, StaticKeys};
use idnow_webhooks::store::Evidence;
use idnow_webhooks::{Admission, EventRouter, Head, Receiver, RequiredHeader, Secret};
use idnow_webhooks_conformance::watch::assert_no_secret;
use idnow_webhooks_sandbox::model::{EndpointChange, EventKind, Header, NewEndpoint};
use idnow_webhooks_sandbox::{Client, Sandbox, Trigger};
use idnow_webhooks_testkit::{Provider, SampleEvent, SigningKey};
use uuid::Uuid;

use crate::secret;

#[track_caller]
fn hides(value: &impl Debug) {
    assert_no_secret("Debug", &format!("{value:?} {value:#?}"));
}

#[track_caller]
fn tells_nothing(error: &(impl Debug + Display)) {
    assert_no_secret("an error", &format!("{error} {error:?} {error:#?}"));
}

fn settings(name: &str, value: String) -> Result<Settings, idnow_webhooks::settings::SettingsError> {
    let variables = [("IDNOW_ENVIRONMENT", "sandbox"), ("IDNOW_AUDIENCE", "https://bank.example")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Settings::from_variables(variables.into_iter().chain([(name.to_owned(), value)]))
}

#[tokio::test]
async fn what_a_receiver_is_made_of() {
    let shared = Secret::from(secret("shared"));
    let keys = || KeySet::from_secrets([&shared]).unwrap();
    let required = RequiredHeader::new("X-Auth-Token", [secret("header")]).unwrap();
    let basic = RequiredHeader::basic("idnow", &secret("basic"));
    hides(&(&shared, keys(), StaticKeys::new(keys()), &required, &basic));
    let admission = Admission::new().require(required).require(basic);
    hides(&admission);
    let signing = SigningKey::from_secret(Algorithm::Hs256, secret("signing"));
    hides(&signing);
    let provider = Provider::new().with_key(signing);
    hides(&provider);
    let receiver = provider.receiver().admission(admission).handlers(EventRouter::new());
    hides(&receiver);
    hides(&receiver.build().unwrap());
    let mut headers = http::HeaderMap::new();
    headers.insert("x-auth-token", secret("seen").parse().unwrap());
    hides(&Head { method: &http::Method::POST, headers: &headers, peer: None });
    tells_nothing(&KeySet::from_secrets([&Secret::from("short-s3cret")]).unwrap_err());
    tells_nothing(&RequiredHeader::new(&format!("X Y {}", secret("name")), ["v"]).unwrap_err());
}

#[tokio::test]
async fn what_was_verified_and_kept() {
    let provider = Provider::new();
    let receiver: Receiver = provider.receiver().keep_evidence(true).build().unwrap();
    let token = provider.token(&SampleEvent::completed());
    let mut headers = http::HeaderMap::new();
    headers.insert("content-type", "application/jwt".parse().unwrap());
    let head = Head { method: &http::Method::POST, headers: &headers, peer: None };
    let body = futures_util::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from(token.clone()))]);
    let delivery = receiver.verify(head, body).await.unwrap();
    hides(&delivery);
    hides(&Evidence::new(token, None));
}

#[test]
fn settings_and_their_errors() {
    for (name, value) in [
        ("IDNOW_WEBHOOK_SECRET", secret("webhook")),
        ("IDNOW_REQUIRED_HEADERS", format!("X-Auth-Token: {}", secret("header"))),
        ("IDNOW_STORE", format!("postgres://user:{}@127.0.0.1:1/events", secret("store"))),
        ("IDNOW_JWKS_URL", format!("https://user:{}@keys.example/jwks.json", secret("user"))),
        ("IDNOW_JWKS_URL", format!("https://keys.example/jwks.json?key={}", secret("query"))),
    ] {
        let settings = settings(name, value).unwrap();
        hides(&(&settings, &settings.keys, &settings.store, &settings.required_headers));
    }
    for (name, value) in [
        ("IDNOW_WEBHOOK_SECRET", "short-s3cret".to_owned()),
        ("IDNOW_REQUIRED_HEADERS", secret("no-colon")),
        ("IDNOW_REQUIRED_HEADERS", format!("X Y: {}", secret("header"))),
        ("IDNOW_STORE", format!("mysql://user:{}@host/events", secret("store"))),
        ("IDNOW_JWKS_URL", format!("http://user:{}@keys.example/", secret("plain"))),
        ("IDNOW_JWKS_URL", format!("https://user:{}@keys.example:port/", secret("no-url"))),
        ("IDNOW_ISSUER", format!("https://user:{}@auth.example/oidc", secret("issuer"))),
        ("IDNOW_REQUIRED_HEADER", secret("misspelt")),
        ("IDNOW_WEBHOOK_SECRET", format!("'{}'", secret("quoted"))),
        ("IDNOW_STORE", format!("\"postgres://user:{}@host/events\"", secret("quoted"))),
        ("IDNOW_WEBHOOK_SECRET_FILE", secret("instead-of-a-path")),
        ("IDNOW_STORE_FILE", format!("postgres://user:{}@host/events", secret("instead-of-a-path"))),
    ] {
        tells_nothing(&settings(name, value).unwrap_err());
    }
}

#[tokio::test]
async fn where_keys_are() {
    for url in [
        format!("https://user:{}@keys.example/jwks.json", secret("user")),
        format!("https://keys.example/jwks.json?key={}#{}", secret("query"), secret("fragment")),
        format!("http://user:{}@keys.example/", secret("plain")),
        format!("no url {}", secret("none")),
        format!("user:{}@host", secret("scheme")),
    ] {
        for location in [Location::url(&url), Location::insecure_url(&url), Location::issuer(&url)] {
            hides(&location);
            hides(&JwksSource::builder(location.clone()));
            if let Err(error) = location.validate() {
                tells_nothing(&error);
            }
        }
    }
}

#[tokio::test]
async fn what_the_sandbox_is_made_of() {
    let client = Client::new("me", secret("client"));
    hides(&client);
    let builder = Sandbox::builder().access_token(secret("access")).client(client);
    hides(&builder);
    let sandbox = builder.start().await.unwrap();
    hides(&(&sandbox, sandbox.clients()));
    let header = Header { name: "X-Auth-Token".into(), value: secret("header") };
    let mut endpoint = NewEndpoint::new(Uuid::nil(), "staging", "https://receiver.example/");
    endpoint.headers = vec![header.clone()];
    let change = EndpointChange { headers: Some(vec![header.clone()]), ..EndpointChange::default() };
    let trigger =
        Trigger::new(EventKind::Completed, "https://receiver.example/").header("X-A", secret("trigger"));
    hides(&(&header, &endpoint, &change, &trigger));
    tells_nothing(&sandbox.create_endpoint(endpoint).await.unwrap_err());
    let twice = trigger.header("X-A", secret("twice"));
    tells_nothing(&sandbox.trigger(twice).await.unwrap_err());
    sandbox.stop().await;
    tells_nothing(&Sandbox::builder().access_token("a-s3cret").start().await.unwrap_err());
}
