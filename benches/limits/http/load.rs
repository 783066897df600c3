//! Deliveries over keep-alive connections, each waiting for its answer before the next.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::fixture::{PATH, Pool, headers};

const CONNECTIONS: usize = 32;
const LONGEST_ANSWER: usize = 4096;

pub struct Load {
    runtime: Runtime,
    connections: Vec<TcpStream>,
    pool: Pool,
    sent: u64,
}

impl Load {
    pub fn connect(port: u16, pool: Pool) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connections = (0..CONNECTIONS).map(|_| {
            runtime.block_on(async {
                let connection = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                connection.set_nodelay(true).unwrap();
                connection
            })
        });
        Self { connections: connections.collect(), runtime, pool, sent: 0 }
    }

    /// Returns when all of them are answered 200, and tells how long that took.
    pub fn deliver(&mut self, deliveries: usize) -> Duration {
        let mut requests: Vec<Vec<u8>> = (0..deliveries).map(|_| request(&self.pool.token())).collect();
        let started = Instant::now();
        let requests = &std::cell::RefCell::new(&mut requests);
        self.runtime.block_on(join_all(self.connections.iter_mut().map(async |connection| {
            loop {
                let Some(request) = requests.borrow_mut().pop() else {
                    return;
                };
                connection.write_all(&request).await.unwrap();
                answered(connection).await;
            }
        })));
        self.sent += deliveries as u64;
        started.elapsed()
    }

    /// How many were sent in all.
    pub fn end(self) -> u64 {
        self.sent
    }
}

pub fn request(token: &Bytes) -> Vec<u8> {
    let mut request = format!("POST {PATH} HTTP/1.1\r\n").into_bytes();
    for (name, value) in &headers(token) {
        request.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    request.extend(token);
    request
}

/// Reads one answer: 200, with an empty body.
async fn answered(connection: &mut TcpStream) {
    let mut answer = Vec::with_capacity(LONGEST_ANSWER);
    while !answer.ends_with(b"\r\n\r\n") {
        let read = connection.read_buf(&mut answer).await.unwrap();
        assert!(
            read > 0 && answer.len() < LONGEST_ANSWER && answer.starts_with(b"HTTP/1.1 200 "),
            "unexpected answer: {}",
            String::from_utf8_lossy(&answer)
        );
    }
}
