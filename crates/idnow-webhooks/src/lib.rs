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
//! # let variables = [("IDNOW_ENVIRONMENT", "sandbox"), ("IDNOW_AUDIENCE", "https://bank.example/webhooks/idnow")];
//! # let from_env = || Settings::from_variables(variables.map(|(name, value)| (name.into(), value.into())));
//! # /*
//! let receiver = Settings::from_env()?.receiver(handlers).await?;
//! # */
//! # let receiver = from_env()?.receiver(handlers).await?;
//! let app: axum::Router = axum::Router::new().layer(WebhookLayer::new(receiver, "/webhooks/idnow"));
//! # drop(app);
//! # Ok(())
//! # }
//! ```
//!
//! This crate only brings the others together. Read on at [`Settings`] for the configuration, at
//! [`EventRouter`] for handlers, at [`Receiver`] for setting things up in code, at [`event`] for what
//! an event says, and at [`telemetry`] for logs and metrics. For tests of your handlers there is
//! `idnow-webhooks-testkit`.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
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

#[cfg(feature = "actix-web")]
pub use idnow_webhooks_actix_web as actix_web;
#[cfg(feature = "axum")]
pub use idnow_webhooks_tower as axum;
#[cfg(feature = "tower")]
pub use idnow_webhooks_tower as tower;
#[cfg(feature = "warp")]
pub use idnow_webhooks_warp as warp;
