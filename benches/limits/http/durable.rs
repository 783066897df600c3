//! What durability costs a whole delivery: each server alone on one processor, the load on another.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use idnow_webhooks_core::store::EventStore as _;
use idnow_webhooks_sqlite::SqliteStore;

use super::affinity::Apart;
use super::child::Server;
use super::load::Load;
use crate::fixture::{Pool, Signature, provider};
use crate::measure::{Effort, compare};
use crate::report::{Limit, Report};

const ROUNDS: usize = 20;
const TURN: usize = 1500;

/// The receiver with its default store in memory and no handlers, against one that puts each event into a file.
pub fn run(effort: Effort, report: &mut Report) {
    Report::section(
        "time of one delivery over HTTP, server on one processor: SQLite against no file; result: their rates",
        "SQLite",
        "no file",
    );
    let Some(apart) = Apart::new() else {
        println!("skipped: this takes two processors that a process can be bound to");
        return;
    };
    let provider = provider(Signature::Rs256);
    let (rounds, turn) = (effort.rounds(ROUNDS), effort.turn(TURN));
    // Every event is new, in every turn.
    let tokens = Pool::sign(&provider, turn * (rounds + rounds.div_ceil(20)));
    let folder = tempfile::tempdir().unwrap();
    let sides = [
        ("axum", "stored", Limit::Rate(0.55)),
        ("actix-web", "stored", Limit::Rate(0.55)),
        ("warp", "stored", Limit::Rate(0.55)),
        ("axum", "worked", Limit::AnyRate),
    ];
    for (framework, side, limit) in sides {
        let file = folder.path().join(format!("{framework}-{side}.db"));
        let start = |side, file| {
            let server = Server::start(framework, side, file, Some(apart.server), &provider);
            let load = Load::connect(server.port, tokens.clone());
            Side { server, load: RefCell::new(load), turn }
        };
        let (ours, reference) = (start(side, Some(&*file)), start("inline", None));
        let (before, before_reference) = (ours.server.cpu_time(), reference.server.cpu_time());
        let comparison = compare(rounds, || ours.turn(), || reference.turn());
        let busy = ours.server.cpu_time() - before;
        let busy_reference = reference.server.cpu_time() - before_reference;
        let (sent, _) = (ours.end(), reference.end());
        let name = match side {
            "worked" => format!("{framework}, and a worker in the same process"),
            _ => framework.to_owned(),
        };
        report.row(&name, &comparison, limit);
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a few seconds")]
        let each = |time: u64| time as f64 / 1e3 / sent as f64;
        println!(
            "{:48} | {:7.2} us | {:7.2} us |",
            "  of it on the processor",
            each(busy),
            each(busy_reference)
        );
        assert_eq!(stored(&file), sent, "what was answered is not what was stored");
    }
}

struct Side {
    server: Server,
    load: RefCell<Load>,
    turn: usize,
}

impl Side {
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    fn turn(&self) -> f64 {
        let took: Duration = self.load.borrow_mut().deliver(self.turn);
        took.as_secs_f64() * 1e6 / self.turn as f64
    }

    fn end(self) -> u64 {
        self.server.end();
        self.load.into_inner().end()
    }
}

fn stored(file: &Path) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(file).await.unwrap();
        let backlog = store.backlog().await.unwrap();
        backlog.waiting + backlog.running + backlog.dead + store.completed().await.unwrap()
    })
}
