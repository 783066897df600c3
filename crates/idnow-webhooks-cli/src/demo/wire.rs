//! The way from the provider to the receiver: a reverse proxy. Somebody listens on it, and answers get lost.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use url::Url;

use super::receiver::PATH;
use super::{Failure, PATIENCE};
use crate::forward::{Forward, unavailable};

/// The webhook of another customer of the provider, who keeps what he gets.
const ELSEWHERE: &str = "/webhooks/somebody-else";
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The sandbox is on this machine, too.
const PROVIDER: HeaderValue = HeaderValue::from_static("127.0.0.1");
const DEADLINE: Duration = Duration::from_secs(8);

pub(super) struct Wire {
    base: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    target: Mutex<Option<Arc<Forward>>>,
    seen: Mutex<Seen>,
    loses_answer: AtomicBool,
    gate: watch::Sender<Gate>,
}

/// The last tokens that came by, for the receiver and for somebody else.
#[derive(Default)]
struct Seen {
    here: String,
    elsewhere: String,
}

/// Holds back one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    /// The next delivery is held back.
    Waits,
    /// It is there.
    Holds,
}

impl Wire {
    pub(super) async fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            target: Mutex::default(),
            seen: Mutex::default(),
            loses_answer: AtomicBool::new(false),
            gate: watch::Sender::new(Gate::Open),
        });
        let app = Router::new().fallback(carry).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            // It ends only when the task is aborted.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { base, shared, server })
    }

    /// What the provider knows the receiver by.
    pub(super) fn url(&self) -> String {
        format!("{}{PATH}", self.base)
    }

    pub(super) fn url_of_somebody_else(&self) -> String {
        format!("{}{ELSEWHERE}", self.base)
    }

    /// Where deliveries go from now on.
    pub(super) fn lead_to(&self, receiver: &str) -> Result<(), Failure> {
        let forward = Arc::new(Forward::new(Url::parse(receiver)?, DEADLINE)?);
        *locked(&self.shared.target) = Some(forward);
        Ok(())
    }

    /// Deliveries find nobody from now on.
    pub(super) fn lead_nowhere(&self) {
        *locked(&self.shared.target) = None;
    }

    /// The last token that came by for the receiver.
    pub(super) fn token(&self) -> String {
        locked(&self.shared.seen).here.clone()
    }

    /// The last token that somebody else got.
    pub(super) fn token_of_somebody_else(&self) -> String {
        locked(&self.shared.seen).elsewhere.clone()
    }

    /// The provider does not see the answer to the next delivery.
    pub(super) fn lose_next_answer(&self) {
        self.shared.loses_answer.store(true, Ordering::Relaxed);
    }

    /// The next delivery is held back.
    pub(super) fn hold_next(&self) {
        self.shared.gate.send_replace(Gate::Waits);
    }

    /// Waits until there is a delivery that is held back.
    pub(super) async fn holds(&self) -> Result<(), Failure> {
        let mut gate = self.shared.gate.subscribe();
        match timeout(PATIENCE, gate.wait_for(|gate| *gate == Gate::Holds)).await {
            // The sender is dropped with `self`.
            Ok(_) => Ok(()),
            Err(_) => Err(format!("no delivery has come by after {PATIENCE:?}").into()),
        }
    }

    pub(super) fn let_go(&self) {
        self.shared.gate.send_replace(Gate::Open);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn carry(State(wire): State<Arc<Shared>>, uri: Uri, mut headers: HeaderMap, body: Bytes) -> Response {
    let token = String::from_utf8_lossy(&body).into_owned();
    if uri.path() == ELSEWHERE {
        locked(&wire.seen).elsewhere = token;
        return answer(StatusCode::NO_CONTENT);
    }
    locked(&wire.seen).here = token;
    let held = wire.gate.send_if_modified(|gate| {
        let waits = *gate == Gate::Waits;
        if waits {
            *gate = Gate::Holds;
        }
        waits
    });
    if held {
        // The sender is part of `wire`.
        let _ = wire.gate.subscribe().wait_for(|gate| *gate == Gate::Open).await;
    }
    let target = locked(&wire.target).clone();
    let Some(target) = target else { return unavailable() };
    headers.insert(FORWARDED_FOR, PROVIDER);
    let (mut response, _) = target.send(Instant::now(), &headers, vec![body]).await;
    if wire.loses_answer.swap(false, Ordering::Relaxed) {
        let lost = futures_util::stream::once(async { Err::<Bytes, _>(io::Error::other("lost")) });
        *response.body_mut() = Body::from_stream(lost);
    }
    response
}

fn answer(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
