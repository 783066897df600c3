//! Mounts an [`idnow_webhooks_core::Receiver`] in anything that speaks [tower]: axum, hyper, Lambda.
//!
//! - [`WebhookLayer`] wraps a whole application: it answers one path and passes everything else through untouched.
//! - [`WebhookService`] answers every request that it is given: for `route_service`, plain hyper, or Lambda.
//!
//! | feature | adds |
//! |---|---|
//! | `axum` | the peer address from axum's `ConnectInfo`, and the extractor `Verified` |
//!
//! # The peer address
//!
//! An allow list needs the address at the other end of the connection. With the feature `axum`, serve the
//! application with `into_make_service_with_connect_info::<SocketAddr>()`. Elsewhere put a [`PeerAddr`] into
//! the request's extensions. Without either, a receiver with an allow list refuses every delivery.
//!
//! [tower]: https://docs.rs/tower

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "axum")]
mod extract;
mod future;
mod layer;
mod service;

use std::net::IpAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyDataStream;
use idnow_webhooks_core::{Head, PeerAddr, Receiver};

#[cfg(feature = "axum")]
pub use extract::{Verified, VerifiedRejection};
pub use future::ResponseFuture;
pub use layer::{Webhook, WebhookLayer};
pub use service::WebhookService;

fn peer<B>(request: &Request<B>) -> Option<IpAddr> {
    let extensions = request.extensions();
    let told = extensions.get::<PeerAddr>().map(|peer| peer.0);
    #[cfg(feature = "axum")]
    let told = told.or_else(|| {
        let connection = extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>()?;
        Some(connection.0.ip())
    });
    told
}

async fn respond<B: Body>(receiver: Receiver, request: Request<B>) -> Response<Bytes> {
    let peer = peer(&request);
    let (parts, body) = request.into_parts();
    let head = Head { method: &parts.method, headers: &parts.headers, peer };
    receiver.respond(head, BodyDataStream::new(body)).await
}
