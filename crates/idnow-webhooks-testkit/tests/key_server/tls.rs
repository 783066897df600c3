//! The key server over HTTPS, with its private authority.

use std::io;
use std::sync::Arc;

use idnow_webhooks_testkit::{KeyServer, SigningKey};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::{Answer, request};

async fn get(server: &KeyServer, ca_pem: &str, name: &'static str, url: &str) -> io::Result<Answer> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(server.address()).await?;
    let name = ServerName::try_from(name).unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    request(stream, "GET", url).await.map_err(io::Error::other)
}

#[tokio::test]
async fn serves_both_documents_to_a_client_that_trusts_it() {
    let server = KeyServer::start_tls().unwrap();
    server.publish(&[&SigningKey::shared()]);
    assert_eq!(server.issuer(), format!("https://{}/oidc", server.address()));
    let ca_pem = server.ca_pem().expect("a TLS server has an authority");

    let discovery = get(&server, ca_pem, "127.0.0.1", &server.discovery_url()).await.unwrap().json();
    assert_eq!(discovery["issuer"], server.issuer());
    assert_eq!(discovery["jwks_uri"], server.jwks_url());
    let keys = get(&server, ca_pem, "localhost", &server.jwks_url()).await.unwrap();
    assert_eq!(keys.json(), SigningKey::shared().jwks());
}

#[tokio::test]
async fn is_not_trusted_by_anybody_else() {
    let server = KeyServer::start_tls().unwrap();
    let another = KeyServer::start_tls().unwrap();
    let ca_pem = another.ca_pem().unwrap();
    let error = get(&server, ca_pem, "127.0.0.1", &server.jwks_url()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    let wrong_name = get(&another, ca_pem, "bank.example", &another.jwks_url()).await.unwrap_err();
    assert!(wrong_name.to_string().contains("not valid for name"), "{wrong_name}");
}

#[test]
fn plain_http_has_no_authority() {
    assert_eq!(KeyServer::start().unwrap().ca_pem(), None);
}
