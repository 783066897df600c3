use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

/// A status, after a while.
#[derive(Debug, Clone, Copy)]
pub struct Reply(pub u16, pub Duration);

impl From<u16> for Reply {
    fn from(code: u16) -> Self {
        Self(code, Duration::ZERO)
    }
}

/// What has arrived of a request, complete or not.
#[derive(Debug, Clone)]
pub struct Seen {
    pub headers: HeaderMap,
    pub announced: usize,
    pub body: Vec<u8>,
    /// When each part of the body arrived.
    pub parts: Vec<Instant>,
    /// When its head did.
    pub at: Instant,
    /// The same, by the calendar.
    pub time: SystemTime,
    /// The other side closed the connection before it had the answer.
    pub closed: bool,
    /// How many requests were being answered then, this one among them.
    pub under_way: usize,
}

impl Seen {
    pub fn is_complete(&self) -> bool {
        self.body.len() == self.announced
    }

    pub fn token(&self) -> String {
        match self.headers.get("x-idnow-signature") {
            Some(token) => token.to_str().unwrap().to_owned(),
            None => String::from_utf8(self.body.clone()).unwrap(),
        }
    }

    fn part(&self, index: usize) -> Value {
        let part = URL_SAFE_NO_PAD.decode(self.token().split('.').nth(index).unwrap()).unwrap();
        serde_json::from_slice(&part).unwrap()
    }

    pub fn kid(&self) -> String {
        self.part(0)["kid"].as_str().unwrap().to_owned()
    }

    pub fn claims(&self) -> Value {
        self.part(1)
    }

    pub fn data(&self, member: &str) -> String {
        self.claims()["data"][member].as_str().unwrap().to_owned()
    }
}

type Script = dyn Fn(usize, &Seen) -> Reply + Send + Sync;

/// A server that keeps what has arrived, in the order in which its answer was decided or the connection ended.
#[derive(Clone)]
pub struct Sink {
    pub url: String,
    inner: Arc<Inner>,
}

struct Inner {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    count: AtomicUsize,
    under_way: AtomicUsize,
}

impl Sink {
    pub async fn ok() -> Self {
        Self::start(|_, _| 200.into()).await
    }

    /// The script is told how many complete requests there were before.
    pub async fn start(script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            script: Box::new(script),
            seen: Mutex::default(),
            count: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
        });
        let sink = Self { url, inner: Arc::clone(&inner) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let inner = Arc::clone(&inner);
                tokio::spawn(async move {
                    let mut stream = stream;
                    while inner.serve(&mut stream).await {}
                });
            }
        });
        sink
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().unwrap().clone()
    }
}

impl Inner {
    /// One request. Whether another may follow.
    async fn serve(&self, stream: &mut TcpStream) -> bool {
        let Some((mut seen, mut open)) = read(stream).await else { return false };
        seen.under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        if seen.is_complete() && open {
            let Reply(code, after) = (self.script)(self.count.fetch_add(1, Ordering::SeqCst), &seen);
            tokio::select! {
                _ = stream.readable() => {
                    let mut byte = [0];
                    seen.closed = !matches!(stream.try_read(&mut byte), Ok(1..));
                    open = !seen.closed;
                }
                () = tokio::time::sleep(after) => {}
            }
            self.seen.lock().unwrap().push(seen);
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            let text = format!("HTTP/1.1 {code} Status\r\ncontent-length: 6\r\n\r\nanswer");
            return open && stream.write_all(text.as_bytes()).await.is_ok();
        }
        seen.closed = true;
        self.seen.lock().unwrap().push(seen);
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        false
    }
}

/// A request, as far as it comes, and whether the connection is still open then.
async fn read(stream: &mut TcpStream) -> Option<(Seen, bool)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let (at, time) = (Instant::now(), SystemTime::now());
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut headers = HeaderMap::new();
    for line in head.split("\r\n").skip(1) {
        let (name, value) = line.split_once(": ").unwrap();
        headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    }
    assert!(!headers.contains_key("transfer-encoding"), "{head}");
    let announced = headers["content-length"].to_str().unwrap().parse().unwrap();
    let mut body = bytes.split_off(end + 4);
    let mut parts = if body.is_empty() { Vec::new() } else { vec![at] };
    let mut open = true;
    while open && body.len() < announced {
        open = stream.read_buf(&mut body).await.is_ok_and(|read| read > 0);
        if open {
            parts.push(Instant::now());
        }
    }
    assert!(body.len() <= announced, "more was sent than announced");
    Some((Seen { headers, announced, body, parts, at, time, closed: false, under_way: 0 }, open))
}
