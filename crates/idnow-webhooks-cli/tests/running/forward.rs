use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream;
use idnow_webhooks_testkit::SampleEvent;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::listen::{Setup, client};
use super::target::Target;

fn answer(status: u16, headers: &[(&str, &str)], body: &'static str) -> Response {
    let response = headers
        .iter()
        .fold(Response::builder().status(status), |response, (name, value)| response.header(*name, *value));
    response.body(Body::from(body)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_target_gets_what_came_in() {
    let target = Target::start().await;
    let mut setup = Setup::new(&["--forward-to", &target.url], &[]);
    let event = SampleEvent::completed();
    let token = setup.provider.token(&event);

    // The token is the body.
    let address = setup.url.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    let length = token.len();
    let request = format!(
        "POST /webhooks/idnow HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/jwt\r\nContent-Length: {length}\r\n\
         User-Agent: provider/1\r\nX-Auth-Token: a\r\nX-Many: 1\r\nx-many: 2\r\nX-Forwarded-For: 192.0.2.1\r\n\
         Connection: close, X-Of-This-Hop\r\nX-Of-This-Hop: 1\r\nTE: trailers\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Authorization: Basic eA==\r\n\r\n{token}"
    );
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    let got = target.got().pop().unwrap();
    assert_eq!((got.method.as_str(), got.uri.to_string()), ("POST", "/hooks?from=here".into()));
    assert_eq!(got.body, token);
    let header = |name: &str| {
        got.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(header("content-type"), ["application/jwt"]);
    assert_eq!(header("user-agent"), ["provider/1"]);
    assert_eq!(header("x-auth-token"), ["a"]);
    assert_eq!(header("x-many"), ["1", "2"]);
    assert_eq!(header("x-forwarded-for"), ["192.0.2.1"]);
    assert_eq!(header("content-length"), [length.to_string()]);
    assert!(target.url.contains(header("host")[0]), "{:?}", header("host"));
    for name in ["x-of-this-hop", "te", "keep-alive", "proxy-authorization", "connection"] {
        assert_eq!(header(name), [""; 0], "{name}");
    }
    let printed = setup.listener.json();
    assert_eq!((&printed["status"], &printed["data"]), (&json!(200), &event.data()));
    assert!(printed["forwarded"]["milliseconds"].is_number() && printed["forwarded"].get("error").is_none());

    // The token is in a header, and a loose body beside it.
    let body = event.data().to_string();
    let request = client()
        .post(&setup.url)
        .header("x-idnow-signature", &token)
        .header("content-type", "application/json");
    assert_eq!(request.body(body.clone()).send().await.unwrap().status(), 200);
    let got = target.got().pop().unwrap();
    assert_eq!((got.body, &got.headers["x-idnow-signature"]), (Bytes::from(body), &token.parse().unwrap()));

    // A body in several pieces.
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /webhooks/idnow HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/jwt\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in token.as_bytes().chunks(100) {
        stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await.unwrap();
        stream.write_all(piece).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
        stream.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    assert_eq!(target.got().pop().unwrap().body, token);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_targets_answer_is_the_answer() {
    let target = Target::start().await;
    let mut setup = Setup::new(&["--forward-to", &target.url], &[]);
    let elsewhere = Target::start().await;
    let location = elsewhere.url.clone();
    for status in [200, 204, 302, 400, 401, 429, 500, 503] {
        let location = location.clone();
        target.answer(move || {
            let body = if status == 204 { "" } else { "{\"code\":\"so\"}" };
            answer(
                status,
                &[
                    ("location", &location),
                    ("retry-after", "7"),
                    ("content-type", "application/problem+json"),
                    ("x-own", "1"),
                ],
                body,
            )
        });
        let response = setup.deliver(&SampleEvent::created()).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["retry-after"], "7");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert!(!response.headers().contains_key("x-own"));
        let body = response.text().await.unwrap();
        assert_eq!(body, if status == 204 { "" } else { "{\"code\":\"so\"}" });
        assert_eq!(setup.listener.json()["status"], status);
    }
    assert!(elsewhere.got().is_empty(), "redirects are not followed");
    // An answer without end is cut.
    target.answer(|| Response::new(Body::from(vec![b'x'; 1 << 20])));
    let response = setup.deliver(&SampleEvent::created()).await;
    assert_eq!((response.status().as_u16(), response.bytes().await.unwrap().len()), (200, 64 * 1024));
    setup.listener.line();
    let ended = setup.listener.stop();
    assert!(
        ended.out.ends_with("{\"kind\":\"stopped\",\"events\":9,\"refused\":0,\"notTaken\":6}\n"),
        "{}",
        ended.out
    );
}

/// Whatever keeps the target from answering may pass, so the event must come again.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_does_not_answer_makes_it_503() {
    // Nobody listens there.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://user:hunter2@{closed}/?token=hunter2");
    let mut setup = Setup::new(&["--forward-to", &url], &[]);
    check(&mut setup, "no connection").await;
    assert!(!setup.listener.stop().out.contains("hunter2"));

    // The answer is late, from its beginning or from its middle on.
    let target = Target::start().await;
    let mut setup = Setup::new(&["--forward-to", &target.url], &[("IDNOW_ANSWER_DEADLINE_MS", "400")]);
    target.answer(|| Response::new(Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>())));
    check(&mut setup, "no answer in time").await;
    target.answer(|| answer(200, &[], ""));
    target.wait(Duration::from_secs(30));
    let began = Instant::now();
    check(&mut setup, "no answer in time").await;
    assert!(began.elapsed() >= Duration::from_millis(390) && began.elapsed() < Duration::from_secs(10));

    // It breaks off.
    target.wait(Duration::ZERO);
    target.answer(|| {
        let pieces = [Ok(Bytes::from("half")), Err(std::io::Error::other("broken"))];
        Response::new(Body::from_stream(stream::iter(pieces)))
    });
    check(&mut setup, "no complete answer").await;

    // And then it is well again.
    target.answer(|| answer(200, &[], ""));
    assert_eq!(setup.deliver(&SampleEvent::created()).await.status(), 200);
}

async fn check(setup: &mut Setup, expected: &str) {
    let event = SampleEvent::created();
    let response = setup.deliver(&event).await;
    assert_eq!(response.status(), 503, "{expected}");
    assert_eq!(response.headers()["retry-after"], "1");
    let problem: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(problem["code"], "target_unavailable");
    let printed = setup.listener.json();
    assert_eq!(
        (&printed["kind"], &printed["status"], &printed["data"]),
        (&"event".into(), &503.into(), &event.data())
    );
    let error = printed["forwarded"]["error"].as_str().unwrap();
    assert!(error.contains(expected), "{error}");
}

/// The target has it then, so it must be seen.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_printed_although_its_sender_went_away() {
    let target = Target::start().await;
    target.wait(Duration::from_millis(300));
    let mut setup = Setup::new(&["--forward-to", &target.url], &[]);
    let event = SampleEvent::created();
    let token = setup.provider.token(&event);
    let request = client().post(&setup.url).header("content-type", "application/jwt").body(token);
    let given_up = request.timeout(Duration::from_millis(150)).send().await.unwrap_err();
    assert!(given_up.is_timeout(), "{given_up}");
    assert_eq!(setup.listener.json()["data"], event.data());
}
