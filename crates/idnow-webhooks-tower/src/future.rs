use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use idnow_webhooks_core::Outcome;
use pin_project_lite::pin_project;

type Delivery = Pin<Box<dyn Future<Output = Outcome> + Send>>;

pin_project! {
    /// The answer of [`Webhook`](crate::Webhook) and [`WebhookService`](crate::WebhookService).
    pub struct ResponseFuture<F> {
        #[pin]
        kind: Kind<F>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<F> {
        Delivery { outcome: Delivery },
        Passed { #[pin] response: F },
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) fn delivery(outcome: impl Future<Output = Outcome> + Send + 'static) -> Self {
        Self { kind: Kind::Delivery { outcome: Box::pin(outcome) } }
    }

    pub(crate) fn passed(response: F) -> Self {
        Self { kind: Kind::Passed { response } }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: From<Bytes>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProjection::Delivery { outcome } => {
                let outcome = ready!(outcome.as_mut().poll(context));
                Poll::Ready(Ok(outcome.response().map(B::from)))
            }
            KindProjection::Passed { response } => response.poll(context),
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
