//! Follows the provider's verification keys, for the receiver of `idnow-webhooks`.
//!
//! [`JwksSource`] is a [`KeySource`](idnow_webhooks_core::keys::KeySource) that takes its keys from a
//! [`Location`]: a JWKS document at a URL, the one that an OIDC issuer advertises, or a file.
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use idnow_webhooks_core::keys::KeySource;
//! use idnow_webhooks_jwks::{JwksSource, Location};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let path = std::env::temp_dir().join(format!("idnow-webhooks-jwks-doc-{}.json", std::process::id()));
//! # std::fs::write(&path, r#"{ "keys": [{ "kid": "1", "kty": "EC", "crv": "P-256",
//! #     "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
//! #     "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM" }] }"#)?;
//! // In production: `Location::url(PRODUCTION_JWKS_URL)`.
//! let keys = JwksSource::builder(Location::file(&path))
//!     .min_refresh_interval(Duration::from_secs(30))
//!     .connect()
//!     .await?;
//! assert_eq!(keys.status().key_ids, ["1"]);
//!
//! // The receiver does this when a token names a key that `keys.current()` does not hold.
//! let fresh = keys.refresh(Instant::now()).await?;
//! assert_eq!(fresh.key_ids(), ["1"]);
//! # std::fs::remove_file(&path)?;
//! # Ok(())
//! # }
//! ```
//!
//! # When keys are fetched
//!
//! One background task fetches; there is never more than one fetch at a time, and nothing waits on a lock.
//!
//! - **At the start.** [`connect`](JwksSourceBuilder::connect) waits for the first fetch and fails with it;
//!   [`start`](JwksSourceBuilder::start) does not wait, and the fetch is tried until it succeeds.
//! - **Before the keys expire**, at 72% to 80% of their lifetime (at random, so that replicas do not ask all at
//!   once). The lifetime is what `Cache-Control` says (`max-age` less `Age`; `no-cache` and `no-store` mean the
//!   least), within [`min_lifetime`](JwksSourceBuilder::min_lifetime) and
//!   [`max_lifetime`](JwksSourceBuilder::max_lifetime), else
//!   [`default_lifetime`](JwksSourceBuilder::default_lifetime).
//! - **On demand**, when a token names an unknown key, or is not signed by the key that it names and the keys are older
//!   than five minutes, but at most once per [`min_refresh_interval`](JwksSourceBuilder::min_refresh_interval). In
//!   between, senders are asked to try again, so a storm of forgeries causes next to no load, and no genuine event is lost.
//! - **After a failure**, with growing pauses ([`backoff`](JwksSourceBuilder::backoff)).
//!
//! # Which keys are trusted
//!
//! Every successful fetch replaces the whole set, so a revoked key is gone then. The one exception is an answer
//! from a cache that is older than the keys at hand: these are kept, and the next fetch is soon. While fetches
//! bring nothing newer, or fail, the last good keys stay in use until
//! [`max_stale`](JwksSourceBuilder::max_stale) after the end of their lifetime. Then an older answer is taken,
//! too; without any, there are no keys. A document without a single usable key counts as a failed fetch: that is what a broken
//! key server looks like, and a revocation of one key leaves, or brings, another. To switch off all keys at
//! once, stop the receiver.
//!
//! # How they are fetched
//!
//! HTTPS only (TLS 1.2 or 1.3, HTTP/1.1), with the system's root certificates; plain HTTP only to
//! `localhost` and loopback addresses. Redirects are not followed. Connecting, the whole fetch, and the size of
//! the answer are limited. A connection that breaks is replaced once. Nothing is asked to be compressed, and gzip is
//! understood all the same. Proxies: see [`no_proxy`](JwksSourceBuilder::no_proxy).
//!
//! Caches between here and the key server are asked not to answer (`Cache-Control: no-cache`). When one does all
//! the same, which the header `Age` tells, the keys are used unless newer ones are at hand, and their
//! [age](idnow_webhooks_core::keys::KeySource::age) counts from when the cache got them: no token is called forged on the
//! ground of what a cache remembers.
//!
//! # What can be observed
//!
//! Events go to the `tracing` target `idnow_webhooks::keys`. URLs in them have neither user info nor query.
//!
//! | event | level | when |
//! |---|---|---|
//! | `keys.changed` | info | the ids of the usable keys changed, or the keys of an id, which `replaced` names then |
//! | `keys.skipped` | warn | an entry of the key set is unusable; once for each change |
//! | `keys.compressed` | info | an answer came in gzip, which was not asked for; once |
//! | `keys.refreshed` | debug | a fetch succeeded, and its keys are in use |
//! | `keys.outdated` | debug | a fetch brought a cache's older keys, and the newer ones at hand were kept |
//! | `keys.refresh_failed` | warn | a fetch failed |
//! | `keys.too_stale` | error | the last good keys were given up |
//!
//! The metrics are listed with all others in [`idnow_webhooks_core::telemetry`]. [`JwksSource::status`] tells a
//! readiness check how the keys are.

mod builder;
mod cache_control;
mod discovery;
mod document;
mod error;
mod fetch;
mod file;
mod gzip;
mod http_client;
mod location;
mod observe;
mod policy;
mod proxy;
mod source;
mod state;
mod status;
mod task;

pub use builder::JwksSourceBuilder;
pub use error::{ConfigError, FetchError, JwksError};
pub use location::{Location, PRODUCTION_JWKS_URL, SANDBOX_JWKS_URL};
pub use source::JwksSource;
pub use status::Status;
