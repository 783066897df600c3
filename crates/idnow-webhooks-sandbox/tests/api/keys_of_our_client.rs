use std::time::{Duration, Instant};

use idnow_webhooks_core::keys::KeySource as _;
use idnow_webhooks_jwks::{JwksSource, Location};
use serde_json::json;

use super::support::Site;

#[tokio::test]
async fn discovery_says_where_everything_is() {
    let site = Site::start().await;
    let found = site.get("/oidc/.well-known/openid-configuration").await.is(200).json();
    assert_eq!(found["issuer"], site.sandbox.issuer());
    assert_eq!(found["jwks_uri"], site.sandbox.jwks_url());
    assert_eq!(found["token_endpoint"], site.url("/oidc/token"));
    assert_eq!(found["grant_types_supported"], json!(["client_credentials"]));
}

#[tokio::test]
async fn our_own_client_follows_the_keys_by_url_and_by_issuer() {
    let site = Site::start().await;
    for location in [Location::url(site.sandbox.jwks_url()), Location::issuer(site.sandbox.issuer())] {
        let interval = Duration::from_millis(20);
        let keys = JwksSource::builder(location).min_refresh_interval(interval).connect().await.unwrap();
        let before = keys.status().key_ids.clone();
        let new = site.poke("/manage/v1/keys/rotate").await.is(201).json()["id"].as_str().unwrap().to_owned();
        tokio::time::sleep(2 * interval).await;
        let after: Vec<String> =
            keys.refresh(Instant::now()).await.unwrap().key_ids().iter().map(ToString::to_string).collect();
        assert!(!before.contains(&new) && after.contains(&new), "{before:?} {after:?}");
        assert!(before.iter().all(|id| after.contains(id)), "{before:?} {after:?}");
        for old in before {
            site.poke(&format!("/manage/v1/keys/{old}/retire")).await.is(200);
        }
        tokio::time::sleep(2 * interval).await;
        let last: Vec<String> =
            keys.refresh(Instant::now()).await.unwrap().key_ids().iter().map(ToString::to_string).collect();
        assert_eq!(last, [new]);
    }
}
