//! Receive the webhooks of IDnow in your own web server: verified, deduplicated, and typed.
//!
//! ```
//! use std::io::{Write, stdout};
//!
//! use idnow_webhooks::axum::WebhookLayer;
//! use idnow_webhooks::event::{Event, SessionCompleted};
//! use idnow_webhooks::{EventRouter, Settings};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let handlers = EventRouter::new().on(|event: Event<SessionCompleted>| async move {
//!     let session = event.payload;
//!     writeln!(stdout(), "session {} is {}", session.session_id, session.session_status)?;
//!     Ok(())
//! });
//! # let variables = [
//! #     ("IDNOW_ENVIRONMENT", "sandbox"), ("IDNOW_AUDIENCE", "https://bank.example/webhooks/idnow"),
//! #     ("IDNOW_STORE", "memory"),
//! # ];
//! # let from_env = || Settings::from_variables(variables.map(|(name, value)| (name.into(), value.into())));
//! # /*
//! let (receiver, worker) = Settings::from_env()?.queued(handlers).await?;
//! # */
//! # let (receiver, worker) = from_env()?.queued(handlers).await?;
//! let app: axum::Router = axum::Router::new().layer(WebhookLayer::new(receiver, "/webhooks/idnow"));
//! # drop((app, worker));
//! # Ok(())
//! # }
//! ```
//!
//! This crate only brings the others together. Read on at [`Settings`] for the configuration, at
//! [`EventRouter`] for handlers, at [`Receiver`] for setting things up in code, at [`event`] for what
//! an event says, and at [`telemetry`] for logs and metrics. For tests of your handlers there is
//! `idnow-webhooks-testkit`.
//!
//! # The two modes
//!
//! [`Settings::queued`] stores each event and answers; a [`Worker`] runs the handlers, here or in another
//! process. [`Settings::inline`] runs them before the answer. The figures are the defaults.
//!
//! | | queued | inline |
//! |---|---|---|
//! | 200 means | the event is on disk (`memory` is for tests) | its handler has succeeded |
//! | a handler may take | 5 minutes | 8 s for a 200; it runs on, up to 60 s in all, and the next attempt finds it done |
//! | a handler fails | again after 1 s, 2 s ... 1 h, 15 times in all (about 3 h); later events of its session wait meanwhile; then a dead letter, which you can replay | 503; the provider tries again 10 times in 17 minutes, then gives up |
//! | it fails for good | a dead letter at once | 422, and no further attempt |
//! | the event cannot be read | `on_unreadable`, or else a dead letter | `on_unreadable`, or else 503 |
//! | the process is killed | what was answered 200 is handled after the restart; what was running, at the latest a minute later (the lease of 60 s) | what was answered 200 is handled; the rest comes again |
//! | the same event again | recognised for 30 days | the same; with `IDNOW_STORE=memory` until the restart |
//! | a handler may run | at least once; exactly once for what it writes in [the store's transaction](#exactly-once) | the same |
//! | order within a session | one at a time, in sequence among those that have arrived; gaps and late ones are flagged | none |
//! | peaks of load | wait on disk | 503 beyond the limit |
//! | needs | a disk, or PostgreSQL | nothing, with `IDNOW_STORE=memory` |
//! | right for | nearly everyone | serverless functions, machines without a disk, quick handlers |
//!
//! # Exactly once
//!
//! What a handler writes in the store's own transaction is committed together with "handled", or not at all. Put your
//! tables in the same file, or in the same database: `Settings::open_postgres` works the same way.
//!
//! ```
//! # use std::time::Duration;
//! # use idnow_webhooks::event::{Event, SessionCompleted};
//! # use idnow_webhooks::{EventRouter, Settings};
//! use idnow_webhooks::sqlite::sqlx;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let provider = idnow_webhooks_testkit::Provider::new();
//! # let folder = tempfile::tempdir()?;
//! # let keys = folder.path().join("keys.json");
//! # std::fs::write(&keys, provider.key().jwks().to_string())?;
//! # let path = folder.path().join("events.db");
//! # let store = format!("sqlite:{}", path.display());
//! # let variables = [
//! #     ("IDNOW_ISSUER", provider.issuer()), ("IDNOW_AUDIENCE", provider.audience()),
//! #     ("IDNOW_JWKS_FILE", keys.to_str().unwrap_or_default()), ("IDNOW_STORE", &store),
//! # ];
//! # let settings = Settings::from_variables(variables.map(|(name, value)| (name.into(), value.into())))?;
//! let store = settings.open_sqlite().await?;
//! # let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
//! # let mut own = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await?;
//! # let event = idnow_webhooks_testkit::SampleEvent::completed();
//! # let session = event.session_id().to_owned();
//! # sqlx::query("CREATE TABLE customers (session TEXT, identified BOOLEAN)").execute(&mut own).await?;
//! # sqlx::query("INSERT INTO customers VALUES (?, FALSE)").bind(session).execute(&mut own).await?;
//! let shared = store.clone();
//! let handlers = EventRouter::new().on(move |event: Event<SessionCompleted>| {
//!     let store = shared.clone();
//!     async move {
//!         let mut transaction = store.transaction(&event).await?;
//!         let update = sqlx::query("UPDATE customers SET identified = TRUE WHERE session = ?");
//!         let updated = update.bind(event.payload.session_id.to_string()).execute(&mut *transaction).await?;
//!         if updated.rows_affected() != 1 {
//!             return Err("no customer has this session".into()); // rolled back, and tried again later
//!         }
//!         Ok(transaction.commit().await?) // and the event is completed
//!     }
//! });
//! let (receiver, worker) = settings.queued_on(store, handlers).await?;
//! # assert_eq!(provider.deliver(&receiver, &event).await.code(), "stored");
//! # for _ in 0..200 {
//! #     tokio::time::sleep(Duration::from_millis(50)).await;
//! #     let done = sqlx::query_scalar("SELECT identified FROM customers").fetch_one(&mut own).await?;
//! #     if done {
//! #         worker.stop().await;
//! #         return Ok(());
//! #     }
//! # }
//! # Err("not handled".into())
//! # }
//! ```
//!
//! There is one transaction for each event, and its commit completes the event: do it in the last handler that
//! runs for it. The types are those of sqlx, which `idnow_webhooks::sqlite` passes on; a sqlx of your own must
//! have the same version. In a test with the testkit, give the receiver the same store:
//! `provider.receiver().store(store.clone()).handlers(handlers).build()?`.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `sqlite` | yes | `sqlite::SqliteStore`: a durable store in one file |
//! | `postgres` | | `postgres::PostgresStore`: a durable store that many replicas share |
//! | `jwks` | yes | [`jwks`]: keys from the provider's key server or a file; without it, only a shared secret works |
//! | `tower` | | `tower::WebhookLayer`, `tower::WebhookService` |
//! | `axum` | | `axum`: the same, with the peer address and the extractor `Verified` |
//! | `actix-web` | | `actix_web::Webhook`, a middleware |
//! | `warp` | | `warp::webhook_at` and `warp::webhook`, filters |
//! | `program` | | `program`: a log that never stops the program, and a server that closes silent connections |

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "program")]
pub mod program;
pub mod settings;

pub use idnow_webhooks_core::*;
#[cfg(feature = "jwks")]
pub use idnow_webhooks_jwks as jwks;
pub use settings::Settings;

#[cfg(feature = "postgres")]
pub use idnow_webhooks_postgres as postgres;
#[cfg(feature = "sqlite")]
pub use idnow_webhooks_sqlite as sqlite;

#[cfg(feature = "actix-web")]
pub use idnow_webhooks_actix_web as actix_web;
#[cfg(feature = "axum")]
pub use idnow_webhooks_tower as axum;
#[cfg(feature = "tower")]
pub use idnow_webhooks_tower as tower;
#[cfg(feature = "warp")]
pub use idnow_webhooks_warp as warp;
