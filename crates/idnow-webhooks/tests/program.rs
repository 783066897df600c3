//! What a program is made of: its log, which belongs to the whole process, and its server.
#![cfg(feature = "program")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Extension;
use axum::routing::get;
use idnow_webhooks::PeerAddr;
use idnow_webhooks::program::{Log, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A value whose text is made while the subscriber holds a lock of its span.
struct Panics;

impl fmt::Display for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("in the subscriber")
    }
}

/// Standard error may be a pipe that nobody reads: what a panic says must not be written there directly.
#[test]
fn panics_are_logged_too() {
    let sink = Sink::default();
    let log = Log::new(sink.clone());
    assert!(log.install("hyper=debgu").unwrap_err().to_string().starts_with("RUST_LOG: "));
    log.install("info").unwrap();
    assert!(log.install("info").unwrap_err().to_string().starts_with("the process has a log already: "));
    tracing::info!("begun");
    std::thread::spawn(|| panic!("in\na handler")).join().unwrap_err();
    let in_the_subscriber = std::thread::spawn(|| {
        let span = tracing::info_span!("span", field = tracing::field::Empty);
        let _entered = span.enter();
        span.record("field", tracing::field::display(Panics));
    });
    let started = std::time::Instant::now();
    while !in_the_subscriber.is_finished() {
        assert!(started.elapsed() < Duration::from_secs(20), "a panic in the subscriber waits for itself");
        std::thread::sleep(Duration::from_millis(1));
    }
    in_the_subscriber.join().unwrap_err();
    assert_eq!(log.close(Ok(())), ExitCode::SUCCESS);
    let written = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    // What fails from here on is to be seen.
    drop(std::panic::take_hook());
    let lines: Vec<_> = written.lines().collect();
    let [begun, panicked, ..] = lines[..] else { panic!("{written}") };
    assert!(begun.contains("INFO") && begun.ends_with("begun"), "{written}");
    let parts = ["ERROR", "idnow_webhooks::log", r#"panicked: "in\na handler""#, "tests/program.rs:"];
    assert!(parts.iter().all(|part| panicked.contains(part)), "{written}");
    assert!(written.contains(r#"panicked: "in the subscriber""#), "{written}");
}

async fn slow(Extension(PeerAddr(peer)): Extension<PeerAddr>) -> String {
    sleep(Duration::from_millis(500)).await;
    peer.to_string()
}

async fn start() -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = server.local_addr().unwrap();
    let app = axum::Router::new().route("/slow", get(slow)).route("/", get(|| async { "quick" }));
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(server.serve(app, async { drop(stopped.await) }));
    (address, stop, serving)
}

async fn asked(address: SocketAddr, path: &str) -> TcpStream {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    connection
}

async fn rest(mut connection: TcpStream) -> String {
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn what_is_under_way_at_a_stop_is_answered_and_idle_connections_end() {
    let (address, stop, serving) = start().await;
    let silent = TcpStream::connect(address).await.unwrap();
    let mut idle = asked(address, "/").await;
    idle.read_exact(&mut [0; 15]).await.unwrap();
    let slow = asked(address, "/slow").await;
    sleep(Duration::from_millis(100)).await;

    let began = Instant::now();
    drop(stop);
    let answer = rest(slow).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("127.0.0.1"), "{answer}");
    assert!(rest(idle).await.ends_with("quick"));
    assert_eq!(rest(silent).await, "");
    serving.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(TcpStream::connect(address).await.is_err());
}

/// Its clients send what begins no request, such as acknowledgements and pings, so the time-out cannot be right for it.
#[tokio::test]
async fn http2_is_refused_at_once_without_an_answer() {
    let (address, _stop, _serving) = start().await;
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut answer = Vec::new();
    let closed = timeout(Duration::from_secs(5), connection.read_to_end(&mut answer)).await;
    // A reset is an end, too: not all was read.
    closed.unwrap().ok();
    assert_eq!(answer, b"");
}
