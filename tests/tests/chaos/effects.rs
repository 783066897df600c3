//! A second receiver, in this process, whose handler writes in the store's own transaction: each event must have its effect
//! exactly once, however often it comes, and although the handler often fails right before the end.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use idnow_webhooks::event::RawEvent;
use idnow_webhooks::jwks::{JwksSource, Location};
use idnow_webhooks::sqlite::SqliteStore;
use idnow_webhooks::sqlite::sqlx;
use idnow_webhooks::store::EventStore as _;
use idnow_webhooks::{Backoff, EventRouter, HandlerResult, Receiver, Verifier, Worker};
use idnow_webhooks_tower::WebhookLayer;

use crate::load::Load;

const PATH: &str = "/hook";
/// One of so many runs fails.
const FAILING: u32 = 4;
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Effects {
    pub(crate) url: String,
    store: SqliteStore,
    worker: Worker,
    database: String,
}

impl Effects {
    pub(crate) async fn start(load: &Load, path: &Path) -> Self {
        let store = SqliteStore::open(path).await.unwrap();
        let database = format!("sqlite:{}", path.display());
        let pool = sqlx::SqlitePool::connect(&database).await.unwrap();
        sqlx::query("CREATE TABLE effects (id TEXT NOT NULL)").execute(&pool).await.unwrap();
        pool.close().await;

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{PATH}", listener.local_addr().unwrap());
        let verifier = Verifier::builder().issuer(load.sandbox.issuer()).audience(&url).build().unwrap();
        let keys = JwksSource::builder(Location::url(load.sandbox.jwks_url()));
        let keys = keys.min_refresh_interval(Duration::from_secs(1)).connect().await.unwrap();
        let receiver = Receiver::builder(verifier, keys).queued(store.clone()).build().unwrap();
        let app = axum::Router::new().layer(WebhookLayer::new(receiver, PATH));
        tokio::spawn(async move { axum::serve(listener, app).await });

        let (effects, runs) = (store.clone(), Arc::new(AtomicU32::new(0)));
        let handlers = EventRouter::new().on_any(move |event| {
            let (store, run) = (effects.clone(), runs.fetch_add(1, Ordering::SeqCst));
            async move { once(&store, &event, run).await }
        });
        let worker = Worker::builder(store.clone(), handlers)
            .backoff(Backoff {
                first: Duration::from_millis(5),
                most: Duration::from_millis(50),
                jitter: 0.5,
            })
            .max_runs(u32::MAX)
            .start()
            .unwrap();
        Self { url, store, worker, database }
    }

    async fn unfinished(&self) -> u64 {
        let backlog = self.store.backlog().await.unwrap();
        backlog.waiting + backlog.running
    }

    /// What should not be so, when everything is handled.
    pub(crate) async fn ends(self, events: usize) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        while self.unfinished().await > 0 {
            assert!(Instant::now() < deadline, "after {PATIENCE:?}: {:?}", self.store.backlog().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.worker.stop().await;
        let pool = sqlx::SqlitePool::connect(&self.database).await.unwrap();
        let count = "SELECT count(*), count(DISTINCT id) FROM effects";
        let (all, distinct): (i64, i64) = sqlx::query_as(count).fetch_one(&pool).await.unwrap();
        let events = i64::try_from(events).unwrap();
        let mut wrong = Vec::new();
        if (all, distinct) != (events, events) {
            wrong.push(format!("{events} events had {all} effects, of {distinct} events"));
        }
        wrong
    }
}

async fn once(store: &SqliteStore, event: &RawEvent, run: u32) -> HandlerResult {
    let mut transaction = store.transaction(event).await?;
    sqlx::query("INSERT INTO effects VALUES (?)").bind(&event.id).execute(&mut *transaction).await?;
    if run.is_multiple_of(FAILING) {
        return Err(std::io::Error::other("the handler fails right before the end").into());
    }
    Ok(transaction.commit().await?)
}
