//! What becomes of a handler that still runs when the server stops.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::rt::task::spawn_blocking;
use actix_web::{App, HttpServer};
use idnow_webhooks_actix_web::Webhook;
use idnow_webhooks_core::EventRouter;
use idnow_webhooks_testkit::{Provider, SampleEvent};
use tokio::runtime::Handle;

#[actix_web::test]
async fn a_handler_on_the_runtime_of_main_finishes_after_the_workers_have_stopped() {
    idnow_webhooks_watch::watch();
    let finished = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&finished);
    let router = EventRouter::new().on_any(move |_| {
        let noted = Arc::clone(&noted);
        async move {
            actix_web::rt::time::sleep(Duration::from_millis(1500)).await;
            noted.store(true, Ordering::SeqCst);
            Ok(())
        }
    });
    let provider = Provider::new();
    let receiver = provider
        .receiver()
        .handlers(router)
        .runtime(Handle::current())
        .answer_deadline(Duration::from_millis(200))
        .build()
        .unwrap();
    let webhook = Webhook::new(receiver.clone()).at("/webhook");
    let server = HttpServer::new(move || App::new().wrap(webhook.clone()))
        .workers(1)
        .disable_signals()
        .shutdown_timeout(5)
        .bind("127.0.0.1:0")
        .unwrap();
    let address = *server.addrs().first().unwrap();
    let server = server.run();
    let handle = server.handle();
    let server = actix_web::rt::spawn(server);

    let token = provider.token(&SampleEvent::completed());
    let answer = spawn_blocking(move || {
        let mut connection = std::net::TcpStream::connect(address).unwrap();
        let head = "POST /webhook HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length:";
        write!(connection, "{head} {}\r\n\r\n{token}", token.len()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = answer.await.unwrap();
    assert!(answer.contains("deadline_exceeded"), "{answer}");
    handle.stop(true).await;
    server.await.unwrap().unwrap();
    assert!(!finished.load(Ordering::SeqCst), "too quick to prove anything");
    receiver.idle().await;
    assert!(finished.load(Ordering::SeqCst), "the handler was cut off");
}
