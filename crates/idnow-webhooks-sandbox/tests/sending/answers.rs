//! The table of answers.

use std::time::{Duration, Instant};

use idnow_webhooks_sandbox::Sandbox;
use idnow_webhooks_sandbox::model::{Answer, Attempt, DeadReason, Delivery, DeliveryState};

use crate::support::{Reply, Sink, World, status};

/// How a delivery ended, and after how many attempts; there is one retry.
fn end(delivery: &Delivery) -> (DeliveryState, Option<DeadReason>, u32) {
    (delivery.state, delivery.dead_reason, delivery.attempts)
}

const DELIVERED: (DeliveryState, Option<DeadReason>, u32) = (DeliveryState::Delivered, None, 1);
const RETRIED: (DeliveryState, Option<DeadReason>, u32) =
    (DeliveryState::Dead, Some(DeadReason::RetriesExhausted), 2);

const fn dead(reason: DeadReason) -> (DeliveryState, Option<DeadReason>, u32) {
    (DeliveryState::Dead, Some(reason), 1)
}

/// An endpoint whose path says which status it answers with.
async fn statuses() -> Sink {
    Sink::start(|request| Reply::Status(request.path().trim_start_matches('/').parse().unwrap())).await
}

#[tokio::test]
async fn every_status_ends_as_the_table_says() {
    let (world, sink) = (World::hasty().await, statuses().await);
    let mut endpoints = Vec::new();
    let codes: Vec<u16> = [200, 201, 202, 204, 226, 299]
        .into_iter()
        .chain(300..=308)
        .chain([399, 400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 415, 418, 422, 425, 429, 451, 499])
        .chain([500, 501, 502, 503, 504, 507, 511, 599, 600, 999])
        .collect();
    for code in codes {
        let environment = code.to_string();
        let url = sink.url(&format!("/{code}"));
        endpoints.push((code, world.endpoint_with(&url, |new| new.environment = environment).await));
    }
    for (_, endpoint) in &endpoints {
        world.event_in(&endpoint.environment).await;
    }
    for (code, endpoint) in &endpoints {
        let expected = match code {
            200..=299 => DELIVERED,
            401 | 403 => dead(DeadReason::AuthenticationFailed),
            400..=499 => dead(DeadReason::ClientError),
            300..=399 => dead(DeadReason::InvalidUrl),
            _ => RETRIED,
        };
        let (delivery, attempts) = world.end_of_one(endpoint).await;
        assert_eq!(end(&delivery), expected, "{code}");
        assert_eq!(attempts.len(), delivery.attempts as usize, "{code}");
        assert!(attempts.iter().all(|attempt| status(attempt) == *code), "{code}: {attempts:?}");
        assert!(delivery.finished_at.is_some() && delivery.next_attempt_at.is_none(), "{delivery:?}");
        let to_this = sink.received().iter().filter(|request| request.path() == format!("/{code}")).count();
        assert_eq!(to_this, delivery.attempts as usize, "{code}");
    }
    // Each redirect led to a place of the same server.
    assert!(sink.received().iter().all(|request| request.path() != "/elsewhere"));
}

async fn sent_to(reply: Reply, deadline: Duration) -> (Delivery, Vec<Attempt>, Duration) {
    let builder = Sandbox::builder().time_scale(1000.0).max_retries(1).answer_deadline(deadline);
    let world = World::start(builder).await;
    let sink = Sink::start(move |_| reply.clone()).await;
    let endpoint = world.endpoint(&sink.url("/")).await;
    let started = Instant::now();
    let (delivery, attempts) = world.send_one(&endpoint).await;
    let took = started.elapsed();
    assert_eq!(sink.count(), delivery.attempts as usize);
    world.sandbox.stop().await;
    (delivery, attempts, took)
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn switching_protocols_is_no_answer_to_a_webhook() {
    let reply = Reply::raw("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
    let (delivery, attempts, _) = sent_to(reply, LONG).await;
    assert_eq!(end(&delivery), dead(DeadReason::InvalidUrl));
    assert_eq!(status(&attempts[0]), 101);
}

#[tokio::test]
async fn what_comes_before_the_answer_is_passed_over() {
    let reply = Reply::raw(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 202 Accepted\r\n\
         content-length: 0\r\n\r\n",
    );
    let (delivery, attempts, _) = sent_to(reply, LONG).await;
    assert_eq!(end(&delivery), DELIVERED);
    assert_eq!(status(&attempts[0]), 202);
}

#[tokio::test]
async fn broken_answers_are_failed_connections_and_retried() {
    let cases = [
        Reply::Drop,
        Reply::raw("HTTP/1.1 200 OK\r\ncontent-le"),
        Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"),
        Reply::raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello"),
        Reply::raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n"),
        Reply::raw("SSH-2.0-OpenSSH_9.7\r\n\r\n"),
        Reply::raw("HTTP/1.1 2000 OK\r\n\r\n"),
        Reply::raw("\r\n\r\n\r\n"),
    ];
    for reply in cases {
        let (delivery, attempts, _) = sent_to(reply.clone(), LONG).await;
        assert_eq!(end(&delivery), RETRIED, "{reply:?}");
        for attempt in attempts {
            let Some(Answer::ConnectionFailed { reason }) = &attempt.answer else {
                panic!("{reply:?}: {attempt:?}")
            };
            assert!(reason.starts_with("no complete answer: "), "{reason}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_a_length_ends_with_its_connection() {
    let (delivery, attempts, _) = sent_to(Reply::raw("HTTP/1.1 200 OK\r\n\r\nall of it"), LONG).await;
    assert_eq!(end(&delivery), DELIVERED);
    assert_eq!(attempts[0].answer, Some(Answer::Status { code: 200, body: "all of it".into() }));
}

#[tokio::test]
async fn where_nobody_listens_it_is_tried_again() {
    let world = World::hasty().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = world.endpoint(&format!("http://{free}/")).await;
    let (delivery, attempts) = world.send_one(&endpoint).await;
    assert_eq!(end(&delivery), RETRIED);
    let Some(Answer::ConnectionFailed { reason }) = &attempts[1].answer else { panic!("{attempts:?}") };
    assert!(reason.contains("no connection") && reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn the_whole_answer_has_to_come_before_the_deadline() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n".to_vec();
    let slow = Reply::Trickle(head.clone(), Duration::from_millis(20));
    for reply in
        [Reply::Silence, Reply::RawThenSilence(head[..9].to_vec()), Reply::RawThenSilence(head), slow]
    {
        let (delivery, attempts, took) = sent_to(reply.clone(), SHORT).await;
        assert_eq!(end(&delivery), RETRIED, "{reply:?}");
        for attempt in &attempts {
            assert_eq!(attempt.answer, Some(Answer::TimedOut), "{reply:?}");
            let least = u64::try_from(SHORT.as_millis()).unwrap();
            assert!((least..10 * least).contains(&attempt.duration_ms), "{reply:?}: {attempt:?}");
        }
        assert!(took < LONG, "{reply:?} took {took:?}");
    }
}

#[tokio::test]
async fn an_answer_just_before_the_deadline_counts() {
    let (delivery, attempts, _) = sent_to(Reply::Late(SHORT, 200), 10 * SHORT).await;
    assert_eq!(end(&delivery), DELIVERED);
    assert!(attempts[0].duration_ms >= 300, "{attempts:?}");
}

#[tokio::test]
async fn time_scale_does_not_shorten_the_deadline() {
    let world = World::start(Sandbox::builder().time_scale(1_000_000.0)).await;
    let sink = Sink::start(|_| Reply::Late(SHORT, 200)).await;
    let endpoint = world.endpoint(&sink.url("/")).await;
    let (delivery, _) = world.send_one(&endpoint).await;
    assert_eq!(end(&delivery), DELIVERED);
}

/// Nobody waits for the rest of a body, nor keeps it.
#[tokio::test]
async fn of_a_body_no_more_than_64_kib_are_read() {
    let world = World::hasty().await;
    let sink = Sink::start(|request| match request.path() {
        "/endless" => Reply::RawThenFlood(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        // More than what is read has been sent, and the rest will not come.
        "/stalled" => {
            let mut bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n".to_vec();
            bytes.resize(bytes.len() + 64 * 1024, b'a');
            Reply::RawThenSilence(bytes)
        }
        _ => Reply::Status(200),
    })
    .await;
    for (path, kept) in [("/endless", 0), ("/stalled", 1000)] {
        let endpoint = world.endpoint_with(&sink.url(path), |new| new.environment = path[1..].into()).await;
        let started = Instant::now();
        let (delivery, attempts) = world.send_one(&endpoint).await;
        assert_eq!(end(&delivery), DELIVERED, "{path}");
        let Some(Answer::Status { code: 200, body }) = &attempts[0].answer else { panic!("{attempts:?}") };
        assert_eq!(body.len(), kept, "{path}");
        assert!(started.elapsed() < Duration::from_secs(5), "{path}");
    }
    let endpoint = world.endpoint_with(&sink.url("/"), |new| new.environment = "after".into()).await;
    world.send_one(&endpoint).await;
    let connections: Vec<_> = sink.received().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 1, 2], "a connection with a rest in it was used again");
}

#[tokio::test]
async fn a_large_answer_within_the_limit_leaves_its_connection_usable() {
    let world = World::hasty().await;
    let body = "\u{e9}".repeat(30_000);
    let answer = format!("HTTP/1.1 503 Busy\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let sink = Sink::start(move |_| Reply::Whole(answer.clone().into_bytes())).await;
    let endpoint = world.endpoint(&sink.url("/")).await;
    let (_, attempts) = world.send_one(&endpoint).await;
    let expected = Answer::Status { code: 503, body: "\u{e9}".repeat(1000) };
    assert_eq!(attempts[0].answer, Some(expected));
    assert_eq!((attempts.len(), sink.connections()), (2, 1));
}
