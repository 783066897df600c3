//! Certificates are verified. (That TLS 1.1 is refused cannot be tried: rustls, which plays the servers here, does not
//! speak it, and neither does the sender, for the same reason.)

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use idnow_webhooks_sandbox::model::{Answer, DeadReason, DeliveryState};
use idnow_webhooks_sandbox::{Error, Sandbox};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion, version};

use crate::support::{Sink, World};

/// An authority's certificate as PEM, and a server whose certificate for `name` it has signed.
fn authority(name: &str, versions: &[&'static SupportedProtocolVersion]) -> (String, TlsAcceptor) {
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
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    (root_certificate.pem(), TlsAcceptor::from(Arc::new(config)))
}

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];

async fn trusting(authorities: &[&String]) -> World {
    let mut builder = Sandbox::builder().time_scale(1000.0).max_retries(1);
    for authority in authorities {
        builder = builder.root_certificates_pem(authority.as_str());
    }
    World::start(builder).await
}

#[tokio::test]
async fn a_server_of_an_extra_authority_is_delivered_to() {
    for versions in [&[&version::TLS12][..], &[&version::TLS13], BOTH] {
        let (root, acceptor) = authority("localhost", versions);
        let (other, _) = authority("localhost", BOTH);
        let sink = Sink::start_tls(acceptor).await;
        let world = trusting(&[&other, &root]).await;
        let endpoint = world.endpoint(&sink.url("/")).await;
        let (delivery, attempts) = world.send_one(&endpoint).await;
        assert_eq!(delivery.state, DeliveryState::Delivered, "{attempts:?}");
        world.events(3).await;
        crate::support::eventually("all are delivered", async || world.delivered(endpoint.id).await == 4)
            .await;
        assert!(sink.connections() <= 3, "connections are not kept");
    }
}

#[tokio::test]
async fn two_authorities_may_come_in_one_document() {
    let (one, acceptor) = authority("localhost", BOTH);
    let (two, _) = authority("localhost", BOTH);
    let sink = Sink::start_tls(acceptor).await;
    let world = trusting(&[&format!("{two}\n{one}")]).await;
    let endpoint = world.endpoint(&sink.url("/")).await;
    assert_eq!(world.send_one(&endpoint).await.0.state, DeliveryState::Delivered);
}

/// The certificate may be mended, so it is tried again; nothing is sent until it is.
async fn refused(world: World, sink: Sink, expected: &str) {
    let endpoint = world.endpoint(&sink.url("/")).await;
    let (delivery, attempts) = world.send_one(&endpoint).await;
    assert_eq!(
        (delivery.state, delivery.dead_reason),
        (DeliveryState::Dead, Some(DeadReason::RetriesExhausted))
    );
    assert_eq!(attempts.len(), 2);
    for attempt in &attempts {
        let Some(Answer::ConnectionFailed { reason }) = &attempt.answer else { panic!("{attempt:?}") };
        assert!(reason.starts_with("no TLS connection: ") && reason.contains(expected), "{reason}");
    }
    assert_eq!(sink.count(), 0, "a token was sent over a connection that is not trusted");
    assert_eq!(sink.broken_handshakes(), 2);
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_not_trusted() {
    let (other, _) = authority("localhost", BOTH);
    let (_, acceptor) = authority("localhost", BOTH);
    refused(
        trusting(&[&other]).await,
        Sink::start_tls(acceptor).await,
        "is its authority one of the extra ones?",
    )
    .await;
}

#[tokio::test]
async fn without_extra_authorities_a_private_one_is_not_trusted() {
    let (_, acceptor) = authority("localhost", BOTH);
    refused(trusting(&[]).await, Sink::start_tls(acceptor).await, "UnknownIssuer").await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_trusted() {
    let (root, acceptor) = authority("bank.example", BOTH);
    refused(trusting(&[&root]).await, Sink::start_tls(acceptor).await, "not valid for name").await;
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_apart() {
    let (root, _) = authority("localhost", BOTH);
    // It takes the handshake for a request that never ends; it answers nevertheless.
    let plain = tokio::net::TcpListener::bind("localhost:0").await.unwrap();
    let url = format!("https://localhost:{}/", plain.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
        }
    });
    let world = trusting(&[&root]).await;
    let endpoint = world.endpoint(&url).await;
    let (_, attempts) = world.send_one(&endpoint).await;
    let Some(Answer::ConnectionFailed { reason }) = &attempts[0].answer else { panic!("{attempts:?}") };
    assert!(reason.contains("does it speak TLS?"), "{reason}");
}

#[tokio::test]
async fn what_is_no_certificate_stops_the_start() {
    let (root, _) = authority("localhost", BOTH);
    let broken = root.replace("MII", "M!!");
    for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", &broken] {
        let error = Sandbox::builder()
            .root_certificates_pem(root.as_str())
            .root_certificates_pem(pem)
            .start()
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Invalid { field: "root_certificates_pem", .. }), "{pem:?}: {error}");
    }
}
