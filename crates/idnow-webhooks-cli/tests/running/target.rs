//! A receiver that answers as it is told, and remembers what it got.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, Method, Uri};
use tokio::net::TcpListener;
use tokio::sync::Notify;

#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) url: String,
    inner: Arc<Inner>,
}

struct Inner {
    got: Mutex<Vec<Got>>,
    answer: Mutex<Arc<dyn Fn() -> Response + Send + Sync>>,
    wait: Mutex<Duration>,
    arrived: Notify,
}

impl Target {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            got: Mutex::default(),
            answer: Mutex::new(Arc::new(|| Response::new(Body::empty()))),
            wait: Mutex::default(),
            arrived: Notify::new(),
        });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url: format!("http://{address}/hooks?from=here"), inner }
    }

    pub(crate) fn answer(&self, answer: impl Fn() -> Response + Send + Sync + 'static) {
        *self.inner.answer.lock().unwrap() = Arc::new(answer);
    }

    pub(crate) fn wait(&self, wait: Duration) {
        *self.inner.wait.lock().unwrap() = wait;
    }

    /// Waits until a request has arrived since the last time.
    pub(crate) async fn arrived(&self) {
        self.inner.arrived.notified().await;
    }

    /// What it got since the last time.
    pub(crate) fn got(&self) -> Vec<Got> {
        std::mem::take(&mut self.inner.got.lock().unwrap())
    }
}

async fn answer(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let got = Got { method: parts.method, uri: parts.uri, headers: parts.headers, body };
    inner.got.lock().unwrap().push(got);
    inner.arrived.notify_one();
    let wait = *inner.wait.lock().unwrap();
    tokio::time::sleep(wait).await;
    let answer = Arc::clone(&inner.answer.lock().unwrap());
    answer()
}
