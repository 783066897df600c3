use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use idnow_webhooks_core::{PeerAddr, Receiver};
use idnow_webhooks_tower::WebhookService;

use crate::subject::{HEALTH, PATH};

type Body = BoxBody<Bytes, hyper::Error>;
type Webhook = TowerToHyperService<WebhookService>;

pub(super) async fn serve(listener: TcpListener, receiver: Receiver) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let webhook = TowerToHyperService::new(WebhookService::new(receiver));
    loop {
        let (stream, peer) = listener.accept().await.unwrap();
        let webhook = webhook.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| route(webhook.clone(), peer, request));
            let server = auto::Builder::new(TokioExecutor::new());
            // A connection that breaks is what many of the cases are about.
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn route(
    webhook: Webhook,
    peer: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    request.extensions_mut().insert(PeerAddr(peer.ip()));
    Ok(match (request.uri().path(), request.method()) {
        (PATH, _) => webhook.call(request).await?.map(full),
        (HEALTH, &Method::GET) => Response::builder()
            .header("x-app", "yes")
            .header("content-type", "text/plain; charset=utf-8")
            .body(full("healthy"))
            .unwrap(),
        (HEALTH, &Method::POST) => {
            let seen = request.headers().get_all("x-mark").iter().count();
            Response::builder().header("x-seen", seen).body(request.into_body().boxed()).unwrap()
        }
        _ => Response::builder().status(404).body(full("")).unwrap(),
    })
}

fn full(body: impl Into<Full<Bytes>>) -> Body {
    body.into().map_err(|never: Infallible| match never {}).boxed()
}
