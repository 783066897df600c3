use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use idnow_webhooks_core::keys::KeySource;
use idnow_webhooks_jwks::{ConfigError, FetchError, JwksError, Location};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::{PATH, Reply, Server, builder, fetch_error};

/// The root certificate as PEM, and a server whose certificate for `name` it has signed.
fn private_authority(name: &str) -> (String, TlsAcceptor) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    // Two authorities of one name would look like one with a changed key.
    let root_name = format!("Test root {}", NUMBER.fetch_add(1, Ordering::Relaxed));
    root.distinguished_name.push(DnType::CommonName, root_name);
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate().unwrap();
    let root_certificate = root.self_signed(&root_key).unwrap();
    let issuer = Issuer::new(root, root_key);

    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    (root_certificate.pem(), TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test]
async fn a_private_authority_is_trusted_only_when_configured() {
    let (root, acceptor) = private_authority("localhost");
    let (other_root, _) = private_authority("localhost");
    let server = Server::start_tls(Reply::keys(&["1"]), acceptor).await;

    let builder = server.builder().root_certificates_pem(other_root.clone()).root_certificates_pem(root);
    assert_eq!(builder.connect().await.unwrap().current().key_ids(), ["1"]);
    assert_eq!(server.hits(), 1);

    for builder in [server.builder(), server.builder().root_certificates_pem(other_root)] {
        match builder.connect().await {
            Err(JwksError::FirstFetch(error)) => {
                assert!(matches!(*error, FetchError::Tls { .. }), "{error:?}");
                let message = error.to_string();
                assert!(message.contains("UnknownIssuer"), "{message}");
                assert!(message.contains("root_certificates_pem"), "{message}");
            }
            // Machines without any root certificate exist.
            Err(JwksError::Config(ConfigError::HttpClient { cause, .. })) => {
                assert!(cause.contains("No CA certificates"), "{cause}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(server.hits(), 1, "a request was sent over an untrusted connection");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (root, acceptor) = private_authority("keys.example");
    let server = Server::start_tls(Reply::keys(&["1"]), acceptor).await;
    let error = fetch_error(server.builder().root_certificates_pem(root)).await;
    assert!(matches!(*error, FetchError::Tls { .. }), "{error:?}");
    assert!(error.to_string().contains("not valid for name"), "{error}");
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_refused() {
    let (root, _) = private_authority("localhost");
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", plain.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ =
                tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let error = fetch_error(builder(Location::url(url)).root_certificates_pem(root)).await;
    assert!(matches!(*error, FetchError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn a_handshake_that_breaks_off_is_tried_once_more() {
    let (root, _) = private_authority("localhost");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 10_000]).await;
        }
    });
    let error = fetch_error(builder(Location::url(url)).root_certificates_pem(root)).await;
    assert!(matches!(*error, FetchError::Unreachable { .. }), "{error:?}");
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn discovery_over_https_must_not_lead_to_plain_http() {
    let (root, acceptor) = private_authority("localhost");
    let discovery = Server::start_tls(Reply::Hang, acceptor).await;
    let keys = Server::start(Reply::keys(&["1"])).await;
    let issuer = discovery.url("/oidc");
    for url in [keys.url(PATH), format!("http://{}{PATH}", keys.address), "http://[::1]/".to_owned()] {
        let document = format!(r#"{{"issuer":"{issuer}","jwks_uri":"{url}"}}"#);
        discovery.set_at("/oidc/.well-known/openid-configuration", Reply::json(document));
        let error = fetch_error(builder(Location::issuer(&issuer)).root_certificates_pem(root.clone())).await;
        assert!(matches!(*error, FetchError::KeyUrl { .. }), "{error}");
        assert!(error.to_string().contains(&url), "{error}");
    }
    assert_eq!(keys.hits(), 0);
}

#[tokio::test]
async fn discovery_over_plain_loopback_may_lead_to_https() {
    let (root, acceptor) = private_authority("localhost");
    let keys = Server::start_tls(Reply::keys(&["1"]), acceptor).await;
    let discovery = Server::start(Reply::Hang).await;
    let issuer = discovery.url("/oidc");
    let document = format!(r#"{{"issuer":"{issuer}","jwks_uri":"{}"}}"#, keys.url(PATH));
    discovery.set_at("/oidc/.well-known/openid-configuration", Reply::json(document));
    let source = builder(Location::issuer(issuer)).root_certificates_pem(root).connect().await.unwrap();
    assert_eq!(source.current().key_ids(), ["1"]);
}
