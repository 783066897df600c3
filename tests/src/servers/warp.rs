use std::net::TcpListener;

use bytes::Buf;
use futures_util::TryStreamExt;
use http::HeaderMap;
use idnow_webhooks_core::Receiver;
use idnow_webhooks_warp::webhook;
use warp::{Filter, Reply};

pub(super) async fn serve(listener: TcpListener, receiver: Receiver) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let healthy =
        warp::path!("health").and(warp::get()).map(|| warp::reply::with_header("healthy", "x-app", "yes"));
    let echoed = warp::path!("health")
        .and(warp::post())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .map(|headers, body| echo(&headers, body));
    let routes = warp::path!("webhooks" / "idnow").and(webhook(receiver)).or(healthy).or(echoed);
    warp::serve(routes).incoming(listener).run().await;
}

fn echo<S, B>(headers: &HeaderMap, body: S) -> impl Reply + use<S, B>
where
    S: futures_util::Stream<Item = Result<B, warp::Error>> + Send + Sync + 'static,
    B: Buf + 'static,
{
    let seen = headers.get_all("x-mark").iter().count();
    let body = body.map_ok(|mut piece| piece.copy_to_bytes(piece.remaining()));
    warp::reply::with_header(warp::reply::stream(body), "x-seen", seen)
}
