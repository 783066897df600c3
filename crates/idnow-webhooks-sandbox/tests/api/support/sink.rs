use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use axum::Router;
use http::StatusCode;
use tokio::net::TcpListener;

/// An endpoint that answers as it is told.
pub(crate) struct Sink {
    pub(crate) url: String,
    status: Arc<AtomicU16>,
}

impl Sink {
    pub(crate) async fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhooks", listener.local_addr().unwrap());
        let status = Arc::new(AtomicU16::new(status));
        let told = Arc::clone(&status);
        let router =
            Router::new().fallback(async move || StatusCode::from_u16(told.load(Ordering::SeqCst)).unwrap());
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, status }
    }

    pub(crate) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }
}
