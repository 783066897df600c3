//! What is special about warp: the filter in an `or` chain.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use idnow_webhooks_core::{Admission, PeerAddr, Receiver};
use idnow_webhooks_testkit::{Provider, SampleEvent};
use idnow_webhooks_warp::{webhook, webhook_at};
use warp::Filter;

fn receiver() -> Receiver {
    idnow_webhooks_watch::watch();
    Provider::new().receiver().build().unwrap()
}

#[tokio::test]
async fn a_chain_goes_on_for_other_paths_and_never_after_the_webhook() {
    let routes = warp::path!("first")
        .map(|| "first")
        .or(warp::path!("webhooks" / "idnow").and(webhook(receiver())))
        .or(warp::path!("webhooks" / "other").map(|| "other"))
        .or(warp::any().map(|| "last"));
    for (path, status, body) in [
        ("/first", 200, "first"),
        ("/webhooks/other", 200, "other"),
        ("/webhooks", 200, "last"),
        ("/webhooks/idnow/more", 200, "last"),
        // A refusal is an answer, not a rejection: the chain ends here.
        (
            "/webhooks/idnow",
            400,
            r#"{"type":"about:blank","title":"Bad Request","status":400,"code":"malformed_token"}"#,
        ),
    ] {
        let answer = warp::test::request().method("POST").path(path).body("no token").reply(&routes).await;
        assert_eq!((answer.status().as_u16(), &answer.body()[..]), (status, body.as_bytes()), "{path}");
    }
}

#[tokio::test]
async fn a_path_that_is_known_only_at_run_time_is_matched_whole() {
    let routes = webhook_at(receiver(), "/webhooks/idnow").or(warp::any().map(|| "last"));
    for (path, status) in [
        ("/webhooks/idnow", 400),
        ("/webhooks/idnow?attempt=2", 400),
        ("/webhooks/idnow/", 200),
        ("/webhooks/idnow/more", 200),
        ("/v1/webhooks/idnow", 200),
        ("/webhooks/IDnow", 200),
        ("/", 200),
    ] {
        let answer = warp::test::request().method("POST").path(path).body("no token").reply(&routes).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(&answer.body()[..] == b"last", status == 200, "{path}");
    }
    let alone = webhook_at(receiver(), "/webhooks/idnow");
    let rejected = warp::test::request().method("POST").path("/other").filter(&alone).await;
    assert!(rejected.err().unwrap().is_not_found());
    // Behind another filter for a path it still wants the whole.
    let nested = warp::path("api").and(webhook_at(receiver(), "/api/webhooks"));
    let answer =
        warp::test::request().method("POST").path("/api/webhooks").body("no token").reply(&nested).await;
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn other_methods_are_refused_and_not_passed_on() {
    let routes = webhook(receiver()).or(warp::any().map(|| "last"));
    for method in ["GET", "PUT"] {
        let answer = warp::test::request().method(method).path("/").reply(&routes).await;
        assert_eq!(answer.status(), 405);
        assert_eq!(answer.headers()["allow"], "POST");
    }
    // Over HTTP/2 hyper would send a body even to HEAD.
    let answer = warp::test::request().method("HEAD").path("/").reply(&routes).await;
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (405, &b""[..]));
}

#[tokio::test]
async fn the_peer_address_is_that_of_the_connection_or_the_extension() {
    let provider = Provider::new();
    let admission = Admission::new().allow("192.0.2.0/24".parse().unwrap());
    let filter = webhook(provider.receiver().admission(admission).build().unwrap());
    let request =
        || warp::test::request().method("POST").path("/").body(provider.token(&SampleEvent::completed()));
    assert_eq!(request().reply(&filter).await.status(), 503);
    let allowed: std::net::SocketAddr = "192.0.2.7:4711".parse().unwrap();
    let other: std::net::SocketAddr = "198.51.100.1:4711".parse().unwrap();
    assert_eq!(request().remote_addr(allowed).reply(&filter).await.status(), 200);
    assert_eq!(request().remote_addr(other).reply(&filter).await.status(), 403);
    assert_eq!(request().extension(PeerAddr(allowed.ip())).reply(&filter).await.status(), 200);
    assert_eq!(request().extension(PeerAddr(other.ip())).reply(&filter).await.status(), 403);
}
