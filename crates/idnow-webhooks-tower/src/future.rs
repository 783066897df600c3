use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use pin_project_lite::pin_project;

type Delivery = Pin<Box<dyn Future<Output = Response<Bytes>> + Send>>;

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
        Delivery { response: Delivery },
        Passed { #[pin] response: F },
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) fn delivery(response: impl Future<Output = Response<Bytes>> + Send + 'static) -> Self {
        Self { kind: Kind::Delivery { response: Box::pin(response) } }
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
            KindProjection::Delivery { response } => {
                let response = ready!(response.as_mut().poll(context));
                Poll::Ready(Ok(response.map(B::from)))
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
