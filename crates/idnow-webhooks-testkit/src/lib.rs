//! Everything a test of a webhook handler needs to play the provider: keys, tokens, events, a key server, a clock.
//!
//! - [`SigningKey`] signs with every algorithm that can be verified, and assembles hostile tokens.
//! - [`SampleEvent`] builds the `data` of each documented event, and of events that do not exist yet.
//! - [`Provider`] puts the claims around an event and signs them.
//! - [`KeyServer`] serves the keys over real HTTP or HTTPS, and can rotate them, fail, hang and lie.
//! - [`FixedClock`] stands still until it is told to move.
//!
//! It is meant for `[dev-dependencies]` and does not belong into a service.
//!
//! # Your handler's test, in five lines
//!
//! ```
//! # use idnow_webhooks_core::event::{Event, SessionCompleted};
//! # use idnow_webhooks_core::EventRouter;
//! use idnow_webhooks_testkit::{Provider, SampleEvent};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let handlers = EventRouter::new().on(|_: Event<SessionCompleted>| async { Ok(()) });
//! let provider = Provider::new();
//! let receiver = provider.receiver().handlers(handlers).build()?;
//! let outcome = provider.deliver(&receiver, &SampleEvent::completed()).await;
//! assert_eq!(outcome.code(), "handled", "{outcome:?}"); // if not, with the handler's error
//! # Ok(())
//! # }
//! ```
//!
//! # A token that the receiver must accept
//!
//! ```
//! use idnow_webhooks_testkit::{Provider, SampleEvent};
//!
//! let provider = Provider::new().with_audience("https://bank.example/webhooks/idnow");
//! let event = SampleEvent::completed().with_session_id("fe1941c2-bc45-4142-b516-fa0fc9fd7754");
//! let body = provider.token(&event); // the whole body of the request, `Content-Type: application/jwt`
//! let keys = provider.key().key_set(); // what the receiver verifies it with, no network needed
//! # assert!(!keys.is_empty() && body.split('.').count() == 3);
//! ```
//!
//! # Tokens that it must refuse
//!
//! ```
//! use idnow_webhooks_core::keys::Algorithm;
//! use idnow_webhooks_testkit::{Provider, SampleEvent, SigningKey, compact};
//!
//! let provider = Provider::new();
//! let event = SampleEvent::completed();
//!
//! let by_a_stranger = provider.clone().with_key(SigningKey::shared_other()).token(&event);
//! let for_somebody_else = provider.clone().with_audience("https://shop.example/").token(&event);
//! let expired = provider.token_with(&event, |claims| claims["exp"] = 1_600_000_000.into());
//! let unsigned = compact(r#"{"alg":"none"}"#, provider.claims(&event).to_string(), "");
//! let public_key_as_secret = provider
//!     .clone()
//!     .with_key(SigningKey::from_secret(Algorithm::Hs256, provider.key().public_key_pem()))
//!     .token(&event);
//! # for token in [by_a_stranger, for_somebody_else, expired, unsigned, public_key_as_secret] {
//! #     assert_eq!(token.split('.').count(), 3);
//! # }
//! ```
//!
//! # A key server that misbehaves
//!
//! ```
//! use std::time::Duration;
//!
//! use idnow_webhooks_testkit::{Behaviour, Endpoint, KeyServer, Provider, SigningKey};
//!
//! let server = KeyServer::start()?;
//! let provider = Provider::new().with_issuer(server.issuer());
//! server.publish(&[provider.key()]);
//! // Point the receiver at `server.issuer()` (discovery) or `server.jwks_url()`, then:
//! server.rotate(&SigningKey::shared_other());
//! server.behave(Behaviour::Slow(Duration::from_secs(3)));
//! server.behave_at(Endpoint::Keys, Behaviour::Status(500));
//! assert_eq!(server.requests(Endpoint::Keys), 0);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Panics
//!
//! A kit for tests does not hand every slip back as a `Result`. It panics, with a message that says why, when the
//! crypto library itself fails, and when it is asked for what cannot be, such as signing ES256 with an RSA key:
//! the documentation of each function names those cases. Nothing that a client sends makes it panic.
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `tls` | yes | `KeyServer::start_tls`, with rustls and a private certificate authority |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod fail;
mod key_server;
mod provider;
mod sample;
mod signing_key;

pub use clock::FixedClock;
pub use key_server::{Behaviour, Endpoint, KeyServer};
pub use provider::Provider;
pub use sample::{PUBLISHED_EXAMPLE, SampleEvent};
pub use signing_key::{SigningKey, compact};
