//! The process of a server.

use std::future::pending;
use std::io::Write as _;
use std::sync::Arc;

use actix_web::{App, HttpServer};
use idnow_webhooks_actix_web::Webhook;
use idnow_webhooks_core::keys::{KeySet, StaticKeys};
use idnow_webhooks_core::{EventRouter, Receiver, Verifier, Worker};
use idnow_webhooks_sqlite::SqliteStore;
use idnow_webhooks_testkit::Provider;
use tokio::net::TcpListener;

use super::affinity::bind;
use crate::by_hand::JsonWebToken;
use crate::fixture::{Handled, PATH, handled_by};
use crate::servers;

/// `arguments` are the framework, what to mount, the file for a store, and the processor to run on if not any.
///
/// Reads a JWKS, tells the port, serves until the input is closed, and tells how many events were handled.
pub fn serve(arguments: &[&str]) {
    let &[framework, side, file, ref processor @ ..] = arguments else { panic!("what is to be served?") };
    if let Some(processor) = processor.first() {
        bind(processor.parse().unwrap());
    }
    let keys = std::io::stdin().lines().next().unwrap().unwrap();
    let handled = Handled::default();
    let answer = handled.clone();
    std::thread::spawn(move || {
        let _until_closed = std::io::stdin().lines().last();
        // Nobody reads it if the benchmark was stopped.
        let _ = writeln!(std::io::stdout(), "{}", answer.count());
        std::process::exit(0);
    });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let builder = || {
        let verifier =
            Verifier::builder().issuer(Provider::ISSUER).audience(Provider::AUDIENCE).build().unwrap();
        Receiver::builder(verifier, StaticKeys::new(KeySet::from_jwks(keys.as_bytes()).unwrap()))
    };
    // Within the server's runtime: a store does its work there.
    let receiver = async || match side {
        "ours" => handled_by(builder(), &handled),
        "inline" => builder().handlers(EventRouter::new()).build().unwrap(),
        "stored" | "worked" => {
            let store = SqliteStore::open(file).await.unwrap();
            if side == "worked" {
                let worker = Worker::builder(store.clone(), EventRouter::new()).start().unwrap();
                // It stops when it is dropped.
                std::mem::forget(worker);
            }
            builder().queued(store).build().unwrap()
        }
        _ => panic!("no such side: {side}"),
    };
    let by_hand = || Arc::new(JsonWebToken::new(&keys, Provider::ISSUER, Provider::AUDIENCE, &handled));
    match (framework, side) {
        ("axum", "by-hand") => axum_server(listener, async || servers::axum_by_hand(by_hand())),
        ("axum", _) => axum_server(listener, async || servers::axum_ours(receiver().await)),
        ("actix-web", "by-hand") => {
            let by_hand = by_hand();
            let app = move || App::new().configure(servers::actix_by_hand(Arc::clone(&by_hand)));
            block_on_actix(async { HttpServer::new(app).workers(1).listen(listener).unwrap().run().await });
        }
        ("actix-web", _) => block_on_actix(async {
            let receiver = receiver().await;
            let app = move || App::new().wrap(Webhook::new(receiver.clone()).at(PATH));
            HttpServer::new(app).workers(1).listen(listener).unwrap().run().await
        }),
        ("warp", "by-hand") => warp_server(listener, async || servers::warp_by_hand(by_hand())),
        ("warp", _) => warp_server(listener, async || servers::warp_ours(receiver().await)),
        _ => panic!("no such server: {framework}"),
    }
}

fn axum_server(listener: std::net::TcpListener, app: impl AsyncFnOnce() -> axum::Router) {
    block_on(async {
        axum::serve(TcpListener::from_std(listener).unwrap(), app().await).await.unwrap();
    });
}

fn warp_server<F>(listener: std::net::TcpListener, filter: impl AsyncFnOnce() -> F)
where
    F: warp::Filter<Error = warp::Rejection> + Clone + Send + Sync + 'static,
    F::Extract: warp::Reply,
{
    block_on(async {
        let listener = TcpListener::from_std(listener).unwrap();
        warp::serve(filter().await).incoming(listener).run().await;
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
