//! Mounts an [`idnow_webhooks_core::Receiver`] in actix-web, as a middleware.
//!
//! Around a whole application it answers one path and passes everything else through untouched; around a
//! scope it answers everything in that scope.
//!
//! ```
//! # #[actix_web::main]
//! # async fn main() {
//! use actix_web::{App, test};
//! use idnow_webhooks_actix_web::Webhook;
//! use idnow_webhooks_testkit::{Provider, SampleEvent};
//!
//! let provider = Provider::new();
//! let receiver = provider.receiver().build().unwrap();
//! let app = test::init_service(App::new().wrap(Webhook::new(receiver).at("/webhooks/idnow"))).await;
//!
//! let token = provider.token(&SampleEvent::completed());
//! let request = test::TestRequest::post().uri("/webhooks/idnow").set_payload(token).to_request();
//! assert_eq!(test::call_service(&app, request).await.status(), 200);
//! # }
//! ```
//!
//! # Handlers that outlive the answer
//!
//! A handler that is too slow for the answer runs on. Here it would run on one of actix-web's own runtimes, which
//! end with the server and cut it off. To let it finish at a graceful stop, give the receiver the runtime of
//! `main` ([`runtime`](idnow_webhooks_core::ReceiverBuilder::runtime)) and await
//! [`idle`](idnow_webhooks_core::Receiver::idle) when the server has ended.
//!
//! # The peer address
//!
//! It is that of the connection (`peer_addr`), never what `ConnectionInfo` makes of the headers: those are
//! read by the receiver itself, and only behind a proxy that it trusts.

mod convert;

use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::ConnectionType;
use actix_web::{Error, HttpMessage, HttpResponse};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use idnow_webhooks_core::{Head, Receiver};

/// The middleware.
#[derive(Debug, Clone)]
pub struct Webhook {
    receiver: Receiver,
    path: Option<Arc<str>>,
}

impl Webhook {
    /// Answers every request that it wraps: for a scope.
    pub fn new(receiver: Receiver) -> Self {
        Self { receiver, path: None }
    }

    /// Answers requests for exactly this path, such as `/webhooks/idnow`, and passes all others through: for a
    /// whole application.
    #[must_use]
    pub fn at(mut self, path: impl Into<Arc<str>>) -> Self {
        self.path = Some(path.into());
        self
    }
}

impl<S, B> Transform<S, ServiceRequest> for Webhook
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B, Bytes>>;
    type Error = Error;
    type Transform = WebhookMiddleware<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(WebhookMiddleware { inner: Rc::new(inner), webhook: self.clone() }))
    }
}

/// The service that [`Webhook`] makes.
#[derive(Debug)]
pub struct WebhookMiddleware<S> {
    inner: Rc<S>,
    webhook: Webhook,
}

impl<S, B> Service<ServiceRequest> for WebhookMiddleware<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B, Bytes>>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(inner);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        if self.webhook.path.as_deref().is_some_and(|path| path != request.path()) {
            let inner = Rc::clone(&self.inner);
            return Box::pin(async move { Ok(inner.call(request).await?.map_into_left_body()) });
        }
        let receiver = self.webhook.receiver.clone();
        Box::pin(async move {
            let response = respond(&receiver, &mut request).await?;
            Ok(request.into_response(response).map_into_right_body())
        })
    }
}

async fn respond(receiver: &Receiver, request: &mut ServiceRequest) -> Result<HttpResponse<Bytes>, Error> {
    let method = convert::method(request.method())?;
    let headers = convert::headers(request.headers())?;
    let peer = request.peer_addr().map(|address| address.ip());
    let head = Head { method: &method, headers: &headers, peer };
    // In a box of its own: together with what is around it, it would be too large for the allocator's quick path.
    let outcome = Box::pin(receiver.receive(head, request.take_payload())).await;
    // Not `respond`: actix-web leaves out the body of an answer to HEAD by itself, and takes the length from it.
    let mut response = convert::response(outcome.response())?;
    if request.head().upgrade() {
        // actix-web closes the connection after a request with `Connection: upgrade`, and answers `Connection: upgrade`:
        // the client would send its next delivery on it.
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(response)
}
