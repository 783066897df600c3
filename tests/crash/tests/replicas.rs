//! Several processes on one PostgreSQL, one of which is killed or told to stop.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, missing_docs, reason = "tests")]

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use idnow_webhooks_crash::{
    Chance, Database, Ended, Handling, LONG, Load, Program, Replica, Run, Supply, Verdict, eventually,
    overlaps, runs,
};
use idnow_webhooks_private_postgres::PrivatePostgres;

const RECEIVER: &str = env!("CARGO_BIN_EXE_receiver");
const CONNECTIONS: usize = 16;
const SUPPLY: Supply = Supply { events: Some(600), sessions: 60, per_session: 8, long_in: 6 };
const KILLS: usize = 3;

struct Stage {
    program: Program,
    database: Database,
    replicas: Vec<Replica>,
    load: Load,
}

impl Stage {
    async fn new(name: &str, lease: Duration, drain: Duration) -> Self {
        let mut chance = Chance::announced(name);
        let url = PrivatePostgres::shared().await.unwrap().create_database().await.unwrap();
        let mut program = Program::new(RECEIVER, &url, Handling::Slow);
        (program.lease, program.drain) = (lease, drain);
        let load = Load::start(program.provider(), SUPPLY, CONNECTIONS, &mut chance);
        let mut stage = Self { program, database: Database::Postgres(url), replicas: Vec::new(), load };
        for _ in 0..3 {
            stage.add().await;
        }
        stage
    }

    async fn add(&mut self) {
        self.replicas.push(self.program.start().await);
        self.aim();
    }

    fn aim(&self) {
        let targets: Vec<_> = self.replicas.iter().map(|replica| replica.address).collect();
        self.load.send_to(&targets);
    }

    fn runs(&self) -> Vec<Run> {
        runs(&self.program.journal.entries().unwrap())
    }

    /// Waits until one of the replicas runs a handler that takes long, and takes it out of the list.
    async fn choose(&mut self) -> Replica {
        let busy = || {
            let runs = self.runs();
            let run = runs.iter().rfind(|run| run.ended.is_none() && run.session.starts_with(LONG))?;
            self.replicas.iter().position(|replica| replica.process == run.process)
        };
        eventually("a replica runs a handler that takes long", async || busy().is_some()).await;
        let chosen = busy().unwrap_or(0);
        self.replicas.swap_remove(chosen)
    }

    async fn finish(&mut self, name: &str) -> Vec<Run> {
        self.load.is_done().await;
        eventually("everything is handled", async || {
            // Here already: those that take events from each other may never be done.
            assert_no_overlaps(&self.runs());
            self.database.unfinished().await == 0
        })
        .await;
        self.load.stop().await;
        for replica in std::mem::take(&mut self.replicas) {
            assert!(self.program.terminate(replica).await.success());
        }
        let answers = self.load.answers();
        let ledger = self.load.ledger().clone();
        let verdict = Verdict::reach(&ledger, answers, &self.database, &self.program).await;
        println!("{name}: {verdict:?}");
        let runs = self.runs();
        assert_no_overlaps(&runs);
        runs
    }
}

fn assert_no_overlaps(runs: &[Run]) {
    let overlaps = overlaps(runs);
    assert!(overlaps.is_empty(), "{} pairs of runs at the same time: {overlaps:?}", overlaps.len());
}

/// When the run of an event after this one began, in microseconds since the epoch.
fn next_run(runs: &[Run], event: &str, after: &Run) -> Option<i64> {
    runs.iter().find(|run| run.event == event && run.follows(after)).map(|run| run.began_at)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_killed_while_it_holds_leases() {
    // Those that live extend their leases three times as often: only a machine that stands still for longer takes one away.
    let lease = Duration::from_secs(6);
    let mut stage = Stage::new("replica killed", lease, Duration::from_secs(10)).await;
    let mut leases = HashMap::new();
    for _ in 0..KILLS {
        let victim = stage.choose().await;
        let process = victim.process;
        stage.program.kill(victim).await;
        stage.aim();
        // A lease that was extended by the very last statement only ends later.
        let held = stage.database.leases().await;
        let orphans: Vec<_> = stage
            .runs()
            .into_iter()
            .filter(|run| run.process == process && run.ended == Some(Ended::Killed))
            .collect();
        for orphan in orphans {
            let ends = held.get(&orphan.event).copied();
            assert!(ends.is_some(), "the lease of a killed process is gone at once: {orphan:?}");
            leases.insert((orphan.event, process), ends.unwrap_or_default());
        }
        stage.add().await;
    }
    assert!(!leases.is_empty(), "no process was killed while it held a lease");
    let runs = stage.finish("replica killed").await;
    println!("replica killed: {KILLS} kills, {} runs cut off", leases.len());
    for ((event, process), lease_ends) in leases {
        let cut_off = runs
            .iter()
            .find(|run| run.event == event && run.process == process && run.ended == Some(Ended::Killed))
            .unwrap();
        let again = next_run(&runs, &event, cut_off);
        assert!(again.is_some(), "{event} was not handled again");
        assert!(
            again >= Some(lease_ends),
            "{event} was taken before its lease had run out, at {lease_ends}: {runs:?}"
        );
    }
    let dropped: Vec<_> = runs.iter().filter(|run| run.ended == Some(Ended::Dropped)).collect();
    assert!(dropped.is_empty(), "replicas that lived lost leases: {dropped:?}");
    for run in &runs {
        let event = &run.event;
        assert!(
            runs.iter().any(|run| run.event == *event && run.ended == Some(Ended::Done)),
            "{event} was not done"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_told_to_stop_gives_back_what_it_cannot_finish() {
    // Nobody waits for such a lease: what is taken over was given back.
    let lease = Duration::from_hours(1);
    let mut stage = Stage::new("replica stopped", lease, Duration::from_secs(2)).await;
    let mut stopped = HashSet::new();
    for _ in 0..KILLS {
        let victim = stage.choose().await;
        let process = victim.process;
        stage.aim();
        assert!(
            stage.program.terminate(victim).await.success(),
            "it does not stop well: {}",
            stage.program.log()
        );
        stopped.insert(process);
        let left: Vec<_> =
            stage.runs().into_iter().filter(|run| run.process == process && run.ended.is_none()).collect();
        assert!(left.is_empty(), "handlers were cut off without a word: {left:?}");
        stage.add().await;
    }
    let runs = stage.finish("replica stopped").await;
    let given_back: Vec<_> = runs.iter().filter(|run| run.ended == Some(Ended::Dropped)).collect();
    println!("replica stopped: {KILLS} times, {} events given back", given_back.len());
    assert!(!given_back.is_empty(), "nothing ran for longer than the process waits");
    for run in &given_back {
        assert!(stopped.contains(&run.process), "a replica that was not told to stop lost a lease: {run:?}");
        assert!(next_run(&runs, &run.event, run).is_some(), "it was not handled again: {run:?}");
    }
    let mut done = HashSet::new();
    for run in runs.iter().filter(|run| run.ended == Some(Ended::Done)) {
        assert!(done.insert(&run.event), "{} was handled twice", run.event);
    }
    for row in stage.database.events().await {
        assert!(done.contains(&row.id), "{row:?} was not handled");
        assert_eq!(row.runs, 1, "a run that was given back does not count: {row:?}");
    }
}
