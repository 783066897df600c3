//! The axum example over HTTPS.

use std::time::{Duration, Instant};

use idnow_webhooks_testkit::SampleEvent;
use reqwest::tls::Version;

use super::process::{PATIENCE, Program, fails, start};
use super::world;

const AXUM: Program = Program::Package("example-axum");

/// A certificate for 127.0.0.1, in PEM files that are there as long as this is.
pub(crate) struct Certificate {
    folder: tempfile::TempDir,
    pub(crate) pem: String,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let issued = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("certificate.pem"), issued.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), issued.signing_key.serialize_pem()).unwrap();
        Self { folder, pem: issued.cert.pem() }
    }

    /// What makes the axum example use it.
    pub(crate) fn variables(&self) -> [(&'static str, String); 2] {
        let path = |name| self.folder.path().join(name).to_str().unwrap().to_owned();
        [("WEBHOOK_TLS_CERT", path("certificate.pem")), ("WEBHOOK_TLS_KEY", path("key.pem"))]
    }
}

#[tokio::test]
async fn deliveries_arrive_over_tls_1_2_and_1_3_and_not_below() {
    let certificate = Certificate::new();
    let world = world();
    let mut variables = world.variables();
    variables.extend(certificate.variables());
    let running = start(AXUM, &variables);
    assert!(running.url.starts_with("https://"), "{}", running.url);
    for version in [Version::TLS_1_2, Version::TLS_1_3] {
        let root = reqwest::Certificate::from_pem(certificate.pem.as_bytes()).unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([root])
            .tls_version_min(version)
            .tls_version_max(version)
            .build()
            .unwrap();
        let (mut status, deadline) = (503, Instant::now() + PATIENCE);
        while status == 503 && Instant::now() < deadline {
            let token = world.provider.token(&SampleEvent::completed());
            status = client.post(&running.url).body(token).send().await.unwrap().status().as_u16();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(status, 200, "{version:?}");
    }
    assert_refuses_tls_1_1(&running.address().to_string());
}

/// No client library at hand speaks TLS 1.1 any more, so this is its first message, written by hand.
fn assert_refuses_tls_1_1(address: &str) {
    use std::io::{Read, Write};

    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    let mut message = vec![1, 0, 0, u8::try_from(hello.len()).unwrap()];
    message.extend(&hello);
    let mut record = vec![22, 3, 1, 0, u8::try_from(message.len()).unwrap()];
    record.extend(&message);

    let mut connection = std::net::TcpStream::connect(address).unwrap();
    connection.write_all(&record).unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).unwrap();
    // An alert (21), level fatal (2).
    assert_eq!((answer.first(), answer.get(5)), (Some(&21), Some(&2)), "{answer:?}");
}

#[test]
fn half_a_certificate_stops_the_start() {
    let world = world();
    let mut variables = world.variables();
    variables.push(("WEBHOOK_TLS_CERT", "/nowhere.pem".to_owned()));
    let (status, log) = fails(AXUM, &variables);
    assert!(!status.success() && log.contains("WEBHOOK_TLS_KEY"), "{log}");
    variables.push(("WEBHOOK_TLS_KEY", "/nowhere.pem".to_owned()));
    let (status, log) = fails(AXUM, &variables);
    assert!(!status.success() && log.contains("/nowhere.pem"), "{log}");
}
