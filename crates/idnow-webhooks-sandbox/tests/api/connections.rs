//! Clients that keep a connection waiting.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::Site;

/// What is answered to these bytes, and after which time the connection is closed.
async fn answered(site: &Site, bytes: &str) -> (String, Duration) {
    let mut stream = TcpStream::connect(("127.0.0.1", site.port())).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let began = Instant::now();
    let mut said = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(40), stream.read_to_end(&mut said))
        .await
        .expect("held for ever");
    (String::from_utf8(said).unwrap(), began.elapsed())
}

fn head(site: &Site, path: &str, media_type: &str) -> String {
    let port = site.port();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: {media_type}\r\nConnection: close\r\n"
    )
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let site = Site::start().await;
    let json = format!(
        "{}Content-Length: 20\r\n\r\n{{\"name\":",
        head(&site, "/manage/v1/flows", "application/json")
    );
    let chunked = format!(
        "{}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"nam\r\n",
        head(&site, "/manage/v1/flows", "application/json")
    );
    let form = format!(
        "{}Content-Length: 200\r\n\r\ngrant_type=",
        head(&site, "/oidc/token", "application/x-www-form-urlencoded")
    );
    let silent = format!("GET /manage/v1/flows HTTP/1.1\r\nHost: localhost:{}\r\n", site.port());
    let idle = format!("{silent}\r\n");
    let ((json, first), (chunked, second), (form, third), (silent, fourth), (idle, fifth)) = tokio::join!(
        answered(&site, &json),
        answered(&site, &chunked),
        answered(&site, &form),
        answered(&site, &silent),
        answered(&site, &idle),
    );
    for said in [&json, &chunked] {
        assert!(said.starts_with("HTTP/1.1 408") && said.contains(r#""code":"request_timeout""#), "{said}");
    }
    assert!(form.starts_with("HTTP/1.1 400") && form.contains("in time"), "{form}");
    assert!(idle.starts_with("HTTP/1.1 200"), "{idle}");
    assert!(!silent.contains("200 OK"), "{silent}");
    for took in [first, second, third, fourth, fifth] {
        assert!((Duration::from_secs(9)..Duration::from_secs(25)).contains(&took), "{took:?}");
    }
}

#[tokio::test]
async fn two_hosts_or_none_are_no_host() {
    let site = Site::start().await;
    let port = site.port();
    let get = "GET /manage/v1/flows HTTP/1.1\r\nConnection: close\r\n";
    for hosts in [
        String::new(),
        format!("Host: localhost:{port}\r\nHost: localhost:{port}\r\n"),
        format!("Host: localhost:{port}\r\nHost: evil.example\r\n"),
        format!("Host: user@localhost:{port}\r\n"),
    ] {
        let (said, _) = answered(&site, &format!("{get}{hosts}\r\n")).await;
        assert!(said.starts_with("HTTP/1.1 403") && said.contains("host_not_allowed"), "{hosts}: {said}");
    }
    let absolute = format!(
        "GET http://evil.example:{port}/manage/v1/flows HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
    );
    let (said, _) = answered(&site, &absolute).await;
    assert!(said.starts_with("HTTP/1.1 403"), "{said}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let site = Site::start().await;
    let large =
        format!("GET / HTTP/1.1\r\nHost: localhost:{}\r\nX: {}\r\n\r\n", site.port(), "x".repeat(40_000));
    let (said, _) = answered(&site, &large).await;
    assert!(said.starts_with("HTTP/1.1 431"), "{said}");
    site.get("/manage/v1/flows").await.is(200);
}
