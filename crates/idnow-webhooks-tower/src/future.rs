use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Response;
use pin_project_lite::pin_project;

pin_project! {
    /// What [`Webhook`](crate::Webhook) answers with: a delivery's answer, or what the wrapped service says.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        answer: Answer<F>,
    }
}

pin_project! {
    #[project = Projected]
    enum Answer<F> {
        Delivery { future: BoxFuture<'static, Response<Bytes>> },
        Other { #[pin] future: F },
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) fn delivery(future: BoxFuture<'static, Response<Bytes>>) -> Self {
        Self { answer: Answer::Delivery { future } }
    }

    pub(crate) fn other(future: F) -> Self {
        Self { answer: Answer::Other { future } }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: From<Bytes>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().answer.project() {
            Projected::Delivery { future } => {
                future.as_mut().poll(context).map(|response| Ok(response.map(R::from)))
            }
            Projected::Other { future } => future.poll(context),
        }
    }
}

impl<F> std::fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
