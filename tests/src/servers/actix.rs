use std::net::TcpListener;

use actix_web::web::{self, Payload};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use idnow_webhooks_actix_web::Webhook;
use idnow_webhooks_core::Receiver;

use super::Stop;
use crate::subject::{HEALTH, PATH};

#[derive(Debug, Clone, Copy)]
pub(super) enum Mount {
    App,
    Scope,
}

pub(super) fn serve(listener: TcpListener, stopped: Stop, receiver: Receiver, mount: Mount) {
    actix_web::rt::System::new().block_on(async move {
        let server = match mount {
            Mount::App => HttpServer::new(move || {
                App::new().wrap(Webhook::new(receiver.clone()).at(PATH)).configure(application)
            })
            .workers(2)
            .disable_signals()
            .listen_auto_h2c(listener)
            .unwrap()
            .run(),
            Mount::Scope => HttpServer::new(move || {
                let scope = web::scope(PATH).wrap(Webhook::new(receiver.clone()));
                App::new().service(scope).configure(application)
            })
            .workers(2)
            .disable_signals()
            .listen_auto_h2c(listener)
            .unwrap()
            .run(),
        };
        let handle = server.handle();
        let server = actix_web::rt::spawn(server);
        drop(stopped.await);
        handle.stop(false).await;
        server.await.unwrap().unwrap();
    });
}

fn application(config: &mut web::ServiceConfig) {
    config.service(web::resource(HEALTH).route(web::get().to(healthy)).route(web::post().to(echo)));
}

async fn healthy() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("x-app", "yes"))
        .insert_header(("content-type", "text/plain; charset=utf-8"))
        .body("healthy")
}

async fn echo(request: HttpRequest, body: Payload) -> HttpResponse {
    let seen = request.headers().get_all("x-mark").count();
    HttpResponse::Ok().insert_header(("x-seen", seen.to_string())).streaming(body)
}
