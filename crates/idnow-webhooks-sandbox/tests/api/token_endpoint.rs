use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use idnow_webhooks_sandbox::{Client, Sandbox};

use super::support::{Answer, Site};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
/// Every character that RFC 6749 has encoded, and RFC 7617 would stumble over.
const ID: &str = "receiver:one";
const SECRET: &str = "s3:c r+e%t&=ü";

async fn site() -> Site {
    Site::with(
        Sandbox::builder().client(Client::new("plain", "simple")).client(Client::new(ID, SECRET)),
        None,
    )
    .await
}

async fn ask(site: &Site, authorization: Option<&str>, form: &str) -> Answer {
    let mut headers = vec![FORM];
    headers.extend(authorization.map(|value| ("authorization", value)));
    let answer = site.raw(Method::POST, "/oidc/token", &headers, form).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
    assert_eq!(answer.header("pragma"), Some("no-cache"), "{answer:?}");
    answer
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(id), encode(secret))))
}

#[tokio::test]
async fn both_methods_of_authentication_give_a_token() {
    let site = site().await;
    let post = encoded(&[("grant_type", "client_credentials"), ("client_id", ID), ("client_secret", SECRET)]);
    let header = basic(ID, SECRET);
    let mut tokens = Vec::new();
    for (authorization, form) in [
        (None, post.as_str()),
        (Some(header.as_str()), "grant_type=client_credentials"),
        // The same client in both places is no contradiction, and what nobody knows is ignored.
        (Some(&header), "grant_type=client_credentials&client_id=receiver%3Aone&scope=a+b&audience=c"),
        (Some(&header), "grant_type=client_credentials&client_id=&client_secret="),
    ] {
        let answer = ask(&site, authorization, form).await.is(200).json();
        assert_eq!(
            (&answer["token_type"], &answer["expires_in"]),
            (&"Bearer".into(), &86400.into()),
            "{form}"
        );
        tokens.push(answer["access_token"].as_str().unwrap().to_owned());
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 4);
}

#[tokio::test]
async fn whatever_is_wrong_is_told_as_the_standard_says() {
    let site = site().await;
    let grant = "grant_type=client_credentials";
    let good = format!("{grant}&client_id=plain&client_secret=simple");
    let (plain, wrong) = (basic("plain", "simple"), basic("plain", "other"));
    let unencoded = format!("Basic {}", STANDARD.encode(format!("{ID}:{SECRET}")));
    for (authorization, form, status, error) in [
        (None, "", 400, "invalid_request"),
        (None, "client_id=plain&client_secret=simple", 400, "invalid_request"),
        (None, "grant_type=&client_id=plain&client_secret=simple", 400, "invalid_request"),
        (None, &format!("{good}&{grant}"), 400, "invalid_request"),
        (None, &format!("{good}&client_secret=simple"), 400, "invalid_request"),
        (Some(plain.as_str()), &good, 400, "invalid_request"),
        (Some(&plain), &format!("{grant}&client_id=receiver"), 400, "invalid_request"),
        (None, grant, 401, "invalid_client"),
        (None, &format!("{grant}&client_id=plain"), 401, "invalid_client"),
        (None, &format!("{grant}&client_secret=simple"), 401, "invalid_client"),
        (None, &format!("{grant}&client_id=plain&client_secret=simplE"), 401, "invalid_client"),
        (None, &format!("{grant}&client_id=other&client_secret=simple"), 401, "invalid_client"),
        (None, &format!("{grant}&client_id=plain&client_secret=simple+"), 401, "invalid_client"),
        (None, "grant_type=refresh_token", 401, "invalid_client"),
        (Some(&wrong), grant, 401, "invalid_client"),
        (Some(&unencoded), grant, 401, "invalid_client"),
        (Some("Basic %%%"), grant, 401, "invalid_client"),
        (Some("Bearer abc"), grant, 401, "invalid_client"),
        (None, &good.replace("client_credentials", "refresh_token"), 400, "unsupported_grant_type"),
        (None, &good.replace("client_credentials", "authorization_code"), 400, "unsupported_grant_type"),
        (None, &good.replace("client_credentials", "password"), 400, "unsupported_grant_type"),
        (None, &good.replace("client_credentials", "magic"), 400, "unsupported_grant_type"),
        (Some(&plain), "grant_type=implicit", 400, "unsupported_grant_type"),
    ] {
        let answer = ask(&site, authorization, form).await.is(status);
        assert_eq!(answer.json()["error"], error, "{authorization:?} {form}");
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge.is_some_and(|value| value.starts_with("Basic ")), status == 401, "{form}");
        for secret in ["simple", SECRET] {
            assert!(!answer.body.contains(secret), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn the_body_must_be_a_form_of_bounded_size() {
    let site = site().await;
    let json = r#"{"grant_type":"client_credentials","client_id":"plain","client_secret":"simple"}"#;
    let refused = site.raw(Method::POST, "/oidc/token", &[("content-type", "application/json")], json).await;
    assert_eq!(refused.is(400).json()["error"], "invalid_request");
    let huge = format!("grant_type=client_credentials&x={}", "x".repeat(70_000));
    assert_eq!(ask(&site, None, &huge).await.is(400).json()["error"], "invalid_request");
}

#[tokio::test]
async fn every_host_may_ask_and_pages_of_other_sites_as_well() {
    let site = site().await;
    let headers = [
        FORM,
        ("host", "auth.example.com"),
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ];
    let form = "grant_type=client_credentials&client_id=plain&client_secret=simple";
    site.raw(Method::POST, "/oidc/token", &headers, form).await.is(200);
}
