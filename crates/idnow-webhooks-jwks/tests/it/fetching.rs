//! What counts as a good answer of the key server, and what each bad one is called.

use std::time::{Duration, Instant};

use idnow_webhooks_core::keys::KeySource;
use idnow_webhooks_jwks::{FetchError, Location};
use tokio::net::TcpSocket;

use crate::support::{PATH, Reply, Server, builder, fetch_error, jwk, jwks};

const DISCOVERY: &str = "/oidc/.well-known/openid-configuration";

#[tokio::test]
async fn gets_the_keys() {
    let server = Server::start(Reply::keys(&["b", "a"])).await;
    let source = server.connect().await;
    assert_eq!(source.current().key_ids(), ["a", "b"]);
    let request = server.requests().remove(0).to_ascii_lowercase();
    assert!(request.contains("accept: application/jwk-set+json, application/json\r\n"), "{request}");
    assert!(request.contains("user-agent: idnow-webhooks-jwks/"), "{request}");
    assert!(request.contains("\r\ncache-control: no-cache\r\n"), "a cache may answer: {request}");
}

#[tokio::test]
async fn unusable_entries_do_not_spoil_the_good_ones() {
    let body = format!(r#"{{"keys":[{{"kty":"quantum","kid":"q"}}, {}]}}"#, jwk("good"));
    let server = Server::start(Reply::json(body)).await;
    assert_eq!(server.connect().await.current().key_ids(), ["good"]);
}

#[tokio::test]
async fn redirects_are_refused_and_not_followed() {
    for status in ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let server = Server::start(Reply::Hang).await;
        let target = server.url("/other?secret=1");
        server.set(Reply::Http(status, format!("Location: {target}\r\n"), Vec::new()));
        server.set_at("/other", Reply::keys(&["evil"]));
        let error = server.error().await;
        assert!(matches!(*error, FetchError::Redirect { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("/other, which is not followed"), "{message}");
        assert!(!message.contains("secret"), "{message}");
        assert_eq!(server.hits(), 1);
    }
}

#[tokio::test]
async fn any_status_but_200_is_an_error() {
    for status in
        ["201 Created", "204 No Content", "304 Not Modified", "404 Not Found", "500 Oops", "503 Busy"]
    {
        let server = Server::start(Reply::status(status)).await;
        let error = server.error().await;
        let expected = status.split(' ').next().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(server.hits(), 1, "an answer is an answer: no second try within one fetch");
    }
}

#[tokio::test]
async fn size_is_limited_with_and_without_a_declared_length() {
    let mut body = jwks(&["a"]);
    body.push_str(&" ".repeat(10_000 - body.len()));
    let server = Server::start(Reply::json(body)).await;
    assert!(server.builder().max_response_bytes(10_000).connect().await.is_ok());
    let error = fetch_error(server.builder().max_response_bytes(9_999)).await;
    assert!(matches!(*error, FetchError::TooLarge { limit: 9_999, .. }), "{error}");

    server.set(Reply::Endless);
    let error = server.error().await;
    assert!(matches!(*error, FetchError::TooLarge { limit: 4_194_304, .. }), "{error}");

    let mut body = jwks(&["a"]);
    body.push_str(&" ".repeat(4 * 1024 * 1024 - body.len()));
    server.set(Reply::json(body.clone()));
    assert!(server.builder().connect().await.is_ok());
    server.set(Reply::json(body + " "));
    assert!(matches!(*server.error().await, FetchError::TooLarge { limit: 4_194_304, .. }));

    // It only claims to be large: refused before the body is read.
    server.set(Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec()));
    let error = server.error().await;
    assert!(matches!(*error, FetchError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn slow_and_hanging_servers_time_out() {
    let limit = Duration::from_millis(200);
    for reply in [
        Reply::Hang,
        Reply::Trickle(Duration::from_millis(20)),
        Reply::After(Duration::from_secs(5), Box::new(Reply::keys(&["late"]))),
    ] {
        let server = Server::start(reply).await;
        let begin = Instant::now();
        let error = fetch_error(server.builder().timeout(limit)).await;
        assert!(matches!(*error, FetchError::Timeout { .. }), "{error}");
        assert!(begin.elapsed() >= limit && begin.elapsed() < Duration::from_secs(4));
    }
}

#[tokio::test]
async fn garbage_is_named() {
    for body in ["", "<html></html>", "null", "[]", "{}", r#"{"keys":{}}"#, "{\"keys\":[", "\u{0}\u{1}"] {
        let server = Server::start(Reply::json(body)).await;
        let error = server.error().await;
        assert!(matches!(*error, FetchError::KeySet { .. }), "{body:?}: {error}");
        assert!(error.to_string().contains("not a JWKS document"), "{error}");
    }
    for bytes in [&b"SSH-2.0-OpenSSH_9.9\r\n"[..], b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"] {
        let server = Server::start(Reply::Raw(bytes.to_vec())).await;
        let error = server.error().await;
        assert!(matches!(*error, FetchError::Interrupted { .. }), "{error:?}");
        assert_eq!(server.hits(), 2, "tried once more, and no more");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_once_more() {
    let server = Server::start(Reply::keys(&["a"])).await;
    server.drop_requests(&[true]);
    assert_eq!(server.connect().await.current().key_ids(), ["a"]);
    assert_eq!(server.hits(), 2);
    server.drop_requests(&[true, true]);
    let error = server.error().await;
    assert!(matches!(*error, FetchError::Interrupted { .. }), "{error:?}");
    assert_eq!(server.hits(), 4);
}

/// One node of two behind a load balancer is gone.
#[tokio::test]
async fn discovery_works_while_every_other_connection_breaks() {
    let server = Server::start(Reply::keys(&["a"])).await;
    let issuer = server.url("/oidc");
    let document = format!(r#"{{"issuer":"{issuer}","jwks_uri":"{}"}}"#, server.url(PATH));
    server.set_at(DISCOVERY, Reply::json(document));
    for (drops, hits) in [([false, true, false, false], 3), ([true, false, true, false], 4)] {
        let before = server.hits();
        server.drop_requests(&drops);
        let source = builder(Location::issuer(&issuer)).connect().await.unwrap();
        assert_eq!(source.current().key_ids(), ["a"]);
        assert_eq!(server.hits() - before, hits);
    }
}

#[tokio::test]
async fn a_connection_that_is_dropped_between_discovery_and_keys_is_replaced() {
    let server = Server::start(Reply::keys(&["a"])).await;
    let issuer = server.url("/oidc");
    let document = format!(r#"{{"issuer":"{issuer}","jwks_uri":"{}"}}"#, server.url(PATH));
    let (none, body) = (String::new(), document.into_bytes());
    for reply in [Reply::Vanish(none.clone(), body.clone()), Reply::VanishLater(none, body)] {
        server.set_at(DISCOVERY, reply);
        let source =
            builder(Location::issuer(&issuer)).min_refresh_interval(Duration::ZERO).connect().await.unwrap();
        for _ in 0..3 {
            assert_eq!(source.refresh(Instant::now()).await.unwrap().key_ids(), ["a"]);
        }
    }
}

#[tokio::test]
async fn a_byte_order_mark_is_no_garbage() {
    let server = Server::start(Reply::json(format!("\u{feff}{}", jwks(&["a"])))).await;
    assert_eq!(server.connect().await.current().key_ids(), ["a"]);
    let issuer = server.url("/oidc");
    let document = format!(r#"{{"issuer":"{issuer}","jwks_uri":"{}"}}"#, server.url(PATH));
    server.set_at(DISCOVERY, Reply::json(format!("\u{feff}{document}")));
    let source = builder(Location::issuer(issuer)).connect().await.unwrap();
    assert_eq!(source.current().key_ids(), ["a"]);
}

#[tokio::test]
async fn a_thousand_keys_are_taken() {
    let keys: Vec<_> = (0..1_000).map(|number| jwk(&number.to_string())).collect();
    let server = Server::start(Reply::json(format!(r#"{{"keys":[{}]}}"#, keys.join(",")))).await;
    assert_eq!(server.connect().await.current().len(), 1_000);
}

#[tokio::test]
async fn a_set_without_usable_keys_is_an_error() {
    let server = Server::start(Reply::json(r#"{"keys":[]}"#)).await;
    let error = server.error().await;
    assert!(error.to_string().ends_with("holds no usable key: its `keys` array is empty"), "{error}");

    server.set(Reply::json(r#"{"keys":[{"kty":"oct","kid":"s","k":"AAAA"}]}"#));
    let error = server.error().await;
    assert!(error.to_string().contains("key 0 (kid Some(\"s\")): holds secret key material"), "{error}");
}

#[tokio::test]
async fn nobody_listening_is_named() {
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = nobody.local_addr().unwrap();
    let url = format!("http://user:hunter2@{address}/jwks?token=hunter2");
    let error = fetch_error(builder(Location::url(url))).await;
    assert!(matches!(*error, FetchError::Unreachable { .. }), "{error}");
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(text.contains(&format!("http://{address}/jwks")), "{text}");
        assert!(text.contains("efused") && !text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn discovery_leads_to_the_keys() {
    let server = Server::start(Reply::keys(&["a"])).await;
    for issuer in [server.url("/oidc"), server.url("/oidc/")] {
        let document = format!(r#"{{"issuer":"{issuer}","jwks_uri":"{}","more":[]}}"#, server.url(PATH));
        server.set_at(DISCOVERY, Reply::json(document));
        let source = builder(Location::issuer(issuer)).connect().await.unwrap();
        assert_eq!(source.current().key_ids(), ["a"]);
    }
    assert_eq!(server.hits(), 4);
    for request in server.requests() {
        let request = request.to_ascii_lowercase();
        assert!(request.contains("\r\ncache-control: no-cache\r\n"), "a cache may answer: {request}");
    }
}

#[tokio::test]
async fn discovery_must_speak_for_the_issuer() {
    let server = Server::start(Reply::keys(&["a"])).await;
    let issuer = server.url("/oidc");
    for found in [format!("{issuer}/"), issuer.to_uppercase(), "https://evil.example".to_owned()] {
        let document = format!(r#"{{"issuer":"{found}","jwks_uri":"{}"}}"#, server.url(PATH));
        server.set_at(DISCOVERY, Reply::json(document));
        let error = fetch_error(builder(Location::issuer(&issuer))).await;
        assert!(matches!(*error, FetchError::IssuerMismatch { .. }), "{error}");
        assert!(error.to_string().contains(&found) && error.to_string().contains(&issuer), "{error}");
    }
    assert_eq!(server.hits(), 3, "the keys must not even be asked for");
}

#[tokio::test]
async fn discovery_must_not_lead_astray() {
    let server = Server::start(Reply::keys(&["a"])).await;
    let issuer = server.url("/oidc");
    for url in ["http://keys.example/jwks?x=hunter2", "ftp://localhost/", "file:///etc/passwd", "/jwks", ""] {
        let document = format!(r#"{{"issuer":"{issuer}","jwks_uri":"{url}"}}"#);
        server.set_at(DISCOVERY, Reply::json(document));
        let error = fetch_error(builder(Location::issuer(&issuer))).await;
        assert!(matches!(*error, FetchError::KeyUrl { .. }), "{url}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    let by_position = format!(" \n[\"{issuer}\",\"{}\"]", server.url(PATH));
    for body in ["", "{}", r#"{"issuer":1,"jwks_uri":2}"#, "<html>", &by_position] {
        server.set_at(DISCOVERY, Reply::json(body));
        let error = fetch_error(builder(Location::issuer(&issuer))).await;
        assert!(matches!(*error, FetchError::Discovery { .. }), "{body}: {error}");
    }
    server.set_at(DISCOVERY, Reply::redirect(&server.url(PATH)));
    let error = fetch_error(builder(Location::issuer(&issuer))).await;
    assert!(matches!(*error, FetchError::Redirect { .. }), "{error}");
}

#[tokio::test]
async fn the_time_limit_covers_discovery_and_keys_together() {
    let server = Server::start(Reply::After(Duration::from_millis(300), Box::new(Reply::keys(&["a"])))).await;
    let issuer = server.url("/oidc");
    let document = format!(r#"{{"issuer":"{issuer}","jwks_uri":"{}"}}"#, server.url(PATH));
    server.set_at(DISCOVERY, Reply::After(Duration::from_millis(300), Box::new(Reply::json(document))));
    let limit = Duration::from_millis(450);
    let error = fetch_error(builder(Location::issuer(issuer)).timeout(limit)).await;
    assert!(matches!(*error, FetchError::Timeout { .. }), "{error}");
    assert_eq!(server.hits(), 2);
}
