//! HTTP/1.1 by hand, for requests that no client library would send.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::answer::Answer;
use crate::subject::PATH;

/// Longer than any server takes to answer or to close.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection on which anything can be written.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    received: Vec<u8>,
}

/// The head of a delivery with these further header lines.
pub fn head(lines: &[&str]) -> String {
    let mut head = format!("POST {PATH} HTTP/1.1\r\nHost: bank.example\r\nContent-Type: application/jwt\r\n");
    for line in lines {
        head.push_str(line);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head
}

impl Raw {
    /// Opens a connection.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new() }
    }

    /// Writes; a server that has already closed is no failure of the test.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Says that nothing more will come, and still listens.
    pub async fn half_close(&mut self) {
        drop(self.stream.shutdown().await);
    }

    /// The next answer; `None` when the server closes without one.
    pub async fn answer(&mut self) -> Option<Answer> {
        tokio::time::timeout(PATIENCE, self.read_answer()).await.expect("the server answers or closes")
    }

    /// Waits until the server closes, and gives whatever it sent before that.
    pub async fn closed(&mut self) -> Vec<u8> {
        let end = async { while self.read_more().await {} };
        tokio::time::timeout(PATIENCE, end).await.expect("the server closes");
        std::mem::take(&mut self.received)
    }

    /// The next line of what the server sends, without its end.
    pub async fn line(&mut self) -> Option<String> {
        let line = async {
            loop {
                if let Some(at) = find(&self.received, b"\r\n") {
                    let line: Vec<u8> = self.received.drain(..at + 2).collect();
                    return Some(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
                }
                if !self.read_more().await {
                    return None;
                }
            }
        };
        tokio::time::timeout(PATIENCE, line).await.expect("the server answers or closes")
    }

    async fn read_answer(&mut self) -> Option<Answer> {
        let end = loop {
            match find(&self.received, b"\r\n\r\n") {
                Some(end) => break end,
                None if self.read_more().await => {}
                None => return None,
            }
        };
        let head: Vec<u8> = self.received.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value.trim()).unwrap());
        }
        let length =
            headers.get("content-length").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
        while self.received.len() < length {
            assert!(self.read_more().await, "the answer's body breaks off");
        }
        let body: Vec<u8> = self.received.drain(..length).collect();
        Some(Answer::new(status, &headers, &Bytes::from(body)))
    }

    /// `false` when the server has closed, be it rudely.
    async fn read_more(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.received).await, Ok(read) if read > 0)
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
