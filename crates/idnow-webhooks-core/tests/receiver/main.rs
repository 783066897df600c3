//! The whole path of a delivery, in process: what is answered, and what becomes of the event.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends with a panic, also in its helpers"
)]

mod abandoned;
mod attacks;
mod capture;
mod failures;
mod health;
mod inline;
mod keys;
mod late;
mod logs;
mod metrics;
mod panics;
mod parking;
mod queued;
mod scripted;
mod settings;
mod status;
mod unreadable;
mod verifying;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use idnow_webhooks_core::event::RawEvent;
use idnow_webhooks_core::{EventRouter, HandlerResult, Head, Outcome, Receiver};
use idnow_webhooks_testkit::{Provider, SampleEvent};

/// The answer deadline and the handler's limit of the tests that let them pass, in the runtime's paused time.
const DEADLINE: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(20);

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// A body in one piece.
fn whole(body: impl Into<Bytes>) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    stream::iter([Ok(body.into())])
}

async fn post(receiver: &Receiver, lines: &[(&str, &str)], body: impl Into<Bytes>) -> Outcome {
    idnow_webhooks_watch::watch();
    let headers = headers(lines);
    let head = Head { method: &Method::POST, headers: &headers, peer: None };
    receiver.receive(head, whole(body)).await
}

/// A router that counts its runs and answers as `result` says.
fn counting<R>(result: impl Fn(usize) -> R + Clone + Send + Sync + 'static) -> (EventRouter, Arc<AtomicUsize>)
where
    R: Future<Output = HandlerResult> + Send + 'static,
{
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&runs);
    let router =
        EventRouter::new().on_any(move |_: RawEvent| result(counter.fetch_add(1, Ordering::SeqCst) + 1));
    (router, runs)
}

fn runs(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::SeqCst)
}

async fn codes(
    provider: &Provider,
    receiver: &Receiver,
    event: &SampleEvent,
    times: usize,
) -> Vec<&'static str> {
    let mut codes = Vec::new();
    for attempt in 1..=times {
        let event = event.clone().with_attempt(attempt as u64);
        codes.push(provider.deliver(receiver, &event).await.code());
    }
    codes
}
