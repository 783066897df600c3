//! Servers and caches that compress what they are asked not to.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use idnow_webhooks_core::keys::KeySource;
use idnow_webhooks_jwks::{FetchError, Location};

use crate::support::{PATH, Reply, Server, builder, fetch_error, jwks};

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn nothing_is_asked_to_be_compressed() {
    let server = Server::start(Reply::keys(&["a"])).await;
    server.connect().await;
    let request = server.requests().remove(0).to_ascii_lowercase();
    assert!(request.contains("\r\naccept-encoding: identity\r\n"), "{request}");
    assert_eq!(request.matches("accept-encoding").count(), 1, "{request}");
}

#[tokio::test]
async fn keys_in_gzip_are_understood() {
    let server = Server::start(Reply::Hang).await;
    for encoding in ["gzip", "GZIP", "x-gzip", "identity", ""] {
        server.set(Reply::encoded(encoding, gzip(jwks(&["a"]))));
        assert_eq!(server.connect().await.current().key_ids(), ["a"], "{encoding:?}");
    }
    server.set(Reply::json(gzip(jwks(&["b"]))));
    assert_eq!(server.connect().await.current().key_ids(), ["b"], "no header");
    server.set(Reply::encoded("gzip", jwks(&["c"])));
    assert_eq!(server.connect().await.current().key_ids(), ["c"], "the header alone");
    server.set(Reply::encoded("gzip", gzip(format!("\u{feff}{}", jwks(&["d"])))));
    assert_eq!(server.connect().await.current().key_ids(), ["d"], "with a byte order mark");
}

#[tokio::test]
async fn a_discovery_document_in_gzip_is_understood() {
    let server = Server::start(Reply::encoded("gzip", gzip(jwks(&["a"])))).await;
    let issuer = server.url("/oidc");
    let document = format!(r#"{{"issuer":"{issuer}","jwks_uri":"{}"}}"#, server.url(PATH));
    server.set_at("/oidc/.well-known/openid-configuration", Reply::encoded("gzip", gzip(document)));
    let source = builder(Location::issuer(issuer)).connect().await.unwrap();
    assert_eq!(source.current().key_ids(), ["a"]);
}

#[tokio::test]
async fn other_encodings_are_named() {
    let server = Server::start(Reply::Hang).await;
    for (encoding, named) in [("br", "br"), ("zstd", "zstd"), ("deflate", "deflate"), ("gzip, br", "br")] {
        server.set(Reply::encoded(encoding, gzip(jwks(&["a"]))));
        let hits = server.hits();
        let error = server.error().await;
        assert!(matches!(*error, FetchError::ContentEncoding { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(&format!("{named:?}")) && message.contains("Accept-Encoding"), "{message}");
        assert_eq!(server.hits() - hits, 1);
    }
}

#[tokio::test]
async fn the_limit_of_size_is_that_of_what_comes_out() {
    let mut text = jwks(&["a"]);
    text.push_str(&" ".repeat(10_000 - text.len()));
    let server = Server::start(Reply::encoded("gzip", gzip(&text))).await;
    assert!(server.builder().max_response_bytes(10_000).connect().await.is_ok());
    let error = fetch_error(server.builder().max_response_bytes(9_999)).await;
    assert!(matches!(*error, FetchError::TooLarge { limit: 9_999, .. }), "{error}");

    let bomb = gzip(vec![b' '; 256 * 1024 * 1024]);
    assert!(bomb.len() < 1024 * 1024);
    server.set(Reply::encoded("gzip", bomb));
    let begin = Instant::now();
    let error = server.error().await;
    assert!(matches!(*error, FetchError::TooLarge { limit: 4_194_304, .. }), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn broken_gzip_is_named() {
    let whole = gzip(jwks(&["a"]));
    let server = Server::start(Reply::encoded("gzip", &whole[..whole.len() / 2])).await;
    let error = server.error().await;
    assert!(matches!(*error, FetchError::Gzip { .. }), "{error:?}");
    assert!(error.to_string().contains("is in gzip and cannot be decompressed"), "{error}");
}
