use std::convert::Infallible;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use idnow_webhooks_core::Receiver;
use tower_service::Service;

/// Answers every request as a delivery.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use idnow_webhooks_testkit::{Provider, SampleEvent};
/// use idnow_webhooks_tower::WebhookService;
/// use tower::ServiceExt;
///
/// let provider = Provider::new();
/// let receiver = provider.receiver().build()?;
/// let request = http::Request::post("/").body(provider.token(&SampleEvent::completed()))?;
/// let response = WebhookService::new(receiver).oneshot(request).await?;
/// assert_eq!(response.status(), 200);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct WebhookService {
    receiver: Receiver,
}

impl WebhookService {
    /// Hands every request to this receiver.
    pub fn new(receiver: Receiver) -> Self {
        Self { receiver }
    }
}

impl<B> Service<Request<B>> for WebhookService
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        crate::respond(self.receiver.clone(), request).map(|response| Ok(response.map(Full::new))).boxed()
    }
}
