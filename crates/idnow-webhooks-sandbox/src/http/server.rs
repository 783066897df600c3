//! Connections: how many, and for how long a client may keep one waiting.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use http::{Extensions, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at once. Further ones wait in the listener's queue.
const CONNECTIONS: usize = 1024;
/// How large the head of a request may be.
const LARGEST_HEAD: usize = 32 * 1024;
/// How long the head of a request, or the next request on a kept connection, may take.
const HEAD_DEADLINE: Duration = Duration::from_secs(15);
/// How long a client may take nothing of an answer.
const WRITE_STALL: Duration = Duration::from_secs(30);
/// How long answers that are under way may take when the sandbox stops.
const FAREWELL: Duration = Duration::from_secs(2);
/// After the machine ran out of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `stop`; then answers what is under way, and returns.
pub(crate) async fn serve(router: Router, listener: TcpListener, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, client, place)) = accepted else { continue };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            connection(router, stream, client, stop).await;
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(FAREWELL, connections.wait()).await.is_err() {
        tracing::debug!(target: "idnow_webhooks::sandbox", "connections were cut at the stop");
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    // The semaphore is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, client)) => Some((stream, client.ip(), place)),
        Err(error) => {
            tracing::warn!(target: "idnow_webhooks::sandbox", %error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Who is at the other end of a request's connection: perhaps a proxy.
pub(crate) fn peer(extensions: &Extensions) -> IpAddr {
    extensions.get().map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |Peer(address)| *address)
}

#[derive(Debug, Clone, Copy)]
struct Peer(IpAddr);

async fn connection(router: Router, stream: TcpStream, client: IpAddr, stop: CancellationToken) {
    // Small answers must not wait for each other; a socket that refuses this works all the same.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(client));
        router.call(request)
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .max_header_size(LARGEST_HEAD)
            .max_buf_size(LARGEST_HEAD)
            .serve_connection(TokioIo::new(Impatient::new(stream)), service)
    );
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(FAREWELL, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        tracing::debug!(target: "idnow_webhooks::sandbox", %error, "a connection ended early");
    }
}

/// A stream whose writes fail when the other side takes nothing for [`WRITE_STALL`].
struct Impatient<S> {
    stream: S,
    stall: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    fn new(stream: S) -> Self {
        Self { stream, stall: None }
    }

    fn watch<T>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stall = None;
            return result;
        }
        let stall = self
            .stall
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + WRITE_STALL)));
        ready!(stall.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing of the answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, result)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::body::Body;
    use axum::routing::get;
    use bytes::Bytes;
    use futures_util::stream;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn server(router: Router) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(router, listener, stop.clone()));
        (address, stop, task)
    }

    /// How long the server kept the connection after it got `sent`, and what it said.
    async fn kept(sent: &[u8]) -> (Duration, String) {
        let (address, ..) = server(Router::new().route("/", get(async || "hello"))).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        // The clock stands still until everybody waits, and jumps to the next deadline then.
        tokio::time::pause();
        let began = Instant::now();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
        (began.elapsed(), String::from_utf8(said).unwrap())
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_or_stops_in_the_head_is_let_go() {
        for sent in ["", "GET / HTTP/1.1\r\nHost: a\r\n"] {
            let (kept, said) = kept(sent.as_bytes()).await;
            assert!(kept >= HEAD_DEADLINE && kept < 2 * HEAD_DEADLINE, "{sent:?}: {kept:?} {said}");
            tokio::time::resume();
        }
    }

    #[tokio::test]
    async fn so_is_one_that_keeps_a_connection_and_asks_no_more() {
        let (kept, said) = kept(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(kept >= HEAD_DEADLINE && kept < 2 * HEAD_DEADLINE, "{kept:?}");
        assert!(said.contains("hello"), "{said}");
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused() {
        let mut head = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
        head.resize(head.len() + LARGEST_HEAD, b'x');
        let (address, ..) = server(Router::new().route("/", get(async || "hello"))).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&head).await.unwrap();
        let mut said = [0; 12];
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"HTTP/1.1 431");
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_of_an_answer_is_let_go() {
        let endless = async || {
            Body::from_stream(stream::repeat_with(|| {
                Ok::<_, std::convert::Infallible>(Bytes::from(vec![b'x'; 65536]))
            }))
        };
        let (address, stop, task) = server(Router::new().route("/", get(endless))).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        // Until both kernels' buffers are full.
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::time::pause();
        tokio::time::sleep(WRITE_STALL + Duration::from_secs(1)).await;
        tokio::time::resume();
        let mut taken = vec![0; 1 << 20];
        let mut total = 0_usize;
        let ended = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                match stream.read(&mut taken).await {
                    Ok(0) | Err(_) => break,
                    Ok(read) => total += read,
                }
                assert!(total < 1 << 30, "the answer goes on");
            }
        });
        ended.await.unwrap();
        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_stop_ends_idle_connections_at_once_and_those_that_last_soon() {
        let forever =
            async || Body::from_stream(stream::pending::<Result<Bytes, std::convert::Infallible>>());
        let router = Router::new().route("/", get(async || "hello")).route("/forever", get(forever));
        let (address, stop, task) = server(router).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut lasting = TcpStream::connect(address).await.unwrap();
        lasting.write_all(b"GET /forever HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        for stream in [&mut idle, &mut lasting] {
            let mut said = [0; 15];
            stream.read_exact(&mut said).await.unwrap();
            assert_eq!(&said, b"HTTP/1.1 200 OK");
        }
        let began = Instant::now();
        stop.cancel();
        task.await.unwrap();
        assert!(began.elapsed() < FAREWELL + Duration::from_secs(1));
        for mut stream in [idle, lasting] {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        assert!(TcpStream::connect(address).await.is_err());
    }
}
