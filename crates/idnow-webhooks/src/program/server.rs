use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use idnow_webhooks_core::PeerAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto, version};
use tower_service::Service;

use super::TimedStream;

const LOG: &str = "idnow_webhooks::server";
/// What a receiver has by default.
const ANSWER_DEADLINE: Duration = Duration::from_secs(8);
/// How long answers that are under way may take when the server stops.
const STOP_LIMIT: Duration = Duration::from_secs(10);
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// After a connection could not be accepted: what is missing, such as files, must become free elsewhere.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often to say that connections cannot be accepted.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// An HTTP/1.1 server for axum, warp or any other [tower](https://docs.rs/tower) service.
///
/// It closes silent connections and incomplete requests without an answer, as [`TimedStream`] does, because the provider
/// takes a 408 for final. A TLS handshake may take 10 s. HTTP/2 is not served: a proxy can speak it to its own clients.
///
/// What it cannot accept, as when no file is free, it logs, and goes on. It tells the service the address
/// of the peer ([`PeerAddr`]), which an allow list needs.
///
/// There is no limit on the number of connections but that of the process (`ulimit -n`).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let provider = idnow_webhooks_testkit::Provider::new();
/// # let receiver = provider.receiver().build()?;
/// use idnow_webhooks::axum::WebhookLayer;
/// use idnow_webhooks::program::{Server, stop_signal};
///
/// let app = axum::Router::new().layer(WebhookLayer::new(receiver, "/webhooks/idnow"));
/// let server = Server::bind("127.0.0.1:0".parse()?).await?;
/// println!("listening on http://{}", server.local_addr()?);
/// # let stop_signal = || std::future::ready(());
/// server.serve(app, stop_signal()).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    tls: Option<Tls>,
    answer_deadline: Duration,
}

/// TLS 1.2 and 1.3, as the provider requires, with one certificate.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the certificate, with those that lead to its authority after it, and its key: PEM files.
    pub fn from_pem_files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> io::Result<Self> {
        let certificates = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
        let certificates: Vec<_> = certificates.map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config).into()))
    }
}

impl Server {
    /// Listens.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self::new)
    }

    /// Takes a socket that listens.
    pub fn from_tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener).map(Self::new)
    }

    fn new(listener: TcpListener) -> Self {
        Self { listener, tls: None, answer_deadline: ANSWER_DEADLINE }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves HTTPS, and no longer plain HTTP.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How long the service may take to begin an answer, the reading of the request included: that of the receiver, 8 s by
    /// default. A connection on which it takes longer is closed, as [`TimedStream`] says.
    #[must_use]
    pub fn answer_deadline(mut self, deadline: Duration) -> Self {
        self.answer_deadline = deadline;
        self
    }

    /// Serves until `stop` is ready. Then it accepts no more, closes idle connections, ends TLS handshakes, and answers
    /// what is under way, for 10 s at most.
    ///
    /// Dropping the future does the same, but nothing waits for the answers.
    pub async fn serve<S, B>(self, service: S, stop: impl Future<Output = ()>)
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let Self { listener, tls, answer_deadline } = self;
        let (stopping, _) = watch::channel(());
        let mut refused = Refused::default();
        let mut stop = pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (service, tls, stopping) = (service.clone(), tls.clone(), stopping.subscribe());
                    tokio::spawn(async move {
                        let served = connection(stream, peer, tls, answer_deadline, service, stopping);
                        if let Err(error) = served.await {
                            tracing::debug!(target: LOG, %peer, error, "a connection has failed");
                        }
                    });
                }
                // The connection was gone before it was accepted.
                Err(error) if of_one_connection(&error) => {}
                Err(error) => {
                    refused.log(&error);
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        // It fails if there are no connections.
        let _ = stopping.send(());
        if timeout(STOP_LIMIT, stopping.closed()).await.is_err() {
            tracing::warn!(target: LOG, "connections were cut: they had not ended {STOP_LIMIT:?} after the stop");
        }
    }
}

async fn connection<S, B>(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Tls>,
    answer_deadline: Duration,
    service: S,
    mut stopping: watch::Receiver<()>,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    // Small answers must not wait for each other; a socket that refuses this works all the same.
    let _ = stream.set_nodelay(true);
    let Some(Tls(acceptor)) = tls else {
        return http(stream, peer, answer_deadline, service, stopping).await;
    };
    let stream = tokio::select! {
        accepted = timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)) => accepted??,
        _ = stopping.changed() => return Ok(()),
    };
    http(stream, peer, answer_deadline, service, stopping).await
}

async fn http<I, S, B>(
    stream: I,
    peer: SocketAddr,
    answer_deadline: Duration,
    service: S,
    mut stopping: watch::Receiver<()>,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let service = TowerToHyperService::new(service);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(PeerAddr(peer.ip()));
        service.call(request)
    });
    let stream = TokioIo::new(TimedStream::new(stream, answer_deadline));
    // The one time-out is that of the stream.
    let connection = http1::Builder::new().header_read_timeout(None).serve_connection(stream, service);
    let mut connection = pin!(connection);
    tokio::select! {
        served = &mut connection => return Ok(served?),
        // Also if the sender is gone: then nobody serves any more.
        _ = stopping.changed() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Connections that could not be accepted, and are still to be told of.
#[derive(Default)]
struct Refused {
    attempts: u64,
    logged: Option<Instant>,
}

impl Refused {
    fn log(&mut self, error: &io::Error) {
        self.attempts += 1;
        if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL) {
            let attempts = std::mem::take(&mut self.attempts);
            tracing::error!(target: LOG, %error, attempts, "connections cannot be accepted");
            self.logged = Some(Instant::now());
        }
    }
}
