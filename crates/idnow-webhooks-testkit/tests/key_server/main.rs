//! Each behaviour of the key server, seen by a client over a real socket.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends with a panic, also in its helpers"
)]

mod client;
#[cfg(feature = "tls")]
mod tls;

use std::time::{Duration, Instant};

use client::{get, request};
use idnow_webhooks_core::keys::KeySet;
use idnow_webhooks_testkit::{Behaviour, Endpoint, KeyServer, SigningKey};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A server that publishes the shared key.
fn server() -> KeyServer {
    let server = KeyServer::start().unwrap();
    server.publish(&[&SigningKey::shared()]);
    server
}

async fn published_ids(server: &KeyServer) -> Vec<String> {
    let keys = get(server, &server.jwks_url()).await.unwrap().json();
    keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn serves_both_documents() {
    let server = server();
    assert_eq!(server.issuer(), format!("http://{}/oidc", server.address()));

    let discovery = get(&server, &server.discovery_url()).await.unwrap();
    assert_eq!(discovery.status, 200);
    assert_eq!(discovery.header("content-type"), Some("application/json"));
    assert_eq!(discovery.json()["issuer"], server.issuer());
    assert_eq!(discovery.json()["jwks_uri"], server.jwks_url());

    let keys = get(&server, &server.jwks_url()).await.unwrap();
    assert_eq!(keys.status, 200);
    assert_eq!(keys.json(), SigningKey::shared().jwks());
    let set = KeySet::from_jwks(&keys.body).unwrap();
    let key = SigningKey::shared();
    let found: Vec<_> = set.candidates(key.algorithm(), key.key_id()).collect();
    let [found] = found[..] else { panic!("not one key: {found:?}") };
    assert!(found.verifies(b"message", &key.sign_bytes(b"message")));
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_and_not_counted() {
    let server = server();
    let elsewhere = format!("http://{}/.well-known/jwks.json", server.address());
    assert_eq!(get(&server, &elsewhere).await.unwrap().status, 404);
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let posted = request(stream, "POST", &server.jwks_url()).await.unwrap();
    assert_eq!(posted.status, 405);
    assert_eq!(posted.header("allow"), Some("GET"));
    assert_eq!(server.requests(Endpoint::Keys), 0);
}

#[tokio::test]
async fn counts_requests_by_document() {
    let server = server();
    get(&server, &server.jwks_url()).await.unwrap();
    get(&server, &server.discovery_url()).await.unwrap();
    get(&server, &server.jwks_url()).await.unwrap();
    assert_eq!(server.requests(Endpoint::Keys), 2);
    assert_eq!(server.requests(Endpoint::Discovery), 1);
}

#[tokio::test]
async fn rotates_and_retires_keys() {
    let server = KeyServer::start().unwrap();
    assert!(published_ids(&server).await.is_empty());
    let (old, new) = (SigningKey::shared().with_key_id("old"), SigningKey::shared_other().with_key_id("new"));
    server.publish(&[&old]);
    assert_eq!(published_ids(&server).await, ["old"]);
    server.rotate(&new);
    assert_eq!(published_ids(&server).await, ["new", "old"]);
    server.retire("old");
    assert_eq!(published_ids(&server).await, ["new"]);
    server.publish(&[&old]);
    assert_eq!(published_ids(&server).await, ["old"]);
}

#[tokio::test]
async fn answers_with_a_status() {
    let server = server();
    server.behave(Behaviour::Status(503));
    for url in [server.jwks_url(), server.discovery_url()] {
        let answer = get(&server, &url).await.unwrap();
        assert_eq!(answer.status, 503);
        assert!(answer.body.is_empty());
    }
    server.behave(Behaviour::Normal);
    assert_eq!(get(&server, &server.jwks_url()).await.unwrap().status, 200);
}

#[tokio::test]
async fn one_document_can_misbehave_alone() {
    let server = server();
    server.behave_at(Endpoint::Keys, Behaviour::Status(500));
    assert_eq!(get(&server, &server.discovery_url()).await.unwrap().status, 200);
    assert_eq!(get(&server, &server.jwks_url()).await.unwrap().status, 500);
}

#[tokio::test]
async fn hangs_until_it_is_dropped() {
    for behaviour in [Behaviour::Hang, Behaviour::HangInBody] {
        let server = server();
        server.behave(behaviour);
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let url = server.jwks_url();
        let mut hanging = tokio::spawn(async move { request(stream, "GET", &url).await });
        assert!(timeout(Duration::from_millis(300), &mut hanging).await.is_err(), "it must not answer");
        assert_eq!(server.requests(Endpoint::Keys), 1);
        drop(server);
        let ended = timeout(client::PATIENCE, hanging).await.expect("dropping the server ends it").unwrap();
        assert!(ended.is_err(), "no whole answer may arrive: {ended:?}");
    }
}

#[tokio::test]
async fn a_hang_in_the_body_sends_the_head_first() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let server = server();
    server.behave(Behaviour::HangInBody);
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"GET /oidc/.well-known/jwks.json HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut received = Vec::new();
    while !String::from_utf8_lossy(&received).contains("\"keys\"") {
        assert_ne!(timeout(client::PATIENCE, stream.read_buf(&mut received)).await.unwrap().unwrap(), 0);
    }
    assert!(received.starts_with(b"HTTP/1.1 200 OK\r\n"));
    while let Ok(read) = timeout(Duration::from_millis(300), stream.read_buf(&mut received)).await {
        assert_ne!(read.unwrap(), 0, "the connection must stay open");
    }
    let body =
        received.windows(4).position(|window| window == b"\r\n\r\n").map(|end| &received[end..]).unwrap();
    assert!(!body.ends_with(b"\r\n0\r\n\r\n"), "the body must not be complete");
}

#[tokio::test]
async fn answers_slowly() {
    let server = server();
    server.behave(Behaviour::Slow(Duration::from_millis(300)));
    let start = Instant::now();
    assert_eq!(get(&server, &server.jwks_url()).await.unwrap().json(), SigningKey::shared().jwks());
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn answers_with_anything_but_the_document() {
    let server = server();
    server.behave(Behaviour::Garbage);
    let garbage = get(&server, &server.jwks_url()).await.unwrap();
    assert_eq!(garbage.status, 200);
    assert!(KeySet::from_jwks(&garbage.body).is_err());

    server.behave(Behaviour::Document(r#"{"keys":[{"kty":"oct"}]}"#.into()));
    let document = get(&server, &server.jwks_url()).await.unwrap();
    assert_eq!((document.status, &*document.body), (200, &br#"{"keys":[{"kty":"oct"}]}"#[..]));

    server.behave(Behaviour::Redirect("http://169.254.169.254/latest".into()));
    let redirect = get(&server, &server.jwks_url()).await.unwrap();
    assert_eq!(redirect.status, 302);
    assert_eq!(redirect.header("location"), Some("http://169.254.169.254/latest"));
}

#[tokio::test]
async fn an_oversize_document_is_valid_json_without_a_stated_length() {
    let server = server();
    server.behave(Behaviour::Oversize(300_000));
    let answer = get(&server, &server.jwks_url()).await.unwrap();
    assert_eq!(answer.body.len(), 300_000);
    assert_eq!(answer.json(), SigningKey::shared().jwks());
    assert_eq!(answer.header("content-length"), None);
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
}

#[tokio::test]
async fn lies_about_the_issuer() {
    let server = server();
    server.behave(Behaviour::WrongIssuer);
    let discovery = get(&server, &server.discovery_url()).await.unwrap().json();
    assert_eq!(discovery["issuer"], "https://impostor.example/oidc");
    assert_eq!(discovery["jwks_uri"], server.jwks_url());
    assert_eq!(get(&server, &server.jwks_url()).await.unwrap().json(), SigningKey::shared().jwks());
}

#[tokio::test]
async fn disconnects_without_an_answer() {
    let server = server();
    server.behave(Behaviour::Disconnect);
    let error = get(&server, &server.jwks_url()).await.unwrap_err();
    assert!(error.is_incomplete_message(), "{error:?}");
    assert_eq!(server.requests(Endpoint::Keys), 1);
    server.behave(Behaviour::Normal);
    assert_eq!(get(&server, &server.jwks_url()).await.unwrap().status, 200);
}

#[tokio::test]
async fn sends_cache_control_as_told() {
    let server = server();
    assert_eq!(get(&server, &server.jwks_url()).await.unwrap().header("cache-control"), None);
    server.set_cache_control(Some("public, max-age=300"));
    for url in [server.jwks_url(), server.discovery_url()] {
        assert_eq!(get(&server, &url).await.unwrap().header("cache-control"), Some("public, max-age=300"));
    }
    server.set_cache_control(None);
    assert_eq!(get(&server, &server.jwks_url()).await.unwrap().header("cache-control"), None);
}

#[tokio::test]
async fn is_gone_when_dropped() {
    let server = KeyServer::start().unwrap();
    server.publish(&[&SigningKey::shared().with_key_id("only-here")]);
    let (address, url) = (server.address(), server.jwks_url());
    assert_eq!(published_ids(&server).await, ["only-here"]);
    drop(server);
    // Another test's server may have taken over the port by now, with other keys.
    if let Ok(stream) = TcpStream::connect(address).await {
        let answer = timeout(client::PATIENCE, request(stream, "GET", &url)).await;
        let still_there =
            answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.text().contains("only-here")));
        assert!(!still_there);
    }
}

#[test]
fn answers_a_client_that_blocks_its_only_thread() {
    use std::io::{Read as _, Write as _};

    let server = server();
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(client::PATIENCE)).unwrap();
    stream
        .write_all(
            b"GET /oidc/.well-known/jwks.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        )
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[test]
#[should_panic(expected = "99 is not an HTTP status")]
fn an_impossible_status_is_refused_at_once() {
    KeyServer::start().unwrap().behave(Behaviour::Status(99));
}

#[test]
#[should_panic(expected = "cannot stand in a Location header")]
fn an_impossible_redirect_is_refused_at_once() {
    KeyServer::start().unwrap().behave(Behaviour::Redirect("http://a\r\nb".into()));
}

#[test]
#[should_panic(expected = "cannot stand in a Cache-Control header")]
fn an_impossible_cache_control_is_refused_at_once() {
    KeyServer::start().unwrap().set_cache_control(Some("a\nb"));
}
