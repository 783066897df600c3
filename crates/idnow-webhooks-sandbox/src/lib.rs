//! The provider's side of IDnow's webhooks, on your own machine.
//!
//! A [`Sandbox`] has flows, endpoints and sessions. What happens to a session becomes an event, and each event is signed
//! and delivered to the endpoints that subscribe to it, with the provider's retries and dead letters. Keys, tokens and the
//! session API are served over HTTP, as is a management API and a dashboard.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use idnow_webhooks_sandbox::Sandbox;
//! use idnow_webhooks_sandbox::model::{NewEndpoint, NewFlow, NewSession, Outcome, Step};
//!
//! // In memory, on a free port, and a hundred times as fast as the provider.
//! let sandbox = Sandbox::builder().time_scale(100.0).start().await?;
//! let flow = sandbox.create_flow(NewFlow::new("identification")).await?;
//! let endpoint = NewEndpoint::new(flow.id, "staging", "http://127.0.0.1:8080/webhooks");
//! sandbox.create_endpoint(endpoint).await?;
//!
//! // Both tell the endpoint: `session.created`, `session.completed`.
//! let session = sandbox.create_session(NewSession::new(flow.id, "staging")).await?;
//! let session = sandbox.drive(session.id, Step::Complete { outcome: Outcome::Accepted }).await?;
//! assert_eq!(session.events, 2);
//! sandbox.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # In a test of your receiver
//!
//! The whole way, from a session at the provider to your handler, over real connections and without anything outside of the
//! process:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::future::IntoFuture;
//! use std::net::SocketAddr;
//! use std::time::Duration;
//!
//! use idnow_webhooks::axum::WebhookLayer;
//! use idnow_webhooks::event::{Event, SessionCompleted};
//! use idnow_webhooks::{EventRouter, Settings};
//! use idnow_webhooks_sandbox::Sandbox;
//! use idnow_webhooks_sandbox::model::{NewEndpoint, NewFlow, NewSession, Outcome, Step};
//!
//! let sandbox = Sandbox::builder().time_scale(100.0).start().await?;
//!
//! // Your server, configured as always: issuer and keys are those of the sandbox.
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let url = format!("http://{}/webhooks/idnow", listener.local_addr()?);
//! let settings = Settings::from_variables(
//!     [
//!         ("IDNOW_ISSUER", sandbox.issuer()),
//!         ("IDNOW_JWKS_URL", sandbox.jwks_url()),
//!         ("IDNOW_AUDIENCE", &url),
//!         ("IDNOW_STORE", "memory"),
//!     ]
//!     .map(|(name, value)| (name.into(), value.into())),
//! )?;
//! let (handled, mut sessions) = tokio::sync::mpsc::unbounded_channel();
//! let handlers = EventRouter::new().on(move |event: Event<SessionCompleted>| {
//!     let told = handled.send(event.payload.session_id.to_string());
//!     async move { Ok(told?) }
//! });
//! let (receiver, worker) = settings.queued(handlers).await?;
//! let app = axum::Router::new().layer(WebhookLayer::new(receiver, settings.path));
//! let app = app.into_make_service_with_connect_info::<SocketAddr>();
//! tokio::spawn(axum::serve(listener, app).into_future());
//!
//! // What happens at the provider.
//! let flow = sandbox.create_flow(NewFlow::new("identification")).await?;
//! sandbox.create_endpoint(NewEndpoint::new(flow.id, "staging", &url)).await?;
//! let session = sandbox.create_session(NewSession::new(flow.id, "staging")).await?;
//! sandbox.drive(session.id, Step::Complete { outcome: Outcome::Accepted }).await?;
//!
//! // The handler has run.
//! let handled = tokio::time::timeout(Duration::from_secs(10), sessions.recv()).await?;
//! assert_eq!(handled, Some(session.id.to_string()));
//! worker.stop().await;
//! sandbox.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! Tests of a handler alone need no sandbox: see `idnow-webhooks-testkit`.
//!
//! # What the sandbox assumes
//!
//! Where the provider's documents ("Manage webhooks", "Webhook events", "Secure webhooks", "Authenticate", "Sessions") say
//! something, it does exactly that. Where they are silent:
//!
//! | question | the sandbox |
//! |---|---|
//! | which answers of 4xx are authentication failures | 401 and 403; both end the delivery at once, as every 4xx does |
//! | an answer of 3xx, or 101 | is an invalid URL: redirects are not followed, and nothing is tried again |
//! | a status from 600 on | is taken for a 5xx |
//! | plain http | goes to this machine alone; `allow_plain_http` and `allow_private` open networks of containers |
//! | a certificate that is not trusted | is a connection that failed: it is tried again |
//! | an answer that is slow | must be complete, with its body, within 10 s; more than 64 KiB of a body are not read, the status counts |
//! | the number of attempts | one and ten retries; `eventDeliverId` counts on after a retrigger, which allows ten retries more |
//! | an attempt during which the provider crashes | is made up for at once, under the next `eventDeliverId`, and uses up no retry: so there may be more than eleven |
//! | events of a disabled endpoint | are not sent later; what waits is held until it is enabled again |
//! | an endpoint is changed | the next attempt goes by what it is then, with `aud` of the new URL |
//! | an endpoint is deleted | what waits for it ends, visibly |
//! | `eventSequence` | counts a session's events from 1; going from CREATED to RUNNING is no event |
//! | a session that has not been started | can be completed, aborted, expired and fail all the same |
//! | a session whose time is up | expires before anything else can happen to it, also when nobody was there at that time |
//! | a clock that is set back | makes a retry due at once that would wait for more than the longest wait there is, an hour |
//! | `lastStepId`, `-Type`, `-Status` | are left out before a step has run |
//! | a rotated key | stays published until it is retired; then its private half is deleted. At most 100 are published |
//! | the older form of a delivery | has the event as JSON in its body and the token in `X-Idnow-Signature` |
//! | errors of the session API | are `application/problem+json`; `flowVersion` is 1; an open outcome is `NO_OUTCOME` |
//! | access tokens of the session API | end with the process |
//! | names under which it is reached | keys, discovery, access tokens and the session API: any; management API and pages: this machine, the address listened on, the host of the base URL |
//! | addresses that are never delivered to | link-local ones and the metadata services of clouds, whatever is allowed |
//! | a URL that HTTP cannot ask for | is an invalid URL: nothing is sent, and nothing is tried again |
//! | history | is kept for 30 days after a session has ended and its deliveries were delivered or given up, and longer while something is still to be delivered; endpoints that were deleted are shown as long as a delivery names them |
//! | chaos | there is none unless it is asked for; it waits by the provider's time, too, and retires the keys that it rotated away itself, but for three; see [`chaos`] |
//! | `time_scale` | divides the waits of the sandbox, not the 10 s that a receiver has, nor how long tokens are valid |

mod builder;
pub mod chaos;
mod clock;
mod database;
mod error;
mod history;
mod http;
mod keys;
mod known;
pub mod live;
pub mod model;
mod pages;
mod rules;
mod sandbox;
mod secret;
mod sender;
mod sessions;
mod state;
mod trigger;

pub use builder::{Client, SandboxBuilder};
#[doc(no_inline)]
pub use chaos::Chaos;
pub use error::{Error, Unavailable};
pub use sandbox::Sandbox;
pub use trigger::{Trigger, Triggered};
