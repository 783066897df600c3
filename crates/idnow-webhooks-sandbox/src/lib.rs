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
//! let flow = NewFlow { name: "identification".into(), session_ttl_seconds: 3600 };
//! let flow = sandbox.create_flow(flow).await?;
//! let endpoint = NewEndpoint::new(flow.id, "staging", "http://127.0.0.1:8080/webhooks");
//! sandbox.create_endpoint(endpoint).await?;
//!
//! // Both tell the endpoint: `session.created`, `session.completed`.
//! let session = NewSession { flow_id: flow.id, environment: "staging".into(), ttl_seconds: None };
//! let session = sandbox.create_session(session).await?;
//! let session = sandbox.drive(session.id, Step::Complete { outcome: Outcome::Accepted }).await?;
//! assert_eq!(session.events, 2);
//! sandbox.stop().await;
//! # Ok(())
//! # }
//! ```
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
//! | a certificate that is not trusted | is a connection that failed: it is tried again |
//! | an answer that is slow | must be complete, with its body, within 10 s; more than 64 KiB of a body are not read, the status counts |
//! | the number of attempts | one and ten retries; `eventDeliverId` counts on after a retrigger, which allows ten retries more |
//! | an attempt during which the provider crashes | counts, and is made up for at once, under the next `eventDeliverId`: so there may be more than eleven |
//! | events of a disabled endpoint | are not sent later; what waits is held until it is enabled again |
//! | an endpoint is changed | the next attempt goes by what it is then, with `aud` of the new URL |
//! | an endpoint is deleted | what waits for it ends, visibly |
//! | `eventSequence` | counts a session's events from 1; going from CREATED to RUNNING is no event |
//! | a session that has not been started | can be completed, aborted, expired and fail all the same |
//! | `lastStepId`, `-Type`, `-Status` | are left out before a step has run |
//! | a rotated key | stays published until it is retired |
//! | the older form of a delivery | has the event as JSON in its body and the token in `X-Idnow-Signature` |
//! | errors of the session API | are `application/problem+json`; `flowVersion` is 1; an open outcome is `NO_OUTCOME` |
//! | access tokens of the session API | end with the process |
//! | history | is kept for ever |
//! | `time_scale` | divides the waits of the sandbox, not the 10 s that a receiver has, nor how long tokens are valid |

mod builder;
mod clock;
mod database;
mod error;
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
pub use error::{Error, Unavailable};
pub use sandbox::Sandbox;
pub use trigger::{Trigger, Triggered};
