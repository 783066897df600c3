use std::net::SocketAddr;

use http::header::HOST;
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::answer::Answer;
use crate::request::Body;
use crate::subject::Protocol;

/// One connection. Dropping it closes the socket, whatever is under way.
#[derive(Debug)]
pub struct Client {
    sender: Sender,
    address: SocketAddr,
    connection: JoinHandle<()>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// A request that got no answer.
pub type ClientError = hyper::Error;

impl Client {
    /// Opens a connection.
    pub async fn connect(address: SocketAddr, protocol: Protocol) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let io = TokioIo::new(stream);
        let (sender, connection) = match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(io).await.unwrap();
                let connection = tokio::spawn(async move { drop(connection.await) });
                (Sender::Http1(sender), connection)
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
                let connection = tokio::spawn(async move { drop(connection.await) });
                (Sender::Http2(sender), connection)
            }
        };
        Self { sender, address, connection }
    }

    /// Sends a request, and gives the answer as soon as its head is there.
    pub async fn start(&mut self, request: Request<Body>) -> Result<Response<Incoming>, ClientError> {
        let address = self.address;
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(with_host(request, address)).await
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(with_authority(request, address)).await
            }
        }
    }

    /// Sends a request, and gives the whole answer.
    pub async fn try_send(&mut self, request: Request<Body>) -> Result<Answer, ClientError> {
        let (head, body) = self.start(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer::new(head.status.as_u16(), &head.headers, &body))
    }

    /// Sends a request that must be answered.
    pub async fn send(&mut self, request: Request<Body>) -> Answer {
        self.try_send(request).await.expect("the request is answered")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

fn with_host(mut request: Request<Body>, address: SocketAddr) -> Request<Body> {
    let host = address.to_string().parse().unwrap();
    request.headers_mut().insert(HOST, host);
    request
}

fn with_authority(mut request: Request<Body>, address: SocketAddr) -> Request<Body> {
    let uri: Uri = format!("http://{address}{}", request.uri()).parse().unwrap();
    *request.uri_mut() = uri;
    request
}
