//! Whether a process grows with the number of events that it has taken in and handled.
//!
//! Receiver, `SqliteStore` and worker in this process, without HTTP. The tokens are signed with HMAC, which saves time.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use idnow_webhooks_core::event::{Event, SessionCompleted};
use idnow_webhooks_core::store::EventStore;
use idnow_webhooks_core::{EventRouter, Receiver, Worker};
use idnow_webhooks_sqlite::SqliteStore;
use idnow_webhooks_testkit::{Provider, SampleEvent};

use crate::fixture::{Handled, Signature, provider};
use crate::measure::Effort;
use crate::report::Report;

const SENDERS: usize = 64;
const MIB: f64 = 1024.0 * 1024.0;
/// Growth that is allowed between the marks: the larger of the two.
const MOST_SHARE: f64 = 0.1;
const MOST_MIB: f64 = 16.0;

pub fn run(effort: Effort, report: &mut Report) {
    println!("\nresident memory of receiver, SqliteStore and worker in one process");
    if !cfg!(target_os = "linux") {
        println!("skipped: it is read from /proc, which only Linux has");
        return;
    }
    let (first, last) = match effort {
        Effort::Full => (200_000, 1_000_000),
        Effort::Quick => (10_000, 50_000),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (early, late) = runtime.block_on(deliver(first, last));
    let allowed = (early * MOST_SHARE).max(MOST_MIB);
    let line =
        format!("{first} events: {early:.1} MiB, {last} events: {late:.1} MiB (at most {allowed:.1} more)");
    report.verdict(&line, late - early <= allowed);
}

/// MiB at both marks, at each of which everything is handled.
async fn deliver(first: u64, last: u64) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("events.db")).await.unwrap();
    let handled = Handled::default();
    let handlers = EventRouter::new().on({
        let handled = handled.clone();
        move |_: Event<SessionCompleted>| {
            handled.one_more();
            async { Ok(()) }
        }
    });
    let worker = Worker::builder(store.clone(), handlers).start().unwrap();
    let provider = provider(Signature::Hs256);
    let receiver = provider.receiver().queued(store.clone());
    // A queued receiver has no handlers of its own.
    let receiver = receiver.build().unwrap();
    let store: Arc<dyn EventStore> = Arc::new(store);
    let mut sent = 0;
    let mut resident = [0.0; 2];
    for (mark, resident) in [first, last].into_iter().zip(&mut resident) {
        let step = (last / 20).max(1);
        while sent < mark {
            let next = mark.min(sent + step);
            send(&provider, &receiver, next - sent).await;
            sent = next;
            until_handled(&store).await;
            println!("  {sent:9} events: {:.1} MiB", now());
        }
        *resident = now();
        assert_eq!(handled.count(), sent, "not every event was handled once");
    }
    worker.stop().await;
    let [early, late] = resident;
    (early, late)
}

async fn send(provider: &Provider, receiver: &Receiver, events: u64) {
    let left = Cell::new(events);
    join_all((0..SENDERS).map(async |_| {
        while let Some(rest) = left.get().checked_sub(1) {
            left.set(rest);
            let outcome = provider.deliver(receiver, &SampleEvent::completed()).await;
            assert_eq!(outcome.code(), "stored");
        }
    }))
    .await;
}

async fn until_handled(store: &Arc<dyn EventStore>) {
    loop {
        let backlog = store.backlog().await.unwrap();
        assert_eq!(backlog.dead, 0);
        if backlog.waiting + backlog.running == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn now() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024.0 / MIB
}
