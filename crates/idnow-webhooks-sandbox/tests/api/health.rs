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

/// What is answered there goes by the file, and not by whether somebody listens.
#[tokio::test]
async fn without_its_file_it_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let (file, aside) = (folder.path().join("sandbox.db"), folder.path().join("aside.db"));
    let site = Site::with(Sandbox::builder().database(&file), None).await;
    site.raw(Method::GET, "/health", &[], "").await.is(200);
    std::fs::rename(&file, &aside).unwrap();
    let answer = site.raw(Method::GET, "/health", &[], "").await.is(503);
    assert_eq!(answer.json()["code"], "unavailable");
    std::fs::rename(&aside, &file).unwrap();
    let mut tries = 0;
    while site.raw(Method::GET, "/health", &[], "").await.status != 200 {
        tries += 1;
        assert!(tries < 500, "it does not recover");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
