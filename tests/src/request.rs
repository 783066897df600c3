use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;

use crate::subject::PATH;

/// The body of any request.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A delivery as the provider sends it today.
pub fn delivery(token: impl Into<Bytes>) -> Request<Body> {
    let mut request = request("POST", PATH);
    request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/jwt"));
    request.map(|_| whole(token))
}

/// A request without headers and body.
pub fn request(method: &str, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Empty::new().boxed_unsync()).unwrap()
}

/// A body of known length.
pub fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).boxed_unsync()
}

/// A body of unknown length: chunked in HTTP/1.1.
pub fn pieces(body: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    StreamBody::new(body.map(|piece| Ok(Frame::data(piece)))).boxed_unsync()
}

/// A body that never ends: `first`, and then nothing more.
pub fn stalled(first: impl Into<Bytes>) -> Body {
    pieces(stream::iter([first.into()]).chain(stream::pending()))
}
