//! Receives IDnow's webhooks in actix-web. The environment variables are those of [`idnow_webhooks::settings`], and `RUST_LOG`
//! says what is logged.
//!
//! It is made of what actix-web's own `HttpServer` is made of, because that answers 408 to a request that is slow to come,
//! which the provider takes for final, and never closes a kept connection on which the next one stops half-way.

use std::error::Error;
use std::future::ready;
use std::io::{Write, stdout};
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::{AppConfig, Server};
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpResponse, web};
use idnow_webhooks::actix_web::Webhook;
use idnow_webhooks::event::{Event, SessionCompleted};
use idnow_webhooks::program::{Log, TimedStream};
use idnow_webhooks::{EventRouter, Receiver, Settings};

#[actix_web::main]
async fn main() -> ExitCode {
    let log = Log::to_stderr();
    let result = run(&log).await;
    log.close(result)
}

async fn run(log: &Log) -> Result<(), Box<dyn Error>> {
    log.install("info")?;
    let settings = Settings::from_env()?;
    let listener = TcpListener::bind(settings.listen);
    let listener = listener.map_err(|error| format!("LISTEN {}: {error}", settings.listen))?;
    let handlers = EventRouter::new().on(|event: Event<SessionCompleted>| async move {
        // Open the account, or refuse it. An error here means: try again later.
        let _ = event.payload.session_id;
        Ok(())
    });
    // The worker runs here, on the runtime of `main`; those that actix-web serves from end before it.
    let (receiver, worker) = settings.queued(handlers).await?;
    let webhook = Webhook::new(receiver.clone()).at(settings.path.as_str());

    // It serves also where nobody wants to know where.
    let _ = writeln!(stdout(), "listening on http://{}{}", listener.local_addr()?, settings.path);
    // It stops on Ctrl-C and SIGTERM by itself, after 10 s at most.
    let server = Server::build().shutdown_timeout(10);
    let stopping = server.graceful_shutdown_signal();
    let server = server.listen("webhooks", listener, move || {
        let health = web::resource("/health").route(web::get().to(health)).route(web::head().to(health));
        let app = App::new().app_data(web::Data::new(receiver.clone())).service(health).wrap(webhook.clone());
        // The one time-out is that of the stream.
        let http = HttpService::build().client_request_timeout(Duration::ZERO).keep_alive(KeepAlive::Os);
        // Idle connections end at a stop, instead of holding it up.
        let stopping = stopping.clone();
        let http = http.graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        });
        fn_service(move |stream: TcpStream| {
            let _ = stream.set_nodelay(true);
            let peer = stream.peer_addr().ok();
            ready(Ok::<_, DispatchError>((TimedStream::new(stream, settings.answer_deadline), peer)))
        })
        .and_then(http.h1(map_config(app.into_factory(), |()| AppConfig::default())))
    })?;
    server.run().await?;
    worker.stop().await;
    Ok(())
}

async fn health(receiver: web::Data<Receiver>) -> HttpResponse {
    let health = receiver.health().await;
    let mut answer = if health.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.json(health)
}
