//! The receiving side: one of three web frameworks with the SDK mounted, a store in a file, and a worker.

mod actix_web;
mod axum;
mod callbacks;
mod warp;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use idnow_webhooks::jwks::{JwksSource, Location};
use idnow_webhooks::sqlite::SqliteStore;
use idnow_webhooks::sqlite::sqlx::sqlite::SqliteConnectOptions;
use idnow_webhooks::sqlite::sqlx::{self, ConnectOptions, Connection, SqliteConnection};
use idnow_webhooks::store::EventStore;
use idnow_webhooks::{Admission, Backoff, Clock, Receiver, SystemClock, Verifier, Worker};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Failure, PATIENCE};
use callbacks::Calls;

pub(super) const PATH: &str = "/webhooks/idnow";

/// How long keys that were asked for because of an unknown one are not asked for again. Longer than the demo takes, on
/// whatever machine.
const KEY_PAUSE: Duration = Duration::from_mins(10);
/// A provider that retries soon is not kept waiting for long.
const BUSY_LIMIT: Duration = Duration::from_millis(200);

/// What the receiver is mounted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framework {
    Axum,
    ActixWeb,
    Warp,
}

impl Framework {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Axum => "axum",
            Self::ActixWeb => "actix-web",
            Self::Warp => "warp",
        }
    }

    async fn serve(self, listener: TcpListener, receiver: Receiver, stop: Stop) -> io::Result<()> {
        match self {
            Self::Axum => axum::serve(listener, receiver, PATH, stop).await,
            Self::ActixWeb => actix_web::serve(listener, receiver, PATH, stop).await,
            Self::Warp => warp::serve(listener, receiver, PATH, stop).await,
        }
    }
}

/// Tells a server to stop.
struct Stop(oneshot::Receiver<()>);

impl Stop {
    async fn asked(self) {
        // Its sender may also have been dropped, which means the same.
        let _ = self.0.await;
    }
}

/// The machine's clock, or one that is ahead.
#[derive(Debug, Clone, Default)]
struct Shifted(Arc<AtomicI64>);

impl Clock for Shifted {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + TimeDelta::seconds(self.0.load(Ordering::Relaxed))
    }
}

/// Whom the receiver believes, and what stays when it restarts.
pub(super) struct Site {
    framework: Framework,
    issuer: String,
    audience: String,
    clock: Shifted,
    calls: Calls,
    file: PathBuf,
    _folder: TempDir,
}

/// A running receiver.
pub(super) struct Running {
    address: SocketAddr,
    store: SqliteStore,
    worker: Worker,
    stop: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

impl Site {
    pub(super) fn new(framework: Framework, issuer: &str, audience: &str) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        Ok(Self {
            framework,
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            clock: Shifted::default(),
            calls: Calls::default(),
            file: folder.path().join("events.db"),
            _folder: folder,
        })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Lets the receiver believe that it is later by so many seconds.
    pub(super) fn set_clock_ahead(&self, seconds: i64) {
        self.clock.0.store(seconds, Ordering::Relaxed);
    }

    /// Starts the receiver on a free port, with the store as it was left.
    pub(super) async fn start(&self) -> Result<Running, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;

        let verifier = Verifier::builder().issuer(&self.issuer).audience(&self.audience).build()?;
        let keys = JwksSource::builder(Location::issuer(&self.issuer)).no_proxy();
        let keys = keys.min_refresh_interval(KEY_PAUSE).connect().await?;
        let store = SqliteStore::builder(&self.file).busy_timeout(BUSY_LIMIT).open().await?;
        let loopback = "127.0.0.0/8".parse()?;
        let receiver = Receiver::builder(verifier, keys)
            .admission(Admission::new().allow(loopback).trust_proxy(loopback))
            .clock(self.clock.clone())
            .queued(store.clone())
            .build()?;
        let soon = Backoff { first: Duration::from_millis(200), most: Duration::from_secs(1), jitter: 0.0 };
        let worker = Worker::builder(store.clone(), self.calls.handlers())
            .backoff(soon)
            .poll_interval(Duration::from_millis(50))
            .start()?;
        let (stop, asked) = oneshot::channel();
        let server = tokio::spawn(self.framework.serve(listener, receiver, Stop(asked)));
        Ok(Running { address, store, worker, stop, server })
    }

    /// The callbacks that ran since the last time, once nothing is left to do.
    pub(super) async fn take_calls(&self, running: &Running) -> Result<Vec<String>, Failure> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let backlog = running.store.backlog().await?;
            if backlog.waiting + backlog.running == 0 {
                return Ok(self.calls.take());
            }
            if Instant::now() > give_up {
                return Err(format!("the worker has not finished after {PATIENCE:?}: {backlog:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Locks the store, as another program might that has the file open.
    pub(super) async fn lock(&self) -> Result<Lock, Failure> {
        let options = SqliteConnectOptions::new().filename(&self.file).busy_timeout(Duration::from_secs(5));
        let mut connection = options.connect().await?;
        sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut connection).await?;
        Ok(Lock(connection))
    }
}

impl Running {
    pub(super) fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// Stops it as a deployment does: what came in is kept.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        // If it has ended by itself, the result tells.
        let _ = self.stop.send(());
        self.server.await??;
        self.worker.stop().await;
        Ok(())
    }
}

pub(super) struct Lock(SqliteConnection);

impl Lock {
    pub(super) async fn release(self) -> Result<(), Failure> {
        self.0.close().await?;
        Ok(())
    }
}
