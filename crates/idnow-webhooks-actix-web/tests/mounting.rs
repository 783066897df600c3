//! What is special about actix-web: scopes, and headers that come from another version of the `http` crate.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpResponse, web};
use idnow_webhooks_actix_web::Webhook;
use idnow_webhooks_core::Admission;
use idnow_webhooks_testkit::{Provider, SampleEvent};

#[actix_web::test]
async fn a_scope_answers_everything_inside_and_nothing_outside() {
    let provider = Provider::new();
    let webhook = Webhook::new(provider.receiver().build().unwrap());
    let app = init_service(
        App::new()
            .service(
                web::scope("/webhooks").wrap(webhook).route("/never", web::post().to(HttpResponse::Gone)),
            )
            .route("/webhook", web::post().to(HttpResponse::ImATeapot)),
    )
    .await;
    for (path, status) in [
        ("/webhooks", 200),
        ("/webhooks/idnow", 200),
        ("/webhooks/never", 200),
        ("/webhook", 418),
        ("/other", 404),
    ] {
        let token = provider.token(&SampleEvent::completed());
        let request = TestRequest::post().uri(path).set_payload(token).to_request();
        assert_eq!(call_service(&app, request).await.status(), status, "{path}");
    }
}

#[actix_web::test]
async fn repeated_header_lines_stay_apart_and_in_order() {
    idnow_webhooks_watch::watch();
    let provider = Provider::new();
    let admission =
        Admission::new().allow("192.0.2.0/24".parse().unwrap()).trust_proxy("127.0.0.1/32".parse().unwrap());
    let receiver = provider.receiver().admission(admission).build().unwrap();
    let app = init_service(App::new().wrap(Webhook::new(receiver).at("/"))).await;
    let send = async |lines: &[(&'static str, &str)]| {
        let mut request = TestRequest::post().peer_addr("127.0.0.1:4711".parse().unwrap()).set_payload("{}");
        for line in lines {
            request = request.append_header(*line);
        }
        call_service(&app, request.to_request()).await.status().as_u16()
    };
    let forwarded = |one, other| [("x-forwarded-for", one), ("x-forwarded-for", other)];
    assert_eq!(send(&forwarded("198.51.100.1", "192.0.2.7")).await, 400, "admitted, without a token");
    assert_eq!(send(&forwarded("192.0.2.7", "198.51.100.1")).await, 403);
    let token = provider.token(&SampleEvent::completed());
    let source = ("x-forwarded-for", "192.0.2.7");
    assert_eq!(send(&[source, ("x-idnow-signature", &token)]).await, 200);
    assert_eq!(send(&[source, ("x-idnow-signature", &token), ("x-idnow-signature", &token)]).await, 400);
}

#[actix_web::test]
async fn other_requests_pass_with_their_payload() {
    let receiver = Provider::new().receiver().max_body_bytes(1).build().unwrap();
    let echo = |body: web::Bytes| async { HttpResponse::Ok().body(body) };
    let app = init_service(
        App::new().wrap(Webhook::new(receiver).at("/webhooks/idnow")).route("/echo", web::post().to(echo)),
    )
    .await;
    let request = TestRequest::post().uri("/echo").set_payload("as it came").to_request();
    assert_eq!(read_body(call_service(&app, request).await).await, "as it came");
}
