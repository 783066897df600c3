use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body::Body;
use idnow_webhooks_core::Receiver;
use tower_layer::Layer;
use tower_service::Service;

use crate::ResponseFuture;

/// Answers the requests for one path as deliveries, and passes all others through untouched.
///
/// The path is compared with that of the request as it arrives here, so put the layer around the whole
/// application: inside of axum's `Router::nest` the prefix is already gone, and without a route or fallback of its
/// own there the request does not arrive at all.
///
/// The wrapped service's response body must be made from [`Bytes`], as those of axum and of
/// `http_body_util::Full` are.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::Router;
/// use axum::routing::get;
/// use idnow_webhooks_testkit::{Provider, SampleEvent};
/// use idnow_webhooks_tower::WebhookLayer;
/// use tower::ServiceExt;
///
/// let provider = Provider::new();
/// let receiver = provider.receiver().build()?;
/// let app = Router::new()
///     .route("/health", get(|| async { "ok" }))
///     .layer(WebhookLayer::new(receiver, "/webhooks/idnow"));
///
/// let token = provider.token(&SampleEvent::completed());
/// let delivery = http::Request::post("/webhooks/idnow").body(token)?;
/// assert_eq!(app.clone().oneshot(delivery).await?.status(), 200);
/// let other = http::Request::get("/health").body(String::new())?;
/// assert_eq!(app.oneshot(other).await?.status(), 200);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct WebhookLayer {
    receiver: Receiver,
    path: Arc<str>,
}

impl WebhookLayer {
    /// Answers requests for exactly this path, such as `/webhooks/idnow`.
    pub fn new(receiver: Receiver, path: impl Into<Arc<str>>) -> Self {
        Self { receiver, path: path.into() }
    }
}

impl<S> Layer<S> for WebhookLayer {
    type Service = Webhook<S>;

    fn layer(&self, inner: S) -> Webhook<S> {
        Webhook { inner, layer: self.clone() }
    }
}

/// The service that [`WebhookLayer`] makes.
#[derive(Debug, Clone)]
pub struct Webhook<S> {
    inner: S,
    layer: WebhookLayer,
}

impl<S, B, R> Service<Request<B>> for Webhook<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: From<Bytes>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.uri().path() == &*self.layer.path {
            ResponseFuture::delivery(crate::respond(self.layer.receiver.clone(), request).boxed())
        } else {
            ResponseFuture::other(self.inner.call(request))
        }
    }
}
