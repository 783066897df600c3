//! Receive the webhooks of IDnow in your own web server: verified, deduplicated, and typed.
//!
//! ```
//! use idnow_webhooks::axum::WebhookLayer;
//! use idnow_webhooks::event::{Event, SessionCompleted};
//! use idnow_webhooks::{EventRouter, Settings};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let handlers = EventRouter::new().on(|event: Event<SessionCompleted>| async move {
//!     println!("session {} is {}", event.payload.session_id, event.payload.session_status);
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
//! | | queued ([`Settings::queued`]) | inline ([`Settings::inline`]) |
//! |---|---|---|
//! | 200 means | the event is on disk | its handler has succeeded |
//! | handlers run | after the answer, in a [`Worker`], here or in another process | before the answer, within the provider's 10 s |
//! | a handler fails | again after 1 s, 2 s ... 1 h, 15 times (about 4.5 h) by default; then a dead letter, which an operator can replay | the provider tries again: 10 times in 17 minutes, then its own dead letters |
//! | the process is killed | what was answered 200 is handled after the restart | what was answered 200 is handled; what was not comes again |
//! | the same event again | recognised for as long as events are kept (30 days) | the same, with a durable store; in memory until the restart |
//! | how often a handler may run | at least once; exactly once for what it writes in [the store's transaction](#exactly-once) | the same |
//! | order within a session | one at a time, in sequence, gaps and late ones flagged | none |
//! | load peaks | wait on disk | are answered 503 beyond the limit |
//! | needs | a disk, or PostgreSQL | nothing |
//! | right for | nearly everyone | serverless functions, machines without a disk, quick handlers |
//!
//! # Exactly once
//!
//! A handler may run again after a failure or a crash. What it writes into the database of the store it can
//! write in the store's own transaction, which also completes the event: then both happen, or neither does.
//! See `SqliteStore::transaction` and `PostgresStore::transaction`.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `sqlite` | yes | `sqlite::SqliteStore`: a durable store in one file |
//! | `postgres` | | `postgres::PostgresStore`: a durable store that many replicas share |
//! | `jwks` | yes | [`jwks`]: keys from the provider's key server or a file; [`Settings`] |
//! | `tower` | | `tower::WebhookLayer`, `tower::WebhookService` |
//! | `axum` | | `axum`: the same, with the peer address and the extractor `Verified` |
//! | `actix-web` | | `actix_web::Webhook`, a middleware |
//! | `warp` | | `warp::webhook_at` and `warp::webhook`, filters |

#[cfg(feature = "jwks")]
pub mod settings;

pub use idnow_webhooks_core::*;
#[cfg(feature = "jwks")]
pub use idnow_webhooks_jwks as jwks;
#[cfg(feature = "jwks")]
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
