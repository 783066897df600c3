use idnow_webhooks_sandbox::Sandbox;
use serde_json::json;

use super::support::{Sink, Site};

#[tokio::test]
async fn the_overview_counts() {
    let site = Site::start().await;
    let sink = Sink::start(400).await;
    let flow = site.flow().await;
    let endpoint = site.endpoint(&flow, &sink.url).await;
    let session = site.session(&flow).await;
    site.delivery(&endpoint, "dead").await;
    site.post(&format!("/manage/v1/sessions/{session}/steps"), json!({ "step": "start" })).await.is(200);
    let counts = site.get("/manage/v1/overview").await.is(200).json();
    assert_eq!((&counts["flows"], &counts["endpoints"]), (&json!(1), &json!(1)));
    assert_eq!((&counts["sessions"]["RUNNING"], &counts["sessions"]["CREATED"]), (&json!(1), &json!(0)));
    assert_eq!((&counts["deliveries"]["dead"], &counts["deliveries"]["waiting"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn with_another_issuer_the_page_still_names_the_addresses_of_the_sandbox() {
    let site = Site::with(Sandbox::builder().issuer("https://issuer.example/oidc"), None).await;
    let page = site.client.get(site.url("/")).send().await.unwrap().text().await.unwrap();
    let base = site.url("/oidc");
    assert!(page.contains("IDNOW_ISSUER=https://issuer.example/oidc"), "{page}");
    for path in ["/token<", "/.well-known/openid-configuration<", "/.well-known/jwks.json<"] {
        assert!(page.contains(&format!("{base}{path}")), "{path}: {page}");
        assert!(!page.contains(&format!("issuer.example/oidc{path}")), "{path}: {page}");
    }
}
