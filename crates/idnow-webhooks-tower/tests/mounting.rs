//! What is special about tower: requests pass a layer whole, and an extractor for axum.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::convert::Infallible;
use std::net::IpAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use idnow_webhooks_core::{Admission, PeerAddr, Receiver};
use idnow_webhooks_testkit::{Provider, SampleEvent};
use idnow_webhooks_tower::{WebhookLayer, WebhookService};
use tower::{Layer, ServiceExt, service_fn};

#[derive(Debug, Clone, PartialEq)]
struct Mark(u8);

fn receiver() -> Receiver {
    idnow_webhooks_watch::watch();
    Provider::new().receiver().build().unwrap()
}

#[tokio::test]
async fn the_layer_passes_other_requests_on_whole() {
    let application = service_fn(|request: Request<Full<Bytes>>| async move {
        assert_eq!(request.method(), "PUT");
        assert_eq!(request.uri(), "/webhooks/idnow/more?x=1");
        assert_eq!(request.version(), http::Version::HTTP_2);
        assert_eq!(request.extensions().get(), Some(&Mark(7)));
        assert_eq!(request.headers().get_all("x-mark").iter().count(), 2);
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut response = Response::new(Full::new(body));
        response.extensions_mut().insert(Mark(8));
        Ok::<_, Infallible>(response)
    });
    let request = Request::put("/webhooks/idnow/more?x=1")
        .version(http::Version::HTTP_2)
        .header("x-mark", "one")
        .header("x-mark", "two")
        .extension(Mark(7))
        .body(Full::from("as it came"))
        .unwrap();
    let service = WebhookLayer::new(receiver(), "/webhooks/idnow").layer(application);
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.extensions().get(), Some(&Mark(8)));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "as it came");
}

#[tokio::test]
async fn the_peer_address_comes_from_the_extension_and_nowhere_else() {
    let provider = Provider::new();
    let admission = Admission::new().allow("192.0.2.0/24".parse().unwrap());
    let receiver = provider.receiver().admission(admission).build().unwrap();
    for (peer, status) in
        [(Some("192.0.2.7"), 200), (Some("::ffff:192.0.2.7"), 200), (Some("198.51.100.1"), 403), (None, 503)]
    {
        let mut request = Request::post("/").body(provider.token(&SampleEvent::completed())).unwrap();
        if let Some(peer) = peer {
            request.extensions_mut().insert(PeerAddr(peer.parse::<IpAddr>().unwrap()));
        }
        let response = WebhookService::new(receiver.clone()).oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{peer:?}");
    }
}

/// Over HTTP/2 hyper would send a body even to HEAD. The length is that of the answer to GET: RFC 9110, 8.6.
#[tokio::test]
async fn head_gets_the_answer_to_get_without_its_body() {
    let answer = async |request: Request<String>| {
        let response = WebhookService::new(receiver()).oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        (head.status.as_u16(), head.headers, body.collect().await.unwrap().to_bytes())
    };
    let (status, headers, body) = answer(Request::head("/").body(String::new()).unwrap()).await;
    let get = answer(Request::get("/").body(String::new()).unwrap()).await;
    assert_eq!((status, &headers, &body[..]), (405, &get.1, &b""[..]));
    assert_eq!(headers["content-length"], get.2.len().to_string());
    assert!(!get.2.is_empty());
}

#[cfg(feature = "axum")]
mod extractor {
    use std::net::SocketAddr;

    use axum::Router;
    use axum::extract::ConnectInfo;
    use axum::routing::post;
    use idnow_webhooks_core::VerifiedDelivery;
    use idnow_webhooks_core::event::{Event, SessionCompleted};
    use idnow_webhooks_tower::{Verified, VerifiedRejection};

    use super::*;

    /// What the layer's documentation says of axum's `nest`.
    #[tokio::test]
    async fn the_layer_belongs_around_the_whole_application() {
        let inner = || Router::new().route("/other", post(|| async { "other" }));
        let layer = |path| WebhookLayer::new(receiver(), path);
        let own_fallback = || inner().fallback(|| async { http::StatusCode::IM_A_TEAPOT });
        for (app, status) in [
            (Router::new().nest("/api", inner()).layer(layer("/api/idnow")), 400),
            (Router::new().nest("/api", inner().layer(layer("/api/idnow"))), 404),
            (Router::new().nest("/api", inner().layer(layer("/idnow"))), 404),
            (Router::new().nest("/api", own_fallback().layer(layer("/api/idnow"))), 418),
            (Router::new().nest("/api", own_fallback().layer(layer("/idnow"))), 400),
        ] {
            let request = Request::post("/api/idnow").body(axum::body::Body::from("no token")).unwrap();
            assert_eq!(app.oneshot(request).await.unwrap().status(), status);
        }
    }

    async fn completed(Verified(event): Verified<Event<SessionCompleted>>) -> String {
        event.payload.session_id.to_string()
    }

    async fn any(Verified(delivery): Verified<VerifiedDelivery>) -> String {
        format!("{} by {}", delivery.event.name, delivery.token.issuer)
    }

    async fn answer(receiver: Receiver, path: &str, body: String) -> (u16, String) {
        let app =
            Router::new().route("/completed", post(completed)).route("/any", post(any)).with_state(receiver);
        let request = Request::post(path).body(body).unwrap();
        let response = app.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn gives_verified_events_to_the_handler() {
        let event = SampleEvent::completed();
        let token = Provider::new().token(&event);
        let expected = (200, event.session_id().to_owned());
        assert_eq!(answer(receiver(), "/completed", token.clone()).await, expected);
        let expected = (200, format!("session.completed by {}", Provider::ISSUER));
        assert_eq!(answer(receiver(), "/any", token).await, expected);
    }

    #[tokio::test]
    async fn answers_for_the_handler_when_the_delivery_is_refused() {
        let provider = Provider::new();
        let forged = provider.clone().with_audience("https://shop.example/").token(&SampleEvent::completed());
        let (status, body) = answer(receiver(), "/completed", forged).await;
        assert_eq!(status, 503);
        assert!(body.contains(r#""code":"wrong_audience""#), "{body}");
        assert_eq!(answer(receiver(), "/any", "no token".into()).await.0, 400);

        let unreadable = SampleEvent::completed().remove("payload.sessionId");
        let (status, body) = answer(receiver(), "/completed", provider.token(&unreadable)).await;
        assert_eq!(status, 503);
        assert!(body.contains(r#""code":"event_unreadable""#), "{body}");
    }

    #[tokio::test]
    async fn tells_a_handler_that_asks_why_a_delivery_is_refused() {
        async fn asking(delivery: Result<Verified<VerifiedDelivery>, VerifiedRejection>) -> String {
            let rejection = delivery.unwrap_err();
            assert_eq!(rejection.to_string(), rejection.refusal().to_string());
            format!("{}: {rejection}", rejection.refusal().code())
        }
        let app = Router::new().route("/", post(asking)).with_state(receiver());
        let request = Request::post("/").body(axum::body::Body::from("no token")).unwrap();
        let body = app.oneshot(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.starts_with("malformed_token: ") && body.len() > 20, "{body}");
    }

    /// A session that was aborted must never pass for one that was completed.
    #[tokio::test]
    async fn gives_no_event_under_another_name() {
        let token = Provider::new().token(&SampleEvent::aborted());
        let (status, body) = answer(receiver(), "/completed", token.clone()).await;
        assert_eq!(status, 503);
        assert!(body.contains(r#""code":"event_unreadable""#), "{body}");
        assert_eq!(answer(receiver(), "/any", token).await.0, 200);
    }

    #[tokio::test]
    async fn takes_the_peer_address_from_connect_info() {
        let provider = Provider::new();
        let admission = Admission::new().allow("192.0.2.0/24".parse().unwrap());
        let receiver = provider.receiver().admission(admission).build().unwrap();
        for (peer, status) in [("192.0.2.7:80", 200), ("198.51.100.1:80", 403)] {
            let peer: SocketAddr = peer.parse().unwrap();
            let mut request = Request::post("/").body(provider.token(&SampleEvent::completed())).unwrap();
            request.extensions_mut().insert(ConnectInfo(peer));
            let response = WebhookService::new(receiver.clone()).oneshot(request).await.unwrap();
            assert_eq!(response.status(), status, "{peer}");
        }
    }
}
