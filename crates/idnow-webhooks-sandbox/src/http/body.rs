//! Bodies of requests: bounded in size and in time.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;

/// The largest body that is read.
pub(crate) const LARGEST_BODY: usize = 64 * 1024;
/// How much more is taken and thrown away: a client that is still writing does not see an answer.
const DRAINED: usize = 1024 * 1024;
/// How long a whole body may take.
pub(crate) const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    TooLarge,
    TooSlow,
    Broken,
}

/// Reads all of it.
pub(crate) async fn read(body: Body) -> Result<Bytes, Unread> {
    tokio::time::timeout(BODY_DEADLINE, collect(body)).await.unwrap_or(Err(Unread::TooSlow))
}

async fn collect(mut body: Body) -> Result<Bytes, Unread> {
    let mut collected = BytesMut::new();
    let mut seen = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        if seen <= LARGEST_BODY {
            collected.extend_from_slice(&data);
        } else if seen > DRAINED {
            break;
        }
    }
    if seen > LARGEST_BODY { Err(Unread::TooLarge) } else { Ok(collected.freeze()) }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn a_body_may_have_exactly_the_limit() {
        assert_eq!(read(Body::from(vec![b'a'; LARGEST_BODY])).await.map(|body| body.len()), Ok(LARGEST_BODY));
        assert_eq!(read(Body::from(vec![b'a'; LARGEST_BODY + 1])).await, Err(Unread::TooLarge));
    }

    #[tokio::test]
    async fn a_body_without_an_end_is_given_up() {
        let endless = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[0; 4096])));
        assert_eq!(read(Body::from_stream(endless)).await, Err(Unread::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_given_up() {
        let silent = stream::pending::<Result<Bytes, Infallible>>();
        assert_eq!(read(Body::from_stream(silent)).await, Err(Unread::TooSlow));
    }
}
