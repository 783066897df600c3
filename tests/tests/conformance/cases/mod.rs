pub(crate) mod accepted;
pub(crate) mod admission;
pub(crate) mod beside;
pub(crate) mod bodies;
pub(crate) mod connections;
pub(crate) mod handlers;
pub(crate) mod load;
pub(crate) mod refused;
pub(crate) mod secrecy;
pub(crate) mod wire;

mod prelude {
    pub(crate) use http::Request;
    pub(crate) use http::header::CONTENT_TYPE;
    pub(crate) use idnow_webhooks_conformance::{
        Answer, Body, Calls, Client, ClientError, Gate, HEALTH, PATH, Protocol, Stage, Subject, Target,
        delivery, pieces, request, stalled, whole,
    };
    pub(crate) use idnow_webhooks_core::EventRouter;
    pub(crate) use idnow_webhooks_core::store::MemoryStore;
    pub(crate) use idnow_webhooks_testkit::{Provider, SampleEvent};

    /// Sets a header, in place of any of the same name.
    pub(crate) fn set(request: &mut Request<Body>, name: &str, value: &str) {
        request.headers_mut().insert(header_name(name), header_value(value));
    }

    /// Adds a header line.
    pub(crate) fn add(request: &mut Request<Body>, name: &str, value: &str) {
        request.headers_mut().append(header_name(name), header_value(value));
    }

    /// A delivery as the provider sent it once: JSON, and the token in a header.
    pub(crate) fn by_header(name: &str, token: &str, body: impl Into<bytes::Bytes>) -> Request<Body> {
        let mut request = delivery(body);
        set(&mut request, "content-type", "application/json");
        set(&mut request, name, token);
        request
    }

    fn header_name(name: &str) -> http::HeaderName {
        name.parse().unwrap()
    }

    fn header_value(value: &str) -> http::HeaderValue {
        http::HeaderValue::from_bytes(value.as_bytes()).unwrap()
    }
}
