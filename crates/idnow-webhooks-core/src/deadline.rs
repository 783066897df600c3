use std::future::poll_fn;
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{Instant, sleep};

/// The time is over.
#[derive(Debug)]
pub(crate) struct TooLate;

/// A time-out that makes its timer only for a future that has to wait: most here are ready at once, and a timer
/// costs more than what they do. The time counts from `start` all the same, or else from the first wait.
pub(crate) async fn within<F: Future>(
    start: Option<Instant>,
    limit: Duration,
    future: F,
) -> Result<F::Output, TooLate> {
    let mut future = pin!(future);
    let mut timer = None;
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        // Unconstrained, as a future that never lets go would also use up what the timer may do.
        let rest = || limit.saturating_sub(start.map_or(Duration::ZERO, |start| start.elapsed()));
        let timer = timer.get_or_insert_with(|| Box::pin(unconstrained(sleep(rest()))));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(TooLate))
    })
    .await
}
