use std::net::SocketAddr;

use http::Method;
use idnow_webhooks_sandbox::Sandbox;
use serde_json::json;

use super::support::Site;

/// Of containers, other containers ask, by any name; and they have no token.
#[tokio::test]
async fn whoever_asks_is_told_that_it_is_ready() {
    const TOKEN: &str = "a-token-of-the-tests";
    let everywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
    for sandbox in [
        Sandbox::builder(),
        Sandbox::builder().access_token(TOKEN),
        Sandbox::builder().listen(everywhere).access_token(TOKEN),
    ] {
        let site = Site::with(sandbox, None).await;
        for host in ["sandbox:4390", "localhost", "evil.example"] {
            let answer = site.raw(Method::GET, "/health", &[("host", host)], "").await.is(200);
            assert_eq!(answer.json(), json!({ "status": "ready" }));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
    }
}
