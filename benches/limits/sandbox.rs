//! The sandbox as a sender: deliveries per second on one processor, and what waiting costs.
//!
//! It runs in a process of its own, bound to one processor; the sink runs here, on another one.

mod process;
mod sink;

use std::path::Path;
use std::time::Duration;

use self::process::Process;
use self::sink::Sink;
use crate::http::affinity::Apart;
use crate::measure::{Effort, compare, median};
use crate::report::{Limit, Report};

pub use process::send;

/// Attempts that are under way at the same time, each over a connection of its own.
const CONNECTIONS: u16 = 64;
const ROUNDS: usize = 20;
/// Deliveries in one turn.
const TURN: usize = 4000;
const WAITING: usize = 100_000;
/// Endpoints that have nothing to do.
const IDLE_ENDPOINTS: usize = 1000;
const WATCHED: Duration = Duration::from_secs(20);

const MOST_OF_A_CORE: f64 = 0.05;
const MOST_BYTES: f64 = 1024.0;
const MIB: f64 = 1024.0 * 1024.0;
/// A delivery may take so much longer than the signature in it.
const MOST_SIGNATURES: f64 = 2.0;

pub fn run(effort: Effort, report: &mut Report) {
    let Some(apart) = Apart::new() else {
        println!("\nsandbox: skipped: this takes two processors that a process can be bound to");
        return;
    };
    speed(&apart, effort, report);
    patience(&apart, effort, report);
}

/// Signed, sent, answered, and noted in a file before the next is taken, against nothing but the signature.
fn speed(apart: &Apart, effort: Effort, report: &mut Report) {
    let title = format!(
        "time of one delivery of the sandbox to a local sink, {CONNECTIONS} connections, one processor; \
         result: against an RS256 signature alone"
    );
    Report::section(&title, "delivery", "signature");
    let folder = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let mut sandbox =
        Process::start(&folder.path().join("sandbox.db"), &sink.url(), CONNECTIONS, Some(apart.server));
    let mut signer =
        Process::start(&folder.path().join("signer.db"), &sink.url(), CONNECTIONS, Some(apart.server));
    let turn = effort.turn(TURN);
    // Those that wait for their answer when a turn begins were signed and sent before.
    let measured = turn - usize::from(CONNECTIONS);
    let (mut sent, mut busy) = (0, [Vec::new(), Vec::new()]);
    let [busy_sending, busy_signing] = &mut busy;
    let comparison = compare(
        effort.rounds(ROUNDS),
        || {
            // They are made while the sink answers nobody, so that making them is not measured.
            sink.close();
            sandbox.ask("make", turn);
            sent += turn;
            let before = sandbox.cpu_time();
            let took = sink.open(turn);
            busy_sending.push(each(sandbox.cpu_time().saturating_sub(before), measured));
            each(took, measured)
        },
        || {
            let before = signer.cpu_time();
            let took = signer.ask("sign", turn).parse::<f64>().unwrap();
            busy_signing.push(each(signer.cpu_time().saturating_sub(before), turn));
            took
        },
    );
    report.row("a backlog", &comparison, Limit::Ratio(MOST_SIGNATURES));
    let [sending, signing] = busy.map(median);
    println!("{:48} | {sending:7.2} us | {signing:7.2} us |", "  of it on the processor");
    for (what, delivery, signature) in [
        ("  in a second", comparison.ours, comparison.reference),
        ("  in a second, if the processor were its own", sending, signing),
    ] {
        println!("{what:48} | {:8.0}/s | {:8.0}/s |", 1e6 / delivery, 1e6 / signature);
    }
    assert_eq!(sandbox.ask("delivered", sent), sent.to_string());
    sandbox.end();
    signer.end();
}

/// Retries that are due in an hour, and endpoints for which there is nothing.
fn patience(apart: &Apart, effort: Effort, report: &mut Report) {
    let waiting = effort.turn(WAITING);
    println!("\n{waiting} retries that wait, and {IDLE_ENDPOINTS} idle endpoints");
    if !crate::http::child::CPU_TIME_IS_KNOWN {
        println!("skipped: the processor time of another process is read from /proc, which only Linux has");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (full, empty) = (folder.path().join("full.db"), folder.path().join("empty.db"));
    let sink = Sink::start();
    sink.close();
    let made = [(&full, waiting), (&empty, 0)].map(|(file, waiting)| {
        let mut sandbox = Process::start(file, &sink.url(), 1, None);
        sandbox.ask("endpoints", IDLE_ENDPOINTS);
        sandbox.ask("make", waiting);
        let resident = sandbox.resident();
        sandbox.end();
        resident
    });
    process::put_off(&full, Duration::from_hours(1));
    let (busy, with) = watch(&full, waiting, &sink, apart, effort);
    let (_, without) = watch(&empty, 0, &sink, apart, effort);
    report.verdict(
        &format!("of a processor: {:.4} % (at most {} %)", busy * 100.0, MOST_OF_A_CORE * 100.0),
        busy <= MOST_OF_A_CORE,
    );
    for (when, [with, without]) in [("once they are made", made), ("after a restart", [with, without])] {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let each = (with - without).max(0.0) / waiting as f64;
        let (with, without) = (with / MIB, without / MIB);
        report.verdict(
            &format!(
                "resident memory {when}: {with:.1} MiB with them, {without:.1} MiB without: {each:.0} bytes for each \
                 (at most {MOST_BYTES})"
            ),
            each <= MOST_BYTES,
        );
    }
}

/// The share of a processor, and the resident memory in bytes, of a sandbox with this file that has come to rest.
fn watch(file: &Path, waiting: usize, sink: &Sink, apart: &Apart, effort: Effort) -> (f64, f64) {
    let mut sandbox = Process::start(file, &sink.url(), 1, Some(apart.server));
    let before_it_rests = Duration::from_secs(2);
    std::thread::sleep(before_it_rests);
    let watched = if effort == Effort::Full { WATCHED } else { before_it_rests };
    let before = sandbox.cpu_time();
    std::thread::sleep(watched);
    let busy = sandbox.cpu_time().saturating_sub(before);
    let resident = sandbox.resident();
    assert_eq!(sandbox.ask("waiting", waiting), waiting.to_string());
    sandbox.end();
    (busy.as_secs_f64() / watched.as_secs_f64(), resident)
}

/// Microseconds.
#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
fn each(time: Duration, many: usize) -> f64 {
    time.as_secs_f64() * 1e6 / many as f64
}
