//! Connections that say nothing, or not all of it: they are closed, and take nobody else's place for long.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use idnow_webhooks_testkit::SampleEvent;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};

use super::process::{Program, Running, command_with_files, start, start_at};
use super::tls::Certificate;
use super::{DEPLOYABLE, World, post_when_ready, world};

/// The examples wait for 10 s; the first byte may come just before they are over, and then the rest.
const CLOSED_WITHIN: Duration = Duration::from_secs(21);
const HEAD: &str = "POST /webhooks/idnow HTTP/1.1\r\nhost: x\r\n";
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The beginning of the record of a `ClientHello`.
const HELLO: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 7, 7, 7];
const NO_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// What a client has sent when it falls silent.
fn beginnings() -> Vec<Vec<u8>> {
    let health = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n";
    vec![
        Vec::new(),
        HEAD.into(),
        // A kept connection, and one on which half of the next head has come.
        health.into(),
        format!("{health}{HEAD}").into(),
        // Half a body: whether it is answered or not, the connection ends.
        format!("{HEAD}content-length: 100\r\n\r\nabc").into(),
        b"PRI * H".to_vec(),
        HTTP2.to_vec(),
        [HTTP2, NO_SETTINGS].concat(),
    ]
}

/// Waits until the server ends the connection, and gives what it sent.
async fn closed(mut connection: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut answer = Vec::new();
    let ended = timeout(CLOSED_WITHIN, connection.read_to_end(&mut answer)).await;
    // Ended rudely is ended, too.
    ended.unwrap_or_else(|_| panic!("kept after {:?}", String::from_utf8_lossy(&answer))).ok();
    answer
}

/// For the provider each 4xx would be final: 200 of what came whole, 503 of a body that did not, 404 or 400 of the
/// preface of a version of HTTP that is not spoken there.
fn assert_nothing_final(sent: &[u8], answer: &[u8]) {
    let answer = String::from_utf8_lossy(answer);
    if !sent.starts_with(b"PRI") {
        assert!(!answer.contains("HTTP/1.1 4"), "{:?}: {answer}", String::from_utf8_lossy(sent));
    }
}

/// Falls silent on a connection of each kind.
async fn fall_silent(address: SocketAddr, tls: Option<&TlsConnector>) {
    let mut connections = JoinSet::new();
    for sent in beginnings() {
        let tls = tls.cloned();
        connections.spawn(async move {
            let mut connection = TcpStream::connect(address).await.unwrap();
            let answer = match tls {
                None => {
                    connection.write_all(&sent).await.unwrap();
                    closed(connection).await
                }
                Some(tls) => {
                    let name = ServerName::try_from("127.0.0.1").unwrap();
                    let mut connection = tls.connect(name, connection).await.unwrap();
                    connection.write_all(&sent).await.unwrap();
                    connection.flush().await.unwrap();
                    closed(connection).await
                }
            };
            assert_nothing_final(&sent, &answer);
        });
    }
    while let Some(ended) = connections.join_next().await {
        ended.unwrap();
    }
}

/// One byte of a head a second: never silent, never done.
async fn trickles(address: SocketAddr) {
    let (mut from, mut to) = TcpStream::connect(address).await.unwrap().into_split();
    let answer = tokio::spawn(async move {
        let mut answer = Vec::new();
        from.read_to_end(&mut answer).await.ok();
        answer
    });
    let deadline = Instant::now() + CLOSED_WITHIN;
    for byte in HEAD.bytes().cycle() {
        if answer.is_finished() || to.write_all(&[byte]).await.is_err() {
            break;
        }
        assert!(Instant::now() < deadline, "kept");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_nothing_final(HEAD.as_bytes(), &answer.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_are_closed_without_a_final_answer() {
    let running = DEPLOYABLE.map(|program| {
        let world = world();
        (start(program, &world.variables()), world)
    });
    let mut programs = JoinSet::new();
    for (running, world) in &running {
        post_when_ready(&running.url, &world.provider.token(&SampleEvent::completed())).await;
        let address = running.address();
        programs.spawn(async move { tokio::join!(fall_silent(address, None), trickles(address)) });
    }
    while let Some(ended) = programs.join_next().await {
        ended.unwrap();
    }
    for (running, _) in running {
        let (_, log) = running.terminate();
        assert!(!log.contains("panicked"), "{log}");
    }
}

fn connector(pem: &str, version: &'static SupportedProtocolVersion) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(PemObject::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_protocol_versions(&[version]);
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_are_closed_over_tls_too() {
    let certificate = Certificate::new();
    let world = world();
    let mut variables = world.variables();
    variables.extend(certificate.variables());
    let running = start(DEPLOYABLE[0], &variables);
    let address = running.address();
    let [tls, tls_1_2, tls_1_3] =
        [&TLS13, &TLS12, &TLS13].map(|version| connector(&certificate.pem, version));
    let silent = async |sent: &[u8]| {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(sent).await.unwrap();
        closed(connection).await
    };
    tokio::join!(
        fall_silent(address, Some(&tls)),
        silent(&[]),
        silent(HELLO),
        has_all_its_time(address, &tls_1_2),
        has_all_its_time(address, &tls_1_3),
    );
}

/// In a resumed handshake of TLS 1.2 the last message is the client's: it begins no request.
async fn has_all_its_time(address: SocketAddr, tls: &TlsConnector) {
    let mut kinds = Vec::new();
    for idle in [Duration::ZERO, Duration::from_secs(8)] {
        let connection = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut connection = tls.connect(name, connection).await.unwrap();
        assert_eq!(connection.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        kinds.extend(connection.get_ref().1.handshake_kind());
        tokio::time::sleep(idle).await;
        connection.write_all(b"GET /health HTTP/1.1\r\n").await.unwrap();
        connection.flush().await.unwrap();
        tokio::time::sleep(idle / 2).await;
        connection.write_all(b"host: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let answer = String::from_utf8(closed(connection).await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer:?}");
    }
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
}

async fn hold<S: AsyncWrite + Unpin>(mut connection: S, sent: &[u8]) -> S {
    connection.write_all(sent).await.unwrap();
    connection
}

/// Takes all the files that the program may open, and delivers an event as the provider does: again and again.
async fn outlives_a_flood(running: &Running, world: &World) {
    let url = &running.url;
    post_when_ready(url, &world.provider.token(&SampleEvent::completed())).await;
    let kinds = beginnings();
    let mut held = Vec::new();
    for kind in kinds.iter().cycle().take(100) {
        for sent in [&[], &kind[..]] {
            held.push(hold(TcpStream::connect(running.address()).await.unwrap(), sent).await);
        }
    }
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(Duration::from_secs(10));
    let client = client.build().unwrap();
    let event = SampleEvent::completed();
    let began = Instant::now();
    let mut answers = Vec::new();
    while answers.last() != Some(&200) {
        assert!(began.elapsed() < 3 * CLOSED_WITHIN, "{url}: {answers:?}");
        let answer = client.post(url).body(world.provider.token(&event)).send().await;
        answers.push(answer.map_or(0, |answer| answer.status().as_u16()));
        assert!(!(400..500).contains(answers.last().unwrap()), "{url}: {answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_keep_no_delivery_out_for_long() {
    let programs = DEPLOYABLE.map(|program: Program| async move {
        let world = world();
        let command = command_with_files(program, &world.variables(), 128);
        let running = start_at(command);
        outlives_a_flood(&running, &world).await;
        let (status, log) = running.terminate();
        assert!(status.success(), "{program:?}: {status}\n{log}");
        let refused: Vec<_> = log.lines().filter(|line| line.contains("Too many open files")).collect();
        assert!(!refused.is_empty() && refused[0].contains("ERROR"), "{program:?}: {log}");
        // A few a second at the most, and not one for each attempt to accept.
        assert!(refused.len() < 200, "{program:?}: {}", refused.len());
    });
    let [axum, actix_web, warp] = programs;
    tokio::join!(axum, actix_web, warp);
}

/// A proxy keeps some all the time.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_do_not_hold_up_a_stop() {
    for program in DEPLOYABLE {
        let world = world();
        let running = start(program, &world.variables());
        let mut idle = TcpStream::connect(running.address()).await.unwrap();
        idle.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        idle.read_exact(&mut [0; 15]).await.unwrap();
        let began = Instant::now();
        let (status, log) = running.terminate();
        assert!(status.success(), "{program:?}: {status}\n{log}");
        assert!(began.elapsed() < Duration::from_secs(5), "{program:?}: {:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_handshakes_do_not_hold_up_a_stop() {
    let certificate = Certificate::new();
    let world = world();
    let mut variables = world.variables();
    variables.extend(certificate.variables());
    let running = start(DEPLOYABLE[0], &variables);
    let mut connection = TcpStream::connect(running.address()).await.unwrap();
    connection.write_all(HELLO).await.unwrap();
    // Until it is accepted.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let began = Instant::now();
    let (status, log) = running.terminate();
    assert!(status.success() && !log.contains("were cut"), "{status}\n{log}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_to_head_as_to_get() {
    for program in DEPLOYABLE {
        let world = world();
        let running = start(program, &world.variables());
        post_when_ready(&running.url, &world.provider.token(&SampleEvent::completed())).await;
        let url = format!("http://{}/health", running.address());
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        assert_eq!(client.get(&url).send().await.unwrap().status(), 200, "{program:?}");
        assert_eq!(client.head(&url).send().await.unwrap().status(), 200, "{program:?}");
    }
}
