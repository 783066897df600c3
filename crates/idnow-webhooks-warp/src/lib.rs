//! Mounts an [`idnow_webhooks_core::Receiver`] in warp, as a filter.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use idnow_webhooks_testkit::{Provider, SampleEvent};
//! use warp::Filter;
//!
//! let provider = Provider::new();
//! let receiver = provider.receiver().build()?;
//! let routes = idnow_webhooks_warp::webhook_at(receiver, "/webhooks/idnow")
//!     .or(warp::path!("health").map(|| "ok"));
//!
//! let token = provider.token(&SampleEvent::completed());
//! let answer = warp::test::request().method("POST").path("/webhooks/idnow").body(token).reply(&routes).await;
//! assert_eq!(answer.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! # The peer address
//!
//! It is that of the connection, which warp's own server tells. Where warp runs as a service inside of
//! another server (one with time-outs, say), put a [`PeerAddr`] into the request's extensions; without it a
//! receiver with an allow list refuses every delivery.

use std::convert::Infallible;
use std::future::ready;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use http::{HeaderMap, Method, Response};
use idnow_webhooks_core::{Head, PeerAddr, Receiver};
use warp::path::FullPath;
use warp::{Filter, Rejection};

/// Answers every request for exactly this path as a delivery, and rejects all others as not found.
///
/// The path is compared with the whole path of the request, also behind other filters for parts of it. A query
/// does not matter. A request for the path is always answered here, so no later filter of an `or` chain sees it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use idnow_webhooks_testkit::{Provider, SampleEvent};
///
/// let provider = Provider::new();
/// let path = std::env::var("WEBHOOK_PATH").unwrap_or("/webhooks/idnow".to_owned());
/// let routes = idnow_webhooks_warp::webhook_at(provider.receiver().build()?, &path);
///
/// let delivery = || warp::test::request().method("POST").body(provider.token(&SampleEvent::completed()));
/// assert_eq!(delivery().path(&path).reply(&routes).await.status(), 200);
/// assert_eq!(delivery().path("/other").reply(&routes).await.status(), 404);
/// # Ok(())
/// # }
/// ```
pub fn webhook_at(
    receiver: Receiver,
    path: &str,
) -> impl Filter<Extract = (Response<Bytes>,), Error = Rejection> + Clone + use<> {
    let path: Arc<str> = path.into();
    warp::path::full()
        .and_then(move |full: FullPath| {
            ready(if full.as_str() == &*path { Ok(()) } else { Err(warp::reject::not_found()) })
        })
        .untuple_one()
        .and(webhook(receiver))
}

/// Answers every request that reaches it as a delivery; put it behind a filter for the path.
///
/// It never rejects once it is reached, so no other filter of an `or` chain sees the request.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use idnow_webhooks_testkit::{Provider, SampleEvent};
/// use warp::Filter;
///
/// let provider = Provider::new();
/// let routes = warp::path!("hooks" / "idnow").and(idnow_webhooks_warp::webhook(provider.receiver().build()?));
///
/// let token = provider.token(&SampleEvent::completed());
/// let answer = warp::test::request().method("POST").path("/hooks/idnow").body(token).reply(&routes).await;
/// assert_eq!(answer.status(), 200);
/// # Ok(())
/// # }
/// ```
pub fn webhook(receiver: Receiver) -> impl Filter<Extract = (Response<Bytes>,), Error = Rejection> + Clone {
    warp::method()
        .and(warp::header::headers_cloned())
        .and(peer())
        .and(warp::body::stream())
        .then(move |method, headers, peer, body| respond(receiver.clone(), method, headers, peer, body))
}

fn peer() -> impl Filter<Extract = (Option<IpAddr>,), Error = Infallible> + Copy {
    warp::ext::optional().and(warp::addr::remote()).map(
        |told: Option<PeerAddr>, connection: Option<SocketAddr>| {
            told.map(|peer| peer.0).or(connection.map(|address| address.ip()))
        },
    )
}

async fn respond<S, B>(
    receiver: Receiver,
    method: Method,
    headers: HeaderMap,
    peer: Option<IpAddr>,
    body: S,
) -> Response<Bytes>
where
    S: futures_util::Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    let head = Head { method: &method, headers: &headers, peer };
    receiver.respond(head, body).await
}
