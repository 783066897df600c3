use std::future::pending;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use super::body::Answer;
use super::{Behaviour, Endpoint, Shared, json};

pub(super) const KEYS_PATH: &str = "/.well-known/jwks.json";
pub(super) const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";

const IMPOSTOR: &str = "https://impostor.example/oidc";

#[cfg(feature = "tls")]
pub(super) type Tls = tokio_rustls::TlsAcceptor;
#[cfg(not(feature = "tls"))]
pub(super) type Tls = std::convert::Infallible;

/// Tells hyper to close the connection without an answer.
#[derive(Debug)]
struct Disconnected;

impl std::fmt::Display for Disconnected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is closed on purpose")
    }
}

impl std::error::Error for Disconnected {}

/// Accepts connections until `stopped`; the runtime, which ends with this future, then drops what is left.
pub(super) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    tls: Option<Tls>,
    mut stopped: oneshot::Receiver<()>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => return,
        };
        // The client has gone already, or the process has no free descriptor, which may change.
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        match &tls {
            None => drop(tokio::spawn(connection(stream, shared))),
            #[cfg(feature = "tls")]
            Some(acceptor) => {
                let handshake = acceptor.accept(stream);
                drop(tokio::spawn(async move {
                    if let Ok(stream) = handshake.await {
                        connection(stream, shared).await;
                    }
                }));
            }
            #[cfg(not(feature = "tls"))]
            Some(never) => match *never {},
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let service = service_fn(|request| answer(request, &shared));
    // Whatever ends a connection, the client sees it and the test checks it there.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, shared: &Shared) -> Result<Response<Answer>, Disconnected> {
    let endpoint = match request.uri().path().strip_prefix("/oidc") {
        Some(KEYS_PATH) => Endpoint::Keys,
        Some(DISCOVERY_PATH) => Endpoint::Discovery,
        _ => return Ok(empty(StatusCode::NOT_FOUND)),
    };
    if request.method() != Method::GET {
        let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return Ok(response);
    }
    shared.counter(endpoint).fetch_add(1, Ordering::SeqCst);
    let (behaviour, keys, cache_control) = {
        let state = shared.state();
        let behaviour = match endpoint {
            Endpoint::Keys => &state.at_keys,
            Endpoint::Discovery => &state.at_discovery,
        };
        (behaviour.clone(), state.keys.clone(), state.cache_control.clone())
    };
    let document = |issuer: &str| match endpoint {
        Endpoint::Keys => json!({ "keys": keys }).to_string(),
        Endpoint::Discovery => json!({
            "issuer": issuer,
            "jwks_uri": format!("{}{KEYS_PATH}", shared.issuer),
            "authorization_endpoint": format!("{}/authorize", shared.issuer),
            "token_endpoint": format!("{}/token", shared.issuer),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        })
        .to_string(),
    };
    let genuine = || Bytes::from(document(&shared.issuer));
    let mut response = match behaviour {
        Behaviour::Normal => json_answer(Answer::Whole(Some(genuine()))),
        Behaviour::Status(status) => empty(StatusCode::from_u16(status).unwrap_or_default()),
        Behaviour::Hang => return pending().await,
        Behaviour::HangInBody => {
            let document = genuine();
            json_answer(Answer::Stalled(Some(document.slice(..document.len() / 2))))
        }
        Behaviour::Slow(duration) => {
            tokio::time::sleep(duration).await;
            json_answer(Answer::Whole(Some(genuine())))
        }
        Behaviour::Garbage => {
            let mut response =
                Response::new(Answer::Whole(Some("<!doctype html><title>Please log in</title>".into())));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            response
        }
        Behaviour::Document(text) => json_answer(Answer::Whole(Some(text.into()))),
        Behaviour::Redirect(url) => {
            let mut response = empty(StatusCode::FOUND);
            if let Ok(url) = HeaderValue::from_str(&url) {
                response.headers_mut().insert(LOCATION, url);
            }
            response
        }
        Behaviour::Oversize(bytes) => {
            let document = genuine();
            let spaces = bytes.saturating_sub(document.len());
            json_answer(Answer::Padded(document, spaces))
        }
        Behaviour::WrongIssuer => json_answer(Answer::Whole(Some(document(IMPOSTOR).into()))),
        Behaviour::Disconnect => return Err(Disconnected),
    };
    if let Some(value) = cache_control {
        response.headers_mut().insert(CACHE_CONTROL, value);
    }
    Ok(response)
}

fn empty(status: StatusCode) -> Response<Answer> {
    let mut response = Response::new(Answer::Whole(None));
    *response.status_mut() = status;
    response
}

fn json_answer(body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
