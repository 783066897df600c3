//! Real servers, each in a process of its own on one thread, under load over 32 connections: the processor
//! time that one delivery costs them.

pub mod affinity;
pub mod child;
mod durable;
pub mod load;
mod serve;

use std::cell::RefCell;

use self::child::Server;
use self::load::Load;
use crate::fixture::{POOL, Pool, Signature, provider};
use crate::measure::{Effort, compare};
use crate::report::{Limit, Report};

pub use serve::serve;

const ROUNDS: usize = 100;
/// Deliveries in one turn.
const TURN: usize = 500;

pub fn run(effort: Effort, report: &mut Report) {
    Report::section(
        "processor time of a server for one delivery over HTTP, against jsonwebtoken's decode",
        "adapter",
        "by hand",
    );
    if !child::CPU_TIME_IS_KNOWN {
        println!("skipped: the processor time of another process is read from /proc, which only Linux has");
        return;
    }
    let provider = provider(Signature::Rs256);
    let pool = Pool::sign(&provider, POOL);
    for framework in ["axum", "actix-web", "warp"] {
        let ours = Side::start(framework, "ours", &provider, &pool);
        let reference = Side::start(framework, "by-hand", &provider, &pool);
        let comparison = compare(effort.rounds(ROUNDS), || ours.turn(), || reference.turn());
        ours.end();
        reference.end();
        report.row(framework, &comparison, Limit::Ratio(1.0));
    }
    durable::run(effort, report);
}

struct Side {
    server: Server,
    load: RefCell<Load>,
}

impl Side {
    fn start(framework: &str, side: &str, provider: &idnow_webhooks_testkit::Provider, pool: &Pool) -> Self {
        let server = Server::start(framework, side, None, None, provider);
        let load = Load::connect(server.port, pool.clone());
        Self { server, load: RefCell::new(load) }
    }

    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a few milliseconds")]
    fn turn(&self) -> f64 {
        let before = self.server.cpu_time();
        self.load.borrow_mut().deliver(TURN);
        (self.server.cpu_time() - before) as f64 / 1e3 / TURN as f64
    }

    fn end(self) {
        let sent = self.load.into_inner().end();
        assert_eq!(self.server.end(), sent, "not every event was handled");
    }
}
