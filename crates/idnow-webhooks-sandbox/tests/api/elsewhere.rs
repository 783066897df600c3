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
                assert_eq!(field, "accessToken");
                assert!(reason.contains("needed"), "{reason}");
            }
            other => panic!("{listen}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_management_api_asks_for_the_token_whatever_the_host() {
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
    let host = ("host", "sandbox.example:8080");
    let authorization = format!("bearer {TOKEN}");
    let known = [host, ("authorization", &authorization)];
    site.raw(Method::GET, "/manage/v1/flows", &known, "").await.is(200);
    // A page of another site may have got hold of a browser that knows the token.
    let cross = [host, ("authorization", &authorization), ("origin", "http://evil.example")];
    let refused = site.raw(Method::POST, "/manage/v1/keys/rotate", &cross, "").await;
    assert_eq!(refused.refusal(), (403, "cross_site".to_owned(), None));
    // What receivers need is open.
    for path in ["/oidc/.well-known/jwks.json", "/oidc/.well-known/openid-configuration", "/openapi.json"] {
        site.raw(Method::GET, path, &[host], "").await.is(200);
    }
    site.access_token().await;
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
