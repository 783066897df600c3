//! The sandbox with every fault on, against the example program with its store in a file, which is stopped and killed under
//! load: every event is there and handled, none is lost, and no forgery was accepted.
//!
//! `CHAOS_SECONDS` makes it run for as long, `CHAOS_SEED` repeats the faults of a run.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

mod effects;
mod load;
#[path = "../programs/process.rs"]
#[allow(dead_code, reason = "what only tests of programs need")]
mod process;
mod program;
mod sink;
mod verdict;

use std::time::{Duration, Instant};

use effects::Effects;
use load::{Load, chaos, seed};
use program::Example;
use sink::sink;
use verdict::{Verdict, stored};

/// Without `CHAOS_SECONDS`.
const WAVES: usize = 6;
/// Sessions of a wave.
const SESSIONS: u32 = 34;
const BETWEEN_WAVES: Duration = Duration::from_millis(500);
/// Beside those of chaos. A receiver fetches unknown keys once a second here, and is asked about keys that never were all the
/// time: rotated more often, keys would be unknown for most of the ten seconds that retries take.
const BETWEEN_ROTATIONS: Duration = Duration::from_secs(10);
/// Of all deliveries, so many in a hundred may be dead letters in between: a machine that is busy for ten seconds is none of the
/// receiver's doing, but chaos must not use up retries, and a receiver that is slow to follow must not go unnoticed.
const MOST_AGAIN_IN_A_HUNDRED: u64 = 1;
/// A long run must not last for ever: what the machine cannot deliver in time is not made.
const MOST_UNFINISHED: u64 = 400;

fn seconds() -> Option<Duration> {
    let seconds = std::env::var("CHAOS_SECONDS").ok()?;
    Some(Duration::from_secs(seconds.parse().expect("CHAOS_SECONDS is a number of seconds")))
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_wrong_and_nothing_gets_lost() {
    process::build();
    let (seed, begun) = (seed(), Instant::now());
    let folder = tempfile::tempdir().unwrap();
    let load = Load::start(&chaos(seed)).await;
    let effects = Effects::start(&load, &folder.path().join("effects.db")).await;
    let mut example = Example::new(folder.path(), &load.sandbox);
    load.endpoint(&example.url).await;
    load.endpoint(&effects.url).await;
    example.start();

    let (mut wave, mut stops, mut kills, mut rotated) = (0, 0, 0, None::<Instant>);
    while seconds().map_or(wave < WAVES, |seconds| begun.elapsed() < seconds) {
        load.storm(SESSIONS).await;
        match wave % 6 {
            1 => {
                assert!(load.unfinished().await > 0, "it is stopped under load");
                stops += 1;
                example.terminate();
                example.start();
            }
            3 => {
                assert!(load.unfinished().await > 0, "it is killed under load");
                kills += 1;
                example.kill();
                // So that what comes meanwhile finds nobody.
                tokio::time::sleep(Duration::from_millis(100)).await;
                example.start();
            }
            2 if rotated.is_none_or(|last| last.elapsed() > BETWEEN_ROTATIONS) => {
                rotated = Some(Instant::now());
                load.rotate_keys().await;
            }
            _ => {}
        }
        tokio::time::sleep(BETWEEN_WAVES).await;
        load.is_below(MOST_UNFINISHED).await;
        wave += 1;
    }
    let again = load.ends().await;
    example.is_done().await;
    example.terminate();
    let exact = effects.ends(load.events().await.len()).await;

    let verdict = Verdict::reach(&load, stored(&example.store).await).await;
    let report = load.sandbox.chaos().await.unwrap();
    let deliveries = load.deliveries().await;
    println!(
        "seed {seed}: {wave} waves, {} events, {stops} stops and {kills} kills in {:?}; {} events were begun again, \
        {again} of {deliveries} deliveries were dead letters in between",
        verdict.events,
        begun.elapsed(),
        verdict.begun_again,
    );
    println!("{}", serde_json::to_string(&report).unwrap());
    println!("{}", load.told(&report).await);
    let repeat =
        format!("run it again with CHAOS_SEED={seed}; the log of the program: {}", example.log_end());
    assert_eq!(verdict.wrong, Vec::<String>::new(), "{repeat}");
    assert_eq!(exact, Vec::<String>::new(), "{repeat}");
    assert!(!example.log().contains("panicked at"), "{repeat}");
    let most = deliveries * MOST_AGAIN_IN_A_HUNDRED / 100;
    assert!(again <= most, "{again} of {deliveries} were dead letters, at most {most} may be; {repeat}");
    let never: Vec<_> = report.faults.iter().filter(|row| row.count == 0).map(|row| row.fault).collect();
    assert_eq!(never, [], "every fault has happened; {repeat}");
}

/// This run can fail: a receiver that forgets what it was given is found out.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_forgets_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let load = Load::start(&chaos(seed())).await;
    let mut example = Example::new(folder.path(), &load.sandbox);
    load.endpoint(&example.url).await;
    example.start();
    load.storm(20).await;
    load.ends().await;
    example.kill();
    example.forget();
    example.start();
    load.storm(5).await;
    load.ends().await;
    example.is_done().await;
    example.terminate();
    let verdict = Verdict::reach(&load, stored(&example.store).await).await;
    let lost = verdict.wrong.iter().filter(|wrong| wrong.ends_with("is lost")).count();
    assert_eq!((verdict.wrong.len(), lost), (40, 40), "{verdict:?}");
}

/// As is one that believes everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_believes_everything_is_found_out() {
    let load = Load::start(&chaos(seed())).await;
    load.endpoint(&sink().await).await;
    load.storm(20).await;
    load.ends().await;
    let verdict = Verdict::reach(&load, Vec::new()).await;
    let accepted = verdict.wrong.iter().find(|wrong| wrong.ends_with("forgeries were accepted"));
    assert!(accepted.is_some(), "{verdict:?}");
}
