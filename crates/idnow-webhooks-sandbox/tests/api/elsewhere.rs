//! A sandbox that other machines could reach.

use http::Method;
use idnow_webhooks_sandbox::{Error, Sandbox};

use super::support::Site;

const TOKEN: &str = "correct-horse-battery-staple";

#[tokio::test]
async fn there_is_no_start_without_a_token() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        match Sandbox::builder().listen(listen.parse().unwrap()).start().await {
            Err(Error::Invalid { field, reason }) => {
                assert_eq!(field, "access_token");
                assert!(reason.contains("needed"), "{reason}");
            }
            other => panic!("{listen}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_management_api_asks_for_the_token() {
    let site = Site::with(Sandbox::builder().listen("0.0.0.0:0".parse().unwrap()), Some(TOKEN)).await;
    for path in ["/manage/v1/flows", "/manage/v1/overview", "/manage/v1/changes", "/manage/v1/keys"] {
        for authorization in
            ["", "Bearer", "Bearer wrong", &format!("Basic {TOKEN}"), &format!("Bearer {TOKEN}x")]
        {
            let refused = site.raw(Method::GET, path, &[("authorization", authorization)], "").await;
            assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
            assert_eq!(refused.refusal(), (401, "unauthorized".to_owned(), None), "{path} {authorization}");
            assert!(!refused.body.contains(TOKEN));
        }
    }
    let host = ("host", "172.17.0.2:8080");
    let authorization = format!("bearer {TOKEN}");
    let known = [host, ("authorization", &authorization)];
    site.raw(Method::GET, "/manage/v1/flows", &known, "").await.is(200);
    // A page of another site may have got hold of a browser that knows the token.
    let cross = [host, ("authorization", &authorization), ("origin", "http://evil.example")];
    let refused = site.raw(Method::POST, "/manage/v1/keys/rotate", &cross, "").await;
    assert_eq!(refused.refusal(), (403, "cross_site".to_owned(), None));
}

/// A receiver that asks for the sandbox by the name that it has in a network of containers.
async fn receiver_finds_all_it_needs(site: &Site, host: (&str, &str)) {
    for path in ["/oidc/.well-known/jwks.json", "/oidc/.well-known/openid-configuration", "/openapi.json"] {
        site.raw(Method::GET, path, &[host], "").await.is(200);
    }
    let client = &site.sandbox.clients()[0];
    let form =
        format!("grant_type=client_credentials&client_id={}&client_secret={}", client.id, client.secret);
    let media_type = ("content-type", "application/x-www-form-urlencoded");
    let token = site.raw(Method::POST, "/oidc/token", &[host, media_type], &form).await.is(200).json();
    let authorization = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let session = site.session(&site.flow().await).await;
    for path in [format!("/api/v1/staging/sessions/{session}"), format!("/v1/staging/sessions/{session}")] {
        site.raw(Method::GET, &path, &[host, ("authorization", &authorization)], "").await.is(200);
    }
}

#[tokio::test]
async fn in_a_container_receivers_use_any_name_and_the_management_api_is_told_which_one() {
    let everywhere = || Sandbox::builder().listen("0.0.0.0:0".parse().unwrap());
    let (host, authorization) = (("host", "sandbox:8080"), format!("Bearer {TOKEN}"));
    let manage = [host, ("authorization", authorization.as_str())];

    let site = Site::with(everywhere(), Some(TOKEN)).await;
    receiver_finds_all_it_needs(&site, host).await;
    let refused = site.raw(Method::GET, "/manage/v1/flows", &manage, "").await;
    assert_eq!(refused.refusal(), (403, "host_not_allowed".to_owned(), None));
    assert!(refused.body.contains("--base-url http://sandbox:8080"), "{}", refused.body);
    let page =
        site.client.get(site.url("/flows")).header("host", "sandbox:8080").header("accept", "text/html");
    let page = page.send().await.unwrap();
    assert_eq!(
        (page.status().as_u16(), page.headers()["content-type"].to_str().unwrap()),
        (403, "text/html; charset=utf-8")
    );
    assert!(page.text().await.unwrap().contains("--base-url http://sandbox:8080"));

    let builder = everywhere().base_url("http://sandbox:8080").access_token(TOKEN);
    let sandbox = builder.start().await.unwrap();
    assert_eq!(sandbox.issuer(), "http://sandbox:8080/oidc");
    sandbox.stop().await;
    let issuer = "https://auth.example/oidc";
    let builder = everywhere().base_url("http://sandbox:8080").issuer(issuer);
    let site = Site::with(builder, Some(TOKEN)).await;
    receiver_finds_all_it_needs(&site, host).await;
    let discovery = site.get("/oidc/.well-known/openid-configuration").await.json();
    assert_eq!(discovery["issuer"], issuer);
    assert_eq!(discovery["jwks_uri"], "http://sandbox:8080/oidc/.well-known/jwks.json");
    site.raw(Method::GET, "/manage/v1/flows", &manage, "").await.is(200);
    let refused =
        site.raw(Method::GET, "/manage/v1/flows", &[host, ("authorization", "Bearer no")], "").await;
    assert_eq!(refused.refusal(), (401, "unauthorized".to_owned(), None));
    let other = [("host", "other:8080"), ("authorization", authorization.as_str())];
    let refused = site.raw(Method::GET, "/manage/v1/flows", &other, "").await;
    assert_eq!(refused.refusal(), (403, "host_not_allowed".to_owned(), None));
}

#[tokio::test]
async fn a_token_on_loopback_does_not_open_other_hosts() {
    let site = Site::with(Sandbox::builder(), Some(TOKEN)).await;
    site.get("/manage/v1/flows").await.is(200);
    let refused = site.raw(Method::GET, "/manage/v1/flows", &[("host", "evil.example")], "").await;
    assert_eq!(refused.refusal(), (403, "host_not_allowed".to_owned(), None));
    let refused = site.raw(Method::GET, "/manage/v1/flows", &[("authorization", "Bearer no")], "").await;
    assert_eq!(refused.refusal(), (401, "unauthorized".to_owned(), None));
}
