//! A small HTTP server that does as it is told, also what no HTTP library would do.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use idnow_webhooks_jwks::{FetchError, JwksError, JwksSource, JwksSourceBuilder, Location};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub(crate) const PATH: &str = "/oidc/jwks.json";

#[derive(Clone)]
pub(crate) enum Reply {
    /// Status and headers as raw lines, and a body with its length.
    Http(&'static str, String, Vec<u8>),
    /// These bytes, then the connection is closed.
    Raw(Vec<u8>),
    /// The reply, a while later.
    After(Duration, Box<Self>),
    /// A head, then a space every so often, for ever.
    Trickle(Duration),
    /// A body without a declared length that never ends.
    Endless,
    Hang,
    /// Status, headers and body as in `Http`, as if the connection stayed open. It is closed at once.
    Vanish(String, Vec<u8>),
    /// The same, but it is closed when the next request comes on it.
    VanishLater(String, Vec<u8>),
}

impl Reply {
    pub(crate) fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::Http("200 OK", "Content-Type: application/json\r\n".to_owned(), body.into())
    }

    pub(crate) fn keys(ids: &[&str]) -> Self {
        Self::json(jwks(ids))
    }

    /// With this `Content-Encoding`, whatever the body is.
    pub(crate) fn encoded(encoding: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Http("200 OK", format!("Content-Encoding: {encoding}\r\n"), body.into())
    }

    pub(crate) fn cached(cache_control: &str, ids: &[&str]) -> Self {
        Self::Http("200 OK", format!("Cache-Control: {cache_control}\r\n"), jwks(ids).into())
    }

    /// What a cache in between answers, which it got this many seconds ago.
    pub(crate) fn aged(age: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Http("200 OK", format!("Age: {age}\r\n"), body.into())
    }

    pub(crate) fn status(status: &'static str) -> Self {
        Self::Http(status, String::new(), b"what a pity".to_vec())
    }

    pub(crate) fn redirect(target: &str) -> Self {
        Self::Http("302 Found", format!("Location: {target}\r\n"), Vec::new())
    }
}

#[derive(Default)]
struct Shared {
    replies: HashMap<String, Reply>,
    /// Request heads, in the order of arrival.
    requests: Vec<String>,
    /// For each request to come, whether its connection is closed without an answer.
    drops: VecDeque<bool>,
    open: usize,
    most_open: usize,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(reply: Reply) -> Self {
        Self::run(reply, None).await
    }

    pub(crate) async fn start_tls(reply: Reply, tls: TlsAcceptor) -> Self {
        Self::run(reply, Some(tls)).await
    }

    async fn run(reply: Reply, tls: Option<TlsAcceptor>) -> Self {
        idnow_webhooks_watch::watch();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Mutex::new(Shared::default()));
        shared.lock().unwrap().replies.insert(PATH.to_owned(), reply);
        let task = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let (shared, tls) = (Arc::clone(&shared), tls.clone());
                    tokio::spawn(async move {
                        match tls {
                            // A client that does not trust the certificate hangs up.
                            Some(tls) => match tls.accept(stream).await {
                                Ok(stream) => serve(stream, &shared).await,
                                Err(_) => None,
                            },
                            None => serve(stream, &shared).await,
                        }
                    });
                }
            }
        });
        Self { address, scheme, shared, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        // The certificates of the TLS tests are for this name.
        format!("{}://localhost:{}{path}", self.scheme, self.address.port())
    }

    pub(crate) fn set(&self, reply: Reply) {
        self.set_at(PATH, reply);
    }

    pub(crate) fn set_at(&self, path: &str, reply: Reply) {
        self.shared.lock().unwrap().replies.insert(path.to_owned(), reply);
    }

    /// Closes the connection of each of the next requests without an answer, or answers it as usual.
    pub(crate) fn drop_requests(&self, drops: &[bool]) {
        self.shared.lock().unwrap().drops = drops.iter().copied().collect();
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.lock().unwrap().requests.clone()
    }

    pub(crate) fn hits(&self) -> usize {
        self.shared.lock().unwrap().requests.len()
    }

    pub(crate) fn most_at_once(&self) -> usize {
        self.shared.lock().unwrap().most_open
    }

    /// A source for this server with the limits that keep tests quick, and no surprises from the environment.
    pub(crate) fn builder(&self) -> JwksSourceBuilder {
        builder(Location::url(self.url(PATH)))
    }

    pub(crate) async fn connect(&self) -> JwksSource {
        self.builder().connect().await.unwrap()
    }

    /// The error of the first fetch.
    pub(crate) async fn error(&self) -> Arc<FetchError> {
        fetch_error(self.builder()).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn builder(location: Location) -> JwksSourceBuilder {
    JwksSource::builder(location).no_proxy().timeout(Duration::from_secs(20))
}

pub(crate) async fn fetch_error(builder: JwksSourceBuilder) -> Arc<FetchError> {
    match builder.connect().await.unwrap_err() {
        JwksError::FirstFetch(error) => error,
        other => panic!("not a failed fetch: {other}"),
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Mutex<Shared>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().split('?').next().unwrap().to_owned();
    let reply = {
        let mut shared = shared.lock().unwrap();
        shared.requests.push(head);
        if shared.drops.pop_front().unwrap_or_default() {
            return None;
        }
        shared.open += 1;
        shared.most_open = shared.most_open.max(shared.open);
        shared.replies.get(&path).cloned().unwrap_or_else(|| Reply::status("404 Not Found"))
    };
    let done = answer(&mut stream, reply).await;
    shared.lock().unwrap().open -= 1;
    done
}

async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), mut reply: Reply) -> Option<()> {
    while let Reply::After(wait, later) = reply {
        tokio::time::sleep(wait).await;
        reply = *later;
    }
    match reply {
        Reply::Http(status, headers, body) => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
            );
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(&body).await.ok()?;
        }
        Reply::Raw(bytes) => stream.write_all(&bytes).await.ok()?,
        Reply::Trickle(pause) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").await.ok()?;
            loop {
                stream.write_all(b" ").await.ok()?;
                stream.flush().await.ok()?;
                tokio::time::sleep(pause).await;
            }
        }
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await.ok()?;
            loop {
                stream.write_all(&[b' '; 4096]).await.ok()?;
            }
        }
        Reply::Vanish(headers, body) => open_ended(stream, &headers, &body).await?,
        Reply::VanishLater(headers, body) => {
            open_ended(stream, &headers, &body).await?;
            stream.read_u8().await.ok()?;
            return None;
        }
        Reply::Hang => std::future::pending().await,
        Reply::After(..) => unreachable!(),
    }
    stream.shutdown().await.ok()
}

async fn open_ended(stream: &mut (impl AsyncWrite + Unpin), headers: &str, body: &[u8]) -> Option<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body).await.ok()?;
    stream.flush().await.ok()
}

/// A new P-256 key as a JWK.
pub(crate) fn jwk(id: &str) -> String {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..65]));
    format!(r#"{{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"{id}","x":"{x}","y":"{y}"}}"#)
}

pub(crate) fn jwks(ids: &[&str]) -> String {
    let keys: Vec<_> = ids.iter().map(|id| jwk(id)).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// Waits until something becomes true, and fails the test after ten seconds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never happened: {what}");
}
