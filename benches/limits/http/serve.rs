//! The process of a server.

use std::future::pending;
use std::sync::Arc;

use actix_web::{App, HttpServer};
use idnow_webhooks_actix_web::Webhook;
use idnow_webhooks_core::keys::{KeySet, StaticKeys};
use idnow_webhooks_core::{Receiver, Verifier};
use idnow_webhooks_testkit::Provider;
use tokio::net::TcpListener;

use crate::by_hand::JsonWebToken;
use crate::fixture::{Handled, PATH, handled_by};
use crate::servers;

/// Reads a JWKS, tells the port, serves until the input is closed, and tells how many events were handled.
pub fn serve(framework: &str, side: &str) {
    let keys = std::io::stdin().lines().next().unwrap().unwrap();
    let handled = Handled::default();
    let answer = handled.clone();
    std::thread::spawn(move || {
        let _until_closed = std::io::stdin().lines().last();
        println!("{}", answer.count());
        std::process::exit(0);
    });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let ours = || {
        let verifier =
            Verifier::builder().issuer(Provider::ISSUER).audience(Provider::AUDIENCE).build().unwrap();
        let keys = StaticKeys::new(KeySet::from_jwks(keys.as_bytes()).unwrap());
        handled_by(Receiver::builder(verifier, keys), &handled)
    };
    let by_hand = || Arc::new(JsonWebToken::new(&keys, Provider::ISSUER, Provider::AUDIENCE, &handled));
    match (framework, side) {
        ("axum", "ours") => axum_server(listener, servers::axum_ours(ours())),
        ("axum", _) => axum_server(listener, servers::axum_by_hand(by_hand())),
        ("actix-web", "ours") => {
            let receiver = ours();
            let app = move || App::new().wrap(Webhook::new(receiver.clone()).at(PATH));
            block_on_actix(HttpServer::new(app).workers(1).listen(listener).unwrap().run());
        }
        ("actix-web", _) => {
            let by_hand = by_hand();
            let app = move || App::new().configure(servers::actix_by_hand(Arc::clone(&by_hand)));
            block_on_actix(HttpServer::new(app).workers(1).listen(listener).unwrap().run());
        }
        ("warp", "ours") => warp_server(listener, servers::warp_ours(ours())),
        ("warp", _) => warp_server(listener, servers::warp_by_hand(by_hand())),
        _ => panic!("no such server: {framework}"),
    }
}

fn axum_server(listener: std::net::TcpListener, app: axum::Router) {
    block_on(async {
        axum::serve(TcpListener::from_std(listener).unwrap(), app).await.unwrap();
    });
}

fn warp_server<F>(listener: std::net::TcpListener, filter: F)
where
    F: warp::Filter<Error = warp::Rejection> + Clone + Send + Sync + 'static,
    F::Extract: warp::Reply,
{
    block_on(async {
        let listener = TcpListener::from_std(listener).unwrap();
        warp::serve(filter).incoming(listener).run().await;
        pending::<()>().await;
    });
}

fn block_on(server: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(server);
}

fn block_on_actix(server: impl Future<Output = std::io::Result<()>>) {
    actix_web::rt::System::new().block_on(server).unwrap();
}
