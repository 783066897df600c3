//! Bodies that are cut up, slow, too long, or never end.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::prelude::*;

const LIMIT: usize = 4000;

fn limited(on: Target) -> Stage {
    Stage::with(on, |receiver, _| receiver.max_body_bytes(LIMIT))
}

fn too_large() -> Answer {
    Answer::refused(413, "body_too_large")
}

/// A delivery whose token is cut into pieces of this size, each sent by itself.
fn cut(token: &str, size: usize) -> Request<Body> {
    let bytes: Vec<_> = token.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
    let one_by_one = stream::iter(bytes).then(|piece| async {
        tokio::task::yield_now().await;
        piece
    });
    delivery("").map(|_| pieces(one_by_one))
}

pub(crate) async fn in_many_tiny_pieces(on: Target) {
    let stage = Stage::new(on);
    for size in [1, 7, 500] {
        let event = SampleEvent::completed();
        let request = cut(&stage.provider.token(&event), size);
        assert_eq!(stage.send(request).await, Answer::accepted());
        assert_eq!(stage.calls.ids().last().unwrap(), event.event_id());
    }
}

pub(crate) async fn slow_but_in_time(on: Target) {
    let stage = Stage::new(on);
    let event = SampleEvent::completed();
    let token = stage.provider.token(&event);
    let (one, other) = token.split_at(token.len() / 2);
    let halves = [one, other].map(|half| Bytes::copy_from_slice(half.as_bytes()));
    let slowly = stream::iter(halves).then(|half| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        half
    });
    let request = delivery("").map(|_| pieces(slowly));
    assert_eq!(stage.send(request).await, Answer::accepted());
    assert_eq!(stage.calls.ids(), [event.event_id()]);
}

pub(crate) async fn too_slow(on: Target) {
    let deadline = Duration::from_millis(400);
    let stage = Stage::with(on, |receiver, _| receiver.answer_deadline(deadline));
    let token = stage.provider.token(&SampleEvent::completed());
    let started = Instant::now();
    let mut client = stage.connect().await;
    let answer = client.send(delivery("").map(|_| stalled(token))).await;
    assert_eq!(answer, Answer::refused(503, "body_incomplete"));
    assert!(started.elapsed() >= deadline);
    assert_eq!(stage.calls.count(), 0);
}

/// The provider would not send as much; whoever does is told so at the first byte too many.
pub(crate) async fn too_long_in_pieces(on: Target) {
    let stage = limited(on);
    let pieces_up_to = |length: usize| {
        let piece = Bytes::from(vec![b'a'; length / 4]);
        stream::iter(vec![piece; 4])
    };
    let exactly = delivery("").map(|_| pieces(pieces_up_to(LIMIT)));
    assert_eq!(stage.send(exactly).await, Answer::refused(400, "malformed_token"));
    let more = delivery("").map(|_| pieces(pieces_up_to(LIMIT + 4)));
    assert_eq!(stage.send(more).await, too_large());
    let endless = pieces_up_to(LIMIT + 4).chain(stream::pending());
    let mut client = stage.connect().await;
    let answer = client.send(delivery("").map(|_| pieces(endless))).await;
    assert_eq!(answer, too_large());
    stage.assert_healthy().await;
}

pub(crate) async fn too_long_as_declared(on: Target) {
    let stage = limited(on);
    assert_eq!(stage.send(delivery(vec![b'a'; LIMIT])).await, Answer::refused(400, "malformed_token"));
    assert_eq!(stage.send(delivery(vec![b'a'; LIMIT + 1])).await, too_large());
    assert_eq!(stage.send(delivery(vec![b'a'; 10 * LIMIT])).await, too_large());
    stage.assert_healthy().await;
}

/// Only the token in the header counts, but what comes with it is read all the same, within bounds.
pub(crate) async fn too_long_beside_a_header_token(on: Target) {
    let stage = limited(on);
    let token = stage.provider.token(&SampleEvent::completed());
    let request = by_header("x-idnow-signature", &token, vec![b' '; LIMIT + 1]);
    assert_eq!(stage.send(request).await, too_large());
    assert_eq!(stage.calls.count(), 0);
}

/// With one place in all, anybody who sends half a body could keep all others out.
pub(crate) async fn clients_that_do_not_finish(on: Target) {
    let stage = Stage::with(on, |receiver, _| receiver.max_in_progress(1));
    let event = SampleEvent::completed();
    let token = stage.provider.token(&event);
    let half = token[..token.len() / 2].to_owned();
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = stage.connect().await;
        tokio::select! {
            answer = client.send(delivery("").map(|_| stalled(half.clone()))) => panic!("{answer:?} to half a token"),
            () = tokio::time::sleep(Duration::from_millis(50)) => clients.push(client),
        }
    }
    assert_eq!(stage.deliver(&event).await, Answer::accepted());
    drop(clients);
    stage.assert_healthy().await;
    assert_eq!(stage.calls.count(), 2);
}
