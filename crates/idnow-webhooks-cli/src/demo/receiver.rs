use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Request;
use axum::{Router, ServiceExt};
use idnow_webhooks::axum::WebhookLayer;
use idnow_webhooks::event::{
    Event, EventPayload, Session, SessionAborted, SessionCompleted, SessionCreated, SessionError,
    SessionExpired,
};
use idnow_webhooks::jwks::{JwksSource, Location};
use idnow_webhooks::{Admission, EventRouter, HandlerResult, Receiver, Verifier};
use idnow_webhooks_testkit::KeyServer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower_layer::Layer;

use super::Failure;

const PATH: &str = "/webhooks/idnow";

/// The receiving side: an axum server with the SDK mounted, which notes what its callbacks see.
pub(super) struct Demo {
    url: String,
    calls: Calls,
    server: JoinHandle<()>,
}

#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn note(&self, call: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }
}

impl Demo {
    pub(super) async fn start(keys: &KeyServer) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}{PATH}", listener.local_addr()?);
        let calls = Calls::default();

        let verifier = Verifier::builder().issuer(keys.issuer()).audience(&url).build()?;
        let keys = JwksSource::builder(Location::issuer(keys.issuer())).no_proxy().connect().await?;
        let loopback = "127.0.0.0/8".parse()?;
        let receiver = Receiver::builder(verifier, keys)
            .admission(Admission::new().allow(loopback).trust_proxy(loopback))
            .handlers(handlers(&calls))
            .build()?;
        let app = WebhookLayer::new(receiver, PATH).layer(Router::new());
        let app = ServiceExt::<Request>::into_make_service_with_connect_info::<SocketAddr>(app);
        let server = tokio::spawn(async move {
            // It ends only when the task is aborted.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { url, calls, server })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The callbacks that ran since the last time.
    pub(super) fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn handlers(calls: &Calls) -> EventRouter {
    let unknown = calls.clone();
    EventRouter::new()
        .on(noting::<SessionCreated>(calls))
        .on(noting::<SessionCompleted>(calls))
        .on(noting::<SessionExpired>(calls))
        .on(noting::<SessionAborted>(calls))
        .on(noting::<SessionError>(calls))
        .on_unknown(move |event| {
            unknown.note(format!("on_unknown({:?})", event.name));
            async { Ok(()) }
        })
}

fn noting<P>(calls: &Calls) -> impl Fn(Event<P>) -> std::future::Ready<HandlerResult> + Send + Sync + 'static
where
    P: EventPayload + Into<Session>,
{
    let calls = calls.clone();
    move |event| {
        let (name, sequence) = (P::NAME, event.sequence);
        let session: Session = event.payload.into();
        calls.note(format!("on({name:?}) no. {sequence}, {}", session.session_status));
        std::future::ready(Ok(()))
    }
}
