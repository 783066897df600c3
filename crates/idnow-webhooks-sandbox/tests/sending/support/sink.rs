use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// How a sink answers a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// This status, with a short body.
    Status(u16),
    /// These bytes, which are a whole answer, and then the next request.
    Whole(Vec<u8>),
    /// These bytes, and then the connection is closed.
    Raw(Vec<u8>),
    /// These bytes, and then nothing more.
    RawThenSilence(Vec<u8>),
    /// These bytes, and then zeros until nobody reads them any more.
    RawThenFlood(Vec<u8>),
    /// These bytes at the beginning, then one byte after each of these times.
    Trickle(Vec<u8>, Duration),
    /// Nothing, ever.
    Silence,
    /// The connection is closed.
    Drop,
    /// This status, after this time.
    Late(Duration, u16),
}

impl Reply {
    pub fn raw(text: &str) -> Self {
        Self::Raw(text.as_bytes().to_vec())
    }
}

/// A request that a sink has read.
#[derive(Debug, Clone)]
pub struct Received {
    /// The first line.
    pub line: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Which connection it came over.
    pub connection: usize,
}

impl Received {
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }

    pub fn token(&self) -> String {
        match self.headers.get("x-idnow-signature") {
            Some(token) => token.to_str().unwrap().to_owned(),
            None => String::from_utf8(self.body.clone()).unwrap(),
        }
    }

    /// The second part of the token, decoded; nothing is verified.
    pub fn claims(&self) -> Value {
        let token = self.token();
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice(&claims).unwrap()
    }

    /// A text of `data`.
    pub fn data(&self, member: &str) -> String {
        self.claims()["data"][member].as_str().unwrap().to_owned()
    }
}

type Script = dyn Fn(&Received) -> Reply + Send + Sync;

/// A server that keeps what it was sent. It lives as long as the test.
#[derive(Clone)]
pub struct Sink {
    pub address: SocketAddr,
    scheme: &'static str,
    inner: Arc<Inner>,
}

struct Inner {
    script: Box<Script>,
    received: Mutex<Vec<Received>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    connections: AtomicUsize,
    broken_handshakes: AtomicUsize,
}

impl Sink {
    pub async fn start(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1", "http", None, script).await
    }

    pub async fn start_tls(acceptor: TlsAcceptor) -> Self {
        Self::start_at("localhost", "https", Some(acceptor), |_| Reply::Status(200)).await
    }

    pub async fn ok() -> Self {
        Self::start(|_| Reply::Status(200)).await
    }

    async fn start_at(
        host: &'static str,
        scheme: &'static str,
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let inner = Arc::new(Inner {
            script: Box::new(script),
            received: Mutex::default(),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            broken_handshakes: AtomicUsize::new(0),
        });
        let sink = Self { address: listener.local_addr().unwrap(), scheme, inner: Arc::clone(&inner) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (inner, tls) = (Arc::clone(&inner), tls.clone());
                let connection = inner.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let Some(tls) = tls else { return inner.serve(stream, connection).await };
                    match tls.accept(stream).await {
                        Ok(stream) => inner.serve(stream, connection).await,
                        Err(_) => drop(inner.broken_handshakes.fetch_add(1, Ordering::SeqCst)),
                    }
                });
            }
        });
        sink
    }

    /// `http://127.0.0.1:PORT` and a path; with TLS `https://localhost:PORT`.
    pub fn url(&self, path: &str) -> String {
        let host = if self.scheme == "https" { "localhost" } else { "127.0.0.1" };
        format!("{}://{host}:{}{path}", self.scheme, self.address.port())
    }

    pub fn received(&self) -> Vec<Received> {
        self.inner.received.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.inner.received.lock().unwrap().len()
    }

    /// How many requests were being answered at the same time, at most.
    pub fn most_under_way(&self) -> usize {
        self.inner.most_under_way.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> usize {
        self.inner.connections.load(Ordering::SeqCst)
    }

    pub fn broken_handshakes(&self) -> usize {
        self.inner.broken_handshakes.load(Ordering::SeqCst)
    }
}

impl Inner {
    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin, connection: usize) {
        while let Some(received) = read(&mut stream, connection).await {
            let reply = (self.script)(&received);
            let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_under_way.fetch_max(under_way, Ordering::SeqCst);
            self.received.lock().unwrap().push(received);
            if let Reply::Late(time, _) = reply {
                tokio::time::sleep(time).await;
            }
            // Before the answer: the sender may have the next one here before this task goes on.
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            if !answer(&mut stream, reply).await {
                return;
            }
        }
    }
}

/// Whether the connection is to be kept.
async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), reply: Reply) -> bool {
    match reply {
        Reply::Status(code) | Reply::Late(_, code) => {
            // 204 and 304 have no body.
            let body = if matches!(code, 204 | 304) { "" } else { "content-length: 6\r\n\r\nanswer" };
            let end = if body.is_empty() { "\r\n" } else { "" };
            let text = format!("HTTP/1.1 {code} Status\r\nlocation: /elsewhere\r\n{body}{end}");
            stream.write_all(text.as_bytes()).await.is_ok()
        }
        Reply::Whole(bytes) => stream.write_all(&bytes).await.is_ok(),
        Reply::Raw(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            false
        }
        Reply::RawThenSilence(bytes) => {
            let _ = stream.write_all(&bytes).await;
            std::future::pending().await
        }
        Reply::RawThenFlood(bytes) => {
            let _ = stream.write_all(&bytes).await;
            while stream.write_all(&[0; 1024]).await.is_ok() {}
            false
        }
        Reply::Trickle(bytes, pause) => {
            let _ = stream.write_all(&bytes).await;
            while stream.write_all(b".").await.is_ok() {
                tokio::time::sleep(pause).await;
            }
            false
        }
        Reply::Silence => std::future::pending().await,
        Reply::Drop => false,
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin), connection: usize) -> Option<Received> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    }
    let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    assert_eq!(body.len(), length, "more was sent than announced");
    Some(Received { line, headers, body, connection })
}
