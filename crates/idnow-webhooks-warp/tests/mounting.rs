//! What is special about warp: the filter in an `or` chain.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use idnow_webhooks_core::{Admission, PeerAddr, Receiver};
use idnow_webhooks_testkit::{Provider, SampleEvent};
use idnow_webhooks_warp::webhook;
use warp::Filter;

fn receiver() -> Receiver {
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
    assert_eq!(request().reply(&filter).await.status(), 403);
    let allowed: std::net::SocketAddr = "192.0.2.7:4711".parse().unwrap();
    let other: std::net::SocketAddr = "198.51.100.1:4711".parse().unwrap();
    assert_eq!(request().remote_addr(allowed).reply(&filter).await.status(), 200);
    assert_eq!(request().remote_addr(other).reply(&filter).await.status(), 403);
    assert_eq!(request().extension(PeerAddr(allowed.ip())).reply(&filter).await.status(), 200);
    assert_eq!(request().extension(PeerAddr(other.ip())).reply(&filter).await.status(), 403);
}
