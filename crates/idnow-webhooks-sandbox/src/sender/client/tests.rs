use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Answers every request, and counts connections.
async fn server(answer: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, connections) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (port, connections)
}

const DONE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn names(addresses: &'static [&'static str]) -> Names {
    let addresses: Vec<SocketAddr> =
        addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect();
    Names::looked_up_by(move |_| std::future::ready(Ok(addresses.clone())).boxed())
}

fn client(guard: Guard, names: Names) -> Client {
    let deadline = Duration::from_secs(5);
    Client::new(ClientOptions { guard, deadline, extra_roots: Vec::new(), names }).unwrap()
}

async fn post(client: &Client, url: String) -> Answer {
    client.post(&url, HeaderMap::new(), b"token".to_vec()).await
}

fn done() -> Answer {
    Answer::Status { code: 200, body: "ok".into() }
}

#[tokio::test]
async fn a_name_counts_as_the_addresses_it_leads_to() {
    let (port, connections) = server(DONE).await;
    let usual = Guard::default();
    let private = Guard { allow_private: true, ..usual };
    let public = Guard { public_only: true, ..usual };
    let refused: [(Guard, &str, &[&str], &str); 10] = [
        (usual, "http", &["10.0.0.1"], "10.0.0.1 is not allowed: a private network"),
        (usual, "https", &["10.0.0.1"], "10.0.0.1 is not allowed: a private network"),
        (usual, "https", &["fd00::1", "192.168.1.1"], "192.168.1.1 is not allowed: a private network"),
        (usual, "https", &["169.254.169.254"], "metadata"),
        (usual, "http", &["8.8.8.8"], "plain http is only for loopback"),
        (private, "http", &["10.0.0.1"], "plain http is only for loopback"),
        (private, "https", &["169.254.169.254"], "metadata"),
        (public, "https", &["127.0.0.1"], "loopback"),
        (public, "https", &["::1"], "loopback"),
        (public, "https", &["::ffff:8.8.8.8"], "stands for an IPv4 address"),
    ];
    for (guard, scheme, addresses, expected) in refused {
        let answer =
            post(&client(guard, names(addresses)), format!("{scheme}://rebound.example:{port}/")).await;
        let Answer::NotSent { reason } = &answer else { panic!("{addresses:?}: {answer:?}") };
        assert!(reason.contains(expected), "{reason}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn of_several_addresses_only_the_allowed_ones_are_tried() {
    let (port, connections) = server(DONE).await;
    // The first would be taken if it were not sorted out: nothing listens on that port, but a connection would hang or
    // fail with another error.
    let client = client(Guard::default(), names(&["10.255.255.1", "8.8.8.8", "127.0.0.1"]));
    assert_eq!(post(&client, format!("http://mixed.example:{port}/")).await, done());
    assert_eq!(post(&client, format!("http://mixed.example:{port}/")).await, done());
    assert_eq!(connections.load(Ordering::SeqCst), 1, "the connection is kept");
}

#[tokio::test]
async fn a_name_that_leads_nowhere_may_lead_somewhere_later() {
    let none = client(Guard::default(), names(&[]));
    let failing = Names::looked_up_by(|_| async { Err(io::Error::other("no such name")) }.boxed());
    for client in [none, client(Guard::default(), failing)] {
        let answer = post(&client, "https://nowhere.example/".into()).await;
        assert!(matches!(answer, Answer::ConnectionFailed { .. }), "{answer:?}");
    }
}

#[tokio::test]
async fn however_many_wait_for_a_name_it_is_looked_up_once_at_a_time() {
    let lookups = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&lookups);
    let names = Names::looked_up_by(move |name| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            if name == "dead.example" {
                std::future::pending::<()>().await;
            }
            Err(io::Error::other("no such name"))
        }
        .boxed()
    });
    let options = ClientOptions {
        guard: Guard::default(),
        deadline: Duration::from_millis(200),
        extra_roots: Vec::new(),
        names,
    };
    let client = Client::new(options).unwrap();
    let all = (0..50).map(|_| post(&client, "http://dead.example/".into()));
    let answers = futures_util::future::join_all(all).await;
    assert!(answers.iter().all(|answer| *answer == Answer::TimedOut), "{answers:?}");
    assert_eq!(lookups.load(Ordering::SeqCst), 1);

    for expected in [2, 3] {
        let answer = post(&client, "http://alive.example/".into()).await;
        assert!(matches!(answer, Answer::ConnectionFailed { .. }), "{answer:?}");
        assert_eq!(lookups.load(Ordering::SeqCst), expected, "an answer is not remembered");
    }
}

#[tokio::test]
async fn what_is_no_url_is_not_sent() {
    let client = client(Guard::default(), names(&["127.0.0.1"]));
    for url in
        ["", "bank.example", "https://", "https://[::1", "https://999.1.1.1/", "ftp://127.0.0.1/", "data:x"]
    {
        let answer = post(&client, url.into()).await;
        assert!(matches!(answer, Answer::NotSent { .. }), "{url}: {answer:?}");
    }
}

#[test]
fn the_beginning_of_a_text_is_kept_and_of_nothing_else() {
    assert_eq!(text(b""), "");
    assert_eq!(text("stored \u{e9}\r\n\t{}".as_bytes()), "stored \u{e9}\r\n\t{}");
    let long = "\u{1f600}".repeat(1001);
    assert_eq!(text(long.as_bytes()), "\u{1f600}".repeat(1000));
    // Cut off within a character.
    assert_eq!(text(&"ab\u{1f600}".as_bytes()[..5]), "ab");
    for binary in [&b"\x1f\x8b\x08"[..], b"ab\xffcd", b"ab\0cd", b"\x1b[31mred"] {
        assert_eq!(text(binary), "", "{binary:?}");
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_made_is_not_sent() {
    let (port, connections) = server(DONE).await;
    let client = client(Guard::default(), names(&["127.0.0.1"]));
    for url in [
        // A URL, but no URI as HTTP has it.
        format!("http://a\"b.example:{port}/"),
        format!("https://a{{b}}.example:{port}/"),
        format!("http://127.0.0.1:{port}/{}", "x".repeat(70_000)),
    ] {
        let answer = post(&client, url.clone()).await;
        let Answer::NotSent { reason } = &answer else { panic!("{url:.40}: {answer:?}") };
        assert!(reason.starts_with("no request can be made for the URL: "), "{reason}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}
