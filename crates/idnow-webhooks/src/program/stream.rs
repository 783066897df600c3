use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long after the last moment for an answer a connection is closed.
const MARGIN: Duration = Duration::from_secs(2);
/// Proxies keep connections idle for some seconds, and must not send a delivery on one that is being closed.
const SHORTEST: Duration = Duration::from_secs(10);

/// A connection that fails with [`TimedOut`](io::ErrorKind::TimedOut) when it waits for its peer for too long.
///
/// It is for HTTP/1.1. Its time begins when it is opened, again whenever something is written to it, and again with the
/// first bytes that are read after that. So the whole of a request, from its first byte to the first byte of its answer, has
/// that time, and an idle connection is closed after it. This holds for connections that say nothing, for heads and bodies
/// that stop or trickle, and for peers that take nothing of an answer.
///
/// Do not use it for HTTP/2 or below TLS. There a peer also sends bytes that begin no request, such as an acknowledgement
/// or the end of a handshake, and the next request would have less time; and each answer to a ping would restart it. Put
/// it above the TLS stream, and limit the time of the handshake.
///
/// The time is 2 s more than the receiver has for an answer, and 10 s at least. A route of the application that takes
/// longer before it begins to answer, such as a large upload, needs a longer one.
///
/// It needs a Tokio runtime with time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> std::io::Result<()> {
/// use std::time::Duration;
///
/// use idnow_webhooks::program::TimedStream;
/// use tokio::io::{AsyncReadExt, duplex};
///
/// let (_silent_peer, connection) = duplex(64);
/// let mut connection = TimedStream::new(connection, Duration::from_secs(8));
/// let error = connection.read_u8().await.unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TimedStream<S> {
    stream: S,
    limit: Duration,
    timer: Pin<Box<Sleep>>,
    /// Nothing was read since the last write: what comes next begins a request.
    between_requests: bool,
}

impl<S> TimedStream<S> {
    /// Its time begins now. Give how long the service may take to begin an answer, the reading of the request included:
    /// the [`answer_deadline`](crate::ReceiverBuilder::answer_deadline) of the receiver.
    pub fn new(stream: S, answer_deadline: Duration) -> Self {
        let limit = answer_deadline.saturating_add(MARGIN).max(SHORTEST);
        Self { stream, limit, timer: Box::pin(sleep(limit)), between_requests: true }
    }

    fn restart(&mut self) {
        // A limit beyond the end of time is none.
        if let Some(deadline) = Instant::now().checked_add(self.limit) {
            self.timer.as_mut().reset(deadline);
        }
    }

    /// What came of an attempt to read or write: the peer may keep it waiting for as long as there is time.
    fn bounded<T>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            return result;
        }
        ready!(self.timer.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn written(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if matches!(result, Poll::Ready(Ok(1..))) {
            self.between_requests = true;
            self.restart();
        }
        self.bounded(context, result)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.between_requests && buffer.filled().len() > before {
            self.between_requests = false;
            self.restart();
        }
        self.bounded(context, result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.bounded(context, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(context);
        self.bounded(context, result)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    fn pair() -> (DuplexStream, TimedStream<DuplexStream>) {
        let (peer, stream) = duplex(8);
        (peer, TimedStream::new(stream, seconds(8)))
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Reads until it fails, and gives after how long.
    async fn kept(stream: &mut TimedStream<DuplexStream>, began: Instant) -> Duration {
        let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_has_the_limit_and_no_more() {
        for (deadline, limit) in [(0, 10), (8, 10), (9, 11), (30, 32)] {
            let (_peer, stream) = duplex(8);
            let mut stream = TimedStream::new(stream, seconds(deadline));
            assert_eq!(kept(&mut stream, Instant::now()).await.as_secs(), limit);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_byte_of_a_request_restarts_it_and_the_others_do_not() {
        let (mut peer, mut stream) = pair();
        let began = Instant::now();
        tokio::spawn(async move {
            for wait in [9, 5, 4, 3] {
                sleep(seconds(wait)).await;
                peer.write_all(b"x").await.ok();
            }
            std::future::pending::<()>().await;
        });
        assert_eq!(kept(&mut stream, began).await.as_secs(), 19);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_restarts_it_and_so_does_the_next_request() {
        let (mut peer, mut stream) = pair();
        let began = Instant::now();
        for _ in 0..3 {
            sleep(seconds(9)).await;
            peer.write_all(b"ask").await.unwrap();
            stream.read_exact(&mut [0; 3]).await.unwrap();
            sleep(seconds(9)).await;
            stream.write_all(b"tell").await.unwrap();
            peer.read_exact(&mut [0; 4]).await.unwrap();
        }
        assert_eq!(kept(&mut stream, began).await.as_secs(), 3 * 18 + 10);
    }

    /// What has come is read, however late: the limit is for waiting.
    #[tokio::test(start_paused = true)]
    async fn what_is_there_is_never_refused() {
        let (mut peer, mut stream) = pair();
        peer.write_all(b"late").await.unwrap();
        sleep(seconds(20)).await;
        stream.read_exact(&mut [0; 4]).await.unwrap();
        drop(peer);
        assert_eq!(stream.read(&mut [0; 4]).await.unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_has_the_limit_too() {
        let (_peer, mut stream) = pair();
        let began = Instant::now();
        let error = stream.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed().as_secs()), (io::ErrorKind::TimedOut, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_beyond_the_end_of_time_is_none() {
        let (mut peer, stream) = duplex(8);
        let mut stream = TimedStream::new(stream, Duration::MAX);
        stream.write_all(b"x").await.unwrap();
        sleep(seconds(1_000_000)).await;
        peer.write_all(b"x").await.unwrap();
        stream.read_exact(&mut [0; 1]).await.unwrap();
    }
}
