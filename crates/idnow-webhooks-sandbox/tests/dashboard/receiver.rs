//! A receiver that answers what it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use axum::Router;
use axum::extract::State;
use http::StatusCode;

pub(crate) struct Receiver {
    /// Its origin, without a slash at its end.
    base: String,
    /// A webhook there.
    pub(crate) url: String,
    answer: Arc<AtomicU16>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::start_at(0).await
    }

    /// At this port of this machine, or, if that is taken, at another.
    pub(crate) async fn start_at(port: u16) -> Self {
        let answer = Arc::new(AtomicU16::new(200));
        let router = Router::new().fallback(receive).with_state(Arc::clone(&answer));
        let listener = match tokio::net::TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => listener,
            Err(_) => tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(),
        };
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url: format!("{base}/webhooks/idnow"), base, answer }
    }

    pub(crate) fn answer(&self, code: u16) {
        self.answer.store(code, Ordering::SeqCst);
    }

    /// Another webhook there.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// What a page must not take for markup.
pub(crate) const HOSTILE: &str = "<img src=x onerror=alert(3)>";

async fn receive(State(answer): State<Arc<AtomicU16>>) -> (StatusCode, &'static str) {
    let code = answer.load(Ordering::SeqCst);
    let said = match code {
        200 => r#"{"code":"stored"}"#,
        503 => r#"{"code":"store_unavailable"}"#,
        _ => HOSTILE,
    };
    (StatusCode::from_u16(code).unwrap(), said)
}
