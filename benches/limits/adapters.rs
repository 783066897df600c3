//! One request through each adapter and through a handler of the same framework that is written by hand, in
//! this process, without sockets, on one thread.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use actix_web::dev::Service as _;
use actix_web::{App, test};
use axum::Router;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use idnow_webhooks_actix_web::Webhook;
use idnow_webhooks_core::Receiver;
use idnow_webhooks_testkit::Provider;
use tokio::runtime::Runtime;
use tower::Service as _;

use crate::by_hand::ParsedKey;
use crate::fixture::{Handled, PATH, POOL, Pool, Signature, headers, provider, receiver};
use crate::measure::{Comparison, Effort, compare};
use crate::report::{Limit, Report};
use crate::servers;

const ROUNDS: usize = 2000;
const TURN: usize = 10;
/// What an adapter may cost beyond the handler written by hand.
const LIMIT: Limit = Limit::Microseconds(2.0);

pub fn run(effort: Effort, report: &mut Report) {
    Report::section(
        "one request in process, against a handler with a parsed key (every event is new, and handled)",
        "adapter",
        "by hand",
    );
    for (signature, name) in [(Signature::Rs256, "RS256"), (Signature::Hs256, "HS256")] {
        let provider = provider(signature);
        let bench = Bench {
            rounds: effort.rounds(ROUNDS),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            pool: Pool::sign(&provider, POOL),
            provider,
            signature,
        };
        report.row(&format!("axum, {name}"), &bench.compare(Bench::axum), LIMIT);
        report.row(&format!("actix-web, {name}"), &bench.compare(Bench::actix), LIMIT);
        report.row(&format!("warp, {name}"), &bench.compare(Bench::warp), LIMIT);
    }
}

struct Bench {
    rounds: usize,
    runtime: Runtime,
    pool: Pool,
    provider: Provider,
    signature: Signature,
}

impl Bench {
    fn compare(&self, framework: fn(&Self, Receiver, Arc<ParsedKey>) -> Comparison) -> Comparison {
        let (ours, reference) = (Handled::default(), Handled::default());
        let by_hand = ParsedKey::new(&self.provider, self.signature, &reference);
        let comparison = framework(self, receiver(&self.provider, &ours), Arc::new(by_hand));
        assert!(ours.count() > 0 && ours.count() == reference.count(), "not every event was handled");
        comparison
    }

    /// Makes a side. Building the requests is not measured, answering and dropping them is.
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    fn side<R>(&self, request: impl Fn(Bytes) -> R, mut call: impl AsyncFnMut(R)) -> impl FnMut() -> f64 {
        let mut pool = self.pool.clone();
        move || {
            let requests: Vec<R> = (0..TURN).map(|_| request(pool.token())).collect();
            self.runtime.block_on(async {
                let started = Instant::now();
                for request in requests {
                    call(request).await;
                }
                started.elapsed().as_secs_f64() * 1e6 / TURN as f64
            })
        }
    }

    fn axum(&self, receiver: Receiver, by_hand: Arc<ParsedKey>) -> Comparison {
        let mut ours: Router = servers::axum_ours(receiver);
        let mut reference: Router = servers::axum_by_hand(by_hand);
        let request = |token: Bytes| request(token).map(axum::body::Body::from);
        compare(
            self.rounds,
            self.side(request, async |request| accepted(ours.call(request).await)),
            self.side(request, async |request| accepted(reference.call(request).await)),
        )
    }

    fn actix(&self, receiver: Receiver, by_hand: Arc<ParsedKey>) -> Comparison {
        let (ours, reference) = self.runtime.block_on(async {
            (
                test::init_service(App::new().wrap(Webhook::new(receiver).at(PATH))).await,
                test::init_service(App::new().configure(servers::actix_by_hand(by_hand))).await,
            )
        });
        let request = |token: Bytes| {
            let lines = headers(&token);
            let request = test::TestRequest::post().uri(PATH).set_payload(token);
            lines
                .iter()
                .fold(request, |request, (name, value)| {
                    request.insert_header((name.as_str(), value.as_bytes()))
                })
                .to_request()
        };
        compare(
            self.rounds,
            self.side(request, async |request| {
                assert_eq!(ours.call(request).await.unwrap().status(), 200);
            }),
            self.side(request, async |request| {
                assert_eq!(reference.call(request).await.unwrap().status(), 200);
            }),
        )
    }

    fn warp(&self, receiver: Receiver, by_hand: Arc<ParsedKey>) -> Comparison {
        let mut ours = warp::service(servers::warp_ours(receiver));
        let mut reference = warp::service(servers::warp_by_hand(by_hand));
        let request = |token: Bytes| request(token).map(Full::new);
        compare(
            self.rounds,
            self.side(request, async |request| accepted(ours.call(request).await)),
            self.side(request, async |request| accepted(reference.call(request).await)),
        )
    }
}

fn request(token: Bytes) -> Request<Bytes> {
    let headers = headers(&token);
    let mut request = Request::post(PATH).body(token).unwrap();
    *request.headers_mut() = headers;
    request
}

fn accepted<B>(answer: Result<Response<B>, Infallible>) {
    let Ok(answer) = answer;
    assert_eq!(answer.status(), 200);
}
