//! The application beside the receiver, which must not notice it.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::prelude::*;

pub(crate) async fn its_own_route_is_untouched(on: Target) {
    // Nothing of the receiver's conditions may reach the application.
    let admission = idnow_webhooks_core::Admission::new().allow("192.0.2.0/24".parse().unwrap());
    let stage = Stage::with(on, |receiver, _| receiver.admission(admission).max_body_bytes(10));
    let answer = stage.send(request("GET", HEALTH)).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "healthy"));
    assert_eq!(answer.header("x-app"), Some("yes"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), None);

    let mut post = request("POST", HEALTH).map(|_| whole("longer than ten bytes"));
    add(&mut post, "x-mark", "one");
    add(&mut post, "x-mark", "two");
    set(&mut post, "content-type", "text/plain");
    let answer = stage.send(post).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "longer than ten bytes"));
    assert_eq!(answer.header("x-seen"), Some("2"));
}

/// Each piece comes back before the next one is sent: nothing in between collects them.
pub(crate) async fn its_bodies_stream_both_ways(on: Target) {
    let stage = Stage::new(on);
    let (send, receive) = mpsc::channel::<Bytes>(1);
    let body =
        stream::unfold(receive, |mut receive| async { receive.recv().await.map(|piece| (piece, receive)) });
    let mut client = stage.connect().await;
    let first = send.send(Bytes::from_static(b"piece 0"));
    let (answer, first) = tokio::join!(client.start(request("POST", HEALTH).map(|_| pieces(body))), first);
    first.unwrap();
    let mut answer = answer.unwrap().into_body();
    for number in 1..=3 {
        let piece = tokio::time::timeout(Duration::from_secs(30), answer.frame())
            .await
            .expect("a piece comes back before the next one is sent");
        let piece = piece.unwrap().unwrap().into_data().unwrap();
        assert_eq!(piece, format!("piece {}", number - 1));
        send.send(Bytes::from(format!("piece {number}"))).await.unwrap();
    }
    drop(send);
    assert_eq!(answer.collect().await.unwrap().to_bytes(), "piece 3");
}

pub(crate) async fn other_paths_are_its_own(on: Target) {
    let stage = Stage::new(on);
    for path in ["/webhooks", "/webhooks/idnow2", "/webhooks/IDNOW", "/", "/x/webhooks/idnow"] {
        let mut request = stage.delivery(&SampleEvent::completed());
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(stage.send(request).await.status, 404, "{path}");
    }
    assert_eq!(stage.calls.count(), 0);
}
