//! The proxy's limits and time-outs agree with the receiver's, and with what the provider makes of an answer.

use std::time::Duration;

use bytes::Bytes;
use idnow_webhooks::Settings;
use idnow_webhooks_testkit::SampleEvent;
use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::nginx::{edit, in_front_of, recommended};
use crate::{Answer, Nginx, PATH, PROVIDER, World, delivery, send};

/// How long the provider waits for an answer.
const PROVIDER_WAITS: Duration = Duration::from_secs(10);

/// The longest body, and the longest token in a header.
const MOST: usize = 256 * 1024;

/// The value of a directive that is there once, in seconds or in bytes.
fn value(directive: &str) -> u64 {
    let configuration = recommended();
    let mut values = configuration.lines().filter_map(|line| {
        line.trim().strip_prefix(directive)?.strip_prefix(' ')?.strip_suffix(';')?.split(' ').next_back()
    });
    let (Some(value), None) = (values.next(), values.next()) else {
        panic!("docs/nginx.conf should have {directive} once")
    };
    let (number, unit) = value.split_at(value.len() - 1);
    number.parse::<u64>().unwrap() * if unit == "k" { 1024 } else { 1 }
}

#[test]
fn its_numbers_fit_the_defaults_of_the_receiver() {
    let names = [("IDNOW_ENVIRONMENT", "sandbox"), ("IDNOW_AUDIENCE", "https://bank.example/webhooks/idnow")];
    let defaults = Settings::from_variables(names.map(|(name, value)| (name.into(), value.into()))).unwrap();

    let body = u64::try_from(defaults.max_body_bytes).unwrap();
    assert_eq!(value("client_max_body_size"), body);
    assert_eq!(value("client_body_buffer_size"), body);
    // A header line is in one buffer, with its name; other headers come on top.
    assert!(value("large_client_header_buffers") >= body + 8 * 1024);

    for time_out in ["proxy_read_timeout", "proxy_send_timeout"] {
        let time_out = Duration::from_secs(value(time_out));
        assert!(time_out > defaults.answer_deadline && time_out < PROVIDER_WAITS, "{time_out:?}");
    }
    for time_out in ["client_header_timeout", "client_body_timeout"] {
        assert!(Duration::from_secs(value(time_out)) > PROVIDER_WAITS, "a 408 would end the retries");
    }
}

#[tokio::test]
async fn what_is_too_long_for_the_one_is_too_long_for_the_other() {
    let world = World::new();
    let receiver = world.receiver().await;
    let nginx = Nginx::start(&in_front_of(&[receiver.address]));
    let (client, url) = (nginx.client(PROVIDER), nginx.url(PATH));
    let whole = |bytes: usize| delivery(&client, &url, "a".repeat(bytes));
    let chunked = |bytes: usize| {
        let pieces = vec![Ok::<_, std::io::Error>(Bytes::from("a".repeat(bytes)))];
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        client.post(&url).header("content-type", "application/jwt").body(body)
    };
    let header = |bytes: usize| {
        let request = client.post(&url).header("content-type", "application/json");
        request.header("x-idnow-signature", "a".repeat(bytes)).body("{}")
    };
    let read = Answer::of_the_receiver(400, "malformed_token");
    assert_eq!(send(whole(MOST)).await, read);
    assert_eq!(send(chunked(MOST)).await, read);
    assert_eq!(send(header(MOST)).await, read);
    assert_eq!(send(whole(MOST + 1)).await, Answer::of_nginx(413));
    assert_eq!(send(chunked(MOST + 1)).await, Answer::of_nginx(413));
    assert_eq!(send(header(MOST + 1)).await, Answer::of_the_receiver(413, "body_too_large"));
    // nginx has a limit of its own for a header line.
    assert_eq!(send(header(MOST + 8 * 1024)).await, Answer::of_nginx(400));
    assert!(!nginx.log().contains("temporary file"), "{}", nginx.log());
}

/// The longest token header that is accepted, as a chain of certificates makes it, and the longest claims beside it.
#[tokio::test]
async fn a_long_genuine_token_comes_through_both_ways() {
    let world = World::new();
    let receiver = world.receiver().await;
    let nginx = Nginx::start(&in_front_of(&[receiver.address]));
    let (client, url) = (nginx.client(PROVIDER), nginx.url(PATH));
    let key = world.provider.key();
    for (chain, padding) in [(16_000, 0), (16_000, 150_000)] {
        let token = || {
            let event = SampleEvent::completed().set("padding", "y".repeat(padding));
            let header = json!({ "alg": "RS256", "kid": key.key_id(), "x5c": ["a".repeat(chain)] });
            let claims = world.provider.claims(&event).to_string();
            key.sign_raw(header.to_string().as_bytes(), claims.as_bytes())
        };
        let in_body = delivery(&client, &url, token()).send().await.unwrap();
        assert_eq!(in_body.status(), 200, "{padding} in the body");
        let in_header = client.post(&url).header("x-idnow-signature", token()).body("{}");
        assert_eq!(in_header.send().await.unwrap().status(), 200, "{padding} in the header");
    }
    assert!(!nginx.log().contains("temporary file"), "{}", nginx.log());
    receiver.terminate();
}

#[tokio::test]
async fn a_receiver_that_hangs_is_a_504() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = silent.accept().await {
            connections.push(connection);
        }
    });
    // That the nine seconds are right, a test above says.
    let hasty = edit(&in_front_of(&[address]), "proxy_read_timeout 9s;", "proxy_read_timeout 1s;");
    let nginx = Nginx::start(&hasty);
    let request = delivery(&nginx.client(PROVIDER), &nginx.url(PATH), "a.b.c".to_owned());
    assert_eq!(send(request).await, Answer::of_nginx(504));
}

#[tokio::test]
async fn too_many_at_once_are_a_503_and_come_again() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let narrow = edit(
        &in_front_of(&[silent.local_addr().unwrap()]),
        "limit_conn idnow_webhooks 512;",
        "limit_conn idnow_webhooks 1;",
    );
    let world = World::new();
    let nginx = Nginx::start(&narrow);
    let (client, url) = (nginx.client(PROVIDER), nginx.url(PATH));
    let token = world.provider.token(&SampleEvent::completed());
    let first = tokio::spawn(send(delivery(&client, &url, token.clone())));
    // The first is now at the receiver, which says nothing.
    let (mut connection, _) = silent.accept().await.unwrap();
    assert!(connection.read(&mut [0; 16]).await.unwrap() > 0);
    assert_eq!(send(delivery(&client, &url, token)).await, Answer::of_nginx(503));
    first.abort();
}
