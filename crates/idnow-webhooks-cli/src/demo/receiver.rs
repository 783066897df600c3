use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::{Router, ServiceExt};
use idnow_webhooks::axum::WebhookLayer;
use idnow_webhooks::event::{
    Event, EventPayload, Session, SessionAborted, SessionCompleted, SessionCreated, SessionError,
    SessionExpired, SessionStatus,
};
use idnow_webhooks::jwks::{JwksSource, Location};
use idnow_webhooks::sqlite::SqliteStore;
use idnow_webhooks::store::{EventStore, Order};
use idnow_webhooks::{
    Admission, Backoff, EventRouter, HandlerError, HandlerResult, Receiver, Verifier, Worker,
};
use idnow_webhooks_testkit::KeyServer;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower_layer::Layer;

use super::Failure;

const PATH: &str = "/webhooks/idnow";

/// The receiving side: an axum server with the SDK mounted, a store in a file, and a worker that notes what its
/// callbacks see.
pub(super) struct Demo {
    url: String,
    calls: Calls,
    store: SqliteStore,
    server: JoinHandle<()>,
    _worker: Worker,
    file: PathBuf,
    _folder: TempDir,
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
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("events.db");
        let store = SqliteStore::open(&file).await?;
        let receiver = Receiver::builder(verifier, keys)
            .admission(Admission::new().allow(loopback).trust_proxy(loopback))
            .queued(store.clone())
            .build()?;
        let soon = Backoff { first: Duration::from_millis(200), most: Duration::from_secs(1), jitter: 0.0 };
        let worker = Worker::builder(store.clone(), handlers(&calls))
            .backoff(soon)
            .poll_interval(Duration::from_millis(50))
            .start()?;
        let app = WebhookLayer::new(receiver, PATH).layer(Router::new());
        let app = ServiceExt::<Request>::into_make_service_with_connect_info::<SocketAddr>(app);
        let server = tokio::spawn(async move {
            // It ends only when the task is aborted.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { url, calls, store, server, _worker: worker, file, _folder: folder })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The callbacks that ran since the last time, once nothing is left to do.
    pub(super) async fn take_calls(&self) -> Result<Vec<String>, Failure> {
        while self.store.backlog().await?.waiting + self.store.backlog().await?.running > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(std::mem::take(&mut self.calls.0.lock().unwrap_or_else(PoisonError::into_inner)))
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
        let number = event.run().map_or(1, |run| run.number);
        let order = match event.run().map(|run| run.order) {
            Some(Order::AfterGap) => ", after a gap",
            Some(Order::Late) => ", late",
            _ => "",
        };
        let session: Session = event.payload.into();
        let fails = session.session_status == SessionStatus::Expired && number == 1;
        let ending = if fails { ": fails" } else { "" };
        calls.note(format!("on({name:?}) no. {sequence}, {}{order}{ending}", session.session_status));
        std::future::ready(if fails { Err(HandlerError::retry("not now")) } else { Ok(()) })
    }
}
