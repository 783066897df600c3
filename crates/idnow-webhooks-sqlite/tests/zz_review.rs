#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    clippy::disallowed_methods,
    missing_docs,
    unused
)]
use chrono::{DateTime, TimeDelta, Utc};
use idnow_webhooks_core::store::*;
use idnow_webhooks_core::{Backoff, Clock, EventRouter, HandlerError, Worker};
use idnow_webhooks_sqlite::SqliteStore;
use idnow_webhooks_sqlite::sqlx::{self, ConnectOptions, Row as _, sqlite::SqliteConnectOptions};
use std::sync::{Arc, Mutex, atomic::*};
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
struct Hand(Arc<Mutex<DateTime<Utc>>>);
impl Hand {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(DateTime::from_timestamp(1_800_000_000, 0).unwrap())))
    }
    fn by(&self, s: i64) {
        *self.0.lock().unwrap() += TimeDelta::seconds(s);
    }
}
impl Clock for Hand {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

fn ev(id: &str, session: &str, seq: u64) -> NewEvent {
    let data = format!(
        r#"{{"eventId": "{id}", "eventName": "session.created", "eventSequence": {seq}, "eventType": "session",
        "environment": "staging", "createdAt": "2026-01-01T00:00:00Z", "eventDeliverId": "d",
        "payload": {{"sessionId": "{session}", "status": "CREATED"}}}}"#
    );
    let e = NewEvent::from_json(&data).unwrap();
    assert_eq!(e.dead, None);
    e
}
fn claim(limit: usize, lease: Duration) -> Claim {
    Claim { limit, lease, order: SessionOrder::default() }
}

#[derive(Debug)]
struct Down {
    inner: MemoryStore,
    down: AtomicBool,
    claims: Mutex<Vec<Instant>>,
}
#[async_trait::async_trait]
impl EventStore for Down {
    async fn insert(&self, e: NewEvent) -> Result<Insertion, StoreError> {
        self.inner.insert(e).await
    }
    async fn begin(&self, e: NewEvent, l: Duration) -> Result<Beginning, StoreError> {
        self.inner.begin(e, l).await
    }
    async fn claim(&self, c: Claim) -> Result<Vec<ClaimedEvent>, StoreError> {
        self.claims.lock().unwrap().push(Instant::now());
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("down"));
        }
        self.inner.claim(c).await
    }
    async fn extend(&self, l: &Lease, d: Duration) -> Result<(), StoreError> {
        self.inner.extend(l, d).await
    }
    async fn complete(&self, l: &Lease) -> Result<(), StoreError> {
        self.inner.complete(l).await
    }
    async fn retry(&self, l: &Lease, w: Duration, e: &str) -> Result<(), StoreError> {
        self.inner.retry(l, w, e).await
    }
    async fn release(&self, l: &Lease) -> Result<(), StoreError> {
        self.inner.release(l).await
    }
    async fn bury(&self, l: &Lease, e: &str) -> Result<(), StoreError> {
        self.inner.bury(l, e).await
    }
    async fn changed(&self) {
        self.inner.changed().await
    }
    async fn list(&self, f: &EventFilter) -> Result<Vec<StoredEvent>, StoreError> {
        self.inner.list(f).await
    }
    async fn get(&self, i: &str) -> Result<Option<StoredEvent>, StoreError> {
        self.inner.get(i).await
    }
    async fn replay(&self, i: &str) -> Result<Replay, StoreError> {
        self.inner.replay(i).await
    }
    async fn replay_dead(&self, l: usize) -> Result<usize, StoreError> {
        self.inner.replay_dead(l).await
    }
    async fn purge(&self, p: Purge) -> Result<usize, StoreError> {
        self.inner.purge(p).await
    }
    async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.inner.backlog().await
    }
    async fn completed(&self) -> Result<u64, StoreError> {
        self.inner.completed().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t01_worker_asleep_after_outage() {
    let store =
        Arc::new(Down { inner: MemoryStore::new(), down: AtomicBool::new(true), claims: Mutex::default() });
    let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
    let worker = Worker::builder(
        Arc::clone(&store),
        EventRouter::new().on_any(move |e| {
            let _ = tx.send(e.id);
            async { Ok(()) }
        }),
    )
    .poll_interval(20 * MS)
    .backoff(Backoff { first: 100 * MS, most: 3600 * S, jitter: 0.0 })
    .start()
    .unwrap();
    tokio::time::sleep(3300 * MS).await; // outage of 33 "first waits"
    store.down.store(false, Ordering::SeqCst);
    let up = Instant::now();
    store.insert(ev("a", "s", 1)).await.unwrap();
    let got = tokio::time::timeout(10 * S, rx.recv()).await;
    println!(
        "T01 outage 3.3s, poll 20ms; event inserted after recovery handled {:?} later; ok={}",
        up.elapsed(),
        got.is_ok()
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t02_blocking_handler_runs_twice_at_once() {
    for kind in ["memory", "sqlite"] {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn EventStore> = if kind == "memory" {
            Arc::new(MemoryStore::new())
        } else {
            Arc::new(SqliteStore::open(dir.path().join("e.db")).await.unwrap())
        };
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (n, m) = (now.clone(), most.clone());
        let worker = Worker::builder(
            store.clone(),
            EventRouter::new().on_any(move |_| {
                let (n, m) = (n.clone(), m.clone());
                async move {
                    m.fetch_max(n.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(2500 * MS);
                    n.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                }
            }),
        )
        .lease(S)
        .poll_interval(50 * MS)
        .drain_limit(100 * MS)
        .start()
        .unwrap();
        store.insert(ev("a", "s", 1)).await.unwrap();
        tokio::time::sleep(4 * S).await;
        let e = store.get("a").await.unwrap().unwrap();
        let t = Instant::now();
        worker.stop().await;
        println!(
            "T02 {kind}: at once {} runs {} state {:?}; stop with drain_limit 100ms took {:?}",
            most.load(Ordering::SeqCst),
            e.runs,
            e.state,
            t.elapsed()
        );
    }
}

#[tokio::test]
async fn t03_crash_loop_is_never_buried() {
    let clock = Hand::new();
    let store = Arc::new(MemoryStore::new().with_clock(clock.clone()));
    store.insert(ev("a", "s", 1)).await.unwrap();
    for _ in 0..100 {
        assert_eq!(store.claim(claim(1, S)).await.unwrap().len(), 1);
        clock.by(10);
    }
    let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
    let worker = Worker::builder(
        store.clone(),
        EventRouter::new().on_any(move |e| {
            let _ = tx.send(e.run().unwrap().number);
            async { Ok(()) }
        }),
    )
    .max_runs(15)
    .start()
    .unwrap();
    println!(
        "T03 max_runs 15; handler is run with run number {:?}",
        tokio::time::timeout(S, rx.recv()).await
    );
    worker.stop().await;
}

#[tokio::test]
async fn t04_drop_without_commit_completes() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path().join("e.db")).await.unwrap();
    let mut c = SqliteConnectOptions::new().filename(dir.path().join("e.db")).connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE t (x)").execute(&mut c).await.unwrap();
    let s = store.clone();
    let worker = Worker::builder(
        store.clone(),
        EventRouter::new().on_any(move |e| {
            let s = s.clone();
            async move {
                let mut t = s.transaction(&e).await?;
                sqlx::query("INSERT INTO t VALUES (1)").execute(&mut *t).await?;
                Ok(()) // forgot to commit
            }
        }),
    )
    .start()
    .unwrap();
    store.insert(ev("a", "s", 1)).await.unwrap();
    tokio::time::sleep(S).await;
    let n: i64 = sqlx::query("SELECT count(*) FROM t").fetch_one(&mut c).await.unwrap().get(0);
    println!(
        "T04 forgot commit: state {:?}, rows of the handler {n}",
        store.get("a").await.unwrap().unwrap().state
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t05_heartbeat_against_own_transaction() {
    for (lease, slow) in [(6 * S, 1950), (3 * S, 950)] {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path().join("e.db")).await.unwrap();
        let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
        let s = store.clone();
        let worker = Worker::builder(
            store.clone(),
            EventRouter::new().on_any(move |e| {
                let (s, tx) = (s.clone(), tx.clone());
                async move {
                    tokio::time::sleep(slow * MS).await;
                    let t = s.transaction(&e).await?;
                    tokio::time::sleep(150 * MS).await;
                    let _ = tx.send(e.run().unwrap().number);
                    t.commit().await?;
                    Ok(())
                }
            }),
        )
        .lease(lease)
        .start()
        .unwrap();
        let t = Instant::now();
        store.insert(ev("a", "s", 1)).await.unwrap();
        tokio::time::sleep((slow as u32 + 100) * MS).await;
        let i = Instant::now();
        let r = store.insert(ev("b", "s2", 1)).await;
        println!(
            "T05 lease {lease:?}: an insertion beside a 150 ms transaction: {r:?} after {:?}",
            i.elapsed()
        );
        for _ in 0..60 {
            if store.get("a").await.unwrap().unwrap().state == EventState::Completed {
                break;
            }
            tokio::time::sleep(100 * MS).await;
        }
        let a = store.get("a").await.unwrap().unwrap();
        println!("T05 lease {lease:?}: event a {:?} after {:?}, runs {}", a.state, t.elapsed(), a.runs);
        worker.stop().await;
    }
}

#[tokio::test]
async fn t06_clock_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Hand::new();
    let sqlite = SqliteStore::builder(dir.path().join("e.db")).clock(clock.clone()).open().await.unwrap();
    let memory = MemoryStore::new().with_clock(clock.clone());
    for store in [&sqlite as &dyn EventStore, &memory] {
        store.insert(ev("a", "s", 1)).await.unwrap();
    }
    clock.by(-7200);
    for store in [&sqlite as &dyn EventStore, &memory] {
        println!("T06 clock 2 h back: claims {}", store.claim(claim(10, S)).await.unwrap().len());
    }
    clock.by(7000);
    println!("T06 7000 s later: claims {}", sqlite.claim(claim(10, S)).await.unwrap().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t07_clock_forward_runs_twice_at_once() {
    let clock = Hand::new();
    let store = Arc::new(MemoryStore::new().with_clock(clock.clone()));
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (n, m) = (now.clone(), most.clone());
    let worker = Worker::builder(
        store.clone(),
        EventRouter::new().on_any(move |_| {
            let (n, m) = (n.clone(), m.clone());
            async move {
                m.fetch_max(n.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(2 * S).await;
                n.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        }),
    )
    .poll_interval(50 * MS)
    .start()
    .unwrap();
    store.insert(ev("a", "s", 1)).await.unwrap();
    tokio::time::sleep(300 * MS).await;
    clock.by(120);
    tokio::time::sleep(S).await;
    println!("T07 clock 2 min forward, one worker: at once {}", most.load(Ordering::SeqCst));
    worker.stop().await;
}

#[tokio::test]
async fn t08_inline_and_queue_in_one_session() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::open(dir.path().join("e.db")).await.unwrap();
    let memory = MemoryStore::new();
    for (name, store) in [("sqlite", &sqlite as &dyn EventStore), ("memory", &memory)] {
        let Beginning::Run(lease) = store.begin(ev("i5", "s", 5), 70 * S).await.unwrap() else { panic!() };
        store.insert(ev("q3", "s", 3)).await.unwrap();
        let first = store.claim(claim(10, 60 * S)).await.unwrap().len();
        store.complete(&lease).await.unwrap();
        let after = store.claim(claim(10, 60 * S)).await.unwrap();
        println!(
            "T08 {name}: claims while an inline event of the session runs: {first}; after it: {:?}",
            after.iter().map(|c| c.order).collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn t09_health_says_ready_while_nothing_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::builder(dir.path().join("e.db")).busy_timeout(300 * MS).open().await.unwrap();
    let mut c = SqliteConnectOptions::new().filename(dir.path().join("e.db")).connect().await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut c).await.unwrap();
    println!(
        "T09 insert {:?}; backlog (=health.ready) {:?}",
        store.insert(ev("a", "s", 1)).await.is_ok(),
        store.backlog().await.is_ok()
    );
}

#[tokio::test]
async fn t10_lease_max() {
    let store = Arc::new(MemoryStore::new());
    let worker = Worker::builder(store.clone(), EventRouter::new()).lease(Duration::MAX).start().unwrap();
    store.insert(ev("a", "s", 1)).await.unwrap();
    tokio::time::sleep(300 * MS).await;
    let a = store.get("a").await.unwrap().unwrap();
    println!("T10 lease MAX: {:?} due {:?}", a.state, a.due_at);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t11_on_any_and_typed_both_with_transactions() {
    use idnow_webhooks_core::event::{Event, SessionCreated};
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path().join("e.db")).await.unwrap();
    let mut c = SqliteConnectOptions::new().filename(dir.path().join("e.db")).connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE audit (x); CREATE TABLE account (x)").execute(&mut c).await.unwrap();
    let (s1, s2) = (store.clone(), store.clone());
    let worker = Worker::builder(
        store.clone(),
        EventRouter::new()
            .on_any(move |e| {
                let s = s1.clone();
                async move {
                    let mut t = s.transaction(&e).await?;
                    sqlx::query("INSERT INTO audit VALUES (1)").execute(&mut *t).await?;
                    t.commit().await?;
                    Ok(())
                }
            })
            .on(move |e: Event<SessionCreated>| {
                let s = s2.clone();
                async move {
                    let mut t = s.transaction(&e).await?;
                    sqlx::query("INSERT INTO account VALUES (1)").execute(&mut *t).await?;
                    t.commit().await?;
                    Ok(())
                }
            }),
    )
    .start()
    .unwrap();
    let data = r#"{"eventId": "a", "eventName": "session.created", "eventSequence": 1, "eventType": "session",
        "environment": "staging", "createdAt": "2026-01-01T00:00:00Z", "eventDeliverId": "d", "payload": {"sessionId": "0f8fad5b-d9cb-469f-a165-70867728950e", "status": "CREATED"}}"#;
    store.insert(NewEvent::from_json(data).unwrap()).await.unwrap();
    tokio::time::sleep(S).await;
    let n: i64 = sqlx::query("SELECT count(*) FROM audit").fetch_one(&mut c).await.unwrap().get(0);
    let m: i64 = sqlx::query("SELECT count(*) FROM account").fetch_one(&mut c).await.unwrap().get(0);
    let a = store.get("a").await.unwrap().unwrap();
    println!("T11 on_any+on: {:?} error {:?}; audit {n} account {m}", a.state, a.error);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t12_long_session() {
    for n in [500u64, 5000, 20000] {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path().join("e.db")).await.unwrap();
        let memory = MemoryStore::new();
        let all: Vec<_> = (1..=n)
            .map(|i| {
                let s = store.clone();
                async move {
                    s.insert(ev(&format!("e{i}"), "s", i)).await.unwrap();
                }
            })
            .collect();
        let mut set = tokio::task::JoinSet::new();
        for f in all {
            set.spawn(f);
        }
        while set.join_next().await.is_some() {}
        for i in 1..=n {
            memory.insert(ev(&format!("e{i}"), "s", i)).await.unwrap();
        }
        for (name, store) in [("sqlite", &store as &dyn EventStore), ("memory", &memory)] {
            // settle the put-offs first
            let mut first = None;
            let mut claimed = vec![];
            let t0 = Instant::now();
            while claimed.is_empty() {
                claimed = store.claim(claim(16, 600 * S)).await.unwrap();
            }
            first = Some(t0.elapsed());
            let t = Instant::now();
            let mut k = 0;
            while k < 20 && t.elapsed() < 5 * S {
                for c in claimed.drain(..) {
                    store.complete(&c.lease).await.unwrap();
                    k += 1;
                }
                while claimed.is_empty() {
                    claimed = store.claim(claim(16, 600 * S)).await.unwrap();
                }
            }
            println!(
                "T12 {name} session of {n}: first claim {first:?}, then {:?} per event",
                t.elapsed() / k
            );
        }
    }
}
